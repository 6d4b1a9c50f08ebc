"""An act that may have happened stays in doubt until somebody knows: never called failed before, nor done again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.conformance.hosts.building import (
    InlineRecorder,
    Recorder,
    act,
    event,
    eventually,
    fork,
    never,
    program,
    soon,
    workflow,
)
from tests.conformance.hosts.factories import World
from tests.conformance.hosts.test_attempts import retried
from tests.conformance.hosts.test_held import held, inbox, ledger

from segue.core.plan import UndoNode
from segue.hosts.contracts import OpenDoor
from segue.types import EffectContext, Failure, FailureReleased, Perform, Recovery, RunCancelled, fail, failure
from segue.types.causes import UNTOLD

ONE = workflow("one", retried("again", act("a")))
OTHER = workflow("other", act("b", handler="other"))


class _Unreachable(Recorder):
    """Its first look-up fails; afterwards it says that nobody can look its acts up.

    As `call: openapi` does: only the description of the system tells, and another run may fetch that in between.
    """

    def recovery(self, command: Perform) -> Recovery:
        return "ask" if self.verified else "verify"

    async def verify(self, command: Perform, context: EffectContext) -> Any:
        self.verified.append(context.key)
        raise fail("communication", "the system cannot be reached")


class _Hanging(Recorder):
    """Nobody answers its look-ups."""

    async def verify(self, command: Perform, context: EffectContext) -> Any:
        self.verified.append(context.key)
        return await asyncio.Event().wait()


class _Shut(OpenDoor):
    """It is shut once somebody says so."""

    is_shut = False

    def ask(
        self,
        run: str,
        workflow: str,
        command: Perform,
        cause: Mapping[str, Any] = UNTOLD,
        *,
        begun: bool = False,
    ) -> Failure | str:
        return failure("authorization", "the switch is off") if self.is_shut else "rules"


async def _closed(world: World, host: Any, run_id: str) -> Any:
    closed = asyncio.ensure_future(host.wait_closed(run_id))

    async def pass_time() -> None:
        while not closed.done():
            await world.advance(10)

    await soon(pass_time())
    return await closed


async def test_a_look_up_that_fails_leaves_the_act_in_doubt(world: World) -> None:
    """A system is often down when its caller comes back from a crash: silence does not say that nothing happened."""
    before = Recorder(never(), recovery="ask")
    host = await world.open({"echo": before}, ONE)
    run_id = await host.start(ONE.digest, "x")
    await eventually(lambda: before.calls)
    await world.crash()
    after = _Unreachable()
    host = await world.open({"echo": after}, ONE)

    outcome = await _closed(world, host, run_id)

    assert not after.calls, "an act that may have happened was performed again"
    assert outcome.failure.outcome_unknown


async def test_a_handler_that_breaks_leaves_its_act_in_doubt(world: World) -> None:
    """An error in our own code may come after the request was sent: it must not be sent again."""

    def break_after_acting(_: Any) -> Any:
        raise ZeroDivisionError("after the request was sent")

    handler = Recorder(break_after_acting, recovery="ask")
    host = await world.open({"echo": handler}, ONE)
    run_id = await host.start(ONE.digest, "x")

    outcome = await _closed(world, host, run_id)

    assert len(handler.calls) == 1, "an act that may have happened was performed again"
    assert outcome.failure.outcome_unknown


async def test_an_act_in_doubt_that_is_cancelled_before_its_turn_is_told_to_a_person(world: World) -> None:
    """It may have happened before the crash, and nobody will look any more: the ledger and the inbox must say so."""
    hangs = Recorder(never())
    host = await world.open({"echo": Recorder(never(), recovery="ask"), "other": hangs}, ONE, OTHER)
    await host.start(OTHER.digest)
    run_id = await host.start(ONE.digest, "x", run_id="one")
    await eventually(lambda: host.health().acts == 2)
    await world.crash()
    world.settings = replace(world.settings, acts_max=1)
    hangs.calls.clear()
    host = await world.open({"echo": Recorder(recovery="ask"), "other": hangs}, ONE, OTHER)
    await eventually(lambda: hangs.calls)

    assert await host.control(run_id, RunCancelled(0))
    await soon(host.wait_closed(run_id))
    await host.publish(event("settled"))

    assert await ledger(host) == [("one:2", "unknown")]
    assert [i.kind for i in await inbox(host, state="open")] == ["unknown"]


async def test_an_act_in_doubt_that_is_stopped_while_it_is_looked_up_stays_in_doubt(world: World) -> None:
    """That it may not be done now says nothing about what happened before the crash."""
    plan = workflow("one", act("a"))
    before = Recorder(never(), recovery="verify")
    host = await world.open({"echo": before}, plan)
    run_id = await host.start(plan.digest, "x", run_id="one")
    await eventually(lambda: before.calls)
    await world.crash()
    world.door = door = _Shut()
    after = _Hanging(recovery="verify")
    host = await world.open({"echo": after}, plan)
    await eventually(lambda: after.verified)

    door.is_shut = True
    assert host.stop_refused() == 1
    outcome = await soon(host.wait_closed(run_id))

    assert outcome.failure.outcome_unknown
    await host.publish(event("settled"))
    assert await ledger(host) == [("one:1", "unknown")]


async def test_an_act_in_doubt_that_is_repeated_and_refused_stays_in_doubt(world: World) -> None:
    """That it is not taken now says nothing about what was taken before the crash; an undo depends on it."""
    back = UndoNode(name="undo a", pointer="/undo", section="undo", handler="echo", arguments=program("x"))
    plan = workflow("one", act("a", undo=back))
    before = Recorder(never())
    host = await world.open({"echo": before}, plan)
    run_id = await host.start(plan.digest, "x", run_id="one")
    await eventually(lambda: before.calls)
    await world.crash()

    def refuse(_: Any) -> Any:
        raise fail("communication", "busy", status=503)

    host = await world.open({"echo": Recorder(refuse)}, plan)
    outcome = await soon(host.wait_closed(run_id))

    assert outcome.failure.outcome_unknown
    await host.publish(event("settled"))
    assert await ledger(host) == [("one:1", "unknown")]


def _lost(_: Any) -> Any:
    raise fail("communication", "the connection broke", outcome_unknown=True)


async def test_a_doubt_outlives_the_held_task_that_told_of_it(world: World) -> None:
    """Whoever cancels a run has not said what became of an act in it: somebody must still be asked."""
    world.settings = replace(world.settings, hold_failures=True)
    plan = workflow("one", act("a"))
    host = await world.open({"echo": Recorder(_lost, recovery="ask")}, plan)
    run_id = await host.start(plan.digest, "x", run_id="one")
    assert (await held(host, run_id)).kind == "held"

    assert await host.control(run_id, RunCancelled(0))
    await soon(host.wait_closed(run_id))

    (asked,) = await inbox(host, state="open")
    assert (asked.kind, asked.effect, asked.pointer) == ("unknown", "one:1", "/do/a")


async def test_what_a_person_decided_about_a_held_task_is_not_asked_again(world: World) -> None:
    """They have seen that nobody knew."""
    world.settings = replace(world.settings, hold_failures=True)
    plan = workflow("one", act("a"))
    host = await world.open({"echo": Recorder(_lost, recovery="ask")}, plan)
    run_id = await host.start(plan.digest, "x", run_id="one")
    task = (await held(host, run_id)).task

    assert await host.control(run_id, FailureReleased(0, task, by="ann", reason="let it be"))
    await soon(host.wait_closed(run_id))

    assert await inbox(host, state="open") == []


async def test_an_act_that_its_time_out_cut_off_is_asked_about_beside_its_held_task(world: World) -> None:
    """The time-out says that it took long, and not that it may have happened."""
    world.settings = replace(world.settings, hold_failures=True)
    plan = workflow("one", act("a", timeout=program(50)))
    hangs = Recorder(never(), recovery="ask")
    host = await world.open({"echo": hangs}, plan)
    await host.start(plan.digest, "x", run_id="one")
    await eventually(lambda: hangs.calls)
    await world.advance(100)
    await eventually(lambda: hangs.cancelled)
    await host.publish(event("settled"))

    assert sorted(i.kind for i in await inbox(host, state="open")) == ["held", "unknown"]


async def test_an_act_that_succeeds_too_late_for_its_run_is_told_to_a_person(world: World) -> None:
    """It stands outside, and the run that would have taken it back has gone on without it."""
    back = UndoNode(name="undo a", pointer="/undo", section="undo", handler="echo", arguments=program("x"))
    plan = workflow("one", act("a", undo=back))
    answers = asyncio.Event()

    async def wait(_: Any) -> None:
        await answers.wait()

    acting = Recorder(wait)
    host = await world.open({"echo": acting}, plan)
    run_id = await host.start(plan.digest, "x", run_id="one")
    await eventually(lambda: acting.calls)

    cancelling = asyncio.ensure_future(host.control(run_id, RunCancelled(0)))
    answers.set()
    assert await soon(cancelling)
    await soon(host.wait_closed(run_id))
    await host.publish(event("settled"))

    (asked,) = await inbox(host, state="open")
    assert (asked.kind, asked.effect) == ("unknown", "one:1")
    assert "stands" in (asked.failure.detail or "")
    assert await ledger(host) == [("one:1", "done")]


async def test_after_a_crash_nothing_is_done_that_an_answer_before_it_has_ended(world: World) -> None:
    """A branch that fails at once takes the others with it, also those that were open when the process died."""
    plan = workflow("one", fork("both", act("a", "first"), act("b", "second")))
    hangs = Recorder(never())
    host = await world.open({"first": hangs, "second": hangs}, plan)
    run_id = await host.start(plan.digest, "x")
    await eventually(lambda: len(hangs.calls) == 2)
    await world.crash()
    second = InlineRecorder()

    host = await world.open({"first": InlineRecorder(_lost), "second": second}, plan)
    assert (await soon(host.wait_closed(run_id))).status == "faulted"

    assert second.calls == []
