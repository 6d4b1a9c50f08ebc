"""Consents of owners to uses of their connections and models, as rows; and whom models belong to."""

from __future__ import annotations

import sqlite3
from typing import Any, Final, Literal

import msgspec

from segue.store.records import Sql

ConsentState = Literal["waiting", "granted", "refused", "revoked", "lapsed"]
_COLUMNS: Final = (
    "number, connection, namespace, name, access, state, wanted_at, wanted_by, decided_at, decided_by, reason"
)


class ConsentRecord(msgspec.Struct, frozen=True):
    """A workflow uses a connection or a model, or wants to.

    Attributes:
        connection: Its name; `model:NAME` for a model.
        access: `read` or `write`; `use` for a model.
    """

    number: int
    connection: str
    namespace: str
    name: str
    access: str
    state: ConsentState
    wanted_at: int
    wanted_by: str
    decided_at: int | None
    decided_by: str | None
    reason: str | None


Use = tuple[str, str, str, str]
"""Connection or `model:NAME`, namespace and name of the workflow, access."""


def want_consent(use: Use, at: int, by: str) -> Sql:
    """Note that somebody wants it. What is granted or waits stays as it is."""
    sql = (
        "INSERT INTO consent (connection, namespace, name, access, state, wanted_at, wanted_by)"
        " VALUES (?, ?, ?, ?, 'waiting', ?, ?) ON CONFLICT (connection, namespace, name, access) DO UPDATE SET"
        " state = 'waiting', wanted_at = excluded.wanted_at, wanted_by = excluded.wanted_by,"
        " decided_at = NULL, decided_by = NULL, reason = NULL WHERE state IN ('refused', 'revoked', 'lapsed')"
    )
    return sql, (*use, at, by)


def decide_consent(use: Use, state: ConsentState, at: int, by: str, reason: str) -> Sql:
    """Note what was decided about a use, also one that nobody asked for before."""
    sql = (
        "INSERT INTO consent (connection, namespace, name, access, state, wanted_at, wanted_by, decided_at,"
        " decided_by, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, seal(?))"
        " ON CONFLICT (connection, namespace, name, access) DO UPDATE SET state = excluded.state,"
        " decided_at = excluded.decided_at, decided_by = excluded.decided_by, reason = excluded.reason"
    )
    return sql, (*use, state, at, by, at, by, reason)


def find_consent(connection: sqlite3.Connection, number: int) -> ConsentRecord | None:
    """The one with this number."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM consent WHERE number = ?", (number,)).fetchone()  # noqa: S608
    return None if row is None else ConsentRecord(*row)


def list_consents(
    connection: sqlite3.Connection,
    *,
    of: str | None = None,
    state: ConsentState | None = None,
    before: int | None = None,
    limit: int = -1,
) -> list[ConsentRecord]:
    """Consents, newest first; what is None does not restrict. `of`: the connection."""
    wanted: dict[str, Any] = {"of": of, "state": state, "before": before, "limit": limit}
    sql = (
        f"SELECT {_COLUMNS} FROM consent WHERE (:of IS NULL OR connection = :of)"  # noqa: S608
        " AND (:state IS NULL OR state = :state) AND (:before IS NULL OR number < :before)"
        " ORDER BY number DESC LIMIT :limit"
    )
    return [ConsentRecord(*row) for row in connection.execute(sql, wanted)]


def put_model_owner(name: str, owner: str | None, at: int, by: str) -> Sql:
    """Say whom a model belongs to; None for nobody."""
    if owner is None:
        return "DELETE FROM model_owner WHERE name = ?", (name,)
    sql = "INSERT OR REPLACE INTO model_owner (name, owner, at, by) VALUES (?, ?, ?, ?)"
    return sql, (name, owner, at, by)


def list_model_owners(connection: sqlite3.Connection) -> dict[str, str]:
    """Whom models belong to, by name."""
    return dict(connection.execute("SELECT name, owner FROM model_owner ORDER BY name"))
