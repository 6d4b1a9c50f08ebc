"""Changes of people that wait for a second administrator, as rows. A password among them is kept as its hash only."""

from __future__ import annotations

import sqlite3
from typing import Any, Final, Literal

import msgspec

from segue.store.codec import encode
from segue.store.records import Sql

AccountChangeState = Literal["waiting", "approved", "refused", "lapsed"]
_COLUMNS: Final = (
    "number, what, kind, id, effect, wish, wanted_at, wanted_by, approver, state, decided_at, decided_by, reason"
)


class AccountChangeRecord(msgspec.Struct, frozen=True):
    """Somebody wants to change another person so that a second administrator must look at it.

    Attributes:
        what: `add`, `change`, or `profile`. kind, id: Whom.
        effect: What it would do, in words of the service; nothing secret.
        wish: What was asked for; empty once it is decided.
        approver: The role that a rule asks for.
    """

    number: int
    what: str
    kind: str
    id: str
    effect: list[list[str]]
    wish: dict[str, Any]
    wanted_at: int
    wanted_by: str
    approver: str
    state: AccountChangeState
    decided_at: int | None
    decided_by: str | None
    reason: str | None


def want_account_change(
    what: str, who: tuple[str, str], effect: list[list[str]], wish: dict[str, Any], at: int, by: str, approver: str
) -> list[Sql]:
    """Note a wish. An older one of the same person about the same somebody is over: nobody approves it."""
    over = (
        "UPDATE account_change SET state = 'refused', decided_at = ?, decided_by = ?, wish = seal('{}'),"
        " reason = seal('replaced by a newer wish')"
        " WHERE state = 'waiting' AND what = ? AND kind = ? AND id = ? AND wanted_by = ?"
    )
    sql = (
        "INSERT INTO account_change (what, kind, id, effect, wish, wanted_at, wanted_by, approver, state)"
        " VALUES (?, ?, ?, ?, seal(?), ?, ?, ?, 'waiting')"
    )
    row = (what, *who, encode(effect).decode(), encode(wish).decode(), at, by, approver)
    return [(over, (at, by, what, *who, by)), (sql, row)]


def decide_account_change(number: int, state: AccountChangeState, at: int, by: str, reason: str) -> Sql:
    """Note what was decided, and forget what was asked for; the first decision counts."""
    sql = (
        "UPDATE account_change SET state = ?, decided_at = ?, decided_by = ?, reason = seal(?), wish = seal('{}')"
        " WHERE number = ? AND state = 'waiting'"
    )
    return sql, (state, at, by, reason, number)


def find_account_change(connection: sqlite3.Connection, number: int) -> AccountChangeRecord | None:
    """The one with this number."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM account_change WHERE number = ?", (number,)).fetchone()  # noqa: S608
    return None if row is None else _record(row)


def list_account_changes(
    connection: sqlite3.Connection,
    *,
    state: AccountChangeState | None = None,
    before: int | None = None,
    limit: int = -1,
) -> list[AccountChangeRecord]:
    """Wishes, newest first; what is None does not restrict."""
    wanted: dict[str, Any] = {"state": state, "before": before, "limit": limit}
    sql = (
        f"SELECT {_COLUMNS} FROM account_change WHERE (:state IS NULL OR state = :state)"  # noqa: S608
        " AND (:before IS NULL OR number < :before) ORDER BY number DESC LIMIT :limit"
    )
    return [_record(row) for row in connection.execute(sql, wanted)]


def _record(row: tuple[Any, ...]) -> AccountChangeRecord:
    values = dict(zip(AccountChangeRecord.__struct_fields__, row, strict=True))
    values["effect"] = msgspec.json.decode(values["effect"])
    values["wish"] = msgspec.json.decode(values["wish"])
    return AccountChangeRecord(**values)
