"""Runs that loop for ever: bounded history, bounded memory, and nothing that happened is forgotten or repeated."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.conformance.hosts.building import (
    Recorder,
    act,
    child,
    eventually,
    listen,
    never,
    program,
    soon,
    wait,
    workflow,
)
from tests.conformance.hosts.factories import EmbeddedWorld

from segue.core import Plan
from segue.core.plan import DoNode, ForNode, Node
from segue.hosts import FailurePolicy, HostSettings
from segue.hosts.contracts import Outcome
from segue.store import HostError, Rules, purge, snapshots
from segue.types import AttemptSucceeded, TaskRestarted

KEPT = 40
INTERVAL_MAX = 12
SETTINGS = HostSettings(drain_seconds=0.0, park_after_ms=10**12, snapshot_events=8, history_max_events=KEPT)


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[EmbeddedWorld]:
    made = EmbeddedWorld(tmp_path, SETTINGS)
    yield made
    await made.close()


def endless(*tasks: Node) -> Plan:
    """A list that begins anew whenever it comes to its end."""
    tasks[-1].then = 0
    return workflow("endless", *tasks)


def times(number: int, *tasks: Node) -> ForNode:
    """A loop over so many numbers."""
    return ForNode(name="loop", pointer="/do/loop", items=program(list(range(number))), tasks=tasks)


class Stops:
    """Answers so many calls, and keeps the others waiting. `calls` counts all of them."""

    def __init__(self, after: int, answer: Any = None) -> None:
        self.after = after
        self.calls = 0
        self.answer = answer

    def __call__(self, arguments: Any) -> Any:
        self.calls += 1
        if self.calls > self.after:
            return never()(arguments)
        return self.answer(self.calls) if callable(self.answer) else self.calls


async def counted(world: EmbeddedWorld, table: str) -> int:
    sql = f"SELECT count(*) FROM {table}"
    return await world.host.store.read(lambda c: c.execute(sql).fetchone()[0])


async def loop(world: EmbeddedWorld, plan: Plan, recorder: Recorder, calls: int, run_id: str = "r") -> None:
    """Open the host and let the run come to this many calls, with everything folded that is to be."""
    host = await world.open({"echo": recorder}, plan)
    await host.start(plan.digest, run_id=run_id)
    await eventually(lambda: recorder.result.calls > calls)  # type: ignore[attr-defined]
    await eventually(lambda: not host._engine.folding._due)
    await host.store.commit.drain()


async def test_a_loop_keeps_its_newest_events_only(world: EmbeddedWorld) -> None:
    """Whatever ran for a year looks, on disk, like what ran for an hour."""
    await loop(world, endless(act("a")), Recorder(Stops(1000)), 1000)
    # Half of them at the least, but it is cut where a snapshot stands: for each 8 events, or 100 bytes of it.
    assert KEPT / 2 - INTERVAL_MAX <= await counted(world, "history") <= KEPT + INTERVAL_MAX
    assert await counted(world, "snapshot") <= 3
    run = world.host._engine.by_id["r"]
    assert run.events == 1001
    found = await world.host.store.read(lambda c: snapshots.read_kept(c, run.seq))
    assert found.count == 1001
    assert found.snapshot is not None


async def test_a_loop_goes_on_where_it_was_after_a_crash(world: EmbeddedWorld) -> None:
    """Its beginning is gone, so it must come from the snapshot."""
    await loop(world, endless(act("a")), Recorder(Stops(500)), 500)
    await world.crash()
    again = Recorder(Stops(100))
    await world.open({"echo": again}, endless(act("a")))
    await eventually(lambda: again.result.calls > 100)  # type: ignore[attr-defined]
    assert world.host._engine.by_id["r"].events == 601
    first = again.calls[0][1]
    assert first.recovering
    assert first.key == "r:1~0.500", "an act keeps its name over a crash"


async def test_an_old_receipt_is_read_when_the_file_can_be(
    world: EmbeddedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That it cannot be read now is the host's own trouble, and no failure of the task that asks."""
    await loop(world, endless(act("a")), Recorder(Stops(20)), 20)
    first = next(event for event in await world.host.history("r") if isinstance(event, AttemptSucceeded))
    parking, read, asked = world.host._engine.parking, world.host.store.read, []

    async def fails_once(query: Any) -> Any:
        asked.append(query)
        if len(asked) == 1:
            raise HostError("the file cannot be read")
        return await read(query)

    monkeypatch.setattr(world.host.store, "read", fails_once)
    found = asyncio.ensure_future(parking.read_receipt(world.host._engine.by_id["r"], first.id))
    while not found.done():
        await world.advance(500)
    assert found.result() == first.output
    assert len(asked) >= 2


