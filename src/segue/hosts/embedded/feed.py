"""The feed: who waits for a run to end, and who watches.

Everything told here is on disk.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from functools import partial
from typing import Final

from segue.hosts.contracts import Clock, RunChange, RunOutcome, UnknownRun
from segue.hosts.embedded.live import LiveRun
from segue.store import HostError, RunRecord, Store, codec, runs
from segue.types import EndRun

_UNREAD_MAX: Final = 10_000


class Subscription:
    """Changes of one run, or of all, as an asynchronous iterator; `close` ends it.

    A slow reader never slows the host: of a run that changed several times since it looked, it sees the newest
    change; when too many runs changed, those that changed longest ago are left out, and `missed` counts them.
    """

    def __init__(self, feed: Feed, run_id: str | None) -> None:
        self.missed = 0
        self.run_id = run_id
        self._feed = feed
        self._unread: OrderedDict[str, RunChange] = OrderedDict()
        self._news = asyncio.Event()
        self._closed = False

    def __aiter__(self) -> AsyncIterator[RunChange]:
        return self

    async def __anext__(self) -> RunChange:
        while not self._unread:
            if self._closed:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._unread.popitem(last=False)[1]

    def tell(self, change: RunChange) -> None:
        """Add a change."""
        self._unread[change.run_id] = change
        if len(self._unread) > _UNREAD_MAX:
            self._unread.popitem(last=False)
            self.missed += 1
        self._news.set()

    def close(self) -> None:
        """Receive nothing more; what is unread can still be read."""
        self._closed = True
        self._news.set()
        self._feed.unsubscribe(self)


class Feed:
    """Tells those who wait and those who watch."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._closers: dict[str, list[asyncio.Future[RunOutcome]]] = {}
        self._everything: set[Subscription] = set()
        self._single: dict[str, set[Subscription]] = {}
        self.has_subscribers = False

    def subscribe(self, run_id: str | None) -> Subscription:
        """Watch one run, or all of them."""
        subscription = Subscription(self, run_id)
        if run_id is None:
            self._everything.add(subscription)
        else:
            self._single.setdefault(run_id, set()).add(subscription)
        self.has_subscribers = True
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Watch no longer."""
        self._everything.discard(subscription)
        if subscription.run_id is not None:
            watching = self._single.get(subscription.run_id, set())
            watching.discard(subscription)
            if not watching:
                self._single.pop(subscription.run_id, None)
        self.has_subscribers = bool(self._everything or self._single)

    def changed(self, run: LiveRun) -> None:
        """Something that happened to this run is on disk."""
        if run.hidden:
            return
        plan = run.plan
        change = RunChange(run.id, plan.namespace, plan.name, run.status, run.events, self._clock.now_ms())
        for subscription in (*self._everything, *self._single.get(run.id, ())):
            subscription.tell(change)

    async def wait_closed(self, run_id: str, run: LiveRun | None) -> RunOutcome:
        """Wait until the run has ended.

        Args:
            run: It, where it is in memory.

        Raises:
            UnknownRun: There is none with this id.
            HostError: It is set aside because of a bug and will not end by itself, or the host closes.
        """
        future: asyncio.Future[RunOutcome] = asyncio.get_running_loop().create_future()
        # First listen, then look: a run that ends in between is heard.
        waiting = self._closers.setdefault(run_id, [])
        waiting.append(future)
        try:
            if run is None or run.state.ended is not None:
                record = await self._store.read(partial(runs.find_run, run_id=run_id))
                if not future.done():
                    _settle(future, run_id, record)
            return await future
        finally:
            if future in waiting:
                waiting.remove(future)
            if not waiting and self._closers.get(run_id) is waiting:
                del self._closers[run_id]

    def closed(self, run: LiveRun, command: EndRun) -> None:
        """A run has ended, and that is on disk."""
        waiting = self._closers.pop(run.id, None)
        if waiting is None:
            return
        outcome = RunOutcome(run.id, command.status, codec.settled(command.output), command.failure)
        for future in waiting:
            if not future.done():
                future.set_result(outcome)

    def quarantined(self, run: LiveRun, reason: str) -> None:
        """A run was set aside."""
        for future in self._closers.pop(run.id, ()):
            if not future.done():
                future.set_exception(_set_aside(run.id, reason))

    def close(self) -> None:
        """The host closes: nobody waits in vain."""
        for subscription in [*self._everything, *(s for group in self._single.values() for s in group)]:
            subscription.close()
        for waiting in list(self._closers.values()):
            for future in waiting:
                if not future.done():
                    future.set_exception(HostError("the host closes; the run goes on at the next start"))


def _settle(future: asyncio.Future[RunOutcome], run_id: str, record: RunRecord | None) -> None:
    if record is None:
        future.set_exception(UnknownRun(f"there is no run {run_id!r}"))
    elif record.is_closed:
        future.set_result(RunOutcome(record.id, record.status, record.output, record.failure))
    elif record.residence == "quarantined":
        future.set_exception(_set_aside(run_id, record.reason or ""))


def _set_aside(run_id: str, reason: str) -> HostError:
    return HostError(
        f"run {run_id!r} is set aside because a bug stopped it ({reason}); its history is kept. Cancel it, or"
        " report the bug and go on with a release that mends it"
    )
