"""What a task meets on the line to a system that fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest

from segue.connectors import Breaker, Limits, TargetDown, new_connection
from segue.connectors.line import WAITING_MAX, Line, Lines
from segue.connectors.outbound import Answer
from segue.types import TaskFailure, failure


def _answer(status: int) -> Answer:
    return Answer(status, {}, b"", "GET", "https://crm.example/")


class _World:
    """A line whose time passes when it is told to."""

    def __init__(self, *, wait_within_ms: int = 5000, **breaker: int) -> None:
        self.now_s = 1000.0
        self.timers: list[tuple[float, Callable[[], None]]] = []
        settings = Breaker(**({"requests_min": 2, "probes": 1} | breaker))  # type: ignore[arg-type]
        self.line = Line(
            "'crm'",
            Limits(concurrency=4),
            settings,
            wait_within_ms,
            now_s=lambda: self.now_s,
            later=lambda delay_s, act: self.timers.append((self.now_s + delay_s, act)),
        )

    @property
    def state(self) -> str:
        return self.line.report().state

    async def call(self, status: int = 200) -> int:
        async with self.line.turn() as tell:
            await asyncio.sleep(0)
            tell(_answer(status))
        return status

    async def go_down(self) -> None:
        await asyncio.gather(self.call(503), self.call(503))

    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds
        due = [act for at, act in self.timers if at <= self.now_s]
        self.timers = [(at, act) for at, act in self.timers if at > self.now_s]
        for act in due:
            act()


async def _settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def _failure(task: asyncio.Task[int]) -> tuple[int, int]:
    with pytest.raises(TaskFailure) as raised:
        await task
    reason = raised.value.failure
    assert reason.retry_after_ms is not None
    return reason.status, reason.retry_after_ms


async def test_while_it_is_open_nothing_is_sent_and_tasks_learn_when_to_come_back() -> None:
    """A durable retry sleeps for the wait; between the pause and twice the pause, so that not all come at once."""
    world = _World(open_ms=60_000, open_ms_max=60_000)
    await world.go_down()
    found = [await _failure(asyncio.create_task(world.call())) for _ in range(20)]

    assert {status for status, _ in found} == {503}
    assert all(60_000 <= wait_ms <= 120_000 for _, wait_ms in found)
    assert len({wait_ms for _, wait_ms in found}) > 5


async def test_a_short_pause_is_waited_for_inside_the_task() -> None:
    """A blip costs no attempt of a retry policy."""
    world = _World(open_ms=1000)
    await world.go_down()
    task = asyncio.create_task(world.call())
    await _settle()
    assert not task.done()

    world.pass_time(1)

    assert await task == 200
    assert world.state == "closed"


async def test_those_who_wait_in_the_task_are_few() -> None:
    """Each holds one of the acts that may be under way in the process: the rest belongs to other systems."""
    world = _World(open_ms=1000)
    await world.go_down()
    tasks = [asyncio.create_task(world.call()) for _ in range(WAITING_MAX + 5)]
    await _settle()

    assert sum(task.done() for task in tasks) == 5
    world.pass_time(1)
    assert (await asyncio.gather(*tasks, return_exceptions=True)).count(200) == WAITING_MAX


async def test_a_failed_probe_sends_everybody_away() -> None:
    """One pause is waited for inside a task, not two."""
    world = _World(open_ms=1000)
    await world.go_down()
    probe, *others = [asyncio.create_task(world.call(status)) for status in (500, 200, 200)]
    await _settle()
    world.pass_time(1)

    assert await probe == 500
    for task in others:
        assert (await _failure(task))[0] == 503
    assert world.state == "open"


async def test_those_in_the_queue_are_not_kept_by_a_system_that_hangs() -> None:
    """When it opens, everybody behind the requests that timed out learns it at once."""
    world = _World(open_ms=60_000, open_ms_max=60_000)
    hang = asyncio.Event()

    async def hanging() -> None:
        async with world.line.turn():
            await hang.wait()
            raise TargetDown(failure("communication", "no answer"), "no complete answer within 30000 ms")

    holders = [asyncio.create_task(hanging()) for _ in range(4)]
    await _settle()
    queue = [asyncio.create_task(world.call()) for _ in range(100)]
    await _settle()
    hang.set()

    found = await asyncio.gather(*holders, *queue, return_exceptions=True)
    assert all(isinstance(error, TaskFailure) for error in found)
    assert (world.line.report().under_way, world.line.report().waiting) == (0, 0)


async def test_the_load_comes_back_step_by_step() -> None:
    """Work that queued up drains, and the system that just came back is not met by all of it at once."""
    world = _World(open_ms=1000)
    await world.go_down()
    most: list[int] = []
    under_way = 0

    async def one() -> None:
        nonlocal under_way
        async with world.line.turn() as tell:
            under_way += 1
            most.append(under_way)
            await asyncio.sleep(0)
            under_way -= 1
            tell(_answer(200))

    tasks = [asyncio.create_task(one()) for _ in range(30)]
    await _settle()
    world.pass_time(1)
    await asyncio.gather(*tasks)

    assert most[:2] == [1, 1]
    assert max(most) == 4


async def test_a_cancelled_probe_lets_the_next_one_try() -> None:
    """A run that is cancelled must not leave a circuit half-open for ever."""
    world = _World(open_ms=1000)
    await world.go_down()
    started = asyncio.Event()

    async def stuck() -> None:
        async with world.line.turn():
            started.set()
            await asyncio.Event().wait()

    probe, task = asyncio.create_task(stuck()), asyncio.create_task(world.call())
    await _settle()
    world.pass_time(1)
    await started.wait()
    probe.cancel()

    assert await task == 200


async def test_what_happens_to_a_circuit_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """An operator reads the story of an outage in the log; its reason never holds an address or an answer."""
    caplog.set_level(logging.INFO, "segue.connectors")
    world = _World(open_ms=1000)
    await world.go_down()
    world.pass_time(1)
    await world.call()

    assert [record.getMessage() for record in caplog.records] == [
        "circuit of 'crm' opened for 1000 ms: status 503",
        "circuit of 'crm' half-open: it is tried again",
        "circuit of 'crm' closed: it answers again",
    ]


def test_changed_settings_take_effect() -> None:
    """An administrator who lowers a limit must not have to restart the service."""
    document = {"openapi": "3.1.0", "paths": {}}
    lines = Lines()
    first = lines.of(new_connection("crm", document, limits={"concurrency": 1}))

    assert lines.of(new_connection("crm", document, limits={"concurrency": 1})) is first
    assert lines.of(new_connection("crm", document, limits={"concurrency": 2})) is not first
    assert lines.of(new_connection("crm", document, breaker=None)) is not first
