"""Groups that a directory tells of by SCIM, as rows. People that it tells of are identities (`permission.py`)."""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from segue.store.codec import encode
from segue.store.records import Sql


class DirectoryGroup(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A group of the directory. Times are milliseconds since the epoch, UTC.

    Attributes:
        kept: What the directory says of it: `displayName`, `externalId`.
        members: Ids of people, oldest membership first.
    """

    id: str
    kept: dict[str, Any] = {}
    members: list[str] = []
    created_at: int = 0
    changed_at: int = 0


def put_group(record: DirectoryGroup) -> Sql:
    """Store a group over what was known of it."""
    sql = "INSERT OR REPLACE INTO directory_group (id, data) VALUES (?, seal(?))"
    return sql, (record.id, encode(record).decode())


def delete_group(group: str) -> Sql:
    """Forget a group."""
    return "DELETE FROM directory_group WHERE id = ?", (group,)


def list_groups(connection: sqlite3.Connection) -> list[DirectoryGroup]:
    """All groups by id."""
    rows = connection.execute("SELECT data FROM directory_group ORDER BY id")
    return [msgspec.json.decode(data, type=DirectoryGroup) for (data,) in rows]
