"""The auditor of one run: a simpler second model, compared with what happens.

`RunAudit` knows a run only by its events and commands: which commands are open, nothing of tasks. `inspect` looks
into a state for frames that nothing will ever wake. A `Shadow` is the run as the disk has it. Every complaint is a
`Violation`. `watching.py` has the auditor of a whole world.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from segue.core import Moment, Plan, RunState, advance
from segue.core.state import Frame
from segue.hosts.simulated.desks import Desks
from segue.hosts.simulated.reach import INTERVENTIONS, Picture, check_held, require
from segue.hosts.simulated.undoing import Undoing
from segue.hosts.simulated.versions import FRESH
from segue.types import (
    ApprovalWanted,
    AttemptFailed,
    AttemptSucceeded,
    AwaitMessages,
    Cancel,
    Command,
    DecisionMade,
    Emit,
    EndRun,
    Event,
    Offer,
    Perform,
    RunCancelled,
    RunMigrated,
    RunPaused,
    RunResumed,
    StartTimer,
    TimerFired,
    UpdateOffer,
)


class RunAudit:
    """One run as seen from outside: events in, commands out."""

    def __init__(self) -> None:
        self.open: dict[int, Command] = {}
        self.given: set[int] = set()
        self.performs: dict[int, Perform] = {}
        self.withheld: dict[int, Perform] = {}
        self.approved: set[int] = set()
        self.called: dict[str, str] = {}
        self.paused = False
        self.ended: str | None = None
        self.now = 0
        self.undoing = Undoing()
        self._expects_offer: int | None = None

    def observe(self, event: Event, commands: Sequence[Command], state: RunState) -> None:
        """Check what one event led to.

        Raises:
            Violation: A law of the core is broken.
        """
        was_ended = self.ended is not None
        self._apply(event)
        self._expects_offer = event.id if isinstance(event, ApprovalWanted) else None
        if isinstance(event, RunMigrated) and not was_ended:
            self._check_moved(commands, state)
        if was_ended:
            require(not commands, f"a closed run gave {commands!r}")
        for place, command in enumerate(commands):
            self._command(command, is_last=place == len(commands) - 1)
        require(self.ended == state.ended, f"the run says it is {state.ended!r}, its commands say {self.ended!r}")
        require(
            set(self.open) == set(state.open), f"open: {sorted(self.open)} by commands, {sorted(state.open)} by state"
        )
        if self.ended is not None:
            left = [c for c in self.open.values() if not _is_detached(c)]
            require(not left, f"still open after the end: {left!r}")

    def _check_moved(self, commands: Sequence[Command], state: RunState) -> None:
        """What is under way goes on under the other version, under the same keys."""
        require(not commands, f"a run that moved to another version gave {commands!r}")
        was = {number: c.effect for number, c in self.open.items() if isinstance(c, Perform | Offer)}
        now = {number: c.effect for number, c in state.open.items() if isinstance(c, Perform | Offer)}
        require(was == now, f"acts were called {was!r}, and are called {now!r} in the other version")

    def _apply(self, event: Event) -> None:
        self.now = max(self.now, event.at)
        if isinstance(event, AttemptSucceeded | AttemptFailed):
            if isinstance(self.open.get(event.id), Perform):
                del self.open[event.id]
        elif isinstance(event, TimerFired):
            if isinstance(self.open.get(event.id), StartTimer):
                del self.open[event.id]
        elif self.ended is None and isinstance(event, RunPaused | RunResumed):
            self.paused = isinstance(event, RunPaused)
        elif self.ended is None and isinstance(event, RunCancelled):
            self.paused = False  # what it did is undone all the same
        elif (
            self.ended is None
            and isinstance(event, DecisionMade)
            and (event.outcome, event.id in self.withheld) == ("approve", True)
            and isinstance(self.open.get(event.id), Offer)
        ):
            self.approved.add(event.id)

    def _command(self, command: Command, *, is_last: bool) -> None:
        require(self.ended is None, f"{command!r} after the end")
        if isinstance(command, Cancel):
            require(command.id in self.open, f"cancelled {command.id}, which was not open")
            del self.open[command.id]
        elif isinstance(command, EndRun):
            require(is_last, "commands after the end of the run")
            self.ended = command.status
        elif isinstance(command, UpdateOffer):
            require(isinstance(self.open.get(command.id), Offer), f"{command!r} is about no open offer")
            if command.change in ("decided", "expired"):
                del self.open[command.id]
        elif isinstance(command, Offer) and command.id == self._expects_offer:
            act = self.open.get(command.id)
            require(isinstance(act, Perform) and not act.detached, f"{command!r} withholds no open act")
            assert isinstance(act, Perform)
            self.withheld[command.id] = act
            self.open[command.id] = command
        elif isinstance(command, Perform) and command.id in self.withheld:
            self._check_let_go(command)
            self._check_given(command)
        else:
            require(command.id not in self.given, f"the id of {command!r} was given before")
            self.given.add(command.id)
            self._check_given(command)

    def _check_called(self, command: Perform) -> None:
        """A task's acts are called the same in every version, or an outside system would take one for two."""
        base = re.split(r"[\[~^]", command.effect)[0]
        was = self.called.setdefault(command.name, base)
        # What only other versions have is called anew whenever the run comes back to one of them.
        require(was == base or command.name.startswith(FRESH), f"{command.name!r} was called {was!r}, now {base!r}")

    def _check_let_go(self, command: Perform) -> None:
        """An act that was withheld goes out once for an approval, as it was."""
        require(command.id in self.approved, f"{command!r} was approved by nobody")
        was = self.withheld.pop(command.id)
        self.approved.discard(command.id)
        same = (command.effect, command.handler, command.arguments) == (was.effect, was.handler, was.arguments)
        require(same, f"{command!r} is not what was approved: {was!r}")
        require(any(given.task == command.id for given in command.approvals), f"{command!r} hides who approved it")

    def _check_given(self, command: Perform | StartTimer | AwaitMessages | Offer | Emit) -> None:
        if isinstance(command, Emit):
            return
        self.open[command.id] = command
        if isinstance(command, Perform):
            self._check_called(command)
            require(not self.paused, f"a paused run started {command.name!r}")
            twins = [c for c in self.open.values() if isinstance(c, Perform) and c.effect == command.effect]
            alone = all(c is command or c.detached for c in twins)
            require(alone or command.detached, f"{command.name!r} is under way twice under one effect name")
            self.performs[command.id] = command
        if isinstance(command, StartTimer):
            require(command.due_ms >= self.now, f"timer {command.id} was due before it was asked for")


