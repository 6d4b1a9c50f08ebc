"""A simulated world: random workflows, one host that keeps dying, an unreliable outside, and an auditor who watches.

The host is the embedded one, every part of it, on a loop, a clock and a file that one seed moves (`process.py`). A
world goes on until nothing moves any more; then faults stop, whoever waits for a person or a message gets one, and
at last everything is cancelled. After each of these the auditor compares what ought to be with what is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import Any, Final

from segue.core import Plan, RunState
from segue.hosts.contracts import FailurePolicy, HostSettings, Outcome, UnknownRun
from segue.hosts.embedded.plans import Plans
from segue.hosts.simulated import interventions, staff
from segue.hosts.simulated.faults import NEWEST, Dice, Faults
from segue.hosts.simulated.generating import HANDLERS, TYPES, human_plan, random_plan, scheduled_plan, with_undos
from segue.hosts.simulated.guard import Guard
from segue.hosts.simulated.host import SimulatedHost
from segue.hosts.simulated.outside import Outside
from segue.hosts.simulated.process import Book, Process
from segue.hosts.simulated.reach import Violation
from segue.hosts.simulated.realistic import CAREFUL, REALISTIC, outing, patrol
from segue.hosts.simulated.storage import Storage
from segue.hosts.simulated.time import Time
from segue.hosts.simulated.timetable import Timetable
from segue.hosts.simulated.versions import newer
from segue.hosts.simulated.watching import Auditor
from segue.store import Batch, HostError, codec
from segue.types import (
    CLOSED,
    DecisionMade,
    FailureReleased,
    RunCancelled,
    RunPaused,
    RunResumed,
    TaskAssigned,
    TaskRestarted,
    TaskSkipped,
)

STEPS_MAX: Final = 100_000
"""A world that takes more steps than this without coming to rest is taken to go round for ever."""

_CRASHES_MAX: Final = 40
_IDLE_MS: Final = 10**10
_LOOK_MS: Final = 120_000
_CALM: Final = Faults()

Control = RunPaused | RunResumed | RunCancelled | TaskRestarted | TaskSkipped | FailureReleased
Ask = Callable[[SimulatedHost], Coroutine[Any, Any, Any]]


@dataclass(frozen=True, slots=True)
class Report:
    """How a world went.

    Attributes:
        runs: All of them. children: Those that another run waited for. scheduled: Those that started by themselves.
        held: Failures that waited for a person. interventions: What people did to tasks.
        unread: Readings that failed. refusals: Acts that the guard did not let through. asked: Acts that it left to
            people. decisions: What people did to human tasks, and counted.
        migrations: How often a run moved to another version. undone: Acts that were taken back.
    """

    seed: int
    runs: int
    children: int
    scheduled: int
    events: int
    crashes: int
    acts: int
    held: int
    interventions: int
    unread: int
    refusals: int
    asked: int
    decisions: int
    migrations: int
    undone: int


class Finding(Exception):
    """A seed under which something happened that must not happen.

    Attributes:
        seed: The world. complaint: What the auditor says. log: What happened, line by line, if it was recorded.
    """

    def __init__(self, seed: int, complaint: str, log: list[str]) -> None:
        super().__init__(f"seed {seed}: {complaint}")
        self.seed = seed
        self.complaint = complaint
        self.log = log


class World:
    """Everything that one seed decides.

    Args:
        edition: Of what worlds are made of; see `NEWEST`.
    """

    def __init__(
        self, seed: int, *, edition: int = NEWEST, verbose: bool = False, storage: type[Storage] = Storage
    ) -> None:
        dice = Dice(seed, edition)
        rng, people = self.rng, self.people = dice.of(""), dice.of("people")
        self._reading, self._later = dice.of("readings"), dice.of("what came later")
        self._stopping, self._staff = dice.of("stops"), dice.of("staff")
        self._moving = dice.of("moves")
        self.seed = seed
        self.log: list[str] = []
        self.faults = self._now = Faults.drawn(rng, people, dice)
        self.time = Time()
        self.crashes = self.unread = 0
        self._unreadable = False
        self._verbose = verbose
        self._starts: list[str] = []
        states = rng.getstate(), people.getstate()
        made = _plans(rng, people)
        self._versions = _versions(dice, *states) if self.faults.migrates else []
        self._scheduled = [scheduled_plan(people, name="timed")] if people.random() < self.faults.schedules else []
        # Runs beside those that the first edition starts: they have dice of their own, and are always there.
        self._besides = _besides(self.faults, dice, below=[plan.name for plan in made])
        self._plans = [*made, *self._scheduled, *{plan.digest: plan for _, plan in self._besides}.values()]
        book = Book([*self._plans, *self._versions])
        self._digests = [plan.digest for plan in made]
        settings = _settings(people, self.faults)
        self.guard = Guard(
            dice.of("rules"), fickle=self.faults.fickle, clocks=dice.of("deadlines"), clocked=self.faults.clocked
        )
        self._deciding = dice.of("decisions")
        self.guard.withheld = frozenset(h for h in HANDLERS if self._deciding.random() < self.faults.withholds)
        self.auditor = Auditor(Plans(book), self.time, self.guard, acts_max=settings.acts_max)
        self.outside = Outside(rng, self.faults, self.auditor, self.say)
        self.storage = storage(seed, delay_ms=self._disk_ms, on_written=self._written)
        self.storage.dies = self._dies_now
        self.storage.read_fails = self._read_fails
        holding = {plan.digest for plan in made if people.random() < self.faults.holds}
        self.process = Process(
            self.time,
            self.storage,
            self.auditor,
            book,
            self.outside.handlers(),
            settings,
            policy=lambda plan: FailurePolicy(hold=plan.digest in holding),
            door=self.guard,
            fault=self._fault,
        )
        self.time.on_jump.append(self._jumped)
        self.say(f"world    {self.faults}")

    def run(self) -> Report:
        """Let the world run its course.

        Raises:
            Finding: Something happened that must not.
        """
        # What the host would tell its operator about handlers that fail is no news here.
        log = logging.getLogger("segue.hosts")
        was_silent, log.disabled = log.disabled, True
        try:
            self.process.boot()
            self._arrange()
            self._settle()
            self._wake_everybody()
            self._end_everything()
        except (Violation, AssertionError) as error:
            raise Finding(self.seed, str(error) or repr(error), self.log) from error
        except Exception as error:
            raise Finding(self.seed, f"{type(error).__name__}: {error}", self.log) from error
        finally:
            self.process.kill()
            log.disabled = was_silent
        seen = self.auditor
        return Report(
            self.seed,
            len(seen.runs),
            len(seen.children),
            seen.started,
            seen.events,
            self.crashes,
            sum(seen.effects.happened.values()),
            seen.held,
            seen.interventions,
            self.unread,
            self.guard.refusals,
            self.guard.asked,
            sum(len(shadow.desks.heard) for shadow in seen.runs.values()),
            seen.migrations,
            sum(len(shadow.audit.undoing.undone) for shadow in seen.runs.values()),
        )

    def say(self, line: str) -> None:
        """Add a line to the log, if there is one."""
        if self._verbose:
            self.log.append(f"{self.time.now:>10} {line}")

    # -- what goes wrong ---------------------------------------------------------------------------

    def _disk_ms(self) -> int:
        return self.rng.randint(0, self._now.disk_ms) if self._now.disk_ms else 0

    def _fault(self, number: int) -> None:
        if self._now.disk_fails and self.rng.random() < self._now.disk_fails:
            self.say(f"disk     write {number} fails")
            self.auditor.disturbed_at = self.time.now
            raise OSError("no space left on the simulated device")

    def _read_fails(self) -> bool:
        fails = self._unreadable or self._now.reads_fail > self._reading.random()
        if fails:
            self.say("disk     a reading fails")
            self.unread += 1
            self.auditor.unread_at = self.time.now
        return fails

    def _set_readable(self, readable: bool) -> None:
        self.say(f"disk     {'can be read again' if readable else 'cannot be read'}")
        self._unreadable = not readable
        self.auditor.unread_at = self.time.now

    def _dies_now(self) -> bool:
        if self.rng.random() >= self._now.crash_at_write / 2:
            return False
        self.crash()
        return True

    def crash(self) -> None:
        """The process dies, and another one starts a little later."""
        if not self.process.alive:
            return
        self.crashes += 1
        if self.crashes == _CRASHES_MAX:
            self._now = replace(self._now, crash_at_write=0.0)
        self.say("crash")
        self.outside.host_died()
        self.process.kill()
        self.storage.power_off(keeps=self.rng.random() >= self.faults.torn)
        self._boot_later()

    def _boot_later(self) -> None:
        later_ms = self.rng.choice((0, 10, 5_000))
        self.auditor.disturbed_at = self.time.now + later_ms
        self.time.after(later_ms, self.process.boot)

    def _restart(self) -> None:
        """The process is ended properly, and another one starts."""
        host = self.process.host
        if host is not None:
            self.say("close")
            self.process.spawn(self._close(host))

    async def _close(self, host: SimulatedHost) -> None:
        self.process.host = None
        await host.close()
        self.say("closed")
        self.outside.host_died()
        self.process.leave()
        self._boot_later()

    def _written(self, batch: Batch) -> None:
        if self._verbose:
            self._tell_written(batch)
        self.auditor.durable(batch)

    def _tell_written(self, batch: Batch) -> None:
        names = {row[0]: row[1] for row in batch.runs} | {n: s.id for n, s in self.auditor.by_seq.items()}
        for seq, raw in batch.history:
            self.say(f"on disk  {names[seq]} {codec.decode_event(raw)!r}")
        for row in batch.intents:
            self.say(f"on disk  {names[row[0]]} intends {row[1]}")
        for row in batch.receipts:
            self.say(f"on disk  {names[row[0]]} outcome of {row[1]}: {row[2]}")
        for row in batch.events:
            self.say(f"on disk  event {row[1]} {row[2]} {row[3]}")
        for what, seqs in (("parked", batch.parked), ("woken", batch.unparked)):
            if seqs:
                self.say(f"on disk  {what} {', '.join(names[seq] for seq in seqs)}")

    def _jumped(self) -> None:
        """Nobody is told; whoever looks at the clock sees it, at the latest half a minute later."""
        self.auditor.disturbed_at = self.time.now
        self.time.after(self.people.randint(0, 30_000), self.process.look_at_clock)

    # -- who comes in ------------------------------------------------------------------------------

    def _arrange(self) -> None:
        """Say when who will do what."""
        rng, faults = self.rng, self.faults
        span = rng.choice((0, 100, 20_000))
        for number in range(rng.randint(1, 4)):
            digest = rng.choice(self._digests)
            run_id = f"run{number}"
            self._starts.append(run_id)
            self._insist(rng.randint(0, span), partial(self._start, run_id, digest, rng.choice((None, 7, {"x": 1}))))
            if rng.random() < faults.operator:
                self._operate(run_id, span)
            self._meddle(span)
        for number in range(rng.randint(0, 8)):
            sent = partial(self._publish, self._message(number, rng.choice(TYPES)))
            self._insist(rng.randint(0, span * 2), sent)
            if rng.random() < faults.message_doubled:
                self._insist(rng.randint(0, span * 3), sent)
        for plan in self._scheduled:
            self._insist(self.people.randint(0, span), partial(self._activate, plan))
        for run_id, plan in self._besides:
            self._starts.append(run_id)
            self._insist(self._later.randint(0, span), partial(self._start, run_id, plan.digest, None))
        if faults.crash_within_ms:
            self.time.after(rng.randint(0, faults.crash_within_ms), self.crash)
        if self.people.random() < faults.restarts:
            self.time.after(self.people.randint(0, span * 2 + 60_000), self._restart)
        self._arrange_stops(span)
        self._arrange_decisions(span)
        for _ in range(8):
            if self._moving.random() < faults.migrates:
                at = self._moving.randint(0, self._moving.choice((20, 500, span + 500, span * 2 + 60_000)))
                self.time.after(at, self._move)
        for _ in range(12):
            if self._staff.random() < faults.decides:
                at = self._staff.randint(0, span * 2 + self._staff.choice((2_000, 60_000, 86_400_000)))
                self.time.after(at, self._look_at_tasks)
        if faults.unreadable_ms:
            at = self._reading.randint(0, self._reading.choice((1_000, span, 600_000)))
            self.time.after(at, partial(self._set_readable, False))
            self.time.after(at + faults.unreadable_ms, partial(self._set_readable, True))
        for _ in range(3):
            if rng.random() < faults.clock_jumps:
                by_ms = rng.choice((-3_600_000, -50, 50, 3_600_000, 86_400_000))
                latest = rng.choice((100, span, 60_000, 3_600_000))
                self.time.after(rng.randint(0, latest), partial(self._jump, by_ms))

    def _insist(self, delay_ms: int, ask: Ask) -> None:
        """Ask the host, and again until it has said yes: whoever hears nothing asks once more."""
        heard = False

        async def hear(host: SimulatedHost) -> None:
            nonlocal heard
            try:
                await ask(host)
            except (HostError, UnknownRun):
                return
            heard = True

        def attempt() -> None:
            if heard:
                return
            if self.process.host is not None:
                self.process.spawn(hear(self.process.host))
            self.time.after(10_000, attempt)

        self.time.after(delay_ms, attempt)

    async def _start(self, run_id: str, digest: str, given: Any, host: SimulatedHost) -> None:
        await host.start(digest, given, run_id=run_id)
        self.auditor.taken_in(run_id)

    async def _publish(self, message: dict[str, Any], host: SimulatedHost) -> None:
        await host.publish(message)
        self.auditor.taken_in(None, (message["source"], message["id"]))

    def _message(self, number: int, type_: str) -> dict[str, Any]:
        named = {"specversion": "1.0", "source": "/sim", "id": f"m{number}", "type": type_}
        return {**named, "data": number, "order": self.rng.randrange(3)}

    def _jump(self, by_ms: int) -> None:
        self.say(f"clock    set by {by_ms} ms")
        self.time.jump(by_ms)

    # -- the guard ---------------------------------------------------------------------------------

    def _arrange_stops(self, span: int) -> None:
        dice, faults = self._stopping, self.faults
        for _ in range(3):
            if dice.random() < faults.stops:
                workflows = [f"{plan.namespace}/{plan.name}" for plan in self._plans]
                what = dice.choice((*HANDLERS, *workflows))
                at = dice.randint(0, dice.choice((100, span, span * 2 + 60_000)))
                for_ms = dice.choice((dice.randint(0, 500), dice.randint(0, 60_000), 3_600_000))
                self._insist(at, partial(self._stop, what))
                self._insist(at + for_ms, partial(self._release, what))

    async def _stop(self, what: str, host: SimulatedHost) -> None:
        self.say(f"guard    stops {what}")
        self.guard.stop(what, self.time.now)
        host.stop_refused()

    async def _release(self, what: str, host: SimulatedHost) -> None:
        self.say(f"guard    lets {what} go on")
        self.guard.release(what)
        for timetable in self.auditor.timetables.values():
            timetable.released_at = self.time.now

    # -- approvals ---------------------------------------------------------------------------------

    def _arrange_decisions(self, span: int) -> None:
        dice = self._deciding
        for _ in range(dice.randint(2, 12) if self.guard.withheld else 0):
            self.time.after(dice.randint(0, dice.choice((1_000, span + 1_000, 60_000))), self._decide_some)

    def _decide_some(self) -> None:
        """Somebody looks at what waits, or presses where nothing does; some press together."""
        dice = self._deciding
        for run_id, number in self.auditor.offers():
            for _ in range(dice.choice((0, 1, 1, 2))):
                self._attend(run_id, interventions.voice(dice, number + dice.choice((0, 0, 0, 0, 1))))

    def _approve_all(self) -> bool:
        """Whatever waits is approved, whoever has claimed it."""
        offers = self.auditor.offers()
        for run_id, number in offers:
            self._attend(run_id, TaskAssigned(0, number, "release", by="boss"))
            self._attend(run_id, DecisionMade(0, number, interventions.APPROVE, by="boss"))
        return bool(offers)

    def _attend(self, run_id: str, event: DecisionMade | TaskAssigned) -> None:
        if self.process.host is not None:
            self.process.spawn(self._attend_once(run_id, event, self.process.host))

    async def _attend_once(self, run_id: str, event: DecisionMade | TaskAssigned, host: SimulatedHost) -> None:
        try:
            refused = await host.attend(run_id, event)
        except (HostError, UnknownRun):
            return  # It may have counted; nobody asks again.
        if refused is None and isinstance(event, DecisionMade):
            self.auditor.decided(run_id, event)

    # -- people before whom human tasks come -------------------------------------------------------

    def _look_at_tasks(self) -> None:
        """Somebody looks at the list, and does something, or two do; at once, later, or one of them twice."""
        dice, tasks = self._staff, staff.listed(self.storage.connection)
        if not tasks:
            return
        seen = dice.choice(tasks[-4:])
        for _ in range(dice.choice((1, 1, 2, 3))):
            late_ms = dice.choice((0, 0, 0, dice.randint(0, self.faults.late_ms + 100)))
            self.time.after(late_ms, partial(self._do, seen, staff.foolish(dice, seen, self.auditor.marks.new())))

    def _do(self, seen: staff.Seen, deed: staff.Deed) -> None:
        if self.process.host is not None:
            self.process.spawn(self._do_once(seen, deed, self.process.host))

    async def _do_once(self, seen: staff.Seen, deed: staff.Deed, host: SimulatedHost) -> None:
        try:
            refused = await host.attend(seen.run, deed)
        except (HostError, UnknownRun):
            return  # It may count; nobody asks again.
        self.auditor.answered(seen.run, staff.mark_of(deed), refused)

    def _finish_tasks(self) -> None:
        """Most of what is before people is decided, in one way or another."""
        for _ in range(6 if self.faults.decides else 0):
            tasks = staff.listed(self.storage.connection)
            for seen in tasks:
                self._do(seen, staff.wise(self._staff, seen, self.auditor.marks.new()))
            if tasks:
                self._settle()

    # -- schedules ---------------------------------------------------------------------------------

    async def _activate(self, plan: Plan, host: SimulatedHost) -> None:
        known = self.auditor.timetables
        if plan.name not in known:
            # Before it is asked for: what arrives while it is asked for may count or not.
            known[plan.name] = Timetable(plan, self.time.wall())
        await host.activate(plan.digest)
        timetable = known[plan.name]
        timetable.before = timetable.before or frozenset(self.auditor.messages)
        if timetable.active_at is None:
            timetable.active_at = self.time.wall()
        assert plan.schedule is not None
        if plan.schedule.on is None:
            step_ms = plan.schedule.every_ms or plan.schedule.after_ms or 600_000
            self._insist(self.people.randint(0, 10) * step_ms, partial(self._deactivate, plan))

    async def _deactivate(self, plan: Plan, host: SimulatedHost) -> None:
        self.auditor.check_in_time(plan.name)
        await host.deactivate(plan.namespace, plan.name)

    # -- operators ---------------------------------------------------------------------------------

    def _operate(self, run_id: str, span: int) -> None:
        """An operator pauses a run and resumes it, late; or cancels it."""
        at = self.rng.randint(0, span + 1_000)
        if self.rng.random() < 0.25:
            self.time.after(at, partial(self._control, run_id, RunCancelled(0)))
            return
        self.time.after(at, partial(self._control, run_id, RunPaused(0)))
        later = at + self.rng.randint(0, self.faults.late_ms + 1_000)
        self.time.after(later, partial(self._insist, 0, partial(self._ask_control, run_id, RunResumed(0), None)))

    def _meddle(self, span: int) -> None:
        """An operator looks at some run a few times, and does something to a task then, later, or twice."""
        for _ in range(4):
            if self.people.random() < self.faults.meddles:
                self.time.after(self.people.randint(0, span * 2 + 2_000), self._intervene)

    def _intervene(self) -> None:
        people = self.people
        # Children and runs that started by themselves too; what is newest is seen first.
        seen = [shadow for shadow in self.auditor.runs.values() if shadow.state is not None and not shadow.hidden]
        if not seen:
            return
        shadow = people.choice(seen[-6:])
        assert shadow.state is not None
        act = interventions.foolish(people, shadow.plan, shadow.state)
        outcome = self._outcome(shadow.id, shadow.state, act.id, likely=0.7)
        for _ in range(people.choice((1, 1, 1, 2))):
            late_ms = people.choice((0, 0, people.randint(0, self.faults.late_ms + 100)))
            self.time.after(late_ms, partial(self._control, shadow.id, act, outcome))

    def _move(self) -> None:
        """An operator lets some run go on under another version, there or back, or under what is none of it."""
        dice, host = self._moving, self.process.host
        seen = [s for s in self.auditor.runs.values() if not s.hidden and s.state is not None]
        # Most of those that have ended are left alone.
        seen = [s for s in seen if s.audit.ended is None or dice.random() < 0.05]
        if not seen or host is None:
            return
        shadow = dice.choice(seen[-6:])
        versions = [p.digest for p in (*self._plans, *self._versions) if p.name == shadow.plan.name]
        digest = dice.choice(versions if dice.random() < 0.9 else self._digests)
        self.process.spawn(self._move_once(shadow.id, digest, host))

    async def _move_once(self, run_id: str, digest: str, host: SimulatedHost) -> None:
        try:
            found = await host.migrate(run_id, digest)
        except (HostError, UnknownRun):
            return  # It may have been done; nobody asks again.
        if not found.obstacles:
            self.auditor.moved(run_id, digest)

    def _outcome(self, run_id: str, state: RunState, task: int, *, likely: float) -> Outcome | None:
        """What a person says about the acts of a held task whose outcome is unknown."""
        reason = state.held.get(task)
        if reason is None or not reason.outcome_unknown or self.people.random() >= likely:
            return None
        keys = self._unknown(run_id)
        happened = any(key in self.outside.results for key in keys)
        if self.people.random() < self._now.mistaken:
            happened = not happened
        return Outcome(happened, 1 if happened else None)

    def _unknown(self, run_id: str) -> list[str]:
        """Effect keys of a run about which a person may be asked: what the ledger says, and what is really so."""
        asks = "SELECT key FROM effect JOIN run ON run.seq = run WHERE run.id = ? AND state IN ('intent', 'unknown')"
        rows = self.storage.connection.execute(asks, (run_id,))
        return [*(key for (key,) in rows), *self.auditor.effects.in_doubt(run_id)]

    def _control(self, run_id: str, event: Control, outcome: Outcome | None = None) -> None:
        if self.process.host is not None:
            self.process.spawn(self._control_once(run_id, event, outcome, self.process.host))

    async def _control_once(self, run_id: str, event: Control, outcome: Outcome | None, host: SimulatedHost) -> None:
        try:
            await self._ask_control(run_id, event, outcome, host)
        except (HostError, UnknownRun):
            pass  # It may have been done; nobody asks again.

    async def _ask_control(self, run_id: str, event: Control, outcome: Outcome | None, host: SimulatedHost) -> None:
        if outcome is not None:
            for key in self._unknown(run_id):
                self.auditor.effects.said(key, happened=outcome.happened)
        if await host.control(run_id, event, outcome=outcome):
            self.auditor.confirmed(run_id, event)

    # -- the end -----------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Go on until nothing moves any more."""
        for _ in range(STEPS_MAX):
            if not self.time.step():
                break
            self.auditor.check()
            self.process.check()
        else:
            raise Violation(f"the world did not come to rest within {STEPS_MAX} steps")
        host = self.process.host
        assert host is not None, "no process is there at rest"
        for live in host.live_runs():
            self.auditor.compare(live.id, live.state)
        self.auditor.check_quiet(self.storage.connection)

    def _wake_everybody(self) -> None:
        """From here on nothing goes wrong; operators resume, and every kind of message comes."""
        self.outside.faults = self._now = _CALM
        self.guard.stopped.clear()
        self.say("calm     nothing goes wrong from here on")
        for run_id, shadow in list(self.auditor.runs.items()):
            if shadow.state is not None and shadow.state.paused:
                self._control(run_id, RunResumed(0))
        self._settle()
        self._finish_tasks()
        self._resolve()
        for number, type_ in enumerate(TYPES * 3):
            self._insist(0, partial(self._publish, self._message(1_000 + number, type_)))
        self._settle()
        self.auditor.check_replay()
        for timetable in self.auditor.timetables.values():
            timetable.check_events(self.auditor.messages)

    def _resolve(self) -> None:
        """Whatever was held is still there to be resolved; most of it is, in one way or another."""
        for _ in range(5):
            runs = self.auditor.runs.values()
            held = [(s.id, s.state, number) for s in runs if s.state is not None for number in s.state.held]
            for run_id, state, number in held:
                act = interventions.wise(self.people, number)
                self._control(run_id, act, self._outcome(run_id, state, number, likely=0.9))
            asked = self._approve_all()
            if held or asked:
                self._settle()

    def _end_everything(self) -> None:
        for plan in self._scheduled:
            self._insist(0, partial(self._deactivate, plan))
        for shadow in list(self.auditor.runs.values()):
            if shadow.above is None and not shadow.hidden:
                self._control(shadow.id, RunCancelled(0))
        self._settle()
        # What a cancelled run undoes may fail too, and then waits for a person.
        for _ in range(STEPS_MAX):
            runs = self.auditor.runs.values()
            held = [(s.id, number) for s in runs if s.state is not None for number in s.state.held]
            if not held and not self._approve_all():
                break
            for run_id, number in held:
                self._control(run_id, FailureReleased(0, number))
            self._settle()
        for run_id in self._starts:
            if run_id not in self.auditor.runs:
                raise Violation(f"{run_id!r} was started, but is not there")
        for shadow in self.auditor.runs.values():
            state = shadow.state
            assert state is not None
            if state.ended not in CLOSED or state.open:
                raise Violation(f"{shadow.id!r} was cancelled, but is {state.status!r} with {state.open!r} open")
        assert self.process.host is not None
        if left := [live.id for live in self.process.host.live_runs()]:
            raise Violation(f"{left!r} have ended, but are still in memory")


