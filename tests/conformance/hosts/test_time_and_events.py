"""Timers, events, children, schedules: what a run waits for."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from tests.conformance.hosts.building import (
    Recorder,
    act,
    child,
    emit,
    event,
    eventually,
    fork,
    guarded,
    listen,
    listens_to,
    never,
    soon,
    wait,
    workflow,
)
from tests.conformance.hosts.factories import World

from segue.core.plan import Schedule
from segue.hosts import HostError, HostSettings
from segue.hosts.contracts import OpenDoor
from segue.store import Store, records
from segue.store.erasure import About, erase
from segue.types import AttemptSucceeded, RunCancelled, RunPaused, RunResumed, fail

MINUTE = 60_000
DAY = 24 * 60 * MINUTE
PARKS = HostSettings(drain_seconds=0.0)

NAP = workflow("nap", wait("sleep", 10 * MINUTE), act("after"))


async def until_parked(world: World, *run_ids: str) -> None:
    """Let enough time pass that idle runs leave memory."""
    for _ in range(50):
        await world.advance(500)
        await asyncio.sleep(0.01)
        records = [await world.host.run(run_id) for run_id in run_ids]
        if all(r.residence == "parked" for r in records) and not world.host.health().live_runs:
            return
    raise AssertionError("the runs were not parked")


# -- timers ----------------------------------------------------------------------------------------


async def test_a_timer_fires_when_it_is_due_and_not_sooner(world: World) -> None:
    """The law of `wait`."""
    echo = Recorder()
    host = await world.open({"echo": echo}, NAP)
    run_id = await host.start(NAP.digest)
    await eventually(lambda: host.health().live_runs == 1)
    await world.advance(10 * MINUTE - 1000)
    assert (await host.run(run_id)).status == "waiting"
    assert not echo.calls
    await world.advance(1001)
    assert (await soon(host.wait_closed(run_id))).status == "completed"


@pytest.mark.parametrize("how", ["crash", "close"])
@pytest.mark.parametrize("parked", [False, True])
async def test_timers_survive_a_restart(world: World, how: str, parked: bool) -> None:
    """Also when they came due while nobody was there."""
    world.settings = PARKS
    host = await world.open({"echo": Recorder()}, NAP)
    run_id = await host.start(NAP.digest)
    if parked:
        await until_parked(world, run_id)
    await getattr(world, how)()
    await world.advance(DAY)
    host = await world.open({"echo": Recorder()}, NAP)
    assert (await soon(host.wait_closed(run_id))).status == "completed"


async def test_a_clock_that_jumps_forward_or_back_breaks_no_timer(world: World) -> None:
    """Time servers and people set clocks."""
    host = await world.open({"echo": Recorder()}, NAP)
    run_id = await host.start(NAP.digest)
    world.jump(-5 * MINUTE)
    await world.advance(14 * MINUTE)
    assert (await host.run(run_id)).status == "waiting", "it is due by the wall clock"
    await world.advance(2 * MINUTE)
    assert (await soon(host.wait_closed(run_id))).status == "completed"
    run_id = await host.start(NAP.digest)
    world.jump(11 * MINUTE)
    await world.advance(MINUTE)
    assert (await soon(host.wait_closed(run_id))).status == "completed"
    times = [e.at for e in await host.history(run_id)]
    assert times == sorted(times)


async def test_a_cancelled_timer_does_nothing(world: World) -> None:
    """The loser of a competition may be a timer."""
    plan = workflow("race", fork("any", wait("slow", MINUTE), act("fast"), compete=True), wait("then", 2 * MINUTE))
    host = await world.open({"echo": Recorder(lambda _: 1)}, plan)
    run_id = await host.start(plan.digest)
    await world.advance(90_000)
    assert not (await host.run(run_id)).is_closed
    await world.advance(MINUTE)
    assert (await soon(host.wait_closed(run_id))).status == "completed"
    assert [type(e).__name__ for e in await host.history(run_id)].count("TimerFired") == 1


# -- parking ---------------------------------------------------------------------------------------


async def test_a_run_that_only_waits_leaves_memory_and_comes_back_by_its_timer(world: World) -> None:
    """A million waiting runs must not cost a million states."""
    world.settings = PARKS
    host = await world.open({"echo": Recorder(lambda data: data)}, NAP)
    ids = [await host.start(NAP.digest, n) for n in range(20)]
    await until_parked(world, *ids)
    await world.advance(11 * MINUTE)
    outcomes = await soon(asyncio.gather(*(host.wait_closed(i) for i in ids)))
    assert [o.output for o in outcomes] == list(range(20))


async def test_a_parked_run_comes_back_for_an_event_and_for_a_control(world: World) -> None:
    """Whatever can happen to a run in memory can happen to one on disk."""
    world.settings = PARKS
    plan = workflow("listener", listen("hear", "paid"), act("then"))
    host = await world.open({"echo": Recorder()}, plan)
    first, second = await host.start(plan.digest), await host.start(plan.digest)
    await until_parked(world, first, second)
    assert await host.control(second, RunCancelled(at=0))
    await host.publish(event("paid"))
    assert (await soon(host.wait_closed(first))).output == [{"n": 1}]
    assert (await host.run(second)).status == "cancelled"


async def test_a_parked_run_that_refuses_an_event_stays_as_it_is(world: World) -> None:
    """Waking is reading: it writes nothing, and the run can be parked and woken again."""
    world.settings = PARKS
    plan = workflow("both", listen("hear", "a", "b", mode="all"), act("then"))
    host = await world.open({"echo": Recorder()}, plan)
    run_id = await host.start(plan.digest)
    await until_parked(world, run_id)
    await host.publish(event("a", 1))
    await eventually(lambda: host.health().live_runs == 1)
    await until_parked(world, run_id)
    await host.publish(event("a", 2))
    await until_parked(world, run_id)
    assert len(await host.history(run_id)) == 2
    await host.publish(event("b", 3))
    assert (await soon(host.wait_closed(run_id))).output == [{"n": 1}, {"n": 3}]


async def test_a_paused_run_can_be_parked_and_resumed(world: World) -> None:
    """A pause may last for weeks."""
    world.settings = PARKS
    go = asyncio.Event()

    async def slow(arguments: Any) -> Any:
        await go.wait()
        return arguments

    plan = workflow("pausing", act("a"), act("b"))
    host = await world.open({"echo": Recorder(slow)}, plan)
    run_id = await host.start(plan.digest)
    await host.control(run_id, RunPaused(at=0))
    go.set()
    await until_parked(world, run_id)
    await host.control(run_id, RunResumed(at=0))
    assert (await soon(host.wait_closed(run_id))).status == "completed"


# -- events ----------------------------------------------------------------------------------------


async def test_an_event_is_taken_once_per_source_and_id(world: World) -> None:
    """Senders repeat themselves."""
    plan = workflow("two", listen("first", "paid"), listen("second", "paid"))
    host = await world.open({}, plan)
    run_id = await host.start(plan.digest)
    assert await host.publish(event("paid", 1))
    assert not await host.publish(event("paid", 1))
    assert await host.publish(event("paid", 1, source="/elsewhere"))
    assert (await soon(host.wait_closed(run_id))).output == [{"n": 1}]
    assert await host.publish_many([event("x", 5), event("x", 5), event("x", 6)]) == [True, False, True]


async def test_an_event_that_two_send_at_once_counts_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one of them read of the store may be older than what the other has written since."""
    plan = scheduled(Schedule(on=listens_to("order")))
    host = await world.open({"echo": Recorder()}, plan)
    await host.activate(plan.digest)
    read, slow, calls = host.store.read, asyncio.Event(), 0

    async def reads_late(query: Any) -> Any:
        nonlocal calls
        calls += 1
        found, is_second = await read(query), calls == 2
        if is_second:
            await slow.wait()
        return found

    monkeypatch.setattr(host.store, "read", reads_late)
    first, second = (asyncio.ensure_future(host.publish(event("order"))) for _ in range(2))
    assert await soon(first)
    slow.set()
    assert not await soon(second)
    await closed_runs(host, 1)
    assert len((await host.runs()).items) == 1


