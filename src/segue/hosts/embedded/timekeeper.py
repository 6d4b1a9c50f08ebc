"""The timekeeper: everything that happens because time has passed.

One heap holds the timers of runs in memory, those of parked runs that come due within the next minute, and the
host's own. One task sleeps until the first of them. It never sleeps longer than half a minute
(`HostSettings.clock_look_ms`), so a clock that was set forward, or a machine that was suspended, is noticed.

Another task reads the timers of parked runs ahead. Nobody waits for it: a file that is slow or cannot be read holds
up the runs that are only there, and no others.

A timer that nobody waits for any more stays in the heap until half of it are such; then the heap is built anew.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Callable
from itertools import count
from typing import Final

from segue.hosts.embedded.engine import Engine
from segue.hosts.embedded.live import LiveRun
from segue.hosts.embedded.own import spawn
from segue.hosts.embedded.patience import Patience
from segue.store import HostError, Store, records
from segue.types import StartTimer, TimerFired, whereabouts

_log = logging.getLogger("segue.hosts")

_FIRED_AT_ONCE: Final = 256
_ABANDONED_MIN: Final = 1000

Target = LiveRun | int | Callable[[], None]


class Timekeeper:
    """Fires timers. A parked run is woken by its number; it finds its due timers itself."""

    def __init__(self, engine: Engine, store: Store) -> None:
        self._engine = engine
        self._store = store
        self._sleep_ms_max = engine.settings.clock_look_ms
        self._heap: list[tuple[int, int, Target, int]] = []
        self._order = count()
        self._read_until = -1
        self._abandoned = 0
        self._sleeping: asyncio.Future[None] | None = None
        self._wake_at = 0
        self._task: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None

    @property
    def is_idle(self) -> bool:
        """Nothing in memory comes due."""
        return not self._heap

    def start(self, run: LiveRun, command: StartTimer) -> None:
        """Tell the run when the timer has come due."""
        self._push(command.due_ms, run, command.id)

    def at(self, due_ms: int, act: Callable[[], None]) -> None:
        """Call `act` when this time has come. It cannot be taken back: `act` checks whether it is still wanted."""
        self._push(due_ms, act, 0)

    def expect(self, seq: int, due_ms: int) -> None:
        """A parked run has a timer. Those beyond the next minute are read from the store in time."""
        if due_ms <= self._read_until:
            self._push(due_ms, seq, 0)

    def abandon(self, timers: int) -> None:
        """About so many timers are not waited for any more."""
        self._abandoned += timers
        if self._abandoned > _ABANDONED_MIN and self._abandoned > len(self._heap) // 2:
            self._heap = [item for item in self._heap if _is_wanted(item[2], item[3])]
            heapq.heapify(self._heap)
            self._abandoned = 0

    def look(self) -> None:
        """Look at the clock now: it may have been set."""
        if self._sleeping is not None:
            self._sleeping.cancel()

    async def open(self) -> None:
        """Begin to keep time."""
        await self._look_ahead()
        self._task = spawn(self._keep(), "segue-timekeeper")

    async def close(self) -> None:
        """Fire nothing any more."""
        for task in (self._task, self._reading, self._sleeping):
            if task is not None:
                task.cancel()
        tasks = [task for task in (self._task, self._reading) if task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)

    def _push(self, due_ms: int, target: Target, command_id: int) -> None:
        heapq.heappush(self._heap, (due_ms, next(self._order), target, command_id))
        if due_ms < self._wake_at and self._sleeping is not None:
            self._wake_at = due_ms
            self._sleeping.cancel()

    async def _keep(self) -> None:
        while True:
            try:
                if self._reading is None and self._must_read:
                    self._reading = spawn(self._read_ahead(), "segue-look-ahead")
                await self._fire_due()
                await self._sleep()
            except Exception:
                _log.error("the timekeeper goes on after an error: %s", whereabouts())
                await self._engine.clock.sleep(1.0)

    @property
    def _must_read(self) -> bool:
        return self._engine.clock.now_ms() + self._sleep_ms_max >= self._read_until

    async def _read_ahead(self) -> None:
        """Look ahead, however long the store is in trouble."""
        patience = Patience(self._engine.clock)
        try:
            while self._must_read:
                try:
                    await self._look_ahead()
                except HostError as error:
                    _log.warning("timers of parked runs are read again soon: %s", error)
                    await patience.wait()
        finally:
            self._reading = None

    async def _look_ahead(self) -> None:
        """Read the timers of parked runs that come due soon.

        A clock that is set back needs no care: what was read then is in the heap, and `expect` adds the rest.
        """
        known_until = self._read_until
        until = self._engine.clock.now_ms() + 2 * self._sleep_ms_max
        # From here on `expect` adds what is parked while the query is under way; waking a run twice does no harm.
        self._read_until = until
        try:
            found = await self._store.read(lambda c: records.due_timers(c, until))
        except BaseException:
            # Else nobody would look into this window again, and its timers were lost.
            self._read_until = known_until
            raise
        for due_ms, seq in found:
            if due_ms > known_until:
                self._push(due_ms, seq, 0)

    async def _fire_due(self) -> None:
        """Fire what is due, with a pause for the others after every few."""
        fired = 0
        while self._heap and self._heap[0][0] <= self._engine.clock.now_ms():
            _, _, target, command_id = heapq.heappop(self._heap)
            if not _is_wanted(target, command_id):
                continue
            if isinstance(target, LiveRun):
                self._engine.apply(target, TimerFired(self._engine.clock.now_ms(), command_id))
            elif isinstance(target, int):
                self._engine.parking.wake(target)
            else:
                target()
            fired += 1
            if fired % _FIRED_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _sleep(self) -> None:
        now = self._engine.clock.now_ms()
        wait_ms = self._sleep_ms_max
        if self._heap:
            wait_ms = min(wait_ms, max(0, self._heap[0][0] - now))
        self._wake_at = now + wait_ms
        self._sleeping = asyncio.ensure_future(self._engine.clock.sleep(wait_ms / 1000))
        await asyncio.wait([self._sleeping])
        self._sleeping = None


def _is_wanted(target: Target, command_id: int) -> bool:
    return not isinstance(target, LiveRun) or (not target.gone and command_id in target.state.open)
