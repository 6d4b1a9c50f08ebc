"""The entrance of the core."""

from __future__ import annotations

import pytest

from segue.core import advance, consumes, replay
from segue.types import MessageConsumed, RunStarted

from .plans import Run, act, fork, listen, one, plan, put


def test_replay_folds_a_history() -> None:
    """Recovery is nothing else."""
    run = Run(plan(act("a"), act("b"))).ok("a", 1)
    state = replay(run.plan, run.history)
    assert state.open == run.state.open
    assert state.status == "running"


def test_an_empty_history_is_refused() -> None:
    """There is no run without its start."""
    with pytest.raises(ValueError, match="begins with RunStarted"):
        replay(plan(), [])


def test_a_run_starts_once() -> None:
    """A second start in a history is a bug of its host and must not pass silently."""
    run = Run(plan(act("a")))
    with pytest.raises(AssertionError, match="starts once"):
        advance(run.plan, run.state, RunStarted(1, "run-1", "digest"))


def test_a_closed_run_consumes_nothing() -> None:
    """Hosts ask before they record."""
    run = Run(plan(listen("l", one("go"))))
    event = MessageConsumed(1, {"type": "go", "id": "1", "source": "/s"})
    assert consumes(run.plan, run.state, event)
    run.cancel()
    assert run.state.closed
    assert run.state.status == "cancelled"
    assert not consumes(run.plan, run.state, event)


def test_asking_what_a_run_consumes_changes_nothing() -> None:
    """A look is no event."""
    run = Run(plan(listen("l", one("go"))))
    for _ in range(2):
        assert consumes(run.plan, run.state, MessageConsumed(9_999, {"type": "go", "id": "1", "source": "/s"}))
    assert run.state.last_at == 1_000
    assert run.state.correlations == {}


def test_a_race_that_is_over_is_not_entered_while_the_run_goes_on() -> None:
    """What the agenda still holds of the losers is void, also when there is more to do after the race."""
    run = Run(plan(fork("f", put("a", "won"), act("b"), compete=True), act("z")))
    assert run.acted == ["z"]
    assert run.ok("z", 1).output == 1
