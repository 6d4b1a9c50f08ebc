"""Adjustable values of workflows and every change of them, as rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any, Final, Literal

import msgspec

from segue.store.codec import encode
from segue.store.records import Sql

AdjustmentState = Literal["made", "waiting", "approved", "refused", "lapsed"]
_COLUMNS: Final = (
    "number, namespace, name, changes, at, by, reason, state, approver, decided_at, decided_by, decided_reason"
)


class ValueChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """One value changes from `old`; without `new` it goes back to its default."""

    name: str
    old: Any
    new: Any = msgspec.UNSET


class AdjustmentRecord(msgspec.Struct, frozen=True):
    """Somebody changed values of a workflow, or wants to. `approver` is the role that a rule asks for."""

    number: int
    namespace: str
    name: str
    changes: list[ValueChange]
    at: int
    by: str
    reason: str
    state: AdjustmentState
    approver: str
    decided_at: int | None
    decided_by: str | None
    decided_reason: str | None


class AdjustedValue(msgspec.Struct, frozen=True):
    """What a value is set to, and by which adjustment."""

    value: Any
    number: int


def add_adjustment(
    place: tuple[str, str],
    changes: list[ValueChange],
    at: int,
    by: str,
    reason: str,
    state: AdjustmentState,
    approver: str = "",
) -> Sql:
    """Note a change, or the wish for one."""
    sql = (
        "INSERT INTO adjustment (namespace, name, changes, at, by, reason, state, approver)"
        " VALUES (?, ?, seal(?), ?, ?, seal(?), ?, ?)"
    )
    return sql, (*place, encode(changes).decode(), at, by, reason, state, approver)


def decide_adjustment(number: int, state: AdjustmentState, at: int, by: str, reason: str) -> Sql:
    """Note what was decided about a wish; the first decision counts."""
    sql = (
        "UPDATE adjustment SET state = ?, decided_at = ?, decided_by = ?, decided_reason = seal(?)"
        " WHERE number = ? AND state = 'waiting'"
    )
    return sql, (state, at, by, reason, number)


def put_values(place: tuple[str, str], changes: Iterable[ValueChange], number: int | None = None) -> list[Sql]:
    """Let changes count. `number` is their adjustment; None: the one that was noted last."""
    found: list[Sql] = []
    for change in changes:
        if change.new is msgspec.UNSET:
            sql = "DELETE FROM adjusted WHERE namespace = ? AND name = ? AND key = ?"
            found.append((sql, (*place, change.name)))
        else:
            sql = (
                "INSERT OR REPLACE INTO adjusted (namespace, name, key, value, number)"
                " VALUES (?, ?, ?, seal(?), coalesce(?, (SELECT max(number) FROM adjustment)))"
            )
            found.append((sql, (*place, change.name, encode(change.new).decode(), number)))
    return found


def list_values(connection: sqlite3.Connection) -> dict[tuple[str, str], dict[str, AdjustedValue]]:
    """What is set now, by namespace and name."""
    found: dict[tuple[str, str], dict[str, AdjustedValue]] = {}
    rows = connection.execute("SELECT namespace, name, key, value, number FROM adjusted ORDER BY 1, 2, 3")
    for namespace, name, key, value, number in rows:
        found.setdefault((namespace, name), {})[key] = AdjustedValue(msgspec.json.decode(value), number)
    return found


def find_adjustment(connection: sqlite3.Connection, number: int) -> AdjustmentRecord | None:
    """The one with this number."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM adjustment WHERE number = ?", (number,)).fetchone()  # noqa: S608
    return None if row is None else _record(row)


def list_adjustments(
    connection: sqlite3.Connection,
    *,
    place: tuple[str, str] | None = None,
    state: AdjustmentState | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[AdjustmentRecord]:
    """Adjustments, newest first; what is None does not restrict."""
    namespace, name = place or (None, None)
    wanted = {"namespace": namespace, "name": name, "state": state, "before": before, "limit": limit}
    sql = (
        f"SELECT {_COLUMNS} FROM adjustment WHERE (:namespace IS NULL OR namespace = :namespace)"  # noqa: S608
        " AND (:name IS NULL OR name = :name) AND (:state IS NULL OR state = :state)"
        " AND (:before IS NULL OR number < :before) ORDER BY number DESC LIMIT :limit"
    )
    return [_record(row) for row in connection.execute(sql, wanted)]


def _record(row: tuple[Any, ...]) -> AdjustmentRecord:
    number, namespace, name, changes, *rest = row
    return AdjustmentRecord(number, namespace, name, msgspec.json.decode(changes, type=list[ValueChange]), *rest)
