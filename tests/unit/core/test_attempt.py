"""`try`: caught, retried or passed on exactly as ruling R17 orders it."""

from __future__ import annotations

import pytest

from segue.core.machines.attempt import BACKOFF_MS_MAX
from segue.core.plan import Flow
from segue.types import ERROR_BASE, StartTimer

from .plans import (
    IDENTITY,
    Run,
    act,
    attempt,
    broken,
    constant,
    do,
    plan,
    program,
    put,
    retry,
    throw,
    variable,
    word_of,
)

ERROR = put("h", variable("error"))


def pauses(run: Run) -> list[int]:
    """Every pause asked for, in milliseconds, while failing `a` until nothing is retried."""
    found = []
    while run.acting:
        run.fails("a")
        timers = [c for c in run.latest if isinstance(c, StartTimer)]
        if timers:
            found.append(timers[0].due_ms - run.now)
            run.fire()
    return found


class TestCatch:
    def test_success_passes_through(self) -> None:
        """The output of the list is the output of the task."""
        assert Run(plan(attempt("t", act("a"), handle=(act("h"),)))).ok("a", 5).output == 5

    def test_an_empty_list_gives_back_its_input(self) -> None:
        """As every empty list (R4)."""
        assert Run(plan(attempt("t")), 5).output == 5

    def test_an_empty_catch_swallows_and_gives_back_the_input(self) -> None:
        """Ruling R17: without `do` and without retry."""
        assert Run(plan(attempt("t", act("a"))), "in").fails("a").output == "in"

    def test_the_handler_gets_the_tasks_input_and_the_error(self) -> None:
        """Its output is the task's."""
        both = put("h", program(lambda d, v: [d, v["error"]["status"]], "error"))
        task = attempt("t", put("x", "lost"), act("a"), handle=(both,), input_from=program(lambda d, v: d + 1))
        assert Run(plan(task), 1).fails("a", status=503).output == [2, 503]

    def test_the_error_variable_can_be_renamed(self) -> None:
        """`catch.as`."""
        run = Run(plan(attempt("t", throw("a"), handle=(put("h", variable("oops")),), catch_as="oops")))
        assert run.output["status"] == 418

    def test_the_error_variable_ends_with_the_task(self) -> None:
        """Later tasks do not see an error that was handled."""
        run = Run(plan(attempt("t", throw("a"), handle=(put("h", 1),), output_as=variable("error")), ERROR))
        assert run.output is None

    def test_an_empty_handler_is_a_handler(self) -> None:
        """`do: []` after retries: the failure is handled, by doing nothing."""
        task = attempt("t", act("a"), handle=(), retry=retry(count=1))
        assert Run(plan(task), "in").fails("a").fire().fails("a").output == "in"

    def test_a_failure_in_the_handler_is_not_caught_again(self) -> None:
        """Otherwise a broken handler would call itself."""
        run = Run(plan(attempt("t", act("a"), handle=(act("h"),)))).fails("a", status=500).fails("h", status=501)
        assert run.failure.status == 501
        assert run.failure.instance == "/do/0/t/catch/do/0/h"

    def test_an_outer_try_catches_what_the_handler_raises(self) -> None:
        """Passing on reaches the next one around."""
        inner = attempt("t", throw("a"), handle=(throw("h", status=499),))
        assert Run(plan(attempt("outer", inner, handle=(ERROR,)))).output["status"] == 499

    def test_catch_then_replaces_the_tasks_own_directive(self) -> None:
        """On the error path only."""
        task = attempt("t", act("a"), catch_then=2, then=Flow.CONTINUE)
        tasks = (task, put("b", "b", then=Flow.END), put("c", "c"))
        assert Run(plan(*tasks)).fails("a").output == "c"
        assert Run(plan(*tasks)).ok("a").output == "b"

    def test_catch_then_counts_after_the_handler(self) -> None:
        """With `do`, the directive follows its last task."""
        task = attempt("t", act("a"), handle=(put("h", "handled"),), catch_then=Flow.END, then=Flow.EXIT)
        assert Run(plan(task, put("b", "b"))).fails("a").output == "handled"

    @pytest.mark.parametrize(
        ("wanted", "caught"),
        [
            ({}, True),
            ({"status": 503}, True),
            ({"status": 500}, False),
            ({"type": ERROR_BASE + "communication"}, True),
            ({"type": ERROR_BASE + "runtime"}, False),
            ({"type": ERROR_BASE + "communication", "status": 503, "instance": "/do/0/t/try/0/a"}, True),
            ({"detail": "it broke"}, True),
            ({"title": "another"}, False),
        ],
    )
    def test_the_filter_wants_every_given_key_equal(self, wanted: dict[str, object], caught: bool) -> None:
        """A filter is literal: no expression, no pattern."""
        run = Run(plan(attempt("t", act("a"), catch_with=wanted))).fails("a", status=503)
        assert (run.state.ended == "completed") is caught

    @pytest.mark.parametrize("host", ["open-workflow-specification.org", "serverlessworkflow.io"])
    @pytest.mark.parametrize("path", ["/spec/1.0.0/errors/", "/dsl/errors/types/"])
    def test_standard_types_of_all_vintages_are_one(self, host: str, path: str) -> None:
        """Ruling R2."""
        raised = throw("a", f"https://{host}{path}timeout", 408)
        run = Run(plan(attempt("t", raised, catch_with={"type": ERROR_BASE + "timeout"})))
        assert run.state.ended == "completed"

    @pytest.mark.parametrize(
        ("when", "except_when", "caught"),
        [(True, None, True), (False, None, False), (None, True, False), (None, False, True), (True, True, False)],
    )
    def test_conditions_decide_after_the_filter(self, when: object, except_when: object, caught: bool) -> None:
        """Not caught means passed on, unchanged."""
        conditions = {
            "when": None if when is None else constant(when),
            "except_when": None if except_when is None else constant(except_when),
        }
        run = Run(plan(attempt("t", throw("a"), **conditions)))
        assert (run.state.ended == "completed") is caught

    def test_conditions_see_the_error(self) -> None:
        """That is what they are for."""
        when = program(lambda d, v: v["error"]["status"] == 418, "error")
        assert Run(plan(attempt("t", throw("a"), when=when)), "in").output == "in"

    def test_a_broken_condition_is_a_failure_of_the_try(self) -> None:
        """Neither caught nor forgotten."""
        reason = Run(plan(attempt("t", throw("a"), when=broken()))).failure
        assert (word_of(reason), reason.instance) == ("expression", "/do/0/t")

    def test_the_context_of_a_failed_list_stays_exported(self) -> None:
        """Exports are facts of tasks that completed; a later failure does not undo them."""
        run = Run(
            plan(attempt("t", put("x", 1, export_as=constant("new")), throw("a")), put("see", variable("context")))
        )
        assert run.output == "new"


