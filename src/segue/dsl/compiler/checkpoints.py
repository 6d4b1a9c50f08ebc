"""Where nobody looks before something that cannot be taken back.

A task says that it cannot be taken back by `metadata: {segue: {irreversible: true}}`. On every way to it a person
must have been asked: a human task in its list or in one around it, before it, that no `if` can skip. What a
catalogue's function asks people inside (`decision`) counts.
"""

from __future__ import annotations

from typing import Any, Final

from segue.core.plan import (
    DoNode,
    ExtendedNode,
    Flow,
    ForkNode,
    FunctionNode,
    HumanNode,
    Node,
    SwitchNode,
    TryNode,
)
from segue.dsl.compiler.build import Build, as_object

_REMEDY: Final = "ask somebody before it: `call: human-task`, or `call: decision` where a model decides"


def lint_checkpoints(build: Build, root: DoNode) -> None:
    """Warn of every act that is declared irreversible and may happen before any person was asked."""
    for node in _unlooked(root.tasks, looked=False):
        build.warn(
            "irreversible-unchecked",
            node.pointer,
            "this cannot be taken back, and may happen before any person was asked",
            _REMEDY,
            key=True,
        )


def _unlooked(tasks: tuple[Node, ...], *, looked: bool) -> list[Node]:
    """Irreversible tasks of a list that may start without a look. A place is looked at if all ways to it are."""
    found: list[Node] = []
    into: list[bool | None] = [looked, *[None] * (len(tasks) - 1)][: len(tasks)]
    for place, node in enumerate(tasks):
        before = into[place]
        if before is None:
            before = looked  # only a jump from below leads here: what was known of the list holds
        if not before:
            found.extend(_within(node))
        after = before or _asks(node)
        for goal in _goals(node, place):
            if place < goal < len(tasks):
                known = into[goal]
                into[goal] = after if known is None else known and after
    return found


def _within(node: Node) -> list[Node]:
    """Irreversible tasks in and below a node at whose start nobody had looked."""
    found = [node] if _is_irreversible(node) else []
    if isinstance(node, ForkNode) and node.needs:
        # Branches wait for one another; what asks in one of them need not be on the way to another.
        return [*found, *(task for branch in node.branches for task in _within(branch))]
    for listed in node.children():
        found.extend(_unlooked(listed, looked=False))
    return found


def _asks(node: Node) -> bool:
    """Whether a person was asked for sure when this task is done."""
    if node.condition is not None:
        return False
    match node:
        case HumanNode():
            return True
        case FunctionNode():
            # Whether it asks depends on what it decides: whoever calls it chose that.
            return _holds_human(node.body)
        case DoNode():
            return any(_asks(task) for task in _straight(node.tasks))
        case ExtendedNode():
            return _asks(node.inner)
        case TryNode():
            return node.catch_tasks is not None and all(
                any(_asks(task) for task in _straight(tasks)) for tasks in (node.tasks, node.catch_tasks)
            )
        case ForkNode():
            return not node.compete and any(_asks(branch) for branch in node.branches)
    return False


def _straight(tasks: tuple[Node, ...]) -> tuple[Node, ...]:
    """The beginning of a list up to the first task that may go elsewhere."""
    for place, node in enumerate(tasks):
        if _goals(node, place) != {place + 1}:
            return tasks[: place + 1]
    return tasks


def _holds_human(node: Node) -> bool:
    return isinstance(node, HumanNode) or any(_holds_human(task) for tasks in node.children() for task in tasks)


def _goals(node: Node, place: int) -> set[int]:
    """Places of the list where it may go on; beyond its end where it leaves the list."""
    inner = node.inner if isinstance(node, ExtendedNode) else node
    thens = {int(node.then), int(inner.then)} - ({int(Flow.CONTINUE)} if node is not inner else set())
    if isinstance(inner, SwitchNode):
        thens |= {int(case.then) for case in inner.cases}
        if all(case.when is not None for case in inner.cases):
            thens.add(int(Flow.CONTINUE))
    if isinstance(inner, TryNode) and inner.catch_then is not None:
        thens.add(int(inner.catch_then))
    if node.condition is not None or inner.condition is not None or not thens:
        thens.add(int(Flow.CONTINUE))
    away = 1 << 30
    return {place + 1 if then == Flow.CONTINUE else then if then >= 0 else away for then in thens}


def _is_irreversible(node: Node) -> bool:
    definition: Any = node.definition
    said = as_object(as_object(as_object(definition).get("metadata")).get("segue")) if node.pointer != "/do" else {}
    return said.get("irreversible") is True
