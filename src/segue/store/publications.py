"""Publications that wait for approval, as rows."""

from __future__ import annotations

import sqlite3
from typing import Any, Final, Literal

import msgspec

from segue.store.records import Sql

PublicationState = Literal["waiting", "approved", "refused", "lapsed"]
_COLUMNS: Final = (
    "number, namespace, name, version, digest, source, approver, wanted_at, wanted_by, state, decided_at, decided_by,"
    " reason"
)


class PublicationRecord(msgspec.Struct, frozen=True):
    """Somebody wants something published. `approver` is the role that a rule asks for."""

    number: int
    namespace: str
    name: str
    version: str
    digest: str
    source: str
    approver: str
    wanted_at: int
    wanted_by: str
    state: PublicationState
    decided_at: int | None
    decided_by: str | None
    reason: str | None


def want_publication(place: tuple[str, str, str], digest: str, source: str, approver: str, at: int, by: str) -> Sql:
    """Note what somebody wants published; the same content waits once."""
    sql = (
        "INSERT OR IGNORE INTO publication (namespace, name, version, digest, source, approver, wanted_at, wanted_by,"
        " state) VALUES (?, ?, ?, ?, seal(?), ?, ?, ?, 'waiting')"
    )
    return sql, (*place, digest, source, approver, at, by)


def decide_publication(number: int, state: PublicationState, at: int, by: str, reason: str) -> Sql:
    """Note what was decided; the first decision counts."""
    sql = (
        "UPDATE publication SET state = ?, decided_at = ?, decided_by = ?, reason = seal(?)"
        " WHERE number = ? AND state = 'waiting'"
    )
    return sql, (state, at, by, reason, number)


def find_publication(connection: sqlite3.Connection, number: int) -> PublicationRecord | None:
    """The one with this number."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM publication WHERE number = ?", (number,)).fetchone()  # noqa: S608
    return None if row is None else PublicationRecord(*row)


def list_publications(
    connection: sqlite3.Connection,
    *,
    state: PublicationState | None = None,
    digest: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[PublicationRecord]:
    """Publications, newest first; what is None does not restrict."""
    wanted: dict[str, Any] = {"state": state, "digest": digest, "before": before, "limit": limit}
    sql = (
        f"SELECT {_COLUMNS} FROM publication WHERE (:state IS NULL OR state = :state)"  # noqa: S608
        " AND (:digest IS NULL OR digest = :digest) AND (:before IS NULL OR number < :before)"
        " ORDER BY number DESC LIMIT :limit"
    )
    return [PublicationRecord(*row) for row in connection.execute(sql, wanted)]
