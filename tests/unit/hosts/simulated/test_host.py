"""`SimulatedHost`: the API of a host, on virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from segue.core import Plan
from segue.core.plan import UndoNode
from segue.hosts.contracts import UnknownRun
from segue.hosts.simulated import SimulatedHost
from segue.hosts.simulated import building as b
from segue.types import (
    NOT_DONE,
    AttemptSucceeded,
    EffectContext,
    Perform,
    Recovery,
    RunCancelled,
    RunPaused,
    RunResumed,
    RunStarted,
    fail,
)

DAY_MS = 86_400_000


class Book:
    """Plans by digest."""

    def __init__(self, *plans: Plan) -> None:
        self.plans = {plan.digest: plan for plan in plans}

    def plan(self, digest: str) -> Plan:
        return self.plans[digest]

    def resolve(self, namespace: str, name: str, version: str) -> str:
        raise LookupError(name)


class NoSecrets:
    async def read(self, name: str) -> Any:
        raise LookupError(name)


class HangsOnce:
    """A system that gives no answer to what takes something back, the first time."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, EffectContext]] = []
        self.hung: set[str] = set()

    async def perform(self, command: Perform, context: EffectContext) -> Any:
        self.seen.append((command.name, context))
        if command.arguments == "hang" or (command.name == "undo a" and command.name not in self.hung):
            self.hung.add(command.name)
            await asyncio.Event().wait()
        if command.arguments == "fail":
            raise fail("communication", "refused", status=500)
        return 1

    def recovery(self, command: Perform) -> Recovery:
        return "repeat"

    async def verify(self, command: Perform, context: EffectContext) -> Any:
        return NOT_DONE


class Helper:
    """A handler that does what its arguments say."""

    def __init__(self, recovery: Recovery = "repeat") -> None:
        self.declared: Recovery = recovery
        self.seen: list[tuple[str, EffectContext]] = []
        self.found: Any = NOT_DONE

    async def perform(self, command: Perform, context: EffectContext) -> Any:
        self.seen.append((command.name, context))
        if command.arguments == "hang":
            await asyncio.Event().wait()
        if command.arguments == "fail":
            raise fail("communication", "down")
        if command.arguments == "break":
            raise ZeroDivisionError("oops")
        return object() if command.arguments == "odd" else command.arguments

    def recovery(self, command: Perform) -> Recovery:
        return self.declared

    async def verify(self, command: Perform, context: EffectContext) -> Any:
        return self.found


def opened(plan: Plan, helper: Helper | None = None, **more: Any) -> Any:
    return SimulatedHost.open(handlers={"act": helper or Helper()}, plans=Book(plan), secrets=NoSecrets(), **more)


async def result_of(plan: Plan, input: Any = None, **more: Any) -> Any:
    async with opened(plan, **more) as host:
        return await host.wait_closed(await host.start(plan.digest, input))


class TestRuns:
    async def test_a_run_goes_to_its_end(self) -> None:
        """Acts are performed by handlers, and their results are the data."""
        outcome = await result_of(b.plan(b.act("a"), b.act("b")), {"x": 1})
        assert (outcome.status, outcome.output) == ("completed", {"x": 1})

    async def test_time_moves_by_itself_when_everything_waits(self) -> None:
        """A wait of a year takes no time at all."""
        plan = b.plan(b.wait("year", 365 * DAY_MS), b.act("a"))
        async with opened(plan) as host:
            began = host.now_ms()
            await host.wait_closed(await host.start(plan.digest))
            assert host.now_ms() - began == 365 * DAY_MS

    async def test_a_time_out_overtakes_a_handler_that_hangs(self) -> None:
        """Virtual time does not wait for ever for something real."""
        outcome = await result_of(b.plan(b.act("a", "hang", timeout=DAY_MS)))
        assert outcome.failure.status == 408

    @pytest.mark.parametrize(("asked", "word"), [("fail", "communication"), ("break", "runtime"), ("odd", "runtime")])
    async def test_what_goes_wrong_in_a_handler_becomes_the_failure_of_its_task(self, asked: str, word: str) -> None:
        """Including results that are not JSON."""
        outcome = await result_of(b.plan(b.act("a", asked)))
        assert outcome.failure.type.endswith(word)

    async def test_a_missing_handler_is_a_configuration_failure(self) -> None:
        """And says which."""
        outcome = await result_of(b.plan(b.act("a", handler="nowhere")))
        assert "nowhere" in outcome.failure.detail

    async def test_a_run_id_starts_one_run(self) -> None:
        """Callers repeat what they got no answer to."""
        plan, helper = b.plan(b.act("a")), Helper()
        async with opened(plan, helper) as host:
            await asyncio.gather(*(host.start(plan.digest, n, run_id="one") for n in range(3)))
            await host.wait_closed("one")
            assert [type(e) for e in await host.history("one")] == [RunStarted, AttemptSucceeded]
            assert len(helper.seen) == 1

    async def test_what_is_not_json_is_refused_at_the_door(self) -> None:
        """Before anything is stored."""
        plan = b.plan(b.act("a"))
        async with opened(plan) as host:
            with pytest.raises(ValueError, match="not a JSON value"):
                await host.start(plan.digest, object())
            with pytest.raises(LookupError):
                await host.start("nothing")
            with pytest.raises(UnknownRun):
                await host.wait_closed("nobody")

    async def test_a_run_can_be_looked_at(self) -> None:
        """Its status, and who it is."""
        plan = b.plan(b.act("a", "hang"))
        async with opened(plan) as host:
            run_id = await host.start(plan.digest, cause={"kind": "api"})
            run = await host.run(run_id)
            assert (run.status, run.is_closed, run.name) == ("running", False, "test")
            assert await host.run("nobody") is None


