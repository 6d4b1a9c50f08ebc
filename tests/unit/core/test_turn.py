"""Rules that hold for every kind of task: data flow, directives, time-outs, operator controls, stray events."""

from __future__ import annotations

import pytest

from segue.core import advance, turn
from segue.core.plan import Flow, Node
from segue.types import AttemptSucceeded, Cancel, EndRun, Perform, RunPaused, StartTimer, TimerFired

from .plans import (
    IDENTITY,
    Run,
    act,
    attempt,
    broken,
    constant,
    do,
    each,
    emit,
    extended,
    fork,
    function,
    listen,
    loop,
    one,
    plan,
    program,
    put,
    retry,
    switch,
    throw,
    variable,
    wait,
    word_of,
)


class TestDataFlow:
    def test_a_task_passes_its_output_on(self) -> None:
        """What is not passed along is gone: the output of one task is the raw input of the next."""
        run = Run(plan(put("a", {"x": 1}), put("b", program(lambda d, v: {**d, "y": 2}))), {"gone": True})
        assert run.output == {"x": 1, "y": 2}

    def test_transforms_apply_in_the_order_of_the_language(self) -> None:
        """input.from, then the definition, then output.as, then export.as, each on the result of the one before."""
        task = put(
            "a",
            program(lambda d, v: d + "-set"),
            input_from=program(lambda d, v: d + "-from"),
            output_as=program(lambda d, v: d + "-as"),
            export_as=program(lambda d, v: d + "-export"),
        )
        run = Run(plan(task, put("b", program(lambda d, v: [d, v["context"]], "context"))), "raw")
        assert run.output == ["raw-from-set-as", "raw-from-set-as-export"]

    def test_the_workflow_transforms_its_input_and_output(self) -> None:
        """The workflow's own transforms stand around the whole list; `$context` begins as its input (R11)."""
        run = Run(
            plan(
                put("a", program(lambda d, v: [d, v["context"]], "context")),
                input_from=program(lambda d, v: d * 2),
                output_as=program(lambda d, v: {"is": d, "context": v["context"]}, "context"),
            ),
            21,
        )
        assert run.output == {"is": [42, 42], "context": 42}

    def test_an_empty_list_gives_back_its_input(self) -> None:
        """Ruling R4."""
        assert Run(plan(), {"x": 1}).output == {"x": 1}

    @pytest.mark.parametrize("where", ["input_check", "output_check", "export_check"])
    def test_a_failed_schema_check_is_a_validation_failure_of_the_task(self, where: str) -> None:
        """Authors find the place by the pointer, so it names the task and not the workflow."""
        run = Run(plan(do("outer", put("a", 1, **{where: lambda value: "no"}))))
        assert word_of(run.failure) == "validation"
        assert run.failure.status == 400
        assert run.failure.instance == "/do/0/outer/do/0/a"

    @pytest.mark.parametrize("where", ["input_check", "output_check"])
    def test_the_workflow_checks_its_input_and_output(self, where: str) -> None:
        """The schemas of the workflow itself are not optional extras of its tasks."""
        run = Run(plan(put("a", 1), **{where: lambda value: "no"}))
        assert word_of(run.failure) == "validation"
        assert run.failure.instance == "/do"

    def test_a_failed_context_check_leaves_the_old_context(self) -> None:
        """Ruling R12: the context is committed after its check."""
        bad = put("bad", 1, export_as=constant("new"), export_check=lambda value: "no")
        run = Run(plan(attempt("t", bad), put("after", variable("context"))), "old")
        assert run.output == "old"

    @pytest.mark.parametrize("where", ["input_from", "output_as", "export_as", "condition"])
    def test_a_broken_transform_is_an_expression_failure_of_the_task(self, where: str) -> None:
        """A failure anywhere in a task is that task's failure, so a `try` around it catches it."""
        caught = attempt("t", put("a", 1, **{where: broken()}), handle=(put("h", variable("error")),))
        error = Run(plan(caught)).output
        assert error["type"].endswith("/expression")
        assert error["instance"] == "/do/0/t/try/0/a"

    @pytest.mark.parametrize("where", ["output_as", "export_as"])
    @pytest.mark.parametrize("kind", ["do", "loop", "fork", "try", "function", "listen", "wait", "act"])
    def test_a_transform_that_breaks_after_the_work_still_faults_the_task(self, kind: str, where: str) -> None:
        """The work of a composite is over when its transform fails; it must end once, and as a failure."""
        broken_one = _one_of(kind, **{where: broken()})
        run = Run(plan(attempt("t", broken_one, handle=(put("h", "handled"),))))
        if kind == "listen":
            run.message("go")
        if kind == "wait":
            run.fire()
        if kind == "act":
            run.ok("x")
        assert run.output == "handled"
        assert run.seen("faulted") == ["x"]

    def test_a_skipped_task_does_nothing_but_pass_its_raw_input_on(self) -> None:
        """Ruling R8: no checks, no transforms, no export, and its `then` is ignored."""
        skipped = put(
            "a",
            1,
            condition=constant(False),
            input_check=lambda value: "no",
            output_as=constant("no"),
            export_as=constant("no"),
            then=Flow.END,
        )
        run = Run(plan(skipped, put("b", program(lambda d, v: [d, v["context"]], "context"))), "raw")
        assert run.output == ["raw", "raw"]
        assert run.seen("skipped") == ["a"]

    @pytest.mark.parametrize(("value", "runs"), [(0, True), ("", True), ([], True), (None, False), (False, False)])
    def test_only_null_and_false_are_false(self, value: object, runs: bool) -> None:
        """jq's truth, which is not Python's (R15)."""
        assert Run(plan(put("a", "ran", condition=constant(value))), "raw").output == ("ran" if runs else "raw")

    def test_steps_shows_outputs_of_this_list_and_those_around_it(self) -> None:
        """`$steps` reads by name what ended earlier; the nearest list wins."""
        inner = do(
            "inner",
            put("a", "inner a", keep=True),
            put("see", program(lambda d, v: dict(v["steps"]), "steps")),
        )
        run = Run(plan(put("a", "outer a", keep=True), put("b", "outer b", keep=True), inner))
        assert run.output == {"a": "inner a", "b": "outer b"}

    def test_steps_forgets_an_inner_list_when_it_ends(self) -> None:
        """A name is visible only in its own list and below it."""
        inner = do("inner", put("hidden", 1, keep=True))
        assert Run(plan(inner, put("see", program(lambda d, v: dict(v["steps"]), "steps")))).output == {}

    def test_task_output_is_seen_by_the_tasks_own_transforms_only(self) -> None:
        """A later task must not see the raw output of an earlier one as its own."""
        see = program(lambda d, v: v["task"]["output"], "task")
        run = Run(plan(put("a", "raw", output_as=see), put("b", program(lambda d, v: [d, see.run(d, v, 0)], "task"))))
        assert run.output == ["raw", None]

    def test_workflow_and_runtime_describe_the_run(self) -> None:
        """Expressions learn the run's id and start from `$workflow`, never from a clock."""
        run = Run(plan(put("a", program(lambda d, v: [v["workflow"], v["runtime"]], "workflow", "runtime"))), 7)
        workflow, runtime = run.output
        assert workflow["id"] == "run-1"
        assert workflow["input"] == 7
        assert workflow["startedAt"]["epoch"] == {"seconds": 1, "milliseconds": 1_000}
        assert workflow["startedAt"]["iso8601"] == "1970-01-01T00:00:01.000Z"
        assert runtime["name"] == "segue"

    def test_authorization_is_redacted(self) -> None:
        """The scheme may be known; the credential may not."""
        run = Run(plan(act("a", variable("authorization"), authorization="bearer")))
        assert run.performs[0].arguments == {"scheme": "bearer", "parameter": "[redacted]"}


