"""The engine: events go in, states move, a commit happens, and only then does anything follow.

Theory. Three queues, all on the event loop's thread:

    agenda     events that happened but have not been applied to their run. Applying one may cause others (a child
               that ends answers its parent), so nothing is applied inside something else.
    pending    the batch that gathers what those events change. The store writes one batch at a time.
    released   commands whose batch is on disk. Only here does anything reach the world or another run.

A command that answers at once puts an event on the agenda, which goes into the batch being gathered while the disk
is busy with the one before. So the processor and the disk work side by side, and the rule that nothing happens
before its cause is on disk holds by construction: there is no other way out of the engine than `released`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final

import msgspec

from segue.core import Plan, RunState, advance, bounds
from segue.hosts.contracts import Clock, HostSettings, PolicyOf, ValuesOf, declared_values, no_policy
from segue.hosts.embedded.live import LiveRun
from segue.hosts.embedded.own import call_soon
from segue.store import Batch, GroupCommit, HostError, codec, records, snapshots
from segue.types import (
    SYSTEM,
    ApprovalWanted,
    AttemptFailed,
    AttemptSucceeded,
    AwaitMessages,
    Cancel,
    Cipher,
    Command,
    Emit,
    EndRun,
    Event,
    Failure,
    FailureReleased,
    Json,
    Offer,
    Perform,
    RunCancelled,
    RunMigrated,
    RunPaused,
    RunResumed,
    RunStarted,
    StartTimer,
    TaskRestarted,
    TaskSkipped,
    UpdateOffer,
    acting,
    causes,
    failure,
    whereabouts,
)

if TYPE_CHECKING:
    from segue.hosts.embedded.admission import Admission
    from segue.hosts.embedded.children import Children
    from segue.hosts.embedded.desk import Desk
    from segue.hosts.embedded.escalation import Escalation
    from segue.hosts.embedded.feed import Feed
    from segue.hosts.embedded.folding import Folding
    from segue.hosts.embedded.incidents import Incidents
    from segue.hosts.embedded.parking import Parking
    from segue.hosts.embedded.performer import Performer
    from segue.hosts.embedded.postman import Postman
    from segue.hosts.embedded.scheduler import Scheduler
    from segue.hosts.embedded.timekeeper import Timekeeper

_log = logging.getLogger("segue.hosts")

WORKFLOW: Final = "workflow"
"""The handler name of `run.workflow`, which the host performs itself."""

RELEASED_AT_ONCE: Final = 64
"""How many runs go on before the loop looks elsewhere: about two milliseconds of work."""

_SCALARS: Final = frozenset({str, int, bool, type(None)})

_CONTROLS: Final[dict[type[Event], str]] = {
    RunPaused: "run.pause",
    RunResumed: "run.resume",
    RunCancelled: "run.cancel",
    TaskRestarted: "task.retry",
    TaskSkipped: "task.skip",
    FailureReleased: "task.give-up",
    RunMigrated: "run.migrate",
}
"""Events that are somebody's decision, and what the audit chain calls them."""

_ANSWERS: Final = frozenset({AttemptSucceeded, AttemptFailed})

Held = tuple[LiveRun, Sequence[Command]] | tuple[Callable[[], None], None]


