"""The scheduler: workflows that start by themselves.

    every, cron   The start and the next due time are one transaction. A host that was down catches up with one run,
                  however many were missed; so does one that could not start while new work was shed, or while a
                  switch stopped the workflow.
    after         The first run starts at activation; the next is due when the one before has ended, whatever way.
    on            A hidden run waits for the events. Its end starts the workflow and the next hidden run, in one
                  transaction, so every event counts exactly once. It remembers which events those before it took.
                  It starts also where a switch stops the workflow: the event would be lost. Its acts are refused.

One schedule is kept for each workflow: activating another version takes its place.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final
from zoneinfo import ZoneInfo

from cronsim import CronSim

from segue.core import Plan
from segue.core.plan import Schedule
from segue.hosts.contracts import Door
from segue.hosts.embedded.engine import Engine
from segue.hosts.embedded.live import LiveRun
from segue.hosts.embedded.own import spawn
from segue.hosts.embedded.plans import TRIGGER, Plans
from segue.store import ScheduleRecord, Store, records
from segue.types import EndRun, RunCancelled

Name = tuple[str, str]

_ASK_AGAIN_SECONDS: Final = 5.0
"""A schedule that is due and may not start asks again after this long, and catches up with one run."""

_SKIP_MAX: Final = 1000
"""How many taken events a trigger remembers while earlier ones may still be wanted."""


class Scheduler:
    """Starts runs when they are due."""

    def __init__(self, engine: Engine, store: Store, plans: Plans, door: Door) -> None:
        self._engine = engine
        self._store = store
        self._plans = plans
        self._door = door
        self._active: dict[Name, ScheduleRecord] = {}
        self._asking: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Go on with the schedules that the store holds."""
        for record in await self._store.read(records.list_schedules):
            self._active[record.namespace, record.name] = record
            self._arm(record)

    async def close(self) -> None:
        """Ask for nothing any more."""
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)

    @property
    def active(self) -> list[ScheduleRecord]:
        """All schedules, by name."""
        return [self._active[name] for name in sorted(self._active)]

    async def activate(self, digest: str) -> None:
        """Let a definition start by itself from now on, in place of other versions of it.

        Raises:
            LookupError: There is no such definition.
            ValueError: It has no schedule.
            HostError: The change could not be stored, or not yet.
        """
        plan = self._plans.plan(digest)
        if plan.schedule is None:
            raise ValueError(f"{plan.namespace}/{plan.name}:{plan.version} has no schedule to activate")
        name = (plan.namespace, plan.name)
        known = self._active.get(name)
        if known is not None and known.digest == digest:
            return
        self._remove(name)
        kind = _kind(plan.schedule)
        now = self._engine.clock.now_ms()
        due = now if kind == "after" else _next_due(plan.schedule, now, now)
        self._keep(ScheduleRecord(*name, digest, kind, due, None, now))
        if kind == "on":
            self._listen(name, plan, digest, after=self._engine.postman.newest_seq, skip=[])
        self._arm(self._active[name])
        await self._engine.commit.wait_durable()

    async def deactivate(self, namespace: str, name: str) -> bool:
        """Let a workflow no longer start by itself. Runs under way go on. False when it had no schedule."""
        if (namespace, name) not in self._active:
            return False
        self._remove((namespace, name))
        await self._engine.commit.wait_durable()
        return True

    def _remove(self, name: Name) -> None:
        record = self._active.pop(name, None)
        if record is None:
            return
        self._engine.commit.pending.statements.append(records.delete_schedule(*name))
        self._engine.said("schedule.stop", f"workflow:{'/'.join(name)}", "", "")
        trigger = self._engine.by_id.get(record.run_id or "") if record.kind == "on" else None
        if trigger is not None:
            self._engine.apply(trigger, RunCancelled(self._engine.clock.now_ms(), by="schedule"))

    def _keep(self, record: ScheduleRecord) -> None:
        self._active[record.namespace, record.name] = record
        self._engine.commit.pending.statements.append(records.put_schedule(record))

    # -- time --------------------------------------------------------------------------------------

    def _arm(self, record: ScheduleRecord) -> None:
        if record.due_at is not None:
            self._engine.timekeeper.at(record.due_at, partial(self._due, record))

    def _due(self, record: ScheduleRecord) -> None:
        name = (record.namespace, record.name)
        if self._active.get(name) is not record or record.due_at is None:
            return  # It was changed or removed since.
        if self._engine.shedding is not None or not self._door.may_start("/".join(name)):
            task = spawn(self._ask_again(record))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
            return
        plan = self._plans.plan(record.digest)
        assert plan.schedule is not None
        now = self._engine.clock.now_ms()
        run_id = self._engine.new_id()
        due = _next_due(plan.schedule, record.due_at, now)
        follows = run_id if record.kind == "after" else None
        # Kept before the run begins: a run may end as it begins, and its end looks for this record.
        self._keep(ScheduleRecord(*name, record.digest, record.kind, due, follows, record.activated_at))
        self._arm(self._active[name])
        cause = {"kind": "schedule", "due": record.due_at}
        self._engine.begin(plan, run_id, digest=record.digest, input=None, cause=cause)

    async def _ask_again(self, record: ScheduleRecord) -> None:
        # Sleeping, and not by a timer: a clock that is set back would hold it up.
        await self._engine.clock.sleep(_ASK_AGAIN_SECONDS)
        if not self._engine.is_stopped:
            self._due(record)

    def _start(self, plan: Plan, digest: str, input: Any, cause: dict[str, Any]) -> LiveRun:
        return self._engine.begin(plan, self._engine.new_id(), digest=digest, input=input, cause=cause)

    # -- ends of runs ------------------------------------------------------------------------------

    def ended(self, run: LiveRun, command: EndRun) -> None:
        """A run ended; this is part of the same transaction."""
        name = (run.plan.namespace, run.plan.name)
        record = self._active.get(name)
        if run.hidden:
            self._trigger_ended(run, command, record)
        elif record is not None and record.kind == "after" and record.run_id == run.id:
            schedule = self._plans.plan(record.digest).schedule
            assert schedule is not None
            assert schedule.after_ms is not None
            due = run.state.last_at + schedule.after_ms
            self._keep(ScheduleRecord(*name, record.digest, record.kind, due, None, record.activated_at))
            self._arm(self._active[name])

    def _trigger_ended(self, run: LiveRun, command: EndRun, record: ScheduleRecord | None) -> None:
        self._engine.commit.pending.statements += records.delete_triggers()
        if record is None or record.run_id != run.id:
            return
        name = (record.namespace, record.name)
        plan = self._plans.plan(record.digest)
        if command.status == "completed":
            cause = {"kind": "event", "events": sorted(f"{source}#{id_}" for source, id_ in run.consumed)}
            self._start(plan, record.digest, command.output, cause)
        self._listen(name, plan, record.digest, **_what_was_taken(run, plan))

    def _listen(self, name: Name, plan: Plan, digest: str, *, after: int, skip: list[int]) -> None:
        """Let a hidden run wait for the next events."""
        trigger = TRIGGER + digest
        run = self._engine.begin(
            self._plans.plan(trigger),
            self._engine.new_id(),
            digest=trigger,
            input=None,
            cause={"kind": "trigger", "after": after, "skip": skip},
            hidden=True,
        )
        record = self._active[name]
        self._keep(ScheduleRecord(*name, digest, "on", None, run.id, record.activated_at))