def _one_of(kind: str, **more: object) -> Node:
    """A task named `x` of this kind, with something below it where the kind has children."""
    leaf = put("leaf", 1)
    makers = {
        "do": lambda: do("x", leaf, **more),
        "loop": lambda: loop("x", [1, 2], leaf, **more),
        "fork": lambda: fork("x", leaf, **more),
        "try": lambda: attempt("x", leaf, **more),
        "function": lambda: function("x", leaf, **more),
        "listen": lambda: listen("x", one("go"), foreach=each(leaf), **more),
        "wait": lambda: wait("x", 5, **more),
        "act": lambda: act("x", **more),
    }
    return makers[kind]()


class TestDirectives:
    def test_a_jump_goes_to_a_task_of_the_same_list(self) -> None:
        """Forward jumps skip, backward jumps are the language's `while`."""
        count = put("count", program(lambda d, v: d + 1))
        again = switch("again", (program(lambda d, v: d < 3), 0), (None, 3))
        assert Run(plan(count, again, put("skipped", "no"), put("end", program(lambda d, v: d * 10))), 0).output == 30

    def test_exit_completes_the_list_and_the_task_around_it(self) -> None:
        """`exit` leaves one scope, not the workflow."""
        inner = do("inner", put("a", 1, then=Flow.EXIT), put("b", 2))
        assert Run(plan(inner, put("c", program(lambda d, v: ["c", d])))).output == ["c", 1]

    def test_exit_at_the_top_completes_the_workflow(self) -> None:
        """There is no scope around the main one."""
        assert Run(plan(put("a", 1, then=Flow.EXIT), put("b", 2))).output == 1

    def test_exit_in_a_loop_means_next_iteration(self) -> None:
        """Ruling R9."""
        body = loop(
            "l", [1, 2, 3], put("a", program(lambda d, v: [*d, v["item"]], "item"), then=Flow.EXIT), act("no")
        )
        assert Run(plan(body), []).output == [1, 2, 3]

    def test_end_unwinds_through_the_transforms_of_every_composite(self) -> None:
        """Ruling R10: each enclosing composite completes with its own output.as, then nothing else starts."""
        wrap = {"output_as": program(lambda d, v: [d])}
        inner = do("inner", put("a", 1, then=Flow.END), act("never"), **wrap)
        run = Run(plan(do("outer", inner, act("never"), **wrap), act("never"), **wrap))
        assert run.output == [[[1]]]
        assert run.acted == []

    @pytest.mark.parametrize(
        "around",
        [
            lambda t: do("x", t, act("never")),
            lambda t: loop("x", [1, 2], t, act("never")),
            lambda t: fork("x", t, act("other")),
            lambda t: fork("x", act("other"), t, compete=True),
            lambda t: attempt("x", t, act("never"), handle=(act("never"),)),
            lambda t: attempt("x", throw("bad"), handle=(t, act("never"))),
            lambda t: function("x", do("body", t, act("never"))),
            lambda t: extended(do("x", t), after=(act("never"),)),
            lambda t: extended(put("x", 1), before=(t,), after=(act("never"),)),
            lambda t: extended(put("x", 1), after=(t, act("never"))),
        ],
    )
    def test_end_leaves_every_kind_of_composite(self, around) -> None:  # type: ignore[no-untyped-def]
        """From any depth: running siblings are cancelled and nothing else starts."""
        run = Run(plan(around(put("a", "last", then=Flow.END)), act("never")))
        assert run.state.ended == "completed"
        assert "never" not in run.acted
        assert run.state.open == {}
        assert {c.id for c in run.commands if isinstance(c, Perform)} == set(run.cancelled)

    def test_end_leaves_a_listener(self) -> None:
        """A listener with `foreach` still waits while it handles an event; `end` takes the wait back."""
        handle = put("a", "last", then=Flow.END)
        run = Run(plan(listen("x", one("go"), foreach=each(handle)), act("never"))).message("go", 1)
        assert run.output == "last"

    def test_end_in_a_loop_takes_the_loop_variables_away(self) -> None:
        """The loop's own output.as stands outside the iteration."""
        seen = program(lambda d, v: v["item"], "item")
        ending = loop("l", [1], put("a", 1, then=Flow.END), output_as=seen)
        assert Run(plan(ending)).output is None

    def test_end_in_a_branch_keeps_what_the_branch_exported(self) -> None:
        """The workflow's output may be made from `$context`; the branch that ended the run has the last word."""
        ending = put("b", 1, export_as=constant("exported"), then=Flow.END)
        run = Run(plan(fork("f", act("a"), ending), output_as=variable("context")), "old")
        assert run.output == "exported"

    def test_end_gives_way_to_a_failure_of_a_transform_on_its_way(self) -> None:
        """A composite that cannot make its output has failed, and may be caught."""
        bad = do("bad", put("a", 1, then=Flow.END), output_as=broken())
        assert Run(plan(attempt("t", bad), put("after", "went on"))).output == "went on"

    def test_a_run_without_end_or_wait_is_stopped(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An endless backward jump must not hang its host."""
        monkeypatch.setattr(turn, "TASKS_PER_EVENT_MAX", 50)
        run = Run(plan(attempt("t", put("a", 1, then=0)), put("b", 1, then=0)))
        assert word_of(run.failure) == "runtime"
        assert "backward jump" in (run.failure.detail or "")

    def test_ten_thousand_iterations_need_no_deeper_stack(self) -> None:
        """The agenda is a list: depth of Python's stack does not grow with the data."""
        body = loop("l", list(range(10_000)), put("a", variable("index")))
        assert Run(plan(body)).output == 9_999


class TestTimeouts:
    @pytest.mark.parametrize(
        "make",
        [
            lambda: act("x", timeout=100),
            lambda: wait("x", 1_000, timeout=100),
            lambda: do("x", act("a"), timeout=100),
            lambda: loop("x", [1, 2], act("a"), timeout=100),
            lambda: fork("x", act("a"), wait("w", 999), timeout=100),
            lambda: fork("x", act("a"), wait("w", 999), compete=True, timeout=100),
            lambda: attempt("x", act("a"), handle=(), timeout=100),
            lambda: listen("x", one("go"), timeout=100),
            lambda: function("x", do("body", act("a")), timeout=100),
        ],
    )
    def test_expiry_faults_the_task_and_cancels_everything_in_it(self, make) -> None:  # type: ignore[no-untyped-def]
        """Interrupt, then raise at the component that timed out; a `try` around it may catch that."""
        run = Run(plan(attempt("t", make(), handle=(put("h", variable("error")),))))
        given = set(run.state.open)
        run.fire()
        assert run.output["type"].endswith("/timeout")
        assert run.output["status"] == 408
        assert run.output["instance"] == "/do/0/t/try/0/x"
        assert run.now == 1_100
        assert len(set(run.cancelled)) == len(given) - 1

    def test_a_task_that_ends_in_time_takes_its_timer_back(self) -> None:
        """Otherwise a host would wake for nothing, days later."""
        run = Run(plan(act("a", timeout=100), act("b")))
        timer = next(iter(run.timers))
        run.ok("a")
        assert run.cancelled == [timer]
        assert run.timers == {}

    def test_the_time_out_of_the_workflow_cannot_be_caught(self) -> None:
        """Ruling R28."""
        run = Run(plan(attempt("t", act("a"), handle=(put("h", 1),)), timeout=50)).fire()
        assert word_of(run.failure) == "timeout"
        assert run.failure.instance == "/do"
        assert run.state.open == {}

    def test_the_time_out_of_a_branch_faults_its_fork(self) -> None:
        """A branch is a task like any other."""
        run = Run(plan(fork("f", do("b", act("a"), timeout=10), act("c")))).fire()
        assert word_of(run.failure) == "timeout"
        assert run.failure.instance == "/do/0/f/fork/branches/0/b"

    def test_a_time_out_covers_retries_and_their_pauses(self) -> None:
        """A task's time-out covers everything inside it; `try` does not catch its own."""
        again = attempt("t", act("a"), retry=retry(delay=40, count=9), timeout=100)
        run = Run(plan(again))
        for _ in range(2):
            run.fails("a").fire()
        run.fails("a").fire()
        assert word_of(run.failure) == "timeout"
        assert run.failure.instance == "/do/0/t"
        assert run.now == 1_100

    def test_a_broken_time_out_faults_the_task_before_it_starts(self) -> None:
        """No act may go out without the limit that its author put on it."""
        run = Run(plan(act("a", timeout=broken())))
        assert word_of(run.failure) == "expression"
        assert run.acted == []


class TestPauseAndResume:
    def test_a_paused_run_starts_nothing_and_lets_what_runs_finish(self) -> None:
        """Pausing is safe at any moment because no act begins and none is torn."""
        run = Run(plan(act("a"), act("b"))).pause()
        assert run.state.status == "suspended"
        run.ok("a", 1)
        assert run.acting == []
        run.resume()
        assert run.acting == ["b"]
        assert run.performs[0].arguments == 1

    def test_a_pause_stops_no_clock(self) -> None:
        """A limit is a promise about time, and the world does not wait while a run is paused."""
        run = Run(plan(attempt("t", act("a", timeout=10), handle=(act("h"),)))).pause()
        (number,) = run.timers
        run.fire(number)
        assert run.acting == []
        assert run.resume().acting == ["h"]

    def test_deferred_starts_keep_their_order(self) -> None:
        """A resumed run goes on as if the pause had not been."""
        run = Run(plan(fork("f", do("x", act("a"), act("a2")), do("y", act("b"), act("b2"))))).pause()
        run.ok("b").ok("a").resume()
        assert run.acting == ["b2", "a2"]

    def test_a_pause_holds_the_next_iteration_and_the_handler_of_a_failure(self) -> None:
        """Every start goes through the same door."""
        run = Run(plan(loop("l", [1, 2], attempt("t", act("a"), handle=(act("h"),)))))
        run.pause().fails("a")
        assert run.acting == []
        run.resume()
        assert run.acting == ["h"]
        run.pause().ok("h").resume()
        assert run.acting == ["a"]
        assert run.performs[0].iteration == (1,)

    def test_a_pause_holds_a_retry(self) -> None:
        """The pause of a retry may end while the run is paused; the attempt waits for the operator."""
        run = Run(plan(attempt("t", act("a"), retry=retry(delay=10, count=1)))).pause().fails("a").fire()
        assert run.acting == []
        run.resume()
        assert run.acting == ["a"]

    def test_what_was_deferred_below_a_task_that_ended_never_starts(self) -> None:
        """A time-out during a pause takes the deferred starts of its task with it."""
        run = Run(plan(attempt("t", do("d", act("a"), act("b"), timeout=10)), act("c"))).pause()
        run.ok("a").fire()
        run.resume()
        assert run.acting == ["c"]
        assert "b" not in run.acted

    def test_an_attempt_that_timed_out_in_a_pause_forgets_what_was_deferred(self) -> None:
        """The `try` itself has not ended, so the deferred start must be dropped by its list, not by its parent."""
        policy = retry(attempt_duration=10, count=1)
        run = Run(plan(attempt("t", act("a"), act("b"), retry=policy))).pause()
        run.ok("a").fire().fire()
        run.resume()
        assert run.acting == ["a"]

    def test_a_compete_decided_in_a_pause_drops_the_deferred_losers(self) -> None:
        """The winner ends the fork, whatever its siblings were waiting for."""
        run = Run(plan(fork("f", do("x", act("a"), act("a2")), act("b"), compete=True))).pause()
        run.ok("a").ok("b", "won").resume()
        assert run.output == "won"

    def test_a_paused_run_still_consumes_messages(self) -> None:
        """What strangers send while an operator thinks is not lost."""
        run = Run(plan(listen("l", one("go")), act("a"))).pause().message("go", 5)
        assert run.acting == []
        run.resume()
        assert run.performs[0].arguments == [5]

    def test_a_paused_run_can_end(self) -> None:
        """What is under way may finish, and that may be the end."""
        assert Run(plan(act("a"))).pause().ok("a", 3).output == 3

    def test_pausing_twice_and_resuming_twice_changes_nothing(self) -> None:
        """Operators click twice."""
        run = Run(plan(act("a"), act("b"))).pause().pause().ok("a").resume().resume()
        assert run.acting == ["b"]
        assert [m.what for m in run.trace if m.kind == "workflow"] == ["started", "suspended", "resumed"]


class TestCancel:
    def test_cancel_reaches_every_child(self) -> None:
        """Nothing outlives its parent."""
        tree = fork(
            "f",
            act("a", timeout=5),
            wait("w", 9),
            listen("l", one("go")),
            attempt("t", act("b"), retry=retry(attempt_duration=4)),
            timeout=99,
        )
        run = Run(plan(tree, timeout=1_000))
        given = set(run.state.open)
        run.cancel()
        assert run.state.ended == "cancelled"
        assert set(run.cancelled) == given
        assert isinstance(run.latest[-1], EndRun)
        assert run.state.open == {}

    def test_cancel_stops_what_nobody_waits_for(self) -> None:
        """An operator who cancels means everything below the run."""
        run = Run(plan(act("a", wait=False), act("b"))).cancel()
        assert len(run.cancelled) == 2

    def test_a_paused_run_can_be_cancelled(self) -> None:
        """Pausing first and deciding later is what operators do."""
        run = Run(plan(act("a"), act("b"))).pause().ok("a").cancel()
        assert run.state.ended == "cancelled"
        assert run.acted == ["a"]

    def test_nothing_leaves_a_closed_run(self) -> None:
        """Late answers, timers, messages and controls find the door shut."""
        run = Run(plan(act("a"))).cancel()
        before = list(run.commands)
        run.ok(2).fails(2).fire(3).message("go").pause().resume().cancel()
        assert run.commands == before
        assert run.state.ended == "cancelled"
        assert run.state.paused is False


class TestStrayEvents:
    def test_a_stale_answer_changes_nothing(self) -> None:
        """Answers cross cancellations on the way."""
        run = Run(plan(fork("f", act("a"), act("b"), compete=True), act("c")))
        loser = run.id_of("b")
        run.ok("a", "won").ok(loser, "late").fails(loser)
        assert run.acting == ["c"]
        assert run.performs[0].arguments == "won"

    def test_a_second_answer_changes_nothing(self) -> None:
        """Hosts deliver at least once."""
        run = Run(plan(act("a"), act("b")))
        first = run.id_of("a")
        run.ok(first, 1).ok(first, 2).fails(first)
        assert run.performs[0].arguments == 1

    @pytest.mark.parametrize("make", [lambda: wait("x", 9), lambda: listen("x", one("go"))])
    def test_only_an_act_is_answered_by_an_attempt(self, make) -> None:  # type: ignore[no-untyped-def]
        """An answer addressed to a timer or a wait must neither crash the run nor lose its command."""
        run = Run(plan(make()))
        number = next(iter(run.state.open))
        run.ok(number).fails(number)
        assert list(run.state.open) == [number]

    def test_only_a_timer_is_answered_by_the_clock(self) -> None:
        """A timer event with an act's id must not take the act away."""
        run = Run(plan(act("a")))
        run.fire(run.id_of("a"))
        assert run.acting == ["a"]

    def test_a_clock_that_jumps_back_does_not_turn_the_runs_time(self) -> None:
        """Inside a run, time never decreases: a timer is due after the event that set it."""
        state, _ = advance(run_plan := plan(act("a"), wait("w", 100)), None, Run(plan()).history[0])
        state, commands = advance(run_plan, state, AttemptSucceeded(5_000, 2))
        state, _ = advance(run_plan, state, RunPaused(10))
        assert state.last_at == 5_000
        assert next(c for c in commands if isinstance(c, StartTimer)).due_ms == 5_100

    def test_a_history_begins_with_the_start(self) -> None:
        """Anything else is a history of something else."""
        with pytest.raises(AssertionError, match="RunStarted"):
            advance(plan(), None, TimerFired(1, 1))


class TestTrace:
    def test_the_trace_tells_each_task_once(self) -> None:
        """Displays and lifecycle events are made from it: one start, one end for each task that ran."""
        run = Run(plan(do("d", put("a", 1), act("b")), wait("w", 5))).ok("b").fire()
        assert run.seen("started") == ["d", "a", "b", "w"]
        assert run.seen("completed") == ["a", "b", "d", "w"]

    def test_a_loop_stands_in_the_iteration_around_it(self) -> None:
        """The loop counts for its children, not for itself."""
        run = Run(plan(loop("l", [1, 2], put("a", 1))))
        places = [(m.what, m.name, m.iteration) for m in run.trace if m.kind != "workflow"]
        assert ("completed", "a", (1,)) in places
        assert ("completed", "l", ()) in places

    def test_cancelled_tasks_are_told_innermost_first(self) -> None:
        """Whoever reads the trace sees children end before their parents."""
        run = Run(plan(fork("f", do("d", act("a")), act("b")))).cancel()
        assert run.seen("cancelled") == ["b", "a", "d", "f"]


def test_an_emitted_event_is_named_by_run_and_task() -> None:
    """Ruling R19: a replay emits the same event, so consumers can drop the second one."""
    run = Run(plan(emit("e", {"type": "made", "data": {"x": 1}, "subject": None})))
    assert run.output == {
        "specversion": "1.0",
        "id": "run-1-2",
        "source": "/tests/test/1.0.0",
        "time": "1970-01-01T00:00:01.000Z",
        "type": "made",
        "data": {"x": 1},
        "datacontenttype": "application/json",
    }


def test_identity_is_the_default_of_every_transform() -> None:
    """Writing nothing and writing `.` mean the same."""
    written = put("a", 5, input_from=IDENTITY, output_as=IDENTITY)
    assert Run(plan(written)).output == Run(plan(put("a", 5))).output


def test_every_cancel_names_something_that_was_open() -> None:
    """A host may treat an unknown cancel as a bug of the core."""
    run = Run(plan(fork("f", act("a"), wait("w", 5), compete=True), act("b", timeout=9))).ok("a").ok("b")
    given: set[int] = set()
    for command in run.commands:
        if isinstance(command, Cancel):
            assert command.id in given
            given.remove(command.id)
        elif not isinstance(command, EndRun):
            given.add(command.id)
