"""The picture before an event, compared with what the event led to."""

from __future__ import annotations

import pytest

from segue.core import Plan, RunState, advance, replay
from segue.hosts.simulated.building import act, attempt, fork, plan, throw
from segue.hosts.simulated.reach import Picture, Violation, check_held
from segue.types import AttemptFailed, FailureReleased, RunResumed, RunStarted, TaskRestarted, TaskSkipped, failure

REASON = failure("communication", "no")
SIDE_BY_SIDE = plan(fork("f", act("a"), act("b")))


def held(definition: Plan = SIDE_BY_SIDE, number: int = 3) -> RunState:
    """A run that holds the failure of its first act."""
    history = [RunStarted(0, "run", "digest", flags=("hold",)), AttemptFailed(1, number, REASON)]
    return replay(definition, history)


def test_what_an_intervention_may_do_is_not_complained_of() -> None:
    """The task, what is below it, and nothing else."""
    for event in (TaskRestarted(2, 3), TaskSkipped(2, 3, 1), FailureReleased(2, 3), TaskRestarted(2, 99)):
        before = Picture(SIDE_BY_SIDE, held())
        after, commands = advance(SIDE_BY_SIDE, held(), event)
        before.compare(event, commands, after)
        check_held(SIDE_BY_SIDE, after)


def test_a_sibling_that_is_gone_is_seen() -> None:
    """The other branch was under way, and nobody asked for its end."""
    event = TaskRestarted(2, 3)
    before = Picture(SIDE_BY_SIDE, held())
    after, commands = advance(SIDE_BY_SIDE, held(), event)
    del after.frames[4]
    with pytest.raises(Violation, match="ended task 4"):
        before.compare(event, commands, after)


def test_a_held_failure_that_is_gone_is_seen() -> None:
    """Nothing happened that could have resolved it."""
    before = Picture(SIDE_BY_SIDE, held())
    after = held()
    after.held.clear()
    with pytest.raises(Violation, match="is gone"):
        before.compare(RunResumed(2), [], after)


def test_a_run_that_faults_without_a_word_is_seen() -> None:
    """It holds failures, and nobody released this one."""
    alone = plan(act("a"))
    before = Picture(alone, held(alone, 2))
    after, commands = advance(alone, held(alone, 2), FailureReleased(2, 2))
    before.compare(FailureReleased(2, 2), commands, after)
    with pytest.raises(Violation, match="was not held"):
        before.compare(RunResumed(2), commands, after)


def test_a_failure_that_the_document_catches_must_not_be_held() -> None:
    """It knows what to do."""
    caught = plan(attempt("t", act("a")))
    state = replay(caught, [RunStarted(0, "run", "digest", flags=("hold",))])
    state.held[3] = REASON
    state.open.clear()
    with pytest.raises(Violation, match="is caught"):
        check_held(caught, state)


def test_what_an_author_raises_must_not_be_held() -> None:
    """The run is meant to fail."""
    state = held()
    state.held[3] = REASON.at("/do/0/f/fork/branches/0/a")
    raising = plan(fork("f", throw("a")))
    with pytest.raises(Violation, match="raises"):
        check_held(raising, state)
