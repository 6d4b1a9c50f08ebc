"""Large values are on disk once, come back exactly, and go with their last user."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from segue.store import Batch, Rules, Store, blobs, codec, purge, records, runs
from segue.store.blobs import BLOB_FROM_BYTES
from segue.store.retention import delete_runs
from segue.types import AttemptSucceeded, MessageConsumed, RunStarted

LARGE = {"text": "é" * BLOB_FROM_BYTES, "n": [1.0, 1, -0.0, None, 10**30]}


def run(batch: Batch, seq: int, *events: Any, output: Any = None, name: str = "w") -> None:
    batch.start_run(seq, f"r{seq}", digest="d", namespace="n", name=name, version="1", started_at=1)
    batch.history += [(seq, codec.encode(event)) for event in events]
    batch.end_run(seq, "completed", 1, output=output)


async def blob_rows(store: Store) -> tuple[int, int]:
    return await store.read(
        lambda c: (
            c.execute("SELECT count(*) FROM blob").fetchone()[0],
            c.execute("SELECT count(*) FROM blob_use").fetchone()[0],
        )
    )


@pytest.mark.parametrize("size", [10, 16 * 1024, BLOB_FROM_BYTES - 3, BLOB_FROM_BYTES - 2, BLOB_FROM_BYTES, 10**6])
async def test_a_value_of_any_size_comes_back_as_it_was(tmp_path: Path, size: int) -> None:
    """Three ways to store it, one value."""
    value = "x" * size
    event = AttemptSucceeded(2, 3, value)
    store = Store.open(tmp_path)
    run(store.commit.pending, 1, RunStarted(1, "r1", "d", value), event, output=value)
    store.commit.pending.add_event(1, {"source": "s", "id": "1", "type": "t", "data": value}, received_at=1)
    await store.commit.wait_durable()
    assert await store.read(lambda c: runs.read_history(c, 1)) == [RunStarted(1, "r1", "d", value), event]
    assert (await store.read(lambda c: runs.read_histories(c, [1])))[1][1] == event
    found = await store.run("r1")
    assert found is not None
    assert found.output == value
    (stored,) = await store.read(lambda c: records.events_after(c, 0, limit=5))
    assert stored.envelope["data"] == value
    await store.close()


async def test_the_same_value_is_on_disk_once(tmp_path: Path) -> None:
    """A result that is the run's output and the input of a hundred others costs its size once."""
    store = Store.open(tmp_path)
    for seq in range(1, 101):
        run(
            store.commit.pending,
            seq,
            RunStarted(1, f"r{seq}", "d", LARGE),
            AttemptSucceeded(2, 3, LARGE),
            output=LARGE,
        )
    await store.commit.wait_durable()
    assert await blob_rows(store) == (1, 100)
    found = (await store.read(lambda c: runs.read_history(c, 77)))[1]
    assert codec.encode(found) == codec.encode(AttemptSucceeded(2, 3, LARGE))
    await store.close()


async def test_an_event_and_who_took_it_share_its_envelope(tmp_path: Path) -> None:
    """One large message to a thousand runs."""
    envelope = {"source": "s", "id": "1", "type": "t", "data": LARGE}
    store = Store.open(tmp_path)
    store.commit.pending.add_event(1, envelope, received_at=1)
    for seq in (1, 2):
        run(store.commit.pending, seq, MessageConsumed(1, envelope, (3,)))
    await store.commit.wait_durable()
    assert await blob_rows(store) == (1, 3)
    await store.close()


async def test_a_value_goes_with_its_last_user(tmp_path: Path) -> None:
    """Not before, and not later."""
    store = Store.open(tmp_path)
    for seq in (1, 2, 3):
        run(store.commit.pending, seq, AttemptSucceeded(2, 3, LARGE), name="first" if seq < 2 else "second")
    await store.commit.wait_durable()
    kept = {"first": 1}
    rules = Rules(of=lambda namespace, name: kept.get(name))
    await purge(store, rules, 10**6)
    assert await blob_rows(store) == (1, 2)
    assert len(await store.read(lambda c: runs.read_history(c, 3))) == 1
    kept["second"] = 1
    await purge(store, rules, 10**6)
    assert await blob_rows(store) == (1, 1), "the newest run stays"
    await store.write(delete_runs([3]))
    assert await blob_rows(store) == (0, 0)
    await store.close()


async def test_a_value_that_is_removed_and_written_again_is_there(tmp_path: Path) -> None:
    """One writer: what is removed and what is written stand in one queue."""
    store = Store.open(tmp_path)
    for seq in range(1, 20):
        run(store.commit.pending, seq, AttemptSucceeded(2, 3, LARGE))
        await store.commit.wait_durable()
        await purge(store, Rules(runs=1), 10**6)
        assert (await store.read(lambda c, s=seq: runs.read_history(c, s)))[0] == AttemptSucceeded(2, 3, LARGE)
    assert await blob_rows(store) == (1, 1)
    await store.close()


async def test_data_that_looks_like_a_reference_is_data(tmp_path: Path) -> None:
    """Nobody reads another run's values by writing what a reference looks like."""
    forged = 'r{"refs":{"output":"00"},"rest":{}}' + "h" * 40
    store = Store.open(tmp_path)
    for seq, value in enumerate((forged, forged * 1000, {"refs": {"output": "00"}, "rest": {}}), 1):
        run(store.commit.pending, seq, AttemptSucceeded(2, 3, value), output=value)
    await store.commit.wait_durable()
    for seq, value in enumerate((forged, forged * 1000, {"refs": {"output": "00"}, "rest": {}}), 1):
        assert await store.read(lambda c, s=seq: runs.read_history(c, s)) == [AttemptSucceeded(2, 3, value)]
        found = await store.run(f"r{seq}")
        assert found is not None
        assert found.output == value
    await store.close()


async def test_a_lost_value_is_named(tmp_path: Path) -> None:
    """Damage must not look like an empty result."""
    store = Store.open(tmp_path)
    run(store.commit.pending, 1, AttemptSucceeded(2, 3, LARGE))
    await store.commit.wait_durable()
    await store.write([("DELETE FROM blob", ())])
    with pytest.raises(ValueError, match="the file is damaged"):
        await store.read(lambda c: runs.read_history(c, 1))
    await store.close()


async def test_small_values_touch_no_table_of_large_ones(tmp_path: Path) -> None:
    """The usual commit stays one statement."""
    store = Store.open(tmp_path)
    run(store.commit.pending, 1, AttemptSucceeded(2, 3, {"small": 1}))
    assert not store.commit.pending.large
    assert not store.commit.pending.statements
    await store.commit.wait_durable()
    assert await blob_rows(store) == (0, 0)
    await store.close()


def test_what_is_released_is_found_by_an_index(tmp_path: Path) -> None:
    """Removing one run must not read all values."""
    from segue.store.folder import open_writer

    connection = open_writer(tmp_path / "x.db")
    for sql, parameters in blobs.release([1, 2]):
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)]
        assert not [line for line in plan if line.startswith("SCAN") and "json_each" not in line], plan
    connection.close()