async def test_events_that_came_before_the_wait_opened_are_offered_oldest_first(world: World) -> None:
    """Ruling R22: the answer may be faster than the question; but what came before the run is not its own."""
    go = asyncio.Event()

    async def slow(arguments: Any) -> Any:
        await go.wait()
        return arguments

    plan = workflow("late", act("a"), listen("hear", "paid"), listen("more", "paid"))
    host = await world.open({"echo": Recorder(slow)}, plan)
    await host.publish(event("paid", 1))
    await world.advance(10)
    run_id = await host.start(plan.digest)
    for number in (2, 3):
        await host.publish(event("paid", number))
    go.set()
    await soon(host.wait_closed(run_id))
    taken = [e.event["id"] for e in await host.history(run_id) if hasattr(e, "event")]
    assert taken == ["2", "3"]


async def test_early_events_are_offered_only_within_their_time(world: World) -> None:
    """Otherwise an event store of years would be searched, and surprise."""
    world.settings = HostSettings(early_events_ms=MINUTE, park_after_ms=DAY)
    plan = workflow("late", wait("w", 5 * MINUTE), listen("hear", "paid"))
    host = await world.open({}, plan)
    run_id = await host.start(plan.digest)
    await host.publish(event("paid", 1))
    await world.advance(6 * MINUTE)
    await host.publish(event("paid", 2))
    assert (await soon(host.wait_closed(run_id))).output == [{"n": 2}]


