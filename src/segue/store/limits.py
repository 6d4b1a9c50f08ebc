"""Acts that count for operational limits: a row for each, which is on disk no later than the act's result."""

from __future__ import annotations

import sqlite3

from segue.store.codec import decode, encode
from segue.store.records import Sql


def put_taken(limit: str, key: str, at: int, amount: float) -> Sql:
    """An act counts for a limit. Counting it again while it counts changes nothing."""
    sql = (
        "INSERT INTO limit_taken (limit_name, key, at, amount) VALUES (?, ?, ?, seal(?))"
        " ON CONFLICT (limit_name, key) DO UPDATE SET at = excluded.at, amount = excluded.amount"
    )
    return sql, (limit, key, at, encode(amount).decode())


def drop_taken(before: int) -> Sql:
    """Forget what counts no more."""
    return "DELETE FROM limit_taken WHERE at <= ?", (before,)


def taken_since(connection: sqlite3.Connection, at: int) -> list[tuple[str, str, int, float]]:
    """What counts since a time, oldest first: limit, key of the act, time, amount."""
    rows = connection.execute(
        "SELECT limit_name, key, at, amount FROM limit_taken WHERE at > ? ORDER BY at, key", (at,)
    )
    return [(limit, key, taken_at, float(decode(amount))) for limit, key, taken_at, amount in rows]
