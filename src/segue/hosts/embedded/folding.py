"""Folding: a run that goes on for ever takes neither more memory nor more disk the longer it goes on.

Every so many events of a run its state is written down, in the batch of the newest of them, so a snapshot is never
ahead of its history nor behind it. Reading the run back begins there. Few runs ever have so many events; all others
pay a comparison of two numbers.

A run may keep so many events (`history_max`, a soft limit). Three of its snapshots matter then: the one before the
oldest event that is kept, the newest one, and one half-way between. When the limit is reached, the events up to the
one half-way are folded: short batches beside the work take them away, and that snapshot is the new beginning. So
between half the limit and the whole of it can always be looked at, and nothing that is needed to go on is ever away.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from typing import Final, NamedTuple

from segue.core import Plan, RunState, snapshot
from segue.hosts.embedded.engine import Engine
from segue.hosts.embedded.live import NEVER, LiveRun
from segue.hosts.embedded.own import spawn
from segue.hosts.embedded.patience import Patience
from segue.store import Batch, HostError, Snapshot, Store, codec, snapshots
from segue.types import whereabouts

_log = logging.getLogger("segue.hosts")

_BYTES_PER_EVENT: Final = 100
"""A snapshot of so many bytes for each event since the last one costs about as much as the events themselves."""
_INTERVAL_MAX: Final = 10
_FORGOTTEN_AFTER: Final = 3
"""A consumed event is remembered for so many times as long as it could be offered again: clocks jump."""
_REST: Final = 1.0


class Folding:
    """Takes snapshots, and folds what a run may not keep."""

    def __init__(self, engine: Engine, store: Store) -> None:
        self._engine = engine
        self._store = store
        self._due: dict[int, int] = {}
        self._worker: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Fold nothing any more; what is begun goes on after the next start."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)

    # -- snapshots ---------------------------------------------------------------------------------

    def follow(self, run: LiveRun, head: snapshots.Head | None = None) -> None:
        """A run comes into memory; with what the store holds of it, where it has snapshots."""
        if run.hidden:
            run.snapshot_due = NEVER
            return
        after = 0
        if head is not None and head.snapshots:
            run.snapshots = list(head.snapshots)
            run.base = run.snapshots[0] if head.folded else 0
            after = run.snapshots[-1]
            if head.folded not in (0, run.base):
                self._fold(run.seq, run.base)
        run.snapshot_due = after + self._every(run)

    def begin(self, run: LiveRun, event: int, state: Written) -> None:
        """A run comes into being whose first events are gone already; this is the state that they led to."""
        batch = self._engine.commit.pending
        host = codec.encode(snapshots.HostPart(self._consumed(run)))
        batch.keep_snapshot(run.seq, event, state.content, host=host, large=state.large)
        batch.statements.append(snapshots.begin_behind(run.seq, event))
        run.events += event
        run.snapshots, run.base = [event], event
        run.snapshot_due = event + self._every(run)

    def take(self, run: LiveRun, batch: Batch) -> None:
        """Write down the state of a run whose newest event is in this batch."""
        try:
            content, large = written(run.plan, run.state)
        except snapshot.SnapshotRefused as error:
            _log.warning("run %s gets no snapshot at event %d: %s", run.id, run.events, error)
            run.snapshot_due = run.events + self._every(run)
            return
        host = codec.encode(snapshots.HostPart(self._consumed(run)))
        was = run.base
        places, run.base, dropped = arrange(run.snapshots or (), was, run.events, self._keeps(run))
        batch.keep_snapshot(run.seq, run.events, content, host=host, large=large, drop=dropped)
        if run.base != was:
            # Once this batch is on disk: what is not there yet cannot be folded.
            batch.held.append((partial(self._fold, run.seq, run.base), None))
        run.snapshots = [place for place in places if place >= run.base]
        every = self._every(run)
        # Large values are not counted: they are on disk already, as a rule, with the events that brought them.
        run.snapshot_due = run.events + min(max(every, len(content) // _BYTES_PER_EVENT), every * _INTERVAL_MAX)

    def _keeps(self, run: LiveRun) -> int:
        said = self._engine.policy(run.plan).history_max
        return self._engine.settings.history_max_events if said is None else said

    def _every(self, run: LiveRun) -> int:
        keeps = self._keeps(run)
        every = self._engine.settings.snapshot_events
        return max(1, min(every, keeps // 2)) if keeps else every

    def _consumed(self, run: LiveRun) -> list[tuple[str, str, int]]:
        """What the run has taken and could be offered again; the rest is forgotten."""
        since = run.state.last_at - _FORGOTTEN_AFTER * self._engine.settings.early_events_ms
        for key in [key for key, at in run.consumed.items() if at < since]:
            del run.consumed[key]
        return [(*key, at) for key, at in run.consumed.items()]

    # -- folding -----------------------------------------------------------------------------------

    def _fold(self, run: int, until: int) -> None:
        self._due[run] = until
        if self._worker is None:
            self._worker = spawn(self._work(), "segue-folding")

    async def _work(self) -> None:
        patience = Patience(self._engine.clock)
        try:
            while self._due:
                run, until = next(iter(self._due.items()))
                try:
                    done = await self._fold_some(run, until)
                except HostError:
                    await patience.wait()  # The commit says so itself.
                    continue
                patience.rest()
                if done and self._due.get(run) == until:
                    del self._due[run]
        except Exception:
            _log.error("folding stops after an error; it goes on with the next run that is due: %s", whereabouts())
        finally:
            self._worker = None

    async def _fold_some(self, run: int, until: int) -> bool:
        """One short batch and a rest; says whether nothing is left to do."""
        statements = await self._store.read(partial(snapshots.fold, run=run, until=until))
        if not statements:
            return True
        loop = asyncio.get_running_loop()
        began = loop.time()  # The loop's own, so that a simulated world rests as long as its disk took.
        # At most so many rows of history: verifying the audit chain accepts that they are gone.
        rows = min(snapshots.FOLDED_AT_ONCE, until)
        self._engine.commit.pending.note(
            "history.fold", "history", at=self._engine.clock.now_ms(), data={"history": rows}
        )
        await self._store.write(statements)
        await asyncio.sleep((loop.time() - began) * _REST)
        return False


class Written(NamedTuple):
    """A state as bytes, and its large values by hash."""

    content: bytes
    large: dict[bytes, bytes]


def written(plan: Plan, state: RunState) -> Written:
    """A state as it is stored.

    Raises:
        SnapshotRefused: It holds something that cannot be read back exactly.
    """
    large: dict[bytes, bytes] = {}
    return Written(snapshot.take(plan, state, partial(_keep, large)), large)


def arrange(places: Sequence[int], base: int, newest: int, keeps: int) -> tuple[list[int], int, list[int]]:
    """Which snapshots a run has from now on.

    Args:
        places: After which events it has one, oldest first.
        base: The event before the oldest one that it is to keep; 0 while nothing is folded.
        newest: The event after which it gets one now.
        keeps: How many events it may keep; 0 for any number.

    Returns:
        The snapshots that stay, the new one included; the new base; those that go at once. The old base stays until
        its events are folded.
    """
    behind = [place for place in (*places, newest) if place > base]
    half_way = next((place for place in behind if place >= base + keeps // 2), newest) if keeps else newest
    stay = sorted({place for place in places if place <= base} | {half_way, newest})
    if keeps and newest - base >= keeps:
        base = half_way
    return stay, base, [place for place in places if place not in stay]


def restored(plan: Plan, found: Snapshot) -> RunState:
    """The state that a stored snapshot holds.

    Raises:
        SnapshotRefused: This release cannot read it.
    """
    return snapshot.restore(plan, found.content, found.values.__getitem__)


def _keep(large: dict[bytes, bytes], value: object) -> bytes | None:
    found = snapshots.large_value(value)
    if found is None:
        return None
    digest, raw = found
    large[digest] = raw
    return digest
