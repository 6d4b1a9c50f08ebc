"""Time passes for what waits."""

from __future__ import annotations

from segue.service import Service
from segue.store.records import Sql

_WISHES = (
    ("publication", "wanted_at"),
    ("adjustment", "at"),
    ("consent", "wanted_at"),
    ("account_change", "wanted_at"),
)


async def age(service: Service, ms: int) -> None:
    """Let everything that waits have waited for so much longer."""
    moved: list[Sql] = [
        (f"UPDATE {table} SET {since} = {since} - ? WHERE state = 'waiting'", (ms,)) for table, since in _WISHES
    ]
    sql = (
        "UPDATE wish_clock SET wanted_at = wanted_at - ?, began_at = began_at - ?, next_at = max(next_at - ?, 0)"
        " WHERE next_at IS NOT NULL"
    )
    await service.store.write([*moved, (sql, (ms, ms, ms))])
