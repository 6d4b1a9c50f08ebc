"""`call` of what acts on the world, and `run`. Law: one command, one answer; the output is that answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segue.core.environment import evaluate
from segue.core.machines.base import Machine
from segue.core.plan import ActNode
from segue.core.state import Frame
from segue.types import Perform, fail

if TYPE_CHECKING:
    from segue.core.turn import Turn


class Act(Machine):
    """Gives a `Perform` with the frame's id. With `await: false` it completes at once with its input."""

    def start(self, turn: Turn, frame: Frame) -> None:
        node = frame.node
        assert isinstance(node, ActNode)
        arguments = evaluate(turn, node.arguments, frame.input, frame)
        if node.arguments_check is not None and (complaint := node.arguments_check(arguments)) is not None:
            raise fail("validation", f"the arguments do not fit: {complaint}")
        turn.give(
            Perform(
                frame.id,
                node.handler,
                arguments,
                node.name,
                node.pointer,
                frame.iteration,
                frame.attempt,
                not node.wait,
            )
        )
        if not node.wait:
            turn.complete(frame, frame.input)
