"""The auditor: a simpler second model of everything, compared with what happens.

`RunAudit` knows one run only by its events and commands: which commands are open, nothing of tasks. `inspect` looks
into a state for frames that nothing will ever wake. `Auditor` watches a whole simulated world: the disk, the host's
commands as they are released, and the ledger of the outside. Every complaint is a `Violation`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from segue.core import Moment, Plan, RunState, advance, consumes
from segue.core.state import Frame
from segue.hosts.simulated.reach import INTERVENTIONS, Picture, check_held, require
from segue.hosts.simulated.records import EventRecord, IntentRecord, MessageRecord, Record, decode_event, key_of
from segue.types import (
    AttemptFailed,
    AttemptSucceeded,
    AwaitMessages,
    Cancel,
    Command,
    Emit,
    EndRun,
    Event,
    MessageConsumed,
    Offer,
    Perform,
    RunCancelled,
    RunPaused,
    RunResumed,
    RunStarted,
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
        self.paused = False
        self.ended: str | None = None
        self.now = 0

    def observe(self, event: Event, commands: Sequence[Command], state: RunState) -> None:
        """Check what one event led to.

        Raises:
            Violation: A law of the core is broken.
        """
        was_ended = self.ended is not None
        self._apply(event)
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
        else:
            require(command.id not in self.given, f"the id of {command!r} was given before")
            self.given.add(command.id)
            self._check_given(command)

    def _check_given(self, command: Perform | StartTimer | AwaitMessages | Offer | Emit) -> None:
        if isinstance(command, Emit):
            return
        self.open[command.id] = command
        if isinstance(command, Perform):
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
    after, commands = advance(plan, state, event, trace=trace)
    audit.observe(event, commands, after)
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
        require(not left, "a closed run remembers tasks")
        return
    require(state.deferred == [] or state.paused, "a run that is not paused holds tasks back")
    awake = {frame.parent.id for frame in state.frames.values() if frame.parent is not None}
    awake |= {held.parent.id for held in state.deferred}
    for number, frame in state.frames.items():
        require(frame.id == number and not frame.closed, f"frame {number} is closed but remembered")
        require(frame.parent is None or frame.parent.id in state.frames, f"frame {number} outlives its parent")
        waits = number in awake or number in state.open or frame.clock in state.timers or number in state.held
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
    """A run as the disk has it: folded from durable events alone."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.audit = RunAudit()
        self.state: RunState | None = None
        self.history: list[Event] = []
        self.consumed: set[tuple[str, str]] = set()
        self.answered: set[int] = set()

    def fold(self, event: Event) -> None:
        """Apply a durable event."""
        self.history.append(event)
        self.state, _ = audited(self.plan, self.state, event, self.audit)


