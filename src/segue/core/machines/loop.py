"""`for`. Law: strictly one iteration at a time; each gets the output of the one before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segue.core.environment import evaluate, is_true
from segue.core.machines.base import Machine
from segue.core.plan import ForNode, Node
from segue.core.state import Frame
from segue.types import fail

if TYPE_CHECKING:
    from segue.core.turn import Turn


class For(Machine):
    """`frame.data` holds the array, `frame.position` the index of the current element."""

    def start(self, turn: Turn, frame: Frame) -> None:
        node = frame.node
        assert isinstance(node, ForNode)
        items = evaluate(turn, node.items, frame.input, frame)
        turn.require_made_fits(items, "the array of the loop")
        if items is None:
            items = []  # ruling R16
        elif not isinstance(items, list):
            raise fail("expression", f"`for.in` must give an array, not {_kind_of(items)}")
        frame.data = items
        frame.position = -1
        self._next(turn, frame, node, frame.input)

    def list_done(self, turn: Turn, frame: Frame, section: str, output: Any, then: int) -> None:
        node = frame.node
        assert isinstance(node, ForNode)
        self._next(turn, frame, node, output)

    def _next(self, turn: Turn, frame: Frame, node: ForNode, data: Any) -> None:
        parent = frame.parent
        assert parent is not None
        frame.position = place = frame.position + 1
        goes_on = place < len(frame.data) and bool(node.tasks)
        if goes_on:
            frame.vars = {**(parent.vars or {}), node.each: frame.data[place], node.at: place}
            frame.iteration = (*parent.iteration, place)
            frame.steps = None
            frame.laps = 0
            goes_on = node.while_ is None or is_true(turn, node.while_, data, frame)
        if goes_on:
            turn.begin(node.tasks[0], frame, data)
            return
        self.unwind(turn, frame)
        turn.complete(frame, data)

    def unwind(self, turn: Turn, frame: Frame, child: Node | None = None) -> None:
        parent = frame.parent
        assert parent is not None
        frame.vars = parent.vars
        frame.iteration = parent.iteration


def _kind_of(value: Any) -> str:
    names = {bool: "a boolean", int: "a number", float: "a number", str: "text", dict: "an object"}
    return names.get(type(value), type(value).__name__)
