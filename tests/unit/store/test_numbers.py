"""Numbers of runs, rows and commands: none is given out twice, and they say what came first."""

from __future__ import annotations

from pathlib import Path

from segue.store import Batch, Store, codec, records, runs, snapshots
from segue.store.effects import effects_by_key
from segue.types import MessageConsumed, RunStarted, TimerFired


def begin(batch: Batch, seq: int, *, hidden: bool = False) -> None:
    batch.start_run(seq, f"r{seq}", digest="d", namespace="n", name="w", version="1", started_at=1, hidden=hidden)
    batch.history.append((seq, codec.encode(RunStarted(1, f"r{seq}", "d", None))))


async def happens(store: Store, seq: int, *timers: int) -> None:
    store.commit.pending.history += [(seq, codec.encode(TimerFired(2, timer))) for timer in timers]
    await store.commit.wait_durable()


async def newest(store: Store) -> int:
    return await store.read(lambda c: c.execute("SELECT max(id) FROM history").fetchone()[0])


async def test_an_event_between_two_writes_of_one_fold_stays(tmp_path: Path) -> None:
    """Whoever folds is told that a write failed which is then done all the same, and folds again."""
    store = Store.open(tmp_path)
    begin(store.commit.pending, 1)
    await happens(store, 1, 1, 2, 3)
    folds = [await store.read(lambda c: snapshots.fold(c, run=1, until=4)) for _ in range(2)]
    assert folds[0], "there is something to fold"
    await store.write(folds[0])
    await happens(store, 1, 4)
    await store.write(folds[1])
    assert await store.read(lambda c: runs.read_history(c, 1)) == [TimerFired(2, 3), TimerFired(2, 4)]
    assert await store.read(lambda c: snapshots.read_folded(c, 1)) == 3
    await store.close()


async def test_a_fold_goes_on_where_it_held_back(tmp_path: Path) -> None:
    """The newest row of all stays for the time being, and goes with the next fold."""
    store = Store.open(tmp_path)
    begin(store.commit.pending, 1)
    await happens(store, 1, 1)
    before = await newest(store)
    await store.write(await store.read(lambda c: snapshots.fold(c, run=1, until=2)))
    assert await newest(store) == before
    assert await store.read(lambda c: snapshots.fold(c, run=1, until=2)) == []
    await happens(store, 1, 2)
    await store.write(await store.read(lambda c: snapshots.fold(c, run=1, until=2)))
    assert await store.read(lambda c: runs.read_history(c, 1)) == [TimerFired(2, 2)]
    await store.close()


async def test_a_trigger_that_is_over_goes_when_its_numbers_are_not_the_newest(tmp_path: Path) -> None:
    """A schedule that is switched off ends its trigger, and nothing need happen after that."""
    store = Store.open(tmp_path)
    begin(store.commit.pending, 1)
    begin(store.commit.pending, 2, hidden=True)
    taken = {"source": "s", "id": "1", "type": "t", "data": "x" * 40_000}
    store.commit.pending.history.append((2, codec.encode(MessageConsumed(1, taken, (3,)))))
    store.commit.pending.end_run(2, "completed", 2, output=None)
    store.commit.pending.statements += records.delete_triggers()
    await store.commit.wait_durable()
    before = await newest(store)
    assert await store.read(runs.newest_seq) == 2
    begin(store.commit.pending, 3)
    store.commit.pending.statements += records.delete_triggers()
    await store.commit.wait_durable()
    assert await newest(store) == before + 1
    assert await store.read(lambda c: c.execute("SELECT seq FROM run").fetchall()) == [(1,), (3,)]
    assert await store.read(lambda c: c.execute("SELECT count(*) FROM blob").fetchone()[0]) == 0
    await store.close()


async def test_attempts_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    """The last one decides whether the act may be done again, and a clock may be set back between two."""
    store = Store.open(tmp_path)
    begin(store.commit.pending, 1)
    for command, at in ((3, 9_000), (5, 10)):
        store.commit.pending.intend(1, command, key="r1:2", handler="h", pointer="/do/0/a", attempt=1, at=at)
    await store.commit.wait_durable()
    found = await store.read(lambda c: effects_by_key(c, "r1:2"))
    assert [effect.command for effect in found] == [3, 5]
    await store.close()
