"""Deadlines of exceptions: one that passes is seen, told, and passed on; kills and restarts change nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.conformance.hosts.building import Recorder, act, listen, soon, workflow
from tests.conformance.hosts.factories import World
from tests.conformance.hosts.test_held import Moody, held, inbox

from segue.hosts import FailurePolicy
from segue.types import TaskSkipped

WHILE_MS = 20_000
PAIR = workflow("pair", act("a"))
TELLS = workflow("tells", listen("late", "io.segue.exception.overdue.v1"))


@pytest.fixture
def laddered(world: World) -> World:
    """A world where failures are held, a while each, by three in turn."""
    world.policy = lambda plan: FailurePolicy(
        hold=True, owner="first", deadline_ms=WHILE_MS, ladder=("second", "third")
    )
    return world


async def only(host: Any) -> Any:
    (record,) = await inbox(host, state="open")
    return record


async def came_to(host: Any, level: int) -> Any:
    seen: list[Any] = []

    async def look() -> None:
        while not seen or seen[-1].level < level:
            seen.append(await only(host))
            await asyncio.sleep(0.002)

    await soon(look())
    return seen[-1]


async def test_an_exception_is_passed_on_up_the_ladder(laddered: World) -> None:
    """Nobody decided in time; the next one is asked, and at last nobody else is there."""
    host = await laddered.open({"echo": Recorder(Moody())}, PAIR)
    await held(host, await host.start(PAIR.digest))
    first = await only(host)
    assert (first.owner, first.overdue, first.level) == ("first", None, 0)
    await laddered.advance(WHILE_MS + 1_000)
    second = await came_to(host, 1)
    assert second.owner == "second"
    assert second.overdue is not None
    assert second.deadline == first.deadline
    await laddered.advance(WHILE_MS + 1_000)
    assert (await came_to(host, 2)).owner == "third"
    await laddered.advance(3 * WHILE_MS)
    assert (await only(host)).level == 2
    assert [r.id for r in await inbox(host, overdue=True)] == [first.id]


async def test_a_workflow_can_be_told(laddered: World) -> None:
    """Once for each step of the ladder, with who answers now."""
    host = await laddered.open({"echo": Recorder(Moody())}, PAIR, TELLS)
    waiting = await host.start(TELLS.digest)
    await held(host, await host.start(PAIR.digest, run_id="broken"))
    await laddered.advance(WHILE_MS + 1_000)
    outcome = await soon(host.wait_closed(waiting))
    (told,) = outcome.output
    assert (told["run"], told["owner"], told["previousOwner"], told["level"]) == ("broken", "second", "first", 1)


async def test_a_deadline_survives_a_crash_and_passes_while_nobody_runs(laddered: World) -> None:
    """The row is the timer."""
    host = await laddered.open({"echo": Recorder(Moody())}, PAIR)
    await held(host, await host.start(PAIR.digest))
    await laddered.crash()
    await laddered.advance(WHILE_MS + 1_000)
    host = await laddered.open({"echo": Recorder(Moody())}, PAIR)
    await laddered.advance(1_000)
    assert (await came_to(host, 1)).owner == "second"
    await laddered.crash()
    host = await laddered.open({"echo": Recorder(Moody())}, PAIR)
    await laddered.advance(1_000)
    assert (await only(host)).level == 1


async def test_what_was_decided_in_time_is_never_overdue(laddered: World) -> None:
    """Nobody is bothered about what is done."""
    host = await laddered.open({"echo": Recorder(Moody())}, PAIR, TELLS)
    waiting = await host.start(TELLS.digest)
    run_id = await host.start(PAIR.digest)
    record = await held(host, run_id)
    assert await host.control(run_id, TaskSkipped(0, record.task, 1))
    await laddered.advance(3 * WHILE_MS)
    assert not (await host.run(waiting)).is_closed
    assert not await inbox(host, overdue=True)


async def test_without_a_ladder_it_is_told_once_and_keeps_its_owner(world: World) -> None:
    """There is nobody else to ask."""
    world.policy = lambda plan: FailurePolicy(hold=True, owner="first", deadline_ms=WHILE_MS)
    host = await world.open({"echo": Recorder(Moody())}, PAIR)
    await held(host, await host.start(PAIR.digest))
    await world.advance(4 * WHILE_MS)
    record = await came_to(host, 1)
    assert (record.owner, record.level) == ("first", 1)
