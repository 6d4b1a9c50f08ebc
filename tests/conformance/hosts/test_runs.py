"""What every host owes a run, from its start to its end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.conformance.hosts.building import (
    InlineRecorder,
    Recorder,
    act,
    eventually,
    fork,
    guarded,
    never,
    program,
    soon,
    workflow,
)
from tests.conformance.hosts.factories import World

from segue.hosts import HostError, UnknownRun
from segue.store import RunFilter
from segue.types import AttemptSucceeded, RunCancelled, RunPaused, RunResumed, RunStarted, fail

CHAIN = workflow("chain", act("a"), act("b"), act("c"))


@pytest.mark.parametrize("kind", [Recorder, InlineRecorder])
async def test_a_run_goes_through_its_tasks_in_order_and_ends_with_the_last_output(world: World, kind: Any) -> None:
    """An act done at once and one done as a task mean the same."""
    echo = kind(lambda n: n + 1)
    host = await world.open({"echo": echo}, CHAIN)
    run_id = await host.start(CHAIN.digest, 1)
    outcome = await soon(host.wait_closed(run_id))
    assert (outcome.status, outcome.output) == ("completed", 4)
    assert [command.name for command, _ in echo.calls] == ["a", "b", "c"]
    history = await host.history(run_id)
    assert [type(e) for e in history] == [RunStarted, AttemptSucceeded, AttemptSucceeded, AttemptSucceeded]


async def test_starting_with_the_same_id_starts_once(world: World) -> None:
    """Callers repeat a start whose answer they lost."""
    echo = Recorder()
    host = await world.open({"echo": echo}, CHAIN)
    ids = await asyncio.gather(*(host.start(CHAIN.digest, n, run_id="order-7") for n in range(5)))
    await soon(host.wait_closed("order-7"))
    assert await host.start(CHAIN.digest, 99, run_id="order-7") == "order-7"
    assert ids == ["order-7"] * 5
    assert len(echo.calls) == 3
    assert len((await host.runs()).items) == 1


async def test_nothing_is_performed_before_its_cause_is_on_disk(world: World) -> None:
    """The first rule of the house: an effect without a record could be doubled after a crash."""
    seen: list[int] = []

    async def look(arguments: Any) -> Any:
        seen.append(len(await world.host.history("watched")))
        return arguments

    host = await world.open({"echo": Recorder(look)}, CHAIN)
    await host.start(CHAIN.digest, run_id="watched")
    await soon(host.wait_closed("watched"))
    assert seen == [1, 2, 3]


async def test_a_failed_act_faults_the_run(world: World) -> None:
    """A failure that nobody catches is the run's own."""

    def refuse(arguments: Any) -> Any:
        raise fail("communication", "the system is down", status=503)

    host = await world.open({"echo": Recorder(refuse)}, CHAIN)
    outcome = await soon(host.wait_closed(await host.start(CHAIN.digest)))
    assert outcome.status == "faulted"
    assert (outcome.failure.status, outcome.failure.instance) == (503, "/do/a")


async def test_a_handler_that_breaks_fails_its_task_and_nothing_else(world: World) -> None:
    """An error in one handler must not take the host down."""

    def breaks(arguments: Any) -> Any:
        if arguments == "bad":
            raise ZeroDivisionError("oops")
        return arguments

    host = await world.open({"echo": Recorder(breaks)}, CHAIN)
    bad, good = await host.start(CHAIN.digest, "bad"), await host.start(CHAIN.digest, "good")
    assert (await soon(host.wait_closed(bad))).failure.type.endswith("runtime")
    assert (await soon(host.wait_closed(good))).status == "completed"


async def test_an_unknown_handler_is_a_configuration_failure(world: World) -> None:
    """What is not installed cannot be waited for."""
    plan = workflow("odd", act("a", "teleport"))
    host = await world.open({"echo": Recorder()}, plan)
    outcome = await soon(host.wait_closed(await host.start(plan.digest)))
    assert outcome.failure.type.endswith("configuration")
    assert "teleport" in outcome.failure.detail


