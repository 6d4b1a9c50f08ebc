"""What somebody wants and others decide about, in one shape, with its clock and its notices, as rows.

Publications, changes of values, consents and changes of people keep their own tables; what they have in common is
read from them here. A clock belongs to one wish: wanted again, it gets another.
"""

from __future__ import annotations

import sqlite3
from typing import Any, Final, Literal

import msgspec

from segue.store.codec import encode
from segue.store.records import Sql

WishKind = Literal["publication", "adjustment", "consent", "account"]
KINDS: Final[tuple[WishKind, ...]] = ("publication", "adjustment", "consent", "account")

_WISHES: Final[dict[WishKind, tuple[str, str]]] = {
    "publication": (
        "publication",
        "w.wanted_at, w.wanted_by, w.namespace || '/' || w.name, w.version, w.approver, ''",
    ),
    "adjustment": ("adjustment", "w.at, w.by, w.namespace || '/' || w.name, '', w.approver, ''"),
    "consent": ("consent", "w.wanted_at, w.wanted_by, w.namespace || '/' || w.name, w.access, '', w.connection"),
    "account": ("account_change", "w.wanted_at, w.wanted_by, w.kind || '/' || w.id, w.what, w.approver, ''"),
}
"""Where each kind stands, and what `Wish` says from `wanted_at` to `connection`."""
_SINCE: Final = {kind: "at" if kind == "adjustment" else "wanted_at" for kind in KINDS}


class Clock(msgspec.Struct, frozen=True):
    """The clock of a wish.

    Attributes:
        said: `reminders_ms`, `ladder`, `deadline`; None for what the settings say when it begins.
        began_at: When people were first asked; None before.
        steps: How much of its agenda has happened.
        next_at: When there is more to happen; None when it is over.
    """

    said: dict[str, Any] | None = None
    began_at: int | None = None
    steps: int = 0
    next_at: int | None = 0


class Wish(msgspec.Struct, frozen=True):
    """Something that somebody wants and others decide about.

    Attributes:
        place: Namespace and name of the workflow, or kind and id of whom it is about.
        more: Version, access, or what is wanted of an account.
        role: Who decides has it; empty where it is an owner's. connection: Whose owner decides.
    """

    kind: WishKind
    number: int
    wanted_at: int
    wanted_by: str
    place: str
    more: str
    role: str
    connection: str
    clock: Clock = Clock()

    @property
    def about(self) -> str:
        """Its name, such as `consent:3`."""
        return f"{self.kind}:{self.number}"


# -- reading ---------------------------------------------------------------------------------------


def list_wishes(connection: sqlite3.Connection, kind: WishKind, *, due: int | None = None) -> list[Wish]:
    """Wishes of a kind that wait, oldest first. `due`: only those with something to happen by then."""
    where = "" if due is None else "AND c.next_at <= :due"
    return _wishes(connection, kind, f"w.state = 'waiting' {where}", {"due": due})


def find_wish(connection: sqlite3.Connection, kind: WishKind, number: int) -> Wish | None:
    """The one with this number, whatever became of it."""
    return next(iter(_wishes(connection, kind, "w.number = :number", {"number": number})), None)


def find_waiting(connection: sqlite3.Connection, kind: WishKind, number: int) -> Wish | None:
    """The one with this number, if it waits."""
    where = "w.number = :number AND w.state = 'waiting'"
    return next(iter(_wishes(connection, kind, where, {"number": number})), None)


def next_step(connection: sqlite3.Connection) -> int | None:
    """When the next clock has something to do."""
    sql = "SELECT min(next_at) FROM wish_clock WHERE next_at IS NOT NULL"
    found: int | None = connection.execute(sql).fetchone()[0]
    return found


def _wishes(connection: sqlite3.Connection, kind: WishKind, where: str, given: dict[str, Any]) -> list[Wish]:
    table, columns = _WISHES[kind]
    sql = (
        f"SELECT w.number, {columns}, c.clock, c.began_at, c.steps, c.next_at FROM {table} w LEFT JOIN wish_clock c"  # noqa: S608
        f" ON c.kind = '{kind}' AND c.number = w.number AND c.wanted_at = w.{_SINCE[kind]}"
        f" WHERE {where} ORDER BY w.number"
    )
    found = []
    for row in connection.execute(sql, given):
        number, wanted_at, by, place, more, role, of, clock, began_at, steps, next_at = row
        kept = Clock()
        if steps is not None:
            kept = Clock(None if clock is None else msgspec.json.decode(clock), began_at, steps, next_at)
        found.append(Wish(kind, number, wanted_at, by, place, more, role, of, kept))
    return found


