"""Group commit: what is confirmed is on disk, what fails is neither lost nor torn."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from segue.store import Batch, HostError, RunFilter, Store, codec, commit, records, runs
from segue.types import AttemptSucceeded, Event, RunStarted, failure


def begin(store: Store, seq: int, **more: Any) -> None:
    identity = {"digest": "d", "namespace": "n", "name": "w", "version": "1.0.0", "started_at": 1000 + seq}
    store.commit.pending.start_run(seq, f"r{seq}", **{**identity, **more})


def add(store: Store, seq: int, event: Event) -> None:
    store.commit.pending.history.append((seq, codec.encode(event)))


class Disk:
    """Fails the writes it is told to."""

    def __init__(self) -> None:
        self.failing: set[int] = set()
        self.error: Callable[[], Exception] = lambda: sqlite3.OperationalError("database or disk is full")
        self.writes = 0

    def __call__(self, number: int) -> None:
        self.writes = number
        if number in self.failing:
            raise self.error()


async def test_events_are_read_back_in_the_order_of_each_run(tmp_path: Path) -> None:
    """Small and packed rows together: they take different ways to the disk."""
    store = Store.open(tmp_path)
    for number, size in enumerate([1, 50_000, 1, 20_000, 1]):
        for seq in (1, 2):
            add(store, seq, AttemptSucceeded(at=number, id=seq, output="x" * size))
        await store.commit.wait_durable()
    for number in range(5, 8):
        add(store, 1, AttemptSucceeded(at=number, id=1, output="y" * (50_000 if number == 6 else 1)))
    await store.commit.wait_durable()
    found = await store.read(lambda c: runs.read_histories(c, [1, 2, 3]))
    assert [e.at for e in found[1]] == list(range(8))
    assert [e.at for e in found[2]] == list(range(5))
    assert found[3] == []
    assert [e.at for e in await store.read(lambda c: runs.read_history(c, 1, offset=2, limit=2))] == [2, 3]
    await store.close()


async def test_every_form_of_a_batch_writes_the_same(tmp_path: Path) -> None:
    """What a batch holds decides how it is written; nobody may see by which way it came."""
    for place, extra in enumerate([lambda b: None, lambda b: b.park(9, timers={1: 5}, waits={})]):
        store = Store.open(tmp_path / str(place))
        batch = store.commit.pending
        begin(store, 1)
        begin(store, 2, cause={"kind": "api"})
        add(store, 1, RunStarted(at=1, run_id="r1", definition="d"))
        extra(batch)
        await store.commit.wait_durable()
        batch = store.commit.pending
        for number, text in enumerate(["a", 'quote"\n', "ü"]):
            add(store, 1 + number % 2, AttemptSucceeded(at=number, id=7, output=text))
        extra(batch)
        await store.commit.wait_durable()
        batch = store.commit.pending
        batch.status[1] = "waiting"
        batch.end_run(2, "faulted", 9, output={"a": 1}, failure=failure("runtime", "broken"))
        extra(batch)
        await store.commit.wait_durable()

        assert [e.output for e in await store.read(lambda c: runs.read_history(c, 1, offset=1))] == ["a", "ü"]
        assert [e.output for e in await store.read(lambda c: runs.read_history(c, 2))] == ['quote"\n']
        first, second = await store.run("r1"), await store.run("r2")
        assert first is not None
        assert second is not None
        assert (first.status, first.ended_at) == ("waiting", None)
        assert (second.status, second.ended_at, second.output, second.cause) == (
            "faulted",
            9,
            {"a": 1},
            {"kind": "api"},
        )
        assert second.failure == failure("runtime", "broken")
        await store.close()


async def until(holds: Callable[[], bool]) -> None:
    """Wait, briefly, until it holds."""
    for _ in range(5000):
        if holds():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it did not come true in time")


async def test_a_batch_is_all_or_nothing(tmp_path: Path) -> None:
    """A run without its first event, or the other way round, could never be read back."""
    disk = Disk()
    disk.failing = {1}
    store = Store.open(tmp_path, fault=disk)
    begin(store, 1)
    add(store, 1, RunStarted(at=1, run_id="r1", definition="d"))
    with pytest.raises(HostError, match="disk is full"):
        await store.commit.wait_durable()
    assert await store.run("r1") is None
    await until(lambda: store.commit.trouble is None)
    assert (await store.run("r1")) is not None
    assert len(await store.read(lambda c: runs.read_history(c, 1))) == 1
    await store.close()


async def test_a_batch_is_being_written_when_the_loop_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that is only woken gets the interpreter lock when the loop has nothing left to do beside the write."""
    monkeypatch.setattr(commit, "_TAKEN_SECONDS", 30)
    began = threading.Event()
    writer = commit.WritingThread(lambda batch: began.set(), lambda batch, error: None)
    batch = Batch()
    batch.history = [(1, b"{}")] * 100
    interval = sys.getswitchinterval()
    sys.setswitchinterval(60)
    try:
        writer.put(batch)
        assert began.is_set()
    finally:
        sys.setswitchinterval(interval)
    await writer.close()


