"""What holds when a document tries again: an act keeps its key over all attempts, so earlier ones count."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.conformance.hosts.building import Recorder, act, eventually, program, soon, workflow
from tests.conformance.hosts.factories import World

from segue.core.plan import Node, Retry, TryNode
from segue.types import fail


def retried(name: str, *tasks: Node, count: int = 3) -> TryNode:
    """Try the tasks again, so many times, at once."""
    for task in tasks:
        task.section = "try"
    return TryNode(name=name, pointer=f"/do/{name}", tasks=tasks, retry=Retry(delay=program(1), count=count))


async def _end_of(world: World, host: Any, run_id: str) -> Any:
    """Let time pass until the run has ended; writing takes real time, on a busy machine a lot of it."""
    ended = asyncio.ensure_future(soon(host.wait_closed(run_id)))
    while not ended.done():
        await world.advance(10)
    return ended.result()


class Outside:
    """Another system: what happened there, and how often it fails to say so."""

    def __init__(self, *, lost_answers: int) -> None:
        self.lost = lost_answers
        self.happened: list[str] = []

    def act(self, arguments: Any) -> Any:
        self.happened.append("act")
        if self.lost:
            self.lost -= 1
            raise fail("communication", "the answer was lost", outcome_unknown=True)
        return "made now"


async def test_an_act_whose_answer_was_lost_is_looked_up_before_it_is_tried_again(world: World) -> None:
    """A retry after a lost answer is where duplicates come from."""
    outside = Outside(lost_answers=1)
    handler = Recorder(outside.act, recovery="verify")
    one = workflow("one", retried("again", act("a")))
    host = await world.open({"echo": handler}, one)
    run_id = await host.start(one.digest, "x", run_id="r")
    while not handler.calls:
        await world.advance(1)
    handler.happened = {handler.calls[0][1].key: "made before"}
    while not handler.verified:
        await world.advance(10)
    outcome = await soon(host.wait_closed(run_id))
    assert outcome.output == "made before"
    assert outside.happened == ["act"]


async def test_an_act_nobody_can_look_up_is_never_tried_again_blindly(world: World) -> None:
    """The document's retry policy must not overrule what nobody knows."""
    outside = Outside(lost_answers=1)
    handler = Recorder(outside.act, recovery="ask")
    one = workflow("one", retried("again", act("a")))
    host = await world.open({"echo": handler}, one)
    run_id = await host.start(one.digest, "x")
    outcome = await _end_of(world, host, run_id)
    assert outcome.failure.outcome_unknown
    assert outside.happened == ["act"]


async def test_what_an_earlier_attempt_completed_is_not_done_again(world: World) -> None:
    """The list is tried again from its start; the receipt of the first act stands."""
    first = Recorder(lambda _: "receipt", recovery="ask")
    fails = iter([True, False])

    def second(arguments: Any) -> Any:
        if next(fails):
            raise fail("communication", "try later", status=503)
        return arguments

    one = workflow("one", retried("again", act("a"), act("b", handler="second")))
    host = await world.open({"echo": first, "second": Recorder(second)}, one)
    run_id = await host.start(one.digest, "x")
    outcome = await _end_of(world, host, run_id)
    assert outcome.output == "receipt"
    assert len(first.calls) == 1


async def test_attempts_that_nobody_waits_for_take_turns(world: World) -> None:
    """`await: false` in a list that is tried again: the second attempt must not overtake the first one."""
    go, outside = asyncio.Event(), Recorder(recovery="verify")

    async def slow(arguments: Any) -> Any:
        await go.wait()
        outside.happened[outside.calls[0][1].key] = "made"
        return "made"

    outside.result = slow
    fails = iter([True, False])

    def second(arguments: Any) -> Any:
        if next(fails):
            raise fail("communication", "try later", status=503)
        return arguments

    one = workflow("one", retried("again", act("a", wait=False), act("b", handler="second")))
    host = await world.open({"echo": outside, "second": Recorder(second)}, one)
    await _end_of(world, host, await host.start(one.digest, "x"))
    await world.advance(100)
    go.set()
    await eventually(lambda: host.health().acts == 0)
    assert len(outside.calls) == 1
