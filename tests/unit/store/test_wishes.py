"""Wishes as rows: what waited before there were clocks gets one, and a clock is that of one wish."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from segue.store import migrate, wishes
from segue.store.consents import decide_consent, want_consent
from segue.store.sealing import equip
from segue.store.wishes import KINDS, Clock, give_clock, list_wishes, next_step

BEFORE = 25
"""The format that had no clocks."""


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as opened:
        equip(opened, None)
        yield opened


def older(connection: sqlite3.Connection) -> None:
    for number, text in migrate.migrations()[:BEFORE]:
        migrate._apply(connection, number, text)


def test_what_waited_before_there_were_clocks_begins_anew_and_tells_nobody_twice(
    connection: sqlite3.Connection,
) -> None:
    """An upgrade must neither let a month of waiting lapse at once nor ask everybody again."""
    older(connection)
    connection.execute(
        "INSERT INTO publication"
        " (namespace, name, version, digest, source, approver, wanted_at, wanted_by, state, told)"
        " VALUES ('demo', 'a', '1.0.0', 'x', '', 'publisher', 5, 'person:rita', 'waiting', 1),"
        " ('demo', 'b', '1.0.0', 'y', '', 'publisher', 6, 'person:rita', 'waiting', 0),"
        " ('demo', 'c', '1.0.0', 'z', '', 'publisher', 7, 'person:rita', 'refused', 1)"
    )
    migrate.migrate(connection, "a test")
    found = list_wishes(connection, "publication", due=0)
    assert [(w.place, w.clock) for w in found] == [
        ("demo/a", Clock(None, None, 1, 0)),
        ("demo/b", Clock(None, None, 0, 0)),
    ]


def test_each_kind_can_be_read_and_advanced(connection: sqlite3.Connection) -> None:
    """The statements are made of parts, so each is run."""
    migrate.migrate(connection, "a test")
    for kind in KINDS:
        assert list_wishes(connection, kind, due=1) == []
        connection.execute(*give_clock(kind, {}))
    for sql in (*wishes.stop_decided(1), *wishes.void_decided()):
        connection.execute(*sql)
    assert next_step(connection) is None


def test_what_is_wanted_again_has_a_clock_of_its_own(connection: sqlite3.Connection) -> None:
    """The old one, with its reminders, is of another wish; wanting what waits already moves nothing."""
    migrate.migrate(connection, "a test")
    use = ("crm", "demo", "flow", "read")

    def want(at: int) -> wishes.Wish:
        connection.execute(*want_consent(use, at, "person:rita"))
        connection.execute(*give_clock("consent", {"deadline": {"after_ms": at}}))
        (found,) = list_wishes(connection, "consent")
        return found

    first = want(1)
    connection.execute(*wishes.advance_clock(first, Clock(first.clock.said, 1, 3, 9)))
    assert want(2).clock == Clock({"deadline": {"after_ms": 1}}, 1, 3, 9)
    connection.execute(*decide_consent(use, "refused", 3, "person:ann", "no"))
    for sql in wishes.stop_decided(9):
        connection.execute(*sql)
    assert next_step(connection) is None
    assert want(4).clock == Clock({"deadline": {"after_ms": 4}}, None, 0, 0)
    late = wishes.lapse(first, "system:segue", 5, "late")
    connection.execute(*late)
    assert list_wishes(connection, "consent") == []


def test_what_is_wanted_again_at_once_is_told_again(connection: sqlite3.Connection) -> None:
    """A refusal and a second wish within one second are two things to hear of."""
    migrate.migrate(connection, "a test")
    wanted = wishes.Wish("consent", 1, 1_000, "person:rita", "demo/flow", "read", "", "crm", Clock(steps=1))
    again = wishes.Wish("consent", 1, 1_001, "person:rita", "demo/flow", "read", "", "crm", Clock(steps=1))
    for wish in (wanted, wanted, again):
        connection.execute(*wishes.make_wish_notice(wish, "consent", "x", "ann", "app", 0, 0))
    assert connection.execute("SELECT count(*) FROM notice").fetchone() == (2,)
