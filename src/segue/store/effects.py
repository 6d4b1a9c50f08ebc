"""The effect ledger: acts that must not simply be repeated, with key, intent and outcome."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import msgspec

from segue.store.codec import encode, load, pack
from segue.store.records import Sql

EffectState = Literal["intent", "done", "failed", "unknown"]

_COLUMNS: Final = (
    "run.id, run.namespace, run.name, run.version, effect.run, command, key, handler, connection, pointer, attempt,"
    " state, intended_at, settled_at, receipt"
)
_FROM: Final = "FROM effect JOIN run ON run.seq = effect.run"

Place = tuple[int, int, int]
"""Where a page ends: `intended_at`, run and command of its last act."""


class EffectEntry(msgspec.Struct, frozen=True):
    """One attempt at an act, with the run it belongs to. Times in milliseconds since the epoch.

    Attributes:
        state: `intent` (begun, no outcome yet), `done`, `failed`, or `unknown`: it may have happened.
        connection: The connection it went through, where it named one.
        receipt: What a person said that the system answered; what it answered itself stands in history.
    """

    run_id: str
    namespace: str
    name: str
    version: str
    run: int
    command: int
    key: str
    handler: str
    connection: str | None
    pointer: str
    attempt: int
    state: EffectState
    intended_at: int
    settled_at: int | None
    receipt: Any

    @property
    def place(self) -> Place:
        """Where a page that ends here goes on."""
        return (self.intended_at, self.run, self.command)


@dataclass(frozen=True, slots=True)
class EffectFilter:
    """Which acts to list; what is None does not restrict. Times in milliseconds since the epoch."""

    run: int | None = None
    handler: str | None = None
    connection: str | None = None
    state: EffectState | None = None
    since: int | None = None


def list_effects(
    connection: sqlite3.Connection, wanted: EffectFilter, *, limit: int, before: Place | None = None
) -> list[EffectEntry]:
    """Acts, newest first; `before` is the place of the last one seen."""
    conditions: list[str] = []
    parameters: list[Any] = []
    for column in ("run", "handler", "connection", "state"):
        value = getattr(wanted, column)
        if value is not None:
            conditions.append(f"effect.{column} = ?")
            parameters.append(value)
    if wanted.since is not None:
        conditions.append("intended_at >= ?")
        parameters.append(wanted.since)
    if before is not None:
        conditions.append("(intended_at, effect.run, command) < (?, ?, ?)")
        parameters += before
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    order = "ORDER BY intended_at DESC, effect.run DESC, command DESC LIMIT ?"
    sql = f"SELECT {_COLUMNS} {_FROM} {where} {order}"
    return [_entry(row) for row in connection.execute(sql, (*parameters, limit))]


def effects_by_key(connection: sqlite3.Connection, key: str) -> list[EffectEntry]:
    """All attempts at one act, oldest first: by number, because the clock may have been set back in between."""
    sql = f"SELECT {_COLUMNS} {_FROM} WHERE key = ? ORDER BY command"
    return [_entry(row) for row in connection.execute(sql, (key,))]


def unsettled_of_closed_runs(connection: sqlite3.Connection, *, limit: int) -> list[EffectEntry]:
    """Acts that were begun, whose run is over, and of which nobody knows how they ended."""
    sql = (
        f"SELECT {_COLUMNS} {_FROM} WHERE state = 'intent' AND residence IN ('closed', 'quarantined')"
        " ORDER BY intended_at LIMIT ?"
    )
    return [_entry(row) for row in connection.execute(sql, (limit,))]


def is_gone(connection: sqlite3.Connection, run: int, task: str, at: str | None) -> bool:
    """May an act at this place have been there, and have been removed since?

    Args:
        task: As acts are entered with it; or only what its name begins with, where nobody can say more.
        at: The place in its loops.
    """
    base = task.partition("/")[0]
    sql = "SELECT task, place FROM effect_floor WHERE run = ? AND task >= ? AND task < ?"
    # Under another task of this name, from before a migration, places cannot be compared.
    floors = connection.execute(sql, (run, f"{base}/", f"{base}0"))
    return any(floor != task or at is None or at <= place for floor, place in floors)


def with_floors(connection: sqlite3.Connection, seqs: Sequence[int]) -> set[int]:
    """Those of these runs of which acts were removed while they went on."""
    sql = (
        "SELECT value FROM json_each(?) AS wanted WHERE EXISTS (SELECT 1 FROM effect_floor WHERE run = wanted.value)"
    )
    return {run for (run,) in connection.execute(sql, (str(list(seqs)),))}


def settle_key(key: str, state: EffectState, at: int, *, besides: int = -1, receipt: Any = None) -> Sql:
    """The outcome of all unsettled attempts at an act is known.

    Args:
        besides: A command that is left as it is.
    """
    assert state in get_args(EffectState)
    stored = None if receipt is None else pack(encode(receipt))
    sql = (
        "UPDATE effect SET state = ?, settled_at = ?, receipt = coalesce(seal(?, run), receipt)"
        " WHERE key = ? AND state IN ('intent', 'unknown') AND command <> ?"
    )
    return sql, (state, at, stored, key, besides)


def _entry(row: tuple[Any, ...]) -> EffectEntry:
    values = dict(zip(EffectEntry.__struct_fields__, row, strict=True))
    values["receipt"] = load(values["receipt"])
    return EffectEntry(**values)