async def test_nothing_is_reported_durable_before_it_is(tmp_path: Path) -> None:
    """Whatever depends on a batch hangs on this call."""
    seen: list[Any] = []
    disk = Disk()
    disk.failing = {1, 2}
    store = Store.open(tmp_path, on_durable=lambda batch: seen.extend(batch.held), fault=disk)
    store.commit.pending.held.append("first")
    begin(store, 1)
    store.commit.flush()
    await until(lambda: store.commit.trouble is not None)
    store.commit.pending.held.append("second")
    assert seen == []
    await until(lambda: not store.commit.is_writing and store.commit.pending.is_empty)
    assert seen == ["first", "second"]
    await store.close()


async def test_a_batch_that_the_database_refuses_is_not_tried_for_ever(tmp_path: Path) -> None:
    """It is a bug, and says so; the file stays as it was."""
    store = Store.open(tmp_path)
    begin(store, 1)
    await store.commit.wait_durable()
    begin(store, 1)
    with pytest.raises(HostError, match="this is a bug"):
        await store.commit.wait_durable()
    begin(store, 2)
    with pytest.raises(HostError, match="this is a bug"):
        await store.commit.wait_durable()
    assert len((await store.runs()).items) == 1
    await store.close()


async def test_a_close_in_trouble_ends_and_keeps_what_was_confirmed(tmp_path: Path) -> None:
    """A full disk must not keep a process from stopping."""
    disk = Disk()
    store = Store.open(tmp_path, fault=disk)
    begin(store, 1)
    await store.commit.wait_durable()
    disk.failing = set(range(1, 1000))
    begin(store, 2)
    await asyncio.wait_for(store.close(), 5)
    store = Store.open(tmp_path)
    assert [r.id for r in (await store.runs()).items] == ["r1"]
    await store.close()


async def test_everything_a_batch_can_hold_reaches_its_table(tmp_path: Path) -> None:
    """One statement spreads it all; a column mixed up there would show only much later."""
    store = Store.open(tmp_path)
    begin(store, 1, cause={"kind": "api"}, hidden=True)
    begin(store, 2, parent=1, parent_command=7)
    batch = store.commit.pending
    batch.status[1] = "waiting"
    batch.add_event(1, {"id": "1", "source": "s", "type": "t", "data": [1]}, received_at=5, run=2)
    batch.add_event(2, {"id": "2", "source": "s", "type": "t", "data": "x" * 50_000}, received_at=6)
    batch.intend(2, 4, key="k", handler="http", pointer="/do/0/x", attempt=2, at=8)
    batch.park(1, timers={3: 100, 4: 50}, waits={5: ("t", "u"), 6: ()})
    await store.commit.wait_durable()

    first, second = await store.run("r1"), await store.run("r2")
    assert first is not None
    assert second is not None
    assert (first.status, first.residence, first.hidden, first.cause) == ("waiting", "parked", True, {"kind": "api"})
    assert (second.status, second.residence, second.parent, second.parent_command) == ("running", "live", 1, 7)
    assert await store.read(lambda c: runs.open_children(c, [1])) == [(1, 7, 2)]
    found = await store.read(lambda c: records.events_since(c, ["t"], 0, limit=9))
    assert [(e.seq, e.envelope["id"], len(e.envelope["data"])) for e in found] == [(1, "1", 1), (2, "2", 50_000)]
    assert await store.read(lambda c: records.due_timers(c, 1000)) == [(50, 1)]
    assert await store.read(lambda c: records.runs_awaiting(c, "u")) == [1]
    assert await store.read(lambda c: records.awaited_types(c)) == {"": 1, "t": 1, "u": 1}
    (effect,) = await store.read(lambda c: records.effects_in_state(c, "intent", limit=9))
    assert (effect.key, effect.attempt, effect.settled_at) == ("k", 2, None)

    batch = store.commit.pending
    batch.add_event(3, {"id": "2", "source": "s", "type": "t", "data": "seen before"}, received_at=7)
    batch.unpark(1)
    batch.settle(2, 4, "done", 9, {"receipt": 1}, key="k")
    batch.end_run(1, "completed", 10, output="z" * 50_000)
    batch.end_run(2, "faulted", 11, failure=failure("timeout", "slow"), lingers=True)
    await store.commit.wait_durable()
    first, second = await store.run("r1"), await store.run("r2")
    assert first is not None
    assert second is not None
    assert (first.status, first.residence, first.ended_at, first.output) == ("completed", "closed", 10, "z" * 50_000)
    assert second.failure is not None
    assert (second.status, second.residence, second.failure.detail) == ("faulted", "live", "slow")
    assert await store.read(lambda c: records.known_events(c, [("s", "1"), ("s", "9")])) == {("s", "1")}
    assert len(await store.read(lambda c: records.events_after(c, 0, limit=9))) == 2, "the first one stays"
    assert await store.read(lambda c: records.due_timers(c, 1000)) == []
    assert await store.read(lambda c: records.awaited_types(c)) == {}
    (effect,) = await store.read(lambda c: records.effects_of(c, [2]))
    assert (effect.state, effect.settled_at, effect.receipt) == ("done", 9, {"receipt": 1})
    assert await store.count_runs() == {"faulted": 1}, "the host's own runs are not counted"
    await store.close()


