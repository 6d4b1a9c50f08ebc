"""Trouble on demand is exact trouble."""

from __future__ import annotations

from typing import Any

import pytest

from segue.sandbox.knobs import Board, Knobs


def board(**knobs: Any) -> Board:
    made = Board(Knobs(), without=frozenset({"stale_as_of"}))
    made.turn(knobs)
    return made


def test_turning_one_knob_leaves_the_others() -> None:
    """A test adds trouble step by step."""
    one = board(latency_ms=5)
    one.turn({"fail_next": 2})

    assert (one.knobs.latency_ms, one.knobs.fail_next) == (5, 2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"fail_rate": 1.5},
        {"fail_next": -1},
        {"fail_status": 404},
        {"rate_limit_per_s": 0},
        {"laziness": 1},
        {"latency_ms": "slow"},
        {"stale_as_of": "2026-01-01T00:00:00Z"},
    ],
)
def test_a_knob_that_does_not_fit_is_refused_and_nothing_changes(wrong: dict[str, Any]) -> None:
    """A misspelt knob that is silently ignored makes a test prove nothing."""
    one = board(latency_ms=5)

    with pytest.raises(ValueError, match=r"."):
        one.turn({"draw_seed": 3, **wrong})
    assert one.knobs == Knobs(latency_ms=5)


def test_exactly_the_next_operations_fail() -> None:
    """`fail_next` counts, so that a test can say at which attempt success comes."""
    one = board(fail_next=2)

    assert [one.fails() for _ in range(4)] == [True, True, False, False]


def test_draws_repeat_with_their_seed() -> None:
    """A failure found with one seed can be found again."""
    drawn = []
    for seed in (7, 7, 8):
        one = board(fail_rate=0.5, draw_seed=seed)
        drawn.append([one.fails() for _ in range(64)])

    assert drawn[0] == drawn[1] != drawn[2]
    assert 16 < sum(drawn[0]) < 48


def test_the_rate_limit_lets_one_second_s_burst_through_and_then_its_rate() -> None:
    """The wait it tells is the wait that works."""
    one = board(rate_limit_per_s=4)

    assert [one.wait_for_turn_s(100.0) for _ in range(4)] == [0, 0, 0, 0]
    wait_s = one.wait_for_turn_s(100.0)
    assert wait_s == pytest.approx(0.25)
    assert one.wait_for_turn_s(100.0 + wait_s) == 0
    assert one.wait_for_turn_s(100.0 + wait_s) > 0


def test_a_slow_rate_still_lets_something_through() -> None:
    """Less than one a second means seldom, not never."""
    one = board(rate_limit_per_s=0.5)

    assert one.wait_for_turn_s(10.0) == 0
    assert one.wait_for_turn_s(10.0) == pytest.approx(2.0)
    assert one.wait_for_turn_s(12.0) == 0
