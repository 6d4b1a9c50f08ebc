"""Runs as rows: what is listed, filtered and looked up."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

import msgspec

from segue.store.blobs import load, load_event
from segue.store.codec import load_failure
from segue.types import Event, Failure, RunStatus

Residence = Literal["live", "parked", "closed", "quarantined"]

PAGE_MAX: Final = 1000
_NEVER: Final = 2**62
_COLUMNS: Final = (
    "seq, id, digest, namespace, name, version, status, residence, hidden, started_at, ended_at, parent,"
    " parent_command, cause, output, failure, reason, folded, subject"
)


class RunRecord(msgspec.Struct, frozen=True):
    """A run as the store knows it.

    Attributes:
        seq: Order in which runs came into being; unique, never reused.
        digest: Of the definition the run is pinned to.
        residence: `live` in the host's memory, `parked` on disk only, `closed`, or `quarantined` by a bug.
        hidden: The host's own run, which waits for the events of a schedule.
        started_at, ended_at: Milliseconds since the epoch; None while it is not over.
        parent: `seq` of the run that started it, None for the others.
        parent_command: The parent's command that waits for its end; None where nobody waits.
        reason: Why it is quarantined.
        subject: Whom it is about, as it is looked up.
        folded: How many of its first events are in a snapshot and no longer in its history (`snapshots.py`).
    """

    seq: int
    id: str
    digest: str
    namespace: str
    name: str
    version: str
    status: RunStatus
    residence: Residence
    hidden: bool
    started_at: int
    ended_at: int | None
    parent: int | None
    parent_command: int | None
    cause: Any
    output: Any
    failure: Failure | None
    reason: str | None
    folded: int = 0
    subject: str | None = None

    @property
    def is_closed(self) -> bool:
        """Its outcome is final."""
        return self.ended_at is not None


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs to list; what is None does not restrict.

    Attributes:
        started_from, started_to: Milliseconds since the epoch; the first is included, the second is not.
        parent: Only what this run (its `seq`) started.
        subject: Only about this one, as it is looked up.
        hidden: Also the host's own runs.
    """

    status: Sequence[RunStatus] | None = None
    namespace: str | None = None
    name: str | None = None
    version: str | None = None
    digest: str | None = None
    residence: Residence | None = None
    started_from: int | None = None
    started_to: int | None = None
    parent: int | None = None
    subject: str | None = None
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class RunPage:
    """Runs, newest first. `next` is the `before` of the page that follows, None on the last one."""

    items: list[RunRecord] = field(default_factory=list)
    next: int | None = None


def list_runs(
    connection: sqlite3.Connection, wanted: RunFilter, *, limit: int = 100, before: int | None = None
) -> RunPage:
    """A page of runs, newest first. Costs the same on the first page and on the thousandth.

    Args:
        limit: From 1 to `PAGE_MAX`.
        before: Only runs whose `seq` is smaller: the `next` of the page before.
    """
    limit = max(1, min(limit, PAGE_MAX))
    conditions, parameters = _conditions(wanted)
    newest, oldest = _bounds(connection, wanted)
    if before is not None:
        newest = before - 1 if newest is None else min(newest, before - 1)
    for sign, bound in (("<=", newest), (">=", oldest)):
        if bound is not None:
            conditions.append(f"seq {sign} ?")
            parameters.append(bound)
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    sql = f"SELECT {_COLUMNS} FROM run {where} ORDER BY seq DESC LIMIT ?"  # noqa: S608
    rows = connection.execute(sql, (*parameters, limit + 1)).fetchall()
    items = [_record(connection, row) for row in rows[:limit]]
    return RunPage(items, items[-1].seq if len(rows) > limit else None)


def count_started_by(connection: sqlite3.Connection, parent: int) -> dict[str, int]:
    """How many runs of each status one run (its `seq`) has started."""
    sql = "SELECT status, count(*) FROM run WHERE parent = ? GROUP BY status"
    return dict(connection.execute(sql, (parent,)).fetchall())


def count_runs(connection: sqlite3.Connection) -> dict[str, int]:
    """How many runs there are of each status, the host's own not counted."""
    counts = dict(connection.execute("SELECT status, count(*) FROM run GROUP BY status").fetchall())
    hidden = connection.execute("SELECT status, count(*) FROM run WHERE hidden = 1 GROUP BY status")
    for status, number in hidden.fetchall():
        counts[status] -= number
    return {status: number for status, number in counts.items() if number}


