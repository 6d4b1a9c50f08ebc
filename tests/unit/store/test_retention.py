"""What is old and closed goes; nothing else does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from segue.store import Batch, Rules, RunFilter, Store, codec, purge, records, retention, runs
from segue.store.batch import Batch as _Batch
from segue.store.chain import Head, prune_audit
from segue.types import RunCancelled, RunStarted

NOW = 1_000_000_000
OLD = 1_000
RULES = Rules(runs=100_000, events=100_000)


def begin(batch: Batch, seq: int, *, name: str = "w", rows: int = 2, **more: Any) -> None:
    batch.start_run(seq, f"r{seq}", digest="d", namespace="n", name=name, version="1", started_at=1, **more)
    batch.history += [(seq, codec.encode(RunStarted(1, f"r{seq}", "d", {"x": "y" * 40})))]
    batch.history += [(seq, codec.encode(RunCancelled(2, reason=str(n)))) for n in range(rows - 1)]


def closed(batch: Batch, seq: int, *, ended_at: int = OLD, **more: Any) -> None:
    begin(batch, seq, **more)
    batch.end_run(seq, "completed", ended_at)


async def filled(folder: Path, fill: Any) -> Store:
    store = Store.open(folder)
    fill(store.commit.pending)
    await store.commit.wait_durable()
    # The newest run always stays; so it is not part of what these tests look at.
    begin(store.commit.pending, 9_999_999, name="newest")
    await store.commit.wait_durable()
    return store


async def left(store: Store) -> list[int]:
    page = await store.runs(RunFilter(), limit=1000)
    return sorted(r.seq for r in page.items if r.seq != 9_999_999)


async def count(store: Store, table: str, seq: int) -> int:
    return await store.read(lambda c: c.execute(f"SELECT count(*) FROM {table} WHERE run = ?", (seq,)).fetchone()[0])


def size_of(folder: Path) -> int:
    return (folder / "segue.db").stat().st_size


async def test_closed_runs_go_with_all_that_is_theirs(tmp_path: Path) -> None:
    """History, effects and incidents in one, so that no part of a run outlives it."""

    def fill(batch: Batch) -> None:
        closed(batch, 1)
        closed(batch, 2, ended_at=NOW)
        batch.intend(1, 5, key="k", handler="h", pointer="/do", attempt=1, at=1)
        batch.settle(1, 5, "done", 2, key="k")

    store = await filled(tmp_path, fill)
    purged = await purge(store, RULES, NOW)
    assert (purged.runs, purged.history) == (1, 2)
    assert await left(store) == [2]
    assert [await count(store, table, 1) for table in ("history", "effect")] == [0, 0]
    await store.close()


async def test_open_runs_stay_however_old(tmp_path: Path) -> None:
    """A process may take years."""

    def fill(batch: Batch) -> None:
        begin(batch, 1)
        begin(batch, 2)
        batch.park(2, timers={}, waits={4: ("t",)})
        begin(batch, 3)
        batch.end_run(3, "completed", OLD, lingers=True)
        begin(batch, 4)
        batch.statements.append(records.quarantine_run(4, "a bug"))

    store = await filled(tmp_path, fill)
    assert (await purge(store, RULES, NOW)).runs == 0
    assert await left(store) == [1, 2, 3, 4]
    await store.close()


async def test_a_parent_stays_until_its_children_have_ended(tmp_path: Path) -> None:
    """What started a run must be there to be asked."""

    def fill(batch: Batch) -> None:
        closed(batch, 1)
        begin(batch, 2, parent=1)
        closed(batch, 3, parent=1)

    store = await filled(tmp_path, fill)
    await purge(store, RULES, NOW)
    assert await left(store) == [1, 2]
    store.commit.pending.end_run(2, "completed", OLD)
    await store.commit.wait_durable()
    await purge(store, RULES, NOW)
    assert await left(store) == []
    await store.close()


async def test_a_run_with_an_open_incident_stays(tmp_path: Path) -> None:
    """Somebody still has to decide about it."""
    sql = (
        "INSERT INTO incident (run, task, kind, state, at, event, namespace, name, pointer, failure, fingerprint)"
        " VALUES (?, 0, 'faulted', ?, 1, 1, 'n', 'w', '', '{}', 'f')"
    )

    def fill(batch: Batch) -> None:
        for seq, state in ((1, "open"), (2, "closed")):
            closed(batch, seq)
            batch.statements.append((sql, (seq, state)))

    store = await filled(tmp_path, fill)
    await purge(store, RULES, NOW)
    assert await left(store) == [1]
    await store.close()


async def test_a_workflow_may_say_otherwise(tmp_path: Path) -> None:
    """Shorter or longer than the rest, or for all others nothing."""

    def fill(batch: Batch) -> None:
        for seq, name in enumerate(("short", "long", "other"), 1):
            closed(batch, seq, name=name, ended_at=NOW - 50_000)

    store = await filled(tmp_path, fill)
    said = {"short": 10_000, "long": 10**9}
    await purge(store, Rules(runs=None, of=lambda namespace, name: said.get(name)), NOW)
    assert await left(store) == [2, 3]
    await purge(store, Rules(runs=20_000, of=lambda namespace, name: said.get(name)), NOW)
    assert await left(store) == [2]
    await store.close()


async def test_the_newest_run_and_event_stay_because_numbers_count_on_from_them(tmp_path: Path) -> None:
    """A number that is used twice would join two runs."""
    store = Store.open(tmp_path)
    for seq in (1, 2):
        closed(store.commit.pending, seq)
        store.commit.pending.add_event(seq, {"source": "s", "id": str(seq), "type": "t"}, received_at=OLD)
    store.commit.pending.statements.append(records.put_meta("events-offered", "2"))
    await store.commit.wait_durable()
    purged = await purge(store, RULES, NOW)
    assert (purged.runs, purged.events) == (1, 1)
    assert await store.read(runs.newest_seq) == 2
    assert await store.read(records.newest_event) == 2
    await store.close()


async def test_an_event_that_was_not_offered_to_everybody_stays(tmp_path: Path) -> None:
    """A host that was down for a month still delivers it first."""
    store = Store.open(tmp_path)
    for seq in range(1, 6):
        store.commit.pending.add_event(seq, {"source": "s", "id": str(seq), "type": "t"}, received_at=OLD)
    await store.commit.wait_durable()
    assert (await purge(store, RULES, NOW)).events == 0
    await store.write([records.put_meta("events-offered", "3")])
    assert (await purge(store, RULES, NOW)).events == 3
    await store.close()


async def test_every_batch_is_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One large deletion would hold up every commit behind it."""
    monkeypatch.setattr(retention, "_REST", 0.0)

    def fill(batch: Batch) -> None:
        for seq in range(1, 1201):
            closed(batch, seq, rows=5)

    store = await filled(tmp_path, fill)
    changed: list[int] = []
    plain = _Batch.write

    def counted(batch: Batch, connection: Any, head: Head, cipher: Any) -> Head:
        before = connection.total_changes
        after = plain(batch, connection, head, cipher)
        changed.append(connection.total_changes - before)
        return after

    monkeypatch.setattr(_Batch, "write", counted)
    assert (await purge(store, RULES, NOW)).runs == 1200
    assert len(changed) >= 5
    assert max(changed) <= 200 * 6 + 1, "and the record that says so"
    await store.close()