class Auditor:
    """Watches a simulated world.

    Attributes:
        happened: How often an act really happened outside, by run and command id.
        effects: Effects that an outside system holds, by effect key.
        doubts: Effect keys under which an act was asked for whose end is not known yet; until then it must be
            looked up, or a person asked, before it is asked for again.
        silent: Acts whose look-up failed; that they failed then says nothing about what happened.
        mistakes: How often a person said of an effect that it did not happen, though it did.
    """

    def __init__(self, plans: dict[str, Plan]) -> None:
        self.plans = plans
        self.runs: dict[str, Shadow] = {}
        self.messages: dict[tuple[str, str], MessageRecord] = {}
        self.intents: set[tuple[str, int]] = set()
        self.happened: dict[tuple[str, int], int] = {}
        self.effects: dict[str, list[tuple[str, int]]] = {}
        self.doubts: dict[str, int] = {}
        self.mistakes: dict[str, int] = {}
        self.silent: set[tuple[str, int]] = set()
        self.events = 0
        self.held = 0
        self.interventions = 0

    # -- the disk --------------------------------------------------------------------------------

    def durable(self, records: Sequence[Record]) -> None:
        """These records have reached the disk and will survive any crash."""
        for record in records:
            if isinstance(record, EventRecord):
                self._durable_event(record)
            elif isinstance(record, IntentRecord):
                self.intents.add((record.run_id, record.command_id))
            elif isinstance(record, MessageRecord):
                require(key_of(record.event) not in self.messages, f"message {record.event['id']!r} stored twice")
                self.messages[key_of(record.event)] = record

    def _durable_event(self, record: EventRecord) -> None:
        self.events += 1
        event = decode_event(record.raw)
        if isinstance(event, RunStarted):
            require(record.run_id not in self.runs, f"run {record.run_id!r} started twice")
            self.runs[record.run_id] = Shadow(self.plans[event.definition])
        shadow = self.runs[record.run_id]
        require(record.seq == len(shadow.history), f"event {record.seq} of {record.run_id!r} is out of its order")
        self._check_event(record.run_id, shadow, event)
        before = set() if shadow.state is None else set(shadow.state.held)
        shadow.fold(event)
        assert shadow.state is not None
        self.held += len(shadow.state.held.keys() - before)
        self.interventions += isinstance(event, INTERVENTIONS)

    def _check_event(self, run_id: str, shadow: Shadow, event: Event) -> None:
        if isinstance(event, TimerFired):
            timer = shadow.audit.open.get(event.id)
            require(isinstance(timer, StartTimer), f"timer {event.id} fired, but it is not open")
            assert isinstance(timer, StartTimer)
            require(timer.due_ms <= event.at, f"timer {event.id} fired {timer.due_ms - event.at} ms early")
        elif isinstance(event, MessageConsumed):
            key = key_of(event.event)
            require(key in self.messages, f"{run_id!r} consumed {key!r}, which is not on disk")
            require(key not in shadow.consumed, f"{run_id!r} consumed {key!r} twice")
            shadow.consumed.add(key)
        elif isinstance(event, AttemptSucceeded | AttemptFailed):
            require(event.id not in shadow.answered, f"command {event.id} of {run_id!r} was answered twice")
            shadow.answered.add(event.id)
            command = shadow.audit.open.get(event.id)
            require(
                isinstance(command, Perform), f"command {event.id} of {run_id!r} was answered, but it is not open"
            )
            effect = self.key(run_id, event.id)
            is_known = isinstance(event, AttemptFailed) and not event.failure.outcome_unknown
            is_known = is_known and (run_id, event.id) not in self.silent
            if is_known and self.doubts.get(effect) == event.id:
                del self.doubts[effect]
            if isinstance(event, AttemptSucceeded):
                done = self.happened.get((run_id, event.id)) or self.effects.get(effect)
                require(done, f"act {event.id} of {run_id!r} is said to have succeeded, but never happened")

    # -- the host and the outside ----------------------------------------------------------------

    def released(self, run_id: str, command: Command) -> None:
        """The host lets a command out."""
        shadow = self.runs.get(run_id)
        require(shadow is not None, f"{command!r} was released before its run is on disk")
        assert shadow is not None
        if isinstance(command, Perform | StartTimer | AwaitMessages | Offer):
            require(command.id in shadow.audit.given, f"{command!r} was released before its cause is on disk")
        if isinstance(command, EndRun):
            ended = shadow.audit.ended == command.status
            require(ended, f"{run_id!r} was told to be {command.status!r} before that is on disk")

    def performing(self, run_id: str, command: Perform, key: str, recovery: str) -> None:
        """The host calls the outside."""
        self._require_open(run_id, command, "asked for")
        if recovery != "repeat":
            intended = (run_id, command.id) in self.intents
            require(intended, f"{command.name!r} ({recovery}) is performed without an intent on disk")
            blind = f"{command.name!r} ({recovery}) of {run_id!r} is asked for again blindly"
            require(key not in self.doubts and self._may_happen(key), blind)
            self.doubts[key] = command.id
        require(key == self.key(run_id, command.id), f"{command.name!r} was asked for under the wrong key {key!r}")

    def happens(self, run_id: str, command: Perform, key: str, recovery: str, *, in_a_crash: bool = False) -> None:
        """The act takes place outside.

        Args:
            in_a_crash: The request was on its way when the process died, which nobody could stop any more.
        """
        if not in_a_crash:
            self._require_open(run_id, command, "performed")
        place = (run_id, command.id)
        self.happened[place] = self.happened.get(place, 0) + 1
        once = recovery == "repeat" or self._may_happen(key)
        require(once, f"{command.name!r} ({recovery}) of {run_id!r} was performed twice")
        self.effects.setdefault(key, []).append(place)

    def cleared(self, key: str) -> None:
        """A system or a person says that an act did not happen."""
        self.doubts.pop(key, None)

    def unanswered(self, run_id: str, command_id: int) -> None:
        """A system that was asked about an act did not answer."""
        self.silent.add((run_id, command_id))

    def mistake(self, key: str) -> None:
        """A person says so although it did."""
        self.mistakes[key] = self.mistakes.get(key, 0) + 1

    def _may_happen(self, key: str) -> bool:
        """It has not happened over all attempts, or only where a person then said that it had not."""
        return len(self.effects.get(key, ())) <= self.mistakes.get(key, 0)

    def key(self, run_id: str, command_id: int) -> str:
        """The effect key that this act must have."""
        return f"{run_id}:{self.runs[run_id].audit.performs[command_id].effect}"

    def _require_open(self, run_id: str, command: Perform, verb: str) -> None:
        shadow = self.runs.get(run_id)
        require(shadow is not None, f"{command.name!r} was {verb} before its run is on disk")
        assert shadow is not None
        if command.id in shadow.audit.open:
            return
        given = command.id in shadow.audit.given
        require(not given, f"{command.name!r} of {run_id!r} was {verb} though it is cancelled, answered or ended")
        require(given, f"{command.name!r} of {run_id!r} was {verb} before its cause is on disk")

    def ended(self, run_id: str, command: EndRun) -> None:
        """The host tells somebody that a run has ended."""
        shadow = self.runs[run_id]
        require(
            shadow.audit.ended == command.status, f"{run_id!r} was told as {command.status!r} before that is on disk"
        )

    # -- comparisons -----------------------------------------------------------------------------

    def compare(self, run_id: str, state: RunState) -> None:
        """A live state must equal the fold of the disk, when the disk has caught up."""
        shadow = self.runs[run_id]
        assert shadow.state is not None
        require(same_state(shadow.state, state), f"the live state of {run_id!r} differs from its history")

    def check_quiet(self) -> None:
        """Nothing moves any more: whatever is still open waits for messages or for an operator."""
        for run_id, shadow in self.runs.items():
            self._check_replay(run_id, shadow)
            assert shadow.state is not None
            state = shadow.state
            resting = state.ended is not None or state.paused or state.held or shadow.audit.open
            require(resting, f"{run_id!r} has not ended and waits for nothing")
            for command in shadow.audit.open.values():
                if isinstance(command, Offer):
                    continue  # It waits for people, who may never come.
                require(isinstance(command, AwaitMessages), f"{command!r} of {run_id!r} was lost")
                self._check_offered(run_id, shadow, state, command)
        self._check_effects()

    def _check_replay(self, run_id: str, shadow: Shadow) -> None:
        state: RunState | None = None
        for event in shadow.history:
            state, _ = advance(shadow.plan, state, event)
        assert state is not None
        assert shadow.state is not None
        require(same_state(state, shadow.state), f"replaying {run_id!r} gives another state")

    def _check_offered(self, run_id: str, shadow: Shadow, state: RunState, wait: Command) -> None:
        assert isinstance(wait, AwaitMessages)
        for key, message in self.messages.items():
            if key in shadow.consumed or message.arrived_at < wait.since_ms:
                continue
            missed = consumes(shadow.plan, state, MessageConsumed(message.arrived_at, message.event, (wait.id,)))
            require(not missed, f"{run_id!r} waits for {key!r}, which has arrived")

    def _check_effects(self) -> None:
        """Under one effect key stand only attempts of one act."""
        for key, places in self.effects.items():
            acts = {(run_id, *self._place_of(run_id, number)) for run_id, number in places}
            require(len(acts) == 1, f"the effect key {key!r} stands for different acts: {acts!r}")

    def _place_of(self, run_id: str, number: int) -> tuple[str, tuple[int, ...]]:
        command = self.runs[run_id].audit.performs[number]
        return command.pointer, command.iteration
