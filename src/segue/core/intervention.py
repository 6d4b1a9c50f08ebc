"""What an operator may do to the tasks of a live run: start again, skip, give up.

Law: an intervention touches the task it names and what is below it, nothing else; one that names no live task
changes nothing. An act that starts again keeps its name, so an effect that already happened is not doubled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from segue.core.machines import approval, undo
from segue.core.machines.act import spend
from segue.core.plan import ActNode, ExtendedNode, Node, TryNode
from segue.core.state import Frame
from segue.types import FailureReleased, TaskRestarted, TaskSkipped

if TYPE_CHECKING:
    from segue.core.turn import Turn

_LISTS = ("do", "root", "foreach", "try", "catch", "before", "body", "after")
"""Sections, those of one task in the order in which it runs them."""

_ALONE = frozenset({"body", "branch", "undo"})


def restart(turn: Turn, event: TaskRestarted) -> None:
    """Start a task again: the live one itself, or an earlier one of a live task's list."""
    frame = turn.state.frames.get(event.id)
    if event.input is not msgspec.UNSET:
        turn.state.decided = []  # nobody has decided about what it is given now
    if event.apart:
        turn.state.undos.clear()
        turn.state.apart_at = turn.now
        approval.ask_again(turn)
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
    if event.output != frame.raw:
        turn.state.decided = []
    if event.happened and isinstance(frame.node, ActNode):
        spend(turn.state, frame)
        undo.note(turn, frame, event.output)
    turn.end_one(frame)
    if turn.trace is not None:
        turn.observe("skipped", frame, event.output)
    # An extension's wrapper has handed its directive down to the task that it wraps.
    node = frame.node.inner if isinstance(frame.node, ExtendedNode) else frame.node
    turn.pass_on(frame, event.output, node.then)


def release(turn: Turn, event: FailureReleased) -> None:
    """Let a held failure go the way that the document gives it."""
    frame = turn.state.frames.get(event.id)
    reason = turn.state.held.get(event.id)
    if frame is None or reason is None:
        return
    turn.willed = reason
    turn.fault(frame, reason, alone=True)


def _go_back(turn: Turn, parent: Frame, index: int, raw: Any) -> None:
    nodes = turn.plan.nodes
    if not 0 <= index < len(nodes) or raw is msgspec.UNSET:
        return
    node = nodes[index]
    if node.section in _ALONE or not any(node in listed for listed in parent.node.children()):
        return
    if not _has_come_to(turn, parent, node):
        return
    turn.close_below(parent)
    turn.state.held.pop(parent.id, None)
    if isinstance(parent.node, TryNode):
        turn.stop_timer(parent.clock)
        parent.clock = 0
        if node.section == "try" and parent.parent is not None:
            parent.vars = parent.parent.vars
    turn.begin(node, parent, raw)


def _has_come_to(turn: Turn, parent: Frame, node: Node) -> bool:
    """The list of this node is under way, or was before the one that is.

    A task that never got to its list, or has left it, lacks what the list needs: the element of a loop, the event
    of a listener, the error of a catch. It can only start again as a whole.
    """
    section = _under_way(turn, parent)
    if section == "undo":
        return False
    if section is None:
        # Between two attempts, or after the last one.
        return isinstance(parent.node, TryNode) and parent.data is not None and node.section == "try"
    if (section, node.section) == ("catch", "try") and node.position > 0 and undo.was_undone_in(turn, parent):
        return False  # what stands before it in the list does not exist any more
    return _LISTS.index(node.section) <= _LISTS.index(section)


def _under_way(turn: Turn, parent: Frame) -> str | None:
    """The section of the task's only child: one that is live, or one that a paused run holds back."""
    for frame in turn.state.frames.values():
        if frame.parent is parent:
            return frame.node.section
    for deferred in turn.state.deferred:
        if deferred.parent is parent:
            return deferred.node.section
    return None
