"""Rows of human tasks: what happens to them, what every listing costs, what stays when a run goes."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from segue.store import human_tasks, notices
from segue.store.batch import prepare
from segue.store.folder import DATABASE_NAME, open_writer
from segue.store.human_tasks import HumanTaskFilter
from segue.store.notices import UntoldChange
from segue.store.retention import delete_runs

REQUEST: dict[str, Any] = {
    "title": "Pay?",
    "priority": "high",
    "due_ms": 1000,
    "requester": "rita",
    "data": {"amount": 5},
    "about": {"model": "risk", "version": "3", "input": {"a": 1}, "value": "low"},
}
AUDIENCE = {"people": ["ann"], "roles": ["approver"], "manager": True}


@pytest.fixture
def database(tmp_path: Path) -> sqlite3.Connection:
    connection = open_writer(tmp_path / DATABASE_NAME)
    prepare(connection)
    for seq in (1, 2):
        connection.execute(
            "INSERT INTO run (seq, id, digest, namespace, name, version, status, residence, hidden, started_at)"
            " VALUES (?, ?, 'd', 'demo', 'pay', '1.0.0', 'waiting', 'live', 0, 0)",
            (seq, f"run-{seq}"),
        )
        place = {"namespace": "demo", "name": "pay", "pointer": "/do/0/ask", "event": 1}
        run(connection, human_tasks.offer(seq, 3, at=100, request=REQUEST, audience=AUDIENCE, **place))
    return connection


def run(connection: sqlite3.Connection, statements: list[Any]) -> None:
    for sql, parameters in statements:
        connection.execute(sql, parameters)


def change(connection: sqlite3.Connection, what: str, state: str, **more: Any) -> None:
    usual: dict[str, Any] = {"owner": "", "audience": AUDIENCE, "level": 0, "votes": 0, "outcome": "", "by": ""}
    said = {**usual, "edited": False, "data": None, **more}
    run(connection, human_tasks.update(1, 3, at=200, change=what, state=state, **said))


def test_offering_again_changes_nothing(database: sqlite3.Connection) -> None:
    """A run that is read back, or forked, may offer what stands there already."""
    change(database, "claimed", "claimed", owner="ann")
    again = {"namespace": "x", "name": "y", "pointer": "", "event": 9}
    run(database, human_tasks.offer(1, 3, at=900, request=REQUEST, audience={}, **again)[:1])
    found = human_tasks.find_human_task(database, 1)
    assert found is not None
    assert (found.owner, found.state, found.offered_at, found.due_at) == ("ann", "claimed", 100, 1100)


def test_a_decision_closes_the_row_and_makes_a_label(database: sqlite3.Connection) -> None:
    """What was approved as it was agrees; what was changed does not."""
    change(database, "decided", "decided", outcome="approve", by="ann", data={"amount": 4}, edited=True)
    found = human_tasks.find_human_task(database, 1)
    assert found is not None
    assert (found.is_open, found.outcome, found.by, found.edited) == (False, "approve", "ann", 1)
    (label,) = notices.labels(database, "risk", "3", limit=10)
    assert (label.agreed, label.input, label.proposed, label.decided) == (0, {"a": 1}, "low", {"amount": 4})


@pytest.mark.parametrize("state", ["expired", "withdrawn"])
def test_what_nobody_decided_teaches_nothing(database: sqlite3.Connection, state: str) -> None:
    """A deadline is no judgement."""
    if state == "expired":
        change(database, "expired", "expired", outcome="expired")
    else:
        run(database, human_tasks.withdraw(1, 3, 200))
    assert notices.labels(database, None, None, limit=10) == []
    assert database.execute("SELECT count(*) FROM label").fetchone() == (1,), "the other task's stays"


def test_closing_voids_codes_and_notices_that_wait(database: sqlite3.Connection) -> None:
    """A code in an old mail opens nothing, and nobody is reminded of what is done."""
    told = UntoldChange(1, 1, "offered", 100, "", AUDIENCE, None, 1, True)
    run(database, [notices.make_notice(told, "ann", "email", 100, 500), notices.put_code("h", 1, "ann", 100, 9000)])
    change(database, "decided", "decided", outcome="reject", by="ann")
    code = notices.find_code(database, "h")
    assert code is not None
    assert code.used_at == 200
    assert [n.state for n in notices.notices_of_task(database, 1)] == ["void"]


def test_a_notice_is_made_once_for_each_person_change_and_channel(database: sqlite3.Connection) -> None:
    """Whoever makes them twice makes them once."""
    told = UntoldChange(1, 1, "offered", 100, "", AUDIENCE, None, 1, True)
    for _ in range(3):
        run(database, [notices.make_notice(told, "ann", channel, 100, 500) for channel in ("app", "email")])
    assert [(n.channel, n.state) for n in notices.notices_of_task(database, 1)] == [("app", "sent"), ("email", "due")]


def test_a_run_takes_its_tasks_along_and_leaves_the_labels(database: sqlite3.Connection) -> None:
    """Labels are what models learn from; they outlive the run."""
    change(database, "decided", "decided", outcome="approve", by="ann")
    run(database, delete_runs([1, 2]))
    assert human_tasks.list_human_tasks(database, HumanTaskFilter(), limit=-1) == []
    for table in ("human_task", "human_task_audience", "human_task_change", "notice", "task_code"):
        assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
    assert len(notices.labels(database, "risk", None, limit=10)) == 1


@pytest.mark.parametrize(
    "wanted",
    [
        HumanTaskFilter(),
        HumanTaskFilter(open=True),
        HumanTaskFilter(open=True, audience=[("roles", "approver")]),
        HumanTaskFilter(open=True, mine=("ann", [("people", "ann"), ("roles", "approver")])),
        HumanTaskFilter(owner="ann", open=True),
        HumanTaskFilter(namespace="demo", name="pay"),
        HumanTaskFilter(run=1),
    ],
)
def test_no_listing_reads_the_whole_table(database: sqlite3.Connection, wanted: HumanTaskFilter) -> None:
    """A queue is looked at all day; closed tasks of years must not make it slower."""
    plans: list[str] = []

    class Explained:
        def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
            plans.extend(row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {sql}", parameters))
            return database.execute(sql, parameters)

    human_tasks.list_human_tasks(Explained(), wanted, limit=10)  # type: ignore[arg-type]
    scans = [plan for plan in plans if plan.startswith("SCAN h") and "INDEX" not in plan]
    # Newest first without a condition is the table itself, from its end.
    assert scans in ([], ["SCAN h"])
    assert scans == [] or wanted == HumanTaskFilter(), plans
    # The few tasks of one run may be sorted.
    assert wanted.run is not None or not any("TEMP B-TREE FOR ORDER BY" in plan for plan in plans), plans
