"""Migrating to an identical copy changes nothing, at any moment of any history."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.property.test_core_laws import Story

from segue.core import Plan, advance, examine, replay, snapshot
from segue.hosts.simulated.auditor import same_state
from segue.hosts.simulated.building import put
from segue.hosts.simulated.generating import random_plan
from segue.hosts.simulated.versions import with_task
from segue.types import RunMigrated, TaskRestarted

encode = msgspec.json.Encoder().encode
seeds = st.integers(0, 2**32 - 1)
laws = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


def copies(seed: int, count: int) -> list[Plan]:
    """The plan of a story, and others that differ in their digests only; all know each other."""
    made = [random_plan(Random(seed)) for _ in range(count)]
    for number, plan in enumerate(made[1:], 2):
        plan.digest = f"{made[0].digest}-{number}"
    known = {plan.digest: plan for plan in made}
    for plan in made:
        plan.others = known.__getitem__
    return made


@laws
@given(seeds)
def test_an_identical_copy_takes_over_at_any_moment(seed: int) -> None:
    """Byte for byte the same commands follow, however often the run is taken to another copy."""
    story = Story(seed, steps_max=40)
    plans = copies(seed, 3)
    rng = Random(seed)
    plan, state, history, commands = plans[0], None, [], []
    for event in story.history:
        state, given_now = advance(plan, state, event)
        history.append(event)
        commands += given_now
        if rng.random() < 0.2 and state.ended is None:
            other = rng.choice(plans)
            found = examine(plan, other, state, {})
            assert found.obstacles == []
            moved = RunMigrated(state.last_at, other.digest, found.nodes, "olaf", "because")
            state, given_now = advance(plan, state, moved)
            assert not given_now
            history.append(moved)
            plan = other
    assert state is not None
    assert encode(commands) == encode(story.commands)
    assert (state.ended, state.output, state.failure) == (
        story.state.ended,
        story.state.output,
        story.state.failure,
    )
    assert same_state(replay(plan, history), state)
    if state.ended is None:
        assert same_state(snapshot.restore(plan, snapshot.take(plan, state)), state)


@laws
@given(seeds)
def test_a_task_put_in_front_moves_nothing(seed: int) -> None:
    """All indices change, and no name of an act does."""
    story = Story(seed, steps_max=40)
    rng = Random(seed)
    cut = rng.randrange(1, len(story.history) + 1)
    plan = copies(seed, 1)[0]
    state = replay(plan, story.history[:cut])
    if state.ended is not None:
        return
    other = random_plan(Random(seed))
    extra = put("in front", 1, section="root")
    other = replace(with_task(other, extra, front=True), digest=f"{other.digest}-longer")
    known = {plan.digest: plan, other.digest: other}
    plan.others = other.others = known.__getitem__
    found = examine(plan, other, state, {})
    assert found.obstacles == []
    state, _ = advance(plan, state, RunMigrated(state.last_at, other.digest, found.nodes))
    before = replay(plan, story.history[:cut])
    to = dict(found.nodes)
    for event in story.history[cut:]:
        there = event
        if isinstance(event, TaskRestarted) and event.node is not None:
            there = msgspec.structs.replace(event, node=to.get(event.node, 10_000))
        state, given_now = advance(other, state, there)
        before, given_then = advance(plan, before, event)
        assert _without_places(given_now) == _without_places(given_then)


def _without_places(commands: object) -> list[object]:
    found = msgspec.to_builtins(commands)
    return [{k: v for k, v in command.items() if k != "pointer"} for command in found]