async def test_a_run_parked_and_woken_in_one_batch_is_awake(tmp_path: Path) -> None:
    """The last word counts, and no row of the first may stay."""
    store = Store.open(tmp_path)
    begin(store, 1)
    await store.commit.wait_durable()
    store.commit.pending.park(1, timers={1: 5}, waits={2: ()})
    store.commit.pending.unpark(1)
    await store.commit.wait_durable()
    record = await store.run("r1")
    assert record is not None
    assert record.residence == "live"
    assert await store.read(lambda c: records.due_timers(c, 1000)) == []
    assert await store.read(lambda c: records.awaited_types(c)) == {}
    await store.close()


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (RunFilter(), "SCAN run"),  # by its primary key, from the end, and only as far as the page
        (RunFilter(status=["faulted"]), "run_by_status"),
        (RunFilter(namespace="n", name="w"), "run_by_workflow"),
        (RunFilter(started_from=5, started_to=9), "INTEGER PRIMARY KEY"),
        (RunFilter(parent=3), "run_by_parent"),
        (RunFilter(residence="quarantined"), "run_quarantined"),
        (RunFilter(residence="live"), "run_live"),
    ],
)
async def test_every_listing_is_served_by_an_index_in_its_order(
    tmp_path: Path, wanted: RunFilter, index: str
) -> None:
    """With hundreds of thousands of runs, a listing that sorts or scans is an outage."""
    store = Store.open(tmp_path)
    plans: list[str] = []

    def explain(c: sqlite3.Connection) -> None:
        class Explaining:
            def execute(self, sql: str, parameters: Any = ()) -> Any:
                plans.extend(row[3] for row in c.execute(f"EXPLAIN QUERY PLAN {sql}", parameters))
                return c.execute(sql, parameters)

        runs.list_runs(Explaining(), wanted)  # type: ignore[arg-type]

    await store.read(explain)
    assert not any("TEMP B-TREE" in line for line in plans), plans
    assert index in plans[-1], plans
    await store.close()


def test_an_empty_batch_knows_it() -> None:
    """An idle host must not flush the disk."""
    batch = Batch()
    assert batch.is_empty
    batch.unpark(1)
    assert not batch.is_empty


class Clock:
    """Time that passes only while something is written."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.write_takes = 0.0
        self.threads: list[str] = []
        monkeypatch.setattr("segue.store.commit.time.monotonic", lambda: self.now)

    def __call__(self, number: int) -> None:
        self.threads.append(threading.current_thread().name)
        self.now += self.write_takes


async def test_a_quick_disk_is_written_in_place_and_one_that_was_slow_is_left_to_the_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few rows are sooner written than handed over, but the loop waits for a bad disk only once."""
    clock = Clock(monkeypatch)
    store = Store.open(tmp_path, fault=clock)

    async def commit(rows: int) -> str:
        for number in range(rows):
            add(store, 1, AttemptSucceeded(at=number, id=number, output=None))
        await store.commit.wait_durable()
        return clock.threads[-1]

    assert await commit(1) == "MainThread"
    assert await commit(100) == "segue-commit"
    clock.write_takes = 0.5
    assert await commit(1) == "MainThread"
    clock.write_takes = 0.0
    assert await commit(1) == "segue-commit"
    clock.now += 2
    assert await commit(1) == "MainThread"
    found = await store.read(lambda c: runs.read_history(c, 1))
    assert len(found) == 104
    await store.close()


async def test_a_write_in_place_that_fails_is_kept_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By whichever way it goes: nothing is lost, and whoever waits is told."""
    monkeypatch.setattr("segue.store.commit._RETRY_SECONDS", (0.0,))
    disk = Disk()
    disk.failing = {1}
    store = Store.open(tmp_path, fault=disk)
    add(store, 1, AttemptSucceeded(at=1, id=1, output=None))
    with pytest.raises(HostError, match="disk is full"):
        await store.commit.wait_durable()
    while store.commit.is_writing:  # noqa: ASYNC110 - whoever waited was told of the failure
        await asyncio.sleep(0)
    assert len(await store.read(lambda c: runs.read_history(c, 1))) == 1
    await store.close()
