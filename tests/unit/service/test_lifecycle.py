"""The lifecycle CloudEvents, section 15 of the document reference."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.service.told import plan_of, started

from segue.service import LIFECYCLE_TYPES, lifecycle_of
from segue.types import AttemptFailed, MessageConsumed, RunCancelled, RunPaused, RunResumed, TimerFired, failure

PREFIX = "io.serverlessworkflow."
WAIT = "- pause: {wait: {seconds: 5}}"


def words(events: list[dict[str, Any]]) -> list[str]:
    """Types without prefix and version."""
    return [event["type"].removeprefix(PREFIX).removesuffix(".v1") for event in events]


def told(tasks: str, *events: Any, given: object = None) -> list[dict[str, Any]]:
    """The lifecycle of a run with this history."""
    return lifecycle_of(plan_of(tasks), "r1", [started(given=given), *events])


def test_there_are_sixteen_types() -> None:
    """Eight of workflows and eight of tasks are mandatory."""
    assert len(set(LIFECYCLE_TYPES)) == 16


def test_a_run_that_completes_tells_its_whole_way() -> None:
    """The order is the order in which things happened."""
    assert words(told(WAIT, TimerFired(at=6_000, id=3))) == [
        "workflow.started",
        "task.created",
        "task.started",
        "task.completed",
        "workflow.completed",
    ]


def test_a_pause_reaches_the_open_tasks() -> None:
    """A consumer that watches one task sees that it stands still."""
    found = words(told(WAIT, RunPaused(at=2_000), RunResumed(at=3_000)))

    assert found[3:] == ["workflow.suspended", "task.suspended", "workflow.resumed", "task.resumed"]


def test_a_cancel_reaches_the_open_tasks() -> None:
    """Nothing stays open after the end."""
    assert words(told(WAIT, RunCancelled(at=2_000)))[3:] == ["task.cancelled", "workflow.cancelled"]


def test_a_failure_carries_the_error() -> None:
    """Whoever listens for faults needs no second request."""
    raised = "- broken: {raise: {error: {type: 'https://example.com/e', status: 418}}}"

    *_, task, workflow = told(raised)

    assert words([task, workflow]) == ["task.faulted", "workflow.faulted"]
    assert task["data"]["error"]["status"] == workflow["data"]["error"]["status"] == 418
    assert task["data"]["faultedAt"] == "1970-01-01T00:00:01.000Z"


def test_a_retry_is_told_of_the_task_that_tries() -> None:
    """`retried` belongs to the `try`, whose list starts again."""
    tries = """
    - again:
        try:
          - call: {call: http, with: {method: get, endpoint: 'http://x.test/'}}
        catch:
          retry: {delay: {seconds: 1}, limit: {attempt: {count: 1}}}
    """

    found = told(
        tries, AttemptFailed(at=1_100, id=3, failure=failure("communication", "no")), TimerFired(at=2_100, id=4)
    )

    retried = [event for event in found if event["type"] == PREFIX + "task.retried.v1"]
    assert [event["data"]["task"] for event in retried] == ["/do/0/again"]


def test_a_correlation_is_told_with_its_keys() -> None:
    """They say which conversation the run joined."""
    listen = """
    - paid:
        listen:
          to:
            one:
              with: {type: order.paid}
              correlate: {order: {from: .data.order}}
    """
    event = {"specversion": "1.0", "id": "1", "source": "/s", "type": "order.paid", "data": {"order": 7}}

    found = told(listen, MessageConsumed(at=2_000, event=event))

    assert "workflow.correlation-started" in words(found)
    done = next(e for e in found if e["type"] == PREFIX + "workflow.correlation-completed.v1")
    assert done["data"]["correlationKeys"] == {"order": 7}


def test_ids_follow_from_the_history() -> None:
    """A consumer that gets an event twice can tell."""
    once, twice = told(WAIT), told(WAIT)

    assert once == twice
    assert len({event["id"] for event in once}) == len(once)


def test_outputs_go_by_reference() -> None:
    """Events over 64 KiB may be dropped on the way."""
    completed = [e for e in told("- one: {set: {a: 1}}") if e["type"].endswith("completed.v1")]

    assert [event["data"]["outputUri"] for event in completed] == [
        "/api/v1/runs/r1/tasks/2",
        "/api/v1/runs/r1/output",
    ]
    assert all("output" not in event["data"] for event in completed)


@pytest.mark.parametrize("attribute", ["specversion", "id", "source", "type", "subject", "time", "data"])
def test_each_event_is_a_cloud_event(attribute: str) -> None:
    """Any CloudEvents consumer can take them."""
    assert all(event.get(attribute) for event in told(WAIT))


def test_the_name_of_a_run_is_qualified() -> None:
    """Definition name, hyphen, run, dot, namespace."""
    assert told(WAIT)[0]["data"]["name"] == "told-r1.demo"