def audited(
    plan: Plan, state: RunState | None, event: Event, audit: RunAudit, *, trace: list[Moment] | None = None
) -> tuple[RunState, Sequence[Command]]:
    """Apply an event (see `advance`) and check everything that one run can be checked for.

    Raises:
        Violation: A law of the core is broken.
    """
    # Pictures cost more than the event itself, so they are taken where somebody could have done something.
    wanted = state is not None and (bool(state.held) or state.holds or isinstance(event, INTERVENTIONS))
    before = Picture(plan, state) if wanted and state is not None else None
    if plan.undoes:
        audit.undoing.expect(state, event, audit.performs)
        trace = [] if trace is None else trace
    seen = 0 if trace is None else len(trace)
    after, commands = advance(plan, state, event, trace=trace)
    audit.observe(event, commands, after)
    if plan.undoes and trace is not None:
        audit.undoing.follow(plan.at(after.definition), event, commands, trace[seen:], after)
    inspect(after)
    check_held(plan, after)
    if before is not None:
        before.compare(event, commands, after)
    return after, commands


def inspect(state: RunState) -> None:
    """Check that every frame of a run is waiting for something that is really under way.

    Raises:
        Violation: Some frame would wait for ever.
    """
    if state.ended is not None:
        left = state.frames or state.timers or state.deferred or state.held or state.undos or state.closing
        require(not left and not state.withheld and not state.approvals, "a closed run remembers tasks")
        return
    require(state.deferred == [] or state.paused, "a run that is not paused holds tasks back")
    awake = {frame.parent.id for frame in state.frames.values() if frame.parent is not None}
    awake |= {held.parent.id for held in state.deferred}
    for number, frame in state.frames.items():
        require(frame.id == number and not frame.closed, f"frame {number} is closed but remembered")
        require(frame.parent is None or frame.parent.id in state.frames, f"frame {number} outlives its parent")
        waits = number in awake or number in state.open or frame.clock in state.timers or number in state.held
        waits = waits or (number in state.withheld and state.paused)
        require(waits, f"task {frame.node.name!r} (frame {number}) waits for nothing")
    for number, (frame, _) in state.timers.items():
        require(isinstance(state.open.get(number), StartTimer), f"timer {number} is kept but not open")
        require(frame.id in state.frames, f"timer {number} outlives its task")
    for number, command in state.open.items():
        known = number in state.timers if isinstance(command, StartTimer) else number in state.frames
        require(known or _is_detached(command), f"{command!r} is open for nobody")


