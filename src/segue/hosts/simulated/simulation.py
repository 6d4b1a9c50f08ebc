"""A simulated world: random workflows, one host that keeps dying, an unreliable outside, and an auditor who watches.

The host is the embedded one, every part of it, on a loop, a clock and a file that one seed moves (`process.py`). A
world goes on until nothing moves any more; then faults stop, whoever waits for a person or a message gets one, and
at last everything is cancelled. After each of these the auditor compares what ought to be with what is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

from segue.hosts.contracts import FailurePolicy, UnknownRun
from segue.hosts.embedded.plans import Plans
from segue.hosts.simulated import interventions
from segue.hosts.simulated.attendants import Attendants
from segue.hosts.simulated.breaking import Breaker
from segue.hosts.simulated.drawing import besides_of, plans_of, settings_of, versions_of
from segue.hosts.simulated.faults import NEWEST, Dice, Faults
from segue.hosts.simulated.generating import HANDLERS, TYPES, scheduled_plan
from segue.hosts.simulated.guard import Guard
from segue.hosts.simulated.host import SimulatedHost
from segue.hosts.simulated.operators import Operators
from segue.hosts.simulated.outside import Outside
from segue.hosts.simulated.process import Book, Process
from segue.hosts.simulated.reach import Violation
from segue.hosts.simulated.reporting import Finding, Report
from segue.hosts.simulated.storage import Storage
from segue.hosts.simulated.time import Time
from segue.hosts.simulated.watching import Auditor
from segue.store import Batch, HostError, codec
from segue.types import (
    CLOSED,
    FailureReleased,
    RunCancelled,
    RunResumed,
)

STEPS_MAX: Final = 1_000_000
"""A world that takes more steps than this without coming to rest is taken to go round for ever."""

_CALM: Final = Faults()

Ask = Callable[[SimulatedHost], Coroutine[Any, Any, Any]]


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
        self._later = dice.of("what came later")
        self.breaker = Breaker(self, dice.of("readings"))
        self.seed = seed
        self.log: list[str] = []
        self.faults = self.now = Faults.drawn(rng, people, dice)
        self.time = Time()
        self._verbose = verbose
        self._starts: list[str] = []
        states = rng.getstate(), people.getstate()
        made = plans_of(rng, people)
        self.versions = versions_of(dice, *states) if self.faults.migrates else []
        self._scheduled = [scheduled_plan(people, name="timed")] if people.random() < self.faults.schedules else []
        # Runs beside those that the first edition starts: they have dice of their own, and are always there.
        self._besides = besides_of(self.faults, dice, below=[plan.name for plan in made])
        self.plans = [*made, *self._scheduled, *{plan.digest: plan for _, plan in self._besides}.values()]
        book = Book([*self.plans, *self.versions])
        self.digests = [plan.digest for plan in made]
        settings = settings_of(people, self.faults)
        self.guard = Guard(
            dice.of("rules"), fickle=self.faults.fickle, clocks=dice.of("deadlines"), clocked=self.faults.clocked
        )
        deciding = dice.of("decisions")
        self.attendants = Attendants(self, deciding, dice.of("staff"))
        self.operators = Operators(self, dice.of("stops"), dice.of("moves"))
        self.guard.withheld = frozenset(h for h in HANDLERS if deciding.random() < self.faults.withholds)
        self.auditor = Auditor(Plans(book), self.time, self.guard, acts_max=settings.acts_max)
        self.outside = Outside(rng, self.faults, self.auditor, self.say)
        self.storage = storage(seed, delay_ms=self.breaker.disk_ms, on_written=self._written)
        self.storage.dies = self.breaker.dies_now
        self.storage.read_fails = self.breaker.read_fails
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
            fault=self.breaker.fault,
        )
        self.time.on_jump.append(self.breaker.jumped)
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
            self.settle()
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
            self.breaker.crashes,
            sum(seen.effects.happened.values()),
            seen.held,
            seen.interventions,
            self.breaker.unread,
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

    # -- who comes in ------------------------------------------------------------------------------

    def _arrange(self) -> None:
        """Say when who will do what."""
        rng, faults = self.rng, self.faults
        span = rng.choice((0, 100, 20_000))
        for number in range(rng.randint(1, 4)):
            digest = rng.choice(self.digests)
            run_id = f"run{number}"
            self._starts.append(run_id)
            self.insist(rng.randint(0, span), partial(self._start, run_id, digest, rng.choice((None, 7, {"x": 1}))))
            if rng.random() < faults.operator:
                self.operators.operate(run_id, span)
            self.operators.meddle(span)
        for number in range(rng.randint(0, 8)):
            sent = partial(self._publish, self._message(number, rng.choice(TYPES)))
            self.insist(rng.randint(0, span * 2), sent)
            if rng.random() < faults.message_doubled:
                self.insist(rng.randint(0, span * 3), sent)
        for plan in self._scheduled:
            self.insist(self.people.randint(0, span), partial(self.operators.activate, plan))
        for run_id, plan in self._besides:
            self._starts.append(run_id)
            self.insist(self._later.randint(0, span), partial(self._start, run_id, plan.digest, None))
        if faults.crash_within_ms:
            self.time.after(rng.randint(0, faults.crash_within_ms), self.breaker.crash)
        if self.people.random() < faults.restarts:
            self.time.after(self.people.randint(0, span * 2 + 60_000), self.breaker.restart)
        self.operators.arrange_stops(span)
        self.attendants.arrange(span)
        self.operators.arrange_moves(span)
        self.attendants.arrange_looks(span)
        self.breaker.arrange_outage(span)
        for _ in range(3):
            if rng.random() < faults.clock_jumps:
                by_ms = rng.choice((-3_600_000, -50, 50, 3_600_000, 86_400_000))
                latest = rng.choice((100, span, 60_000, 3_600_000))
                self.time.after(rng.randint(0, latest), partial(self._jump, by_ms))

    def insist(self, delay_ms: int, ask: Ask) -> None:
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

    # -- the end -----------------------------------------------------------------------------------

    def settle(self) -> None:
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
        self.outside.faults = self.now = _CALM
        self.guard.stopped.clear()
        self.say("calm     nothing goes wrong from here on")
        for run_id, shadow in list(self.auditor.runs.items()):
            if shadow.state is not None and shadow.state.paused:
                self.operators.control(run_id, RunResumed(0))
        self.settle()
        self.attendants.finish()
        self._resolve()
        for number, type_ in enumerate(TYPES * 3):
            self.insist(0, partial(self._publish, self._message(1_000 + number, type_)))
        self.settle()
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
                self.operators.control(run_id, act, self.operators.outcome(run_id, state, number, likely=0.9))
            asked = self.attendants.approve_all()
            if held or asked:
                self.settle()

    def _end_everything(self) -> None:
        for plan in self._scheduled:
            self.insist(0, partial(self.operators.deactivate, plan))
        for shadow in list(self.auditor.runs.values()):
            if shadow.above is None and not shadow.hidden:
                self.operators.control(shadow.id, RunCancelled(0))
        self.settle()
        # What a cancelled run undoes may fail too, and then waits for a person.
        for _ in range(STEPS_MAX):
            runs = self.auditor.runs.values()
            held = [(s.id, number) for s in runs if s.state is not None for number in s.state.held]
            if not held and not self.attendants.approve_all():
                break
            for run_id, number in held:
                self.operators.control(run_id, FailureReleased(0, number))
            self.settle()
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
