"""`SimulatedHost`: the API of the embedded host, on virtual time and an in-memory disk.

Time stands still while anything can go on, and then moves to the next thing that is due. A handler that waits for
something outside gets `PATIENCE_SECONDS` of real time before the virtual clock moves on without it. With
`by_hand`, time moves only in `advance`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from random import Random
from types import TracebackType
from typing import Any, Final

import msgspec

from segue.hosts.contracts import HostHealth, PlanSource, RunOutcome, UnknownRun
from segue.hosts.simulated.contracts import Reply
from segue.hosts.simulated.disk import Disk
from segue.hosts.simulated.engine import Engine
from segue.hosts.simulated.faults import Faults
from segue.hosts.simulated.records import EventRecord, decode_event, key_of
from segue.hosts.simulated.time import Time
from segue.types import (
    CLOSED,
    NOT_DONE,
    EffectContext,
    EndRun,
    Event,
    Failure,
    FailureReleased,
    Handler,
    Perform,
    Recovery,
    RunCancelled,
    RunPaused,
    RunResumed,
    RunStarted,
    RunStatus,
    SecretSource,
    TaskFailure,
    TaskRestarted,
    TaskSkipped,
    failure,
)

PATIENCE_SECONDS: Final = 0.05
"""How long the virtual clock waits for handlers that wait for something real."""

_TURNS: Final = 20
"""How often the event loop goes round before everything counts as waiting."""

Control = RunPaused | RunResumed | RunCancelled | TaskRestarted | TaskSkipped | FailureReleased

_RUN_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,199}")


class SimulatedRun(msgspec.Struct, frozen=True):
    """What `SimulatedHost.run` tells of a run."""

    id: str
    digest: str
    namespace: str
    name: str
    version: str
    status: RunStatus
    started_at: int
    output: Any = None
    failure: Failure | None = None

    @property
    def is_closed(self) -> bool:
        """Nothing happens to it any more."""
        return self.status in CLOSED


class SimulatedHost:
    """Runs workflows on virtual time.

    Open it with `async with SimulatedHost.open(…) as host`. `crash()` kills the process and starts another one on the
    same disk.
    """

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        plans: PlanSource,
        secrets: SecretSource,
        disk: Disk,
        time: Time,
        *,
        by_hand: bool,
    ) -> None:
        self.disk = disk
        self.time = time
        self._by_hand = by_hand
        self._plans = _Plans(plans)
        self._acts = _Acts(handlers, secrets, self._stir)
        self._stirred = asyncio.Event()
        self._closed: dict[str, EndRun] = {}
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        self._count = 0
        self._clockwork: asyncio.Task[None] | None = None
        self._engine = self._boot()

    @classmethod
    def open(
        cls,
        *,
        handlers: Mapping[str, Handler],
        plans: PlanSource,
        secrets: SecretSource,
        seed: int = 0,
        faults: Faults | None = None,
        disk: Disk | None = None,
        time: Time | None = None,
        by_hand: bool = False,
    ) -> _Opening:
        """Open a host on this disk and clock, which belong together, or on new ones.

        Args:
            seed: Decides how long each write takes. faults: Of the disk; none unless given.
            by_hand: Time moves only when `advance` is called.
        """
        clock = time or Time()
        rng = Random(seed)  # noqa: S311 - dice of a game, not of a lock
        opened = disk or Disk(clock, rng, faults or Faults())
        return _Opening(lambda: cls(handlers, plans, secrets, opened, clock, by_hand=by_hand))

    async def close(self) -> None:
        """Stop everything. The disk stays as it is and can be opened again."""
        if self._clockwork is not None:
            self._clockwork.cancel()
            await asyncio.gather(self._clockwork, return_exceptions=True)
            self._clockwork = None
        self._kill()
        await self._acts.stop()

    async def crash(self) -> None:
        """Kill the process and start another one."""
        self._kill()
        await self._acts.stop()
        self._engine = self._boot()
        self._stir()

    async def advance(self, ms: int) -> None:
        """Let this much time pass, with everything that falls into it."""
        until = self.time.now + ms
        while True:
            await self._quiet()
            next_in_ms = self.time.next_in_ms
            if next_in_ms is None or self.time.now + next_in_ms > until:
                break
            self.time.step()
        self.time.now = until

    def health(self) -> HostHealth:
        """How much is under way."""
        live = sum(not r.state.closed or bool(r.state.open) for r in self._engine.runs.values())
        return HostHealth(self._engine.alive, None, live, self._acts.under_way, 0)

    # -- runs --------------------------------------------------------------------------------------

    async def start(
        self, digest: str, input: Any = None, *, run_id: str | None = None, cause: Mapping[str, Any] | None = None
    ) -> str:
        """Start a run; returns its id when the start is on disk. Starting an id twice starts it once.

        Raises:
            LookupError: There is no such definition.
            ValueError: The id or the input is not acceptable.
        """
        if run_id is not None and not _RUN_ID.fullmatch(run_id):
            raise ValueError(f"run id {run_id!r} is not acceptable: use letters, digits and ._:@-")
        self._plans[digest]
        self._count += 1
        chosen = run_id or f"run-{self._count}"
        event = RunStarted(self.time.wall(), chosen, digest, input, f"seed-{chosen}", dict(cause or {}))
        _settled(event)
        await self._until_done(lambda yes: self._engine.start(event, yes))
        return chosen

    async def wait_closed(self, run_id: str) -> RunOutcome:
        """Wait until the run has ended.

        Raises:
            UnknownRun: There is none with this id.
        """
        self._live(run_id)
        while run_id not in self._closed:
            future = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(run_id, []).append(future)
            self._stir()
            await future
        end = self._closed[run_id]
        return RunOutcome(run_id, end.status, end.output, end.failure)

    async def control(self, run_id: str, event: Control) -> bool:
        """Control a run or its tasks; returns when that is on disk, False when the run had ended before.

        Raises:
            UnknownRun: There is none with this id.
        """
        self._live(run_id)
        timed = msgspec.structs.replace(event, at=self.time.wall())
        accepted = False

        def ask(yes: Callable[[], None]) -> None:
            nonlocal accepted
            accepted = self._engine.control(run_id, timed, yes)
            if not accepted:
                yes()

        await self._until_done(ask)
        return accepted

    async def run(self, run_id: str) -> SimulatedRun | None:
        """The run with this id."""
        live = self._engine.runs.get(run_id)
        if live is None:
            return None
        plan, state = live.plan, live.state
        return SimulatedRun(
            run_id,
            plan.digest,
            plan.namespace,
            plan.name,
            plan.version,
            state.status,
            state.started_at,
            state.output,
            state.failure,
        )

    async def history(self, run_id: str, *, offset: int = 0, limit: int | None = None) -> list[Event]:
        """Events of a run that are on disk, oldest first.

        Raises:
            UnknownRun: There is none with this id.
        """
        self._live(run_id)
        return self._events(run_id)[offset : None if limit is None else offset + limit]

    # -- events ------------------------------------------------------------------------------------

    async def publish(self, event: Mapping[str, Any]) -> bool:
        """Take in a CloudEvent; returns when it is on disk, False when its source and id were seen before.

        Raises:
            ValueError: It lacks `id`, `source` or `type`, or is not JSON.
        """
        envelope = _checked(event)
        is_new = False

        def ask(yes: Callable[[], None]) -> None:
            nonlocal is_new
            is_new = self._engine.publish(envelope, yes)

        await self._until_done(ask)
        return is_new

    async def publish_many(self, events: Sequence[Mapping[str, Any]]) -> list[bool]:
        """Take in CloudEvents in this order; see `publish`."""
        for event in events:
            _checked(event)
        return [await self.publish(event) for event in events]

    # -- inside ------------------------------------------------------------------------------------

    def _boot(self) -> Engine:
        engine = Engine(self._plans, self.disk, self.time, self._acts)
        engine.on_closed = self._on_closed
        engine.load()
        self._acts.engine = engine
        engine.go_on()
        return engine

    def _kill(self) -> None:
        if self._engine.alive:
            self._engine.stop()
            self.disk.power_off()

    def _live(self, run_id: str) -> Any:
        live = self._engine.runs.get(run_id)
        if live is None:
            raise UnknownRun(f"there is no run {run_id!r}")
        return live

    def _events(self, run_id: str) -> list[Event]:
        kept = (r for r in self.disk.durable if isinstance(r, EventRecord) and r.run_id == run_id)
        return [decode_event(record.raw) for record in kept]

    def _on_closed(self, run_id: str, command: EndRun) -> None:
        self._closed[run_id] = command
        for future in self._waiting.pop(run_id, []):
            if not future.done():
                future.set_result(None)

    async def _until_done(self, ask: Callable[[Callable[[], None]], None]) -> None:
        done = asyncio.get_running_loop().create_future()
        ask(lambda: None if done.done() else done.set_result(None))
        self._stir()
        await done

    def _stir(self) -> None:
        """Something may go on: the clockwork looks again."""
        self._stirred.set()
        if self._clockwork is None:
            self._clockwork = asyncio.create_task(self._tick(), name="simulated-time")

    async def _tick(self) -> None:
        """Let everything happen that is due, then wait for whoever is busy, then move the clock."""
        while True:
            await self._quiet()
            if self._by_hand or self.time.next_in_ms is None:
                await self._stirred.wait()
            elif not self._acts.under_way or not await self._acts.wait(PATIENCE_SECONDS):
                self.time.step()

    async def _quiet(self) -> None:
        """Go on until everything waits for time, or for something real."""
        while True:
            self._stirred.clear()
            while self.time.next_in_ms is not None and self.time.next_in_ms <= 0:
                self.time.step()
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            is_due = self.time.next_in_ms is not None and self.time.next_in_ms <= 0
            if not is_due and not self._stirred.is_set():
                return


class _Acts:
    """Performs commands through handlers, as asyncio tasks (see `engine.Performer`)."""

    def __init__(self, handlers: Mapping[str, Handler], secrets: SecretSource, stir: Callable[[], None]) -> None:
        self.engine: Engine
        self._handlers = handlers
        self._secrets = secrets
        self._stir = stir
        self._tasks: dict[tuple[str, int], asyncio.Task[None]] = {}

    @property
    def under_way(self) -> int:
        """How many handlers are at work."""
        return len(self._tasks)

    async def wait(self, seconds: float) -> bool:
        """Wait for one of them; False when none came to an end."""
        done, _ = await asyncio.wait(list(self._tasks.values()), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)

    async def stop(self) -> None:
        """Stop them all, unheard."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def recovery(self, command: Perform) -> Recovery:
        """As the handler declares it."""
        handler = self._handlers.get(command.handler)
        return "repeat" if handler is None else handler.recovery(command)

    def perform(self, run_id: str, command: Perform, key: str, recovering: bool, reply: Reply) -> None:
        """Act, through the handler of this name."""
        handler = self._handlers.get(command.handler)
        if handler is None:
            detail = f"no handler {command.handler!r} is installed here; install or allow it, then run again"
            reply(failure("configuration", detail))
            return
        context = self._context(run_id, key, recovering)
        self._begin(run_id, command, self._answer(handler.perform(command, context), reply))

    def verify(self, run_id: str, command: Perform, key: str, reply: Reply, absent: Callable[[], None]) -> None:
        """Look the act up through its handler."""
        found = self._handlers[command.handler].verify(command, self._context(run_id, key, True))

        def settle(result: Any) -> None:
            # The lookup is over: the act may begin under its own name.
            self._tasks.pop((run_id, command.id), None)
            absent() if result is NOT_DONE else reply(result)

        self._begin(run_id, command, self._answer(found, settle))

    def ask(self, run_id: str, command: Perform, key: str, reply: Reply, absent: Callable[[], None]) -> None:
        """Nobody is here to ask: the outcome is unknown."""
        detail = (
            f"an attempt at {command.name!r} ended without an answer, and the system cannot be asked whether it"
            " happened: look there, then go on by hand"
        )
        reply(failure("runtime", detail, outcome_unknown=True))

    def cancel(self, run_id: str, command_id: int) -> None:
        """Cancel the handler's task."""
        task = self._tasks.pop((run_id, command_id), None)
        if task is not None:
            task.cancel()

    def _begin(self, run_id: str, command: Perform, work: Any) -> None:
        place = (run_id, command.id)
        task = self._tasks[place] = asyncio.create_task(work)
        task.add_done_callback(lambda done: self._finished(place, done))

    def _finished(self, place: tuple[str, int], task: asyncio.Task[None]) -> None:
        if self._tasks.get(place) is task:
            del self._tasks[place]
        self._stir()

    async def _answer(self, work: Any, reply: Reply) -> None:
        try:
            answer = await work
        except TaskFailure as error:
            answer = error.failure
        except Exception as error:
            answer = failure("runtime", f"the handler failed: {type(error).__name__}: {error}")
        reply(answer)

    def _context(self, run_id: str, key: str, recovering: bool) -> EffectContext:
        live = self.engine.runs[run_id]
        plan = live.plan
        workflow = f"{plan.namespace}/{plan.name}:{plan.version}"
        return EffectContext(run_id, workflow, key, self._secrets, recovering, live.cause)


