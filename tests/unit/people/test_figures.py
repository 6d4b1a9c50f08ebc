"""Figures: what is counted, and under what."""

from __future__ import annotations

from segue.people import figures_of
from segue.people.figures import Decided

HERE = ("a/b", "/do/0/x", "churn", "2")
THERE = ("a/b", "/do/0/x", "churn", "3")


def test_rates_are_shares_of_what_was_decided() -> None:
    """What expired was nobody's judgement, and versions of a model are judged apart."""
    tasks = [
        Decided(HERE, False, False, 1000),
        Decided(HERE, True, True, 3000),
        Decided(HERE, True, False, 5000),
        Decided(HERE, None, False, 9000),
        Decided(THERE, None, False, 1),
    ]
    here, there = figures_of(tasks)
    assert (here.decided, here.expired, here.overruled, here.edited) == (3, 1, 2, 1)
    assert (here.overrule_rate, here.accept_rate, here.median_ms, here.slowest_ms) == (2 / 3, 1 / 3, 3000, 5000)
    assert (there.decided, there.overrule_rate, there.median_ms) == (0, None, None)
