"""Held failures, and what an operator may do: start again, go back, skip, give up."""

from __future__ import annotations

from typing import Any

import pytest

from segue.core import advance, replay
from segue.core.plan import Program
from segue.types import (
    FailureReleased,
    Perform,
    RunStarted,
    TaskRestarted,
    TaskSkipped,
)

from .plans import (
    Run,
    act,
    any_of,
    attempt,
    broken,
    do,
    each,
    extended,
    fork,
    listen,
    loop,
    one,
    plan,
    put,
    retry,
    throw,
    variable,
    wait,
    word_of,
)


class Held(Run):
    """A run that holds failures."""

    def feed(self, event: Any) -> Held:
        if isinstance(event, RunStarted):
            event = RunStarted(event.at, event.run_id, event.definition, event.input, event.seed, {}, ("hold",))
        super().feed(event)
        return self

    @property
    def held(self) -> list[str]:
        return [self.state.frames[number].node.name for number in self.state.held]

    def act(self, name: str) -> Perform:
        return next(p for p in self.performs if p.name == name)

    def live(self, name: str) -> int:
        return next(number for number, frame in self.state.frames.items() if frame.node.name == name)

    def restart(self, name: str, **more: Any) -> Held:
        return self.feed(TaskRestarted(self.now, self.live(name), **more))

    def skip(self, name: str, output: Any) -> Held:
        return self.feed(TaskSkipped(self.now, self.live(name), output))

    def release(self, name: str) -> Held:
        return self.feed(FailureReleased(self.now, self.live(name)))


class TestHolding:
    def test_without_the_flag_a_failure_faults_the_run(self) -> None:
        """As the language says."""
        assert Run(plan(act("a"))).fails("a").state.status == "faulted"

    def test_a_failure_nobody_catches_waits_for_a_person(self) -> None:
        """Halt, explain, fix in place, go on from the same point."""
        run = Held(plan(act("a"), act("b")))
        run.fails("a")
        assert run.held == ["a"]
        assert run.state.status == "suspended"
        assert not run.state.open

    def test_a_failure_that_is_caught_is_not_held(self) -> None:
        """The document knows what to do."""
        assert Held(plan(attempt("t", act("a"), handle=(put("h", "handled"),)))).fails("a").output == "handled"

    def test_a_retried_list_that_runs_out_is_held_as_a_whole(self) -> None:
        """Starting it again gives it all its attempts again."""
        run = Held(plan(attempt("t", act("a"), retry=retry(count=1))))
        run.fails("a").fire().fails("a")
        assert run.held == ["t"]
        run.restart("t").fails("a").fire()
        assert run.ok("a", 1).output == 1

    def test_a_raise_is_never_held(self) -> None:
        """The author wants the run to end that way."""
        assert Held(plan(throw("r", "runtime"))).state.status == "faulted"

    def test_a_raise_is_held_on_no_level(self) -> None:
        """Nor are the tasks around it, whose failure it becomes."""
        nested = do("d", loop("l", [1], attempt("t", throw("r", "runtime"), retry=retry(count=0))))
        assert Held(plan(nested)).state.status == "faulted"

    def test_the_answer_of_an_act_that_nobody_waits_for_does_not_end_a_held_task(self) -> None:
        """The task failed after it had let the act go; its failure is for a person."""
        run = Held(plan(act("a", wait=False, output_as=broken()), act("b")))
        assert run.held == ["a"]
        run.ok("a", 1)
        assert run.held == ["a"]
        assert run.skip("a", 2).act("b").arguments == 2

    def test_the_siblings_of_a_held_branch_go_on(self) -> None:
        """One broken branch must not cost the others their work."""
        run = Held(plan(fork("f", act("a"), act("b"))))
        run.fails("a")
        assert run.state.status == "running"
        run.ok("b", 2)
        assert run.held == ["a"]
        assert run.restart("a").ok("a", 1).output == [1, 2]

    def test_only_the_last_competitor_is_held(self) -> None:
        """The others simply do not win."""
        run = Held(plan(fork("f", act("a"), act("b"), compete=True)))
        run.fails("a")
        assert run.held == []
        run.fails("b")
        assert run.held == ["b"]

    def test_a_competitor_that_has_not_begun_never_does_when_the_fork_is_held(self) -> None:
        """The first won at once, and then what the fork exports did not fit."""
        race = fork("f", put("a", 1), act("b"), compete=True, export_check=lambda value: "it does not fit")
        run = Held(plan(race))
        assert run.held == ["f"]
        assert not run.acting

    def test_the_time_out_around_a_held_task_still_ends_it(self) -> None:
        """Holding must not turn a limit off; now it is the outer task that is held."""
        run = Held(plan(do("d", act("a"), timeout=1000)))
        run.fails("a").fire()
        assert run.held == ["d"]
        assert word_of(run.state.held[run.live("d")]) == "timeout"

    def test_the_own_time_out_of_a_held_task_stops(self) -> None:
        """People take longer than machines."""
        run = Held(plan(act("a", timeout=1000)))
        run.fails("a")
        assert not run.state.open

    def test_cancelling_a_run_ends_what_is_held(self) -> None:
        """Nothing outlives its run."""
        run = Held(plan(act("a")))
        run.fails("a").cancel()
        assert run.state.status == "cancelled"
        assert not run.state.held


