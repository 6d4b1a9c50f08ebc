"""The exception inbox: failures that somebody should know of, open until something resolves them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from segue.store.codec import encode, load_failure
from segue.store.records import Sql
from segue.store.urgency import Urgency, behind, urgency
from segue.types import Failure

IncidentKind = Literal["held", "faulted", "unknown", "quarantined"]
IncidentState = Literal["open", "closed"]
_PRIORITY: Final = 1
"""That of tasks which name none; the deadline says the rest."""

_COLUMNS: Final = (
    "incident.id, run, run.id, run.version, run.digest, task, kind, state, at, event, incident.namespace,"
    " incident.name, pointer, incident.failure, fingerprint, owner, deadline, effect, action, by, incident.reason,"
    " closed_at, overdue, level"
)
_FROM: Final = "FROM incident JOIN run ON run.seq = incident.run"


class IncidentRecord(msgspec.Struct, frozen=True):
    """One failure in the inbox.

    Attributes:
        run, run_id: Sequence number and id of its run.
        task: Id of the held task or of the act; 0 where the run as a whole is meant.
        event: How many events the run's history held with the cause; 0 where an earlier release did not say.
        pointer: JSON Pointer of the task, empty where the run as a whole is meant.
        fingerprint: The same for failures with the same cause.
        deadline: When it should be resolved, in milliseconds since the epoch.
        effect: Key of the act whose outcome is unknown.
        action: What resolved it. by, reason: Who did, and why.
        overdue: When its deadline passed. level: How many times it was passed on since.
    """

    id: int
    run: int
    run_id: str
    version: str
    digest: str
    task: int
    kind: IncidentKind
    state: IncidentState
    at: int
    event: int
    namespace: str
    name: str
    pointer: str
    failure: Failure
    fingerprint: str
    owner: str | None
    deadline: int | None
    effect: str | None
    action: str | None
    by: str | None
    reason: str | None
    closed_at: int | None
    overdue: int | None = None
    level: int = 0

    @property
    def urgency(self) -> Urgency:
        """Its place among everything that waits for people."""
        return urgency(_PRIORITY, self.deadline, self.at, "exception", self.id)


class DueRecord(msgspec.Struct, frozen=True):
    """An open incident whose deadline, or whose owner's, has passed."""

    id: int
    run_id: str
    digest: str
    kind: IncidentKind
    namespace: str
    name: str
    pointer: str
    failure: Failure
    owner: str | None
    deadline: int
    level: int


@dataclass(frozen=True, slots=True)
class IncidentFilter:
    """Which incidents to list; what is None does not restrict. `overdue`: only those whose deadline has passed."""

    state: IncidentState | None = None
    kind: IncidentKind | None = None
    namespace: str | None = None
    name: str | None = None
    fingerprint: str | None = None
    run: int | None = None
    overdue: bool = False


class IncidentGroup(msgspec.Struct, frozen=True):
    """Incidents with the same cause: how many, the first and the newest time, and the newest one's id."""

    fingerprint: str
    count: int
    first_at: int
    last_at: int
    newest: int


# -- reading ---------------------------------------------------------------------------------------


def find_incident(connection: sqlite3.Connection, number: int) -> IncidentRecord | None:
    """The incident with this number."""
    row = connection.execute(f"SELECT {_COLUMNS} {_FROM} WHERE incident.id = ?", (number,)).fetchone()
    return None if row is None else _record(row)


def find_incidents(connection: sqlite3.Connection, numbers: Sequence[int]) -> dict[int, IncidentRecord]:
    """The incidents with these numbers, by number."""
    sql = f"SELECT {_COLUMNS} {_FROM} WHERE incident.id IN (SELECT value FROM json_each(?))"  # noqa: S608
    return {record.id: record for record in map(_record, connection.execute(sql, (str(list(numbers)),)))}


def list_incidents(
    connection: sqlite3.Connection, wanted: IncidentFilter, *, limit: int, before: int | None = None
) -> list[IncidentRecord]:
    """Incidents, newest first; `before` is the id of the last one seen, a negative `limit` lists all."""
    where, parameters = _where(wanted, before)
    sql = f"SELECT {_COLUMNS} {_FROM} {where} ORDER BY incident.id DESC LIMIT ?"
    return [_record(row) for row in connection.execute(sql, (*parameters, limit))]