def _what_was_taken(run: LiveRun, plan: Plan) -> dict[str, Any]:
    """What the next trigger must not take again.

    Where one event is enough, everything up to the newest one taken is over. With `all`, an event may have been
    left for a later round, so those taken are remembered one by one.
    """
    assert plan.schedule is not None
    assert plan.schedule.on is not None
    if not run.taken:
        return {"after": run.after, "skip": sorted(run.skip)}
    if plan.schedule.on.mode != "all" or len(plan.schedule.on.filters) < 2:
        return {"after": max(run.taken), "skip": []}
    skip = sorted({*run.skip, *run.taken})
    after = run.after
    if len(skip) > _SKIP_MAX:
        after = skip[-_SKIP_MAX - 1]
        skip = skip[-_SKIP_MAX:]
    return {"after": after, "skip": skip}


def _kind(schedule: Schedule) -> Any:
    if schedule.every_ms is not None:
        return "every"
    if schedule.cron is not None:
        return "cron"
    return "after" if schedule.after_ms is not None else "on"


def _next_due(schedule: Schedule, last_due_ms: int, now_ms: int) -> int | None:
    """When the run after the one due at `last_due_ms` is due; what was missed by `now_ms` is left out."""
    if schedule.every_ms is not None:
        missed = max(0, now_ms - last_due_ms) // schedule.every_ms
        return last_due_ms + (missed + 1) * schedule.every_ms
    if schedule.cron is not None:
        after = datetime.fromtimestamp(max(last_due_ms, now_ms) / 1000, UTC).astimezone(ZoneInfo(schedule.zone))
        upcoming: datetime = next(CronSim(schedule.cron, after))
        return int(upcoming.timestamp() * 1000)
    return None
