"""The company's own count, on which proofs of exactly-once stand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from segue.sandbox.database import Database, create
from segue.sandbox.http import Refusal
from segue.sandbox.ledger import Ledger


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    create(tmp_path / "one.sqlite3", "", date(2026, 1, 1), {})
    opened = Database(tmp_path / "one.sqlite3")
    yield opened
    opened.close()


@pytest.fixture
def ledger(db: Database) -> Ledger:
    return Ledger(db)


def once(ledger: Ledger, key: str | None, request: bytes = b"r", customer: str = "a") -> int:
    return ledger.write_once("task", customer, {"for": customer}, key=key, request=request).sequence


def test_a_key_makes_one_write_however_often_it_comes(ledger: Ledger) -> None:
    """This is what an idempotency key promises."""
    assert [once(ledger, "k") for _ in range(3)] == [1, 1, 1]

    counted = ledger.statistics(("task",))["writes"]["task"]
    assert (counted["created"], counted["distinct_idempotency_keys"], counted["replays_answered"]) == (1, 1, 2)


def test_a_key_for_another_request_is_refused(ledger: Ledger) -> None:
    """Answering with the earlier write would hide the client's mistake."""
    once(ledger, "k")

    with pytest.raises(Refusal) as refused:
        once(ledger, "k", b"another")
    assert refused.value.status == 422


def test_without_a_key_the_same_request_writes_again(ledger: Ledger) -> None:
    """The count must show what a careless client does."""
    assert [once(ledger, None) for _ in range(2)] == [1, 2]


def test_duplicates_are_counted_by_customer(ledger: Ledger) -> None:
    """The proof names who got something twice, not only that somebody did."""
    for customer in "abbccc":
        once(ledger, None, customer=customer)

    counted = ledger.statistics(("task",))["writes"]["task"]
    assert (counted["created"], counted["customers"], counted["duplicates"]) == (6, 3, 3)
    assert counted["duplicates_by_customer"] == {"b": 2, "c": 3}


def test_a_second_job_is_counted_apart_from_the_first(ledger: Ledger) -> None:
    """Two jobs may rightly write for the same customer; only within one is it a duplicate."""
    once(ledger, "first job")
    seen = ledger.statistics(("task",))["last_sequence"]
    once(ledger, "second job")

    counted = ledger.statistics(("task",), after=seen)["writes"]["task"]
    assert (counted["created"], counted["duplicates"], counted["distinct_idempotency_keys"]) == (1, 0, 1)


def test_a_write_that_is_undone_leaves_no_trace(ledger: Ledger, db: Database) -> None:
    """Write, key and count are one; half of them would answer a repeat with a write that is not there."""

    def write_and_fail() -> None:
        with db.transaction():
            once(ledger, "k")
            ledger.count_request("createTask", 201)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_and_fail()

    counted = ledger.statistics(("task",))
    assert counted["requests"] == 0
    assert counted["writes"]["task"]["created"] == counted["writes"]["task"]["distinct_idempotency_keys"] == 0


def test_ids_are_not_used_again_after_a_reset(ledger: Ledger) -> None:
    """An old id in a client's history must never come to mean another record."""
    once(ledger, "k")
    ledger.reset()

    assert once(ledger, "k") == 2
    assert ledger.statistics(("task",))["writes"]["task"]["created"] == 1


def test_a_client_s_own_reference_need_not_be_unique(ledger: Ledger) -> None:
    """Where a vendor has no keys, looking the reference up is all that a client can do."""
    for _ in range(2):
        ledger.write("outreach", "a", {}, reference="ref")

    assert ledger.count("outreach", reference="ref") == len(ledger.page("outreach", limit=9, reference="ref")) == 2
    assert ledger.count("outreach", reference="other") == 0


def test_pages_of_the_journal_neither_skip_nor_repeat(ledger: Ledger) -> None:
    """By cursor and by offset alike."""
    for _ in range(5):
        once(ledger, None)

    assert [write.sequence for write in ledger.page("task", limit=2, after=2)] == [3, 4]
    assert [write.sequence for write in ledger.page("task", limit=2, offset=4)] == [5]
