"""How many runs of a workflow may be under way, and in which order the others follow."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.conformance.hosts.building import Recorder, act, child, eventually, never, soon, wait, workflow
from tests.conformance.hosts.factories import World

from segue.core import Plan
from segue.core.plan import Schedule
from segue.hosts.contracts import FailurePolicy
from segue.types import RunAdmitted, RunCancelled, RunPaused, RunResumed


def _limit(world: World, **limits: int) -> None:
    """Workflows by name, and how many of their runs may be under way."""

    def policy(plan: Plan) -> FailurePolicy:
        return FailurePolicy(concurrency=limits.get(plan.name))

    world.policy = policy


class Gate:
    """An act that ends when the test says so."""

    def __init__(self) -> None:
        self.begun: list[Any] = []
        self.ends: dict[Any, asyncio.Event] = {}
        self.most = 0

    async def act(self, arguments: Any) -> Any:
        self.begun.append(arguments)
        self.ends[arguments] = asyncio.Event()
        self.most = max(self.most, len(self.ends))
        try:
            await self.ends[arguments].wait()
        finally:
            del self.ends[arguments]
        return arguments

    async def end(self, name: Any) -> None:
        await eventually(lambda: name in self.ends, f"{name} to begin")
        self.ends[name].set()


async def _statuses(host: Any, *runs: str) -> list[str]:
    return [(await host.run(run)).status for run in runs]


async def test_runs_beyond_the_limit_wait_and_follow_in_order(world: World) -> None:
    """C47. What a limit protects must never see more, and whoever came first goes first."""
    _limit(world, one=2)
    gate, one = Gate(), workflow("one", act("a"))
    host = await world.open({"echo": Recorder(gate.act)}, one)

    ids = await host.start_many(one.digest, list(range(6)))
    await eventually(lambda: len(gate.begun) == 2)
    assert await _statuses(host, *ids) == ["running"] * 2 + ["pending"] * 4
    for number in (1, 0, 2, 3, 4, 5):
        await gate.end(number)
    outcomes = [(await soon(host.wait_closed(run))).output for run in ids]

    assert outcomes == list(range(6))
    assert (gate.begun, gate.most) == ([0, 1, 2, 3, 4, 5], 2)


async def test_other_workflows_and_hidden_limits_are_left_alone(world: World) -> None:
    """A full workflow must not hold up its neighbours."""
    _limit(world, full=1)
    full, free = workflow("full", act("a", "stuck")), workflow("free", act("a"))
    host = await world.open({"stuck": Recorder(never()), "echo": Recorder()}, full, free)
    await host.start_many(full.digest, [1, 2])

    run = await host.start(free.digest, "x")

    assert (await soon(host.wait_closed(run))).output == "x"


async def test_a_restart_keeps_the_queue_and_its_order(world: World) -> None:
    """The process may die with a long queue."""
    _limit(world, one=1)
    gate, one = Gate(), workflow("one", act("a"))
    host = await world.open({"echo": Recorder(gate.act)}, one)
    ids = await host.start_many(one.digest, list(range(4)))
    await eventually(lambda: gate.begun == [0])

    await world.crash()
    gate.begun.clear()
    host = await world.open({"echo": Recorder(gate.act)}, one)
    await eventually(lambda: gate.begun == [0])
    assert await _statuses(host, *ids) == ["running", "pending", "pending", "pending"]
    for number in range(4):
        await gate.end(number)
        await soon(host.wait_closed(ids[number]))

    assert gate.begun == [0, 1, 2, 3]
    assert gate.most == 1


@pytest.mark.parametrize("write", range(1, 9))
async def test_a_crash_at_any_write_leaks_no_place(world: World, write: int) -> None:
    """A place that nobody holds any more would narrow the workflow for ever."""
    _limit(world, one=1)
    gate, one = Gate(), workflow("one", act("a"))
    host = await world.open({"echo": Recorder(gate.act)}, one)
    world.fail_writes(*range(write, write + 50))
    work = [asyncio.ensure_future(host.start(one.digest, n, run_id=f"r{n}")) for n in range(3)]
    work += [asyncio.ensure_future(gate.end(n)) for n in range(2)]
    await asyncio.wait(work, timeout=0.3)
    await world.crash()
    for task in work:
        task.cancel()
    await asyncio.gather(*work, return_exceptions=True)
    world.fail_writes()

    gate = Gate()
    host = await world.open({"echo": Recorder(gate.act)}, one)
    for n in range(3):
        await host.start(one.digest, n, run_id=f"r{n}")
    while {*await _statuses(host, "r0", "r1", "r2")} != {"completed"}:
        assert gate.most <= 1
        for end in gate.ends.values():
            end.set()
        await asyncio.sleep(0.005)


async def test_a_queued_run_can_be_paused_and_cancelled(world: World) -> None:
    """Whoever started ten thousand by mistake must be able to take them back."""
    _limit(world, one=1)
    gate, one = Gate(), workflow("one", act("a"))
    host = await world.open({"echo": Recorder(gate.act)}, one)
    first, paused, cancelled, last = await host.start_many(one.digest, [0, 1, 2, 3])

    assert await host.control(paused, RunPaused(0))
    assert await host.control(cancelled, RunCancelled(0))
    assert await _statuses(host, paused, cancelled) == ["suspended", "cancelled"]
    await gate.end(0)
    await soon(host.wait_closed(first))
    assert (await host.run(last)).status == "pending", "a paused run keeps its turn"
    assert await host.control(paused, RunResumed(0))
    await gate.end(1)
    await gate.end(3)

    assert (await soon(host.wait_closed(last))).status == "completed"
    assert gate.begun == [0, 1, 3]


async def test_queued_runs_leave_memory_and_come_back(world: World) -> None:
    """A queue of a million must cost disk, not memory."""
    world.settings = type(world.settings)(park_after_ms=0, drain_seconds=0.0)
    _limit(world, one=1)
    gate, one = Gate(), workflow("one", act("a"))
    host = await world.open({"echo": Recorder(gate.act)}, one)
    ids = await host.start_many(one.digest, list(range(3)))
    await world.advance(60_000)
    await eventually(lambda: host.health().live_runs == 1, "parking")

    for number in range(3):
        await gate.end(number)
    assert [(await soon(host.wait_closed(run))).output for run in ids] == [0, 1, 2]
    history = await host.history(ids[2])
    assert isinstance(history[1], RunAdmitted)


async def test_a_schedule_takes_its_turn_like_any_start(world: World) -> None:
    """A run every minute that takes an hour is what limits are for."""
    _limit(world, often=1)
    gate = Recorder(never())
    often = workflow("often", act("a"), schedule=Schedule(every_ms=60_000))
    host = await world.open({"echo": gate}, often)
    await host.activate(often.digest)
    for _ in range(3):
        await world.advance(60_000)

    async def found() -> list[str]:
        return [record.status for record in (await host.runs()).items]

    while len(await found()) < 3:
        await world.advance(1_000)
    assert sorted(await found())[:3] == ["pending", "pending", "running"]
    assert len(gate.calls) == 1


async def test_a_child_of_its_own_workflow_does_not_wait_for_its_parent(world: World) -> None:
    """It would wait for ever: its parent holds the only place until the child has ended."""
    _limit(world, loop=1)
    loop = workflow("loop", child("again", "leaf"))
    loop2 = Plan("test", "loop", "2.0.0", "loop:2.0.0", workflow("loop", act("a")).root)
    leaf = workflow("leaf", child("up", "loop", version="2.0.0"))
    host = await world.open({"echo": Recorder()}, loop, leaf, loop2)

    run = await host.start(loop.digest, "x")

    assert (await soon(host.wait_closed(run))).output == "x"


async def test_workflows_that_start_each_other_never_wait_in_a_circle(world: World) -> None:
    """Each holds what the other's child would wait for."""
    _limit(world, left=1, right=1)
    right = workflow("right", wait("w", 50), child("c", "left", version="2.0.0"))
    left = workflow("left", wait("w", 50), child("c", "right", version="2.0.0"))
    leaves = [Plan("test", name, "2.0.0", f"{name}:2", workflow(name, act("a")).root) for name in ("left", "right")]
    host = await world.open({"echo": Recorder()}, left, right, *leaves)

    runs = [await host.start(plan.digest, "x") for plan in (left, right, left, right)]
    ends = [asyncio.ensure_future(soon(host.wait_closed(run))) for run in runs]
    while not all(end.done() for end in ends):
        await world.advance(50)

    assert [end.result().output for end in ends] == ["x"] * 4


