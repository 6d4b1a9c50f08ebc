"""Places: which runs of a limited workflow are under way, and which wait for their turn.

A place is written in the transaction that starts its run and removed in the one that ends it, so a crash leaves none
behind.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import NamedTuple

from segue.store.records import Sql


class PlaceRecord(NamedTuple):
    """The place of one run.

    Attributes:
        run: Its sequence number. digest: Of its definition.
        waiting: Its turn has not come.
    """

    run: int
    digest: str
    namespace: str
    name: str
    waiting: bool


@dataclass(frozen=True, slots=True)
class QueuePlace:
    """Where a queued run stands: how many of its workflow go before it, and how many are under way."""

    ahead: int
    under_way: int


def put_place(run: int, namespace: str, name: str, *, waiting: bool) -> Sql:
    """A run has a place, or waits for one."""
    sql = "INSERT OR REPLACE INTO place (run, namespace, name, waiting) VALUES (?, ?, ?, ?)"
    return sql, (run, namespace, name, int(waiting))


def take_turn(run: int) -> Sql:
    """The turn of a waiting run came."""
    return "UPDATE place SET waiting = 0 WHERE run = ?", (run,)


def delete_place(run: int) -> Sql:
    """A run gave its place back."""
    return "DELETE FROM place WHERE run = ?", (run,)


def open_places(c: sqlite3.Connection) -> list[PlaceRecord]:
    """Every place of a run that goes on, in the order in which the runs came into being."""
    sql = (
        "SELECT place.run, digest, place.namespace, place.name, waiting FROM place JOIN run ON run.seq = place.run"
        " WHERE run.residence IN ('live', 'parked') ORDER BY place.run"
    )
    return [
        PlaceRecord(run, digest, namespace, name, bool(waiting))
        for run, digest, namespace, name, waiting in c.execute(sql)
    ]


def above_waiting(c: sqlite3.Connection) -> dict[int, list[int]]:
    """For each waiting run that others wait for: those others, all the way up."""
    sql = (
        "WITH RECURSIVE up (run, above) AS ("
        " SELECT place.run, run.parent FROM place JOIN run ON run.seq = place.run"
        " WHERE waiting = 1 AND run.parent_command IS NOT NULL"
        " UNION ALL SELECT up.run, run.parent FROM up JOIN run ON run.seq = up.above"
        " WHERE run.parent_command IS NOT NULL) SELECT run, above FROM up"
    )
    found: dict[int, list[int]] = {}
    for run, above in c.execute(sql):
        found.setdefault(run, []).append(above)
    return found


def queue_place(c: sqlite3.Connection, run: int) -> QueuePlace | None:
    """Where a run stands in the queue of its workflow; None when it does not wait."""
    row = c.execute("SELECT namespace, name FROM place WHERE run = ? AND waiting = 1", (run,)).fetchone()
    if row is None:
        return None
    count = "SELECT count(*) FROM place WHERE namespace = ? AND name = ? AND waiting = ?"
    (under_way,) = c.execute(count, (*row, 0)).fetchone()
    (ahead,) = c.execute(count + " AND run < ?", (*row, 1, run)).fetchone()
    return QueuePlace(ahead, under_way)
