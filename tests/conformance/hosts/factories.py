"""Worlds: how the suite makes, moves and breaks a host. A new host joins by adding its world to `WORLDS`."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from tests.conformance.hosts.building import NoSecrets, PlanBook

from segue.core import Plan
from segue.hosts import EmbeddedHost, HostSettings, PolicyOf, VirtualClock
from segue.hosts.contracts import Door, OpenDoor, no_policy
from segue.hosts.simulated import SimulatedHost
from segue.hosts.simulated.storage import Storage
from segue.types import Handler


class World(Protocol):
    """One place with one host at a time."""

    host: Any
    settings: HostSettings
    policy: PolicyOf
    door: Door

    async def open(self, handlers: Mapping[str, Handler], *plans: Plan) -> Any:
        """Open the host; what was there before goes on."""
        ...

    async def close(self) -> None:
        """Close the host properly."""
        ...

    async def crash(self) -> None:
        """Let the process die: nothing that is not on disk survives."""
        ...

    async def advance(self, ms: int) -> None:
        """Let time pass."""
        ...

    def jump(self, ms: int) -> None:
        """Set the wall clock without time passing."""
        ...

    def fail_writes(self, *numbers: int) -> None:
        """Let the writes with these numbers, from now on, fail once each."""
        ...


class EmbeddedWorld:
    """A data folder, a virtual clock, and a disk that can be told to fail."""

    def __init__(self, folder: Path, settings: HostSettings | None = None) -> None:
        self.folder = folder
        self.clock = VirtualClock()
        # Runs stay in memory unless a test is about parking.
        self.settings = settings or HostSettings(drain_seconds=0.0, park_after_ms=10**12)
        self.policy: PolicyOf = no_policy
        self.door: Door = OpenDoor()
        self.host: Any = None
        self.writes = 0
        self._dead = False
        self._failing: set[int] = set()

    async def open(self, handlers: Mapping[str, Handler], *plans: Plan) -> Any:
        self._dead = False
        self.host = await self._open(
            handlers=handlers,
            plans=PlanBook(*plans),
            secrets=NoSecrets(),
            clock=self.clock,
            settings=self.settings,
            policy=self.policy,
            door=self.door,
            fault=self._fault,
        )
        return self.host

    async def _open(self, **parts: Any) -> Any:
        return await EmbeddedHost.open(self.folder / "data", **parts)

    async def close(self) -> None:
        if self.host is not None:
            host, self.host = self.host, None
            await host.close()

    async def crash(self) -> None:
        # A disk that takes nothing more: whatever the host still does leaves no trace, as if it had been killed.
        self._dead = True
        await self.close()

    async def advance(self, ms: int) -> None:
        # In steps: reading and writing threads live in real time and must get some of it on the way.
        if self.host is None:
            self.clock.jump(ms)
            return
        while ms > 0:
            step = min(ms, 30_000)
            await self.clock.advance(step)
            await asyncio.sleep(0.002)
            ms -= step

    def jump(self, ms: int) -> None:
        self.clock.jump(ms)

    def fail_writes(self, *numbers: int) -> None:
        self._failing = {self.writes + number for number in numbers}

    def _fault(self, number: int) -> None:
        self.writes += 1
        if self._dead or self.writes in self._failing:
            raise sqlite3.OperationalError("database or disk is full")


class SimulatedWorld(EmbeddedWorld):
    """A file in memory instead of the folder; the process can really be killed."""

    def __init__(self, folder: Path, settings: HostSettings | None = None) -> None:
        super().__init__(folder, settings)
        self.storage = Storage()

    async def _open(self, **parts: Any) -> Any:
        return await SimulatedHost.open(storage=self.storage, by_hand=True, **parts)

    async def crash(self) -> None:
        if self.host is not None:
            host, self.host = self.host, None
            await host.crash()


class SnapshotWorld(EmbeddedWorld):
    """The same host, which writes a snapshot after every event, and so always goes on from one."""

    history_max_events = 0

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "settings":
            value = replace(value, snapshot_events=1, history_max_events=self.history_max_events)
        super().__setattr__(name, value)


class FoldingWorld(SnapshotWorld):
    """And which folds all but the newest events."""

    history_max_events = 4


WORLDS: dict[str, Callable[[Path], World]] = {
    "embedded": EmbeddedWorld,
    "snapshots": SnapshotWorld,
    "folding": FoldingWorld,
    "simulated": SimulatedWorld,
}
