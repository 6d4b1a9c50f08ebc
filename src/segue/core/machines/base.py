"""What every machine answers, with the answers that most of them share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segue.core.plan import Flow, Node
from segue.core.state import Frame
from segue.types import Failure

if TYPE_CHECKING:
    from segue.core.turn import Turn


class Machine:
    """Behaviour of one kind of task. Stateless: everything it remembers stands in the frame."""

    def start(self, turn: Turn, frame: Frame) -> None:
        """The task's input is checked and transformed; begin its work."""
        raise AssertionError(f"{type(self).__name__} does not start")

    def list_done(self, turn: Turn, frame: Frame, section: str, output: Any, then: int) -> None:
        """One of its lists ran to its end, or was left by `exit`."""
        turn.complete(frame, output)

    def child_done(self, turn: Turn, frame: Frame, child: Node, output: Any, then: int) -> None:
        """A child that stands in no list (a branch, a body) completed."""
        raise AssertionError(f"{type(self).__name__} has no single children")

    def child_skipped(self, turn: Turn, frame: Frame, child: Node, raw: Any) -> None:
        """The `if` of a child that stands in no list did not hold; its input is its output."""
        self.child_done(turn, frame, child, raw, Flow.CONTINUE)

    def unwind(self, turn: Turn, frame: Frame, child: Node) -> None:
        """`end` came up from this child, and the frame is about to complete: close and forget what is below it."""

    def child_failed(self, turn: Turn, frame: Frame, child: Node, reason: Failure) -> None:
        """A child failed and nothing below handled it; unless said otherwise it was the only one."""
        turn.fault(frame, reason, alone=True)

    def timer(self, turn: Turn, frame: Frame, purpose: str) -> None:
        """A timer of this frame fired; its time-out is not among them."""
        raise AssertionError(f"{type(self).__name__} keeps no timers")

    def undone(self, turn: Turn, frame: Frame) -> None:
        """What completed within the task, and was to be undone, is."""
        raise AssertionError(f"{type(self).__name__} undoes nothing")

    def would_handle(self, turn: Turn, frame: Frame, child: Node, reason: Failure) -> bool:
        """Would this failure of a child end here? Asked where runs hold failures; changes nothing."""
        return False