def same_state(one: RunState, other: RunState) -> bool:
    """Are two states of one plan structurally equal?"""
    return _outline(one) == _outline(other)


def _outline(state: RunState) -> dict[str, Any]:
    """The state as plain data: frames by id, with their parents' ids instead of the parents."""
    fields: dict[str, Any] = {name: getattr(state, name) for name in state.__struct_fields__}
    fields["frames"] = {number: _frame_outline(frame) for number, frame in state.frames.items()}
    fields["timers"] = {number: (frame.id, purpose) for number, (frame, purpose) in state.timers.items()}
    fields["deferred"] = [(d.node.index, d.parent.id, d.raw, d.thread.context) for d in state.deferred]
    fields["withheld"] = {number: _encoded(held) for number, held in state.withheld.items()}
    fields["approvals"] = [_encoded(approval) for approval in state.approvals]
    fields["open"] = {number: _encoded(command) for number, command in state.open.items()}
    return fields


def _frame_outline(frame: Frame) -> dict[str, Any]:
    fields: dict[str, Any] = {name: getattr(frame, name) for name in frame.__struct_fields__}
    fields["node"] = frame.node.index
    fields["parent"] = None if frame.parent is None else frame.parent.id
    return fields


_encoded: Callable[[Any], bytes] = msgspec.json.Encoder().encode


def _is_detached(command: Command) -> bool:
    return isinstance(command, Perform) and command.detached


class Shadow:
    """A run as the disk has it: folded from durable events alone.

    Attributes:
        gave: The commands that each event of its history led to.
        above: The run that waits for it, and the command there; None when nobody does.
        given: When each command was given, in true milliseconds.
        controls: How many controls of people are on disk. confirmed: How many they were told of.
        parked: It is on disk only, as far as the disk says. unread_at: see `Auditor`, as of its last return.
    """

    def __init__(
        self, run_id: str, plan: Plan, *, hidden: bool = False, above: tuple[str, int] | None = None
    ) -> None:
        self.id = run_id
        self.plan = plan
        self.hidden = hidden
        self.above = above
        self.audit = RunAudit()
        self.desks = Desks()
        self.state: RunState | None = None
        self.history: list[Event] = []
        self.gave: list[Sequence[Command]] = []
        self.consumed: set[tuple[str, str]] = set()
        self.answered: set[int] = set()
        self.given: dict[int, int] = {}
        self.controls = 0
        self.confirmed = 0
        self.parked = False
        self.unread_at = 0

    def comes_back(self, unread_at: int) -> None:
        """It goes on in memory."""
        if self.parked:
            self.parked, self.unread_at = False, unread_at

    def fold(self, event: Event, now: int) -> None:
        """Apply a durable event."""
        self.history.append(event)
        self.state, commands = audited(self.plan, self.state, event, self.audit)
        self.gave.append(tuple(commands))
        self.desks.observe(event, commands, self.audit.now)
        if isinstance(event, RunMigrated):
            self.plan = self.plan.at(self.state.definition)
        for command in commands:
            if isinstance(command, StartTimer):
                self.given[command.id] = now
