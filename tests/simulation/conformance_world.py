"""The simulated host's place in the conformance suite of hosts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from tests.conformance.hosts.building import NoSecrets, PlanBook

from segue.core import Plan
from segue.hosts import HostSettings
from segue.hosts.simulated import SimulatedHost
from segue.hosts.simulated.disk import Disk
from segue.hosts.simulated.time import Time
from segue.types import Handler


class SimulatedWorld:
    """One virtual clock and one in-memory disk; time moves by hand, as in the other worlds.

    It claims neither parking, schedules, child runs nor writes that fail: those belong to hosts with a store.
    """

    def __init__(self, folder: Any = None) -> None:
        self.settings = HostSettings()
        self.time = Time()
        self.disk: Disk | None = None
        self.host: Any = None

    async def open(self, handlers: Mapping[str, Handler], *plans: Plan) -> SimulatedHost:
        """Open the host; what was there before goes on."""
        self.host = await SimulatedHost.open(
            handlers=handlers,
            plans=PlanBook(*plans),
            secrets=NoSecrets(),
            disk=self.disk,
            time=self.time,
            by_hand=True,
        )
        self.disk = self.host.disk
        return self.host

    async def close(self) -> None:
        """Close the host properly."""
        if self.host is not None:
            await self.host.close()
            self.host = None

    async def crash(self) -> None:
        """Let the process die."""
        await self.close()

    async def advance(self, ms: int) -> None:
        """Let time pass."""
        if self.host is None:
            self.time.now += ms
        else:
            await self.host.advance(ms)
        await asyncio.sleep(0)

    def jump(self, ms: int) -> None:
        """Set the wall clock without time passing."""
        self.time.jump(ms)
