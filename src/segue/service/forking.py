"""What a fork begins with: a copy of a run's past up to a task.

As far as the history is there, its events are copied and moved in time. Where its beginning was folded, the state
that stands for it is copied instead (`core/copying.py`). What was done outside is not done again either way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from segue.core import Moment, Plan, RunState, copied
from segue.core.machines.undo import was_undone_since
from segue.hosts.contracts import Beginning
from segue.service.errors import ServiceError
from segue.service.past import Past
from segue.service.walk import walked
from segue.types import Event, RunMigrated, RunStarted


def start_of(past: Past, moments: Sequence[tuple[int, Moment]], pointer: str) -> tuple[int, int]:
    """After which event a fork from this task begins, and the task's number: its newest start that is known.

    Raises:
        ServiceError: `place-refused` where the run was never there, `history-folded` where that cannot be told.
    """
    begun = [(n, m.id) for n, m in moments if m.what == "started" and m.pointer == pointer]
    if begun:
        return begun[-1]
    beginning = past.beginning()
    if beginning is None:
        raise ServiceError("place-refused", f"Run {past.record.id} has not been at {pointer!r}.")
    live = [f for f in beginning.frames.values() if f.node.pointer == pointer and f.node.kind != "extended"]
    if len(live) == 1 and live[0].parent is not None:
        return past.before, live[0].id
    known = sorted({f.node.pointer for f in beginning.frames.values() if f.parent is not None})
    raise ServiceError(
        "history-folded",
        f"Run {past.record.id} has not been at {pointer!r} since event {past.before}, and was not there then: of what"
        f" was before, {past.left()}.",
        remedy="Fork from a task that began since, or from one that was under way then"
        f" ({', '.join(known) or 'there was none'}). A workflow whose runs are to be forked from any task keeps them"
        " whole: `history_max_events: 0` in its document.",
    )


def definition_at(past: Past, number: int) -> str:
    """The definition that the run was under after this event."""
    beginning = past.beginning()
    began = beginning.definition if beginning is not None else _first(past.events).definition
    moved = [event.definition for event in past.until(number) if isinstance(event, RunMigrated)]
    return (moved or [began])[-1]


def last_at(past: Past, number: int) -> int:
    """When this event happened, in milliseconds since the epoch."""
    history, beginning = past.until(number), past.beginning()
    if history or beginning is None:
        return history[-1].at
    return beginning.last_at


def first_of(past: Past) -> RunStarted | None:
    """The event that the run began with; None where it was folded."""
    return None if past.before else _first(past.events)


def moved(events: Sequence[Event], shift_ms: int) -> list[Event]:
    """The events as if all of them happened so much later."""
    return [msgspec.structs.replace(event, at=event.at + shift_ms) for event in events]


def beginning_of(past: Past, run_id: str, cause: dict[str, Any], shift_ms: int) -> Beginning | None:
    """What stands for folded events, made another run's; None where nothing was folded."""
    state, kept = past.beginning(), past.kept.snapshot
    if state is None or kept is None:
        return None
    hands = [cause[said] for said in ("by", "as") if cause.get(said)]
    return Beginning(copied(state, run_id, shift_ms, hands=hands), past.before, kept.host.consumed, cause)


def require_same_place(past: Past, number: int, other: Plan, prefix: Sequence[Event], task: int) -> RunState:
    """The copied events lead to where the original stood, and the task can start again there; how it stood.

    Raises:
        ServiceError: `place-refused`.
    """
    was = walked(past.plan, past.until(number), past.beginning()).state
    try:
        now = walked(other, prefix, past.beginning()).state
    except Exception as error:
        raise ServiceError(
            "place-refused", f"These events mean nothing to {other.name}:{other.version} ({type(error).__name__})."
        ) from None
    if _place(was) != _place(now):
        raise ServiceError(
            "place-refused",
            f"{other.name}:{other.version} does not lead these events to where the run was.",
            remedy="Fork without another version, or from an earlier task.",
        )
    if task not in now.frames:
        raise ServiceError(
            "place-refused",
            "The task took no time, so no event of the history stands before it alone.",
            remedy="Fork from the task before it, or the one after it, that called or waited for something.",
        )
    return was


def require_standing(now: RunState, then: RunState) -> None:
    """What the copied past did outside, and can be undone, has not been undone since.

    Raises:
        ServiceError: `place-refused`.
    """
    gone = [undo for undo in then.undos.values() if was_undone_since(undo, now, then)]
    if gone:
        pointer = gone[0].node.pointer.removesuffix("/with/undo")
        raise ServiceError(
            "place-refused",
            f"What the run did at {pointer!r} was undone since, so what follows would stand on nothing.",
            remedy=f"Fork from {pointer!r}, or from a task before it.",
        )


def _first(history: Sequence[Event]) -> RunStarted:
    first = history[0]
    assert isinstance(first, RunStarted), "a history begins with RunStarted"
    return first


def _place(state: RunState) -> tuple[Any, ...]:
    frames = {number: (frame.node.pointer, frame.node.kind) for number, frame in state.frames.items()}
    return frames, {number: type(command) for number, command in state.open.items()}, set(state.held), state.ended
