"""The ways that lead to a task: is there one on which no person was asked before?

A list is walked along its directives, also those that jump back, until nothing new is found. A place of a list is
looked at only if every way to it passes a task that surely asks. Loops may be empty, branches beside say nothing of
each other, a `catch` begins where its `try` began: what is not certain does not count.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

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
    UndoNode,
)

Way = tuple[str, ...]
"""Pointers of the tasks on a way, in order."""

_AWAY: Final = 1 << 30


@dataclass(slots=True)
class Ways:
    """Finds the tasks that can be reached with nobody asked.

    Attributes:
        wanted: The tasks that are looked for.
        counts: A human task asks somebody whenever it is reached.
        function: A function asks somebody whenever it is called; None: it does where its body surely does.
        found: Tasks with one way each on which nobody is asked.
    """

    wanted: Callable[[Node], bool]
    counts: Callable[[HumanNode], bool]
    function: Callable[[FunctionNode], bool] | None = None
    found: dict[Node, Way] = field(default_factory=dict)

    def walk(self, tasks: tuple[Node, ...], way: Way = ()) -> dict[Node, Way]:
        """Walk a list that is reached by a way on which nobody was asked."""
        if not tasks:
            return self.found
        into: dict[int, Way | None] = {0: way}  # None: on all ways so far somebody was asked
        pending = deque([0])
        while pending:
            place = pending.popleft()
            node, before = tasks[place], into[place]
            if before is not None:
                self._enter(node, before)
            after = None if before is None or self.asks(node) else (*before, node.pointer)
            for goal in goals(node, place):
                if goal >= len(tasks) or (goal in into and (into[goal] is not None or after is None)):
                    continue
                into[goal] = after
                pending.append(goal)
        return self.found

    def asks(self, node: Node) -> bool:
        """Whether a person was asked for sure when this task is done."""
        if node.condition is not None:
            return False
        match node:
            case HumanNode():
                return self.counts(node)
            case FunctionNode():
                return self.asks(node.body) if self.function is None else self.function(node)
            case DoNode():
                return any(self.asks(task) for task in _straight(node.tasks))
            case ExtendedNode():
                return self.asks(node.inner)
            case TryNode():
                return node.catch_tasks is not None and all(
                    any(self.asks(task) for task in _straight(tasks)) for tasks in (node.tasks, node.catch_tasks)
                )
            case ForkNode():
                return not node.compete and any(self.asks(branch) for branch in node.branches)
        return False

    def _enter(self, node: Node, way: Way) -> None:
        """A task is reached by this way."""
        if self.wanted(node):
            self.found.setdefault(node, (*way, node.pointer))
        # A function's body and what an extension wraps have the way of the task that they belong to.
        way = (*way, node.pointer) if way[-1:] != (node.pointer,) else way
        for place, listed in enumerate(node.children()):
            needs = node.needs[place] if isinstance(node, ForkNode) and node.needs else ()
            if isinstance(node, ForkNode) and any(self.asks(node.branches[needed]) for needed in needs):
                continue
            if not any(isinstance(task, UndoNode) for task in listed):
                self.walk(listed, way)


def _straight(tasks: tuple[Node, ...]) -> tuple[Node, ...]:
    """The beginning of a list up to the first task that may go elsewhere."""
    for place, node in enumerate(tasks):
        if goals(node, place) != {place + 1}:
            return tasks[: place + 1]
    return tasks


def goals(node: Node, place: int) -> set[int]:
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
    return {place + 1 if then == Flow.CONTINUE else then if then >= 0 else _AWAY for then in thens}
