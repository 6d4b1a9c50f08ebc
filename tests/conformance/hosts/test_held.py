"""Held failures, and what people may do about them. For hosts that hold."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from tests.conformance.hosts.building import Recorder, act, child, eventually, fork, guarded, never, soon, workflow
from tests.conformance.hosts.factories import World
from tests.conformance.hosts.test_attempts import retried

from segue.hosts import FailurePolicy, HostError, Outcome
from segue.store import RunFilter
from segue.store.effects import EffectFilter, list_effects
from segue.store.incidents import IncidentFilter, IncidentRecord, list_incidents
from segue.types import FailureReleased, RunCancelled, TaskRestarted, TaskSkipped, fail

PAIR = workflow("pair", act("a"), act("b"))


class Moody:
    """Fails as often as it is told to, then echoes."""

    def __init__(self, times: int = 10**9, **more: Any) -> None:
        self.left = times
        self.more = more

    def __call__(self, arguments: Any) -> Any:
        if self.left > 0:
            self.left -= 1
            raise fail("communication", "the system is down", status=503, **self.more)
        return arguments


@pytest.fixture
def holding(world: World) -> World:
    """A world whose host holds failures."""
    world.settings = replace(world.settings, hold_failures=True)
    return world


async def inbox(host: Any, **wanted: Any) -> list[IncidentRecord]:
    found: list[IncidentRecord] = await host.store.read(
        lambda c: list_incidents(c, IncidentFilter(**wanted), limit=100)
    )
    return found


async def held(host: Any, run_id: str) -> IncidentRecord:
    """The run's only open incident, once it is there."""
    record = None

    async def look() -> None:
        nonlocal record
        while record is None or not (found := await inbox(host, run=record.seq, state="open")):
            record = await host.run(run_id)
            await asyncio.sleep(0.002)
        assert len(found) == 1, found
        record = found[0]

    await soon(look())
    assert isinstance(record, IncidentRecord)
    return record


async def ledger(host: Any) -> list[tuple[str, str]]:
    entries = await host.store.read(lambda c: list_effects(c, EffectFilter(), limit=100))
    return [(entry.key, entry.state) for entry in reversed(entries)]


async def test_a_failure_waits_in_the_inbox_until_somebody_decides(holding: World) -> None:
    """Halt, explain, go on from the same point."""
    echo = Recorder(Moody(1))
    host = await holding.open({"echo": echo}, PAIR)
    run_id = await host.start(PAIR.digest, {"n": 1})
    incident = await held(host, run_id)

    assert (incident.kind, incident.pointer, incident.failure.status) == ("held", "/do/a", 503)
    assert (await host.run(run_id)).status == "suspended"
    assert await host.control(run_id, TaskRestarted(0, incident.task, input={"n": 2}, by="ann", reason="mended"))
    outcome = await soon(host.wait_closed(run_id))

    assert (outcome.status, outcome.output) == ("completed", {"n": 2})
    (closed,) = await inbox(host)
    assert (closed.state, closed.action, closed.by, closed.reason) == ("closed", "retry", "ann", "mended")


async def test_a_task_that_fails_again_comes_into_the_inbox_again(holding: World) -> None:
    """Somebody goes back inside a held list, and it fails as before: that must not be a silent failure."""
    plan = workflow("inside", retried("again", act("a"), count=1))
    host = await holding.open({"echo": Recorder(Moody())}, plan)
    run_id = await host.start(plan.digest, "x")
    for times in range(1, 4):
        looking = asyncio.ensure_future(held(host, run_id))
        while not looking.done():
            await holding.advance(10)
        assert len(await inbox(host)) == times
        assert await host.control(run_id, TaskRestarted(0, looking.result().task, node=2, input="x", by="ann"))
        assert [i.by for i in await inbox(host) if i.state == "closed"] == ["ann"] * times


async def test_what_is_held_survives_kill_and_restart(holding: World) -> None:
    """Nothing is dropped silently, and nothing comes in twice."""
    host = await holding.open({"echo": Recorder(Moody())}, PAIR)
    run_id = await host.start(PAIR.digest)
    before = await held(host, run_id)
    await holding.crash()
    host = await holding.open({"echo": Recorder()}, PAIR)

    assert await held(host, run_id) == before
    assert await host.control(run_id, TaskSkipped(0, before.task, "by hand"))
    assert (await soon(host.wait_closed(run_id))).output == "by hand"


