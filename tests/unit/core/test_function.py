"""`call` of a function that is itself a task, and tasks wrapped by an extension."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from segue.core.plan import ExtendedNode, Flow, Node
from segue.types import Event, RunStarted

from .plans import (
    IDENTITY,
    Run,
    act,
    attempt,
    broken,
    constant,
    do,
    extended,
    fork,
    function,
    plan,
    program,
    put,
    switch,
    throw,
    word_of,
)


class Checked(Run):
    """A run whose functions' results are checked."""

    def feed(self, event: Event) -> Run:
        if isinstance(event, RunStarted):
            event = msgspec.structs.replace(event, flags=("results",))
        return super().feed(event)


class TestFunction:
    def test_arguments_are_the_raw_input_of_the_body(self) -> None:
        """And its output is the body's, through both tasks' transforms."""
        body = put("body", program(lambda d, v: d["x"] + 1), input_from=IDENTITY, output_as=program(lambda d, v: [d]))
        call = function("f", body, program(lambda d, v: {"x": d}), output_as=program(lambda d, v: {"out": d}))
        assert Run(plan(call), 1).output == {"out": [2]}

    def test_without_arguments_the_body_gets_an_empty_object(self) -> None:
        """`with` left out is an empty map."""
        assert Run(plan(function("f", put("body", IDENTITY))), "in").output == {}

    @pytest.mark.parametrize("then", [Flow.END, Flow.EXIT, 5])
    def test_the_bodys_own_directive_is_ignored(self, then: int) -> None:
        """A function does not know where it is called from."""
        assert Run(plan(function("f", put("body", 1, then=then)), put("b", "b"))).output == "b"
        assert Run(plan(function("f", switch("body", (None, then))), put("b", "b"))).output == "b"

    def test_end_inside_the_body_ends_the_workflow(self) -> None:
        """From any depth."""
        assert Run(plan(function("f", do("body", put("a", 1, then=Flow.END))), put("b", "b"))).output == 1

    def test_a_result_that_is_not_as_promised_faults_the_call(self) -> None:
        """And what is around the call can catch it; the words are those of the check."""

        def promised(value: Any) -> str | None:
            return None if value == 1 else "it is not 1"

        def called(answer: int) -> Node:
            return function("f", put("body", answer), result_check=promised)

        assert Checked(plan(called(1), put("b", "b"))).output == "b"
        run = Checked(plan(called(2), put("b", "b")))
        assert run.state.failure is not None
        assert (word_of(run.state.failure), run.state.failure.detail) == ("validation", "it is not 1")
        assert Checked(plan(attempt("t", called(2), handle=(put("h", "caught"),)))).output == "caught"

    def test_histories_from_before_the_check_replay_without_it(self) -> None:
        """A run must not fail in its past."""
        assert Run(plan(function("f", put("body", 2), result_check=lambda value: "no"))).output == 2

    def test_a_failure_of_the_body_faults_the_call(self) -> None:
        """And can be caught around it."""
        run = Run(plan(attempt("t", function("f", do("body", act("a")))))).fails("a")
        assert run.seen("faulted") == ["a", "body", "f"]

    def test_a_skipped_body_gives_back_the_arguments(self) -> None:
        """Skipping passes the raw input on."""
        assert Run(plan(function("f", put("b", 1, condition=constant(False)), {"x": 1}))).output == {"x": 1}

    def test_broken_arguments_fault_the_call(self) -> None:
        """Before the body starts."""
        assert Run(plan(function("f", put("b", 1), broken()))).failure.instance == "/do/0/f"


def add(name: str) -> Node:
    return put(name, program(lambda d, v: [*d, name]))


