"""Held tasks, told."""

from __future__ import annotations

import msgspec
from tests.unit.service.told import plan_of, started

from segue.core import Moment, advance
from segue.service import lifecycle_of, observe
from segue.types import AttemptFailed, Event, RunStarted, TaskRestarted, TaskSkipped, failure

ACT = """
- ask:
    input: {from: '${ .inner }'}
    call: http
    with: {method: get, endpoint: 'http://127.0.0.1:1/'}
- last:
    set: {done: true}
"""
BROKEN = """
- ask:
    if: ${ error("no") }
    set: {a: 1}
"""


def holding(given: object = None) -> Event:
    """The start of a run that holds failures."""
    first = started(given=given)
    assert isinstance(first, RunStarted)
    return msgspec.structs.replace(first, flags=("hold",))


def failing() -> list[Event]:
    return [
        holding({"inner": 1}),
        AttemptFailed(at=2_000, id=2, failure=failure("communication", "down", status=503)),
    ]


def test_a_held_task_is_suspended_and_says_why() -> None:
    """`faulted` would say that it is over."""
    (task,) = observe(plan_of(ACT), failing()).tasks.values()
    view = task.view()
    assert (view.status, view.ended_at, view.by_hand) == ("suspended", None, False)
    assert view.error is not None
    assert view.error["status"] == 503


def test_a_task_that_failed_before_it_began_is_told_too() -> None:
    """Its condition could not be evaluated; a person must find it in the list."""
    (task,) = observe(plan_of(BROKEN), [holding()]).tasks.values()
    assert (task.status, task.pointer) == ("suspended", "/do/0/ask")


def test_a_task_that_a_person_skipped_has_their_output() -> None:
    """And is not taken for one whose condition was false."""
    seen = observe(plan_of(ACT), [*failing(), TaskSkipped(at=3_000, id=2, output="by hand", by="ann")])
    first = next(iter(seen.tasks.values()))
    assert (first.status, first.output, first.by_hand, first.ended_at) == ("completed", "by hand", True, 3_000)
    assert seen.skipped == []
    assert seen.state.output == {"done": True}


def test_consumers_hear_that_a_task_waits_and_goes_on() -> None:
    """The lifecycle has no word for it but `suspended`."""
    told = lifecycle_of(plan_of(ACT), "r1", [*failing(), TaskRestarted(3_000, 2), TaskSkipped(4_000, 3)])
    words = [event["type"].split(".", 2)[2].removesuffix(".v1") for event in told]
    assert words == [
        *("workflow.started", "task.created", "task.started", "task.suspended"),
        *("task.cancelled", "task.created", "task.started", "task.completed"),
        *("task.created", "task.started", "task.completed", "workflow.completed"),
    ]
    assert told[3]["data"]["error"]["status"] == 503


def test_the_trace_keeps_what_went_in_before_it_was_transformed() -> None:
    """Going back to a task needs what it got, not what it made of it."""
    trace: list[Moment] = []
    advance(plan_of(ACT), None, holding({"inner": 1}), trace=trace)
    begun = next(moment for moment in trace if moment.pointer == "/do/0/ask")
    assert (begun.raw, begun.data) == ({"inner": 1}, 1)