async def test_an_early_event_reaches_a_wait_that_a_slow_disk_holds_up(world: World) -> None:
    """A wait looks for what came before it once it is on disk; the run must not have been parked by then."""
    world.settings = PARKS
    plan = workflow("late", wait("w", 3_000), listen("hear", "paid"))
    host = await world.open({}, plan)
    run_id = await host.start(plan.digest)
    await host.publish(event("paid", 1))
    world.fail_writes(1, 2)
    await world.advance(20_000)
    assert (await soon(host.wait_closed(run_id))).output == [{"n": 1}]


async def test_an_early_event_reaches_a_wait_although_the_file_could_not_be_read_at_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a failed read would have found is looked for again."""
    go, failed = asyncio.Event(), asyncio.Event()

    async def slow(arguments: Any) -> Any:
        await go.wait()
        return arguments

    async def fails(query: Any) -> Any:
        failed.set()
        raise HostError("the file cannot be read")

    plan = workflow("late", act("a"), listen("hear", "paid"))
    host = await world.open({"echo": Recorder(slow)}, plan)
    run_id = await host.start(plan.digest)
    await host.publish(event("paid", 1))
    with monkeypatch.context() as disk:
        disk.setattr(host.store, "read", fails)
        go.set()
        await soon(failed.wait())
    closed = asyncio.ensure_future(host.wait_closed(run_id))

    async def pass_time() -> None:
        while not closed.done():
            await world.advance(100)

    await soon(pass_time())
    assert (await closed).output == [{"n": 1}]


def unreadable(host: Any, disk: pytest.MonkeyPatch) -> None:
    """From now on the file cannot be read."""

    async def fails(query: Any) -> Any:
        raise HostError("the file cannot be read")

    disk.setattr(host.store, "read", fails)


async def test_timers_of_runs_in_memory_fire_although_the_file_cannot_be_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only those of runs that are nowhere else have to wait for it."""
    echo = Recorder()
    host = await world.open({"echo": echo}, NAP)
    await host.start(NAP.digest)
    await eventually(lambda: host.health().live_runs == 1)
    with monkeypatch.context() as disk:
        unreadable(host, disk)
        await world.advance(11 * MINUTE)
        await eventually(lambda: len(echo.calls) == 1)


