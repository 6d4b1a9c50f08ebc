"""A snapshot changes nothing: whoever goes on from it does what the run would have done."""

from __future__ import annotations

from random import Random

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.property.test_core_laws import Story

from segue.core import advance, consumes, replay, snapshot
from segue.hosts.simulated.auditor import same_state
from segue.types import Command, MessageConsumed

encode = msgspec.json.Encoder().encode
seeds = st.integers(0, 2**32 - 1)
laws = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))


@laws
@given(seeds)
def test_going_on_from_a_snapshot_is_going_on(seed: int) -> None:
    """At any moment of any history: the same state, and from there the same commands byte for byte."""
    story = Story(seed)
    cut = Random(seed).randrange(1, len(story.history) + 1)
    state = replay(story.plan, story.history[:cut])
    read = snapshot.restore(story.plan, snapshot.take(story.plan, state))
    assert same_state(read, state)
    for event in story.history[cut:]:
        if isinstance(event, MessageConsumed):
            assert consumes(story.plan, read, event) == consumes(story.plan, state, event)
        state, given_now = advance(story.plan, state, event)
        read, given_then = advance(story.plan, read, event)
        assert encode(list(given_then)) == encode(list(given_now))
        assert same_state(read, state)


@laws
@given(seeds)
def test_a_snapshot_after_every_event_changes_nothing(seed: int) -> None:
    """Errors that one reading does not show would add up."""
    story = Story(seed, steps_max=25)
    state, commands = None, list[Command]()
    for event in story.history:
        state, given_now = advance(story.plan, state, event)
        commands += given_now
        state = snapshot.restore(story.plan, snapshot.take(story.plan, state))
    assert same_state(state, story.state)
    assert encode(commands) == encode(story.commands)
