"""One seed, one world: plans, runs, senders, operators, crashes, and an auditor who watches.

A world goes on until nothing moves any more; then faults stop, whoever waits for a person or a message gets one, and
at last everything is cancelled. After each of these the auditor compares what ought to be with what is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, Final

from msgspec.structs import replace

from segue.core import Plan
from segue.hosts.simulated import interventions
from segue.hosts.simulated.auditor import Auditor
from segue.hosts.simulated.disk import Disk
from segue.hosts.simulated.engine import Engine
from segue.hosts.simulated.faults import Faults
from segue.hosts.simulated.generating import TYPES, random_plan
from segue.hosts.simulated.outside import Outside
from segue.hosts.simulated.reach import Violation
from segue.hosts.simulated.realistic import CAREFUL, REALISTIC
from segue.hosts.simulated.records import EventRecord, Record, decode_event
from segue.hosts.simulated.time import Time
from segue.types import (
    CLOSED,
    FailureReleased,
    RunCancelled,
    RunPaused,
    RunResumed,
    RunStarted,
    TaskRestarted,
    TaskSkipped,
)

STEPS_MAX: Final = 50_000
"""A world that takes more steps than this without coming to rest is taken to go round for ever."""

_CRASHES_MAX: Final = 40
_CALM: Final = Faults()


Control = RunPaused | RunResumed | RunCancelled | TaskRestarted | TaskSkipped | FailureReleased


@dataclass(frozen=True, slots=True)
class Report:
    """How a world went.

    Attributes:
        held: Failures that waited for a person. interventions: What people did to tasks.
    """

    seed: int
    runs: int
    events: int
    crashes: int
    acts: int
    held: int
    interventions: int


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
    """Everything that one seed decides."""

    def __init__(
        self, seed: int, *, verbose: bool = False, engine: type[Engine] = Engine, disk: type[Disk] = Disk
    ) -> None:
        rng = self.rng = Random(seed)  # noqa: S311 - dice of a game, not of a lock
        people = self.people = Random(f"people of {seed}")  # noqa: S311 - the same
        self.seed = seed
        self.log: list[str] = []
        self.faults = Faults.drawn(rng, people)
        self.plans = _plans(rng, people)
        self.time = Time()
        self.auditor = Auditor(self.plans)
        self.crashes = 0
        self.engine: Engine | None = None
        self._verbose = verbose
        self._engine_type = engine
        self._runs: list[RunStarted] = []
        self.outside = Outside(self.time, rng, self.faults, self.auditor, self.say)
        self.disk = disk(self.time, rng, self.faults, self._written)
        self.disk.crash = self.crash
        self.say(f"world    {self.faults}")

    def run(self) -> Report:
        """Let the world run its course.

        Raises:
            Finding: Something happened that must not.
        """
        try:
            self._boot()
            self._arrange()
            self._settle()
            self._wake_everybody()
            self._end_everything()
        except (Violation, AssertionError) as error:
            raise Finding(self.seed, str(error) or repr(error), self.log) from error
        except Exception as error:
            raise Finding(self.seed, f"{type(error).__name__}: {error}", self.log) from error
        seen = self.auditor
        acts = sum(seen.happened.values())
        return Report(self.seed, len(self._runs), seen.events, self.crashes, acts, seen.held, seen.interventions)

    def say(self, line: str) -> None:
        """Add a line to the log, if there is one."""
        if self._verbose:
            self.log.append(f"{self.time.now:>10} {line}")

    # -- the process -------------------------------------------------------------------------------

    def _boot(self) -> None:
        self.engine = self._engine_type(self.plans, self.disk, self.time, self.outside, self.auditor)
        self.engine.load()
        self._compare(self.engine)
        self.engine.go_on()

    def crash(self) -> None:
        """The process dies, and another one starts a little later."""
        if self.engine is None:
            return
        self.crashes += 1
        if self.crashes == _CRASHES_MAX:
            self.disk.crash = None
        self.say("crash")
        self.engine.stop()
        self.engine = None
        self.outside.host_died()
        self.disk.power_off()
        self.time.after(self.rng.choice((0, 10, 5_000)), self._boot)

    def _written(self, records: Any) -> None:
        if self._verbose:
            for record in records:
                self.say(f"on disk  {_described(record)}")
        self.auditor.durable(records)

    # -- who comes in ------------------------------------------------------------------------------

    def _arrange(self) -> None:
        """Say when who will do what."""
        rng, faults = self.rng, self.faults
        span = rng.choice((0, 100, 20_000))
        for number in range(rng.randint(1, 4)):
            digest = rng.choice(sorted(self.plans))
            run_id = f"run{number}"
            given = rng.choice((None, 7, {"x": 1}))
            flags = ("hold",) if self.people.random() < faults.holds else ()
            self._runs.append(RunStarted(0, run_id, digest, given, f"{self.seed}-{number}", flags=flags))
            self._insist(rng.randint(0, span), self._starter(self._runs[-1]))
            if rng.random() < faults.operator:
                self._operate(run_id, span)
            self._meddle(run_id, span)
        for number in range(rng.randint(0, 8)):
            sent = self._sender(self._message(number, rng.choice(TYPES)))
            self._insist(rng.randint(0, span * 2), sent)
            if rng.random() < faults.message_doubled:
                self._insist(rng.randint(0, span * 3), sent)
        if faults.crash_within_ms:
            self.time.after(rng.randint(0, faults.crash_within_ms), self.crash)
        for _ in range(3):
            if rng.random() < faults.clock_jumps:
                by_ms = rng.choice((-3_600_000, -50, 50, 3_600_000, 86_400_000))
                latest = rng.choice((100, span, 60_000, 3_600_000))
                self.time.after(rng.randint(0, latest), partial(self._jump, by_ms))

    def _insist(self, delay_ms: int, ask: Callable[[Engine, Callable[[], None]], None]) -> None:
        """Ask the host, and again until it has said yes: whoever hears nothing asks once more."""
        heard = False

        def yes() -> None:
            nonlocal heard
            heard = True

        def attempt() -> None:
            if heard:
                return
            if self.engine is not None:
                ask(self.engine, yes)
            self.time.after(10_000, attempt)

        self.time.after(delay_ms, attempt)

    def _starter(self, start: RunStarted) -> Callable[[Engine, Callable[[], None]], None]:
        def ask(engine: Engine, yes: Callable[[], None]) -> None:
            engine.start(replace(start, at=self.time.wall()), yes)

        return ask

    def _sender(self, message: dict[str, Any]) -> Callable[[Engine, Callable[[], None]], None]:
        def ask(engine: Engine, yes: Callable[[], None]) -> None:
            engine.publish(message, yes)

        return ask

    def _message(self, number: int, type_: str) -> dict[str, Any]:
        order = self.rng.randrange(3)
        return {
            "specversion": "1.0",
            "source": "/sim",
            "id": f"m{number}",
            "type": type_,
            "data": number,
            "order": order,
        }

    def _operate(self, run_id: str, span: int) -> None:
        """An operator pauses a run and resumes it, late; or cancels it."""
        at = self.rng.randint(0, span + 1_000)
        if self.rng.random() < 0.25:
            self.time.after(at, lambda: self._control(run_id, RunCancelled(self.time.wall())))
            return
        self.time.after(at, lambda: self._control(run_id, RunPaused(self.time.wall())))
        later = at + self.rng.randint(0, self.faults.late_ms + 1_000)
        self.time.after(later, lambda: self._control(run_id, RunResumed(self.time.wall())))

    def _meddle(self, run_id: str, span: int) -> None:
        """An operator looks at the run a few times, and does something to a task then, later, or twice."""
        for _ in range(4):
            if self.people.random() < self.faults.meddles:
                self.time.after(self.people.randint(0, span * 2 + 2_000), partial(self._intervene, run_id))

    def _intervene(self, run_id: str) -> None:
        live = None if self.engine is None else self.engine.runs.get(run_id)
        if live is None or live.state is None:
            return
        act = interventions.foolish(self.people, live.plan, live.state)
        times = self.people.choice((1, 1, 1, 2))
        for _ in range(times):
            late_ms = self.people.choice((0, 0, self.people.randint(0, self.faults.late_ms + 100)))
            self.time.after(late_ms, partial(self._control, run_id, act))

    def _control(self, run_id: str, event: Control) -> None:
        if self.engine is not None:
            self.engine.control(run_id, replace(event, at=self.time.wall()), lambda: None)

    def _jump(self, by_ms: int) -> None:
        self.say(f"clock    set by {by_ms} ms")
        self.time.jump(by_ms)

    # -- the end -----------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Go on until nothing moves any more."""
        for _ in range(STEPS_MAX):
            if not self.time.step():
                break
        else:
            raise Violation(f"the world did not come to rest within {STEPS_MAX} steps")
        assert self.engine is not None
        self._compare(self.engine)
        self.auditor.check_quiet()

    def _compare(self, engine: Engine) -> None:
        for live in engine.runs.values():
            self.auditor.compare(live.id, live.state)

    @property
    def _paused(self) -> frozenset[str]:
        assert self.engine is not None
        return frozenset(run_id for run_id, live in self.engine.runs.items() if live.state.paused)

    def _wake_everybody(self) -> None:
        """From here on nothing goes wrong; operators resume, and every kind of message comes."""
        self.outside.faults = _CALM
        self.disk.crash = None
        self.say("calm     nothing goes wrong from here on")
        assert self.engine is not None
        for run_id in sorted(self._paused):
            self._control(run_id, RunResumed(self.time.wall()))
        self._settle()
        self._resolve()
        for number, type_ in enumerate(TYPES * 3):
            self._insist(0, self._sender(self._message(1_000 + number, type_)))
        self._settle()

    def _resolve(self) -> None:
        """Whatever was held is still there to be resolved; most of it is, in one way or another."""
        for _ in range(5):
            assert self.engine is not None
            held = [(live.id, number) for live in self.engine.runs.values() for number in live.state.held]
            for run_id, number in held:
                self._control(run_id, interventions.wise(self.people, number))
            if held:
                self._settle()

    def _end_everything(self) -> None:
        assert self.engine is not None
        for run_id in sorted(self.engine.runs):
            self._control(run_id, RunCancelled(self.time.wall()))
        self._settle()
        for run in self._runs:
            state = self.engine.runs[run.run_id].state
            if state.ended not in CLOSED or state.open:
                raise Violation(f"{run.run_id!r} was cancelled, but is {state.status!r} with {state.open!r} open")


def _plans(rng: Random, people: Random) -> dict[str, Plan]:
    made = [random_plan(rng, name=f"p{number}") for number in range(rng.randint(1, 3))]
    if rng.random() < 0.5:
        made.append(rng.choice(REALISTIC)())
    if people.random() < 0.3:
        made.append(people.choice(CAREFUL)())
    return {plan.digest: plan for plan in made}


def _described(record: Record) -> str:
    if isinstance(record, EventRecord):
        return f"{record.run_id} #{record.seq} {decode_event(record.raw)!r}"
    return repr(record)


def run_seed(seed: int, *, engine: type[Engine] = Engine, disk: type[Disk] = Disk) -> Report:
    """Run one world.

    Raises:
        Finding: Something happened that must not; its log tells what.
    """
    try:
        return World(seed, engine=engine, disk=disk).run()
    except Finding:
        # Once more with the log on: the same seed is the same world.
        World(seed, verbose=True, engine=engine, disk=disk).run()
        raise
