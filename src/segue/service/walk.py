"""A history, walked: the state that it leads to, and what each event did to tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from segue.core import Moment, Plan, RunState, advance
from segue.service.past import Past
from segue.types import Event


@dataclass(slots=True)
class Walk:
    """`moments`: Each with the number of the event that brought it."""

    state: RunState
    moments: list[tuple[int, Moment]] = field(default_factory=list)


def walk(past: Past) -> Walk:
    """What is kept of a run."""
    return walked(past.plan, past.events, past.beginning(), past.before)


def walked(plan: Plan, history: Sequence[Event], state: RunState | None = None, before: int = 0) -> Walk:
    """These events.

    Args:
        state: What the events before led to; it is consumed. before: how many they were.
    """
    moments: list[tuple[int, Moment]] = []
    for number, event in enumerate(history, before + 1):
        trace: list[Moment] = []
        state, _ = advance(plan, state, event, trace=trace)
        moments += [(number, moment) for moment in trace]
    assert state is not None, "a run has a first event"
    return Walk(state, moments)
