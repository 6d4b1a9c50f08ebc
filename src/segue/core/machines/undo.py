"""`undo`. Law: what completed is undone in reverse order of completion, each once, and nothing else is.

Theory. An act that happened and has an `undo` is noted with the arguments that take it back: they are evaluated on
its result, once, so nothing that happens later changes them. What is noted is undone

    by a `try`   when it catches a failure of its list for good, before `catch.do`: what completed in that list
    by the run   when it faults or is cancelled, before it ends: everything that still stands

A retried list undoes nothing: its acts keep their names, so those that happened are not done twice. An undo that
fails is held and the next one waits for it, because the order is what makes it safe; only a person goes past it.
Where nobody can come, it is left standing and the next one begins.

An undoing can be cut off: by a time-out, a sibling that fails or wins, somebody who starts or skips the task. What it
had yet to take back may be half undone outside, so a list that starts again under the same names first finishes it;
else acts that are gone would give their first answers. A run that ends well first finishes what none of them did.

Source: decisions 0050, 0140 and 0142.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from segue.core.environment import evaluate
from segue.core.machines.act import AGAIN, base_of, effect_of, name_of, node_of, split, with_approvals
from segue.core.machines.base import Machine
from segue.core.plan import ActNode, Node, UndoNode
from segue.core.state import Attempts, Closing, Frame, RunState, Undo
from segue.types import Perform, TaskFailure, fail

if TYPE_CHECKING:
    from segue.core.turn import Turn


class UndoAct(Machine):
    """Gives the `Perform` that takes the newest noted act of its parent back; `frame.data` is that act's name."""

    def start(self, turn: Turn, frame: Frame) -> None:
        node, scope = frame.node, frame.parent
        assert isinstance(node, UndoNode)
        assert scope is not None
        found = _newest(turn, scope)
        assert found is not None
        # The index of the undo and the rest of the act's name: its own key, the same over all restarts.
        frame.data = base_of(turn.state, node) + split(found.effect)[1]
        frame.iteration = found.iteration
        if found.failure is not None and frame.raw is None:
            raise TaskFailure(found.failure)
        if node.arguments_check is not None and (complaint := node.arguments_check(frame.raw)) is not None:
            raise fail("validation", f"the arguments of the undo do not fit: {complaint}")
        place = (node.name, node.pointer, frame.data, frame.iteration)
        command = Perform(frame.id, node.handler, frame.raw, *place)
        turn.give(with_approvals(turn.state, command) if turn.state.approvals else command)


def note(turn: Turn, frame: Frame, result: Any) -> None:
    """The act of this task happened, with this result."""
    node = frame.node
    assert isinstance(node, ActNode)
    if node.undo is None:
        return
    entry = Undo(node.undo, name_of(turn.state, frame), _within(turn, frame), frame.iteration)
    turn.raw_output = turn.output = result
    try:
        arguments = evaluate(turn, node.undo.arguments, result, frame)
        turn.require_made_fits(arguments, "what the arguments of the undo came to")
        entry.arguments = arguments
    except TaskFailure as error:
        # The act happened all the same. Whoever has to undo it gets this failure.
        entry.failure = error.failure.at(node.undo.pointer)
    turn.raw_output = turn.output = None
    # Where an attempt before this one happened already, it keeps its place in the order.
    turn.state.undos[entry.effect] = entry


def begin(turn: Turn, scope: Frame) -> bool:
    """Begin to undo what stands within a task; False when nothing does. Its machine is told by `undone`."""
    for standing in _standing(turn, scope):
        standing.begun = True
    return _next(turn, scope)


def finish(turn: Turn, scope: Frame) -> bool:
    """Go on with what was being undone within a `try` when something cut it off; False when nothing was."""
    if not turn.state.finishes or not any(standing.begun for standing in _standing(turn, scope)):
        return False
    scope.data.finishing = True
    return _next(turn, scope)


def _next(turn: Turn, scope: Frame) -> bool:
    found = _newest(turn, scope)
    if found is None:
        return False
    turn.begin(found.node, scope, found.arguments)
    return True


def begin_last(turn: Turn, root: Frame, closing: Closing) -> bool:
    """Begin to undo what a run did that is about to end like this; False when nothing stands."""
    if not begin(turn, root):
        return False
    turn.state.closing = closing
    if turn.trace is not None:
        turn.observe("undoing", root, closing.failure)
    return True


def finish_last(turn: Turn, root: Frame, output: Any) -> bool:
    """Finish what was being undone when something cut it off, in a run that is done; False when nothing was."""
    if not turn.state.finishes_all or not any(standing.begun for standing in _standing(turn, root)):
        return False
    turn.state.closing = Closing("completed", output=output)
    if turn.trace is not None:
        turn.observe("undoing", root)
    return _next(turn, root)


def went(turn: Turn, scope: Frame, *, well: bool) -> None:
    """The newest act of the scope was undone, or is left standing; go on with the one before it."""
    found = _newest(turn, scope)
    assert found is not None
    del turn.state.undos[found.effect]
    if well:
        name = found.effect.partition(AGAIN)[0]
        turn.state.undone[name] = turn.state.undone.get(name, 0) + 1
    if not _next(turn, scope):
        turn.undone(scope)


def was_undone_in(turn: Turn, scope: Frame) -> bool:
    """Something that completed in this task, and in this iteration of it, was undone."""
    if not turn.state.undone:
        return False
    turns = "".join(f"[{place}]" for place in scope.iteration)
    below = _indices_below(scope.node)
    for name in turn.state.undone:
        node = node_of(turn.plan, turn.state, name)
        if node is not None and node.index in below and split(name)[1].startswith(turns):
            return True
    return False


def was_undone_since(entry: Undo, now: RunState, then: RunState) -> bool:
    """This act stood outside then, and has been undone by now."""
    name = entry.effect.partition(AGAIN)[0]
    return now.undone.get(name, 0) > then.undone.get(name, 0)


def _indices_below(top: Node) -> set[int]:
    found: set[int] = set()
    pending = [top]
    while pending:
        for listed in pending.pop().children():
            found.update(node.index for node in listed)
            pending += listed
    return found


def _newest(turn: Turn, scope: Frame) -> Undo | None:
    finishing = _finishes_only(turn, scope)
    return next((found for found in _standing(turn, scope) if found.begun or not finishing), None)


def _finishes_only(turn: Turn, scope: Frame) -> bool:
    """What stands within this task stays, unless a `try` had begun to undo it."""
    if scope.parent is None:
        return turn.state.closing is not None and turn.state.closing.status == "completed"
    return isinstance(scope.data, Attempts) and scope.data.finishing


def _standing(turn: Turn, scope: Frame) -> Iterator[Undo]:
    """What was done within a task and stands, newest first."""
    undos = turn.state.undos
    if not undos:
        return
    name = effect_of(turn.state, scope)
    for found in reversed(undos.values()):
        if scope.parent is None or name in found.within:
            yield found


def _within(turn: Turn, frame: Frame) -> tuple[str, ...]:
    """By name and not by number: a `try` that starts again is the same."""
    names = []
    child, above = frame, frame.parent
    while above is not None:
        if above.node.kind == "try" and child.node.section == "try":
            names.append(effect_of(turn.state, above))
        child, above = above, above.parent
    return tuple(names)