def _versions(dice: Dice, rng: tuple[Any, ...], people: tuple[Any, ...]) -> list[Plan]:
    """Two more versions of each plan, made of the same throws."""
    made: list[Plan] = []
    for number in (2, 3):
        again, once_more = Random(), Random()  # noqa: S311 - dice of a game, not of a lock
        again.setstate(rng)
        once_more.setstate(people)
        made += [newer(dice.of(f"version {number}"), plan, number) for plan in _plans(again, once_more)]
    return made


def _besides(faults: Faults, dice: Dice, below: list[str]) -> list[tuple[str, Plan]]:
    """What runs in worlds of later editions, by the run's id."""
    made: list[tuple[str, Plan]] = []
    if faults.unreadable_ms > _LOOK_MS:
        made.append(("patrol", patrol()))
    if faults.decides:
        chance = dice.of("plans with people")
        plan = human_plan(chance, name="desks", below=below)
        made += [(f"desk{number}", plan) for number in range(chance.randint(1, 3))]
    chance = dice.of("outing")
    if chance.random() < faults.outings:
        trip = outing(chance)
        made += [(f"outing{number}", trip) for number in range(chance.randint(1, 2))]
    return made


def _settings(people: Random, faults: Faults) -> HostSettings:
    parks = people.choice((0, 5_000, 10**12))
    return HostSettings(
        acts_max=people.choice((1_000, 1_000, 3, 1)),
        park_after_ms=parks,
        park_timer_min_ms=people.choice((0, 5_000)),
        park_sweep_ms=people.choice((20_000, 300_000)) if parks < 10**12 else 10**12,
        clock_look_ms=_LOOK_MS if faults.looks_ahead else _IDLE_MS,
        early_events_ms=10**12,
        drain_seconds=people.choice((0.0, 2.0)),
        snapshot_events=people.choice((1_000, 4, 1)),
        history_max_events=people.choice((0, 0, 8)),
    )


def _plans(rng: Random, people: Random) -> list[Plan]:
    made: list[Plan] = []
    for number in range(rng.randint(1, 3)):
        # Each may start those before it, so nothing goes round for ever.
        made.append(random_plan(rng, name=f"p{number}", below=[plan.name for plan in made]))
    if rng.random() < 0.5:
        made.append(rng.choice(REALISTIC)())
    if people.random() < 0.3:
        made.append(people.choice(CAREFUL)())
    return [with_undos(people, plan) if people.random() < 0.3 else plan for plan in made]


def run_seed(seed: int, *, edition: int = NEWEST, storage: type[Storage] = Storage) -> Report:
    """Run one world.

    Raises:
        Finding: Something happened that must not; its log tells what.
    """
    try:
        return World(seed, edition=edition, storage=storage).run()
    except Finding:
        # Once more with the log on: the same seed is the same world.
        World(seed, edition=edition, verbose=True, storage=storage).run()
        raise