class TestControls:
    async def test_pause_resume_and_cancel(self) -> None:
        """Each returns when it is on disk."""
        plan, helper = b.plan(b.listen("l", b.one("go")), b.act("a", "hang")), Helper()
        async with opened(plan, helper) as host:
            run_id = await host.start(plan.digest)
            assert await host.control(run_id, RunPaused(0))
            await host.publish({"id": "1", "source": "/t", "type": "go"})
            assert (await host.run(run_id)).status == "suspended"
            assert helper.seen == []
            assert await host.control(run_id, RunResumed(0))
            assert await host.control(run_id, RunCancelled(0))
            assert (await host.wait_closed(run_id)).status == "cancelled"
            assert not await host.control(run_id, RunCancelled(0))
            assert host.health().acts == 0


class TestMessages:
    async def test_an_event_is_taken_once(self) -> None:
        """By source and id."""
        plan = b.plan(b.listen("l", b.one("go")), b.listen("m", b.one("go")))
        async with opened(plan) as host:
            run_id = await host.start(plan.digest)
            event = {"id": "1", "source": "/t", "type": "go", "data": 1}
            assert await host.publish_many([event, event]) == [True, False]
            assert await host.publish({**event, "id": "2", "data": 2})
            assert (await host.wait_closed(run_id)).output == [2]

    async def test_an_early_event_is_kept(self) -> None:
        """Ruling R22: since the start of the run."""
        plan = b.plan(b.wait("w", 1_000), b.listen("l", b.one("go")))
        async with opened(plan) as host:
            run_id = await host.start(plan.digest)
            await host.publish({"id": "1", "source": "/t", "type": "go", "data": 1})
            assert (await host.wait_closed(run_id)).output == [1]

    async def test_an_event_without_its_attributes_is_refused(self) -> None:
        """It could be neither routed nor told from others."""
        async with opened(b.plan()) as host:
            with pytest.raises(ValueError, match="'source'"):
                await host.publish({"id": "1", "type": "go"})


def undo_in(plan: Plan) -> UndoNode:
    """The only undo of a plan."""
    (found,) = [node for node in plan.nodes if isinstance(node, UndoNode)]
    return found


