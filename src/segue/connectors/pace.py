"""How fast a connection is used: a token bucket, a ceiling on requests under way, and pauses a system asks for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from segue.connectors.connections import Limits


class Pace:
    """The pace of one connection, shared by every task that uses it in this process.

    Args:
        limits: What the connection allows.
        now_s: A monotonic clock in seconds.
    """

    def __init__(self, limits: Limits, now_s: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._now_s = now_s
        self._slots = asyncio.Semaphore(limits.concurrency)
        self._free_at = 0.0
        self._paused_until = 0.0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a free slot and for the rate, then hold the slot."""
        async with self._slots:
            while (wait_s := self._reserve()) > 0:  # noqa: ASYNC110 - it waits for time to pass, not for an event
                await asyncio.sleep(wait_s)
            yield

    def pause(self, wait_ms: int) -> None:
        """Nobody sends before this has passed."""
        self._paused_until = max(self._paused_until, self._now_s() + wait_ms / 1000)

    def paused_ms(self) -> int:
        """How long the system still wants to be left alone; 0 when it does not."""
        return max(0, round((self._paused_until - self._now_s()) * 1000))

    def _reserve(self) -> float:
        """Take the next free moment: 0 when it is now, otherwise how long to wait before asking again."""
        now = self._now_s()
        if self._paused_until > now:
            return self._paused_until - now
        rate = self.limits.requests_per_second
        if rate is None:
            return 0.0
        # The bucket as one number: the time at which it would be full again (a "virtual scheduling" bucket).
        start = max(self._free_at, now - (self.limits.burst - 1) / rate)
        if start > now:
            return start - now
        self._free_at = start + 1 / rate
        return 0.0


class Paces:
    """The pace of each connection by name; a connection with changed limits starts afresh."""

    def __init__(self) -> None:
        self._paces: dict[str, Pace] = {}

    def of(self, name: str, limits: Limits) -> Pace:
        """The pace of this connection."""
        pace = self._paces.get(name)
        if pace is None or pace.limits != limits:
            pace = self._paces[name] = Pace(limits)
        return pace
