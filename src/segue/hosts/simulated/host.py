"""`SimulatedHost`: the embedded host on virtual time, with a file in memory.

Time stands still while anything can go on, and then moves to the next thing that is due. A handler that waits for
something outside gets `PATIENCE_SECONDS` of real time before the virtual clock moves on without it. With
`by_hand`, time moves only in `advance`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, ClassVar, Final

from segue.hosts.clock import VirtualClock
from segue.hosts.contracts import Door, HostSettings, PlanSource, PolicyOf, no_policy
from segue.hosts.embedded.engine import Engine
from segue.hosts.embedded.host import EmbeddedHost
from segue.hosts.embedded.live import LiveRun
from segue.hosts.simulated.storage import Storage
from segue.store import Store
from segue.types import Handler, SecretSource

PATIENCE_SECONDS: Final = 0.05
"""How long the virtual clock waits for handlers that wait for something real."""

_TURNS: Final = 20
"""How often the event loop goes round before everything counts as waiting."""

_PATIENT: Final = HostSettings(
    drain_seconds=0.0, park_after_ms=10**12, park_sweep_ms=10**12, clock_look_ms=10**12, early_events_ms=10**12
)
"""Runs stay in memory, and nobody looks at the clock for nothing, so a year is one step."""


class SimulatedHost(EmbeddedHost):
    """Runs workflows on virtual time.

    Open it with `async with SimulatedHost.open(…) as host`. `storage` and `clock` outlive the host: given to
    another one, they are the same machine later.
    """

    has_upkeep: ClassVar[bool] = False

    storage: Storage
    clock: VirtualClock
    _clockwork: asyncio.Task[None] | None = None

    @classmethod
    def open(  # type: ignore[override] # there is no folder
        cls,
        *,
        handlers: Mapping[str, Handler],
        plans: PlanSource | Callable[[Store], PlanSource],
        secrets: SecretSource,
        storage: Storage | None = None,
        clock: VirtualClock | None = None,
        settings: HostSettings = _PATIENT,
        policy: PolicyOf = no_policy,
        door: Door | None = None,
        seed: int = 0,
        by_hand: bool = False,
        fault: Callable[[int], None] | None = None,
    ) -> _Opening:
        """Open a host on this file and clock, which belong together, or on new ones.

        Args:
            seed: Decides the ids of runs in a new file. by_hand: Time moves only when `advance` is called.
            fault: Called before each write with its number; may raise to make the write fail.
        """
        file, time = storage or Storage(seed), clock or VirtualClock()

        async def opened() -> SimulatedHost:
            engine = Engine(time, settings, policy, tokens=file.tokens)
            host = await cls.assemble(
                engine,
                lambda on_durable: file.open(on_durable, fault),
                handlers=handlers,
                plans=plans,
                secrets=secrets,
                door=door,
            )
            host.storage, host.clock = file, time
            if not by_hand:
                host._clockwork = asyncio.create_task(host._tick(), name="simulated-time")
            return host

        return _Opening(opened)

    async def close(self) -> None:
        """Stop everything. The file stays as it is and can be opened again."""
        if self._clockwork is not None:
            self._clockwork.cancel()
            await asyncio.gather(self._clockwork, return_exceptions=True)
            self._clockwork = None
        await super().close()

    async def crash(self) -> None:
        """Kill the process: what is not in the file is lost. Open another host on the same storage to go on."""
        self.storage.power_off(keeps=False)
        self._engine.stop()
        await self.close()

    async def advance(self, ms: int) -> None:
        """Let this much time pass, with everything that falls into it."""
        while True:
            await self._quiet()
            step = self.clock.next_in_ms
            if step is None or step > ms:
                break
            await self.clock.advance(step)
            ms -= step
        await self.clock.advance(ms)
        await self._quiet()

    def live_runs(self) -> list[LiveRun]:
        """The runs in memory."""
        return list(self._engine.runs.values())

    def look_at_clock(self) -> None:
        """The clock may have been set: timers look at it now, not only when they would anyway."""
        self._engine.timekeeper.look()

    # -- time --------------------------------------------------------------------------------------

    async def _tick(self) -> None:
        """Let everything happen that can, then wait for whoever is busy, then move the clock."""
        while True:
            await self._quiet()
            seen = self.storage.operations
            if self._engine.performer.acts:
                await asyncio.sleep(PATIENCE_SECONDS)
            step = self.clock.next_in_ms
            if self.storage.operations != seen:
                continue
            if step is None:
                await asyncio.sleep(PATIENCE_SECONDS)
            else:
                await self.clock.advance(step)

    async def _quiet(self) -> None:
        """Go on until everything waits for time, or for something real."""
        seen = -1
        while seen != self.storage.operations:
            seen = self.storage.operations
            for _ in range(_TURNS):
                await asyncio.sleep(0)


class _Opening:
    """What `SimulatedHost.open` gives: await it, or use it with `async with`."""

    def __init__(self, opened: Callable[[], Any]) -> None:
        self._opened = opened
        self._host: SimulatedHost | None = None

    def __await__(self) -> Any:
        return self._opened().__await__()

    async def __aenter__(self) -> SimulatedHost:
        self._host = await self._opened()
        assert self._host is not None
        return self._host

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._host is not None
        await self._host.close()