async def test_a_child_waits_for_its_turn_where_no_circle_forms(world: World) -> None:
    """The limit of a workflow holds for those who start it from another one."""
    _limit(world, leaf=1)
    gate = Gate()
    top, leaf = workflow("top", child("c", "leaf")), workflow("leaf", act("a"))
    host = await world.open({"echo": Recorder(gate.act)}, top, leaf)
    runs = [await host.start(top.digest, number) for number in range(3)]
    await eventually(lambda: gate.begun == [0])

    for number in range(3):
        await gate.end(number)
    assert [(await soon(host.wait_closed(run))).output for run in runs] == [0, 1, 2]
    assert gate.most == 1


async def test_a_limit_that_is_lifted_lets_everybody_go(world: World) -> None:
    """An operator raises it in the settings and starts the server again."""
    _limit(world, one=1)
    gate, one = Gate(), workflow("one", act("a"))
    host = await world.open({"echo": Recorder(gate.act)}, one)
    await host.start_many(one.digest, [0, 1, 2, 3])
    await world.close()

    _limit(world, one=3)
    await world.open({"echo": Recorder(gate.act)}, one)
    await eventually(lambda: len(gate.ends) == 3)
    await world.close()
    _limit(world)
    await world.open({"echo": Recorder(gate.act)}, one)
    await eventually(lambda: len(gate.ends) == 4)
