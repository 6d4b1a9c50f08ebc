"""Acts that wait for an approval: every host keeps them, and sends them once for each approval."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs
from tests.conformance.hosts.building import InlineRecorder, Recorder, act, eventually, never, soon, workflow
from tests.conformance.hosts.factories import World
from tests.conformance.hosts.test_human_tasks import waiting

from segue.hosts.contracts import OpenDoor
from segue.store.human_tasks import HumanTaskFilter, list_human_tasks
from segue.types import (
    ApprovalWanted,
    DecisionMade,
    Failure,
    Perform,
    RunCancelled,
    RunPaused,
    RunResumed,
    TaskRestarted,
    failure,
)
from segue.types.causes import UNTOLD

PAY = workflow("pay", act("before", "free"), act("pay"), act("after", "free"))
OFFER = 3
"""Id of the withheld act: the root is 1, and each task before it took one."""
RULES = {"two-eyes": "forbid"}
APPROVE = DecisionMade(0, OFFER, "approve", by="ann")


class Withholding(OpenDoor):
    """Wants an approval for each act through `echo`; `stopped` refuses them."""

    stopped = False

    def ask(
        self,
        run: str,
        workflow: str,
        command: Perform,
        cause: Mapping[str, Any] = UNTOLD,
        *,
        begun: bool = False,
    ) -> Failure | ApprovalWanted | str:
        if command.handler != "echo":
            return ""
        if self.stopped:
            return failure("authorization", "it is stopped")
        if any(given.digest == run for given in command.approvals):
            return "two-eyes@1"
        return ApprovalWanted(0, command.id, "boss", RULES, "1", "a rule wants it", run)


async def opened(world: World, echo: Recorder, *, door: OpenDoor | None = None) -> Any:
    world.door = door or Withholding()
    return await world.open({"echo": echo, "free": Recorder()}, PAY)


async def rows(host: Any, run_id: str) -> list[str]:
    record = await host.run(run_id)
    found = await host.store.read(lambda c: list_human_tasks(c, HumanTaskFilter(run=record.seq), limit=-1))
    return [row.state for row in found]


@pytest.mark.parametrize("recorder", [Recorder, InlineRecorder])
@pytest.mark.parametrize("recovery", ["repeat", "ask"])
async def test_an_act_waits_for_its_approval_and_happens_once(world: World, recorder: Any, recovery: Any) -> None:
    """Whatever its handler is like."""
    echo = recorder(recovery=recovery)
    host = await opened(world, echo)
    run_id = await host.start(PAY.digest, 7)
    await waiting(host, run_id)
    assert await rows(host, run_id) == ["offered"]
    await world.advance(1000)
    assert not echo.calls
    assert await host.attend(run_id, APPROVE) is None
    assert (await soon(host.wait_closed(run_id))).output == 7
    assert len(echo.calls) == 1
    assert await rows(host, run_id) == ["decided"]


async def test_a_refusal_fails_the_task_and_nothing_goes_out(world: World) -> None:
    """What the document declares for failures happens."""
    echo = Recorder()
    host = await opened(world, echo)
    run_id = await host.start(PAY.digest, 7)
    await waiting(host, run_id)
    assert await host.attend(run_id, DecisionMade(0, OFFER, "refuse", by="ann", comment="no")) is None
    outcome = await soon(host.wait_closed(run_id))
    assert outcome.failure.status == 403
    assert not echo.calls


async def test_of_many_at_once_exactly_one_counts_and_it_happens_once(world: World) -> None:
    """Ten people press the button in the same moment."""
    echo = Recorder(recovery="ask")
    host = await opened(world, echo)
    run_id = await host.start(PAY.digest)
    await waiting(host, run_id)
    events = [DecisionMade(0, OFFER, "approve", by=f"person-{n}") for n in range(10)]
    answers = await asyncio.gather(*(host.attend(run_id, event) for event in events))
    assert [answer is None for answer in answers].count(True) == 1
    await soon(host.wait_closed(run_id))
    assert len(echo.calls) == 1


@pytest.mark.parametrize("moments", [("waiting",), ("approved",), ("waiting", "approved"), ("begun",)])
async def test_it_survives_crashes_at_every_moment(world: World, moments: tuple[str, ...]) -> None:
    """While it waits, right after the approval, and while the act is under way."""
    echo: Recorder = Recorder(recovery="verify")
    host = await opened(world, echo)
    run_id = await host.start(PAY.digest, 7)
    await waiting(host, run_id)
    if "waiting" in moments:
        await world.crash()
        host = await opened(world, echo)
        await waiting(host, run_id)
        assert not echo.calls
    if "begun" in moments:
        echo.result = never()
    assert await host.attend(run_id, APPROVE) is None
    if "begun" in moments:
        await eventually(lambda: echo.calls)
        key = echo.calls[0][1].key
        await world.crash()
        echo = Recorder(recovery="verify", happened={key: "found"})
        host = await opened(world, echo)
        assert (await soon(host.wait_closed(run_id))).output == "found"
        assert not echo.calls
        return
    if "approved" in moments:
        await world.crash()
        host = await opened(world, echo)
    assert (await soon(host.wait_closed(run_id))).output == 7
    assert len({context.key for _, context in echo.calls}) == 1
    assert len(echo.calls) == 1
    assert await host.attend(run_id, APPROVE) is not None


async def test_a_run_that_waits_for_an_approval_leaves_memory(world: World) -> None:
    """Three weeks cost one row."""
    world.settings = replace(world.settings, park_after_ms=1000, park_sweep_ms=500)
    host = await opened(world, Recorder())
    run_id = await host.start(PAY.digest, 7)
    await waiting(host, run_id)
    await world.advance(10_000)
    await eventually(lambda: world.host.health().live_runs == 0)
    assert await host.asked(run_id, OFFER) is not None
    assert await host.attend(run_id, APPROVE) is None
    assert (await soon(host.wait_closed(run_id))).output == 7


async def test_cancelling_takes_it_back_and_a_pause_keeps_it(world: World) -> None:
    """Nobody approves what no run waits for; and nothing begins in a paused run."""
    echo = Recorder()
    host = await opened(world, echo)
    gone, paused = [await host.start(PAY.digest, n) for n in (1, 2)]
    await waiting(host, gone)
    await waiting(host, paused)
    assert await host.control(gone, RunCancelled(0))
    assert await host.attend(gone, APPROVE) is not None
    assert await rows(host, gone) == ["withdrawn"]
    assert await host.control(paused, RunPaused(0))
    assert await host.attend(paused, APPROVE) is None
    await world.advance(1000)
    assert not echo.calls
    await world.crash()
    host = await opened(world, echo)
    await world.advance(1000)
    assert not echo.calls
    assert await host.control(paused, RunResumed(0))
    assert (await soon(host.wait_closed(paused))).output == 2
    assert len(echo.calls) == 1


async def test_what_was_stopped_meanwhile_stays_stopped(world: World) -> None:
    """An approval lifts the rules that were shown, and no switch."""
    echo = Recorder()
    host = await opened(world, echo)
    run_id = await host.start(PAY.digest)
    await waiting(host, run_id)
    assert isinstance(world.door, Withholding)
    world.door.stopped = True
    assert await host.attend(run_id, APPROVE) is None
    assert "stopped" in str((await soon(host.wait_closed(run_id))).failure)
    assert not echo.calls


async def test_an_act_that_may_have_happened_is_not_put_before_an_approver(world: World) -> None:
    """A rule that came after the crash: what became of the act comes first, and only a look there tells."""
    echo = Recorder(never(), recovery="ask")
    host = await opened(world, echo, door=OpenDoor())
    run_id = await host.start(PAY.digest)
    await eventually(lambda: echo.calls)
    await world.crash()
    host = await opened(world, Recorder(recovery="ask"))
    outcome = await soon(host.wait_closed(run_id))
    assert outcome.failure.status == 403
    assert outcome.failure.outcome_unknown
    assert await rows(host, run_id) == []


async def test_waiting_costs_no_place_that_others_need(world: World) -> None:
    """A thousand acts before people must not keep the next one from its turn."""
    world.settings = replace(world.settings, acts_max=1)
    echo = Recorder()
    host = await opened(world, echo)
    held = [await host.start(PAY.digest, n) for n in range(3)]
    for run_id in held:
        await waiting(host, run_id)
    for run_id in held:
        assert await host.attend(run_id, APPROVE) is None
        await soon(host.wait_closed(run_id))
    assert len(echo.calls) == 3


async def test_a_migration_takes_what_waits_along(world: World) -> None:
    """The same act waits under the other version, and goes out there."""
    newer = workflow("pay", act("before", "free"), act("pay"), act("after", "free", "new"), version="2.0.0")
    world.door = Withholding()
    echo = Recorder(recovery="ask")
    handlers = {"echo": echo, "free": Recorder()}
    host = await world.open(handlers, PAY, newer)
    run_id = await host.start(PAY.digest, 7)
    await waiting(host, run_id)
    assert (await host.migrate(run_id, newer.digest, by="olaf")).obstacles == []
    assert "never decides" in str(await host.attend(run_id, replace_by(APPROVE, "olaf")))
    await world.crash()
    host = await world.open(handlers, PAY, newer)
    assert await host.attend(run_id, APPROVE) is None
    assert (await soon(host.wait_closed(run_id))).output == "new"
    assert len(echo.calls) == 1


async def test_a_fork_asks_anew_and_sends_its_own_act(world: World) -> None:
    """Its acts are others: nobody has approved them, and their keys are their own."""
    echo = Recorder(recovery="ask")
    host = await opened(world, echo)
    run_id = await host.start(PAY.digest, 7)
    await waiting(host, run_id)
    assert await host.attend(run_id, APPROVE) is None
    await soon(host.wait_closed(run_id))
    history = await host.history(run_id)
    first = structs.replace(history[0], run_id="forked")
    until = next(n for n, e in enumerate(history) if isinstance(e, DecisionMade)) + 1
    forked = await host.fork(PAY.digest, [first, *history[1:until]], TaskRestarted(0, OFFER, by="olaf"))
    await waiting(host, forked)
    assert len(echo.calls) == 1
    number = await offered(host, forked)
    assert await host.attend(forked, DecisionMade(0, number, "approve", by="ann")) is None
    assert (await soon(host.wait_closed(forked))).output == 7
    assert len({context.key for _, context in echo.calls}) == 2


async def offered(host: Any, run_id: str) -> int:
    record = await host.run(run_id)
    found = await host.store.read(lambda c: list_human_tasks(c, HumanTaskFilter(run=record.seq, open=True), limit=1))
    return int(found[0].task)


def replace_by(event: DecisionMade, by: str) -> DecisionMade:
    return structs.replace(event, by=by)


class _Changing(OpenDoor):
    """Its rules are others once somebody has approved."""

    def ask(
        self,
        run: str,
        workflow: str,
        command: Perform,
        cause: Mapping[str, Any] = UNTOLD,
        *,
        begun: bool = False,
    ) -> Failure | ApprovalWanted | str:
        lifted = {rule for given in command.approvals for rule in given.rules}
        rule = next((rule for rule in ("first", "second") if rule not in lifted), None)
        if command.handler != "echo" or rule is None:
            return ""
        return ApprovalWanted(0, command.id, "boss", {rule: "forbid"}, "1", "a rule wants it", run)


async def test_an_act_that_must_be_approved_once_more_comes_before_people_again(world: World) -> None:
    """It asks under the same number, and nobody could decide what no list shows."""
    host = await opened(world, Recorder(), door=_Changing())
    run_id = await host.start(PAY.digest, 7)
    await waiting(host, run_id)
    assert await host.attend(run_id, APPROVE) is None

    async def offered_again() -> None:
        shown: list[str] = []
        while shown != ["offered"]:
            shown = await rows(host, run_id)
            await asyncio.sleep(0.002)

    await soon(offered_again())
    assert await host.attend(run_id, DecisionMade(0, OFFER, "approve", by="bob")) is None
    assert (await soon(host.wait_closed(run_id))).output == 7
    assert await rows(host, run_id) == ["decided"]
