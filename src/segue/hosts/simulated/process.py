"""One process of a simulated world: the embedded host, on a loop, a clock and a file that a seed moves."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Final

from segue.core import Plan
from segue.hosts.contracts import Door, HostSettings, PolicyOf
from segue.hosts.embedded.engine import Engine
from segue.hosts.embedded.live import LiveRun
from segue.hosts.simulated.host import SimulatedHost
from segue.hosts.simulated.loop import SimulatedClock, SimulatedLoop
from segue.hosts.simulated.storage import Storage
from segue.hosts.simulated.time import Time
from segue.hosts.simulated.watching import Auditor
from segue.store import HostError
from segue.types import Command, Handler

_BOOT_AGAIN_MS: Final = 5_000


class Book:
    """Plans by digest and by name."""

    def __init__(self, plans: Iterable[Plan]) -> None:
        self._by_digest = {plan.digest: plan for plan in plans}

    def plan(self, digest: str) -> Plan:
        """The plan with this digest."""
        return self._by_digest[digest]

    def resolve(self, namespace: str, name: str, version: str) -> str:
        """The digest of the plan of this name."""
        for plan in self._by_digest.values():
            if (plan.namespace, plan.name) == (namespace, name):
                return plan.digest
        raise LookupError(f"no definition {namespace}/{name}:{version}")


class WatchedEngine(Engine):
    """Tells the auditor what it lets out."""

    auditor: Auditor

    def _release(self, run: LiveRun, commands: Sequence[Command]) -> None:
        for command in commands:
            self.auditor.released(run.id, command)
        super()._release(run, commands)

    def quarantine(self, run: LiveRun, error: BaseException) -> None:
        """A bug stopped this run."""
        self.auditor.set_aside(run.id, error)
        super().quarantine(run, error)


class Process:
    """The process that is there now, if one is.

    Attributes:
        host: None while it is dead, starts, or ends.
    """

    def __init__(
        self,
        time: Time,
        storage: Storage,
        auditor: Auditor,
        book: Book,
        handlers: Mapping[str, Handler],
        settings: HostSettings,
        *,
        policy: PolicyOf,
        door: Door,
        fault: Callable[[int], None],
    ) -> None:
        self.host: SimulatedHost | None = None
        self._time = time
        self._storage = storage
        self._auditor = auditor
        self._book = book
        self._handlers = handlers
        self._settings = settings
        self._policy = policy
        self._door = door
        self._fault = fault
        self._loop: SimulatedLoop | None = None
        self._engine: WatchedEngine | None = None
        time.is_awaited = self._awaits

    @property
    def alive(self) -> bool:
        """There is one, and it runs, starts or ends."""
        return self._loop is not None

    def boot(self) -> None:
        """A process starts."""
        assert self._loop is None
        # What it leaves out, nobody in a host asks for.
        self._loop = SimulatedLoop(self._time)  # type: ignore[abstract]
        self._loop.spawn(self._open(self._loop))

    async def _open(self, loop: SimulatedLoop) -> None:
        clock = SimulatedClock(self._time, loop, look_ms=self._settings.clock_look_ms)
        engine = WatchedEngine(clock, self._settings, self._policy, tokens=self._storage.tokens)
        engine.auditor = self._auditor
        self._engine = engine
        try:
            self.host = await SimulatedHost.assemble(
                engine,
                lambda on_durable: self._storage.open(on_durable, self._fault),
                handlers=self._handlers,
                plans=self._book,
                secrets=_NoSecrets(),
                door=self._door,
            )
        except HostError:
            # The disk is in trouble: whoever looks after the process starts it again.
            self.leave()
            self._auditor.disturbed_at = self._time.now + _BOOT_AGAIN_MS
            self._time.after(_BOOT_AGAIN_MS, self.boot)

    def _awaits(self) -> bool:
        """Something comes due, in memory or on disk; what should have long ago is lost, and nobody waits for it."""
        if self.host is None or self._engine is None:
            return False
        timers = "SELECT 1 FROM timer WHERE due_at > ?"
        found = self._storage.connection.execute(timers, (self._time.wall() - 2 * self._settings.clock_look_ms,))
        return not self._engine.timekeeper.is_idle or found.fetchone() is not None

    def kill(self) -> None:
        """It dies where it stands."""
        loop, self._loop, self.host = self._loop, None, None
        if self._engine is not None:
            self._engine.stop()
        if loop is not None:
            loop.kill()

    def leave(self) -> None:
        """It has ended by itself; called from within."""
        if self._loop is not None:
            self._time.after(0, self._loop.kill)
        self._loop = self.host = None

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Let it do this."""
        if self._loop is None:
            work.close()
        else:
            self._loop.spawn(work)

    def look_at_clock(self) -> None:
        """Whoever keeps time looks whether the clock was set."""
        if self._loop is not None and self.host is not None:
            self._loop.run(self.host.look_at_clock)

    def check(self) -> None:
        """Raise what nobody caught.

        Raises:
            AssertionError: Something was raised in the host that should not have been.
        """
        if self._loop is not None and self._loop.errors:
            raise AssertionError(self._loop.errors[0])


class _NoSecrets:
    async def read(self, name: str) -> Any:
        raise LookupError(name)