async def test_every_crash_leaves_run_and_inbox_of_one_mind(holding: World) -> None:
    """The incident and its event are one transaction: whatever write fails, both are there or neither."""
    for number in range(1, 8):
        host = await holding.open({"echo": Recorder(Moody())}, PAIR)
        holding.fail_writes(number)
        run_id = f"run-{number}"
        try:
            await host.start(PAIR.digest, run_id=run_id)
        except HostError:
            pass  # Whether it took effect is what is asked below.
        await asyncio.sleep(0.01)
        await holding.crash()
        host = await holding.open({"echo": Recorder(Moody())}, PAIR)
        if await host.run(run_id) is not None:
            assert (await held(host, run_id)).pointer == "/do/a"
        await holding.close()


async def test_giving_up_faults_the_run_and_tells_it_once(holding: World) -> None:
    """One failure is one line in the inbox."""
    host = await holding.open({"echo": Recorder(Moody())}, PAIR)
    run_id = await host.start(PAIR.digest)
    incident = await held(host, run_id)
    assert await host.control(run_id, FailureReleased(0, incident.task, by="ann", reason="too late"))

    assert (await soon(host.wait_closed(run_id))).status == "faulted"
    (closed,) = await inbox(host)
    assert (closed.kind, closed.action) == ("held", "give-up")


async def test_a_faulted_run_stands_in_the_inbox_closed(world: World) -> None:
    """Every failure is in one list, those that nothing can be done about too."""
    host = await world.open({"echo": Recorder(Moody())}, PAIR)
    await soon(host.wait_closed(await host.start(PAIR.digest)))

    (incident,) = await inbox(host)
    assert (incident.kind, incident.state, incident.pointer) == ("faulted", "closed", "/do/a")


async def test_an_intervention_in_what_is_gone_changes_nothing(holding: World) -> None:
    """Two people press at once; the second is told."""
    host = await holding.open({"echo": Recorder(Moody(1))}, PAIR)
    run_id = await host.start(PAIR.digest)
    task = (await held(host, run_id)).task
    assert await host.control(run_id, TaskRestarted(0, task))

    for event in (TaskRestarted(0, task), TaskSkipped(0, task), FailureReleased(0, task)):
        assert not await host.control(run_id, event)
    await soon(host.wait_closed(run_id))
    told = [type(event).__name__ for event in await host.history(run_id)]
    assert told == ["RunStarted", "AttemptFailed", "TaskRestarted", "AttemptSucceeded", "AttemptSucceeded"]


async def test_only_a_held_task_can_be_given_up(holding: World) -> None:
    """An act under way has no failure to release."""
    host = await holding.open({"echo": Recorder(never())}, PAIR)
    run_id = await host.start(PAIR.digest)
    assert not await host.control(run_id, FailureReleased(0, 2))
    assert await host.control(run_id, TaskSkipped(0, 2, "skipped"))


async def test_cancelling_a_run_closes_what_it_holds(holding: World) -> None:
    """Nothing asks for a decision about a run that is over."""
    host = await holding.open({"echo": Recorder(Moody())}, PAIR)
    run_id = await host.start(PAIR.digest)
    await held(host, run_id)
    await host.control(run_id, RunCancelled(0, by="ann", reason="not wanted"))
    await soon(host.wait_closed(run_id))

    (closed,) = await inbox(host)
    assert (closed.state, closed.action, closed.reason) == ("closed", "cancel", "not wanted")


async def test_a_decision_about_one_branch_says_nothing_of_another(holding: World) -> None:
    """Giving one branch up ends the other; nobody decided about that one."""
    plan = workflow("both", fork("both", act("left"), act("right")))
    host = await holding.open({"echo": Recorder(Moody())}, plan)
    run_id = await host.start(plan.digest)

    await eventually(lambda: len(host._engine.by_id[run_id].state.held) == 2)
    await host.store.commit.wait_durable()
    right, left = await inbox(host, state="open")
    assert await host.control(run_id, FailureReleased(0, left.task, reason="gone"))
    await soon(host.wait_closed(run_id))
    closed = {incident.pointer: incident.action for incident in await inbox(host)}
    assert closed == {left.pointer: "give-up", right.pointer: "ended"}


async def test_what_a_child_fails_with_is_its_parents_to_catch(holding: World) -> None:
    """A `try` around a child must see its failure, not wait for a person."""
    below = workflow("below", act("a"))
    above = workflow("above", guarded("t", child("c", "below")))
    host = await holding.open({"echo": Recorder(Moody())}, above, below)
    outcome = await soon(host.wait_closed(await host.start(above.digest, "kept")))
    assert (outcome.status, outcome.output) == ("completed", "kept")


