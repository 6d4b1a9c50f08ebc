"""What happened in a run is told from its history alone."""

from __future__ import annotations

import pytest
from tests.unit.service.told import plan_of, started

from segue.service import observe
from segue.types import RunCancelled, RunPaused, TimerFired

WAITING = """
- first:
    set: {a: 1}
- pause:
    wait: {seconds: 5}
- last:
    set: {b: 2}
"""


def test_tasks_are_told_in_the_order_in_which_they_started() -> None:
    """A reader follows the run from top to bottom."""
    plan = plan_of(WAITING)

    seen = observe(plan, [started(at=1_000), TimerFired(at=6_000, id=4)])

    assert [(t.pointer, t.status) for t in seen.tasks.values()] == [
        ("/do/0/first", "completed"),
        ("/do/1/pause", "completed"),
        ("/do/2/last", "completed"),
    ]
    assert seen.tasks[3].view().duration_ms == 5_000
    assert seen.state.output == {"b": 2}


def test_a_task_that_waits_says_so_and_names_what_for() -> None:
    """`running` would make people look for work that nobody does."""
    seen = observe(plan_of(WAITING), [started(at=1_000)])

    assert [t.status for t in seen.tasks.values()] == ["completed", "waiting"]
    (waiting,) = seen.open_commands()
    assert (waiting.kind, waiting.pointer, waiting.due_at) == ("timer", "/do/1/pause", "1970-01-01T00:00:06.000Z")
    assert seen.state.status == "waiting"


def test_a_wait_for_events_names_their_types() -> None:
    """Whoever looks at a parked run wants to know what would wake it."""
    plan = plan_of(
        """
        - paid:
            listen: {to: {one: {with: {type: order.paid}}}}
        """
    )

    (waiting,) = observe(plan, [started()]).open_commands()

    assert (waiting.kind, waiting.pointer, waiting.types) == ("message", "/do/0/paid", ["order.paid"])


def test_a_decision_tells_the_case_and_what_it_saw() -> None:
    """Why a run took a turn must be answerable without the code."""
    plan = plan_of(
        """
        - which:
            switch:
              - big: {when: '.n > 10', then: end}
              - otherwise: {then: exit}
        """
    )

    (decision,) = observe(plan, [started(given={"n": 11})]).decisions

    assert (decision.pointer, decision.case, decision.saw) == ("/do/0/which", "big", {"n": 11})


def test_a_skipped_task_is_told_apart_from_those_that_started() -> None:
    """`skipped` is no phase of the language: such a task never started."""
    plan = plan_of(
        """
        - never:
            if: 'false'
            set: {a: 1}
        - always:
            set: {b: 2}
        """
    )

    seen = observe(plan, [started()])

    assert [t.name for t in seen.tasks.values()] == ["always"]
    assert [s.pointer for s in seen.skipped] == ["/do/0/never"]


def test_a_failed_task_carries_its_error() -> None:
    """The place that failed is where a person looks first."""
    plan = plan_of(
        """
        - broken:
            raise: {error: {type: https://example.com/e, status: 418, detail: no coffee}}
        """
    )

    (task,) = observe(plan, [started()]).tasks.values()

    assert task.status == "faulted"
    assert task.view().error == {
        "type": "https://example.com/e",
        "status": 418,
        "detail": "no coffee",
        "instance": "/do/0/broken",
    }


def test_a_task_whose_condition_fails_is_told_though_it_never_started() -> None:
    """Otherwise the run's error would point to a task that the list does not have."""
    plan = plan_of(
        """
        - broken:
            if: '.a | error("x")'
            set: {a: 1}
        """
    )

    (task,) = observe(plan, [started(given={"a": 1})]).tasks.values()

    assert (task.pointer, task.status) == ("/do/0/broken", "faulted")


def test_each_turn_of_a_loop_is_a_task_of_its_own() -> None:
    """Iterations share a pointer; the index tells them apart."""
    plan = plan_of(
        """
        - each:
            for: {in: '[1, 2]'}
            do:
              - one: {set: {n: 1}}
        """
    )

    tasks = observe(plan, [started()]).tasks.values()

    assert [(t.name, list(t.iteration)) for t in tasks if t.name == "one"] == [("one", [0]), ("one", [1])]


def test_emitted_events_are_told() -> None:
    """They are part of what a run did."""
    plan = plan_of("- tell: {emit: {event: {with: {type: order.done, data: {id: 7}}}}}")

    (emitted,) = observe(plan, [started()]).emitted

    assert (emitted.event["type"], emitted.event["data"]) == ("order.done", {"id": 7})


@pytest.mark.parametrize(
    ("last", "status", "task"),
    [(RunPaused(at=2_000), "suspended", "waiting"), (RunCancelled(at=2_000), "cancelled", "cancelled")],
)
def test_operators_are_seen(last: RunPaused | RunCancelled, status: str, task: str) -> None:
    """A pause leaves the waiting task alone; a cancel reaches it."""
    seen = observe(plan_of(WAITING), [started(), last])

    assert seen.state.status == status
    assert seen.tasks[3].status == task


def test_an_empty_history_is_an_error() -> None:
    """There is no run without its first event."""
    with pytest.raises(ValueError, match="RunStarted"):
        observe(plan_of(WAITING), [])