class TestRetry:
    def test_the_list_runs_again_from_its_start_with_the_same_input(self) -> None:
        """Not from the task that failed."""
        task = attempt("t", put("x", program(lambda d, v: d + 1)), act("a"), retry=retry(count=2))
        run = Run(plan(task), 1).fails("a").fire()
        assert [(p.arguments, p.attempt) for p in run.performs] == [(2, 2)]
        assert run.ok("a", "done").output == "done"
        assert run.seen("retried") == ["t"]

    @pytest.mark.parametrize("count", [0, 1, 3])
    def test_the_count_is_of_retries_after_the_first_try(self, count: int) -> None:
        """`limit.attempt.count`."""
        run = Run(plan(attempt("t", act("a"), retry=retry(count=count))))
        assert len(pauses(run)) == count
        assert run.acted == ["a"] * (count + 1)

    def test_the_handler_comes_after_the_last_retry(self) -> None:
        """Ruling R17: retry first, `do` after exhaustion."""
        run = Run(plan(attempt("t", act("a"), handle=(put("h", "handled"),), retry=retry(count=1))))
        assert run.fails("a").fire().fails("a").output == "handled"

    def test_without_a_handler_the_last_failure_is_passed_on(self) -> None:
        """Swallowing it would hide that every retry failed."""
        run = Run(plan(attempt("t", act("a"), retry=retry(count=1))))
        assert run.fails("a", status=501).fire().fails("a", status=502).failure.status == 502

    def test_what_is_not_caught_is_not_retried(self) -> None:
        """The filter comes first."""
        run = Run(plan(attempt("t", act("a"), catch_with={"status": 404}, retry=retry(count=9)))).fails("a")
        assert run.state.ended == "faulted"

    @pytest.mark.parametrize(
        ("policy", "retried"), [({"when": False}, False), ({"except_when": True}, False), ({}, True)]
    )
    def test_the_policy_has_conditions_of_its_own(self, policy: dict[str, object], retried: bool) -> None:
        """May this error be retried; if not, the handler is next."""
        run = Run(plan(attempt("t", act("a"), handle=(put("h", "handled"),), retry=retry(count=1, **policy))))
        run.fails("a")
        assert bool(run.timers) is retried

    @pytest.mark.parametrize(
        ("backoff", "expected"),
        [("constant", [100, 100, 100, 100]), ("linear", [100, 200, 300, 400]), ("exponential", [100, 200, 400, 800])],
    )
    def test_the_pause_grows_as_the_policy_says(self, backoff: str, expected: list[int]) -> None:
        """Ruling R27."""
        run = Run(plan(attempt("t", act("a"), retry=retry(delay=100, backoff=backoff, count=4))))
        assert pauses(run) == expected

    def test_growing_pauses_stop_at_an_hour(self) -> None:
        """Ruling R27; and no number of attempts may overflow anything."""
        run = Run(plan(attempt("t", act("a"), retry=retry(delay=1_000, backoff="exponential", count=60))))
        assert max(pauses(run)) == BACKOFF_MS_MAX

    def test_jitter_is_a_draw_of_the_run_within_its_limits(self) -> None:
        """The same on every replay, different from attempt to attempt."""
        policy = retry(delay=100, jitter_from=10, jitter_to=50, count=20)
        first, again = (pauses(Run(plan(attempt("t", act("a"), retry=policy)))) for _ in range(2))
        assert first == again
        assert all(110 <= pause < 150 for pause in first)
        assert len(set(first)) > 5

    def test_the_peers_own_wish_outweighs_a_shorter_pause(self) -> None:
        """`Retry-After` is the peer's word on when it wants to be asked again."""
        run = Run(plan(attempt("t", act("a"), retry=retry(delay=100, count=1)))).fails("a", retry_after_ms=5_000)
        assert list(run.timers.values()) == [6_000]

    def test_a_limit_on_all_attempts_counts_their_pauses(self) -> None:
        """`limit.duration`: a retry that could not begin in time is not waited for."""
        run = Run(plan(attempt("t", act("a"), retry=retry(delay=100, duration=250))))
        assert pauses(run) == [100, 100]

    def test_an_attempt_that_takes_too_long_fails_and_is_retried(self) -> None:
        """`limit.attempt.duration`: a failure like any other, at the `try`."""
        task = attempt("t", do("d", act("a"), act("b")), handle=(ERROR,), retry=retry(attempt_duration=50, count=1))
        run = Run(plan(task))
        slow = run.id_of("a")
        run.fire()
        assert run.cancelled == [slow]
        run.fire().ok("a").fire()
        assert run.output["type"].endswith("/timeout")
        assert run.output["instance"] == "/do/0/t"

    def test_an_attempt_that_ends_in_time_takes_its_timer_back(self) -> None:
        """Whether it completed or failed."""
        run = Run(
            plan(attempt("t", act("a"), handle=(act("h"),), retry=retry(attempt_duration=50, count=0)), act("z"))
        )
        run.fails("a")
        assert run.timers == {}
        other = Run(plan(attempt("t", act("a"), retry=retry(attempt_duration=50)), act("z"))).ok("a")
        assert other.timers == {}

    def test_the_handler_is_not_timed_as_an_attempt(self) -> None:
        """The limit is on attempts."""
        run = Run(plan(attempt("t", act("a"), handle=(act("h"),), retry=retry(attempt_duration=50, count=0))))
        assert run.fails("a").ok("h", 1).output == 1

    @pytest.mark.parametrize("field", ["when", "except_when", "delay", "jitter_from", "duration", "attempt_duration"])
    def test_a_broken_policy_is_a_failure_of_the_try(self, field: str) -> None:
        """And leaves nothing open behind it."""
        run = Run(plan(attempt("t", act("a"), retry=retry(**{field: broken()}))))
        if run.acting:
            run.fails("a")
        assert word_of(run.failure) == "expression"
        assert run.failure.instance == "/do/0/t"
        assert run.state.open == {}

    def test_nested_tries_count_their_own_attempts(self) -> None:
        """The inner one starts from one again each time the outer one retries."""
        inner = attempt("i", act("a"), retry=retry(count=1))
        run = Run(plan(attempt("o", inner, retry=retry(count=1))))
        seen = []
        for _ in range(4):
            seen.append(run.performs[0].attempt)
            run.fails("a")
            if run.timers:
                run.fire()
        assert seen == [1, 2, 1, 2]
        assert run.state.ended == "faulted"

    def test_a_retry_forgets_the_steps_and_the_error_of_the_attempt_before(self) -> None:
        """Each attempt begins as the first did."""
        see = put("see", program(lambda d, v: [v["steps"].get("x"), v["error"]], "steps", "error"))
        keep = put("x", 1, keep=True, output_as=IDENTITY)
        task = attempt("t", see, act("a"), keep, act("b"), retry=retry(count=1))
        run = Run(plan(task)).ok("a").fails("b").fire()
        assert run.performs[0].arguments == [None, None]
