"""`metadata: {segue: {affects: person, adverse: true}}`: what a task says of the acts at and below it."""

from __future__ import annotations

from typing import Any, Final

from segue.core.plan import ActNode, Consequence, ExtendedNode, Node, Plan, UndoNode
from segue.dsl.compiler.build import Build, as_object, below

AFFECTED: Final = ("person",)
_REMEDY: Final = "write `affects: person`, and `adverse: true` beside it where it goes against them"


def consequences_of(build: Build, plan: Plan) -> dict[int, Consequence]:
    """What the acts of a plan mean for somebody, by the index of their node; every mistake leaves a finding."""
    found: dict[int, Consequence] = {}
    pending: list[tuple[Node, Consequence | None]] = [(plan.root, None)]
    while pending:
        node, around = pending.pop()
        said = None if isinstance(node, ExtendedNode) or node is plan.root else _said(build, node)
        mine = said or around
        if mine is not None and isinstance(node, ActNode) and not isinstance(node, UndoNode):
            found[node.index] = mine
        for listed in node.children():
            # What an extension puts around a task is not the task.
            wrapped = isinstance(node, ExtendedNode) and node.inner not in listed
            pending.extend((child, None if wrapped else mine) for child in listed)
    return dict(sorted(found.items()))


def _said(build: Build, node: Node) -> Consequence | None:
    definition: Any = node.definition
    written = as_object(as_object(as_object(definition).get("metadata")).get("segue"))
    affects, adverse = written.get("affects"), written.get("adverse", False)
    if affects is None and "adverse" not in written:
        return None
    place = below(node.pointer.removeprefix(build.prefix), "metadata", "segue")
    if affects not in AFFECTED:
        build.error("invalid-consequence", place, "what has consequences says for whom: `affects: person`", _REMEDY)
        return None
    if not isinstance(adverse, bool):
        build.error("invalid-consequence", below(place, "adverse"), "`adverse` is true or false", _REMEDY)
        return None
    return Consequence(affects, adverse)
