"""Virtual time: nothing waits, everything is a call at some moment, and the moments come in order."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

Act = Callable[[], None]


class Time:
    """A queue of calls. `now` is true time since the beginning, in milliseconds; nobody inside can see it.

    What hosts see is `wall`: true time plus an offset that operators and time servers set.
    """

    def __init__(self, start_ms: int = 1_700_000_000_000) -> None:
        self.now = 0
        self.offset = start_ms
        self.on_jump: list[Act] = []
        self._queue: list[tuple[int, int, Act]] = []
        self._order = count()

    def wall(self) -> int:
        """The wall clock, in milliseconds since the Unix epoch."""
        return self.now + self.offset

    def after(self, delay_ms: int, act: Act) -> None:
        """Call `act` so much later; calls of one moment come in the order in which they were asked for."""
        heapq.heappush(self._queue, (self.now + max(0, delay_ms), next(self._order), act))

    def jump(self, by_ms: int) -> None:
        """Set the wall clock without any time passing."""
        self.offset += by_ms
        for act in list(self.on_jump):
            act()

    def step(self) -> bool:
        """Let the next call happen; False when there is none."""
        if not self._queue:
            return False
        at, _, act = heapq.heappop(self._queue)
        self.now = max(self.now, at)
        act()
        return True

    @property
    def next_in_ms(self) -> int | None:
        """How long until the next call."""
        return self._queue[0][0] - self.now if self._queue else None
