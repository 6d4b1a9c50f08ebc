"""What holds when processes die and disks fail."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.conformance.hosts.building import (
    InlineRecorder,
    Recorder,
    act,
    child,
    emit,
    event,
    eventually,
    fork,
    listen,
    never,
    soon,
    wait,
    workflow,
)
from tests.conformance.hosts.factories import World

from segue.hosts import HostError
from segue.store import Store, runs
from segue.types import NOT_DONE

ONE = workflow("one", act("a"))


async def test_a_safe_act_is_repeated_after_a_crash_with_the_same_key(world: World) -> None:
    """The key is what lets the other system see one act, not two."""
    before = Recorder(never())
    host = await world.open({"echo": before}, ONE)
    run_id = await host.start(ONE.digest, "x")
    await eventually(lambda: before.calls)
    await world.crash()
    after = Recorder()
    host = await world.open({"echo": after}, ONE)
    assert (await soon(host.wait_closed(run_id))).output == "x"
    (_, first), (_, second) = before.calls[0], after.calls[0]
    assert first.key == second.key
    assert (first.recovering, second.recovering) == (False, True)


@pytest.mark.parametrize("happened", [True, False])
async def test_an_act_that_can_be_looked_up_is_looked_up_first(world: World, happened: bool) -> None:
    """If it happened its result counts; if not it is done now."""
    before = Recorder(never(), recovery="verify")
    host = await world.open({"echo": before}, ONE)
    run_id = await host.start(ONE.digest, "x")
    await eventually(lambda: before.calls)
    key = before.calls[0][1].key
    await world.crash()
    after = Recorder(lambda _: "done now", recovery="verify", happened={key: "found"} if happened else {})
    assert (await after.verify(*before.calls[0]) is NOT_DONE) != happened
    host = await world.open({"echo": after}, ONE)
    assert (await soon(host.wait_closed(run_id))).output == ("found" if happened else "done now")
    assert len(after.calls) == (0 if happened else 1)


async def test_an_act_nobody_can_look_up_becomes_a_question(world: World) -> None:
    """Neither repeating it nor dropping it would be honest."""
    before = Recorder(never(), recovery="ask")
    host = await world.open({"echo": before}, ONE)
    run_id = await host.start(ONE.digest)
    await eventually(lambda: before.calls)
    await world.crash()
    after = Recorder(recovery="ask")
    host = await world.open({"echo": after}, ONE)
    outcome = await soon(host.wait_closed(run_id))
    assert outcome.failure.outcome_unknown
    assert not after.calls


async def test_an_act_that_never_began_is_simply_performed(world: World) -> None:
    """Without an intent on disk nothing can have happened: nobody needs to be asked."""
    world.settings = type(world.settings)(acts_max=1, drain_seconds=0.0)
    before = Recorder(never(), recovery="ask")
    host = await world.open({"echo": before}, ONE)
    first, second = await host.start(ONE.digest), await host.start(ONE.digest)
    await eventually(lambda: before.calls)
    await world.crash()
    host = await world.open({"echo": Recorder(recovery="ask")}, ONE)
    assert (await soon(host.wait_closed(first))).failure.outcome_unknown
    assert (await soon(host.wait_closed(second))).status == "completed"


async def test_a_proper_close_lets_delicate_acts_finish(world: World) -> None:
    """An upgrade should leave no questions behind."""
    world.settings = type(world.settings)(drain_seconds=5.0)

    async def slow(arguments: Any) -> Any:
        await asyncio.sleep(0.05)
        return arguments

    delicate = Recorder(slow, recovery="ask")
    host = await world.open({"echo": delicate}, ONE)
    run_id = await host.start(ONE.digest, "x")
    await eventually(lambda: delicate.calls)
    await world.close()
    host = await world.open({"echo": Recorder(recovery="ask")}, ONE)
    assert (await soon(host.wait_closed(run_id))).output == "x"


async def test_a_run_that_ends_while_a_start_reads_it_is_not_taken_up_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read is older than what the run did in memory meanwhile, and going on from it would repeat acts."""
    below = workflow("below", act("work", "work"))
    above = workflow("above", act("a"), child("c", "below"), act("b", arguments="b"))
    hangs = Recorder(never())
    host = await world.open({"echo": hangs}, above, below)
    run_id = await host.start(above.digest)
    await eventually(lambda: hangs.calls)
    await world.crash()

    at_work, go_on, below_ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def at_length(arguments: Any) -> str:
        at_work.set()
        await go_on.wait()
        return "done"

    echo = Recorder(lambda arguments: below_ended.set() if arguments == "b" else arguments)
    work = Recorder(at_length)
    read = Store.read

    resumed: list[int] = []

    async def late(store: Store, query: Any) -> Any:
        """The run below is at work when it is read, and has ended when the answer comes."""
        lists = getattr(query, "func", None) is runs.unfinished
        if lists and resumed:
            await at_work.wait()
        found = await read(store, query)
        if lists:
            resumed.extend(found)
        elif at_work.is_set():
            go_on.set()
            await below_ended.wait()
        return found

    monkeypatch.setattr(Store, "read", late)
    host = await soon(world.open({"echo": echo, "work": work}, above, below))
    assert len(resumed) == 2
    assert (await soon(host.wait_closed(run_id))).status == "completed"
    await eventually(lambda: host.health().live_runs == 0)
    assert len(work.calls) == 1