class TestCrashes:
    @pytest.mark.parametrize("recovery", ["repeat", "verify", "ask"])
    async def test_an_act_recovers_as_its_handler_declares(self, recovery: Recovery) -> None:
        """Repeat it, look it up, or say that nobody knows."""
        plan, helper = b.plan(b.act("a", b.program(lambda d, v: d))), Helper(recovery)
        first = await opened(plan, helper, by_hand=True)
        run_id = await first.start(plan.digest, "hang")
        await first.advance(1)
        assert len(helper.seen) == 1
        helper.found = "found"
        await first.crash()
        async with opened(plan, helper, by_hand=True, storage=first.storage, clock=first.clock) as host:
            await host.advance(1)
            if recovery == "repeat":
                before, after = (context for _, context in helper.seen)
                assert (before.key, before.recovering, after.recovering) == (after.key, False, True)
                return
            outcome = await host.wait_closed(run_id)
            assert len(helper.seen) == 1
            if recovery == "verify":
                assert outcome.output == "found"
            else:
                assert outcome.failure.outcome_unknown

    @pytest.mark.parametrize("dies", [False, True])
    async def test_an_act_with_an_undo_that_is_cut_off_is_told_of(self, dies: bool) -> None:
        """Nobody asks it again, so its key helps nobody: what it did stands outside, and a list must have it."""
        plan, helper = b.plan(b.act("a", "hang", undo=b.undo())), Helper("repeat")
        first = await opened(plan, helper, by_hand=True)
        run_id = await first.start(plan.digest, "hang")
        await first.advance(1)
        assert [context.has_undo for _, context in helper.seen] == [True]
        host = first
        if dies:
            await first.crash()
            host = await opened(plan, helper, by_hand=True, storage=first.storage, clock=first.clock)
        await host.control(run_id, RunCancelled(0))
        await host.advance(1)
        assert (await host.wait_closed(run_id)).status == "cancelled"
        found = await host.store.read(lambda c: c.execute("SELECT state FROM effect").fetchall())
        told = await host.store.read(lambda c: c.execute("SELECT kind, state FROM incident").fetchall())
        assert (found, told) == ([("unknown",)], [("unknown", "open")])
        await host.close()

    @pytest.mark.parametrize("dies", [False, True])
    async def test_an_undo_that_a_winner_cut_off_is_told_of_until_it_is_finished(self, dies: bool) -> None:
        """What is half taken back must stand in a list, and goes from it when the run has finished it."""
        loser = b.attempt("t", b.act("a", undo=b.undo()), b.act("b", "fail"), handle=(b.act("h", "hang"),))
        winner = b.wait("w", 1_000)
        plan = b.plan(b.fork("f", loser, winner, compete=True), b.wait("rest", 5_000), b.put("p", "won"))
        helper = HangsOnce()
        host = await opened(plan, helper, by_hand=True)
        run_id = await host.start(plan.digest)
        await host.advance(1)
        assert [name for name, _ in helper.seen] == ["a", "b", "undo a"]
        if dies:
            helper.hung.clear()  # It hangs in the new process too.
            await host.crash()
            host = await opened(plan, helper, by_hand=True, storage=host.storage, clock=host.clock)
        await host.advance(2_000)
        asks = "SELECT effect.state, kind, incident.state, action FROM effect LEFT JOIN incident ON effect = key"
        key = (f"{run_id}:{undo_in(plan).index}",)
        asks += " WHERE key = ? ORDER BY command"
        found = await host.store.read(lambda c: c.execute(asks, key).fetchall())
        assert found == [("unknown", "unknown", "open", None)]
        await host.advance(5_000)
        ended = await host.wait_closed(run_id)
        assert (ended.status, ended.output) == ("completed", "won")
        keys = {context.key for name, context in helper.seen if name == "undo a"}
        assert len(keys) == 1
        found = await host.store.read(lambda c: c.execute(asks, key).fetchall())
        assert {row[:2] for row in found} == {("done", "unknown")}
        assert {row[2:] for row in found} == {("closed", "verified")}
        await host.close()

    async def test_an_act_with_an_undo_goes_out_again_under_its_key(self) -> None:
        """Being in the ledger must not make a person answer what the key answers."""
        plan, helper = b.plan(b.act("a", b.program(lambda d, v: d), undo=b.undo())), Helper("repeat")
        first = await opened(plan, helper, by_hand=True)
        run_id = await first.start(plan.digest, "hang")
        await first.advance(1)
        await first.crash()
        async with opened(plan, helper, by_hand=True, storage=first.storage, clock=first.clock) as host:
            await host.advance(1)
            before, after = (context for _, context in helper.seen)
            assert (before.key, after.recovering) == (after.key, True)
            assert not (await host.run(run_id)).is_closed

    async def test_what_was_not_written_yet_is_lost(self) -> None:
        """A death in the middle of a write leaves all of it or nothing."""
        plan = b.plan(b.act("a", "hang"))
        for keeps in (False, True):
            host = await opened(plan, by_hand=True)
            starting = asyncio.ensure_future(host.start(plan.digest, run_id="r"))
            for _ in range(10):
                if not host.store.commit.is_writing:
                    await asyncio.sleep(0)
            assert host.store.commit.is_writing
            host.storage.power_off(keeps=keeps)
            starting.cancel()
            await host.crash()
            async with opened(plan, by_hand=True, storage=host.storage, clock=host.clock) as again:
                assert (await again.run("r") is not None) == keeps

    async def test_timers_survive(self) -> None:
        """They follow from history."""
        plan = b.plan(b.wait("w", DAY_MS))
        first = await opened(plan, by_hand=True)
        run_id = await first.start(plan.digest)
        await first.advance(DAY_MS // 2)
        await first.crash()
        async with opened(plan, by_hand=True, storage=first.storage, clock=first.clock) as host:
            await host.advance(DAY_MS // 2 - 1)
            assert not (await host.run(run_id)).is_closed
            await host.advance(1)
            assert (await host.wait_closed(run_id)).status == "completed"

    async def test_another_host_goes_on_from_the_same_file(self) -> None:
        """Closing is no crash, but reads the same."""
        plan = b.plan(b.listen("l", b.one("go")))
        first = await opened(plan)
        run_id = await first.start(plan.digest)
        await first.close()
        async with opened(plan, storage=first.storage, clock=first.clock) as host:
            await host.publish({"id": "1", "source": "/t", "type": "go", "data": 1})
            assert (await host.wait_closed(run_id)).output == [1]


async def test_time_by_hand_stands_still() -> None:
    """A test says itself when something is due."""
    plan = b.plan(b.wait("w", 100), b.act("a"))
    async with opened(plan, by_hand=True) as host:
        run_id = await host.start(plan.digest)
        await host.advance(99)
        assert len(await host.history(run_id)) == 1
        await host.advance(1)
        assert [e.at for e in await host.history(run_id, offset=1)] == [host.now_ms()] * 2