async def test_a_clock_that_is_set_back_holds_up_no_run_that_could_not_be_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again by the time that passes, not by what the clock says."""
    world.settings = PARKS
    echo = Recorder()
    host = await world.open({"echo": echo}, NAP)
    run_id = await host.start(NAP.digest)
    await until_parked(world, run_id)
    with monkeypatch.context() as disk:
        unreadable(host, disk)
        await world.advance(15 * MINUTE)
    world.jump(-60 * MINUTE)
    # To where the clock says that the timer is due, and that it will be a while until the last try.
    await world.advance(46 * MINUTE)
    await world.advance(10 * MINUTE)
    await eventually(lambda: len(echo.calls) == 1)


async def test_a_parked_parent_gets_its_answer_although_the_file_could_not_be_read_at_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever fetches it goes on trying, and leaves no error that nobody catches."""
    world.settings = PARKS
    go = asyncio.Event()

    async def slow(arguments: Any) -> Any:
        await go.wait()
        return arguments

    uncaught: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: uncaught.append(context))
    parent, below = workflow("parent", child("c", "slow")), workflow("slow", act("a"))
    host = await world.open({"echo": Recorder(slow)}, parent, below)
    run_id = await host.start(parent.digest, "x")
    await eventually(lambda: host.health().live_runs == 2)
    for _ in range(50):
        await world.advance(500)
        await asyncio.sleep(0.01)
        if host.health().live_runs == 1:
            break
    with monkeypatch.context() as disk:
        unreadable(host, disk)
        go.set()
        await eventually(lambda: host.health().live_runs == 0)
        await world.advance(5_000)
    closed = asyncio.ensure_future(host.wait_closed(run_id))
    while not closed.done():
        await world.advance(500)
        await asyncio.sleep(0.001)
    assert (await closed).output == "x"
    gc.collect()
    assert uncaught == []


@pytest.mark.parametrize("how", ["crash", "close"])
async def test_waits_survive_a_restart(world: World, how: str) -> None:
    """With what they have taken already."""
    plan = workflow("both", listen("hear", "a", "b", mode="all"))
    host = await world.open({}, plan)
    run_id = await host.start(plan.digest)
    await host.publish(event("a", 1))
    for _ in range(1000):
        if len(await host.history(run_id)) == 2:
            break
        await asyncio.sleep(0.002)
    await getattr(world, how)()
    host = await world.open({}, plan)
    await host.publish(event("a", 2))
    await host.publish(event("b", 3))
    assert (await soon(host.wait_closed(run_id))).output == [{"n": 1}, {"n": 3}]