class TestInterventions:
    def test_a_payload_is_fixed_in_place(self) -> None:
        """The same run goes on, with the corrected input."""
        run = Held(plan(act("a"), act("b")), {"amount": "ten"})
        run.fails("a", "validation").restart("a", input={"amount": 10})
        assert run.act("a").arguments == {"amount": 10}
        assert run.ok("a", 1).ok("b", 2).output == 2

    def test_an_act_keeps_its_name_when_it_starts_again(self) -> None:
        """Or an effect that happened would happen twice."""
        run = Held(plan(loop("l", [1, 2], act("a"))))
        run.ok("a")
        before = run.act("a").effect
        run.fails("a").restart("a")
        assert run.act("a").effect == before

    def test_a_task_under_way_can_start_again(self) -> None:
        """Its first attempt is cancelled, so its answer no longer counts."""
        run = Held(plan(act("a")))
        first = run.id_of("a")
        run.restart("a")
        assert run.id_of("a") != first
        assert run.ok(first, "late").state.ended is None
        assert run.ok("a", "now").output == "now"

    def test_a_run_goes_back_to_an_earlier_task(self) -> None:
        """What is under way in that list is cancelled."""
        run = Held(plan(act("a"), act("b")))
        run.ok("a", 1).fails("b")
        root = next(iter(run.state.frames))
        run.feed(TaskRestarted(run.now, root, node=1, input="again"))
        assert run.act("a").arguments == "again"
        assert run.held == []
        assert run.ok("a", 3).ok("b", 4).output == 4

    @pytest.mark.parametrize("node", [0, 3, 99, -1])
    def test_a_run_goes_nowhere_that_is_not_in_the_list(self, node: int) -> None:
        """Nodes: the workflow itself, a task of another list, none, none."""
        run = Held(plan(act("a"), do("d", act("b"))))
        root = next(iter(run.state.frames))
        run.feed(TaskRestarted(run.now, root, node=node, input=None))
        assert list(run.acting) == ["a"]

    def test_a_loop_that_never_began_has_no_element_to_go_back_to(self) -> None:
        """It starts again as a whole."""
        run = Held(plan(loop("l", 5, act("a"))))
        assert run.held == ["l"]
        run.restart("l", node=2, input=1)
        assert run.held == ["l"]
        assert not run.acting

    def test_a_listener_without_an_event_has_no_handling_to_go_back_to(self) -> None:
        """There is no event to handle; the wait stays as it is."""
        run = Held(plan(listen("l", any_of("x", until=one("stop")), foreach=each(act("a")))))
        run.restart("l", node=2, input=1)
        assert not run.acting
        run.message("x").restart("l", node=2, input="again")
        assert run.act("a").arguments == "again"

    def test_a_catch_is_not_entered_without_an_error(self) -> None:
        """It would handle nothing; from inside it, its first task and the tried list can be gone back to."""
        run = Held(plan(attempt("t", act("a"), handle=(act("b"), act("c")))))
        run.restart("t", node=3, input=1)
        assert list(run.acting) == ["a"]
        run.fails("a").ok("b").restart("t", node=3, input=1)
        assert list(run.acting) == ["b"]
        run.restart("t", node=2, input=1)
        assert list(run.acting) == ["a"]

    def test_a_skipped_task_that_an_extension_wraps_keeps_its_directive(self) -> None:
        """The wrapper's way on is that of the task inside."""
        wrapped = extended(act("a", then=2), before=(act("x"),))
        run = Held(plan(wrapped, act("b"), act("c")))
        wrapper = next(n for n, f in run.state.frames.items() if f.node.kind == "extended")
        run.feed(TaskSkipped(run.now, wrapper, 1))
        assert list(run.acting) == ["c"]

    def test_a_skipped_task_gives_its_output_to_the_next(self) -> None:
        """A person did it by hand."""
        run = Held(plan(act("a"), act("b")))
        run.fails("a").skip("a", "by hand")
        assert run.act("b").arguments == "by hand"

    def test_a_wait_can_be_skipped(self) -> None:
        """Its timer is cancelled."""
        run = Held(plan(wait("w", 60_000), act("a")))
        run.skip("w", 7)
        assert run.act("a").arguments == 7
        assert not run.timers

    def test_what_is_skipped_is_read_by_name(self) -> None:
        """`$steps` sees what the person said."""
        first = act("a", keep=True)
        run = Held(plan(first, put("p", variable("steps"))))
        assert run.fails("a").skip("a", 5).output == {"a": 5}

    def test_giving_up_faults_the_run(self) -> None:
        """The failure goes the way that the document gives it."""
        run = Held(plan(do("d", act("a"))))
        run.fails("a").release("a")
        assert run.state.status == "faulted"
        assert word_of(run.state.failure) == "communication"

    def test_giving_up_one_failure_gives_up_no_other(self) -> None:
        """The document catches the released one by now; what goes wrong while it does is another failure."""
        later = Program(lambda data, variables, now_ms: now_ms > 5_000)
        run = Held(plan(attempt("t", act("a"), when=later, handle=(put("h", broken()),))))
        run.fails("a")
        run.now = 6_000
        run.release("a")
        assert run.held == ["h"]

    def test_only_a_held_failure_can_be_given_up(self) -> None:
        """A task under way has none."""
        run = Held(plan(act("a")))
        run.release("a")
        assert run.state.status == "running"

    def test_a_paused_run_starts_again_when_it_is_resumed(self) -> None:
        """Pause means that nothing new begins."""
        run = Held(plan(act("a")))
        run.fails("a").pause().restart("a")
        assert not run.acting
        assert list(run.resume().acting) == ["a"]

    def test_interventions_replay(self) -> None:
        """They are events like any other."""
        run = Held(plan(act("a"), act("b")))
        run.fails("a").restart("a", input=1).ok("a", 2).fails("b").skip("b", 3)
        assert replay(run.plan, run.history).output == run.output == 3

    def test_an_intervention_on_what_is_gone_changes_nothing(self) -> None:
        """Two operators may press at once."""
        run = Held(plan(act("a"), act("b")))
        gone = run.live("a")
        run.ok("a")
        for event in (TaskRestarted(1, gone), TaskSkipped(1, gone, 1), FailureReleased(1, gone)):
            state, commands = advance(run.plan, run.state, event)
            assert not commands
            assert list(state.frames) == [1, run.live("b")]


def test_the_version_of_the_runtime_is_that_of_the_start() -> None:
    """A later release replays the same value."""
    definition = plan(put("p", variable("runtime")))
    state, _ = advance(definition, None, RunStarted(1, "r", "d", runtime="0.0.9"))
    assert state.output["version"] == "0.0.9"
