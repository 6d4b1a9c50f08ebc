"""What an operator may do to the tasks of a live run: start again, skip, give up.

Law: an intervention touches the task it names and what is below it, nothing else; one that names no live task
changes nothing. An act that starts again keeps its name, so an effect that already happened is not doubled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from segue.core.plan import TryNode
from segue.core.state import Frame
from segue.types import FailureReleased, TaskRestarted, TaskSkipped

if TYPE_CHECKING:
    from segue.core.turn import Turn

_LISTS = frozenset({"do", "root", "try", "catch", "foreach", "before", "after"})


def restart(turn: Turn, event: TaskRestarted) -> None:
    """Start a task again: the live one itself, or an earlier one of a live task's list."""
    frame = turn.state.frames.get(event.id)
    if frame is None:
        return
    if event.node is not None:
        _go_back(turn, frame, event.node, event.input)
    elif frame.parent is not None:
        raw = frame.raw if event.input is msgspec.UNSET else event.input
        turn.end_one(frame)
        if turn.trace is not None:
            turn.observe("cancelled", frame)
        turn.begin(frame.node, frame.parent, raw, frame.thread)


def skip(turn: Turn, event: TaskSkipped) -> None:
    """Give a live task its output. Its own transforms and checks are not applied; its directive is followed."""
    frame = turn.state.frames.get(event.id)
    if frame is None or frame.parent is None:
        return
    turn.end_one(frame)
    if turn.trace is not None:
        turn.observe("skipped", frame, event.output)
    turn.pass_on(frame, event.output, frame.node.then)


def release(turn: Turn, event: FailureReleased) -> None:
    """Let a held failure go the way that the document gives it."""
    frame = turn.state.frames.get(event.id)
    reason = turn.state.held.get(event.id)
    if frame is None or reason is None:
        return
    turn.holding = False
    turn.fault(frame, reason, alone=True)


def _go_back(turn: Turn, parent: Frame, index: int, raw: Any) -> None:
    nodes = turn.plan.nodes
    if not 0 <= index < len(nodes) or raw is msgspec.UNSET:
        return
    node = nodes[index]
    if node.section not in _LISTS or not any(node in listed for listed in parent.node.children()):
        return
    turn.close_below(parent)
    turn.state.held.pop(parent.id, None)
    if isinstance(parent.node, TryNode):
        turn.stop_timer(parent.clock)
        parent.clock = 0
        if node.section == "try" and parent.parent is not None:
            parent.vars = parent.parent.vars
    turn.begin(node, parent, raw)
