"""A task that an extension wraps. Law: `before`, the task, `after`, each fed by the one before it.

`then: exit` inside `before` skips the task; the data so far counts as its output. What the task says about the
way on (its `then`, a case, `catch.then`) counts after `after`; an `end` from deeper inside leaves it out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segue.core.environment import is_true
from segue.core.machines.base import Machine
from segue.core.plan import ExtendedNode, Flow, Node
from segue.core.state import Frame

if TYPE_CHECKING:
    from segue.core.turn import Turn


class Extended(Machine):
    """`frame.data` keeps the directive of the inner task until `after` is done; `position` is 1 if `when` held."""

    def start(self, turn: Turn, frame: Frame) -> None:
        node = frame.node
        assert isinstance(node, ExtendedNode)
        applies = node.when is None or is_true(turn, node.when, frame.input, frame)
        frame.position = int(applies)
        frame.data = Flow.CONTINUE
        if applies and node.before:
            turn.begin(node.before[0], frame, frame.input)
        else:
            turn.begin(node.inner, frame, frame.input)

    def list_done(self, turn: Turn, frame: Frame, section: str, output: Any, then: int) -> None:
        node = frame.node
        assert isinstance(node, ExtendedNode)
        if section == "after":
            turn.complete(frame, output, frame.data)
        elif then == Flow.EXIT:
            self._after(turn, frame, node, output)
        else:
            turn.begin(node.inner, frame, output)

    def child_done(self, turn: Turn, frame: Frame, child: Node, output: Any, then: int) -> None:
        node = frame.node
        assert isinstance(node, ExtendedNode)
        frame.data = then
        self._after(turn, frame, node, output)

    def _after(self, turn: Turn, frame: Frame, node: ExtendedNode, output: Any) -> None:
        if node.after and frame.position:
            turn.begin(node.after[0], frame, output)
        else:
            turn.complete(frame, output, frame.data)
