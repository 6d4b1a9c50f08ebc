"""No use case gives values of runs out but through a lens: what somebody may not see is masked in one place."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import pytest
from tests.architecture.test_permissions import DECLARED

SERVICE = Path(__file__).parents[2] / "src" / "segue" / "service"
LENS = "_masking"
# Use cases whose answers could hold values by their type, and do not. This list only shrinks.
WITHOUT_VALUES = {
    "workflows.get": "a document and what it is pinned to, no data of its runs",
    "connections.get": "an API description, no data that came through it",
    "runs.start": "the summary of a run that begins: no results",
    "runs.control": "a summary without results",
}
# The same of groups of use cases, none of which tells of runs.
GROUPS_WITHOUT_VALUES = {
    "adjusting": "settings that a document declares and operations adjust",
    "scim": "what the directory interface can do",
    "scim_groups": "groups as a directory provisions them",
    "scim_users": "people as a directory provisions them",
}
# Attributes of use cases that are use cases, or parts of them, themselves.
PARTS = {"_exporting": "exporting", "_followers": "following", "_runs": "runs", "_showing": "showing"}


def holds_values(kind: Any, seen: frozenset[type] = frozenset()) -> bool:
    """Whether an answer of this type can hold data of any shape."""
    if kind is Any:
        return True
    if get_origin(kind) is not None:
        return get_origin(kind) is not Literal and any(holds_values(part, seen) for part in get_args(kind))
    if not inspect.isclass(kind) or not issubclass(kind, msgspec.Struct) or kind in seen:
        return False
    return any(holds_values(part, seen | {kind}) for part in get_type_hints(kind).values())


def giving() -> Iterator[str]:
    for name, method in DECLARED.items():
        if name.partition(".")[0] in GROUPS_WITHOUT_VALUES:
            continue
        plain = inspect.unwrap(method)  # type: ignore[arg-type]
        names = {**vars(sys.modules[plain.__module__]), "EmbeddedHost": object}
        if holds_values(get_type_hints(plain, names).get("return")):
            yield name


@cache
def functions(module: str) -> dict[str, ast.AST]:
    """Functions and methods of a module of the service by name; none of those that matter here share one."""
    tree = ast.parse((SERVICE / f"{module}.py").read_text())
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def reaches_lens(module: str, name: str, seen: set[tuple[str, str]]) -> bool:
    """Whether a function asks for a lens, by itself or by what it calls."""
    node = functions(module).get(name)
    if node is None or (module, name) in seen:
        return False
    seen.add((module, name))
    called: list[tuple[str, str]] = []
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute) and part.attr == LENS:
            return True
        if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Attribute) and part.value.attr in PARTS:
            called.append((PARTS[part.value.attr], part.attr))
        elif isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id == "self":
            called.append((module, part.attr))
    return any(reaches_lens(*one, seen) for one in called)


GIVING = sorted(giving())


@pytest.mark.parametrize("name", GIVING)
def test_every_answer_that_can_hold_values_is_seen_through_a_lens(name: str) -> None:
    """Remedy: `self._masking.lens(…)` and `segue.service.answers`, or, where it tells of no run, a reason above."""
    module = inspect.unwrap(DECLARED[name]).__module__.rpartition(".")[2]  # type: ignore[arg-type]
    found = reaches_lens(module, name.rpartition(".")[2], set())
    assert found != (name in WITHOUT_VALUES), f"{name}: {'is no exception any more' if found else 'asks for no lens'}"


# Use cases that take data of any shape which does not become data of a run.
TAKING_OTHER = {
    "accounts.make": "a change of a person, as it was asked for and approved",
    "profiles.make": "the profile of a person",
    "connections.add": "settings of a connection",
    "connections.add_from": "settings of a connection",
    "permissions.explain": "a question about rules, which keeps nothing",
    "permissions.test": "a question about rules, which keeps nothing",
    "profiles.put": "the profile of a person",
    "profiles.put_own": "the profile of a person",
    "runs.report": "a run as the service itself gave it",
    "secrets.set": "a secret",
    "tasks.reassign": "names of people, roles and groups",
}


def taking() -> Iterator[str]:
    for name, method in DECLARED.items():
        if name.startswith("scim"):
            continue  # People and groups, as a directory provisions them.
        plain = inspect.unwrap(method)  # type: ignore[arg-type]
        hints = get_type_hints(plain, {**vars(sys.modules[plain.__module__]), "EmbeddedHost": object})
        if any(holds_values(hint) for key, hint in hints.items() if key != "return"):
            yield name


@pytest.mark.parametrize("name", sorted(taking()))
def test_no_use_case_takes_a_mask_for_data(name: str) -> None:
    """Remedy: `refuse_masks(NAME=VALUE)`, or, where what it takes is no data of a run, a reason above."""
    module = inspect.unwrap(DECLARED[name]).__module__.rpartition(".")[2]  # type: ignore[arg-type]
    found = refuses(module, name.rpartition(".")[2], set())
    assert found != (name in TAKING_OTHER), name


def refuses(module: str, name: str, seen: set[str]) -> bool:
    """Whether a function refuses masks, by itself or by a method of its own that it calls."""
    node = functions(module).get(name)
    if node is None or name in seen:
        return False
    seen.add(name)
    parts = [part for part in ast.walk(node) if isinstance(part, ast.Call)]
    if any(isinstance(part.func, ast.Name) and part.func.id == "refuse_masks" for part in parts):
        return True
    called = [part.func.attr for part in parts if isinstance(part.func, ast.Attribute)]
    return any(refuses(module, other, seen) for other in called)


def test_exceptions_are_of_use_cases_that_there_are() -> None:
    """A list of exceptions that nobody needs hides the next one."""
    assert set(WITHOUT_VALUES) <= set(GIVING)
    assert set(TAKING_OTHER) <= set(taking())
    assert set(GROUPS_WITHOUT_VALUES) <= {name.partition(".")[0] for name in DECLARED}