def most_urgent(
    connection: sqlite3.Connection, owners: Sequence[str] | None, *, limit: int, after: Urgency | None = None
) -> list[IncidentRecord]:
    """Open incidents that belong to any of these, or to anybody and nobody; the most urgent first.

    Args:
        after: Place of the last one seen.
    """
    beyond, order = behind(str(_PRIORITY), "deadline", "at", "'exception'", "incident.id", after)
    whose = "1" if owners is None else "owner IN (SELECT value FROM json_each(?))"
    given = () if owners is None else (encode(list(owners)).decode(),)
    sql = f"SELECT {_COLUMNS} {_FROM} WHERE state = 'open' AND {whose} AND {beyond} ORDER BY {order} LIMIT ?"
    return [_record(row) for row in connection.execute(sql, (*given, *(after or ()), limit))]


def group_incidents(connection: sqlite3.Connection, wanted: IncidentFilter, *, limit: int) -> list[IncidentGroup]:
    """Incidents by cause, the most frequent cause first."""
    where, parameters = _where(wanted, None)
    sql = (
        f"SELECT fingerprint, count(*) AS n, min(at), max(at), max(id) FROM incident {where}"  # noqa: S608
        " GROUP BY fingerprint ORDER BY n DESC, max(id) DESC LIMIT ?"
    )
    return [IncidentGroup(*row) for row in connection.execute(sql, (*parameters, limit))]


def first_held(connection: sqlite3.Connection, seqs: list[int]) -> list[tuple[int, int, int, str, Failure]]:
    """Of each of these runs that a person must decide about, because tasks are held or a bug has stopped it: run, how
    many, the first one's id, pointer and failure.
    """
    sql = (
        "SELECT run, count(*), min(id), pointer, failure FROM incident"
        " WHERE run IN (SELECT value FROM json_each(?)) AND state = 'open' AND kind IN ('held', 'quarantined')"
        " GROUP BY run"
    )
    # SQLite takes the other columns of a group from the row that holds the minimum.
    rows = connection.execute(sql, (str(seqs),))
    return [(run, n, number, pointer, _failure(reason)) for run, n, number, pointer, reason in rows]


def unfinished(connection: sqlite3.Connection, *, limit: int) -> list[tuple[int, str, str, str, Failure]]:
    """Incidents without a fingerprint: id, namespace, name, pointer, failure."""
    sql = "SELECT id, namespace, name, pointer, failure FROM incident WHERE fingerprint = '' ORDER BY id LIMIT ?"
    rows = connection.execute(sql, (limit,))
    return [(number, *place, _failure(reason)) for number, *place, reason in rows]


_DUE: Final = (
    "state = 'open' AND level = 0 AND deadline IS NOT NULL",
    "state = 'open' AND escalates_at IS NOT NULL",
)


def next_due(connection: sqlite3.Connection) -> int | None:
    """When the next deadline of an open incident passes, or has passed."""
    first = connection.execute(f"SELECT min(deadline) FROM incident WHERE {_DUE[0]}").fetchone()[0]  # noqa: S608
    again = connection.execute(f"SELECT min(escalates_at) FROM incident WHERE {_DUE[1]}").fetchone()[0]  # noqa: S608
    return min((due for due in (first, again) if due is not None), default=None)


def due(connection: sqlite3.Connection, *, now: int, limit: int) -> list[DueRecord]:
    """Open incidents whose deadline has passed and that nobody was told of since."""
    columns = (
        "incident.id, run.id, run.digest, kind, incident.namespace, incident.name, pointer, incident.failure, owner,"
        " deadline, level"
    )
    found: list[DueRecord] = []
    for condition, column in zip(_DUE, ("deadline", "escalates_at"), strict=True):
        sql = f"SELECT {columns} {_FROM} WHERE {condition} AND {column} <= ? ORDER BY {column} LIMIT ?"
        rows = connection.execute(sql, (now, limit - len(found)))
        for row in rows:
            values = dict(zip(DueRecord.__struct_fields__, row, strict=True))
            found.append(DueRecord(**{**values, "failure": _failure(values["failure"])}))
    return found


