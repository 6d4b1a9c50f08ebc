"""Human tasks: every host waits for people, and takes the first decision that counts."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.conformance.hosts.building import Recorder, act, soon, workflow
from tests.conformance.hosts.factories import World

from segue.hosts.simulated.building import human
from segue.types import DecisionMade, RunCancelled, TaskAssigned

HOUR = 3_600_000
ASKING = workflow("asking", act("before"), human("ask", data=1), act("after"))
CLOCKED = workflow("clocked", human("ask", deadline={"after_ms": HOUR, "outcome": "expired"}))
OFFER = 3
"""Id of the offer: the root is 1, and each task before it took one."""


async def waiting(host: Any, run_id: str) -> None:
    async def look() -> None:
        record: Any = None
        while record is None or record.status != "waiting":
            record = await host.run(run_id)
            await asyncio.sleep(0.002)

    await soon(look())


async def test_a_decision_lets_the_run_go_on(world: World) -> None:
    """The person's answer is the task's output, on every host."""
    recorder = Recorder()
    host = await world.open({"echo": recorder}, ASKING)
    run_id = await host.start(ASKING.digest, 7)
    await waiting(host, run_id)
    assert await host.attend(run_id, DecisionMade(0, OFFER, "approve", by="ann")) is None
    outcome = await host.wait_closed(run_id)
    assert outcome.output["outcome"] == "approve"
    assert outcome.output["by"] == "ann"


async def test_of_many_at_once_exactly_one_counts(world: World) -> None:
    """Ten people press the button in the same moment; one decides, nine are told that they did not."""
    host = await world.open({"echo": Recorder()}, ASKING)
    run_id = await host.start(ASKING.digest)
    await waiting(host, run_id)
    events = [DecisionMade(0, OFFER, "approve", by=f"person-{n}") for n in range(10)]
    answers = await asyncio.gather(*(host.attend(run_id, event) for event in events))
    assert [answer is None for answer in answers].count(True) == 1
    outcome = await host.wait_closed(run_id)
    assert outcome.output["by"] == f"person-{answers.index(None)}"


async def test_a_decision_survives_a_crash(world: World) -> None:
    """What somebody was told counts must count."""
    host = await world.open({"echo": Recorder()}, ASKING)
    run_id = await host.start(ASKING.digest)
    await waiting(host, run_id)
    assert await host.attend(run_id, TaskAssigned(0, OFFER, "claim", "ann", by="ann")) is None
    await world.crash()
    host = await world.open({"echo": Recorder()}, ASKING)
    refused = await host.attend(run_id, DecisionMade(0, OFFER, "approve", by="bob"))
    assert "ann has claimed it" in str(refused)
    assert await host.attend(run_id, DecisionMade(0, OFFER, "approve", by="ann")) is None
    await world.crash()
    host = await world.open({"echo": Recorder()}, ASKING)
    assert (await host.wait_closed(run_id)).output["by"] == "ann"


async def test_the_deadline_decides_when_nobody_does(world: World) -> None:
    """A run never waits for ever where its author said how long."""
    host = await world.open({"echo": Recorder()}, CLOCKED)
    run_id = await host.start(CLOCKED.digest)
    await waiting(host, run_id)
    await world.advance(HOUR + 1)
    outcome = await host.wait_closed(run_id)
    assert (outcome.output["outcome"], outcome.output["expired"]) == ("expired", True)


async def test_cancelling_the_run_takes_the_task_back(world: World) -> None:
    """Nobody decides what no run waits for."""
    host = await world.open({"echo": Recorder()}, ASKING)
    run_id = await host.start(ASKING.digest)
    await waiting(host, run_id)
    assert await host.control(run_id, RunCancelled(0))
    assert await host.attend(run_id, DecisionMade(0, OFFER, "approve", by="ann")) is not None