class TestExtended:
    def test_before_the_task_after_feed_each_other(self) -> None:
        """In this order."""
        assert Run(plan(extended(add("t"), before=(add("b"),), after=(add("a"),))), []).output == ["b", "t", "a"]

    @pytest.mark.parametrize(("when", "expected"), [(True, ["b", "t", "a"]), (False, ["t"])])
    def test_the_condition_is_tested_once_on_the_raw_input(self, when: bool, expected: list[str]) -> None:
        """False runs the inner task alone."""
        task = extended(add("t"), before=(add("b"),), after=(add("a"),), when=constant(when))
        assert Run(plan(task), []).output == expected

    def test_exit_in_before_skips_the_task(self) -> None:
        """The data so far counts as its output; `after` still runs."""
        first = put("b", program(lambda d, v: [*d, "b"]), then=Flow.EXIT)
        run = Run(plan(extended(act("t"), before=(first,), after=(add("a"),))), [])
        assert run.output == ["b", "a"]
        assert run.acted == []

    def test_a_failure_of_any_part_faults_the_whole(self) -> None:
        """`after` is no `finally`."""
        for parts in ({"before": (throw("x"),)}, {"after": (throw("x"),)}):
            assert Run(plan(extended(add("t"), **parts)), []).state.ended == "faulted"
        run = Run(plan(extended(throw("t"), after=(act("never"),))), [])
        assert run.acted == []

    def test_the_tasks_directive_counts_after_after(self) -> None:
        """Extending a task does not change where the workflow goes."""
        for then, expected in ((Flow.END, ["t", "a"]), (Flow.EXIT, ["t", "a"]), (2, ["t", "a", "z"])):
            inner = put("t", program(lambda d, v: [*d, "t"]), then=then)
            assert Run(plan(extended(inner, after=(add("a"),)), add("skipped"), add("z")), []).output == expected

    def test_a_directive_on_the_wrapper_belongs_to_the_task(self) -> None:
        """Compilers may put it at either place."""
        wrapped = extended(add("t"), after=(add("a"),), then=Flow.END)
        assert Run(plan(wrapped, add("never")), []).output == ["t", "a"]
        assert wrapped.then == Flow.CONTINUE
        assert wrapped.inner.then == Flow.END

    def test_a_skipped_task_ignores_its_directive(self) -> None:
        """Ruling R8, extended or not."""
        skipped = put("t", 1, condition=constant(False), then=Flow.END)
        assert Run(plan(extended(skipped, after=(add("a"),)), add("z")), []).output == ["a", "z"]

    def test_a_case_that_says_continue_replaces_the_tasks_directive(self) -> None:
        """A matched case always does."""
        decide = switch("s", (constant(True), Flow.CONTINUE), then=Flow.END)
        assert Run(plan(extended(decide, after=(add("a"),)), add("z")), []).output == ["a", "z"]

    def test_a_case_jumps_in_the_list_of_the_wrapper(self) -> None:
        """The siblings of the task are those of its wrapper."""
        decide = switch("s", (None, 2))
        assert Run(plan(extended(decide), add("skipped"), add("z")), []).output == ["z"]

    def test_catch_then_replaces_the_tasks_directive(self) -> None:
        """Also `continue`."""
        task = attempt("t", throw("x"), catch_then=Flow.CONTINUE, then=Flow.END)
        assert Run(plan(extended(task), add("z")), []).output == ["z"]

    def test_steps_of_an_extended_task_are_read_by_its_name(self) -> None:
        """The extension is invisible to the document that is extended."""
        see = put("see", program(lambda d, v: v["steps"], "steps"))
        task = extended(put("t", 1, keep=True), after=(put("a", 2),))
        assert Run(plan(task, see)).output["t"] == 2

    def test_extensions_nest(self) -> None:
        """Several extensions: declared order before, reverse order after (R29)."""
        inner = extended(add("t"), before=(add("b2"),), after=(add("a2"),), then=Flow.END)
        outer = extended(inner, before=(add("b1"),), after=(add("a1"),))
        assert Run(plan(outer, add("never")), []).output == ["b1", "b2", "t", "a2", "a1"]

    def test_the_wrapper_is_not_told(self) -> None:
        """Displays show the tasks of the document and of its extensions, not our scaffolding."""
        run = Run(plan(extended(add("t"), before=(add("b"),))), [])
        assert run.seen("started") == ["b", "t"]

    def test_a_wrapped_branch_is_a_branch(self) -> None:
        """Composition holds everywhere."""
        run = Run(plan(fork("f", extended(act("a"), after=(put("x", 1),)), extended(act("b")))))
        assert run.ok("a").ok("b", 2).output == [1, 2]
        assert isinstance(run.plan.nodes[2], ExtendedNode)


def test_a_failing_check_of_a_body_is_a_validation_failure() -> None:
    """Schemas of functions are checks of their bodies."""
    run = Run(plan(function("f", put("b", 1, output_check=lambda v: "no"))))
    assert word_of(run.failure) == "validation"
