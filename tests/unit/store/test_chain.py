"""Records of the audit chain are found by their time, whatever clocks did, and without reading all of them."""

from __future__ import annotations

import sqlite3

from segue.store.chain import AuditFilter, Head, audit_rows, link, list_audit
from segue.store.folder import new_memory
from segue.types import AuditRecord

# The clock is set back once, and runs past where it was.
TIMES = (10, 20, 30, 40, 15, 25, 35, 45, 55)


def chain() -> sqlite3.Connection:
    connection = new_memory()
    records = [AuditRecord(at=at, principal="system", action="a", resource="r") for at in TIMES]
    rows, _ = link(Head(), records)
    connection.executemany(f"INSERT INTO audit VALUES ({', '.join('?' * 9)})", rows)
    return connection


def test_records_of_a_time_are_all_found_when_a_clock_was_set_back() -> None:
    """A record that an auditor asks for and does not get looks like one that is not there."""
    connection = chain()
    for since in (None, *range(5, 65, 5)):
        for until in (None, *range(5, 65, 5)):
            wanted = AuditFilter(since=since, until=until)
            right = [
                seq
                for seq, at in enumerate(TIMES, 1)
                if (since is None or at >= since) and (until is None or at < until)
            ]
            assert [row.seq for row in audit_rows(connection, wanted)] == right
            assert [row.seq for row in list_audit(connection, wanted, limit=99)] == right[::-1]


def test_a_time_with_few_records_is_found_without_reading_the_others() -> None:
    """A million records took most of a second, for an empty answer too (decision 0118)."""
    connection = chain()
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    connection.set_progress_handler(count, 1)
    assert list_audit(connection, AuditFilter(since=1000), limit=9) == []
    nothing, steps = steps, 0
    assert len(list_audit(connection, AuditFilter(), limit=9)) == 9
    assert nothing < steps
