"""What the project promises, beside what was measured: goal, measured, holds.

Goals that are ratios hold or do not on any machine. Those that are rates or times belong to a quiet machine of the
kind that `docs/performance.md` describes: a goal that is missed while others used the machine is marked as disturbed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from bench._figures import Figure, amount_text, ratio_text

Measured = tuple[str, bool]
"""What to print, and whether the goal is met."""

DISTURBED: Final = 0.15
"""Beyond this share of the machine used by others, figures are marked: ratios hold better than the rest."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A promise.

    Attributes:
        group, what: Of the figure that decides it; `what` is how it begins.
        judge: The figure as text, and whether it is good enough. Gets all figures too.
        relative: It compares with something measured in the same run, so the machine matters little.
    """

    says: str
    group: str
    what: str
    judge: Callable[[Figure, Sequence[Figure]], Measured]
    relative: bool = False


@dataclass(frozen=True, slots=True)
class Judged:
    """A goal after the measurement; `holds` is `yes`, `no`, `no, disturbed`, or `not measured`."""

    says: str
    measured: str
    holds: str


def _share(least: float) -> Callable[[Figure, Sequence[Figure]], Measured]:
    return lambda figure, _: (ratio_text(figure), (figure.ratio or 0) >= least)


def _times(most: float) -> Callable[[Figure, Sequence[Figure]], Measured]:
    return lambda figure, _: (f"x{figure.ratio or 0:.2f}", figure.ratio is not None and figure.ratio <= most)


def _at_least(least: float) -> Callable[[Figure, Sequence[Figure]], Measured]:
    return lambda figure, _: (amount_text(figure.value, figure.unit), figure.value >= least)


def _at_most(most: float) -> Callable[[Figure, Sequence[Figure]], Measured]:
    return lambda figure, _: (amount_text(figure.value, figure.unit), figure.value <= most)


def _best_peer(times: float) -> Callable[[Figure, Sequence[Figure]], Measured]:
    def judge(figure: Figure, figures: Sequence[Figure]) -> Measured:
        # A peer's ratio is its share of ours; promises weaker than ours are told by its own row.
        best = max((f for f in figures if f.group == "peers"), key=lambda f: f.ratio or 0)
        found = 1 / (best.ratio or 1)
        return f"x{found:.1f} {best.what}", found >= times

    return judge


_W1 = "200 runs of ten steps at once, document"

GOALS: Final = (
    Goal("W1, a document: at least 30 % of the bare loop", "W1", _W1, _share(0.3), relative=True),
    Goal("W1, a document: at least 30,000 durable steps/s", "W1", _W1, _at_least(30_000)),
    Goal(
        "one run of ten steps alone: at most twice ten bare commits",
        "W1",
        "one run of ten steps alone, document",
        _times(2.0),
        relative=True,
    ),
    Goal(
        "W1 with all of governance on: at least 80 % of W1 without",
        "governed",
        "200 runs of ten steps at once, everything on",
        _share(0.8),
        relative=True,
    ),
    Goal("10 times the best peer", "peers", "", _best_peer(10.0), relative=True),
    Goal(
        "W2, 1,000 branches: at least 30 % of the bare loop",
        "W2",
        "20 runs with 1,000 branches at once, document",
        _share(0.3),
        relative=True,
    ),
    Goal(
        "W2, 1,000 branches: at least 30,000 acts/s",
        "W2",
        "20 runs with 1,000 branches at once, document",
        _at_least(30_000),
    ),
    Goal("a million parked runs: 10,000 started/s", "W3", "starting 1,000,000 runs", _at_least(10_000)),
    Goal("a million parked runs: at most 250 B of memory each", "W3", "memory of each of 1,000,000", _at_most(250)),
    Goal("any parked run awake within 20 ms", "W3", "99th percentile of waking one of 1,000,000", _at_most(20)),
    Goal("recovery of 100,000 unfinished runs in under 30 s", "recovery", "until all 100,000", _at_most(30)),
    Goal(
        "100 runs of 10,000 iterations: flat memory",
        "loops",
        "memory at the end of 100 runs of 10,000",
        _times(1.1),
        relative=True,
    ),
)


def judged(figures: Sequence[Figure], *, others: float) -> list[Judged]:
    """Every goal, whether or not it was measured.

    Args:
        others: The share of the machine that others used meanwhile.
    """
    return [_judge(goal, figures, others) for goal in GOALS]


def _judge(goal: Goal, figures: Sequence[Figure], others: float) -> Judged:
    figure = next((f for f in figures if f.group == goal.group and f.what.startswith(goal.what)), None)
    if figure is None:
        return Judged(goal.says, "", "not measured")
    measured, met = goal.judge(figure, figures)
    if met:
        return Judged(goal.says, measured, "yes")
    return Judged(goal.says, measured, "no" if goal.relative or others <= DISTURBED else "no, disturbed")
