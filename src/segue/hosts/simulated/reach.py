"""How far people's hands reach into a run, and what becomes of failures that wait for a person.

A `Picture` is taken before an event; afterwards it is compared with what the event led to. It knows who is below
whom, and nothing of what the tasks mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from segue.core import Plan, RunState
from segue.core.plan import TryNode
from segue.core.state import Frame
from segue.types import (
    AwaitMessages,
    Command,
    Event,
    Failure,
    FailureReleased,
    Offer,
    Perform,
    RunCancelled,
    StartTimer,
    TaskRestarted,
    TaskSkipped,
    TimerFired,
)

INTERVENTIONS = (TaskRestarted, TaskSkipped, FailureReleased)


class Violation(AssertionError):
    """Something happened that must never happen."""


def require(holds: object, complaint: str) -> None:
    """Raise a `Violation` unless this holds."""
    if not holds:
        raise Violation(complaint)


class Picture:
    """A run before an event.

    Attributes:
        chains: Each live task's id and those of the tasks around it, from the inside out.
        owners: The task that an open command belongs to; detached acts belong to nobody.
        held: Failures that wait for a person, by the task's id.
    """

    def __init__(self, plan: Plan, state: RunState) -> None:
        self.plan = plan
        self.chains = {number: _chain(frame) for number, frame in state.frames.items()}
        self.owners = {number: self._owner(state, number) for number in state.open}
        self.held = dict(state.held)
        self.holds = state.holds
        self.ended = state.ended
        self.closing = state.closing

    @staticmethod
    def _owner(state: RunState, number: int) -> int | None:
        if number in state.timers:
            return state.timers[number][0].id
        return number if number in state.frames else None

    def compare(self, event: Event, commands: Sequence[Command], after: RunState) -> None:
        """Check what the event did to the run.

        Raises:
            Violation: It reached too far, or a held failure was lost.
        """
        if self.ended is not None:
            return
        if isinstance(event, INTERVENTIONS):
            self._check_reach(event, commands, after)
        self._check_held(event, after)
        if self.closing is not None:
            ends_as_said = after.ended is None or after.failure == self.closing.failure
            require(ends_as_said, f"the run was to end with {self.closing!r}, not with {after.failure!r}")
        elif self.holds and (after.ended == "faulted" or after.closing is not None):
            self._check_end(event, after.failure if after.closing is None else after.closing.failure)

    def _check_reach(self, event: Any, commands: Sequence[Command], after: RunState) -> None:
        named = self.chains.get(event.id)
        if named is None:
            require(not commands, f"{event!r} names no live task, but led to {commands!r}")
            return
        if isinstance(event, TaskRestarted) and after.paused:
            begun = [c for c in commands if isinstance(c, Perform | StartTimer | AwaitMessages | Offer)]
            require(not begun, f"{event!r} started {begun!r} in a paused run")
        for number, chain in self.chains.items():
            if not self._may_touch(event.id, number, chain, named, after):
                require(number in after.frames, f"{event!r} ended task {number}, which is not below it")
        for number, owner in self.owners.items():
            if owner is not None and not self._may_touch(event.id, owner, self.chains[owner], named, after):
                require(number in after.open, f"{event!r} took back command {number}, which is not below it")

    @staticmethod
    def _may_touch(target: int, number: int, chain: tuple[int, ...], named: tuple[int, ...], after: RunState) -> bool:
        """It is below the named task, or around it, or something around both came to its end."""
        if target in chain or number in named:
            return True
        return any(shared in named and shared not in after.frames for shared in chain)

    def _check_held(self, event: Event, after: RunState) -> None:
        for number, reason in self.held.items():
            if after.held.get(number) == reason:
                continue
            inside, *around = self.chains[number]
            touched = isinstance(event, INTERVENTIONS) and event.id in (inside, *around)
            touched = touched or isinstance(event, RunCancelled)
            outlived = any(other not in after.frames for other in around)
            timed = isinstance(event, TimerFired) and self.owners.get(event.id) in around
            require(touched or outlived or timed, f"the failure that task {number} was held with is gone: {reason!r}")

    def _check_end(self, event: Event, failure: Failure | None) -> None:
        """A run that holds failures ends with one only when its author or a person says so."""
        if failure is None:
            return  # it was cancelled
        released = self.held.get(event.id) if isinstance(event, FailureReleased) else None
        if failure == released:
            return
        kinds = {node.kind for node in self.plan.nodes if node.pointer == failure.instance}
        own = failure.instance == self.plan.root.pointer
        require(own or "raise" in kinds, f"{failure!r} was not held")


def check_held(plan: Plan, state: RunState) -> None:
    """Check that what is held is at rest, and may be held.

    Raises:
        Violation: A held task still does something, or its author wanted the run to fail.
    """
    if not state.held:
        return
    kinds = {state.frames[number].node.kind for number in state.held if number in state.frames}
    require(state.holds or kinds == {"undo"}, "a run that does not hold failures held one")
    busy = {frame.parent.id for frame in state.frames.values() if frame.parent is not None}
    busy |= {deferred.parent.id for deferred in state.deferred}
    busy |= {number for number, command in state.open.items() if not getattr(command, "detached", False)}
    busy |= {frame.id for frame, _ in state.timers.values()}
    meant = {node.pointer for node in plan.nodes if node.kind == "raise"}
    for number, reason in state.held.items():
        require(reason.instance not in meant, f"the error that {reason.instance!r} raises is held")
        require(number in state.frames, f"the held task {number} is not live")
        require(number not in busy, f"the held task {number} still has something under way")
        # A `try` that is undoing has caught already, so it takes nothing more.
        is_caught = state.frames[number].node.kind != "undo" and _is_caught(state.frames[number])
        require(not is_caught, f"the failure of task {number} is held, though it is caught")


def _is_caught(frame: Frame) -> bool:
    """Something above takes every failure of it. (Catches with conditions are left out: they may or may not.)"""
    child, above = frame, frame.parent
    while above is not None:
        node = above.node
        if isinstance(node, TryNode) and child.node.section == "try" and _takes_all(node):
            return True
        child, above = above, above.parent
    return False


def _takes_all(node: TryNode) -> bool:
    return node.catch_with is None and node.when is None and node.except_when is None


def _chain(frame: Frame) -> tuple[int, ...]:
    found, above = [frame.id], frame.parent
    while above is not None:
        found.append(above.id)
        above = above.parent
    return tuple(found)
