"""What simulated operators do to tasks: mostly the wrong thing, and at last the right one."""

from __future__ import annotations

from random import Random
from typing import Any, Final

import msgspec

from segue.core import Plan, RunState
from segue.core.state import Frame
from segue.types import DecisionMade, FailureReleased, TaskAssigned, TaskRestarted, TaskSkipped

APPROVE: Final = "approve"
_DECISIONS: Final = (APPROVE, APPROVE, APPROVE, "refuse", "edit")
_PEOPLE: Final = ("ann", "bob")

Intervention = TaskRestarted | TaskSkipped | FailureReleased


def foolish(rng: Random, plan: Plan, state: RunState) -> Intervention:
    """An intervention on a held task, on any live one, on one that is gone, or on none; `at` is for the host."""
    chosen = rng.random()
    if state.held and chosen < 0.5:
        number = rng.choice(list(state.held))
    elif state.frames and chosen < 0.9:
        number = rng.choice(list(state.frames))
    else:
        number = rng.randrange(state.next_id + 2)
    frame = state.frames.get(number)
    draw = rng.random()
    if draw < 0.2:
        return FailureReleased(0, number)
    if draw < 0.45:
        return TaskSkipped(0, number, rng.randrange(100))
    given: Any = rng.choice((msgspec.UNSET, None, 5))
    if draw < 0.7 or frame is None:
        return TaskRestarted(0, number, input=given)
    return TaskRestarted(0, *_elsewhere(rng, plan, frame), given)


def _elsewhere(rng: Random, plan: Plan, frame: Frame) -> tuple[int, int]:
    """A task to go back to: one beside the frame's, one below it, or anything."""
    near = [node.index for listed in frame.node.children() for node in listed]
    beside = [node.index for node in frame.node.siblings]
    above = frame.id if frame.parent is None else frame.parent.id
    if beside and rng.random() < 0.6:
        return above, rng.choice(beside)
    return frame.id, rng.choice(near or [rng.randrange(len(plan.nodes) + 1)])


def wise(rng: Random, number: int) -> Intervention:
    """What resolves a held failure when nothing goes wrong any more."""
    draw = rng.random()
    if draw < 0.5:
        return TaskRestarted(0, number)
    return TaskSkipped(0, number, rng.randrange(100)) if draw < 0.9 else FailureReleased(0, number)


def voice(rng: Random, number: int) -> DecisionMade | TaskAssigned:
    """What somebody does about an act that waits for approval; some of it is not for them to do."""
    by = rng.choice(_PEOPLE)
    if rng.random() < 0.2:
        return TaskAssigned(0, number, rng.choice(("claim", "release")), by, by=by)
    return DecisionMade(0, number, rng.choice(_DECISIONS), by=by, comment="because")
