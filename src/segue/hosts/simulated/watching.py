"""The auditor of a whole world: the file, the host's commands as they are let out, and what happens outside.

It is told of each batch when it is in the file, folds every run a second time, and knows of children, schedules and
effects only what those tell. The first complaint is kept in `found`: what calls from here is code of the host, which
would take an exception for its own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, Concatenate, Final, NamedTuple, ParamSpec

import msgspec

from segue.core import RunState, advance, consumes
from segue.hosts.embedded.plans import Plans
from segue.hosts.simulated.auditor import Shadow, same_state
from segue.hosts.simulated.desks import Marks, check_desk_rows
from segue.hosts.simulated.effects import Effects, Place
from segue.hosts.simulated.guard import Guard
from segue.hosts.simulated.reach import INTERVENTIONS, Violation, require
from segue.hosts.simulated.time import Time
from segue.hosts.simulated.timetable import LATE_MS, Timetable
from segue.store import Batch, codec
from segue.types import (
    AttemptFailed,
    AttemptSucceeded,
    AwaitMessages,
    Command,
    DecisionMade,
    EndRun,
    Event,
    MessageConsumed,
    Offer,
    Perform,
    RunCancelled,
    RunMigrated,
    RunPaused,
    RunResumed,
    RunStarted,
    StartTimer,
    TimerFired,
)

WORKFLOW: Final = "workflow"
_CONTROLS: Final = (RunPaused, RunResumed, *INTERVENTIONS)

Key = tuple[str, str]
P = ParamSpec("P")


class Message(NamedTuple):
    """A CloudEvent on disk."""

    arrived_at: int
    envelope: dict[str, Any]


def _noted(method: Callable[Concatenate[Auditor, P], None]) -> Callable[Concatenate[Auditor, P], None]:
    """Keep the first complaint instead of raising it."""

    def call(self: Auditor, /, *args: P.args, **kwargs: P.kwargs) -> None:
        if self.found is None:
            try:
                method(self, *args, **kwargs)
            except Exception as error:
                self.found = error

    return call


class Auditor:
    """Watches a simulated world.

    Attributes:
        runs: Every run on disk, by id; `by_seq` by number, those of the host itself included.
        children: Runs that others wait for, by the waiting run and its command.
        disturbed_at: When something last happened that excuses delay, in true milliseconds. unread_at: something
            that excuses delay only of runs that are not in memory.
    """

    def __init__(self, plans: Plans, time: Time, guard: Guard, *, acts_max: int) -> None:
        self.found: Exception | None = None
        self.runs: dict[str, Shadow] = {}
        self.by_seq: dict[int, Shadow] = {}
        self.children: dict[Place, Shadow] = {}
        self.messages: dict[Key, Message] = {}
        self.timetables: dict[str, Timetable] = {}
        self.effects = Effects()
        self.marks = Marks()
        self.disturbed_at = self.unread_at = 0
        self.events = self.held = self.interventions = self.started = self.migrations = 0
        self._plans = plans
        self._time = time
        self._guard = guard
        self._acts_max = acts_max

    def check(self) -> None:
        """Raise what was found.

        Raises:
            Violation: Something happened that must never happen.
        """
        if self.found is not None:
            raise self.found

    # -- the file ----------------------------------------------------------------------------------

    @_noted
    def durable(self, batch: Batch) -> None:
        """This batch is in the file and will survive any crash."""
        for row in batch.runs:
            self._begins(row)
        for row in batch.intents:
            self.effects.intents.add((self.by_seq[row[0]].id, row[1]))
        for seq, raw in batch.history:
            self._happened(self.by_seq[seq], codec.decode_event(raw))
        for row in batch.receipts:
            place = (self.by_seq[row[0]].id, row[1])
            self.effects.settled(place, self.key(*place), row[2])
        for _, source, id_, _, received_at, _, envelope in batch.events:
            # What a run emits twice under one id stays as it is.
            self.messages.setdefault((source, id_), Message(received_at, msgspec.json.decode(envelope)))
        for seq in batch.unparked:
            self.by_seq[seq].comes_back(self.unread_at)
        for seq in batch.parked:
            self.by_seq[seq].parked = True

    def _begins(self, row: tuple[Any, ...]) -> None:
        seq, run_id, digest = row[:3]
        hidden, parent, command = bool(row[7]), row[9], row[10]
        require(run_id not in self.runs, f"run {run_id!r} started twice")
        above = None if command is None else (self.by_seq[parent].id, command)
        shadow = Shadow(run_id, self._plans.plan(digest), hidden=hidden, above=above)
        self.by_seq[seq] = self.runs[run_id] = shadow
        if above is not None:
            require(above not in self.children, f"command {command} of {above[0]!r} started two children")
            self.children[above] = shadow

    def _happened(self, shadow: Shadow, event: Event) -> None:
        self.events += 1
        if isinstance(event, RunStarted) and event.cause.get("kind") in ("schedule", "event"):
            self.started += 1
            self._check_start(shadow, event)
            self._timetable(shadow).started(shadow, event.cause, event.at, furthest=self._time.furthest)
        self._check_event(shadow, event)
        before = set() if shadow.state is None else set(shadow.state.held)
        shadow.fold(event, self._time.now)
        assert shadow.state is not None
        self.held += len(shadow.state.held.keys() - before)
        self.interventions += isinstance(event, INTERVENTIONS)
        self.migrations += isinstance(event, RunMigrated)
        shadow.controls += isinstance(event, _CONTROLS)

    def _check_start(self, shadow: Shadow, event: RunStarted) -> None:
        # Its start may have been on its way to the disk when the workflow was stopped.
        since = self._guard.stopped.get(_workflow(shadow))
        stopped = since is not None and self._time.now - since > LATE_MS and event.cause["kind"] == "schedule"
        require(not stopped, f"{shadow.plan.name!r} started by itself though it is stopped")

    def _timetable(self, shadow: Shadow) -> Timetable:
        require(shadow.plan.name in self.timetables, f"{shadow.plan.name!r} starts by itself, though nobody asked")
        return self.timetables[shadow.plan.name]

    def _check_event(self, shadow: Shadow, event: Event) -> None:
        if isinstance(event, TimerFired):
            self._check_timer(shadow, event)
        elif isinstance(event, MessageConsumed):
            key = (event.event["source"], event.event["id"])
            require(key in self.messages, f"{shadow.id!r} consumed {key!r}, which is not on disk")
            require(key not in shadow.consumed, f"{shadow.id!r} consumed {key!r} twice")
            shadow.consumed.add(key)
        elif isinstance(event, AttemptSucceeded | AttemptFailed):
            self._check_answer(shadow, event)

    def _check_timer(self, shadow: Shadow, event: TimerFired) -> None:
        timer = shadow.audit.open.get(event.id)
        require(isinstance(timer, StartTimer), f"timer {event.id} fired, but it is not open")
        assert isinstance(timer, StartTimer)
        late_ms = event.at - timer.due_ms
        require(late_ms >= 0, f"timer {event.id} fired {-late_ms} ms early")
        unread_at = self.unread_at if shadow.parked else shadow.unread_at
        alone_ms = self._time.now - max(self.disturbed_at, unread_at, shadow.given[event.id])
        require(min(late_ms, alone_ms) <= LATE_MS, f"timer {event.id} of {shadow.id!r} fired {late_ms} ms late")

    def _check_answer(self, shadow: Shadow, event: AttemptSucceeded | AttemptFailed) -> None:
        require(event.id not in shadow.answered, f"command {event.id} of {shadow.id!r} was answered twice")
        shadow.answered.add(event.id)
        command = shadow.audit.open.get(event.id)
        require(isinstance(command, Perform), f"command {event.id} of {shadow.id!r} was answered, but is not open")
        assert isinstance(command, Perform)
        if command.handler == WORKFLOW:
            self._check_end_of_child(shadow, command, event)
            return
        if isinstance(event, AttemptFailed):
            about_disk = "HostError" in (event.failure.detail or "")
            require(not about_disk, f"{shadow.id!r} was told of the host's own trouble: {event.failure.detail!r}")
        succeeded = isinstance(event, AttemptSucceeded)
        in_doubt = isinstance(event, AttemptFailed) and event.failure.outcome_unknown
        if isinstance(event, AttemptSucceeded):
            self._guard.check_verdict(_workflow(shadow), command, event.verdict)
        place = (shadow.id, event.id)
        self.effects.answered(place, self.key(*place), succeeded=succeeded, in_doubt=in_doubt)
        if succeeded:
            shadow.audit.undoing.require_standing(shadow.id, command.effect, self.effects)

    def _check_end_of_child(self, shadow: Shadow, command: Perform, event: AttemptSucceeded | AttemptFailed) -> None:
        """The end of a child and what its parent is told are one fact."""
        child = self.children.get((shadow.id, command.id))
        if command.detached or child is None:
            refused = command.detached or isinstance(event, AttemptFailed)
            require(refused, f"child {command.id} of {shadow.id!r} is said to have succeeded, but never began")
            return
        state = child.state
        assert state is not None
        told = "completed" if isinstance(event, AttemptSucceeded) else "faulted, cancelled"
        require((state.ended or "open") in told, f"{child.id!r} is {state.status!r}, its parent was told {told!r}")
        if isinstance(event, AttemptSucceeded):
            require(
                event.output == state.output, f"{child.id!r} gave {state.output!r}, its parent got {event.output!r}"
            )

    # -- the host and the outside ----------------------------------------------------------------

    @_noted
    def released(self, run_id: str, command: Command) -> None:
        """The host lets a command out."""
        shadow = self._on_disk(run_id, f"{command!r} was released")
        if isinstance(command, Perform | StartTimer | AwaitMessages | Offer):
            require(command.id in shadow.audit.given, f"{command!r} was released before its cause is on disk")
        if isinstance(command, EndRun):
            ended = shadow.audit.ended == command.status
            require(ended, f"{run_id!r} was told to be {command.status!r} before that is on disk")

    @_noted
    def set_aside(self, run_id: str, error: BaseException) -> None:
        """The host gives a run up because of a bug."""
        raise Violation(f"{run_id!r} was set aside: {type(error).__name__}: {error}")

    @_noted
    def performing(self, run_id: str, command: Perform, key: str, recovery: str, *, under_way: int) -> None:
        """The host calls the outside, where it has so many requests under way already."""
        self._require_open(run_id, command, "asked for")
        self._require_allowed(run_id, command, "asked for")
        require(under_way < self._acts_max, f"{command.name!r} is asked for beside {under_way} other acts")
        require(key == self.key(run_id, command.id), f"{command.name!r} was asked for under the wrong key {key!r}")
        self.effects.asked((run_id, command.id), command.name, key, recovery)

    @_noted
    def happens(self, run_id: str, command: Perform, key: str, recovery: str, *, in_a_crash: bool = False) -> None:
        """The act takes place outside.

        Args:
            in_a_crash: The request was on its way when the process died, which nobody could stop any more.
        """
        if not in_a_crash:
            self._require_open(run_id, command, "performed")
            self._require_allowed(run_id, command, "performed")
        self.effects.happens((run_id, command.id), command.name, key, recovery)

    @_noted
    def looked_up(self, run_id: str, command: Perform) -> None:
        """The host asks a system whether an act happened."""
        self._require_allowed(run_id, command, "looked up")

    def _require_allowed(self, run_id: str, command: Perform, verb: str) -> None:
        stopped = self._guard.is_stopped(_workflow(self.runs[run_id]), command)
        require(not stopped, f"{command.name!r} of {run_id!r} was {verb} though it is stopped")
        # As the disk has it: an approval that is not there yet may never have been given.
        approved = self._guard.is_approved(run_id, self.runs[run_id].audit.performs[command.id])
        require(approved, f"{command.name!r} of {run_id!r} was {verb} though nobody has approved it")
        self._guard.check_asked(run_id, command, verb)

    def decided(self, run_id: str, event: DecisionMade) -> None:
        """Somebody was told that their decision counts."""
        made = (event.id, event.outcome, event.by)
        shadow = self._on_disk(run_id, "somebody decided")
        kept = [(e.id, e.outcome, e.by) for e in shadow.history if isinstance(e, DecisionMade)]
        require(made in kept, f"{made!r} of {run_id!r} was said to count, and is not on disk")

    def offers(self) -> list[tuple[str, int]]:
        """What waits for people: runs and the numbers of their offers."""
        return [
            (shadow.id, command.id)
            for shadow in self.runs.values()
            for command in shadow.audit.open.values()
            if isinstance(command, Offer)
        ]

    def key(self, run_id: str, command_id: int) -> str:
        """The effect key that this act must have."""
        return f"{run_id}:{self.runs[run_id].audit.performs[command_id].effect}"

    @_noted
    def confirmed(self, run_id: str, event: Event) -> None:
        """Somebody was told that their control of a run is on disk."""
        shadow = self._on_disk(run_id, "a control was confirmed")
        if isinstance(event, RunCancelled):
            # One that is being undone anyway needs no event of its own.
            ends = shadow.state is not None and (shadow.state.ended is not None or shadow.state.closing is not None)
            require(ends, f"a cancel of {run_id!r} was confirmed that is not on disk")
            return
        shadow.confirmed += 1
        require(shadow.controls >= shadow.confirmed, f"a control of {run_id!r} was confirmed that is not on disk")

    @_noted
    def moved(self, run_id: str, definition: str) -> None:
        """Somebody was told that a run goes on under this definition."""
        history = self._on_disk(run_id, "a migration was confirmed").history
        on_disk = any(isinstance(event, RunMigrated) and event.definition == definition for event in history)
        require(on_disk, f"a migration of {run_id!r} to {definition!r} was confirmed that is not on disk")

    @_noted
    def answered(self, run_id: str, mark: str, refused: str | None) -> None:
        """Somebody was told whether what they did to a human task counts."""
        shadow = self.runs.get(run_id)
        self.marks.answered(mark, refused, None if shadow is None else shadow.desks)

    @_noted
    def taken_in(self, run_id: str | None, key: Key | None = None) -> None:
        """Somebody was told that their start, or their event, is on disk."""
        if run_id is not None:
            self._on_disk(run_id, "the start was confirmed")
        require(key is None or key in self.messages, f"event {key!r} was confirmed before it is on disk")

    @_noted
    def check_in_time(self, name: str) -> None:
        """The schedule of this workflow is about to end; if nobody disturbed the host, nothing due is left."""
        timetable = self.timetables[name]
        disturbed_at = max(self.disturbed_at, timetable.released_at)
        stopped = f"{timetable.namespace}/{name}" in self._guard.stopped
        if self._time.now - disturbed_at > LATE_MS and not timetable.is_over and not stopped:
            timetable.check_in_time(self._time.wall())
        timetable.is_over = True

    def _on_disk(self, run_id: str, what: str) -> Shadow:
        shadow = self.runs.get(run_id)
        require(shadow is not None, f"{what} before its run {run_id!r} is on disk")
        assert shadow is not None
        return shadow

    def _require_open(self, run_id: str, command: Perform, verb: str) -> None:
        shadow = self._on_disk(run_id, f"{command.name!r} was {verb}")
        above = shadow.above
        if above is not None and not command.detached:
            wanted = above[1] in self.runs[above[0]].audit.open or _is_closing(shadow)
            require(wanted, f"{run_id!r} outlives its parent: {command.name!r} was {verb}")
        if isinstance(shadow.audit.open.get(command.id), Perform):
            return
        given = command.id in shadow.audit.given
        require(not given, f"{command.name!r} of {run_id!r} was {verb} though it is cancelled, answered or ended")
        require(given, f"{command.name!r} of {run_id!r} was {verb} before its cause is on disk")

    # -- at rest -----------------------------------------------------------------------------------

    def compare(self, run_id: str, state: RunState) -> None:
        """A state in memory must equal the fold of the disk, when the disk has caught up."""
        shadow = self.runs[run_id]
        assert shadow.state is not None
        require(same_state(shadow.state, state), f"the live state of {run_id!r} differs from its history")

    def check_quiet(self, file: sqlite3.Connection) -> None:
        """Nothing moves any more: whatever is still open waits for messages or for an operator."""
        # A cause that was noted on the way says more than what it led to.
        self.check()
        for shadow in self.runs.values():
            self._check_rest(shadow)
        self._check_effects()
        self._check_rows(file)
        self._check_undone(file)
        desks = {shadow.id: shadow.desks for shadow in self.runs.values()}
        self.marks.check(desks)
        check_desk_rows(file, desks)

    def _check_rest(self, shadow: Shadow) -> None:
        state = shadow.state
        assert state is not None
        resting = state.ended is not None or state.paused or state.held or shadow.audit.open
        require(resting, f"{shadow.id!r} has not ended and waits for nothing")
        if state.ended is None and not state.paused:
            shadow.desks.check_in_time(self._time.wall())
        if shadow.above is not None and state.ended is None:
            wanted = shadow.above[1] in self.runs[shadow.above[0]].audit.open or _is_closing(shadow)
            require(wanted, f"{shadow.id!r} outlives its parent")
        for command in shadow.audit.open.values():
            if isinstance(command, Perform) and command.handler == WORKFLOW:
                child = self.children.get((shadow.id, command.id))
                waits = child is not None and child.state is not None and child.state.ended is None
                require(waits, f"{command!r} of {shadow.id!r} was lost")
                continue
            if isinstance(command, Offer):
                continue  # It waits for people, who may never come.
            require(isinstance(command, AwaitMessages), f"{command!r} of {shadow.id!r} was lost")
            if not shadow.hidden:
                self._check_offered(shadow, state, command)

    def check_replay(self) -> None:
        """Folding each history once more gives the same states and commands."""
        for shadow in self.runs.values():
            self._check_replay(shadow)

    def _check_replay(self, shadow: Shadow) -> None:
        state: RunState | None = None
        for event, gave in zip(shadow.history, shadow.gave, strict=True):
            state, commands = advance(shadow.plan, state, event)
            require(
                tuple(commands) == gave, f"replaying {shadow.id!r} gives {commands!r} for {event!r}, not {gave!r}"
            )
        assert state is not None
        assert shadow.state is not None
        require(same_state(state, shadow.state), f"replaying {shadow.id!r} gives another state")

    def _check_offered(self, shadow: Shadow, state: RunState, wait: Command) -> None:
        assert isinstance(wait, AwaitMessages)
        for key, message in self.messages.items():
            if key in shadow.consumed or message.arrived_at < wait.since_ms:
                continue
            offer = MessageConsumed(message.arrived_at, message.envelope, (wait.id,))
            missed = consumes(shadow.plan, state, offer)
            require(not missed, f"{shadow.id!r} waits for {key!r}, which has arrived")

    def _check_effects(self) -> None:
        """Under one effect key stand only attempts of one act."""
        for key, places in self.effects.held.items():
            acts = {(run_id, *self._place_of(run_id, number)) for run_id, number in places}
            require(len(acts) == 1, f"the effect key {key!r} stands for different acts: {acts!r}")

    def _check_undone(self, file: sqlite3.Connection) -> None:
        """Of what happened outside and can be taken back, nothing is forgotten."""
        # One that a time-out or the end of its run took out of the inbox was put to nobody.
        asks = (
            "SELECT run, effect, pointer, failure FROM incident WHERE kind IN ('held', 'unknown')"
            " AND (state = 'open' OR action NOT IN ('ended', 'cancel'))"
        )
        asked: set[tuple[int, str | None]] = set()
        for run, effect, pointer, failure in file.execute(asks):
            reason = codec.load_failure(failure)
            asked |= {(run, effect), (run, pointer), (run, None if reason is None else reason.instance)}
        entered = {key for (key,) in file.execute("SELECT key FROM effect")}
        for seq, shadow in self.by_seq.items():
            told_of = {what for run, what in asked if run == seq}
            shadow.audit.undoing.require_accounted(shadow.id, shadow.audit.ended, self.effects, told_of, entered)

    def _place_of(self, run_id: str, number: int) -> tuple[str, tuple[int, ...]]:
        command = self.runs[run_id].audit.performs[number]
        return command.pointer, command.iteration

    def _check_rows(self, file: sqlite3.Connection) -> None:
        """What people are shown must be what history says."""
        shown = {row[0]: row[1:] for row in file.execute("SELECT id, status, digest FROM run WHERE NOT hidden")}
        states = {s.id: s.state for s in self.runs.values() if s.state is not None and not s.hidden}
        true = {run_id: (state.status, state.definition) for run_id, state in states.items()}
        require(shown == true, f"runs are shown as {shown!r}, but are {true!r}")
        asks = "SELECT run, task FROM incident WHERE kind = 'held' AND state = 'open'"
        inbox = {(self.by_seq[run].id, task) for run, task in file.execute(asks)}
        held = {(s.id, task) for s in self.runs.values() if s.state is not None for task in s.state.held}
        require(inbox == held, f"the inbox has {inbox!r}, but {held!r} are held")
        for run, command, key, state in file.execute("SELECT run, command, key, state FROM effect"):
            self.effects.check_row((self.by_seq[run].id, command), key, state)
        (left,) = file.execute("SELECT count(*) FROM inbox").fetchone()
        require(not left, "somebody was left an event that nobody took out")


def _workflow(shadow: Shadow) -> str:
    return f"{shadow.plan.namespace}/{shadow.plan.name}"


def _is_closing(shadow: Shadow) -> bool:
    """It is only there to undo what it did."""
    return shadow.state is not None and shadow.state.closing is not None