class Engine:
    """Moves runs. The collaborators below are set once, by the host that wires them."""

    admission: Admission
    performer: Performer
    timekeeper: Timekeeper
    postman: Postman
    children: Children
    scheduler: Scheduler
    parking: Parking
    incidents: Incidents
    escalation: Escalation
    folding: Folding
    desk: Desk
    feed: Feed
    commit: GroupCommit

    def __init__(
        self,
        clock: Clock,
        settings: HostSettings,
        policy: PolicyOf = no_policy,
        *,
        values: ValuesOf = declared_values,
        tokens: Callable[[int], str] = token_hex,
    ) -> None:
        """A new engine.

        Args:
            values: Asked once for each run.
            tokens: Makes texts that nobody else has, of so many bytes.
        """
        self.clock = clock
        self.settings = settings
        self.policy = policy
        self.values = values
        self._tokens = tokens
        self.runs: dict[int, LiveRun] = {}
        self.by_id: dict[str, LiveRun] = {}
        self._bounds = bounds.flag(settings.payload_bytes_max)
        self.next_seq = 1
        self.next_inbox = 1
        self.shedding: HostError | None = None
        """Why new work is not taken although the store works; None as long as it is."""
        self._started_at = 0
        self._loop = asyncio.get_running_loop()
        self._agenda: deque[tuple[LiveRun, Event, bytes]] = deque()
        self._applying = False
        self._released: deque[Held] = deque()
        self._scheduled = False
        self._stopped = False

    # -- in ----------------------------------------------------------------------------------------

    def begin(
        self,
        plan: Plan,
        run_id: str,
        *,
        digest: str,
        input: Json,
        cause: dict[str, Any],
        parent: LiveRun | None = None,
        parent_command: int | None = None,
        starter: LiveRun | None = None,
        hidden: bool = False,
        guarded: bool = False,
    ) -> LiveRun:
        """A run comes into being. Its id must be new, its input settled (`codec.settled`).

        Args:
            guarded: Its parent's document may handle its failures, so they are not held here unless it says so.
        """
        run = LiveRun(
            self.next_seq,
            run_id,
            plan,
            digest,
            cause=cause,
            parent=None if parent is None else parent.seq,
            parent_command=parent_command,
            above=() if parent is None else (parent.seq, *parent.above),
            hidden=hidden,
        )
        run.subject = self.subject_of(plan, input) or (None if parent is None else parent.subject)
        now = self.enrol(run, starter)
        flags = () if hidden else self._flags(plan, guarded)
        if not hidden and not self.admission.enter(run, limit=self.policy(plan).concurrency):
            flags += ("queued",)
        if not hidden:
            flags += (self._bounds,)
        runtime = plan.runtime.get("version", "")
        adjustable = dict(self.values(plan)) if plan.adjustable else {}
        self.apply(run, RunStarted(now, run_id, digest, input, self._tokens(8), cause, flags, runtime, adjustable))
        if "queued" in flags:
            self.parking.consider(run)
        return run

    def _flags(self, plan: Plan, guarded: bool) -> tuple[str, ...]:
        policy = self.policy(plan)
        holds = self.settings.hold_failures and not guarded if policy.hold is None else policy.hold
        flags: tuple[str, ...] = ("hold",) if holds else ()
        if plan.undoes:
            flags += () if policy.attended else ("unattended",)
            flags += ("finishes", "finishes-all")
        return (*flags, "results") if plan.promises else flags

    def subject_of(self, plan: Plan, input: Json) -> str | None:
        """Whom a run with this input is about, as it is looked up."""
        tell = self.policy(plan).subject
        said = None if tell is None else tell(input)
        cipher = self.commit.cipher
        return said if said is None or cipher is None else cipher.blind(said)

    def seal_for(self, run: LiveRun) -> None:
        """What belongs to this run is sealed for whom it is about."""
        if run.subject is not None and self.commit.cipher is not None:
            self.commit.cipher.assign(run.seq, run.subject)

    def enrol(self, run: LiveRun, starter: LiveRun | None = None) -> int:
        """A run gets its row and its place in memory; returns its start time. Its history follows."""
        now = self._start_time()
        plan = run.plan
        assert run.seq == self.next_seq, "runs are enrolled in the order in which they are made"
        self.next_seq += 1
        self.runs[run.seq] = run
        self.by_id[run.id] = run
        self.folding.follow(run)
        self.seal_for(run)
        self.commit.pending.start_run(
            run.seq,
            run.id,
            digest=run.digest,
            namespace=plan.namespace,
            name=plan.name,
            version=plan.version,
            started_at=now,
            hidden=run.hidden,
            parent=starter.seq if starter is not None else run.parent,
            parent_command=run.parent_command,
            cause=run.cause,
            subject=run.subject,
        )
        return now

    def new_id(self) -> str:
        """An id for a run. Ids grow with time, so that their index grows at its end."""
        return f"{self.clock.now_ms():012x}-{self._tokens(6)}"

    def apply(self, run: LiveRun, event: Event) -> None:
        """An event happened to a run."""
        self._enter(run, event, codec.encode(event))

    def answer(self, run: LiveRun, command_id: int, output: Json, verdict: str = "") -> None:
        """An act succeeded. Its result reaches the run as it will be read back; what is not JSON fails the act."""
        if run.gone or command_id not in run.state.open:
            return
        event = AttemptSucceeded(self.clock.now_ms(), command_id, output, verdict)
        try:
            raw = codec.encode(event)
            if len(raw) > self.settings.payload_bytes_max:
                raise ValueError(codec.too_large(len(raw), self.settings.payload_bytes_max))
            if type(output) not in _SCALARS:
                event = codec.decode_event(raw)
        except (TypeError, ValueError, RecursionError, OverflowError) as error:
            self.fail(run, command_id, failure("runtime", f"the act's result cannot be stored: {error}"))
            return
        self._enter(run, event, raw)

    def fail(self, run: LiveRun, command_id: int, reason: Failure) -> None:
        """An act failed."""
        if not run.gone and command_id in run.state.open:
            self.apply(run, AttemptFailed(self.clock.now_ms(), command_id, reason))

    def withhold(self, run: LiveRun, wanted: ApprovalWanted) -> None:
        """An act waits until somebody approves it."""
        if not run.gone and isinstance(run.state.open.get(wanted.id), Perform):
            self.apply(run, msgspec.structs.replace(wanted, at=self.clock.now_ms()))

    def said(
        self,
        action: str,
        resource: str,
        by: str,
        reason: str,
        *,
        verdict: str = "done",
        data: dict[str, Any] | None = None,
    ) -> None:
        """Note in the audit chain what somebody decided; it is on disk together with what it did."""
        told = {**(data or {}), **({"by": by} if by else {})}
        who = acting() or SYSTEM
        self.commit.pending.note(
            action,
            resource,
            at=self.clock.now_ms(),
            principal=who.name,
            verdict=verdict,
            reason=reason,
            workspace=who.workspace,
            data=told or None,
        )

    def after_commit(self, act: Callable[[], None]) -> None:
        """Call `act` once everything added so far is on disk."""
        self.commit.pending.held.append((act, None))
        self.wake()

    async def wait_committed(self) -> None:
        """Wait until everything added so far is on disk, however long the store is in trouble."""
        future = self._loop.create_future()
        self.after_commit(lambda: None if future.done() else future.set_result(None))
        await future

    @property
    def is_stopped(self) -> bool:
        """The host closes."""
        return self._stopped

    def stop(self) -> None:
        """Release nothing any more."""
        self._stopped = True

    def _start_time(self) -> int:
        """Now, but never earlier than the newest run's start while the clock was only corrected, not wrong.

        Listings rely on it: the order of runs is the order of their start times.
        """
        now = self.clock.now_ms()
        if self._started_at - 3_600_000 < now < self._started_at:
            now = self._started_at
        self._started_at = now
        return now

    # -- agenda ------------------------------------------------------------------------------------

    def _enter(self, run: LiveRun, event: Event, raw: bytes) -> None:
        agenda = self._agenda
        agenda.append((run, event, raw))
        if self._applying:
            return
        self._applying = True
        try:
            while agenda:
                self._apply(*agenda.popleft())
        finally:
            self._applying = False
        if not self._scheduled:
            self.wake()

    def _apply(self, run: LiveRun, event: Event, raw: bytes) -> None:
        if run.gone:
            return
        state: RunState | None = getattr(run, "state", None)
        if state is not None and state.ended is not None:
            self._apply_late(run, event, raw)
            return
        if type(event) in _ANSWERS and event.id not in state.open:  # type: ignore[union-attr]
            return  # What came before it on the agenda went on without it.
        held: Mapping[int, Collection[str]] = self.incidents.held(run) if state is not None and state.held else {}
        was_closing = state is not None and state.closing is not None
        try:
            state, commands = advance(run.plan, state, event)
        except Exception as error:
            self.quarantine(run, error)
            return
        run.state = state
        run.events += 1
        batch = self.commit.pending
        batch.history.append((run.seq, raw))
        control = _CONTROLS.get(type(event))
        if control is not None and not run.hidden:
            self.said(control, f"run:{run.id}", event.by, event.reason, data=_task_of(event))  # type: ignore[union-attr]
            self._note_cause(run, causes.changed_by(run.cause, event), batch)
        if run.parked or run.parking:
            # Also where the batch that parks it is on its way: what that writes must not outlive this event.
            run.parked = False
            run.parking = None
            batch.unpark(run.seq)
        if type(event) is RunMigrated:
            run.become(run.plan.at(event.definition))
            batch.statements.append(records.migrate_run(run.seq, run.digest, run.plan.version))
        self._take(run, commands, batch)
        if held or state.held or state.failure is not None or state.closing is not None:
            self.incidents.follow(run, event, held, was_closing=was_closing)
        if state.ended is None:
            status = state.status
            if status != run.status:
                run.status = batch.status[run.seq] = status
            if run.events >= run.snapshot_due:
                self.folding.take(run, batch)

    def _note_cause(self, run: LiveRun, cause: dict[str, Any], batch: Batch) -> None:
        """The row of a run tells what its first event cannot, which may be folded."""
        if cause is not run.cause:
            run.cause = cause
            batch.statements.append(records.change_cause(run.seq, codec.encode(cause).decode()))

    def _take(self, run: LiveRun, commands: Sequence[Command], batch: Batch) -> None:
        """What must be in the same transaction as its cause happens now; the rest is held."""
        for command in commands:
            if isinstance(command, Perform):
                if command.handler == WORKFLOW:
                    self.children.start(run, command)
            elif isinstance(command, Emit):
                self.postman.emit(run, command.event)
            elif isinstance(command, EndRun):
                self._end(run, command, batch)
            elif isinstance(command, Offer):
                self.desk.offer(run, command)
            elif isinstance(command, UpdateOffer):
                self.desk.update(run, command)
            elif isinstance(command, Cancel):
                if run.children:
                    self.children.cancel(run, command.id)
                if run.offers:
                    self.desk.cancel(run, command.id)
        # Even without commands: whoever follows the run is told after the commit.
        batch.held.append((run, commands))

    def _end(self, run: LiveRun, command: EndRun, batch: Batch) -> None:
        run.status = command.status
        batch.status.pop(run.seq, None)
        lingers = bool(run.state.open)
        batch.end_run(
            run.seq,
            command.status,
            run.state.last_at,
            output=command.output,
            failure=command.failure,
            lingers=lingers,
        )
        if run.snapshots:
            batch.statements.append(snapshots.drop_after(run.seq, run.base))
        if run.parent is not None:
            self.children.ended(run, command)
        self.scheduler.ended(run, command)
        self.admission.leave(run.seq)

    def _apply_late(self, run: LiveRun, event: Event, raw: bytes) -> None:
        """The answer to an act that nobody waits for, after its run had ended by itself."""
        if not isinstance(event, AttemptSucceeded | AttemptFailed) or run.state.open.pop(event.id, None) is None:
            return
        run.events += 1
        batch = self.commit.pending
        batch.history.append((run.seq, raw))
        if not run.state.open:
            batch.statements.append(records.close_lingering(run.seq))
            batch.held.append((lambda: self.forget(run), None))

    def quarantine(self, run: LiveRun, error: BaseException) -> None:
        """A bug stopped this run. Its history is kept as it is on disk, the others go on."""
        _log.error("run %s (%s) is set aside: a bug stopped it: %s", run.id, run.workflow, whereabouts(error))
        reason = f"{type(error).__name__}: {error}"
        self.commit.pending.statements.append(records.quarantine_run(run.seq, reason))
        self.incidents.quarantined(run, reason)
        # The audit outlives the run, so it says the kind of bug and not what that may quote.
        kind = type(error).__name__
        self.commit.pending.note("run.quarantine", f"run:{run.id}", at=self.clock.now_ms(), reason=kind)
        self.performer.drop(run)
        self.admission.leave(run.seq)
        self.forget(run)
        self.after_commit(lambda: self.feed.quarantined(run, reason))

    def forget(self, run: LiveRun) -> None:
        """The run leaves memory."""
        run.gone = True
        self.runs.pop(run.seq, None)
        self.by_id.pop(run.id, None)
        self.parking.gone(run.seq)
        if run.subject is not None and self.commit.cipher is not None:
            # What is pending is sealed when it is written, so the key is forgotten after that.
            self.after_commit(partial(self._unseal, run.seq, self.commit.cipher))
        self.postman.drop(run)

    def _unseal(self, seq: int, cipher: Cipher) -> None:
        if seq not in self.runs:
            cipher.assign(seq, None)

    # -- out ---------------------------------------------------------------------------------------

    def durable(self, batch: Batch) -> None:
        """A batch is on disk: what it held may happen."""
        if batch.held and not self._stopped:
            self._released += batch.held
            self.wake()

    def wake(self) -> None:
        """See to it that the engine takes a turn soon."""
        if not self._scheduled:
            self._scheduled = True
            call_soon(self._loop, self._turn)

    def _turn(self) -> None:
        """Release some of what is on disk, and send on what that caused."""
        released = self._released
        # `_scheduled` stays set meanwhile: what happens now needs no turn of its own.
        for _ in range(min(RELEASED_AT_ONCE, len(released))):
            run, commands = released.popleft()
            if commands is None:
                run()  # type: ignore[operator]
            else:
                self._release(run, commands)  # type: ignore[arg-type]
        self._scheduled = False
        self.commit.flush()
        if released:
            self.wake()

    def _release(self, run: LiveRun, commands: Sequence[Command]) -> None:
        if self.feed.has_subscribers:
            self.feed.changed(run)
        if run.gone:
            return
        still_open = run.state.open
        for command in commands:
            if isinstance(command, Perform):
                if command.id in still_open and command.handler != WORKFLOW:
                    self.performer.start(run, command)
            elif isinstance(command, StartTimer):
                if command.id in still_open:
                    self.timekeeper.start(run, command)
                    self.parking.consider(run)
            elif isinstance(command, AwaitMessages):
                if command.id in still_open:
                    self.postman.open(run, command)
                    self.parking.consider(run)
            elif isinstance(command, Offer):
                self.parking.consider(run)
            elif isinstance(command, Cancel):
                self.performer.cancel(run, command.id)
                self.postman.close_wait(run, command.id)
                self.timekeeper.abandon(1)
            elif isinstance(command, EndRun):
                self.feed.closed(run, command)
                if not still_open:
                    self.forget(run)

    def resume(self, run: LiveRun, intended: frozenset[int], *, recovering: bool) -> None:
        """Issue again what a run that was read from disk waits for.

        Args:
            intended: Commands whose intent to act is on disk, without an outcome.
            recovering: The process died since, so acts may have been performed.
        """
        self.runs[run.seq] = run
        self.by_id[run.id] = run
        still_open = run.state.open
        # Before any act: one that answers at once may withdraw what stands before people, or behind it in this list.
        run.offers.update(number for number, command in still_open.items() if isinstance(command, Offer))
        for number, command in list(still_open.items()):
            if number not in still_open:
                continue
            if isinstance(command, Perform):
                if command.handler != WORKFLOW:
                    self.performer.start(run, command, recovering=recovering, intended=command.id in intended)
            elif isinstance(command, StartTimer):
                self.timekeeper.start(run, command)
            elif isinstance(command, AwaitMessages):
                self.postman.open(run, command, search=recovering)
        self.parking.consider(run)


def _task_of(event: Event) -> dict[str, Any] | None:
    """Which task a decision is about, where it is about one."""
    number = getattr(event, "id", None)
    return None if number is None else {"task": number}