# -- writing ---------------------------------------------------------------------------------------


def give_clock(kind: WishKind, said: dict[str, Any]) -> Sql:
    """Give a clock to what waits without one: what the statement before it wanted."""
    table, since = _WISHES[kind][0], _SINCE[kind]
    # What is granted and withdrawn in between is wanted at another time, so an old clock is not its own.
    sql = (
        "INSERT INTO wish_clock (kind, number, wanted_at, clock, steps, next_at)"  # noqa: S608
        f" SELECT '{kind}', w.number, w.{since}, ?, 0, 0 FROM {table} w WHERE w.state = 'waiting' AND NOT EXISTS"
        f" (SELECT 1 FROM wish_clock c WHERE c.kind = '{kind}' AND c.number = w.number AND c.wanted_at = w.{since})"
        " ON CONFLICT (kind, number) DO UPDATE SET wanted_at = excluded.wanted_at, clock = excluded.clock,"
        " began_at = NULL, steps = 0, next_at = 0"
    )
    return sql, (encode(said).decode(),)


def advance_clock(wish: Wish, to: Clock) -> Sql:
    """So much of its agenda has happened."""
    sql = (
        "UPDATE wish_clock SET clock = ?, began_at = ?, steps = ?, next_at = ?"
        " WHERE kind = ? AND number = ? AND wanted_at = ?"
    )
    said = None if to.said is None else encode(to.said).decode()
    return sql, (said, to.began_at, to.steps, to.next_at, wish.kind, wish.number, wish.wanted_at)


def stop_decided(now: int) -> list[Sql]:
    """Clocks that are due of what does not wait any more are over."""
    return [
        (
            "UPDATE wish_clock SET next_at = NULL WHERE kind = ? AND next_at <= ? AND NOT EXISTS"  # noqa: S608
            f" (SELECT 1 FROM {_WISHES[kind][0]} w WHERE w.number = wish_clock.number AND w.state = 'waiting'"
            f" AND w.{_SINCE[kind]} = wish_clock.wanted_at)",
            (kind, now),
        )
        for kind in KINDS
    ]


def lapse(wish: Wish, by: str, now: int, reason: str) -> Sql:
    """Nobody decided about it in time. What was decided meanwhile stays decided."""
    table = _WISHES[wish.kind][0]
    why = "decided_reason" if wish.kind == "adjustment" else "reason"
    secret = ", wish = seal('{}')" if wish.kind == "account" else ""
    sql = (
        f"UPDATE {table} SET state = 'lapsed', decided_at = ?, decided_by = ?, {why} = seal(?){secret}"  # noqa: S608
        " WHERE number = ? AND state = 'waiting'"
    )
    return sql, (now, by, reason, wish.number)


def make_wish_notice(wish: Wish, kind: str, title: str, person: str, channel: str, now: int, due: int) -> Sql:
    """Somebody is to be told of the step that the clock of a wish has come to; doing it again changes nothing."""
    sent = channel == "app"
    sql = (
        "INSERT OR IGNORE INTO notice"
        " (task, change, person, channel, kind, state, made_at, due_at, sent_at, about, title)"
        " VALUES (0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    )
    row = (_change_of(wish), person, channel, kind, "sent" if sent else "due", now, due, now if sent else None)
    return sql, (*row, wish.about, title)


def _change_of(wish: Wish) -> int:
    """What stands for this step of this wish: below what exceptions have, and beside what earlier releases wrote.

    Of when it was wanted the milliseconds count: what is refused and wanted again at once is another wish.
    """
    step = (wish.wanted_at % (1 << 24) << 10) + min(wish.clock.steps, (1 << 10) - 1)
    return -((KINDS.index(wish.kind) + 1 + len(KINDS) << 58) + (wish.number << 34) + step)


def void_decided() -> list[Sql]:
    """Notices of what does not wait any more are not sent; that it has lapsed is told nevertheless."""
    return [
        (
            "UPDATE notice SET state = 'void' WHERE state = 'due' AND about GLOB ? AND kind <> 'wish-lapsed'"  # noqa: S608
            f" AND NOT EXISTS (SELECT 1 FROM {_WISHES[kind][0]} AS w WHERE w.state = 'waiting'"
            " AND w.number = CAST(substr(notice.about, ?) AS INTEGER))",
            (f"{kind}:*", len(kind) + 2),
        )
        for kind in KINDS
    ]
