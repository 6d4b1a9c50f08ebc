"""`call` and `run`: one command, one answer; the output is that answer."""

from __future__ import annotations

from segue.core.plan import Flow
from segue.types import EndRun, Perform

from .plans import (
    Run,
    act,
    attempt,
    constant,
    do,
    each,
    fork,
    listen,
    loop,
    one,
    plan,
    program,
    put,
    retry,
    switch,
    word_of,
)


def effects(run: Run) -> list[str]:
    return [c.effect for c in run.commands if isinstance(c, Perform)]


class TestAct:
    def test_it_asks_its_handler_and_outputs_the_answer(self) -> None:
        """The arguments are a template over the transformed input."""
        task = act("a", program(lambda d, v: {"x": d}), handler="http", input_from=program(lambda d, v: d + 1))
        run = Run(plan(task), 1)
        perform = run.performs[0]
        assert (perform.handler, perform.arguments, perform.pointer) == ("http", {"x": 2}, "/do/0/a")
        assert run.ok("a", {"answer": 42}).output == {"answer": 42}

    def test_arguments_that_do_not_fit_never_leave(self) -> None:
        """A check of arguments guards the outside, so it comes before the command."""
        run = Run(plan(act("a", arguments_check=lambda value: "no")))
        assert word_of(run.failure) == "validation"
        assert run.acted == []

    def test_a_result_that_does_not_fit_is_a_validation_failure(self) -> None:
        """A foolish model may answer anything."""
        run = Run(plan(attempt("t", act("a", result_check=lambda value: "no"), handle=(put("h", 1),)))).ok("a", "x")
        assert run.output == 1

    def test_a_failed_attempt_faults_the_task_at_its_pointer(self) -> None:
        """The handler does not know where in the document it is called from."""
        reason = Run(plan(act("a"))).fails("a", status=503).failure
        assert (word_of(reason), reason.status, reason.instance) == ("communication", 503, "/do/0/a")

    def test_a_failure_of_a_child_run_keeps_its_own_place(self) -> None:
        """The deeper place is the better one."""
        assert Run(plan(act("a"))).fails("a", instance="/do/7/deep").failure.instance == "/do/7/deep"


class TestDetached:
    def test_it_completes_at_once_with_its_input(self) -> None:
        """`await: false`: nobody waits."""
        run = Run(plan(act("a", wait=False), put("b", program(lambda d, v: ["b", d]))), 1)
        assert run.output == ["b", 1]
        assert run.acted == ["a"]

    def test_it_outlives_a_run_that_ends_by_itself(self) -> None:
        """The act was asked for; that nobody reads its answer does not undo it."""
        run = Run(plan(act("a", wait=False)))
        assert run.cancelled == []
        assert run.acting == ["a"]
        assert isinstance(run.latest[-1], EndRun)

    def test_its_answer_after_the_end_closes_it(self) -> None:
        """So a host knows from history alone whether a crash lost it."""
        run = Run(plan(act("a", wait=False))).ok("a")
        assert run.state.open == {}
        assert run.state.ended == "completed"
        assert Run(plan(act("a", wait=False))).fails("a").state.open == {}

    def test_its_answer_or_failure_changes_nothing_else(self) -> None:
        """Neither result nor failure reaches the document."""
        run = Run(plan(act("a", wait=False), act("b")))
        assert run.fails("a").acting == ["b"]

    def test_it_survives_the_failure_of_its_task_and_of_those_around_it(self) -> None:
        """It is already on its way when a later transform or sibling breaks."""
        run = Run(plan(attempt("t", do("d", act("a", wait=False), act("b")), handle=(act("h"),)))).fails("b")
        assert run.acting == ["a", "h"]

    def test_it_starts_no_later_than_anything_else_in_a_pause(self) -> None:
        """Not waiting is no way around an operator."""
        run = Run(plan(act("a"), act("b", wait=False), act("c"))).pause().ok("a")
        assert run.acting == []


class TestEffectNames:
    def test_an_act_keeps_its_name_over_attempts(self) -> None:
        """A lost answer followed by a retry must look like one act to an idempotent system."""
        run = Run(plan(attempt("t", act("a"), act("b"), retry=retry(count=3)))).ok("a").fails("b").fire().ok("a")
        names = effects(run)
        assert names[:2] == names[2:]
        assert names[0] != names[1]

    def test_each_iteration_is_another_act(self) -> None:
        """The second customer's letter is not a repetition of the first one's."""
        run = Run(plan(loop("l", [1, 2], loop("m", [1, 2], act("a")))))
        for _ in range(4):
            run.ok("a")
        assert len(set(effects(run))) == 4

    def test_each_event_of_a_listener_is_another_act(self) -> None:
        """As with a loop."""
        run = Run(plan(listen("l", one("go"), foreach=each(act("a"))))).message("go")
        other = Run(plan(act("a"), act("b")))
        assert effects(run) != effects(other)

    def test_a_backward_jump_makes_another_act(self) -> None:
        """The language's `while` asks for the act again."""
        run = Run(plan(act("a"), do("d", act("b")), switch("again", (constant(True), 0))))
        run.ok("a").ok("b").ok("a").ok("b")
        assert len(set(effects(run))) == len(effects(run)) == 5

    def test_a_backward_jump_inside_an_attempt_counts_anew_in_the_next(self) -> None:
        """Attempt two repeats the acts of attempt one, jump by jump."""
        again = switch("again", (program(lambda d, v: d == "again"), 0))
        run = Run(plan(attempt("t", act("a"), again, act("b"), retry=retry(count=1))))
        run.ok("a", "again").ok("a").fails("b").fire().ok("a", "again").ok("a")
        names = effects(run)
        assert names[:3] == names[3:]

    def test_branches_are_different_acts(self) -> None:
        """Two branches may call the same operation with the same arguments and mean two."""
        assert len(set(effects(Run(plan(fork("f", act("a"), act("b"))))))) == 2

    def test_a_skip_does_not_rename_what_follows(self) -> None:
        """Otherwise a retry that takes another way would double what both ways share."""
        cold = act("maybe", condition=program(lambda d, v: v["context"] is None, "context"))
        first = attempt("t", cold, act("a", export_as=constant(1)), act("b"), retry=retry(count=1))
        run = Run(plan(first, act("c", then=Flow.END))).ok("maybe").ok("a").fails("b").fire()
        assert run.acted == ["maybe", "a", "b", "a"]
        assert effects(run)[1] == effects(run)[3]
