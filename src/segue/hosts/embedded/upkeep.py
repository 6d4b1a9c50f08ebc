"""Upkeep: what the host does for its data folder beside the work.

Every second it looks at the free disk space. Below the watermark, work that would come in (starts, events, due
schedules) is shed, so that what is under way has the rest of the disk to itself. Every few seconds it notes how far
the file has come (`segue.store.mark`). Every hour it removes what is no longer kept (`segue.store.retention`).
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from segue.hosts.embedded.engine import Engine
from segue.hosts.embedded.own import spawn
from segue.store import DiskLow, HostError, Purged, Store, purge
from segue.types import whereabouts

_log = logging.getLogger("segue.hosts")

_SECONDS: Final = 1.0
_TICK_EVERY: Final = 5
_FIRST_PURGE_SECONDS: Final = 60.0
_PURGE_SECONDS: Final = 3600.0
_MEGABYTE: Final = 1_000_000


class Upkeep:
    """One task beside the engine.

    Args:
        free_bytes: Testing seam: what is free on the disk of this folder.
    """

    def __init__(self, engine: Engine, store: Store, *, free_bytes: Callable[[Path], int] | None = None) -> None:
        self._engine = engine
        self._store = store
        self._free_bytes = free_bytes or _free_bytes
        self._tasks: list[asyncio.Task[None]] = []
        self._purging = asyncio.Lock()

    def open(self) -> None:
        """Begin. The disk is looked at once before this returns."""
        self.look_at_disk()
        self._tasks = [
            spawn(self._keep(), "segue-upkeep"),
            spawn(self._purge_regularly(), "segue-retention"),
        ]

    async def close(self) -> None:
        """Stop."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def purge(self, *, seconds: float | None = None) -> Purged:
        """Remove now what retention no longer keeps; one at a time.

        Raises:
            HostError: The store cannot be read or written.
        """
        async with self._purging:
            rules = self._engine.settings.retention
            return await purge(self._store, rules, self._engine.clock.now_ms(), seconds=seconds)

    async def _purge_regularly(self) -> None:
        await self._engine.clock.sleep(_FIRST_PURGE_SECONDS)
        while True:
            try:
                purged = await self.purge()
                if purged.runs or purged.events:
                    _log.info("retention removed %d runs and %d events", purged.runs, purged.events)
            except HostError:
                pass  # The commit says so itself; what is due is still due next time.
            except Exception:
                _log.error("retention goes on after an error: %s", whereabouts())
            await self._engine.clock.sleep(_PURGE_SECONDS)

    async def _keep(self) -> None:
        turn = 0
        while True:
            await self._engine.clock.sleep(_SECONDS)
            turn += 1
            try:
                self.look_at_disk()
                if turn % _TICK_EVERY == 0:
                    await self._store.tick()
            except HostError:
                pass  # The commit says so itself, to everybody who asks.
            except Exception:
                _log.error("upkeep goes on after an error: %s", whereabouts())

    def look_at_disk(self) -> None:
        """Shed new work while too little is free."""
        wanted = self._engine.settings.disk_free_min_bytes
        if not wanted:
            return
        try:
            free = self._free_bytes(self._store.folder)
        except OSError as error:
            _log.warning("the free disk space cannot be read: %s", error)
            return
        was_low = self._engine.shedding is not None
        self._engine.shedding = _low(self._store.folder, free, wanted) if free < wanted else None
        if not was_low and self._engine.shedding is not None:
            _log.warning("%s", self._engine.shedding)
        elif was_low and self._engine.shedding is None:
            _log.warning("there is enough disk space again: new work is taken")


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _low(folder: Path, free: int, wanted: int) -> DiskLow:
    return DiskLow(
        f"only {free // _MEGABYTE} MB are free on the disk of {str(folder)!r}, and {wanted // _MEGABYTE} MB must be"
        " (setting disk_free_min_mb): new runs and events are not taken until there is more space; what is under way"
        " goes on"
    )