async def test_a_run_that_is_to_keep_everything_does(world: EmbeddedWorld) -> None:
    """Folding is allowed, never forced; the snapshots still make reading back quick."""
    world.settings = HostSettings(drain_seconds=0.0, snapshot_events=8, history_max_events=0)
    await loop(world, endless(act("a")), Recorder(Stops(300)), 300)
    assert await counted(world, "history") == 301
    assert await counted(world, "snapshot") == 1


async def test_a_definition_may_decide_what_its_runs_keep(world: EmbeddedWorld) -> None:
    """A loop whose past matters says so itself."""
    world.policy = lambda plan: FailurePolicy(history_max=0)
    await loop(world, endless(act("a")), Recorder(Stops(300)), 300)
    assert await counted(world, "history") == 301


async def test_an_endless_loop_of_waits_leaves_memory_and_stays_bounded(world: EmbeddedWorld) -> None:
    """Parked between its turns, woken from its snapshot."""
    world.settings = HostSettings(
        drain_seconds=0.0, park_after_ms=0, park_timer_min_ms=1000, snapshot_events=8, history_max_events=KEPT
    )
    host = await world.open({}, plan := endless(wait("w", 60_000)))
    await host.start(plan.digest, run_id="r")
    record = await host.run("r")

    async def kept() -> Any:
        return await host.store.read(lambda c: snapshots.read_kept(c, record.seq))

    parked = 0
    async with asyncio.timeout(60):
        while (await kept()).count < 60:
            await world.advance(20_000)
            parked += "r" not in host._engine.by_id
    await eventually(lambda: not host._engine.folding._due)
    found = await kept()
    assert parked > 10, "it is in memory only when its timer fires"
    assert len(found.events) <= KEPT + 8


async def test_an_act_whose_answer_was_folded_is_not_done_again(world: EmbeddedWorld) -> None:
    """A person may take a run back to a task; what it did outside long ago still counts."""
    careful = act("careful", "careful")
    plan = workflow("w", careful, times(400, act("a")))
    made = Recorder(lambda _: {"order": 7}, recovery="ask")
    many = Recorder(Stops(300))
    host = await world.open({"echo": many, "careful": made}, plan)
    await host.start(plan.digest, run_id="r")
    await eventually(lambda: many.result.calls > 300)  # type: ignore[attr-defined]
    await eventually(lambda: not host._engine.folding._due)
    await world.crash()

    again, more = Recorder(lambda _: {"order": 8}, recovery="ask"), Recorder(never())
    host = await world.open({"echo": more, "careful": again}, plan)
    run = host._engine.by_id["r"]
    assert run.events > KEPT * 2
    await host.control("r", TaskRestarted(0, 1, node=careful.index, input=None))
    await eventually(lambda: len(more.calls) == 2)
    assert not again.calls
    assert more.calls[1][0].arguments == {"order": 7}


