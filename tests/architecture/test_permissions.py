"""Nothing can be done that no action names: use cases, routes and commands all pass the guard."""

from __future__ import annotations

import ast
import dataclasses
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import get_type_hints

import pytest

import segue.store
from segue.governance import ACTIONS, GROUPS, Guard, Policies, Resource, shipped
from segue.service import Service
from segue.service.access import UseCases

SOURCE = Path(__file__).parents[2] / "src" / "segue"
# What an edge may do with a service besides calling its use cases.
NOT_USE_CASES = {"health", "ready", "guard"}
# Actions that nobody requests: asked for each act of a run, and for each class of a value that an answer holds.
NOT_REQUESTS = {"act.perform", "data.see"}
# Functions of the command line that need no service: they work on files that whoever runs them can read anyway, and
# the service functions they call.
ON_FILES = {
    "segue.cli.run:run": "a folder of one's own",
    "segue.cli.serve:serve": "opens the folder itself; its requests are asked one by one",
    "segue.cli.documents:validate": "reads documents",
    "segue.cli.documents:play": "reads documents",
    "segue.cli.documents:schema": "prints a schema",
    "segue.cli.documents:version": "prints a version",
    "segue.cli.workspaces:create": "makes a folder, or asks the server that its holder runs",
    "segue.cli.workspaces:list_": "looks into a folder, or asks that server",
    "segue.cli.workspaces:remove": "moves a folder, or asks that server",
    "segue.cli.backup:backup": "copies a folder that one can read",
    "segue.cli.backup:restore": "makes a folder",
}


def groups() -> dict[str, type]:
    """The groups of use cases of a service by name."""
    from segue.hosts import EmbeddedHost

    hints = get_type_hints(Service, {**vars(inspect.getmodule(Service)), "EmbeddedHost": EmbeddedHost})
    besides = (segue.store.Store, Guard)
    return {
        field.name: hints[field.name]
        for field in dataclasses.fields(Service)
        if inspect.isclass(hints[field.name]) and not issubclass(hints[field.name], besides)
    }


def methods() -> Iterator[tuple[str, object]]:
    for name, group in groups().items():
        for attribute, method in vars(group).items():
            if not attribute.startswith("_") and inspect.isfunction(method):
                yield f"{name}.{attribute}", method


DECLARED = dict(methods())


@pytest.mark.parametrize("name", DECLARED)
def test_every_use_case_declares_its_action(name: str) -> None:
    """What declares none would be open to everybody. Remedy: `@governed("….…")` from `segue.service.access`."""
    method = DECLARED[name]
    assert issubclass(groups()[name.split(".")[0]], UseCases), f"{name}: its class must derive from UseCases"
    action, reason = getattr(method, "__action__", None), getattr(method, "__open__", "")
    assert action in ACTIONS or len(reason.split()) > 3, f"{name} declares no action of governance/actions.py"


def test_every_action_is_somebodys_and_stands_in_known_groups() -> None:
    """An action that no use case declares is a promise nobody keeps."""
    used = {getattr(method, "__action__", None) for method in DECLARED.values()}
    used |= {node.value for path in (SOURCE / "service").rglob("*.py") for node in _strings(path)}
    for name, action in ACTIONS.items():
        assert set(action.groups) <= set(GROUPS), name
        assert name in used or name in NOT_REQUESTS, f"no use case declares {name!r}"


def _strings(path: Path) -> Iterator[ast.Constant]:
    """Actions that are asked in the middle of a use case."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("admit_to", "admit_or_wait"):
            yield from (argument for argument in node.args if isinstance(argument, ast.Constant))


def routes() -> list[tuple[str, ast.AsyncFunctionDef]]:
    found = []
    for path in sorted((SOURCE / "api").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.AsyncFunctionDef) and any(
                argument.arg == "service" for argument in node.args.args
            ):
                found.append((f"{path.stem}.{node.name}", node))
    return found


@pytest.mark.parametrize(("name", "node"), routes(), ids=[name for name, _ in routes()])
def test_every_route_does_what_a_use_case_does(name: str, node: ast.AsyncFunctionDef) -> None:
    """A route that reaches past the use cases reaches past the guard."""
    called = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name) and inner.value.id == "service":
            called.add(inner.attr)
    assert called, f"{name} asks the service nothing"
    assert called <= set(groups()) | NOT_USE_CASES, f"{name} reaches for {sorted(called)}"


def test_every_command_goes_through_a_server_or_a_use_case() -> None:
    """A command that works on the store by itself would pass the guard by."""
    from segue.cli.app import _COMMANDS, _GROUPS

    targets = [target for target, _ in _COMMANDS.values()]
    targets += [target for _, commands in _GROUPS.values() for target, _ in commands.values()]
    for target in targets:
        if target in ON_FILES:
            continue
        module = target.partition(":")[0].removeprefix("segue.").replace(".", "/")
        text = (SOURCE / f"{module}.py").read_text()
        assert "ask(" in text or "find_server(" in text, f"{target} asks no server and no service"
        assert "segue.store" not in text, f"{target} works on the store by itself"


def test_a_service_without_a_guard_denies_everything() -> None:
    """Forgetting to install the guard must be noticed by whoever forgot it, not by a stranger."""
    verdict = UseCases().guard
    assert verdict.who() is None


def test_the_shipped_policies_say_who_may_do_everything() -> None:
    """An action nobody may do is a feature nobody has."""
    policies = Policies(shipped())
    from segue.governance import roles_for

    for action in ACTIONS:
        if action != "act.perform":
            assert roles_for(policies, action), action
    assert Resource("Run").name == "run"
