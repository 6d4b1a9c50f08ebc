"""`wait`: it completes when its one timer fires, and never sooner."""

from __future__ import annotations

from .plans import Run, broken, plan, program, put, wait, word_of


def test_it_asks_for_one_timer_and_outputs_its_input() -> None:
    """A durable timer costs one row and no task in memory."""
    run = Run(plan(wait("w", 500)), "data")
    assert list(run.timers.values()) == [1_500]
    assert run.state.status == "waiting"
    assert run.fire().output == "data"


def test_the_duration_may_come_from_the_data() -> None:
    """`wait` takes an expression."""
    assert list(Run(plan(wait("w", program(lambda d, v: d * 2))), 50).timers.values()) == [1_100]


def test_a_negative_duration_waits_for_the_next_tick() -> None:
    """A duration that was computed wrongly must not lie in the past."""
    assert list(Run(plan(wait("w", -5))).timers.values()) == [1_000]


def test_a_stale_timer_does_not_complete_it() -> None:
    """Only its own timer counts."""
    run = Run(plan(wait("w", 500), put("a", 1)))
    run.fire(99)
    assert run.state.ended is None


def test_a_broken_duration_is_an_expression_failure() -> None:
    """And nothing is left open."""
    run = Run(plan(wait("w", broken())))
    assert word_of(run.failure) == "expression"
    assert run.commands[:-1] == []