async def test_more_acts_than_memory_holds_are_looked_up_in_the_ledger(
    world: EmbeddedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop of careful acts keeps no list of all of them, and still does none of them twice."""
    monkeypatch.setattr("segue.hosts.embedded.live.EFFORTS_MAX", 10)
    monkeypatch.setattr("segue.hosts.embedded.parking.EFFORTS_MAX", 10)
    first = act("first", "careful")
    plan = workflow("w", first, times(400, act("a", "careful")))
    made = Recorder(Stops(100), recovery="ask")
    host = await world.open({"careful": made}, plan)
    await host.start(plan.digest, run_id="r")
    await eventually(lambda: made.result.calls > 100)  # type: ignore[attr-defined]
    run = host._engine.by_id["r"]
    assert len(run.efforts) <= 11
    await host.control("r", TaskRestarted(0, 1, node=first.index, input=None))
    outcome = await soon(host.wait_closed("r"))
    assert outcome.failure.outcome_unknown, "only of the act that was under way nobody knows"
    keys = [context.key for _, context in made.calls]
    assert len(keys) == len(set(keys)), "the first act gave its first answer"


async def test_acts_of_laps_that_are_over_leave_the_ledger(world: EmbeddedWorld) -> None:
    """A run that acts for ever must not fill the disk with the proof of it; and it goes on as before."""
    made = Recorder(Stops(500), recovery="ask")
    plan = endless(act("a", "careful"), act("b", "careful"))
    host = await world.open({"careful": made}, plan)
    await host.start(plan.digest, run_id="r")
    await eventually(lambda: made.result.calls > 500)  # type: ignore[attr-defined]
    await eventually(lambda: not host._engine.folding._due)
    assert await counted(world, "effect") == 501
    now = host.now_ms()
    assert (await purge(host.store, Rules(runs=60_000), now)).acts == 0, "they are too young"
    purged = await purge(host.store, Rules(runs=0), now + 1)
    assert (purged.acts, purged.complete) == (500, True)
    left = await host.store.read(lambda c: c.execute("SELECT key, state FROM effect").fetchall())
    assert left == [("r:1~0.250", "intent")]
    await world.crash()
    again = Recorder(lambda _: 1, recovery="ask")
    host = await world.open({"careful": again}, plan)
    # Of the act that was under way nobody knows; everything else goes on.
    assert (await soon(host.wait_closed("r"))).failure.outcome_unknown


def nested(*tasks: Node) -> Plan:
    """A list that begins anew for ever, in an iteration of a loop, in a list of the run's own."""
    tasks[-1].then = 0
    return workflow("nested", times(3, DoNode(name="inside", pointer="/do/inside", tasks=tasks)))


async def forgets(world: EmbeddedWorld, laps: int) -> Recorder:
    """A run in nested loops that has come to this lap, and the ledger of which is as small as it gets."""
    made = Recorder(Stops(laps), recovery="ask")
    host = await world.open({"careful": made}, plan := nested(act("a", "careful")))
    await host.start(plan.digest, run_id="r")
    await eventually(lambda: made.result.calls > laps)  # type: ignore[attr-defined]
    await eventually(lambda: not host._engine.folding._due)
    await purge(host.store, Rules(runs=0), host.now_ms() + 1)
    return made


async def test_acts_of_loops_inside_leave_the_ledger_too(world: EmbeddedWorld) -> None:
    """What acts for ever in a nested list fills the disk as well as at the top; and it goes on as before."""
    await forgets(world, 500)
    left = await world.host.store.read(lambda c: c.execute("SELECT key, state FROM effect").fetchall())
    assert left == [("r:3[0]~2.500", "intent")]
    assert await counted(world, "effect_floor") == 1
    await world.crash()
    again = Recorder(Stops(100), recovery="verify", happened={"r:3[0]~2.500": "found"})
    host = await world.open({"careful": again}, nested(act("a", "careful")))
    await eventually(lambda: again.result.calls > 100)  # type: ignore[attr-defined]
    assert [context.key for _, context in again.calls][:2] == ["r:3[0]~2.501", "r:3[0]~2.502"]
    assert again.verified == ["r:3[0]~2.500"], "of the others nobody need ask"
    assert (await purge(host.store, Rules(runs=60_000), host.now_ms())).acts == 0, "they are too young"
    assert (await purge(host.store, Rules(runs=0), host.now_ms() + 1)).acts == 101
    assert await counted(world, "effect") == 1


@pytest.mark.parametrize("dies", [False, True])
async def test_an_act_that_the_ledger_has_forgotten_is_asked_about(
    world: EmbeddedWorld, dies: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person starts the loop again: its acts keep their names, and nobody can say whether they happened."""
    monkeypatch.setattr("segue.hosts.embedded.live.EFFORTS_MAX", 10)
    world.policy = lambda plan: FailurePolicy(hold=True)
    made = await forgets(world, 100)
    host, plan = world.host, nested(act("a", "careful"))
    if dies:
        await world.crash()
        host = await world.open({"careful": (made := Recorder(Stops(0), recovery="ask"))}, plan)
    loop_ = plan.root.tasks[0]
    await eventually(lambda: "r" in host._engine.by_id)
    before = len(made.calls)
    await host.control("r", TaskRestarted(0, 1, node=loop_.index, input=None))
    run = host._engine.by_id["r"]
    await eventually(lambda: run.state.held)
    (task,) = run.state.held
    assert run.state.held[task].outcome_unknown
    await host.store.commit.drain()
    asked = "SELECT key, state FROM effect WHERE state = 'unknown' AND key = 'r:3[0]'"
    assert await host.store.read(lambda c: c.execute(asked).fetchall()) == [("r:3[0]", "unknown")]
    assert len(made.calls) == before, "it is not done blindly"
    await host.control("r", TaskRestarted(0, task), outcome=Outcome(happened=False))
    await eventually(lambda: len(made.calls) == before + 1)
    assert made.calls[-1][1].key == "r:3[0]"


async def test_large_results_of_folded_events_give_their_space_back(world: EmbeddedWorld) -> None:
    """A loop over large values would otherwise fill the disk with what nobody can reach."""
    recorder = Recorder(Stops(200, lambda n: f"{n:06d}" * 8000))
    await loop(world, endless(act("a", arguments=None)), recorder, 200)
    assert await counted(world, "blob") <= KEPT + 10
    await world.crash()
    again = Recorder(Stops(1))
    await world.open({"echo": again}, endless(act("a")))
    await eventually(lambda: again.calls)
    assert again.calls[0][0].arguments == "000200" * 8000, "the newest value is still there"


async def test_a_large_input_stands_on_disk_once(world: EmbeddedWorld) -> None:
    """Snapshots refer to it, as the first event does."""
    host = await world.open({"echo": (recorder := Recorder(Stops(300)))}, plan := endless(act("a", arguments=None)))
    await host.start(plan.digest, "x" * 200_000, run_id="r")
    await eventually(lambda: recorder.result.calls > 300)  # type: ignore[attr-defined]
    assert await counted(world, "blob") == 1
    (largest,) = await host.store.read(lambda c: c.execute("SELECT max(length(data)) FROM snapshot").fetchone())
    assert largest < 4000


async def test_an_event_is_not_offered_again_after_its_record_was_folded(world: EmbeddedWorld) -> None:
    """A run takes an event once, also where the event that says so is gone."""
    plan = endless(listen("l", "news"))
    host = await world.open({}, plan)
    await host.start(plan.digest, run_id="r")
    for number in range(60):
        await host.publish({"id": str(number), "source": "/news", "type": "news"})
    run = host._engine.by_id["r"]
    await eventually(lambda: run.events == 61)
    await eventually(lambda: not host._engine.folding._due)
    await world.crash()
    host = await world.open({}, plan)
    # The wait that opens now searches the last hour, in which all of them came.
    await host.publish({"id": "60", "source": "/news", "type": "news"})
    await eventually(lambda: host._engine.by_id["r"].events >= 62)
    await asyncio.sleep(0.05)
    assert host._engine.by_id["r"].events == 62


async def test_a_run_that_ended_keeps_what_can_be_told_and_no_more(world: EmbeddedWorld) -> None:
    """The newest snapshot is for going on."""
    plan = workflow("w", *(act(f"a{n}") for n in range(60)))
    host = await world.open({"echo": Recorder()}, plan)
    await host.start(plan.digest, run_id="r")
    assert (await soon(host.wait_closed("r"))).status == "completed"
    await eventually(lambda: not host._engine.folding._due)
    record = await host.run("r")
    found = await host.store.read(lambda c: snapshots.read_kept(c, record.seq))
    assert found.count == 61
    assert record.folded == found.before > 0
    assert await counted(world, "snapshot") == 1


# -- snapshots that cannot be read -----------------------------------------------------------------------


def spoil(world: EmbeddedWorld, which: str) -> None:
    """Make snapshots look as if another release had taken them."""
    with sqlite3.connect(world.folder / "data" / "segue.db") as connection:
        connection.execute(f"UPDATE snapshot SET data = x'00' WHERE {which}")


async def test_a_snapshot_that_cannot_be_read_is_done_without(world: EmbeddedWorld) -> None:
    """As long as its history is there, a snapshot only saves time."""
    world.settings = HostSettings(drain_seconds=0.0, snapshot_events=8, history_max_events=0)
    await loop(world, endless(act("a")), Recorder(Stops(100)), 100)
    await world.close()
    spoil(world, "true")
    again = Recorder(Stops(20))
    await world.open({"echo": again}, endless(act("a")))
    await eventually(lambda: again.result.calls > 20)  # type: ignore[attr-defined]
    assert world.host._engine.by_id["r"].events == 121


async def test_the_snapshot_before_it_counts_where_the_beginning_is_gone(world: EmbeddedWorld) -> None:
    """There are two or three: one that cannot be read does not lose the run."""
    await loop(world, endless(act("a")), Recorder(Stops(100)), 100)
    await world.close()
    spoil(world, "event = (SELECT max(event) FROM snapshot)")
    again = Recorder(Stops(20))
    await world.open({"echo": again}, endless(act("a")))
    await eventually(lambda: again.result.calls > 20)  # type: ignore[attr-defined]
    assert world.host._engine.by_id["r"].events == 121


async def test_a_run_without_any_way_back_is_set_aside(world: EmbeddedWorld) -> None:
    """It is not begun anew, and not lost: whoever looks after it is told, and a release that can read it goes on."""
    await loop(world, endless(act("a")), Recorder(Stops(100)), 100)
    await world.close()
    spoil(world, "true")
    host = await world.open({"echo": (again := Recorder(Stops(20)))}, endless(act("a")))
    await host.store.commit.drain()
    record = await host.run("r")
    assert record.residence == "quarantined"
    assert "snapshot" in record.reason
    assert not again.calls


async def test_dying_at_any_write_of_a_loop_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """At the first write, the second, …, those of snapshots and of folding among them."""
    plan = workflow("w", *(act(f"a{n}", "careful") for n in range(12)), child("c", "below"), wait("nap", 10))
    below = workflow("below", act("b", "careful"))
    settings = HostSettings(drain_seconds=0.0, park_after_ms=10**12, snapshot_events=2, history_max_events=4)
    for dying in range(1, 200, 3):
        world = EmbeddedWorld(tmp_path / str(dying), settings)
        happened: dict[str, Any] = {}

        def remember(arguments: Any) -> Any:
            return arguments

        died = False
        for attempt in range(2):
            recorder = Recorder(remember, recovery="verify", happened=happened)
            world.fail_writes(*(range(dying, dying + 10_000) if attempt == 0 else ()))
            try:
                host = await world.open({"careful": recorder}, plan, below)
                await host.start(plan.digest, 1, run_id="r")
                for _ in range(400):
                    await world.advance(20)
                    died = not host.health().accepting
                    if died or (await host.run("r")).is_closed:
                        break
            except Exception:
                died = True
                assert attempt == 0
            if attempt:
                assert (await host.run("r")).status == "completed"
            await world.crash()
            for command, context in recorder.calls:
                assert context.key not in happened, (dying, context.key)
                happened[context.key] = command.arguments
            if not died:
                break
        assert len(happened) == 13, (dying, happened)
        if not died and attempt == 0:
            return
    raise AssertionError("no run passed untouched")
