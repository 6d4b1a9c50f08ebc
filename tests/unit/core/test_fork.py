"""`fork`: branches start from the same data; none outlives the fork; the join is in declaration order."""

from __future__ import annotations

import itertools

import pytest

from segue.core.plan import Flow

from .plans import (
    Run,
    act,
    attempt,
    constant,
    do,
    emit,
    fork,
    listen,
    one,
    plan,
    program,
    put,
    retry,
    throw,
    variable,
    wait,
    word_of,
)


class TestJoin:
    def test_every_branch_starts_with_the_same_input(self) -> None:
        """And all of them before any answer."""
        run = Run(plan(fork("f", act("a"), act("b"), act("c"))), 5)
        assert [(p.name, p.arguments) for p in run.performs] == [("a", 5), ("b", 5), ("c", 5)]

    @pytest.mark.parametrize("order", list(itertools.permutations("abc")))
    def test_outputs_stand_in_declaration_order_whatever_came_first(self, order: tuple[str, ...]) -> None:
        """The document decides, not the network."""
        run = Run(plan(fork("f", act("a"), act("b"), act("c"))))
        for name in order:
            run.ok(name, name.upper())
        assert run.output == ["A", "B", "C"]

    def test_no_branches_make_an_empty_array(self) -> None:
        """Nothing to wait for."""
        assert Run(plan(fork("f"))).output == []

    def test_a_failing_branch_cancels_its_siblings_and_faults_the_fork(self) -> None:
        """Also those deep below: none outlives the fork."""
        run = Run(plan(attempt("t", fork("f", act("a"), do("d", wait("w", 5)), listen("l", one("x"))))))
        given = set(run.state.open)
        gone = run.id_of("a")
        run.fails("a")
        assert run.state.ended == "completed"
        assert set(run.cancelled) == given - {gone}

    def test_a_branch_that_fails_at_once_keeps_later_ones_from_starting(self) -> None:
        """What the agenda still held is void."""
        run = Run(plan(fork("f", throw("bad"), act("b"))))
        assert run.state.ended == "faulted"
        assert run.acted == []

    def test_a_skipped_branch_counts_with_its_input(self) -> None:
        """Skipping passes the raw input on, here as anywhere."""
        run = Run(plan(fork("f", act("a", condition=constant(False)), act("b"))), "in").ok("b", 1)
        assert run.output == ["in", 1]

    def test_exit_completes_the_branch_alone(self) -> None:
        """A branch's `then` may be continue, exit or end."""
        run = Run(plan(fork("f", put("a", 1, then=Flow.EXIT), act("b")))).ok("b", 2)
        assert run.output == [1, 2]


class TestContext:
    def test_branches_do_not_see_each_others_exports(self) -> None:
        """Ruling R18: each branch starts from the fork's context."""
        see = put("see", variable("context"))
        run = Run(plan(fork("f", put("a", 1, export_as=constant("A")), see)), "old")
        assert run.output == [1, "old"]

    @pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
    def test_exports_apply_in_declaration_order_at_the_join(self, order: tuple[str, str]) -> None:
        """Whole replacements: the last declared branch that exported wins."""
        branches = (act("a", export_as=constant("A")), act("b", export_as=constant("B")), act("c"))
        run = Run(plan(fork("f", *branches), put("see", variable("context"))), "old").ok("c")
        for name in order:
            run.ok(name)
        assert run.output == "B"

    def test_a_branch_keeps_its_own_context_through_its_tasks(self) -> None:
        """A branch of several tasks works on a thread of context of its own."""
        branch = do("d", put("a", 1, export_as=constant("mine")), act("x"), put("see", variable("context")))
        run = Run(plan(fork("f", branch, put("b", 1, export_as=constant("B")))), "old").ok("x")
        assert run.output == ["mine", 1]

    def test_a_fork_that_fails_exports_nothing(self) -> None:
        """Its branches never joined."""
        bad = fork("f", put("a", 1, export_as=constant("A")), throw("bad"))
        assert Run(plan(attempt("t", bad), put("see", variable("context"))), "old").output == "old"

    def test_forks_in_forks_join_into_their_own_branch(self) -> None:
        """Threads nest as forks do."""
        inner = fork("g", put("a", 1, export_as=constant("A")), put("b", 1))
        run = Run(
            plan(fork("f", do("d", inner, put("see", variable("context"))), put("o", variable("context")))), "old"
        )
        assert run.output == ["A", "old"]


NEVER = constant(False)