@pytest.mark.parametrize("said", ["news", "paid"])
async def test_an_event_on_disk_is_offered_to_a_parked_run_whatever_dies_in_between(
    world: World, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    """And before those that came after it, even where the next start delivers one of them at once."""
    world.settings = PARKS
    hears = workflow("hears", listen("l", "paid"))
    says = workflow("says", act("a"), emit("e", said), act("b", arguments="b"))
    hangs = Recorder(never())
    host = await world.open({"echo": hangs}, hears, says)
    listener = await host.start(hears.digest)
    await until_parked(world, listener)
    await host.start(says.digest)
    await eventually(lambda: hangs.calls)
    asked, _ = hold_up_delivery(host, monkeypatch)
    await host.publish(event("paid", 1))
    await soon(asked.wait())
    await world.crash()

    delivered = asyncio.Event()
    echo = Recorder(lambda arguments: delivered.set() if arguments == "b" else arguments)
    read = Store.read

    async def late(store: Store, query: Any) -> Any:
        if echo.calls:
            await delivered.wait()
        return await read(store, query)

    monkeypatch.setattr(Store, "read", late)
    host = await soon(world.open({"echo": echo}, hears, says))
    assert (await soon(host.wait_closed(listener))).output == [{"n": 1}]


async def test_an_event_is_offered_to_a_run_that_something_else_wakes_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a run is neither in memory when the event arrives, nor parked when the parked ones are looked up."""
    world.settings = PARKS
    plan = workflow("hears", listen("l", "paid"))
    host = await world.open({}, plan)
    run_id = await host.start(plan.digest)
    await until_parked(world, run_id)
    asked, go_on = hold_up_delivery(host, monkeypatch)
    await host.publish(event("paid", 1))
    await soon(asked.wait())
    assert await host.control(run_id, RunPaused(at=0))
    assert await host.control(run_id, RunResumed(at=0))
    go_on.set()
    assert (await soon(host.wait_closed(run_id))).output == [{"n": 1}]


async def test_an_event_after_an_erased_one_is_offered_whatever_dies_in_between(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of an event that is gone has been passed by, so it must not become that of another."""
    world.settings = PARKS
    plan = workflow("hears", listen("l", "paid"))
    host = await world.open({}, plan)
    await host.publish(event("paid", 1))
    await host.store.write([("DELETE FROM event", ())])
    await world.close()
    host = await world.open({}, plan)
    run_id = await host.start(plan.digest)
    await until_parked(world, run_id)
    asked, _ = hold_up_delivery(host, monkeypatch)
    await host.publish(event("paid", 2))
    await soon(asked.wait())
    await world.crash()
    host = await world.open({}, plan)
    assert (await soon(host.wait_closed(run_id))).output == [{"n": 2}]


async def test_a_schedule_hears_the_event_after_an_erased_one_whatever_dies_in_between(world: World) -> None:
    """What it has taken it counts by numbers, so no number may be given twice."""
    plan = scheduled(Schedule(on=listens_to("order")))
    host = await world.open({"echo": Recorder()}, plan)
    await host.activate(plan.digest)
    await host.publish(event("order", 1))
    await closed_runs(host, 1)
    await host.store.write(erase(About([], [1])))
    await world.crash()
    host = await world.open({"echo": Recorder()}, plan)
    await host.publish(event("order", 2))
    assert [r.output for r in await closed_runs(host, 2)] == [[{"n": 1}], [{"n": 2}]]


def hold_up_delivery(host: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[asyncio.Event, asyncio.Event]:
    """Parked runs that wait for an event are looked up late: when it was asked for, and when it may happen."""
    asked, may_happen = asyncio.Event(), asyncio.Event()
    read = host.store.read

    async def late(query: Any) -> Any:
        if getattr(query, "func", None) is records.runs_awaiting:
            asked.set()
            await may_happen.wait()
        return await read(query)

    monkeypatch.setattr(host.store, "read", late)
    return asked, may_happen


async def test_what_one_run_emits_another_hears(world: World) -> None:
    """Events join runs that do not know each other."""
    hears, says = workflow("hears", listen("l", "news")), workflow("says", emit("e", "news"))
    host = await world.open({}, hears, says)
    listener = await host.start(hears.digest)
    await host.start(says.digest, {"what": "x"})
    assert (await soon(host.wait_closed(listener))).output == [{"what": "x"}]


async def test_an_event_without_identity_is_refused(world: World) -> None:
    """Without source and id nobody could tell a repetition."""
    host = await world.open({})
    for missing in ("id", "source", "type"):
        with pytest.raises(ValueError, match=missing):
            await host.publish({k: v for k, v in event("x").items() if k != missing})


# -- children --------------------------------------------------------------------------------------

CHILD = workflow("child", act("work"))


async def test_a_child_answers_with_its_output_and_a_stable_id(world: World) -> None:
    """The id follows from the parent's, so a replay finds the same child."""
    parent = workflow("parent", child("c", "child"), act("after"))
    host = await world.open({"echo": Recorder(lambda data: [data])}, parent, CHILD)
    run_id = await host.start(parent.digest, 5)
    assert (await soon(host.wait_closed(run_id))).output == [[5]]
    page = await host.runs()
    below = next(r for r in page.items if r.name == "child")
    assert below.id.startswith(run_id + "~")
    assert below.cause["run"] == run_id


async def test_the_failure_of_a_child_is_raised_in_its_parent(world: World) -> None:
    """With the pointer of the parent's task: the child's means nothing there."""

    def refuse(arguments: Any) -> Any:
        raise fail("validation", "no good")

    parent = workflow("parent", child("c", "child"))
    host = await world.open({"echo": Recorder(refuse)}, parent, CHILD)
    outcome = await soon(host.wait_closed(await host.start(parent.digest)))
    assert outcome.failure.type.endswith("validation")
    assert outcome.failure.instance == "/do/c"


async def test_a_child_that_is_not_published_is_a_configuration_failure(world: World) -> None:
    """It can be caught like any other."""
    parent = workflow("parent", guarded("t", child("c", "missing")))
    host = await world.open({}, parent)
    assert (await soon(host.wait_closed(await host.start(parent.digest, "in")))).output == "in"


async def test_cancelling_a_parent_cancels_everything_below(world: World) -> None:
    """Children's children too, in memory or parked."""
    world.settings = PARKS
    top = workflow("top", child("c", "middle"))
    middle = workflow("middle", child("c", "bottom"))
    bottom = workflow("bottom", wait("w", DAY))
    host = await world.open({}, top, middle, bottom)
    for parks in (False, True):
        run_id = await host.start(top.digest)
        await eventually(lambda: host.health().live_runs == 3)
        if parks:
            records = [r.id for r in (await host.runs(limit=3)).items]
            await until_parked(world, *records)
        await host.control(run_id, RunCancelled(at=0))
        newest = await closed_runs(host, 6 if parks else 3)
        assert {r.status for r in newest} == {"cancelled"}


@pytest.mark.parametrize("parked", [False, True])
@pytest.mark.parametrize("how", [None, "crash", "close"])
async def test_a_parent_gets_its_answer_whatever_happens_in_between(
    world: World, how: str | None, parked: bool
) -> None:
    """The end of a child and the answer to its parent are one fact."""
    world.settings = PARKS
    parent = workflow("parent", child("c", "slow"), act("after"))
    slow = workflow("slow", wait("w", 10 * MINUTE))
    host = await world.open({"echo": Recorder()}, parent, slow)
    run_id = await host.start(parent.digest, "x")
    await eventually(lambda: host.health().live_runs == 2)
    if parked:
        await until_parked(world, run_id)
    if how is not None:
        await getattr(world, how)()
        host = await world.open({"echo": Recorder()}, parent, slow)
    await world.advance(11 * MINUTE)
    assert (await soon(host.wait_closed(run_id))).output == "x"


async def test_a_workflow_that_starts_itself_comes_to_an_end(world: World) -> None:
    """Recursion without end must not fill the disk."""
    world.settings = HostSettings(child_depth_max=5)
    plan = workflow("self", child("c", "self"))
    host = await world.open({}, plan)
    outcome = await soon(host.wait_closed(await host.start(plan.digest)))
    assert outcome.status == "faulted"
    assert "nested" in outcome.failure.detail
    assert len((await host.runs()).items) == 6


async def test_what_nobody_waits_for_goes_on_after_the_run_has_ended(world: World) -> None:
    """`await: false`: the run's end is no reason to stop it, and a crash is none either."""
    go = asyncio.Event()

    async def slow(arguments: Any) -> Any:
        await go.wait()
        return arguments

    loose = act("loose", "slow", wait=False)
    plan = workflow("loose", loose, child("c", "child", wait=False))
    echo, hang = Recorder(), Recorder(never())
    host = await world.open({"echo": echo, "slow": hang}, plan, CHILD)
    run_id = await host.start(plan.digest)
    assert (await soon(host.wait_closed(run_id))).status == "completed"
    await eventually(lambda: echo.calls and hang.calls)
    await world.crash()
    again = Recorder(slow)
    host = await world.open({"echo": echo, "slow": again}, plan, CHILD)
    await eventually(lambda: again.calls)
    assert again.calls[0][1].recovering
    go.set()
    await eventually(lambda: host.health().live_runs == 0)
    assert (await host.run(run_id)).residence == "closed"


async def test_an_answer_that_comes_together_with_the_winner_is_no_event(world: World) -> None:
    """Nobody waits for it any more: history holds what happened to the run, and its reader trusts it."""
    quick = workflow("quick", emit("tell", "told"))
    plan = workflow("race", fork("any", child("a", "quick"), child("b", "quick"), compete=True), act("then"))
    host = await world.open({"echo": Recorder()}, quick, plan)
    run_id = await host.start(plan.digest)
    assert (await soon(host.wait_closed(run_id))).status == "completed"
    answers = [e for e in await host.history(run_id) if isinstance(e, AttemptSucceeded)]
    assert len(answers) == 2, "one of the winner, one of the act behind it"


# -- schedules -------------------------------------------------------------------------------------


def scheduled(schedule: Schedule, version: str = "1.0.0") -> Any:
    return workflow("job", act("work"), schedule=schedule, version=version)


async def closed_runs(host: Any, number: int, *, only: bool = True) -> list[Any]:
    """The runs that have ended (or all, unless `only`), oldest first, once there are so many."""
    for _ in range(1000):
        found = [r for r in (await host.runs()).items if r.is_closed or not only]
        if len(found) >= number:
            break
        await asyncio.sleep(0.002)
    return found[::-1]


@pytest.mark.parametrize("schedule", [Schedule(every_ms=10 * MINUTE), Schedule(cron="*/10 * * * *")])
async def test_a_schedule_starts_a_run_each_time_it_is_due(world: World, schedule: Schedule) -> None:
    """Each due time starts one run, and says so in its cause."""
    plan = scheduled(schedule)
    host = await world.open({"echo": Recorder()}, plan)
    await host.activate(plan.digest)
    await host.activate(plan.digest)
    for number in range(3):
        await world.advance(10 * MINUTE)
        found = await closed_runs(host, number + 1)
    assert [r.cause["kind"] for r in found] == ["schedule"] * 3
    dues = [r.cause["due"] for r in found]
    assert dues[1] - dues[0] == dues[2] - dues[1] == 10 * MINUTE


@pytest.mark.parametrize("schedule", [Schedule(every_ms=10 * MINUTE), Schedule(cron="*/10 * * * *")])
async def test_missed_times_are_caught_up_with_one_run(world: World, schedule: Schedule) -> None:
    """After a weekend off, nobody wants three hundred runs at once."""
    plan = scheduled(schedule)
    host = await world.open({"echo": Recorder()}, plan)
    await host.activate(plan.digest)
    await world.crash()
    await world.advance(DAY)
    host = await world.open({"echo": Recorder()}, plan)
    assert len(await closed_runs(host, 1)) == 1
    await world.advance(10 * MINUTE)
    assert len(await closed_runs(host, 2)) == 2


class Stopped(OpenDoor):
    """Somebody threw a switch on these workflows."""

    def __init__(self, *workflows: str) -> None:
        self.workflows = set(workflows)

    def may_start(self, workflow: str) -> bool:
        return workflow not in self.workflows


@pytest.mark.parametrize(
    "schedule", [Schedule(every_ms=10 * MINUTE), Schedule(cron="*/10 * * * *"), Schedule(after_ms=10 * MINUTE)]
)
@pytest.mark.parametrize("restart", [False, True])
async def test_a_stopped_workflow_starts_nothing_and_then_catches_up_with_one_run(
    world: World, schedule: Schedule, restart: bool
) -> None:
    """Runs whose acts are all refused help nobody; nor does a burst of them on release."""
    plan = scheduled(schedule)
    door = world.door = Stopped(f"{plan.namespace}/{plan.name}")
    host = await world.open({"echo": Recorder()}, plan)
    await host.activate(plan.digest)
    await world.advance(35 * MINUTE)
    assert (await host.runs()).items == []
    if restart:
        await world.crash()
        host = await world.open({"echo": Recorder()}, plan)
        await world.advance(MINUTE)
        assert (await host.runs()).items == []

    door.workflows.clear()
    await world.advance(5_000)

    assert len(await closed_runs(host, 1)) == 1
    await world.advance(10 * MINUTE)
    assert len(await closed_runs(host, 2)) == 2


async def test_a_clock_that_is_set_back_does_not_hold_up_a_workflow_that_is_let_go_on(world: World) -> None:
    """It is asked for again after a while that has passed, not at a time of day."""
    plan = scheduled(Schedule(every_ms=10 * MINUTE))
    door = world.door = Stopped(f"{plan.namespace}/{plan.name}")
    host = await world.open({"echo": Recorder()}, plan)
    await host.activate(plan.digest)
    await world.advance(11 * MINUTE)
    world.jump(-60 * MINUTE)
    door.workflows.clear()
    await world.advance(MINUTE)
    assert len(await closed_runs(host, 1)) == 1


async def test_after_starts_again_when_the_last_run_has_ended(world: World) -> None:
    """However long it took, and across a restart."""
    plan = workflow("job", wait("w", 5 * MINUTE), schedule=Schedule(after_ms=10 * MINUTE))
    host = await world.open({}, plan)
    await host.activate(plan.digest)
    for restart in (False, True, False):
        await world.advance(1)
        await eventually(lambda: world.host.health().live_runs == 1)
        await world.advance(5 * MINUTE)
        await eventually(lambda: world.host.health().live_runs == 0)
        if restart:
            await world.close()
            host = await world.open({}, plan)
        await world.advance(10 * MINUTE)
    assert len(await closed_runs(host, 3)) == 3
    assert len(await closed_runs(host, 4, only=False)) == 4


async def test_each_event_starts_one_run_whatever_happens_in_between(world: World) -> None:
    """Exactly once for each source and id, also across crashes."""
    plan = scheduled(Schedule(on=listens_to("order")))
    echo = Recorder()
    host = await world.open({"echo": echo}, plan)
    await host.publish(event("order", 0))
    await host.activate(plan.digest)
    for number in range(1, 7):
        await host.publish(event("order", number))
        if number % 2 == 0:
            await world.crash()
            host = await world.open({"echo": echo}, plan)
        await host.publish(event("order", number))
    found = await closed_runs(host, 6)
    assert [r.output for r in found] == [[{"n": n}] for n in range(1, 7)]
    assert found[-1].cause == {"kind": "event", "events": ["/tests#6"]}
    assert await host.store.count_runs() == {"completed": 6}


async def test_events_of_a_schedule_that_needs_several_are_each_used_once(world: World) -> None:
    """Two payments and then two orders make two pairs; none is dropped and none used twice."""
    plan = scheduled(Schedule(on=listens_to("order", "paid", mode="all")))
    host = await world.open({"echo": Recorder()}, plan)
    await host.activate(plan.digest)
    await host.publish_many([event("paid", 1), event("paid", 2)])
    await host.publish_many([event("order", 3), event("order", 4)])
    found = await closed_runs(host, 2)
    used = sorted(sorted(item["n"] for item in r.output) for r in found)
    assert used == [[1, 3], [2, 4]]


async def test_another_version_takes_the_place_of_a_schedule(world: World) -> None:
    """Two versions of one job must not both run."""
    old, new = scheduled(Schedule(every_ms=MINUTE)), scheduled(Schedule(on=listens_to("go")), "2.0.0")
    host = await world.open({"echo": Recorder()}, old, new)
    await host.activate(old.digest)
    await host.activate(new.digest)
    await world.advance(5 * MINUTE)
    assert (await host.runs()).items == []
    await host.publish(event("go"))
    assert [r.version for r in await closed_runs(host, 1)] == ["2.0.0"]
    assert await host.deactivate("test", "job")
    assert not await host.deactivate("test", "job")
    await host.publish(event("go", 2))
    await asyncio.sleep(0.05)
    assert len((await host.runs()).items) == 1


async def test_a_definition_without_a_schedule_cannot_be_activated(world: World) -> None:
    """It would never start, and nobody would know why."""
    host = await world.open({}, CHILD)
    with pytest.raises(ValueError, match="no schedule"):
        await host.activate(CHILD.digest)
