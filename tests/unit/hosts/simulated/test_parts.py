"""Disk, time, dice and plans of the simulated world."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from random import Random

import pytest

from segue.core import advance
from segue.core.plan import ActNode, Schedule
from segue.hosts.simulated.__main__ import main
from segue.hosts.simulated.auditor import RunAudit, Shadow, inspect, same_state
from segue.hosts.simulated.building import act, plan, wait
from segue.hosts.simulated.effects import Effects
from segue.hosts.simulated.generating import Generator, Taste, random_plan
from segue.hosts.simulated.loop import SimulatedLoop
from segue.hosts.simulated.reach import Violation
from segue.hosts.simulated.realistic import REALISTIC
from segue.hosts.simulated.time import Time
from segue.hosts.simulated.timetable import LATE_MS, Timetable
from segue.types import AttemptSucceeded, Cancel, Perform, RunPaused, RunStarted, StartTimer


class TestEffects:
    @staticmethod
    def doubted() -> Effects:
        effects = Effects()
        effects.intents |= {("r", 1), ("r", 2)}
        effects.asked(("r", 1), "pay", "r:1", "ask")
        return effects

    def test_an_act_in_doubt_is_not_asked_for_again(self) -> None:
        """Whatever the host's ledger says: one that nobody refused may still happen."""
        effects = self.doubted()
        effects.settled(("r", 1), "r:1", "failed")
        with pytest.raises(Violation, match="blindly"):
            effects.asked(("r", 2), "pay", "r:1", "ask")

    def test_a_refusal_ends_the_doubt_once_it_is_on_disk(self) -> None:
        """Also that of an act which its run no longer waits for, so that no event tells of it."""
        effects = self.doubted()
        effects.refused.add(("r", 1))
        effects.settled(("r", 1), "r:1", "failed")
        effects.asked(("r", 2), "pay", "r:1", "ask")


class TestTimetable:
    @staticmethod
    def caught_up() -> Timetable:
        """Every 100 ms since 1000; after the first run the clock was set forward, and one run made up for that."""
        every = replace(plan(wait("w", 1)), schedule=Schedule(every_ms=100))
        table, run = Timetable(every, 1_000), Shadow("r", every, hidden=False, above=None)
        table.started(run, {"kind": "schedule", "due": 1_100}, 1_100, furthest=1_100)
        table.started(run, {"kind": "schedule", "due": 1_200}, 900_050, furthest=900_050)
        return table

    def test_what_one_run_made_up_for_is_not_due_any_more(self) -> None:
        """The next due time is the first one after it."""
        self.caught_up().check_in_time(900_100)

    def test_what_comes_after_it_is(self) -> None:
        """Making up for the past is no excuse for the future."""
        with pytest.raises(Violation, match="was due at 900100"):
            self.caught_up().check_in_time(900_101 + LATE_MS)

    def test_nothing_is_due_before_somebody_was_told_that_it_is_active(self) -> None:
        """Asking may have failed, and the clock may have been set before it was asked again."""
        table = Timetable(replace(plan(wait("w", 1)), schedule=Schedule(every_ms=100)), 1_000)
        table.check_in_time(900_000)
        table.active_at = 900_000
        table.check_in_time(900_100)
        with pytest.raises(Violation, match="was due at 900100"):
            table.check_in_time(900_101 + LATE_MS)


class TestTime:
    def test_calls_come_in_order_of_time_and_then_of_asking(self) -> None:
        """Two calls of one moment never change places, or a seed would be no world."""
        time, seen = Time(0), []
        for name, delay in (("c", 5), ("a", 1), ("b", 1)):
            time.after(delay, lambda name=name: seen.append((time.now, name)))  # type: ignore[misc]
        while time.step():
            pass
        assert seen == [(1, "a"), (1, "b"), (5, "c")]

    def test_the_wall_clock_jumps_without_time_passing(self) -> None:
        """Who counts on the wall is told."""
        time, told = Time(1_000), []
        time.on_jump.append(lambda: told.append(time.wall()))
        time.jump(-300)
        assert (time.now, told) == (0, [700])

    def test_who_only_looks_round_keeps_nothing_going(self) -> None:
        """The world is at rest when only background calls are left; before that they come in their order."""
        time, seen = Time(0), []

        def look() -> None:
            seen.append(time.now)
            time.after(10, look, background=True)

        time.after(10, look, background=True)
        time.after(25, lambda: seen.append(-1))
        while time.step():
            pass
        assert seen == [10, 20, -1]

    def test_nobody_looks_round_for_ever(self) -> None:
        """In a wait of years every sweep but the first few would see the same."""
        time, seen = Time(0), []

        def look() -> None:
            seen.append(time.now)
            time.after(10, look, background=True)

        time.after(10, look, background=True)
        time.after(10**9, lambda: None)
        while time.step():
            pass
        assert seen == [10, 20, 30]


