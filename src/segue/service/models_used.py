"""Which models a definition asks, as far as its text says so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from segue.core import Plan
from segue.core.plan import ActNode, FunctionNode

_ARGUMENT: Final = re.compile(r"\$\{\s*\.([A-Za-z_][A-Za-z0-9_]*)\s*\}")
"""An argument of the function that a task is the beginning of."""


def models_used(plan: Plan) -> dict[str, str]:
    """Names of models, each with the pointer of a task that asks it. A computed name is known only to its runs.

    A function such as `decision` hands the name that it was given to its first task: it is looked up there.
    """
    found: dict[str, str] = {}
    functions = [node for node in plan.nodes if isinstance(node, FunctionNode)]
    for node in plan.nodes:
        if isinstance(node, ActNode) and node.handler == "model":
            name = _given(node.definition).get("name")
            for said, pointer in _said(name, node.pointer, functions):
                found.setdefault(said, pointer)
    return found


def _said(name: Any, pointer: str, functions: list[FunctionNode]) -> Iterator[tuple[str, str]]:
    if not isinstance(name, str):
        return
    if "${" not in name:
        yield name, pointer
        return
    argument = _ARGUMENT.fullmatch(name.strip())
    around = [one for one in functions if re.match(re.escape(one.pointer) + r"/call(/do/0/[^/]+)?$", pointer)]
    if argument is not None and around:
        given = _given(around[-1].definition).get(argument[1])
        yield from _said(given, around[-1].pointer, functions)


def _given(definition: Any) -> dict[str, Any]:
    given = definition.get("with") if isinstance(definition, dict) else None
    return given if isinstance(given, dict) else {}
