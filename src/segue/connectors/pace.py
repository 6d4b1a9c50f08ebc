"""How fast a connection is used: a token bucket, and pauses a system asks for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


class Pace:
    """The pace of one connection, shared by every task that uses it in this process.

    Args:
        requests_per_second: Long-run rate; None for no limit.
        burst: Requests that may go out at once after a rest.
        now_s: A monotonic clock in seconds.
    """

    def __init__(
        self, requests_per_second: float | None, burst: int, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = requests_per_second
        self._burst = burst
        self._now_s = now_s
        self._free_at = 0.0
        self._paused_until = 0.0

    async def wait(self) -> None:
        """Wait for the next moment in which a request may go out, and take it."""
        while (wait_s := self._reserve()) > 0:  # noqa: ASYNC110 - it waits for time to pass, not for an event
            await asyncio.sleep(wait_s)

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
        if self._rate is None:
            return 0.0
        # The bucket as one number: the time at which it would be full again (a "virtual scheduling" bucket).
        start = max(self._free_at, now - (self._burst - 1) / self._rate)
        if start > now:
            return start - now
        self._free_at = start + 1 / self._rate
        return 0.0