async def test_a_start_that_was_confirmed_survives_and_one_that_was_not_leaves_nothing(world: World) -> None:
    """The answer to the caller is the promise."""
    host = await world.open({"echo": Recorder(never())}, ONE)
    await host.start(ONE.digest, run_id="kept")
    world.fail_writes(*range(1, 100))
    with pytest.raises(HostError, match="disk is full"):
        await host.start(ONE.digest, run_id="lost")
    await world.crash()
    host = await world.open({"echo": Recorder(never())}, ONE)
    assert (await host.run("kept")) is not None
    assert (await host.run("lost")) is None


async def test_while_the_disk_is_full_no_work_is_taken_and_afterwards_all_goes_on(world: World) -> None:
    """A clear refusal, no lost run, no restart needed."""
    echo = Recorder()
    host = await world.open({"echo": echo}, workflow("chain", act("a"), act("b"), act("c")))
    world.fail_writes(2, 3)
    run_id = await host.start("chain:1.0.0", 1)
    await eventually(lambda: not host.health().accepting, "trouble")
    assert "disk is full" in host.health().trouble
    for refused in (host.start("chain:1.0.0"), host.publish(event("x")), host.activate("chain:1.0.0")):
        with pytest.raises(HostError, match="No new work"):
            await refused
    assert (await soon(host.wait_closed(run_id))).status == "completed"
    assert host.health().accepting
    assert len(echo.calls) == 3


EVERYTHING = workflow(
    "everything",
    act("a"),
    fork("f", act("b", "careful"), act("c", "inline")),
    child("d", "below"),
    emit("e", "said"),
    wait("g", 1000),
    listen("h", "heard"),
    act("i", "careful", arguments=lambda d: d),
)
BELOW = workflow("below", act("j", "careful"), wait("k", 1000))


def crew() -> dict[str, Recorder]:
    return {"echo": Recorder(), "careful": Recorder(recovery="verify"), "inline": InlineRecorder()}


async def finish(world: World, run_id: str) -> Any:
    """Let time pass and the awaited event arrive until the run has ended."""
    for _ in range(300):
        await world.advance(600)
        await asyncio.sleep(0.003)
        record = await world.host.run(run_id)
        if record is not None and record.is_closed:
            return record
        try:
            await world.host.publish(event("heard", 7, source=f"/{run_id}"))
        except HostError:
            pass
    raise AssertionError(f"the run did not end: {record}, {await world.host.history(run_id)}")


def key_counts(crews: list[dict[str, Recorder]], name: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    for one in crews:
        for _, context in one[name].calls:
            counts[context.key] = counts.get(context.key, 0) + 1
    return counts


async def test_failing_any_one_write_changes_nothing_about_the_result(world: World) -> None:
    """The first write, then the second, and so on until a run passes untouched."""
    host = await world.open(team := crew(), EVERYTHING, BELOW)
    for failing in range(1, 60):
        for recorder in team.values():
            recorder.calls.clear()
        before = world.writes  # type: ignore[attr-defined]
        world.fail_writes(failing)
        run_id = f"w{failing}"
        try:
            await host.start(EVERYTHING.digest, "x", run_id=run_id)
        except HostError:
            await eventually(lambda: host.health().accepting)
            await host.start(EVERYTHING.digest, "x", run_id=run_id)
        record = await finish(world, run_id)
        assert record.status == "completed"
        for name in team:
            assert set(key_counts([team], name).values()) == {1}, (failing, name)
        if world.writes - before < failing:  # type: ignore[attr-defined]
            return
    raise AssertionError("no run passed untouched")


async def test_dying_at_any_one_write_changes_nothing_about_the_result(world: World) -> None:
    """The process ends at its first write, then at its second, …; what was looked up is done exactly once."""
    for dying in range(1, 60):
        crews = [crew()]
        host = await world.open(crews[0], EVERYTHING, BELOW)
        run_id = f"d{dying}"
        world.fail_writes(*range(dying, dying + 10_000))
        died = False
        try:
            await host.start(EVERYTHING.digest, "x", run_id=run_id)
            for _ in range(60):
                await world.advance(600)
                await asyncio.sleep(0.002)
                died = not host.health().accepting
                if died or (await host.run(run_id)).is_closed:
                    break
                await host.publish(event("heard", 7, source=f"/{run_id}"))
        except HostError:
            died = True
        await world.crash()
        done = {context.key: command.arguments for command, context in crews[0]["careful"].calls}
        crews.append(crew())
        crews[1]["careful"].happened = done
        world.fail_writes()
        host = await world.open(crews[1], EVERYTHING, BELOW)
        await host.start(EVERYTHING.digest, "x", run_id=run_id)
        record = await finish(world, run_id)
        assert record.status == "completed", (dying, record)
        assert set(key_counts(crews, "careful").values()) == {1}, dying
        assert len(key_counts(crews, "careful")) == 3
        assert set(key_counts(crews, "inline").values()) <= {1, 2}
        await world.close()
        if not died:
            return
    raise AssertionError("no run passed untouched")