class _Plans(dict[str, Any]):
    """Plans by digest, fetched when they are first asked for."""

    def __init__(self, source: PlanSource) -> None:
        super().__init__()
        self._source = source

    def __missing__(self, digest: str) -> Any:
        plan = self[digest] = self._source.plan(digest)
        return plan


class _Opening:
    """What `SimulatedHost.open` gives: await it, or use it with `async with`."""

    def __init__(self, make: Callable[[], SimulatedHost]) -> None:
        self._make = make
        self._host: SimulatedHost | None = None

    def __await__(self) -> Any:
        return self._open().__await__()

    async def _open(self) -> SimulatedHost:
        return self._make()

    async def __aenter__(self) -> SimulatedHost:
        self._host = self._make()
        return self._host

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._host is not None
        await self._host.close()


def _settled(value: Any) -> Any:
    try:
        return msgspec.json.decode(msgspec.json.encode(value))
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise ValueError(f"not a JSON value: {error}") from error


def _checked(event: Mapping[str, Any]) -> dict[str, Any]:
    envelope: dict[str, Any] = _settled(dict(event))
    for name in ("id", "source", "type"):
        if not isinstance(envelope.get(name), str) or not envelope[name]:
            raise ValueError(f"a CloudEvent needs a non-empty text {name!r}; this one has {envelope.get(name)!r}")
    assert key_of(envelope)
    return envelope