async def test_a_child_that_nobody_guards_is_held_itself(holding: World) -> None:
    """Where it can be mended: the parent goes on by itself."""
    below = workflow("below", act("a"))
    above = workflow("above", child("c", "below"))
    host = await holding.open({"echo": Recorder(Moody(1))}, above, below)
    run_id = await host.start(above.digest, "x")
    await eventually(lambda: len(host._engine.runs) == 2)
    page = await host.runs(RunFilter(name="below"))
    incident = await held(host, page.items[0].id)
    await host.control(incident.run_id, TaskRestarted(0, incident.task))
    assert (await soon(host.wait_closed(run_id))).output == "x"


async def test_a_definition_decides_for_itself(holding: World) -> None:
    """A job that somebody watches and one that nobody does may run side by side."""
    holding.policy = lambda plan: FailurePolicy(hold=plan.name != "pair", owner="ops", deadline_ms=1000)
    other = workflow("other", act("a"))
    host = await holding.open({"echo": Recorder(Moody())}, PAIR, other)
    assert (await soon(host.wait_closed(await host.start(PAIR.digest)))).status == "faulted"
    incident = await held(host, await host.start(other.digest))
    assert (incident.owner, incident.deadline) == ("ops", incident.at + 1000)


class TestUnknownOutcomes:
    async def stuck(self, world: World, echo: Recorder) -> tuple[Any, IncidentRecord]:
        """A run whose delicate act was under way when the process died."""
        first = Recorder(never(), recovery="ask")
        host = await world.open({"echo": first}, PAIR)
        run_id = await host.start(PAIR.digest, "x", run_id="stuck")
        # It is called when its intent is on disk, however long the disk takes; before that nothing is in doubt.
        await eventually(lambda: bool(first.calls))
        await world.crash()
        host = await world.open({"echo": echo}, PAIR)
        return host, await held(host, run_id)

    async def test_the_inbox_asks(self, holding: World) -> None:
        """Only a person can look."""
        host, incident = await self.stuck(holding, Recorder(recovery="ask"))
        assert (incident.kind, incident.failure.outcome_unknown) == ("held", True)
        assert await ledger(host) == [("stuck:1", "unknown")]

    async def test_it_happened(self, holding: World) -> None:
        """The run goes on with the receipt, the ledger says so, and nothing goes out again."""
        echo = Recorder(recovery="ask")
        host, incident = await self.stuck(holding, echo)
        said = Outcome(True, "receipt 7")
        assert await host.control("stuck", TaskSkipped(0, incident.task, "receipt 7", by="ann"), outcome=said)
        assert (await soon(host.wait_closed("stuck"))).output == "receipt 7"
        assert [command.name for command, _ in echo.calls] == ["b"]
        assert await ledger(host) == [("stuck:1", "done"), ("stuck:2", "done")]
        (closed,) = await inbox(host)
        assert (closed.action, closed.by) == ("happened", "ann")

    async def test_it_did_not_so_it_goes_out_again_under_the_same_key(self, holding: World) -> None:
        """And the ledger asks no longer."""
        echo = Recorder(recovery="ask")
        host, incident = await self.stuck(holding, echo)
        assert await host.control("stuck", TaskRestarted(0, incident.task), outcome=Outcome(False))
        assert (await soon(host.wait_closed("stuck"))).output == "x"
        assert [context.key for _, context in echo.calls] == ["stuck:1", "stuck:2"]
        assert await ledger(host) == [("stuck:1", "failed"), ("stuck:1", "done"), ("stuck:2", "done")]
        assert [incident.action for incident in await inbox(host)] == ["repeat"]

    async def test_starting_again_without_an_answer_asks_again(self, holding: World) -> None:
        """An effect must not be doubled because somebody pressed the wrong key."""
        echo = Recorder(recovery="ask")
        host, incident = await self.stuck(holding, echo)
        assert await host.control("stuck", TaskRestarted(0, incident.task))
        again = await held(host, "stuck")
        assert again.task != incident.task
        assert not echo.calls

    async def test_a_decision_survives_the_next_crash(self, holding: World) -> None:
        """The receipt stands in the ledger, not in memory."""
        host, incident = await self.stuck(holding, Recorder(recovery="ask"))
        await host.control("stuck", TaskSkipped(0, incident.task, 1), outcome=Outcome(True, 1))
        await holding.crash()
        host = await holding.open({"echo": Recorder(recovery="ask")}, PAIR)
        assert (await ledger(host))[0] == ("stuck:1", "done")

    async def test_an_act_of_a_run_that_is_over_is_asked_about_too(self, holding: World) -> None:
        """Cancelling a run does not take back what it was doing."""
        echo = Recorder(never(), recovery="ask")
        host = await holding.open({"echo": echo}, PAIR)
        run_id = await host.start(PAIR.digest, run_id="over")
        await eventually(lambda: echo.calls)
        await host.control(run_id, RunCancelled(0))
        incident = await held(host, run_id)
        assert (incident.kind, incident.effect) == ("unknown", "over:1")
        await host.settle("over:1", Outcome(True, "yes"), by="ann", reason="seen in the books")
        (closed,) = await inbox(host)
        assert (closed.action, closed.reason) == ("happened", "seen in the books")
        assert await ledger(host) == [("over:1", "done")]

    async def test_one_that_the_process_died_over_is_asked_about_at_the_next_start(self, world: World) -> None:
        """The run had ended; its act had not been settled."""
        echo = Recorder(never(), recovery="ask")
        host = await world.open({"echo": echo}, PAIR)
        await host.start(PAIR.digest, run_id="over")
        await eventually(lambda: echo.calls)
        await host.store.write([("UPDATE run SET residence = 'closed', status = 'cancelled', ended_at = 1", ())])
        await world.crash()
        host = await world.open({"echo": Recorder(recovery="ask")}, PAIR)
        (incident,) = await inbox(host)
        assert (incident.kind, incident.state, incident.effect) == ("unknown", "open", "over:1")

    async def test_a_crash_that_a_document_catches_leaves_the_question(self, world: World) -> None:
        """The run goes its way; whether the act happened must still be found out."""
        plan = workflow("caught", guarded("t", act("a")))
        host = await world.open({"echo": Recorder(never(), recovery="ask")}, plan)
        run_id = await host.start(plan.digest, "kept", run_id="caught")
        await eventually(lambda: host.health().acts == 1)
        await asyncio.sleep(0.01)
        await world.crash()
        host = await world.open({"echo": Recorder(recovery="ask")}, plan)
        assert (await soon(host.wait_closed(run_id))).output == "kept"
        (incident,) = await inbox(host)
        assert (incident.kind, incident.state, incident.effect) == ("unknown", "open", "caught:2")

    async def test_an_act_that_can_be_looked_up_closes_its_own_question(self, holding: World) -> None:
        """Started again while it was under way: nobody knew for a moment, then the system was asked."""
        echo = Recorder(never(), recovery="verify", happened={"known:1": "receipt"})
        host = await holding.open({"echo": echo}, workflow("one", act("a")))
        run_id = await host.start("one:1.0.0", run_id="known")
        await eventually(lambda: echo.calls)
        await host.control(run_id, TaskRestarted(0, 2))
        assert (await soon(host.wait_closed(run_id))).output == "receipt"
        assert await ledger(host) == [("known:1", "done")]
        assert [(i.kind, i.state, i.action) for i in await inbox(host)] == [("unknown", "closed", "verified")]

    async def test_a_document_that_catches_the_failure_does_not_hide_the_question(self, world: World) -> None:
        """The run goes on, or ends; whether the act happened is still to be found out."""
        plan = workflow("looked", guarded("t", act("a")), act("b"))

        def lost(arguments: Any) -> Any:
            raise fail("communication", "no answer came", outcome_unknown=True)

        host = await world.open({"echo": Recorder(lost, recovery="verify")}, plan)
        run_id = await host.start(plan.digest, "x", run_id="looked")
        await soon(host.wait_closed(run_id))
        opened = [incident for incident in await inbox(host) if incident.kind == "unknown"]
        assert {incident.state for incident in opened} == {"open"}
        assert len(opened) == 2


async def test_a_run_that_a_bug_stopped_can_be_tried_again(world: World) -> None:
    """A release that mends the bug goes on where the run was."""
    broken = Recorder(never())
    host = await world.open({"echo": broken}, PAIR)
    run_id = await host.start(PAIR.digest, "x")
    await eventually(lambda: broken.calls)
    host._engine.quarantine(host._engine.by_id[run_id], ValueError("a bug"))
    incident = await held(host, run_id)
    assert incident.kind == "quarantined"
    await world.close()
    host = await world.open({"echo": Recorder()}, PAIR)

    assert await host.revive(run_id, by="ann", reason="updated")
    assert (await soon(host.wait_closed(run_id))).output == "x"
    (closed,) = await inbox(host)
    assert (closed.action, closed.reason) == ("retry", "updated")
    assert not await host.revive(run_id)
