"""`call` of a function that is itself a task. Law: its arguments are the body's raw input, its output the body's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segue.core.environment import evaluate
from segue.core.machines.base import Machine
from segue.core.plan import FunctionNode, Node
from segue.core.state import Frame
from segue.types import fail

if TYPE_CHECKING:
    from segue.core.turn import Turn


class Function(Machine):
    """The body's own `then` is ignored; `end` inside it ends the workflow."""

    def start(self, turn: Turn, frame: Frame) -> None:
        node = frame.node
        assert isinstance(node, FunctionNode)
        arguments = {} if node.arguments is None else evaluate(turn, node.arguments, frame.input, frame)
        turn.require_made_fits(arguments, "what the arguments came to")
        turn.begin(node.body, frame, arguments)

    def child_done(self, turn: Turn, frame: Frame, child: Node, output: Any, then: int) -> None:
        node = frame.node
        assert isinstance(node, FunctionNode)
        if (
            node.result_check is not None
            and turn.state.results
            and (complaint := node.result_check(output)) is not None
        ):
            turn.current = frame
            raise fail("validation", complaint)
        turn.complete(frame, output)