def find_run(connection: sqlite3.Connection, run_id: str) -> RunRecord | None:
    """The run with this id."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM run WHERE id = ?", (run_id,)).fetchone()  # noqa: S608
    return None if row is None else _record(connection, row)


def find_runs(connection: sqlite3.Connection, seqs: Sequence[int]) -> list[RunRecord]:
    """The runs with these sequence numbers, oldest first; those that do not exist are left out."""
    sql = f"SELECT {_COLUMNS} FROM run WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq"  # noqa: S608
    return [_record(connection, row) for row in connection.execute(sql, (str(list(seqs)),))]


def unfinished(connection: sqlite3.Connection, *, after: int, limit: int) -> list[int]:
    """Sequence numbers of runs that were in the host's memory, in pages, oldest first."""
    sql = "SELECT seq FROM run WHERE residence = 'live' AND seq > ? ORDER BY seq LIMIT ?"
    return [seq for (seq,) in connection.execute(sql, (after, limit))]


def open_children(connection: sqlite3.Connection, seqs: Sequence[int]) -> list[tuple[int, int, int]]:
    """Children of these runs that have not ended: parent, the parent's command, child."""
    sql = (
        "SELECT parent, parent_command, seq FROM run"
        " WHERE parent IN (SELECT value FROM json_each(?)) AND parent_command IS NOT NULL AND ended_at IS NULL"
    )
    return connection.execute(sql, (str(list(seqs)),)).fetchall()


def newest_seq(connection: sqlite3.Connection) -> int:
    """The largest sequence number in use, 0 without any run."""
    (seq,) = connection.execute("SELECT coalesce(max(seq), 0) FROM run").fetchone()
    return int(seq)


def read_history(
    connection: sqlite3.Connection, seq: int, *, offset: int = 0, limit: int | None = None
) -> list[Event]:
    """Events of one run in the order in which they happened."""
    sql = "SELECT data FROM history WHERE run = ? ORDER BY id LIMIT ? OFFSET ?"
    rows = connection.execute(sql, (seq, -1 if limit is None else limit, offset))
    return [load_event(connection, data) for (data,) in rows.fetchall()]


def read_histories(connection: sqlite3.Connection, seqs: Sequence[int]) -> dict[int, list[Event]]:
    """Events of several runs, each in order."""
    found: dict[int, list[Event]] = {seq: [] for seq in seqs}
    sql = (
        "SELECT run, data FROM json_each(?) AS wanted CROSS JOIN history ON history.run = wanted.value"
        " ORDER BY run, history.id"
    )
    for seq, data in connection.execute(sql, (str(list(seqs)),)):
        found[seq].append(load_event(connection, data))
    return found


def _conditions(wanted: RunFilter) -> tuple[list[str], list[Any]]:
    conditions: list[str] = [] if wanted.hidden else ["hidden = 0"]
    parameters: list[Any] = []
    if wanted.status is not None:
        conditions.append(f"status IN ({', '.join('?' * len(wanted.status))})")
        parameters += wanted.status
    if wanted.residence is not None:
        # Written out: SQLite uses a partial index only where it can see the value.
        assert wanted.residence in get_args(Residence)
        conditions.append(f"residence = '{wanted.residence}'")
    for column in ("namespace", "name", "version", "digest", "parent", "subject"):
        value = getattr(wanted, column)
        if value is not None:
            conditions.append(f"{column} = ?")
            parameters.append(value)
    for column, sign in (("started_from", ">="), ("started_to", "<")):
        value = getattr(wanted, column)
        if value is not None:
            conditions.append(f"started_at {sign} ?")
            parameters.append(value)
    return conditions, parameters


def _bounds(connection: sqlite3.Connection, wanted: RunFilter) -> tuple[int | None, int | None]:
    """The newest and the oldest `seq` that the times allow.

    Runs are listed by `seq`, which grows with time (the host sees to that), so two look-ups turn a filter by time
    into a range of it, and one index serves both the filter and the order.
    """
    newest: int | None = None
    oldest: int | None = None
    if wanted.started_from is not None:
        sql = "SELECT seq FROM run WHERE started_at >= ? ORDER BY started_at, seq LIMIT 1"
        found = connection.execute(sql, (wanted.started_from,)).fetchone()
        oldest = _NEVER if found is None else found[0]
    if wanted.started_to is not None:
        sql = "SELECT seq FROM run WHERE started_at < ? ORDER BY started_at DESC, seq DESC LIMIT 1"
        found = connection.execute(sql, (wanted.started_to,)).fetchone()
        newest = -1 if found is None else found[0]
    return newest, oldest


def _record(connection: sqlite3.Connection, row: tuple[Any, ...]) -> RunRecord:
    values = dict(zip(RunRecord.__struct_fields__, row, strict=True))
    values["hidden"] = bool(values["hidden"])
    values["cause"] = load(connection, values["cause"])
    values["output"] = load(connection, values["output"])
    values["failure"] = load_failure(values["failure"])
    return RunRecord(**values)
