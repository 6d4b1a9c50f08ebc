"""How long the host waits before it asks a store in trouble once more: longer each time, up to half a minute.

A file that cannot be read for an hour must neither be asked four thousand times nor fill the log; one that is away
for a moment should not hold anybody up for long.
"""

from __future__ import annotations

from typing import Final

from segue.hosts.contracts import Clock

_FIRST_SECONDS: Final = 1.0
_LONGEST_SECONDS: Final = 30.0


class Patience:
    """The waits of one piece of work, on the host's clock, which a set wall clock does not move."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._next = _FIRST_SECONDS

    async def wait(self) -> None:
        """Wait, and twice as long the next time."""
        seconds, self._next = self._next, min(self._next * 2, _LONGEST_SECONDS)
        await self._clock.sleep(seconds)

    def rest(self) -> None:
        """It worked: the next trouble is another one."""
        self._next = _FIRST_SECONDS
