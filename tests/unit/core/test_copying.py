"""A state made another run's: it goes on as the original would, at other times."""

from __future__ import annotations

from typing import Any

import msgspec

from segue.core import RunState, advance, copied, snapshot
from segue.types import AttemptFailed, RunStarted, StartTimer, TimerFired, failure

from . import plans

LATER = 1_000_000


def begun(*tasks: Any) -> tuple[Any, RunState]:
    chosen = plans.plan(*tasks)
    return chosen, advance(chosen, None, RunStarted(1_000, "old", chosen.digest, 7, "seed"))[0]


def twin(chosen: Any, state: RunState) -> RunState:
    return copied(snapshot.restore(chosen, snapshot.take(chosen, state)), "new", LATER, hands=["person:ann"])


def test_clocks_have_as_much_left_as_they_had() -> None:
    """A wait of a second that was half over is half over."""
    chosen, state = begun(plans.wait("w", 1_000))
    made = twin(chosen, state)
    (timer,) = made.open.values()
    assert isinstance(timer, StartTimer)
    assert (timer.due_ms, made.started_at, made.last_at) == (LATER + 2_000, LATER + 1_000, LATER + 1_000)
    assert {frame.started for frame in made.frames.values()} == {LATER + 1_000}


def test_the_copy_goes_on_as_the_original() -> None:
    """The same commands, but for times; a retry has as much time left."""
    again = plans.retry(delay=50, count=5, duration=10_000)
    chosen, state = begun(plans.attempt("t", plans.act("a"), retry=again))
    made = twin(chosen, state)
    for one, at in ((state, 2_000), (made, LATER + 2_000)):
        act = next(iter(one.open))
        advance(chosen, one, AttemptFailed(at, act, failure("communication", "down")))
    timers = [next(iter(one.open.values())) for one in (state, made)]
    assert msgspec.structs.replace(timers[0], due_ms=timers[0].due_ms + LATER) == timers[1]
    fired = [
        advance(chosen, one, TimerFired(t.due_ms, t.id))[1] for one, t in zip((state, made), timers, strict=True)
    ]
    assert fired[0] == fired[1]


def test_it_is_the_other_runs_and_its_starters() -> None:
    """Whoever starts the copy approves none of its acts."""
    chosen, state = begun(plans.wait("w", 1_000))
    made = twin(chosen, state)
    assert (made.run_id, made.hands, made.input) == ("new", ["ann"], 7)
