"""Virtual time: nothing waits, everything is a call at some moment, and the moments come in order."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from typing import Final

Act = Callable[[], None]

IDLE_MAX: Final = 3


class Time:
    """A queue of calls. `now` is true time since the beginning, in milliseconds; nobody inside can see it.

    What hosts see is `wall`: true time plus an offset that operators and time servers set.

    Attributes:
        furthest: The latest time that the wall clock had come to before it was set back.
        is_awaited: Whether anything will come due that only those who look at the clock notice (see `look_after`).
    """

    def __init__(self, start_ms: int = 1_700_000_000_000) -> None:
        self.now = 0
        self.offset = start_ms
        self.furthest = start_ms
        self.on_jump: list[Act] = []
        self._queue: list[tuple[int, int, Act]] = []
        self._background: list[tuple[int, int, Act]] = []
        self._looks: list[tuple[int, int, Act]] = []
        self.is_awaited: Callable[[], bool] = lambda: False
        self._idle = 0
        self._order = count()

    def wall(self) -> int:
        """The wall clock, in milliseconds since the Unix epoch."""
        return self.now + self.offset

    def after(self, delay_ms: int, act: Act, *, background: bool = False) -> None:
        """Call `act` so much later; calls of one moment come in the order in which they were asked for.

        Args:
            background: Nobody waits for it. It happens only while time goes on for something else, and no more
                than `IDLE_MAX` times in between: who looks round for the fourth time sees what they saw before.
        """
        self._add(self._background if background else self._queue, delay_ms, act)

    def look_after(self, delay_ms: int, act: Act) -> None:
        """The same for who looks at the clock now and then: only while time goes on, or something is awaited."""
        self._add(self._looks, delay_ms, act)

    def _add(self, queue: list[tuple[int, int, Act]], delay_ms: int, act: Act) -> None:
        heapq.heappush(queue, (self.now + max(0, delay_ms), next(self._order), act))

    def jump(self, by_ms: int) -> None:
        """Set the wall clock without any time passing."""
        self.furthest = max(self.furthest, self.wall())
        self.offset += by_ms
        for act in list(self.on_jump):
            act()

    def step(self) -> bool:
        """Let the next call happen; False when there is none that anybody waits for."""
        queue = self._queue
        if not queue and not (self._looks and self.is_awaited()):
            return False
        if self._looks and (not queue or self._looks[0] < queue[0]):
            queue = self._looks
        if self._background and self._idle < IDLE_MAX and self._background[0] < queue[0]:
            queue = self._background
            self._idle += 1
        elif queue is self._queue:
            self._idle = 0
        at, _, act = heapq.heappop(queue)
        self.now = max(self.now, at)
        act()
        return True
