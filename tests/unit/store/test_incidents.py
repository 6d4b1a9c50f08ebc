"""The inbox and the ledger: every listing has its index, and older folders are taken along."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from segue.store import Store, migrate
from segue.store.effects import EffectFilter, effects_by_key, list_effects, unsettled_of_closed_runs
from segue.store.folder import DATABASE_NAME, open_writer
from segue.store.incidents import (
    IncidentFilter,
    first_held,
    group_incidents,
    list_incidents,
    row_of,
    unfinished,
)
from segue.types import failure

DOWN = failure("communication", "down", status=503, instance="/do/0/a")
Query = Callable[[sqlite3.Connection], Any]


class Explained:
    """A connection that explains what it is asked."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.plans: list[str] = []

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        rows = self._connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters).fetchall()
        self.plans += [row[3] for row in rows]
        return self._connection.execute(sql, parameters)


INCIDENTS = [
    IncidentFilter(),
    IncidentFilter(state="open"),
    IncidentFilter(state="open", fingerprint="f"),
    IncidentFilter(namespace="n", name="w"),
    IncidentFilter(run=1),
    IncidentFilter(run=1, state="open"),
]
EFFECTS = [
    EffectFilter(),
    EffectFilter(run=1),
    EffectFilter(handler="http"),
    EffectFilter(connection="crm"),
    EffectFilter(state="unknown"),
    EffectFilter(since=5),
    EffectFilter(handler="http", since=5),
]
QUERIES: list[tuple[str, Query]] = [
    *((f"incidents {wanted}", lambda c, w=wanted: list_incidents(c, w, limit=9, before=99)) for wanted in INCIDENTS),
    *((f"effects {wanted}", lambda c, w=wanted: list_effects(c, w, limit=9, before=(9, 9, 9))) for wanted in EFFECTS),
    ("groups", lambda c: group_incidents(c, IncidentFilter(state="open"), limit=9)),
    ("held", lambda c: first_held(c, [1, 2])),
    ("unfinished", lambda c: unfinished(c, limit=9)),
    ("attempts", lambda c: effects_by_key(c, "k")),
    ("unsettled", lambda c: unsettled_of_closed_runs(c, limit=9)),
]


@pytest.mark.parametrize(("name", "query"), QUERIES, ids=[name for name, _ in QUERIES])
async def test_no_listing_reads_a_whole_table(tmp_path: Path, name: str, query: Query) -> None:
    """Nothing else would notice a lost index."""
    store = Store.open(tmp_path)

    def look(connection: sqlite3.Connection) -> list[str]:
        explained = Explained(connection)
        query(explained)  # type: ignore[arg-type]
        return explained.plans

    plans = await store.read(look)
    await store.close()
    whole = [p for p in plans if p.startswith("SCAN") and "USING" not in p and "json_each" not in p]
    assert whole == []
    # One run has few; any other order must come out of an index.
    if name.startswith(("incidents", "effects")) and "run=1" not in name:
        assert [p for p in plans if "TEMP B-TREE" in p] == []


async def test_a_listing_goes_on_where_the_page_before_ended(tmp_path: Path) -> None:
    """Acts that were begun in the same millisecond are neither lost nor told twice."""
    store = Store.open(tmp_path)
    batch = store.commit.pending
    for seq in range(1, 4):
        batch.start_run(seq, f"r{seq}", digest="d", namespace="n", name="w", version="1.0.0", started_at=seq)
        for command in (1, 2):
            batch.intend(seq, command, key=f"r{seq}:{command}", handler="http", pointer="/do", attempt=1, at=7)
    await store.commit.wait_durable()
    seen: list[tuple[int, int]] = []
    before = None
    while page := await store.read(partial(list_effects, wanted=EffectFilter(), limit=4, before=before)):
        seen += [(entry.run, entry.command) for entry in page]
        before = page[-1].place
    assert seen == [(3, 2), (3, 1), (2, 2), (2, 1), (1, 2), (1, 1)]
    await store.close()