async def test_a_long_history_goes_from_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash in between leaves a run whose history still begins where it began."""
    monkeypatch.setattr(retention, "_REST", 0.0)
    store = await filled(tmp_path, lambda batch: closed(batch, 1, rows=5500))
    steps = 0
    plain = _Batch.write

    def interrupted(batch: Batch, connection: Any, head: Head, cipher: Any) -> Head:
        nonlocal steps
        steps += 1
        if steps == 2:
            raise RuntimeError("the process dies here")
        return plain(batch, connection, head, cipher)

    monkeypatch.setattr(_Batch, "write", interrupted)
    with pytest.raises(Exception, match="dies here"):
        await purge(store, RULES, NOW)
    events = await store.read(lambda c: runs.read_history(c, 1))
    assert len(events) == 3100
    assert isinstance(events[0], RunStarted)
    assert [e.reason for e in events[1:3] if isinstance(e, RunCancelled)] == ["0", "1"]
    await store.close()
    monkeypatch.setattr(_Batch, "write", plain)

    store = Store.open(tmp_path)
    assert (await purge(store, RULES, NOW)).runs == 1
    assert await count(store, "history", 1) == 0
    await store.close()


async def test_space_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that only grows fills the disk in the end."""
    monkeypatch.setattr(retention, "_REST", 0.0)

    def fill(batch: Batch) -> None:
        for seq in range(1, 4001):
            closed(batch, seq, rows=12)

    store = await filled(tmp_path, fill)
    # The audit chain has rules of its own, and outlives runs.
    await store.write([prune_audit(4000, after=0)])
    await store.close()
    before = size_of(tmp_path)
    store = Store.open(tmp_path)
    purged = await purge(store, RULES, NOW)
    assert purged.runs == 4000
    await store.close()
    after = size_of(tmp_path)
    assert after < before / 3
    assert purged.bytes == pytest.approx(before - after, rel=0.05)


async def test_it_stops_when_the_time_is_up_and_goes_on_later(tmp_path: Path) -> None:
    """Whoever asks for it over HTTP gets an answer."""

    def fill(batch: Batch) -> None:
        for seq in range(1, 200):
            closed(batch, seq)

    store = await filled(tmp_path, fill)
    first = await purge(store, RULES, NOW, seconds=0)
    assert not first.complete
    second = await purge(store, RULES, NOW, seconds=60)
    assert second.complete
    assert first.runs + second.runs == 199
    await store.close()


async def test_what_is_due_is_found_by_an_index(tmp_path: Path) -> None:
    """Looking for old runs must not read all runs."""
    store = await filled(tmp_path, lambda batch: closed(batch, 1))
    sql = f"EXPLAIN QUERY PLAN SELECT seq FROM run WHERE {retention._MAY_GO} ORDER BY ended_at LIMIT 5"
    plan = await store.read(lambda c: [row[3] for row in c.execute(sql, ("n", "w", 1))])
    assert any("run_by_end" in line for line in plan), plan
    assert any("run_open_child" in line for line in plan), plan
    assert not any("SCAN run" in line or "TEMP B-TREE" in line for line in plan), plan
    await store.close()
