"""A snapshot changes nothing: whoever goes on from it does what the run would have done."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import pytest
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


@laws
@given(seeds)
def test_values_may_stand_elsewhere(seed: int) -> None:
    """A host keeps large values once; which of them it keeps makes no difference."""
    story = Story(seed)
    random = Random(seed)
    kept: dict[bytes, Any] = {}

    def keep(value: Any) -> bytes | None:
        if random.random() < 0.5:
            return None
        place = len(kept).to_bytes(32, "big")
        kept[place] = value
        return place

    state = replay(story.plan, story.history)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshot, "LARGE_FROM_BYTES", 0)
        content = snapshot.take(story.plan, state, keep)
    read = snapshot.restore(story.plan, content, kept.__getitem__)
    assert same_state(read, state)


@given(seeds)
@settings(max_examples=50, deadline=None)
def test_a_field_that_came_later_gets_its_default(seed: int) -> None:
    """History before a snapshot may be gone, so a release that remembers more must read what an older one wrote."""
    story = Story(seed)
    state = replay(story.plan, story.history)
    content = msgspec.msgpack.decode(snapshot.take(story.plan, state), ext_hook=msgspec.msgpack.Ext)
    _, _, shapes, records, _ = content
    for kind, name in (("RunState", "runtime"), ("Frame", "laps"), ("Frame", "steps")):
        place = list(shapes[kind]).index(name)
        shapes[kind] = [*shapes[kind][:place], *shapes[kind][place + 1 :]]
        for written in records:
            if written[0] == kind:
                del written[1][place]
    read = snapshot.restore(story.plan, msgspec.msgpack.encode(content))
    assert read.runtime == ""
    assert all(frame.laps == 0 and frame.steps is None for frame in read.frames.values())
    assert read.run_id == state.run_id
    assert list(read.open) == list(state.open)


def test_a_field_that_is_unknown_here_is_refused() -> None:
    """Whoever goes back to an older release is told, and nothing is guessed."""
    story = Story(7)
    content = msgspec.msgpack.decode(
        snapshot.take(story.plan, replay(story.plan, story.history)), ext_hook=msgspec.msgpack.Ext
    )
    content[2]["RunState"] = [*content[2]["RunState"], "mood"]
    content[3][0][1].append("merry")
    with pytest.raises(snapshot.SnapshotRefused, match="another release: RunState"):
        snapshot.restore(story.plan, msgspec.msgpack.encode(content))
