"""Clocks: the system's, and one that a test moves by hand."""

from __future__ import annotations

import asyncio
import heapq
import math
import time
from collections.abc import Awaitable
from itertools import count


class SystemClock:
    """Wall-clock time; sleeps by the event loop's own steady clock."""

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch, UTC."""
        return time.time_ns() // 1_000_000

    async def sleep(self, seconds: float) -> None:
        """Sleep; a jump of the wall clock does not change how long."""
        await asyncio.sleep(seconds)


class VirtualClock:
    """Time that stands still until somebody moves it.

    `await clock.advance(60_000)` lets a minute pass: sleepers wake in the order in which they are due, and each
    wake-up is given the chance to run before time moves on.
    """

    def __init__(self, start_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = start_ms
        self._slept_ms = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    def now_ms(self) -> int:
        """The time it was moved to."""
        return self._now_ms

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Sleep until the clock was advanced by this much, counted from the call."""
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._slept_ms + seconds * 1000, next(self._order), future))
        return future

    @property
    def next_in_ms(self) -> int | None:
        """How long until the next sleeper wakes; None when nobody sleeps."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        if not self._sleepers:
            return None
        return max(0, math.ceil(self._sleepers[0][0] - self._slept_ms))

    async def advance(self, by_ms: int) -> None:
        """Let time pass, waking sleepers on the way."""
        target = self._slept_ms + by_ms
        started_ms, started = self._now_ms, self._slept_ms
        while self._sleepers and self._sleepers[0][0] <= target:
            due, _, future = heapq.heappop(self._sleepers)
            if future.done():
                continue
            self._slept_ms = max(self._slept_ms, due)
            self._now_ms = started_ms + round(self._slept_ms - started)
            future.set_result(None)
            for _ in range(5):
                await asyncio.sleep(0)
        self._slept_ms = target
        self._now_ms = started_ms + by_ms

    def jump(self, by_ms: int) -> None:
        """Set the wall clock forward or back without any time passing, as an operator or a time server does."""
        self._now_ms += by_ms