def _where(wanted: IncidentFilter, before: int | None) -> tuple[str, list[Any]]:
    conditions: list[str] = []
    parameters: list[Any] = []
    for column in ("state", "kind", "namespace", "name", "fingerprint", "run"):
        value = getattr(wanted, column)
        if value is not None:
            conditions.append(f"incident.{column} = ?")
            parameters.append(value)
    if wanted.overdue:
        conditions.append("incident.overdue IS NOT NULL")
    if before is not None:
        conditions.append("incident.id < ?")
        parameters.append(before)
    return (f"WHERE {' AND '.join(conditions)}" if conditions else ""), parameters


def _failure(stored: str) -> Failure:
    found = load_failure(stored)
    assert found is not None, "an incident has a failure"
    return found


def _record(row: tuple[Any, ...]) -> IncidentRecord:
    values = dict(zip(IncidentRecord.__struct_fields__, row, strict=True))
    values["failure"] = _failure(values["failure"])
    return IncidentRecord(**values)


# -- writing ---------------------------------------------------------------------------------------


def row_of(
    run: int,
    task: int,
    kind: IncidentKind,
    *,
    at: int,
    event: int,
    namespace: str,
    name: str,
    pointer: str,
    failure: Failure,
    fingerprint: str,
    owner: str | None = None,
    deadline: int | None = None,
    effect: str | None = None,
    again: bool = False,
) -> tuple[Any, ...]:
    """An incident for `Batch.bring_in`. A fault ends its run, so there is nothing left to decide: it is closed.

    Args:
        again: Its task was held before the process started, so it is in the inbox unless an earlier release held it.
    """
    closed = kind == "faulted"
    return (
        *(run, task, kind, "closed" if closed else "open", at, event, namespace, name, pointer),
        *(encode(failure).decode(), fingerprint, owner, deadline, effect),
        *(("faulted", at) if closed else (None, None)),
        *(None, None, int(again)),
    )


def escalate(number: int, owner: str | None, level: int, again: int | None, at: int) -> Sql:
    """An open incident is overdue: it has this owner now, and the next one's turn comes `again`."""
    sql = (
        "UPDATE incident SET owner = ?, level = ?, escalates_at = ?, overdue = coalesce(overdue, ?)"
        " WHERE id = ? AND state = 'open' AND level < ?"
    )
    return sql, (owner, level, again, at, number, level)


def close_of_run(run: int, action: str, by: str, reason: str, at: int) -> Sql:
    """Close everything that is open about a run."""
    sql = (
        "UPDATE incident SET state = 'closed', action = ?, by = seal(?), reason = seal(?), closed_at = ?"
        " WHERE run = ? AND state = 'open'"
    )
    return sql, (action, by, reason, at, run)


def close_quarantined(run: int, action: str, by: str, reason: str, at: int) -> Sql:
    """A run that was set aside is tried again."""
    sql = (
        "UPDATE incident SET state = 'closed', action = ?, by = seal(?), reason = seal(?), closed_at = ?"
        " WHERE run = ? AND kind = 'quarantined' AND state = 'open'"
    )
    return sql, (action, by, reason, at, run)


def close_unknown(effect: str, action: str, by: str, reason: str, at: int) -> Sql:
    """The outcome of an act is known, or nobody asks any more."""
    sql = (
        "UPDATE incident SET state = 'closed', action = ?, by = seal(?), reason = seal(?), closed_at = ?"
        " WHERE effect = ? AND kind = 'unknown' AND state = 'open'"
    )
    return sql, (action, by, reason, at, effect)


def reopen_unknown(effect: str) -> Sql:
    """Ask about an act again that a held task told of, unless somebody is asked about it."""
    sql = (
        "UPDATE incident SET state = 'open', action = NULL, by = NULL, reason = NULL, closed_at = NULL"
        " WHERE id = (SELECT max(id) FROM incident WHERE effect = ?1 AND kind = 'unknown') AND action = 'held'"
        " AND NOT EXISTS (SELECT 1 FROM incident WHERE effect = ?1 AND kind = 'unknown' AND state = 'open')"
    )
    return sql, (effect,)


def set_fingerprint(number: int, fingerprint: str) -> Sql:
    """Fill in what an earlier release did not know."""
    return "UPDATE incident SET fingerprint = ? WHERE id = ?", (fingerprint, number)
