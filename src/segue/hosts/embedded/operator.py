"""What people do to runs: control them, decide about held tasks, settle unknown outcomes, fork.

Everything here is an event like any other, except what the inbox alone knows: an act of a run that has gone on, and
a run that a bug stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from segue.core import Examination, Obstacle, Plan, Tasking, advance, examine, replay, snapshot, tasking_of
from segue.core.adjustable import carried
from segue.hosts.contracts import Beginning, Outcome, UnknownRun
from segue.hosts.embedded import folding
from segue.hosts.embedded.engine import WORKFLOW, Engine
from segue.hosts.embedded.live import LiveRun
from segue.hosts.embedded.parking import consumed_in
from segue.hosts.embedded.plans import Plans
from segue.store import HostError, RunRecord, Store, codec, effects, human_tasks, incidents, records
from segue.types import (
    DecisionMade,
    Event,
    FailureReleased,
    Offer,
    Perform,
    RunCancelled,
    RunMigrated,
    RunPaused,
    RunResumed,
    RunStarted,
    TaskAssigned,
    TaskRestarted,
    TaskSkipped,
)

Intervention = TaskRestarted | TaskSkipped | FailureReleased
Control = RunPaused | RunResumed | RunCancelled | Intervention


class Operator:
    """Carries out what people decide."""

    def __init__(self, engine: Engine, store: Store, plans: Plans) -> None:
        self._engine = engine
        self._store = store
        self._plans = plans

    async def control(self, run_id: str, event: Control, outcome: Outcome | None) -> bool:
        """See `EmbeddedHost.control`."""
        said: Any = codec.decode_event(codec.encode(_timed(event, self._engine.clock.now_ms())))
        run = self._engine.by_id.get(run_id)
        if run is None:
            record = await self._record(run_id)
            if record.is_closed:
                return False
            if record.residence == "quarantined":
                return await self._end_quarantined(record, said)
            run = await self._engine.parking.ensure(record.seq)
        if run is None or run.state.ended is not None:
            return False
        if isinstance(said, Intervention) and not self._prepare(run, said, outcome):
            return False
        closing = run.state.closing
        is_going = closing is not None and closing.status != "completed" and not run.state.paused
        if isinstance(said, RunCancelled) and is_going:
            # It is being undone, and ends then: an event that changes nothing would be written for each request.
            self._engine.parking.consider(run)
            await self._store.commit.wait_durable()
            return True
        with self._engine.incidents.saying(run, None if outcome is None else outcome.action):
            self._engine.apply(run, said)
        self._engine.parking.consider(run)
        await self._store.commit.wait_durable()
        return True

    async def migrate(
        self, run_id: str, digest: str, mapping: Mapping[str, str], *, by: str, reason: str, dry_run: bool
    ) -> Examination:
        """See `EmbeddedHost.migrate`."""
        new = self._plans.plan(digest)
        record = await self._record(run_id)
        run = None
        if not record.is_closed and record.residence != "quarantined":
            run = await self._engine.parking.ensure(record.seq)
        if run is None or run.state.ended is not None:
            why = "it has ended" if record.residence != "quarantined" else "a bug has stopped it"
            return Examination(obstacles=[Obstacle("", why, "start another run, or fork this one")])
        # From here to the event nothing else can happen to the run, so what was examined is what is moved.
        found = examine(run.plan, new, run.state, mapping)
        if not found.obstacles and not dry_run:
            values = self._values(run, new)
            event = RunMigrated(self._engine.clock.now_ms(), digest, found.nodes, by, reason, values)
            _rehearse(run, new, event)
            self._engine.apply(run, event)
        self._engine.parking.consider(run)
        await self._store.commit.wait_durable()
        return found

    async def attend(
        self, run_id: str, event: DecisionMade | TaskAssigned, meant: Callable[[Tasking], None] | None
    ) -> str | None:
        """See `EmbeddedHost.attend`."""
        run = self._engine.by_id.get(run_id)
        if run is None:
            record = await self._record(run_id)
            if record.residence == "quarantined":
                raise HostError(f"run {record.id!r} is set aside because a bug stopped it ({record.reason})")
            run = None if record.is_closed else await self._engine.parking.ensure(record.seq)
        if run is None:
            return "the run has ended"
        refused = self._engine.desk.attend(run, event, meant)
        self._engine.parking.consider(run)
        # Also where it is refused: what refuses it may not be on disk yet.
        await self._store.commit.wait_durable()
        return refused

    async def asked(self, run_id: str, task: int) -> Tasking | None:
        """See `EmbeddedHost.asked`."""
        run = self._engine.by_id.get(run_id)
        if run is None:
            record = await self._record(run_id)
            if record.is_closed or record.residence == "quarantined":
                return None
            run = await self._engine.parking.ensure(record.seq)
            if run is not None:
                self._engine.parking.consider(run)
        held = None if run is None else tasking_of(run.state, task)
        if run is None or held is None:
            return None
        more = {"requesters": run.state.hands} if task in run.state.withheld else {}
        # The core replaces what it holds and changes nothing in it, except the agenda.
        return msgspec.structs.replace(held, agenda=list(held.agenda), request=held.request | more)

    def _values(self, run: LiveRun, new: Plan) -> Any:
        """The adjustable values that a run has under another version."""
        if not new.adjustable and not run.state.adjustable:
            return msgspec.UNSET
        return carried(new.adjustable, run.state.adjustable, self._engine.values(new))

    def _prepare(self, run: LiveRun, event: Intervention, outcome: Outcome | None) -> bool:
        """Is the run at this task? Then put the ledger right."""
        frame = run.state.frames.get(event.id)
        must_be_held = outcome is not None or isinstance(event, FailureReleased)
        if frame is None or (must_be_held and event.id not in run.state.held):
            return False
        if outcome is not None:
            self._engine.incidents.settle(run, frame, outcome, by=event.by, reason=event.reason)
        return True

    async def _end_quarantined(self, record: RunRecord, event: Control) -> bool:
        if not isinstance(event, RunCancelled):
            raise HostError(
                f"run {record.id!r} is set aside because a bug stopped it ({record.reason}); it can be cancelled or"
                " tried again, nothing else"
            )
        batch = self._store.commit.pending
        batch.history.append((record.seq, codec.encode(event)))
        self._engine.said("run.cancel", f"run:{record.id}", event.by, event.reason)
        batch.end_run(record.seq, "cancelled", event.at)
        batch.statements.append(incidents.close_of_run(record.seq, "cancel", event.by, event.reason, event.at))
        batch.statements += human_tasks.withdraw_of_run(record.seq, event.at)
        await self._store.commit.wait_durable()
        return True

    async def revive(self, run_id: str, *, by: str, reason: str) -> bool:
        """See `EmbeddedHost.revive`."""
        record = await self._record(run_id)
        if record.residence != "quarantined" or record.is_closed:
            return False
        now = self._engine.clock.now_ms()
        closing = incidents.close_quarantined(record.seq, "retry", by, reason, now)
        self._engine.said("run.revive", f"run:{record.id}", by, reason)
        await self._store.write([records.revive_run(record.seq), closing])
        await self._engine.parking.load([record.seq], recovering=True)
        await self._store.commit.wait_durable()
        return run_id in self._engine.by_id

    async def settle(self, key: str, outcome: Outcome | None, *, by: str, reason: str) -> None:
        """See `EmbeddedHost.settle`."""
        now = self._engine.clock.now_ms()
        run_id, _, effect = key.rpartition(":")
        record = await self._record(run_id)
        # A run that goes on must know it too: a later attempt asks what became of this one.
        run = None if record.is_closed else await self._engine.parking.ensure(record.seq)
        batch = self._store.commit.pending
        if outcome is not None:
            receipt = codec.settled(outcome.receipt)
            batch.statements.append(effects.settle_key(key, outcome.state, now, receipt=receipt))
            if run is not None and effect in run.efforts:
                run.efforts[effect] = run.efforts[effect]._replace(state=outcome.state, receipt=receipt)
        action = "give-up" if outcome is None else outcome.action
        batch.statements.append(incidents.close_unknown(key, action, by, reason, now))
        self._engine.said("effect.decide", f"effect:{key}", by, reason, verdict=action)
        await self._store.commit.wait_durable()

    # -- forks -------------------------------------------------------------------------------------

    async def fork(
        self, digest: str, prefix: Sequence[Event], restart: TaskRestarted, beginning: Beginning | None
    ) -> str:
        """See `EmbeddedHost.fork`."""
        run = self._plant(digest, prefix) if beginning is None else self._graft(digest, prefix, beginning)
        inherited = dict(run.state.open)
        if run.state.held:
            self._engine.incidents.rebuild(run)
        # What the copied events did, and events that came before, belong to the run that they were copied from.
        apart = msgspec.structs.replace(restart, apart=True)
        self._engine.apply(run, _timed(apart, self._engine.clock.now_ms()))
        still = [] if run.gone else [c for number, c in inherited.items() if run.state.open.get(number) is c]
        for command in still:
            if isinstance(command, Perform) and command.handler == WORKFLOW:
                self._engine.children.start(run, command)
            elif isinstance(command, Offer):
                self._engine.desk.offer(run, command)
        self._store.commit.pending.held.append((run, still))
        self._engine.wake()
        await self._store.commit.wait_durable()
        return run.id

    def _plant(self, digest: str, prefix: Sequence[Event]) -> LiveRun:
        """A run with this history comes into being. What its events did outside is not done again."""
        engine = self._engine
        plan = self._plans.plan(digest)
        started = prefix[0]
        assert isinstance(started, RunStarted), "a history begins with RunStarted"
        run = LiveRun(engine.next_seq, started.run_id, plan, digest, cause=started.cause)
        run.state = replay(plan, prefix)
        self._enrol(run, prefix)
        return run

    def _graft(self, digest: str, prefix: Sequence[Event], beginning: Beginning) -> LiveRun:
        """The same, where a state stands for the first events."""
        engine = self._engine
        plan = self._plans.plan(digest)
        run = LiveRun(engine.next_seq, beginning.state.run_id, plan, digest, cause=beginning.cause)
        written = folding.written(plan.at(beginning.state.definition), beginning.state)
        run.state = replay(plan, prefix, state=beginning.state)
        run.consumed = {(source, id): at for source, id, at in beginning.consumed}
        self._enrol(run, prefix)
        engine.folding.begin(run, beginning.events, written)
        return run

    def _enrol(self, run: LiveRun, prefix: Sequence[Event]) -> None:
        engine = self._engine
        run.events = len(prefix)
        run.consumed |= consumed_in(prefix)
        run.subject = engine.subject_of(run.plan, run.state.input)
        engine.enrol(run)
        engine.admission.enter(run, limit=engine.policy(run.plan).concurrency, at_once=True)
        self._store.commit.pending.history += [(run.seq, codec.encode(event)) for event in prefix]

    async def _record(self, run_id: str) -> RunRecord:
        record = await self._store.run(run_id)
        if record is None:
            raise UnknownRun(f"there is no run {run_id!r}")
        return record


def _rehearse(run: LiveRun, new: Plan, event: RunMigrated) -> None:
    """Let it happen to a copy first: a bug must refuse the migration, and not stop the run.

    Raises:
        HostError: It would.
    """
    try:
        copy = snapshot.restore(run.plan, snapshot.take(run.plan, run.state))
        snapshot.take(new, advance(run.plan, copy, event)[0])
    except Exception as error:
        raise HostError(f"run {run.id!r} was not migrated, because that would break it: {error!r}") from error


def _timed(event: Any, at: int) -> Any:
    return msgspec.structs.replace(event, at=at)
