"""`wait`. Law: it completes when its one timer fires, and never sooner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segue.core.environment import evaluate
from segue.core.machines.base import Machine
from segue.core.plan import WaitNode
from segue.core.state import Frame

if TYPE_CHECKING:
    from segue.core.turn import Turn


class Wait(Machine):
    """A durable timer."""

    def start(self, turn: Turn, frame: Frame) -> None:
        node = frame.node
        assert isinstance(node, WaitNode)
        wait_ms = evaluate(turn, node.duration, frame.input, frame)
        frame.clock = turn.start_timer(frame, "wait", wait_ms)
        if turn.trace is not None:
            turn.observe("waiting", frame, {"due": turn.now + wait_ms})

    def timer(self, turn: Turn, frame: Frame, purpose: str) -> None:
        turn.complete(frame, frame.input)