@pytest.mark.parametrize("kind", [Recorder, InlineRecorder])
async def test_a_result_that_is_not_json_fails_the_act(world: World, kind: Any) -> None:
    """What cannot be stored must not become part of a state."""
    host = await world.open({"echo": kind(lambda _: object())}, CHAIN)
    outcome = await soon(host.wait_closed(await host.start(CHAIN.digest)))
    assert outcome.status == "faulted"
    assert "cannot be stored" in outcome.failure.detail


@pytest.mark.parametrize("kind", [Recorder, InlineRecorder])
async def test_results_reach_the_run_as_a_replay_will_read_them(world: World, kind: Any) -> None:
    """Otherwise a run that was woken would go on from other data than one that stayed in memory."""
    host = await world.open({"echo": kind(lambda _: {"t": (1, 2), "nan": float("nan"), 3: "k"})}, CHAIN)
    outcome = await soon(host.wait_closed(await host.start(CHAIN.digest)))
    assert outcome.output == {"t": [1, 2], "nan": None, "3": "k"}


async def test_branches_act_at_the_same_time(world: World) -> None:
    """A fork of two that wait for each other would otherwise hang."""
    here = [asyncio.Event(), asyncio.Event()]

    async def meet(arguments: Any) -> Any:
        here[arguments].set()
        await here[1 - arguments].wait()
        return arguments

    plan = workflow("meeting", fork("both", act("x", arguments=0), act("y", arguments=1)))
    host = await world.open({"echo": Recorder(meet)}, plan)
    assert (await soon(host.wait_closed(await host.start(plan.digest)))).output == [0, 1]


async def test_the_losers_of_a_competition_are_stopped(world: World) -> None:
    """Cancel reaches the act itself, not only the state."""
    hang = Recorder(never())
    plan = workflow("race", fork("any", act("slow", "hang"), act("fast"), compete=True))
    host = await world.open({"echo": Recorder(lambda _: "won"), "hang": hang}, plan)
    assert (await soon(host.wait_closed(await host.start(plan.digest)))).output == "won"
    await eventually(lambda: hang.cancelled == 1)


async def test_cancelling_a_run_stops_its_acts(world: World) -> None:
    """Nothing outlives its run."""
    hang = Recorder(never())
    host = await world.open({"echo": hang}, CHAIN)
    run_id = await host.start(CHAIN.digest)
    await eventually(lambda: hang.calls)
    assert await host.control(run_id, RunCancelled(at=0, by="test"))
    assert (await soon(host.wait_closed(run_id))).status == "cancelled"
    await eventually(lambda: hang.cancelled == 1)
    assert not await host.control(run_id, RunCancelled(at=0)), "it has ended before"


async def test_a_paused_run_starts_nothing_new_until_it_is_resumed(world: World) -> None:
    """What is under way may finish; the next task waits."""
    go = asyncio.Event()

    async def slow(arguments: Any) -> Any:
        await go.wait()
        return arguments

    echo = Recorder(slow)
    host = await world.open({"echo": echo}, CHAIN)
    run_id = await host.start(CHAIN.digest)
    await eventually(lambda: echo.calls)
    await host.control(run_id, RunPaused(at=0))
    assert (await host.run(run_id)).status == "suspended"
    go.set()
    await world.advance(10_000)
    assert len(echo.calls) == 1
    await host.control(run_id, RunResumed(at=0))
    assert (await soon(host.wait_closed(run_id))).status == "completed"


async def test_controls_and_waits_of_unknown_runs_say_so(world: World) -> None:
    """A typing error must not hang."""
    host = await world.open({"echo": Recorder()}, CHAIN)
    with pytest.raises(UnknownRun):
        await host.wait_closed("nobody")
    with pytest.raises(UnknownRun):
        await host.control("nobody", RunCancelled(at=0))
    with pytest.raises(UnknownRun):
        await host.history("nobody")
    with pytest.raises(LookupError):
        await host.start("no such digest")
    for bad in ("", "a b", "x" * 201, "child~1", "-first"):
        with pytest.raises(ValueError, match="run id"):
            await host.start(CHAIN.digest, run_id=bad)


