"""Smaller tables: definitions, connections, schedules, events, effects, and what parked runs wait for."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec

from segue.store import blobs
from segue.store.codec import load, load_event
from segue.types import Event

Sql = tuple[str, Sequence[Any]]
"""A statement for `Batch.statements`."""

ScheduleKind = Literal["every", "cron", "after", "on"]


class Definition(msgspec.Struct, frozen=True):
    """A published workflow. `source` is its text as published; `published_at` is in milliseconds."""

    digest: str
    namespace: str
    name: str
    version: str
    source: str
    published_at: int


class ScheduleRecord(msgspec.Struct, frozen=True):
    """A workflow that starts by itself.

    Attributes:
        due_at: When its next run starts, in milliseconds; None where an event or the end of a run decides.
        run_id: `after`: the run whose end it waits for. `on`: the hidden run that waits for the events.
    """

    namespace: str
    name: str
    digest: str
    kind: ScheduleKind
    due_at: int | None
    run_id: str | None
    activated_at: int


class StoredEvent(msgspec.Struct, frozen=True):
    """A CloudEvent and its place in the order of arrival."""

    seq: int
    received_at: int
    envelope: dict[str, Any]


class EffectRecord(msgspec.Struct, frozen=True):
    """One act of the ledger: `state` is `intent`, `done`, `failed` or `unknown`. Times in milliseconds.

    `receipt` is what a person said that the system answered; what it answered itself stands in history.
    """

    run: int
    command: int
    key: str
    handler: str
    pointer: str
    attempt: int
    state: str
    intended_at: int
    settled_at: int | None
    receipt: Any
    connection: str | None = None


# -- definitions -----------------------------------------------------------------------------------

_DEFINITION = "SELECT digest, namespace, name, version, source, published_at FROM definition"


def insert_definition(d: Definition) -> Sql:
    """Fails on a second definition of the same name and version: look first."""
    sql = "INSERT INTO definition (digest, namespace, name, version, source, published_at)"
    sql += " VALUES (?, ?, ?, ?, seal(?), ?)"
    return sql, (d.digest, d.namespace, d.name, d.version, d.source, d.published_at)


def find_definition(connection: sqlite3.Connection, digest: str) -> Definition | None:
    """The definition with this digest."""
    row = connection.execute(f"{_DEFINITION} WHERE digest = ?", (digest,)).fetchone()
    return None if row is None else Definition(*row)


def find_definition_named(
    connection: sqlite3.Connection, namespace: str, name: str, version: str
) -> Definition | None:
    """The definition of this name and version."""
    where = "WHERE namespace = ? AND name = ? AND version = ?"
    row = connection.execute(f"{_DEFINITION} {where}", (namespace, name, version)).fetchone()
    return None if row is None else Definition(*row)


def list_definitions(
    connection: sqlite3.Connection, *, namespace: str | None = None, name: str | None = None
) -> list[Definition]:
    """Definitions by namespace and name, in the order in which they were published."""
    where = "WHERE (?1 IS NULL OR namespace = ?1) AND (?2 IS NULL OR name = ?2)"
    rows = connection.execute(f"{_DEFINITION} {where} ORDER BY namespace, name, published_at", (namespace, name))
    return [Definition(*row) for row in rows]


# -- connections -----------------------------------------------------------------------------------


def put_connection(name: str, data: str | bytes, now_ms: int) -> Sql:
    """Store a connection; `data` is in stored form (`codec.pack`)."""
    sql = "INSERT OR REPLACE INTO connection (name, data, updated_at) VALUES (?, seal(?), ?)"
    return sql, (name, data, now_ms)


def delete_connection(name: str) -> Sql:
    """Remove a connection."""
    return "DELETE FROM connection WHERE name = ?", (name,)


def list_connections(connection: sqlite3.Connection) -> dict[str, Any]:
    """All connections by name."""
    return {n: load(data) for n, data in connection.execute("SELECT name, data FROM connection ORDER BY name")}


# -- schedules -------------------------------------------------------------------------------------


def put_schedule(s: ScheduleRecord) -> Sql:
    """Store a schedule; it replaces that of another version of the same workflow."""
    sql = (
        "INSERT OR REPLACE INTO schedule (namespace, name, digest, kind, due_at, run_id, activated_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)"
    )
    return sql, (s.namespace, s.name, s.digest, s.kind, s.due_at, s.run_id, s.activated_at)


def delete_schedule(namespace: str, name: str) -> Sql:
    """Remove a schedule."""
    return "DELETE FROM schedule WHERE namespace = ? AND name = ?", (namespace, name)


def list_schedules(connection: sqlite3.Connection) -> list[ScheduleRecord]:
    """All active schedules."""
    sql = "SELECT namespace, name, digest, kind, due_at, run_id, activated_at FROM schedule ORDER BY namespace, name"
    return [ScheduleRecord(*row) for row in connection.execute(sql)]


# -- events ----------------------------------------------------------------------------------------

_EVENT = "SELECT seq, received_at, envelope FROM event"
_NEWEST_EVENT = "events-newest"


def known_events(connection: sqlite3.Connection, keys: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """Which of these pairs of source and id are stored."""
    sql = "SELECT 1 FROM event WHERE source = blind(?) AND id = blind(?)"
    return {key for key in keys if connection.execute(sql, key).fetchone() is not None}


def event_seq(connection: sqlite3.Connection, source: str, event_id: str) -> int | None:
    """The place of an event in the order of arrival."""
    row = connection.execute(
        "SELECT seq FROM event WHERE source = blind(?) AND id = blind(?)", (source, event_id)
    ).fetchone()
    return None if row is None else int(row[0])


def newest_event(connection: sqlite3.Connection) -> int:
    """The largest sequence number that an event has, or had before it was erased; 0 without any."""
    (newest,) = connection.execute("SELECT coalesce(max(seq), 0) FROM event").fetchone()
    return max(int(newest), int(read_meta(connection, _NEWEST_EVENT) or 0))


def keep_newest_event() -> Sql:
    """Remember the largest sequence number, before the event that has it is removed: it is never given again."""
    sql = (
        "INSERT INTO meta (key, value) SELECT ?, max(seq) FROM event HAVING max(seq) IS NOT NULL"
        " ON CONFLICT (key) DO UPDATE SET value = max(CAST(value AS INTEGER), CAST(excluded.value AS INTEGER))"
    )
    return sql, (_NEWEST_EVENT,)


def newest_by_type(connection: sqlite3.Connection) -> dict[str, int]:
    """When an event of each type last arrived, in milliseconds."""
    return dict(connection.execute("SELECT type, max(received_at) FROM event GROUP BY type").fetchall())


def events_since(
    connection: sqlite3.Connection, types: Sequence[str], since_ms: int, *, after: int = 0, limit: int
) -> list[StoredEvent]:
    """Events of these types (of any, when empty) that arrived at `since_ms` or later, oldest first.

    Args:
        after: Only events with a larger sequence number.
    """
    where = "received_at >= ? AND seq > ?"
    if types:
        where += f" AND type IN ({', '.join('?' * len(types))})"
    rows = connection.execute(f"{_EVENT} WHERE {where} ORDER BY seq LIMIT ?", (since_ms, after, *types, limit))
    return [StoredEvent(seq, at, blobs.load(connection, envelope)) for seq, at, envelope in rows]


def events_after(connection: sqlite3.Connection, after: int, *, limit: int) -> list[StoredEvent]:
    """Events in the order of arrival, from the one after `after`."""
    rows = connection.execute(f"{_EVENT} WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit))
    return [StoredEvent(seq, at, blobs.load(connection, envelope)) for seq, at, envelope in rows]


# -- parked runs -----------------------------------------------------------------------------------


def due_timers(connection: sqlite3.Connection, until_ms: int) -> list[tuple[int, int]]:
    """When the first timer of each parked run comes due, and the run; only those due by `until_ms`."""
    sql = "SELECT min(due_at), run FROM timer WHERE due_at <= ? GROUP BY run"
    return connection.execute(sql, (until_ms,)).fetchall()


def awaited_types(connection: sqlite3.Connection) -> dict[str, int]:
    """How many waits of parked runs there are for each event type; '' stands for any type."""
    return dict(connection.execute("SELECT type, count(*) FROM wait GROUP BY type").fetchall())


def runs_awaiting(connection: sqlite3.Connection, event_type: str) -> list[int]:
    """Parked runs that may take an event of this type, oldest first."""
    sql = "SELECT DISTINCT run FROM wait WHERE type IN (?, '') ORDER BY run"
    return [seq for (seq,) in connection.execute(sql, (event_type,))]


def put_inbox(inbox_id: int, run: int, data: bytes) -> Sql:
    """An event on its way to a parked run."""
    return "INSERT INTO inbox (id, run, data) VALUES (?1, ?2, seal(?3, ?2))", (inbox_id, run, data.decode())


def delete_inbox(inbox_id: int) -> Sql:
    """The event has arrived."""
    return "DELETE FROM inbox WHERE id = ?", (inbox_id,)


def read_inbox(connection: sqlite3.Connection, seqs: Sequence[int] | None = None) -> list[tuple[int, int, Event]]:
    """Id, run and event of everything on its way to these runs (to any, when None), oldest first."""
    wanted = None if seqs is None else str(list(seqs))
    sql = "SELECT id, run, data FROM inbox WHERE ?1 IS NULL OR run IN (SELECT value FROM json_each(?1)) ORDER BY id"
    rows = connection.execute(sql, (wanted,))
    return [(number, run, load_event(data)) for number, run, data in rows]


def newest_inbox(connection: sqlite3.Connection) -> int:
    """The largest inbox id, 0 without any."""
    return int(connection.execute("SELECT coalesce(max(id), 0) FROM inbox").fetchone()[0])


# -- effects ---------------------------------------------------------------------------------------

_EFFECT = (
    "SELECT run, command, key, handler, pointer, attempt, state, intended_at, settled_at, receipt, connection"
    " FROM effect"
)


def effects_of(connection: sqlite3.Connection, seqs: Sequence[int]) -> list[EffectRecord]:
    """All acts in the ledger of these runs."""
    sql = _EFFECT + " WHERE run IN (SELECT value FROM json_each(?))"  # noqa: S608
    rows = connection.execute(sql, (str(list(seqs)),))
    return [_effect(row) for row in rows]


def recent_effects_of(connection: sqlite3.Connection, seqs: Sequence[int], *, limit: int) -> list[EffectRecord]:
    """Acts of these runs: all without a known outcome, and the newest of the others, up to `limit` for each run."""
    unsettled = _EFFECT + " WHERE run = ?1 AND state IN ('intent', 'unknown')"
    newest = _EFFECT + " WHERE run = ?1 AND state NOT IN ('intent', 'unknown') ORDER BY command DESC LIMIT ?2"
    found = []
    for run in _with_effects(connection, seqs):
        sql = f"{unsettled} UNION ALL SELECT * FROM ({newest})"  # noqa: S608 - constants
        rows = connection.execute(sql, (run, limit))
        found += [_effect(row) for row in rows]
    return found


def _with_effects(connection: sqlite3.Connection, seqs: Sequence[int]) -> list[int]:
    sql = (
        "SELECT value FROM json_each(?) AS wanted WHERE EXISTS (SELECT 1 FROM effect WHERE effect.run = wanted.value)"
    )
    return [run for (run,) in connection.execute(sql, (str(list(seqs)),))]


def effects_in_state(connection: sqlite3.Connection, state: str, *, limit: int) -> list[EffectRecord]:
    """The oldest acts that are in this state: `intent` or `unknown`."""
    rows = connection.execute(f"{_EFFECT} WHERE state = ? ORDER BY intended_at LIMIT ?", (state, limit))
    return [_effect(row) for row in rows]


def _effect(row: tuple[Any, ...]) -> EffectRecord:
    values = dict(zip(EffectRecord.__struct_fields__, row, strict=True))
    values["receipt"] = load(values["receipt"])
    return EffectRecord(**values)


# -- meta ------------------------------------------------------------------------------------------


def put_meta(key: str, value: str) -> Sql:
    """Remember one value."""
    return "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, value)


def delete_meta(key: str) -> Sql:
    """Forget one value."""
    return "DELETE FROM meta WHERE key = ?", (key,)


def read_meta(connection: sqlite3.Connection, key: str) -> str | None:
    """A remembered value."""
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return None if row is None else str(row[0])


def installation_id(connection: sqlite3.Connection) -> str:
    """What tells this installation from every other one; a restored backup is the one that it was made of."""
    found = read_meta(connection, "installation")
    assert found is not None, "a migration has made it"
    return found


# -- removal ---------------------------------------------------------------------------------------


_OVER: Final = (
    "SELECT seq FROM run WHERE hidden = 1 AND ended_at IS NOT NULL AND seq < (SELECT max(seq) FROM run)"
    " AND seq <> (SELECT run FROM history ORDER BY id DESC LIMIT 1)"
)


def delete_triggers() -> list[Sql]:
    """Remove the host's own runs that have done their work: they would only grow the file.

    One that is the newest, or has the newest row of history, stays until the next time: no number of a run or a row
    may be given out twice (see `snapshots.fold`).
    """
    tables = ("history", "timer", "wait", "inbox", "effect", "effect_floor", "incident", "snapshot")
    return [
        *((f"DELETE FROM {table} WHERE run IN ({_OVER})", ()) for table in tables),  # noqa: S608 - constants
        *blobs.release_of(_OVER),
        (f"DELETE FROM run WHERE seq IN ({_OVER})", ()),  # noqa: S608 - a constant
    ]


def quarantine_run(seq: int, reason: str) -> Sql:
    """Set a run aside: a bug stopped it, its history is kept."""
    return "UPDATE run SET residence = 'quarantined', reason = seal(?1, ?2) WHERE seq = ?2", (reason, seq)


def revive_run(seq: int) -> Sql:
    """Try a run again that was set aside."""
    return "UPDATE run SET residence = 'live', reason = NULL WHERE seq = ? AND residence = 'quarantined'", (seq,)


def migrate_run(seq: int, digest: str, version: str) -> Sql:
    """A run goes on under another version of its definition."""
    return "UPDATE run SET digest = ?, version = ? WHERE seq = ?", (digest, version, seq)


def change_cause(seq: int, cause: str) -> Sql:
    """What the cause of a run (as JSON) says of it from now on."""
    return "UPDATE run SET cause = seal(?, ?) WHERE seq = ?", (cause, seq, seq)


def close_lingering(seq: int) -> Sql:
    """The last act of a run that had ended is over."""
    return "UPDATE run SET residence = 'closed' WHERE seq = ? AND ended_at IS NOT NULL", (seq,)
