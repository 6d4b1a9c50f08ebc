"""Retention: what is old and closed is removed, in short batches beside the work, and its space is given back.

Theory. A batch is one small transaction of the same writer that commits the work, so it waits for nobody and holds
nobody up for longer than a few milliseconds; between two of them the writer is left alone for a multiple of that.
What is removed is bounded by rows of history, not by runs, because a run may have two rows or a million: one that is
larger than a batch loses the newest part of its history first, batch by batch, and its row last, so that whatever a
crash leaves behind can still be read.

A run that acts for ever leaves acts in the ledger for ever. Where its history is folded, those of laps that are over
go too, once they are as old as runs are kept (`laps.py`).

Never removed: a run that has not closed, one with a child that has not ended, one with an open incident, one about
somebody under legal hold, and the newest run and event, because numbers count on from them.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import msgspec

from segue.store import laps, notices
from segue.store.blobs import release
from segue.store.human_tasks import delete_of_runs
from segue.store.records import Sql
from segue.store.store import Store

DAY_MS: Final = 86_400_000

_ROWS: Final = 2400
"""History rows of a batch: about ten milliseconds of the writer."""
_RUNS: Final = 200
_EVENTS: Final = 1000
_PAGES: Final = 128
_REST: Final = 1.0
"""Between two batches the writer is left alone for so many times as long as the last one took."""
_RESERVE_PAGES: Final = 256
"""Free pages that are kept, at least, because the next runs need them."""

_OF_A_RUN: Final = ("history", "timer", "wait", "inbox", "effect", "effect_floor", "incident", "snapshot", "event_of")
_MAY_GO: Final = (
    "residence = 'closed' AND namespace = ? AND name = ? AND ended_at < ?"
    " AND seq < (SELECT max(seq) FROM run)"
    # A legal hold is on whom it is about.
    " AND (subject IS NULL OR NOT EXISTS (SELECT 1 FROM meta WHERE meta.key = 'held:' || subject))"
    # The audit chain names rows of history by number: the newest one stays, so that none is given out twice.
    " AND seq <> (SELECT run FROM history ORDER BY id DESC LIMIT 1)"
    " AND NOT EXISTS (SELECT 1 FROM run AS child WHERE child.parent = run.seq AND child.parent IS NOT NULL"
    " AND child.ended_at IS NULL)"
    " AND NOT EXISTS (SELECT 1 FROM incident WHERE incident.run = run.seq AND incident.state = 'open')"
)
_EVENTS_MAY_GO: Final = (
    "received_at < ? AND seq < (SELECT max(seq) FROM event)"
    # What has not been offered to everybody yet must stay, however old.
    " AND seq <= (SELECT coalesce(max(CAST(value AS INTEGER)), 0) FROM meta WHERE key = 'events-offered')"
)

Workflow = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Rules:
    """How long what is kept, in milliseconds; None keeps it for ever.

    Attributes:
        runs: Closed runs, counted from their end.
        events: CloudEvents, counted from their arrival.
        of: Asked for each workflow, by namespace and name, in place of `runs`; None says nothing.
    """

    runs: int | None = None
    events: int | None = None
    of: Callable[[str, str], int | None] = field(default=lambda namespace, name: None)

    def runs_of(self, workflow: Workflow) -> int | None:
        """How long closed runs of this workflow are kept."""
        said = self.of(*workflow)
        return self.runs if said is None else said


class Purged(msgspec.Struct):
    """What was removed: runs, their history entries, acts of runs that live, events; and bytes given back to the
    file system.

    `complete`: nothing more is due. Otherwise the time was up.
    """

    runs: int = 0
    history: int = 0
    events: int = 0
    acts: int = 0
    bytes: int = 0
    complete: bool = True


class Space(msgspec.Struct, frozen=True):
    """Size of the data file and, within it, what is free for reuse, in bytes. `shrinks`: free space is given back."""

    bytes: int
    free_bytes: int
    shrinks: bool


async def purge(store: Store, rules: Rules, now_ms: int, *, seconds: float | None = None) -> Purged:
    """Remove what the rules no longer keep, and give its space back. Others work on meanwhile.

    Args:
        seconds: Stop after about this long, with what was done so far; None goes on to the end.

    Raises:
        HostError: The store cannot be read or written; what was removed so far stays removed.
    """
    work = _Purge(store, None if seconds is None else time.monotonic() + seconds)
    try:
        for workflow in await store.read(workflows):
            kept_ms = rules.runs_of(workflow)
            if kept_ms is not None:
                await work.runs(workflow, now_ms - kept_ms)
                await work.acts(workflow, now_ms - kept_ms)
        if rules.events is not None:
            await work.events(now_ms - rules.events)
        await work.give_back()
    except _TimeIsUp:
        work.purged.complete = False
    return work.purged


class _TimeIsUp(Exception):
    """The purge is to stop here."""


class _Purge:
    def __init__(self, store: Store, until: float | None) -> None:
        self.purged = Purged()
        self._store = store
        self._until = until

    async def runs(self, workflow: Workflow, before_ms: int) -> None:
        while chosen := await self._store.read(partial(_closed_runs, workflow=workflow, before_ms=before_ms)):
            seq, rows = chosen[0]
            if rows > _ROWS:
                await self._write([_shorten(seq)], "runs", {"history": _ROWS})
                self.purged.history += _ROWS
            else:
                seqs, total = _fitting(chosen)
                said = {
                    "workflow": "/".join(workflow),
                    "runs": len(seqs),
                    "history": total,
                    "ended_before": before_ms,
                }
                await self._write(delete_runs(seqs), "runs", said)
                self.purged.runs += len(seqs)
                self.purged.history += total

    async def acts(self, workflow: Workflow, before_ms: int) -> None:
        for run in await self._store.read(partial(_endless_runs, workflow=workflow)):
            newest = await self._store.read(partial(laps.newest_laps, run=run))
            place: int | None = 0
            while place is not None:
                past = await self._store.read(
                    partial(laps.past_acts, run=run, newest=newest, before_ms=before_ms, after=place, limit=_ROWS)
                )
                if past.commands:
                    said = {"workflow": "/".join(workflow), "acts": len(past.commands), "settled_before": before_ms}
                    await self._write(laps.forget(run, past), "acts", said)
                    self.purged.acts += len(past.commands)
                place = past.goes_on

    async def events(self, before_ms: int) -> None:
        while seqs := await self._store.read(partial(_old_events, before_ms=before_ms)):
            sql = "DELETE FROM event WHERE seq IN (SELECT value FROM json_each(?))"
            statements = [(sql, (str(seqs),)), *release(-seq for seq in seqs)]
            await self._write(statements, "events", {"events": len(seqs), "received_before": before_ms})
            self.purged.events += len(seqs)

    async def give_back(self) -> None:
        """Take free pages off the end of the file, a few at a time; some stay for what comes next."""
        while True:
            total, free, shrinks = await self._store.read(_pages)
            spare = free - max(_RESERVE_PAGES, (total - free) // 20)
            if not shrinks or spare <= 0:
                return
            await self._write([(f"PRAGMA incremental_vacuum({min(spare, _PAGES)})", ())])
            left, _, _ = await self._store.read(_pages)
            if left >= total:
                return
            self.purged.bytes += (total - left) * await self._store.read(_page_bytes)

    async def _write(
        self, statements: Iterable[Sql], what: str | None = None, told: dict[str, Any] | None = None
    ) -> None:
        """One batch, and then a rest. `what` goes, and the audit chain says so."""
        if self._until is not None and time.monotonic() > self._until:
            raise _TimeIsUp
        began = time.perf_counter()
        if what is not None:
            self._store.note("retention.purge", what, data=told)
        await self._store.write(statements)
        await asyncio.sleep((time.perf_counter() - began) * _REST)


# -- what would go -----------------------------------------------------------------------------------


def workflows(c: sqlite3.Connection) -> list[Workflow]:
    """Every workflow that has runs. Looks each one up behind the one before, and reads no other row."""
    found: list[Workflow] = []
    place: Workflow = ("", "")
    sql = "SELECT namespace, name FROM run WHERE (namespace, name) > (?, ?) ORDER BY namespace, name LIMIT 1"
    while (row := c.execute(sql, place).fetchone()) is not None:
        place = (row[0], row[1])
        found.append(place)
    return found


def count_due(
    c: sqlite3.Connection, kept: Mapping[Workflow, int | None], events_ms: int | None, now_ms: int
) -> tuple[Mapping[Workflow, int], int]:
    """How many closed runs of each workflow, and how many events, are older than they are kept.

    Args:
        kept: How long closed runs of each workflow are kept, in milliseconds; None for ever. events_ms: events.
    """
    due = dict.fromkeys(kept, 0)
    for workflow, kept_ms in kept.items():
        if kept_ms is not None:
            sql = f"SELECT count(*) FROM run WHERE {_MAY_GO}"  # noqa: S608 - a constant
            due[workflow] = c.execute(sql, (*workflow, now_ms - kept_ms)).fetchone()[0]
    if events_ms is None:
        return due, 0
    sql = f"SELECT count(*) FROM event WHERE {_EVENTS_MAY_GO}"  # noqa: S608 - a constant
    return due, c.execute(sql, (now_ms - events_ms,)).fetchone()[0]


def space(c: sqlite3.Connection) -> Space:
    """How large the data file is, and how much of it is free."""
    total, free, shrinks = _pages(c)
    size = _page_bytes(c)
    return Space(total * size, free * size, shrinks)


def delete_runs(seqs: list[int]) -> list[Sql]:
    """Remove runs and everything that belongs to them alone."""
    chosen = (str(seqs),)
    return [
        notices.delete_of_runs(chosen[0]),
        *(
            (f"DELETE FROM {table} WHERE run IN (SELECT value FROM json_each(?))", chosen)  # noqa: S608 - constants
            for table in _OF_A_RUN
        ),
        *delete_of_runs(chosen[0]),
        *release(seqs),
        ("DELETE FROM run WHERE seq IN (SELECT value FROM json_each(?))", chosen),
    ]


def _shorten(seq: int) -> Sql:
    """Remove the newest part of a long history: what is left can be read as the beginning of the run."""
    sql = "DELETE FROM history WHERE id IN (SELECT id FROM history WHERE run = ? ORDER BY id DESC LIMIT ?)"
    return sql, (seq, _ROWS)


def _closed_runs(c: sqlite3.Connection, workflow: Workflow, before_ms: int) -> list[tuple[int, int]]:
    """The runs that ended first, each with the length of its history."""
    sql = (
        "SELECT seq, (SELECT count(*) FROM history WHERE history.run = run.seq)"  # noqa: S608 - a constant
        f" FROM run WHERE {_MAY_GO} ORDER BY ended_at LIMIT ?"
    )
    return c.execute(sql, (*workflow, before_ms, _RUNS)).fetchall()


def _fitting(chosen: list[tuple[int, int]]) -> tuple[list[int], int]:
    """As many of the runs as make one batch, at least one."""
    seqs: list[int] = []
    total = 0
    for seq, rows in chosen:
        if seqs and total + rows > _ROWS:
            break
        seqs.append(seq)
        total += rows
    return seqs, total


def _endless_runs(c: sqlite3.Connection, workflow: Workflow) -> list[int]:
    """Runs that live, and whose history has become too long to be kept whole."""
    sql = "SELECT seq FROM run WHERE namespace = ? AND name = ? AND ended_at IS NULL AND folded > 0"
    return [seq for (seq,) in c.execute(sql, workflow)]


def _old_events(c: sqlite3.Connection, before_ms: int) -> list[int]:
    sql = f"SELECT seq FROM event WHERE {_EVENTS_MAY_GO} ORDER BY received_at LIMIT ?"  # noqa: S608 - a constant
    return [seq for (seq,) in c.execute(sql, (before_ms, _EVENTS))]


def _pages(c: sqlite3.Connection) -> tuple[int, int, bool]:
    total, free, mode = (c.execute(f"PRAGMA {name}").fetchone()[0] for name in _PRAGMAS)
    return total, free, mode == _INCREMENTAL


def _page_bytes(c: sqlite3.Connection) -> int:
    return int(c.execute("PRAGMA page_size").fetchone()[0])


_PRAGMAS: Final = ("page_count", "freelist_count", "auto_vacuum")
_INCREMENTAL: Final = 2
