"""`call` of what acts on the world, and `run`. Law: one command, one answer; the output is that answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from segue.core.consequences import carried
from segue.core.environment import evaluate
from segue.core.machines.base import Machine
from segue.core.plan import ActNode, Node, Plan, UndoNode
from segue.core.state import Frame, RunState
from segue.types import Perform, fail

if TYPE_CHECKING:
    from segue.core.turn import Turn

AGAIN: Final = "^"
"""In an act's name, before how often it was undone."""


def effect_of(state: RunState, frame: Frame) -> str:
    """The task's name within its run: its node, the iterations around it, the backward jumps around it.

    A retried list starts its count of jumps anew, so that an act keeps its name over all attempts and an
    idempotent system sees one act, not two.
    """
    if isinstance(frame.node, UndoNode):
        return str(frame.data)  # named after the act that it takes back
    name = base_of(state, frame.node) if state.names else str(frame.node.index)
    if frame.iteration:
        name += "".join(f"[{place}]" for place in frame.iteration)
    around = frame.parent
    while around is not None:
        if around.laps:
            name += f"~{base_of(state, around.node)}.{around.laps}"
        around = around.parent
    return name


def base_of(state: RunState, node: Node) -> str:
    """What names of a task begin with: its index in the plan that the run began with, or a name of its own."""
    return state.names.get(node.index) or str(node.index) if state.names else str(node.index)


def split(name: str) -> tuple[str, str]:
    """A name as what it begins with, and the iterations and jumps behind that."""
    end = next((place for place, character in enumerate(name) if character in "[~^"), len(name))
    return name[:end], name[end:]


def node_of(plan: Plan, state: RunState, name: str) -> Node | None:
    """The task that acts of this name belong to; None where a migration has left it behind."""
    base, _ = split(name)
    if state.names:
        found = next((index for index, other in state.names.items() if other == base), None)
        if found is not None:
            return plan.nodes[found]
        if not base.isdigit() or int(base) in state.names:
            return None
    return plan.nodes[int(base)] if int(base) < len(plan.nodes) else None


def name_of(state: RunState, frame: Frame) -> str:
    """The act's name: after it was undone, doing it once more is another act."""
    name = effect_of(state, frame)
    again = state.undone.get(name) if state.undone else None
    return name if again is None else f"{name}{AGAIN}{again}"


def with_approvals(state: RunState, command: Perform) -> Perform:
    """The act, and what people have approved about it."""
    found = tuple(approval for approval in state.approvals if approval.effect == command.effect)
    return msgspec.structs.replace(command, approvals=found)


def spend(state: RunState, frame: Frame) -> None:
    """The act succeeded: doing it once more needs another approval."""
    if state.approvals:
        name = name_of(state, frame)
        state.approvals = [approval for approval in state.approvals if approval.effect != name]


class Act(Machine):
    """Gives a `Perform` with the frame's id. With `await: false` it completes at once with its input."""

    def start(self, turn: Turn, frame: Frame) -> None:
        node = frame.node
        assert isinstance(node, ActNode)
        arguments = evaluate(turn, node.arguments, frame.input, frame)
        turn.require_made_fits(arguments, "what the arguments came to")
        if node.arguments_check is not None and (complaint := node.arguments_check(arguments)) is not None:
            raise fail("validation", f"the arguments do not fit: {complaint}")
        state = turn.state
        command = Perform(
            frame.id,
            node.handler,
            arguments,
            node.name,
            node.pointer,
            name_of(state, frame) if state.undone else effect_of(state, frame),
            frame.iteration,
            frame.attempt,
            not node.wait,
        )
        if turn.plan.consequences:
            command = msgspec.structs.replace(command, **carried(turn, frame))
        turn.give(with_approvals(state, command) if state.approvals else command)
        if not node.wait:
            turn.complete(frame, frame.input)