async def test_a_bug_sets_one_run_aside_and_the_others_go_on(world: World) -> None:
    """A run on a broken invariant must stop; its history is what a repair needs."""

    def bug(data: Any) -> Any:
        if data == "bad":
            raise RuntimeError("a bug")
        return data

    plan = workflow("buggy", act("a"), act("b", arguments=bug))
    host = await world.open({"echo": Recorder()}, plan)
    bad, good = await host.start(plan.digest, "bad"), await host.start(plan.digest, "good")
    assert (await soon(host.wait_closed(good))).status == "completed"
    with pytest.raises(HostError, match="a bug"):
        await soon(host.wait_closed(bad))
    record = await host.run(bad)
    assert record.residence == "quarantined"
    assert "a bug" in record.reason
    assert len(await host.history(bad)) == 1
    with pytest.raises(HostError, match="set aside"):
        await host.control(bad, RunPaused(at=0))
    assert await host.control(bad, RunCancelled(at=0))
    assert (await host.run(bad)).status == "cancelled"


async def test_acts_beyond_the_limit_wait_their_turn(world: World) -> None:
    """A burst is queued, not refused, and never exceeds what the system behind it bears."""
    at_once = most = 0

    async def count(arguments: Any) -> Any:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.001)
        at_once -= 1
        return arguments

    world.settings = type(world.settings)(handler_acts_max={"echo": 3})
    host = await world.open({"echo": Recorder(count)}, CHAIN)
    ids = await host.start_many(CHAIN.digest, range(10))
    await soon(asyncio.gather(*(host.wait_closed(i) for i in ids)))
    assert most == 3


async def test_who_watches_is_told_in_order_and_never_more_than_is_on_disk(world: World) -> None:
    """What a display shows must not vanish after a crash."""
    host = await world.open({"echo": Recorder()}, CHAIN)
    everything, other = host.subscribe(), host.subscribe("other")
    run_id = await host.start(CHAIN.digest)
    seen = []
    async for change in everything:
        assert change.events <= len(await host.history(run_id))
        seen.append((change.run_id, change.status))
        if change.status == "completed":
            everything.close()
            other.close()
    assert seen[-1] == (run_id, "completed")
    assert [c async for c in other] == []


async def test_large_values_survive(world: World) -> None:
    """Large payloads take another way to disk; the order of events must hold on it too."""
    large = {"rows": ["x" * 1000] * 200}
    plan = workflow("large", act("a"), act("b", arguments=lambda d: d), act("c"))
    host = await world.open({"echo": Recorder()}, plan)
    run_id = await host.start(plan.digest, large)
    assert (await soon(host.wait_closed(run_id))).output == large
    await world.close()
    host = await world.open({"echo": Recorder()}, plan)
    assert (await host.run(run_id)).output == large
    assert [type(e).__name__ for e in await host.history(run_id)] == ["RunStarted"] + ["AttemptSucceeded"] * 3


async def test_a_caught_failure_lets_the_run_go_on(world: World) -> None:
    """A handler's failure is the workflow's to handle."""

    def refuse(arguments: Any) -> Any:
        raise fail("timeout", "too slow")

    plan = workflow("careful", guarded("try", act("a", "bad")), act("b"))
    host = await world.open({"echo": Recorder(), "bad": Recorder(refuse)}, plan)
    assert (await soon(host.wait_closed(await host.start(plan.digest, "in")))).output == "in"


async def test_lists_are_paged_and_filtered(world: World) -> None:
    """Newest first; the next page goes on exactly where the last one ended."""
    host = await world.open({"echo": Recorder()}, CHAIN)
    ids = []
    for n in range(5):
        ids.append(await host.start(CHAIN.digest, n))
        await world.advance(1000)
    await soon(asyncio.gather(*(host.wait_closed(i) for i in ids)))
    first = await host.runs(limit=2)
    second = await host.runs(limit=2, before=first.next)
    third = await host.runs(limit=2, before=second.next)
    assert [r.id for page in (first, second, third) for r in page.items] == ids[::-1]
    assert third.next is None
    middle = (await host.run(ids[2])).started_at
    assert [r.id for r in (await host.runs(RunFilter(started_from=middle))).items] == ids[:1:-1]
    assert [r.id for r in (await host.runs(RunFilter(started_to=middle))).items] == ids[1::-1]
    assert (await host.runs(RunFilter(status=["faulted"]))).items == []


def test_the_suite_builds_programs_that_read_data() -> None:
    """Guards the helpers: a constant program would make half of the rules above hold by accident."""
    assert program(lambda data: data + 1).run(1, {}, 0) == 2