class TestCompete:
    def test_a_skipped_branch_does_not_win(self) -> None:
        """It was not to run; whoever does run is what the race is about."""
        run = Run(plan(fork("f", act("a", condition=NEVER), act("b"), compete=True)))
        assert run.acting == ["b"]
        assert run.ok("b", 2).output == 2

    def test_where_all_are_skipped_the_input_comes_out(self) -> None:
        """As of any task that is skipped."""
        both = fork("f", act("a", condition=NEVER), act("b", condition=NEVER), compete=True)
        assert Run(plan(both), 7).output == 7

    def test_where_the_others_fail_a_skipped_one_does_not_save_the_race(self) -> None:
        """Whichever comes last: a pause may hold the skipping back."""
        race = fork("f", act("a"), act("b", condition=NEVER), compete=True)
        assert word_of(Run(plan(race)).fails("a").failure) == "communication"
        assert word_of(Run(plan(fork("f", act("b", condition=NEVER), act("a"), compete=True))).fails("a").failure)

    def test_the_first_to_complete_wins_and_the_others_are_cancelled(self) -> None:
        """The output is the winner's alone, not an array."""
        run = Run(plan(fork("f", act("a"), do("d", act("b"), act("c")), compete=True)))
        loser = run.id_of("b")
        assert run.ok("a", "won").output == "won"
        assert run.cancelled == [loser]

    def test_a_synchronous_winner_keeps_later_branches_from_starting(self) -> None:
        """A race that is over is not entered."""
        run = Run(plan(fork("f", put("a", "won"), act("b"), emit("e", {"type": "x"}), compete=True)))
        assert run.output == "won"
        assert len(run.commands) == 1

    def test_a_branch_that_fails_does_not_win(self) -> None:
        """Ruling R18."""
        run = Run(plan(fork("f", act("a"), act("b"), compete=True))).fails("a")
        assert run.ok("b", "won").output == "won"

    def test_when_all_fail_the_last_failure_counts(self) -> None:
        """Ruling R18."""
        run = Run(plan(fork("f", act("a"), act("b"), compete=True))).fails("a", status=501).fails("b", status=502)
        assert run.failure.status == 502

    def test_only_the_winners_export_counts(self) -> None:
        """Ruling R18; a loser may have exported before it lost."""
        loser = do("d", put("x", 1, export_as=constant("lost")), act("b"))
        winner = act("a", export_as=constant("won"))
        run = Run(plan(fork("f", loser, winner, compete=True), put("see", variable("context"))), "old")
        assert run.ok("a").output == "won"

    def test_a_branch_with_needs_is_no_competitor(self) -> None:
        """It could start only after the race is over; waiting for it would be waiting for nothing."""
        run = Run(plan(fork("f", act("a"), act("b"), compete=True, needs=((), (0,))))).fails("a")
        assert word_of(run.failure) == "communication"


class TestNeeds:
    def test_a_branch_starts_when_those_it_needs_are_done(self) -> None:
        """Any directed acyclic graph; its input is an object of the needed outputs."""
        needs = ((), (), (0, 1), (2,))
        run = Run(plan(fork("f", act("a"), act("b"), act("c"), act("d"), needs=needs)), "in")
        assert run.acting == ["a", "b"]
        assert run.ok("b", "B").acting == ["a"]
        assert [p.arguments for p in run.ok("a", "A").performs] == [{"a": "A", "b": "B"}]
        assert [p.arguments for p in run.ok("c", "C").performs] == [{"c": "C"}]
        assert run.ok("d", "D").output == ["A", "B", "C", "D"]

    def test_needs_may_point_forwards(self) -> None:
        """Declaration order is the order of the output and nothing else."""
        run = Run(plan(fork("f", act("a"), act("b"), needs=((1,), ()))))
        assert run.acting == ["b"]
        assert run.ok("b", 1).acting == ["a"]

    def test_a_skipped_branch_satisfies_those_that_need_it(self) -> None:
        """Completed or skipped: the design's addition to the language."""
        skipped = act("a", condition=constant(False))
        run = Run(plan(fork("f", skipped, act("b"), needs=((), (0,)))), "in")
        assert [p.arguments for p in run.performs] == [{"a": "in"}]

    def test_branches_that_become_ready_together_start_in_declaration_order(self) -> None:
        """Determinism is visible to people as order in displays."""
        run = Run(plan(fork("f", act("a"), act("b"), act("c"), needs=((), (0,), (0,))))).ok("a")
        assert run.acting == ["b", "c"]

    def test_a_chain_of_immediate_branches_needs_no_event(self) -> None:
        """Pure tasks cost nothing, in a graph as in a list."""
        add = program(lambda d, v: sum(d.values()) + 1)
        run = Run(plan(fork("f", put("a", 1), put("b", add), put("c", add), needs=((), (0,), (0, 1)))))
        assert run.output == [1, 2, 4]

    def test_a_failure_keeps_dependants_from_starting(self) -> None:
        """The fork faults as a whole."""
        run = Run(plan(fork("f", act("a"), act("b"), needs=((), (0,))))).fails("a")
        assert run.state.ended == "faulted"
        assert run.acted == ["a"]

    def test_a_dependant_starts_from_the_forks_context(self) -> None:
        """Data flows along needs; context does not."""
        see = put("see", variable("context"))
        run = Run(plan(fork("f", put("a", 1, export_as=constant("A")), see, needs=((), (0,)))), "old")
        assert run.output == [1, "old"]

    def test_a_pause_holds_dependants(self) -> None:
        """They are starts like any other."""
        run = Run(plan(fork("f", act("a"), act("b"), needs=((), (0,))))).pause().ok("a", 1)
        assert run.acting == []
        assert [p.arguments for p in run.resume().performs] == [{"a": 1}]


def test_a_retried_fork_leaves_nothing_of_the_attempt_before() -> None:
    """Open commands of the failed attempt are cancelled; the next one begins with fresh ones."""
    run = Run(plan(attempt("t", fork("f", act("a"), act("b"), wait("w", 900)), retry=retry(delay=5, count=1))))
    first = set(run.state.open)
    failed = run.id_of("a")
    run.fails("a")
    assert set(run.cancelled) == first - {failed}
    run.fire()
    assert run.acting == ["a", "b"]
    assert not first & set(run.state.open)
