"""Slots: how many requests may be under way, and whose turn is next.

A slot is held by a request of this process and by nothing else, so a crash leaves none behind, and a cancelled wait
or request gives its own back. Those who wait stand in lanes, one for each workflow, and lanes take turns: ten
thousand runs of one workflow do not make the single run of another wait for all of them.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class Slots:
    """Counts requests under way.

    Args:
        width: Asked each time: how many may be under way now.
        lane_max: Asked each time: how many of one lane; None for no limit.
    """

    def __init__(self, width: Callable[[], int], lane_max: Callable[[], int] | None = None) -> None:
        self._width = width
        self._lane_max = lane_max
        self._held: dict[str, int] = {}
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self.under_way = 0

    @property
    def waiting(self) -> int:
        """How many wait for a slot."""
        return sum(len(lane) for lane in self._waiting.values())

    async def take(self, lane: str) -> None:
        """Wait for a slot and hold it until `give`.

        Raises:
            Exception: What `refuse` was told to raise.
        """
        if lane not in self._waiting and self._may_go(lane) and not self._someone_may_go():
            self._hold(lane)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(lane, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.give(lane)  # the slot came in the moment of the cancel
            else:
                self._leave(lane, turn)
            raise

    @asynccontextmanager
    async def one(self, lane: str) -> AsyncIterator[None]:
        """Wait for a slot and hold it inside the block."""
        await self.take(lane)
        try:
            yield
        finally:
            self.give(lane)

    def give(self, lane: str) -> None:
        """Give a held slot back."""
        self.under_way -= 1
        self._held[lane] -= 1
        if not self._held[lane]:
            del self._held[lane]
        self.wake()

    def wake(self) -> None:
        """Let those go for whom there is room; call it when the width has grown."""
        while (lane := self._next_lane()) is not None:
            turn = self._waiting[lane].popleft()
            self._put_back(lane)
            if not turn.done():  # a cancelled wait stands here until its task has run
                self._hold(lane)
                turn.set_result(None)

    def refuse(self, error: Callable[[], Exception], *, keep: int = 0) -> None:
        """End the wait of all but the `keep` that would go first, with an error for each."""
        for place, (lane, turn) in enumerate(self._in_order()):
            if place >= keep and not turn.done():
                self._leave(lane, turn)
                turn.set_exception(error())

    def _in_order(self) -> list[tuple[str, asyncio.Future[None]]]:
        """Who waits, as the lanes take turns."""
        placed = [(row, lane, turn) for lane, queue in self._waiting.items() for row, turn in enumerate(queue)]
        return [(lane, turn) for _, lane, turn in sorted(placed, key=lambda entry: entry[0])]

    def _may_go(self, lane: str) -> bool:
        if self.under_way >= self._width():
            return False
        return self._lane_max is None or self._held.get(lane, 0) < self._lane_max()

    def _someone_may_go(self) -> bool:
        return self._next_lane() is not None

    def _next_lane(self) -> str | None:
        return next((lane for lane in self._waiting if self._may_go(lane)), None)

    def _hold(self, lane: str) -> None:
        self.under_way += 1
        self._held[lane] = self._held.get(lane, 0) + 1

    def _put_back(self, lane: str) -> None:
        """After its turn a lane stands behind the others; an empty one is forgotten."""
        if self._waiting[lane]:
            self._waiting.move_to_end(lane)
        else:
            del self._waiting[lane]

    def _leave(self, lane: str, turn: asyncio.Future[None]) -> None:
        queue = self._waiting.get(lane)
        if queue is not None and turn in queue:
            queue.remove(turn)
            if not queue:
                del self._waiting[lane]