class TestLoop:
    def test_what_a_dead_process_was_about_to_do_never_happens(self) -> None:
        """Not the next step of a task, not a call that was asked for, not a clean-up that asks for more."""
        time, seen = Time(0), []
        loop = SimulatedLoop(time)  # type: ignore[abstract]

        async def work() -> None:
            try:
                await asyncio.sleep(1)
                seen.append("woke")
            finally:
                loop.call_soon(seen.append, "cleaned up")

        loop.spawn(work())
        loop.call_later(0.5, loop.kill)
        while time.step():
            pass
        assert seen == []

    def test_what_nobody_catches_is_kept(self) -> None:
        """An error in a call of the host would otherwise vanish."""
        loop = SimulatedLoop(Time(0))  # type: ignore[abstract]
        loop.run(lambda: loop.call_soon(lambda: 1 / 0))
        assert "division by zero" in loop.errors[0]


class TestGenerating:
    def test_plans_show_every_kind_of_task(self) -> None:
        """A kind that is never drawn is never tested."""
        kinds = {node.kind for seed in range(200) for node in random_plan(Random(seed)).nodes}
        assert len(kinds) == 13
        below = [node for seed in range(50) for node in random_plan(Random(seed), below=["p"]).nodes]
        assert any(isinstance(node, ActNode) and node.handler == "workflow" for node in below)

    def test_a_taste_is_one_sided(self) -> None:
        """Most worlds leave several kinds of tasks out."""
        left_out = [sum(not w for w in Taste.drawn(Random(seed)).kinds.values()) for seed in range(100)]
        assert sum(left_out) / 100 > 2

    def test_the_dice_decide_alone(self) -> None:
        """The same seed draws the same plan."""
        first, again = (Generator(Random(3), Taste.drawn(Random(4))).plan("p") for _ in range(2))
        assert [(n.kind, n.name, n.then) for n in first.nodes] == [(n.kind, n.name, n.then) for n in again.nodes]

    def test_realistic_plans_compile(self) -> None:
        """Hand-written ones stand beside the random ones."""
        assert {made().name for made in REALISTIC} >= {"renewal-risk", "approval", "order-saga"}


class TestRunAudit:
    STARTED = RunStarted(0, "run", "digest")

    def test_it_complains_about_a_command_after_the_end(self) -> None:
        """Nothing leaves a closed run."""
        made = plan()
        state, commands = advance(made, None, self.STARTED)
        audit = RunAudit()
        audit.observe(self.STARTED, commands, state)
        with pytest.raises(Violation, match="closed run"):
            audit.observe(RunPaused(1), [Cancel(1)], state)

    @pytest.mark.parametrize(
        ("extra", "complaint"),
        [
            (Cancel(99), "not open"),
            (StartTimer(2, 5), "given before"),
            (StartTimer(50, -5), "due before"),
            (Perform(60, "h", None, "a", "/", "1"), "under way twice"),
        ],
    )
    def test_it_complains_about_odd_commands(self, extra: object, complaint: str) -> None:
        """Each is a law of its own."""
        state, commands = advance(plan(act("a")), None, self.STARTED)
        with pytest.raises(Violation, match=complaint):
            RunAudit().observe(self.STARTED, [*commands, extra], state)  # type: ignore[list-item]

    def test_it_compares_what_is_open(self) -> None:
        """The state must not forget what its commands gave."""
        state, commands = advance(plan(act("a")), None, self.STARTED)
        state.open.clear()
        with pytest.raises(Violation, match="open"):
            RunAudit().observe(self.STARTED, commands, state)

    def test_a_task_that_waits_for_nothing_is_seen(self) -> None:
        """The most silent of all bugs."""
        state, _ = advance(plan(wait("w", 5)), None, self.STARTED)
        inspect(state)
        state.timers.clear()
        with pytest.raises(Violation, match="waits for nothing"):
            inspect(state)

    def test_states_are_compared_by_what_they_hold(self) -> None:
        """Two folds of one history are equal; one more event makes a difference."""
        made = plan(act("a"), act("b"))
        (one, _), (other, _) = (advance(made, None, self.STARTED) for _ in range(2))
        assert same_state(one, other)
        other, _ = advance(made, other, AttemptSucceeded(1, 2, "x"))
        assert not same_state(one, other)


def test_the_command_counts_and_repeats(capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m segue.hosts.simulated`: any number of seeds, or one with its log."""
    assert main(["--seeds", "5"]) == 0
    assert "5 worlds" in capsys.readouterr().out
    assert main(["--seed", "3"]) == 0
    said = capsys.readouterr().out
    assert "on disk" in said
    assert "nothing to complain of" in said
