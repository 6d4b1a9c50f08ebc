"""Operators of a world: they stop and release, activate schedules, control runs, and meddle with tasks."""

from __future__ import annotations

from functools import partial
from random import Random
from typing import TYPE_CHECKING

from segue.core import Plan, RunState
from segue.hosts.contracts import Outcome, UnknownRun
from segue.hosts.simulated import interventions
from segue.hosts.simulated.generating import HANDLERS
from segue.hosts.simulated.host import SimulatedHost
from segue.hosts.simulated.timetable import Timetable
from segue.store import HostError
from segue.types import FailureReleased, RunCancelled, RunPaused, RunResumed, TaskRestarted, TaskSkipped

if TYPE_CHECKING:
    from segue.hosts.simulated.simulation import World

Control = RunPaused | RunResumed | RunCancelled | TaskRestarted | TaskSkipped | FailureReleased


class Operators:
    """They act through the host, ask again where they heard nothing, and are often wrong."""

    def __init__(self, world: World, stopping: Random, moving: Random) -> None:
        self.world = world
        self._stopping = stopping
        self._moving = moving

    # -- the guard ---------------------------------------------------------------------------------

    def arrange_stops(self, span: int) -> None:
        """Say when the guard stops something, and for how long."""
        dice, faults = self._stopping, self.world.faults
        for _ in range(3):
            if dice.random() < faults.stops:
                workflows = [f"{plan.namespace}/{plan.name}" for plan in self.world.plans]
                what = dice.choice((*HANDLERS, *workflows))
                at = dice.randint(0, dice.choice((100, span, span * 2 + 60_000)))
                for_ms = dice.choice((dice.randint(0, 500), dice.randint(0, 60_000), 3_600_000))
                self.world.insist(at, partial(self._stop, what))
                self.world.insist(at + for_ms, partial(self._release, what))

    async def _stop(self, what: str, host: SimulatedHost) -> None:
        self.world.say(f"guard    stops {what}")
        self.world.guard.stop(what, self.world.time.now)
        host.stop_refused()

    async def _release(self, what: str, host: SimulatedHost) -> None:
        self.world.say(f"guard    lets {what} go on")
        self.world.guard.release(what)
        for timetable in self.world.auditor.timetables.values():
            timetable.released_at = self.world.time.now

    # -- schedules ---------------------------------------------------------------------------------

    async def activate(self, plan: Plan, host: SimulatedHost) -> None:
        """Let a workflow start by itself."""
        known = self.world.auditor.timetables
        if plan.name not in known:
            # Before it is asked for: what arrives while it is asked for may count or not.
            known[plan.name] = Timetable(plan, self.world.time.wall())
        timetable = known[plan.name]
        timetable.asked_at.add(self.world.time.wall())
        await host.activate(plan.digest)
        timetable.before = timetable.before or frozenset(self.world.auditor.messages)
        if timetable.active_at is None:
            # A process that died may have done it before it could say so, and the clock may have been set since.
            said = {record.name: record.activated_at for record in host.schedules()}
            timetable.activated(said.get(plan.name))
        assert plan.schedule is not None
        if plan.schedule.on is None:
            step_ms = plan.schedule.every_ms or plan.schedule.after_ms or 600_000
            self.world.insist(self.world.people.randint(0, 10) * step_ms, partial(self.deactivate, plan))

    async def deactivate(self, plan: Plan, host: SimulatedHost) -> None:
        """Let it start by itself no longer."""
        self.world.auditor.check_in_time(plan.name)
        await host.deactivate(plan.namespace, plan.name)

    # -- operators ---------------------------------------------------------------------------------

    def operate(self, run_id: str, span: int) -> None:
        """An operator pauses a run and resumes it, late; or cancels it."""
        at = self.world.rng.randint(0, span + 1_000)
        if self.world.rng.random() < 0.25:
            self.world.time.after(at, partial(self.control, run_id, RunCancelled(0)))
            return
        self.world.time.after(at, partial(self.control, run_id, RunPaused(0)))
        later = at + self.world.rng.randint(0, self.world.faults.late_ms + 1_000)
        self.world.time.after(
            later, partial(self.world.insist, 0, partial(self._ask_control, run_id, RunResumed(0), None))
        )

    def meddle(self, span: int) -> None:
        """An operator looks at some run a few times, and does something to a task then, later, or twice."""
        for _ in range(4):
            if self.world.people.random() < self.world.faults.meddles:
                self.world.time.after(self.world.people.randint(0, span * 2 + 2_000), self._intervene)

    def _intervene(self) -> None:
        people = self.world.people
        # Children and runs that started by themselves too; what is newest is seen first.
        seen = [
            shadow for shadow in self.world.auditor.runs.values() if shadow.state is not None and not shadow.hidden
        ]
        if not seen:
            return
        shadow = people.choice(seen[-6:])
        assert shadow.state is not None
        act = interventions.foolish(people, shadow.plan, shadow.state)
        outcome = self.outcome(shadow.id, shadow.state, act.id, likely=0.7)
        for _ in range(people.choice((1, 1, 1, 2))):
            late_ms = people.choice((0, 0, people.randint(0, self.world.faults.late_ms + 100)))
            self.world.time.after(late_ms, partial(self.control, shadow.id, act, outcome))

    def arrange_moves(self, span: int) -> None:
        """Now and then somebody lets a run go on under another version."""
        dice = self._moving
        for _ in range(8):
            if dice.random() < self.world.faults.migrates:
                at = dice.randint(0, dice.choice((20, 500, span + 500, span * 2 + 60_000)))
                self.world.time.after(at, self.move)

    def move(self) -> None:
        """An operator lets some run go on under another version, there or back, or under what is none of it."""
        dice, host = self._moving, self.world.process.host
        seen = [s for s in self.world.auditor.runs.values() if not s.hidden and s.state is not None]
        # Most of those that have ended are left alone.
        seen = [s for s in seen if s.audit.ended is None or dice.random() < 0.05]
        if not seen or host is None:
            return
        shadow = dice.choice(seen[-6:])
        versions = [p.digest for p in (*self.world.plans, *self.world.versions) if p.name == shadow.plan.name]
        digest = dice.choice(versions if dice.random() < 0.9 else self.world.digests)
        self.world.process.spawn(self._move_once(shadow.id, digest, host))

    async def _move_once(self, run_id: str, digest: str, host: SimulatedHost) -> None:
        try:
            found = await host.migrate(run_id, digest)
        except (HostError, UnknownRun):
            return  # It may have been done; nobody asks again.
        if not found.obstacles:
            self.world.auditor.moved(run_id, digest)

    def outcome(self, run_id: str, state: RunState, task: int, *, likely: float) -> Outcome | None:
        """What a person says about the acts of a held task whose outcome is unknown."""
        reason = state.held.get(task)
        if reason is None or not reason.outcome_unknown or self.world.people.random() >= likely:
            return None
        keys = self._unknown(run_id)
        happened = any(key in self.world.outside.results for key in keys)
        if self.world.people.random() < self.world.now.mistaken:
            happened = not happened
        return Outcome(happened, 1 if happened else None)

    def _unknown(self, run_id: str) -> list[str]:
        """Effect keys of a run about which a person may be asked: what the ledger says, and what is really so."""
        asks = "SELECT key FROM effect JOIN run ON run.seq = run WHERE run.id = ? AND state IN ('intent', 'unknown')"
        rows = self.world.storage.connection.execute(asks, (run_id,))
        return [*(key for (key,) in rows), *self.world.auditor.effects.in_doubt(run_id)]

    def control(self, run_id: str, event: Control, outcome: Outcome | None = None) -> None:
        """Ask the host for this once."""
        if self.world.process.host is not None:
            self.world.process.spawn(self._control_once(run_id, event, outcome, self.world.process.host))

    async def _control_once(self, run_id: str, event: Control, outcome: Outcome | None, host: SimulatedHost) -> None:
        try:
            await self._ask_control(run_id, event, outcome, host)
        except (HostError, UnknownRun):
            pass  # It may have been done; nobody asks again.

    async def _ask_control(self, run_id: str, event: Control, outcome: Outcome | None, host: SimulatedHost) -> None:
        if outcome is not None:
            for key in self._unknown(run_id):
                self.world.auditor.effects.said(key, happened=outcome.happened)
        if await host.control(run_id, event, outcome=outcome):
            self.world.auditor.confirmed(run_id, event)
