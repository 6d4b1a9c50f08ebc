"""The postman: CloudEvents come in, or are emitted by runs, and reach the runs that wait for them.

An event is on disk before anybody is offered it, and is offered in the order of arrival. Which run takes it the core
decides; a run takes an event once. A wait that opens is first offered the events that came before it (ruling R22),
then joins the index.

`offered` is the newest event such that it and all before it have been offered to everybody. It reaches the disk now
and then: after a crash the events behind it are offered again, and runs that took them refuse them. What arrives
until that is done waits for its turn on disk.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from segue.core import consumes
from segue.hosts.embedded.engine import Engine
from segue.hosts.embedded.live import LiveRun
from segue.hosts.embedded.own import spawn
from segue.hosts.embedded.patience import Patience
from segue.store import HostError, Store, StoredEvent, codec, records
from segue.types import AwaitMessages, MessageConsumed, whereabouts

_log = logging.getLogger("segue.hosts")

ANY: Final = ""
"""Stands for any event type in indexes."""

_OFFERED_KEY: Final = "events-offered"
_PAGE: Final = 500
_WOKEN_AT_ONCE: Final = 256
_TYPES_MIN: Final = 10_000
"""So many types are remembered before any are looked through for those that are over."""

Key = tuple[str, str]


class Postman:
    """Stores and delivers events."""

    def __init__(self, engine: Engine, store: Store) -> None:
        self._engine = engine
        self._store = store
        self._index: dict[str, dict[LiveRun, set[int]]] = {}
        self._open: dict[LiveRun, dict[int, tuple[str, ...]]] = {}
        # Waits that are being offered what came before them, and what arrived for them meanwhile.
        self._backlog: dict[tuple[LiveRun, int], list[StoredEvent]] = {}
        self._parked_types: set[str] = set()
        self._latest: dict[str, int] = {}
        self._latest_max = _TYPES_MIN
        # Events on their way to the disk; done once it is decided whether they are new.
        self._arriving: dict[Key, asyncio.Future[None]] = {}
        self._queue: deque[StoredEvent] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._patience = Patience(engine.clock)
        # Runs that have come back into memory since the first queued event was offered to those that were there.
        self._back: set[int] = set()
        self._searches: set[asyncio.Task[None]] = set()
        self._next_seq = 1
        self.offered = 0
        self._offered_on_disk = 0
        # Up to where the last process may have left events that nobody was offered; None once they have been.
        self._missed_until: int | None = 0

    @property
    def newest_seq(self) -> int:
        """The place of the newest event in the order of arrival."""
        return self._next_seq - 1

    async def load(self) -> None:
        """Learn what the store knows, before any run is resumed."""

        def query(c: sqlite3.Connection) -> tuple[int, dict[str, int], dict[str, int], str | None]:
            newest, latest = records.newest_event(c), records.newest_by_type(c)
            return newest, latest, records.awaited_types(c), records.read_meta(c, _OFFERED_KEY)

        newest, self._latest, awaited, offered = await self._store.read(query)
        self._missed_until = newest
        self._parked_types = set(awaited)
        self.offered = self._offered_on_disk = int(offered or 0)
        # The newest events may have been erased: their numbers are passed by already.
        self._next_seq = max(newest, self.offered) + 1

    async def offer_missed(self) -> None:
        """Offer what the last process may not have offered to everybody, then what came since."""
        while self._missed_until is not None and (until := self._missed_until) > self.offered:
            missed = await self._store.read(partial(records.events_after, after=self.offered, limit=_PAGE))
            for event in missed:
                self._offer_in_turn(event)
            while self._worker is not None:
                await asyncio.wait([self._worker])
            if not missed:
                self.offered = until  # They are no longer kept.
        self._missed_until = None

    async def close(self) -> None:
        """Deliver nothing any more."""
        tasks = [*self._searches, *([self._worker] if self._worker is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- events ------------------------------------------------------------------------------------

    async def publish(self, envelopes: Sequence[dict[str, Any]]) -> list[bool]:
        """Take events in; returns when they are on disk.

        Returns:
            For each, in order: False when its source and id have been seen before.

        Raises:
            ValueError: An envelope lacks a non-empty `id`, `source` or `type`, or is not JSON.
            HostError: They could not be stored, or not yet; publishing them again is safe.
        """
        bytes_max = self._engine.settings.payload_bytes_max
        settled = [_checked(envelope, bytes_max) for envelope in envelopes]
        keys = [_key(envelope) for envelope in settled]
        mine = await self._claim(keys)
        try:
            known = await self._store.read(lambda c: records.known_events(c, keys)) if mine else set()
        except BaseException:
            self._let_go(mine)
            raise
        self._let_go({key: decided for key, decided in mine.items() if key in known})
        answers: list[bool] = []
        for key, envelope in zip(keys, settled, strict=True):
            # A second one in the same list has been seen before too.
            is_new = mine.pop(key, None) is not None and key not in known
            if is_new:
                self._engine.after_commit(partial(self._arrived, key, self._add(envelope, None)))
                if not self._arriving[key].done():
                    self._arriving[key].set_result(None)
            answers.append(is_new)
        if any(answers):
            data = {"accepted": sum(answers), "duplicates": len(answers) - sum(answers)}
            self._engine.said("event.send", "events", "", "", data=data)
        await self._engine.commit.wait_durable()
        return answers

    async def _claim(self, keys: Sequence[Key]) -> dict[Key, asyncio.Future[None]]:
        """Those of these events that nobody else is taking in, once it is decided about the others.

        What is read of the store may be older than what arrives meanwhile, so two callers with one event must not
        both read.
        """
        while others := [f for key in keys if (f := self._arriving.get(key)) is not None and not f.done()]:
            await asyncio.wait(others)
        decided = asyncio.get_running_loop().create_future()
        mine = {key: decided for key in keys if key not in self._arriving}
        self._arriving.update(mine)
        return mine

    def _let_go(self, claimed: Mapping[Key, asyncio.Future[None]]) -> None:
        for key, decided in claimed.items():
            del self._arriving[key]
            if not decided.done():
                decided.set_result(None)

    def _arrived(self, key: Key, stored: StoredEvent) -> None:
        del self._arriving[key]
        self._deliver(stored)

    def emit(self, run: LiveRun, envelope: dict[str, Any]) -> None:
        """A run emitted an event: it is stored with its cause, and delivered once both are on disk."""
        stored = self._add(codec.settled(envelope), run.seq)
        self._engine.commit.pending.held.append((partial(self._deliver, stored), None))

    def _add(self, envelope: dict[str, Any], run: int | None) -> StoredEvent:
        seq, self._next_seq = self._next_seq, self._next_seq + 1
        now = self._engine.clock.now_ms()
        self._engine.commit.pending.add_event(seq, envelope, received_at=now, run=run)
        return StoredEvent(seq, now, envelope)

    def save_progress(self) -> None:
        """Let the next commit say how far delivery has come."""
        if self.offered != self._offered_on_disk:
            self._offered_on_disk = self.offered
            self._engine.commit.pending.statements.append(records.put_meta(_OFFERED_KEY, str(self.offered)))

    # -- waits -------------------------------------------------------------------------------------

    def open(self, run: LiveRun, command: AwaitMessages, *, search: bool = True) -> None:
        """A run waits for events. Unless told not to, it is first offered those that came before."""
        types = command.types or (ANY,)
        self._open.setdefault(run, {})[command.id] = types
        for name in types:
            self._index.setdefault(name, {}).setdefault(run, set()).add(command.id)
        if not search and self._queue:
            self._back.add(run.seq)
        since_ms = self._engine.clock.now_ms() - self._engine.settings.early_events_ms
        if not run.hidden:
            # The host's own runs know exactly which events came before them.
            since_ms = max(since_ms, command.since_ms)
        if search and self._may_have(command.types, since_ms):
            run.searching += 1
            self._backlog[run, command.id] = []
            task = spawn(self._search(run, command, since_ms))
            self._searches.add(task)
            task.add_done_callback(self._searches.discard)

    def has_open(self, run: LiveRun, command_id: int) -> bool:
        """This wait was opened here: it is on disk, and what came before it is looked for or was offered."""
        return command_id in self._open.get(run, _NO_WAITS)

    def close_wait(self, run: LiveRun, command_id: int) -> None:
        """The run no longer waits there."""
        types = self._open.get(run, {}).pop(command_id, ())
        for name in types:
            waiting = self._index[name]
            waiting[run].discard(command_id)
            if not waiting[run]:
                del waiting[run]
        if types and not self._open[run]:
            del self._open[run]

    def drop(self, run: LiveRun) -> None:
        """The run leaves memory."""
        for command_id in list(self._open.get(run, ())):
            self.close_wait(run, command_id)

    def expect(self, types: Iterable[str]) -> None:
        """A run that waits for events of these types is being parked."""
        self._parked_types.update(types)

    def _may_have(self, types: tuple[str, ...], since_ms: int) -> bool:
        latest = self._latest
        if types:
            return any(latest.get(name, -1) >= since_ms for name in types)
        return any(at >= since_ms for at in latest.values())

    async def _search(self, run: LiveRun, command: AwaitMessages, since_ms: int) -> None:
        """Offer a wait the events that came before it, then those that arrived during the search."""
        place = (run, command.id)
        after = run.after
        patience = Patience(self._engine.clock)
        try:
            more = True
            while more and _waits(run, command.id):
                query = partial(
                    records.events_since, types=command.types, since_ms=since_ms, after=after, limit=_PAGE
                )
                try:
                    found = await self._store.read(query)
                except HostError:
                    # Nobody else would offer them to this wait.
                    _log.error(
                        "run %s is offered earlier events when the store can be read: %s", run.id, whereabouts()
                    )
                    await patience.wait()
                    continue
                patience.rest()
                more = len(found) == _PAGE
                for event in found:
                    after = event.seq
                    self._offer(run, event, (command.id,))
            for event in self._backlog[place]:
                if event.seq > after:
                    self._offer(run, event, (command.id,))
        finally:
            del self._backlog[place]
            run.searching -= 1

    # -- delivery ----------------------------------------------------------------------------------

    def _deliver(self, event: StoredEvent) -> None:
        """Offer an event that is on disk to everybody, after those that came before it."""
        name = event.envelope["type"]
        self._latest[name] = max(event.received_at, self._latest.get(name, 0))
        if len(self._latest) > self._latest_max:
            self._forget_types()
        if self._missed_until is None:
            self._offer_in_turn(event)
        else:
            # Not before those that the last process left, or `offered` would pass them by.
            self._missed_until = max(self._missed_until, event.seq)

    def _forget_types(self) -> None:
        """Leave out types of which nothing came lately that a wait could be offered: whoever sends makes names up."""
        since_ms = self._engine.clock.now_ms() - self._engine.settings.early_events_ms
        self._latest = {name: at for name, at in self._latest.items() if at >= since_ms}
        # Twice what is left, so that looking through them costs little for each event.
        self._latest_max = max(_TYPES_MIN, 2 * len(self._latest))

    def _offer_in_turn(self, event: StoredEvent) -> None:
        name = event.envelope["type"]
        if not self._queue and name not in self._parked_types and ANY not in self._parked_types:
            self._offer_live(event)
            self.offered = max(self.offered, event.seq)
            return
        self._queue.append(event)
        if self._worker is None and not self._engine.is_stopped:
            self._worker = spawn(self._work())

    async def _work(self) -> None:
        """Offer queued events one by one, waking parked runs that may take them."""
        try:
            while self._queue:
                event = self._queue[0]
                # Runs in memory first: one that is parked from now on has its rows on disk before the query.
                self._back.clear()
                self._offer_live(event)
                name = event.envelope["type"]
                parked = await self._store.read(partial(records.runs_awaiting, event_type=name))
                # One that something else woke and changed meanwhile was neither there before nor parked at the query.
                seqs = sorted({*parked, *self._back})
                for start in range(0, len(seqs), _WOKEN_AT_ONCE):
                    await self._offer_parked(event, seqs[start : start + _WOKEN_AT_ONCE])
                self.offered = max(self.offered, event.seq)
                self._queue.popleft()
                self._patience.rest()
        except HostError:
            _log.error("events are delivered again when the store can be read: %s", whereabouts())
            await self._patience.wait()
        finally:
            self._worker = None
            if self._queue and not self._engine.is_stopped:
                self._worker = spawn(self._work())

    async def _offer_parked(self, event: StoredEvent, seqs: Sequence[int]) -> None:
        for seq in seqs:
            self._engine.parking.wake(seq)  # Asked for together, they are read together.
        for seq in seqs:
            run = await self._engine.parking.ensure(seq)
            if run is not None and (ids := self._ids(run, event.envelope["type"])):
                self._offer(run, event, ids)

    def _offer_live(self, event: StoredEvent) -> None:
        name = event.envelope["type"]
        runs = {**self._index.get(name, {}), **self._index.get(ANY, {})}
        for run in sorted(runs, key=_seq) if len(runs) > 1 else runs:
            now: list[int] = []
            for command_id in self._ids(run, name):
                backlog = self._backlog.get((run, command_id))
                now.append(command_id) if backlog is None else backlog.append(event)
            if now:
                self._offer(run, event, tuple(now))

    def _ids(self, run: LiveRun, name: str) -> tuple[int, ...]:
        named = self._index.get(name, {}).get(run, _NONE)
        return tuple(sorted(named | self._index.get(ANY, {}).get(run, _NONE)))

    def _offer(self, run: LiveRun, event: StoredEvent, ids: tuple[int, ...]) -> None:
        """Let the run take the event if it has not taken it before and the core says it fits."""
        key = _key(event.envelope)
        if run.gone or key in run.consumed or event.seq <= run.after or event.seq in run.skip:
            return
        message = MessageConsumed(self._engine.clock.now_ms(), event.envelope, ids)
        try:
            fits = consumes(run.plan, run.state, message)
        except Exception as error:
            self._engine.quarantine(run, error)
            return
        if fits:
            run.consumed[key] = message.at
            if run.hidden:
                run.taken.append(event.seq)
            self._engine.apply(run, message)


_NONE: Final[frozenset[int]] = frozenset()
_NO_WAITS: Final[Mapping[int, tuple[str, ...]]] = {}


def _seq(run: LiveRun) -> int:
    return run.seq


def _waits(run: LiveRun, command_id: int) -> bool:
    return not run.gone and command_id in run.state.open


def _key(envelope: dict[str, Any]) -> Key:
    return envelope["source"], envelope["id"]


def _checked(envelope: dict[str, Any], bytes_max: int) -> dict[str, Any]:
    settled: dict[str, Any] = codec.settled(envelope, bytes_max)
    for name in ("id", "source", "type"):
        if not isinstance(settled.get(name), str) or not settled[name]:
            raise ValueError(f"a CloudEvent needs a non-empty text {name!r}; this one has {settled.get(name)!r}")
    return settled