async def test_a_thousand_failures_are_one_step_of_the_writer(tmp_path: Path) -> None:
    """A target that is down fails that many at once; a statement for each would hold up everything else."""
    store = Store.open(tmp_path)
    batch = store.commit.pending
    for seq in range(1, 1001):
        batch.start_run(seq, f"r{seq}", digest="d", namespace="n", name="w", version="1.0.0", started_at=seq)
        row = row_of(
            seq, 2, "held", at=seq, event=2, namespace="n", name="w", pointer="/do/0/a", failure=DOWN, fingerprint="f"
        )
        batch.bring_in(row)
        if seq % 2:
            batch.take_out(seq, 2, "retry", "ann", "it is up again", seq)
    assert batch.statements == []
    await store.commit.wait_durable()
    (group,) = await store.read(lambda c: group_incidents(c, IncidentFilter(), limit=9))
    assert (group.count, group.first_at, group.last_at) == (1000, 1, 1000)
    closed = await store.read(lambda c: list_incidents(c, IncidentFilter(state="closed"), limit=-1))
    assert len(closed) == 500
    assert {(i.action, i.by, i.reason) for i in closed} == {("retry", "ann", "it is up again")}
    await store.close()


async def test_a_folder_of_the_first_format_gets_its_inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What faulted before there was an inbox stands in it too."""
    known = migrate.migrations()
    with monkeypatch.context() as older:
        older.setattr(migrate, "migrations", lambda: known[:1])
        connection = await asyncio.to_thread(open_writer, tmp_path / DATABASE_NAME)
        columns = (
            "seq, id, digest, namespace, name, version, status, residence, hidden, started_at, ended_at, failure"
        )
        reason = '{"type":"t","status":503,"instance":"/do/0/a"}'
        for seq, status, residence in (
            (1, "faulted", "closed"),
            (2, "completed", "closed"),
            (3, "running", "quarantined"),
        ):
            values = (seq, f"r{seq}", "d", "n", "w", "1.0.0", status, residence, 0, 1, seq, reason)
            connection.execute(f"INSERT INTO run ({columns}) VALUES ({', '.join('?' * 12)})", values)
        connection.execute("UPDATE run SET failure = NULL, ended_at = NULL WHERE seq > 1")
        connection.close()
    store = Store.open(tmp_path)
    found = await store.read(lambda c: list_incidents(c, IncidentFilter(), limit=9))
    assert [(i.run_id, i.kind, i.state, i.pointer) for i in found] == [
        ("r3", "quarantined", "open", ""),
        ("r1", "faulted", "closed", "/do/0/a"),
    ]
    assert len(await store.read(lambda c: unfinished(c, limit=9))) == 2
    await store.close()


async def test_a_task_is_in_the_inbox_once_for_each_time_it_was_held(tmp_path: Path) -> None:
    """In whatever order one batch, or several, take it out and bring it in; what was there before a restart stays."""
    store = Store.open(tmp_path)

    def row(event: int, *, again: bool = False) -> tuple[Any, ...]:
        return row_of(
            *(1, 2, "held"),
            at=event,
            event=event,
            namespace="n",
            name="w",
            pointer="/do/0/a",
            failure=DOWN,
            fingerprint="f",
            again=again,
        )

    async def states() -> list[tuple[int, str]]:
        await store.commit.wait_durable()
        found = await store.read(lambda c: list_incidents(c, IncidentFilter(), limit=-1))
        return sorted((i.event, i.state) for i in found)

    identity = {"digest": "d", "namespace": "n", "name": "w", "version": "1.0.0", "started_at": 1}
    store.commit.pending.start_run(1, "r1", **identity)
    store.commit.pending.bring_in(row(1))
    assert await states() == [(1, "open")]
    store.commit.pending.bring_in(row(2, again=True))
    assert await states() == [(1, "open")]
    for event in (3, 4):
        store.commit.pending.take_out(1, 2, "retry", "ann", "", event)
        store.commit.pending.bring_in(row(event))
    assert await states() == [(1, "closed"), (3, "closed"), (4, "open")]
    store.commit.pending.bring_in(row(5, again=True))
    store.commit.pending.take_out(1, 2, "skip", "ann", "", 6)
    assert await states() == [(1, "closed"), (3, "closed"), (4, "closed")]
    await store.close()
