"""How large a value may be that a run keeps, and how often it may jump back without waiting."""

from __future__ import annotations

from typing import Any

import pytest
from tests.conformance.hosts.building import act, emit, program, workflow

from segue.core import Plan, advance, bounds
from segue.core.plan import Node, SetNode
from segue.types import AttemptSucceeded, EndRun, Event, RunStarted

FLAGS = (bounds.flag(1000),)


def put(name: str, value: Any, **more: Any) -> SetNode:
    return SetNode(name=name, pointer=f"/do/{name}", value=program(value), **more)


def ending(plan: Plan, flags: tuple[str, ...], *events: Event) -> EndRun:
    state, commands = advance(plan, None, RunStarted(1, "r", "d", flags=flags))
    for event in events:
        state, commands = advance(plan, state, event)
    end = commands[-1]
    assert isinstance(end, EndRun)
    return end


@pytest.mark.parametrize(
    ("task", "what"),
    [
        (put("a", "x" * 2000), "the value"),
        (emit("a", "news", "x" * 2000), "the event"),
        (put("a", 1, output_as=program("x" * 2000)), "the output"),
        (put("a", 1, export_as=program(["x" * 2000])), "the exported context"),
    ],
    ids=["set", "emit", "output", "export"],
)
def test_a_value_that_is_too_large_faults_its_task(task: Node, what: str) -> None:
    """The sentence names the task, the size, the limit and what to do; a run without the flag is as it was."""
    reason = ending(workflow("w", task), FLAGS).failure
    assert reason is not None
    assert reason.instance == "/do/a"
    assert reason.detail.startswith(what)  # type: ignore[union-attr]
    assert "at most 1,000 may be kept (setting payload_max_kb)" in reason.detail  # type: ignore[operator]
    assert ending(workflow("w", task), ()).status == "completed"


def test_a_value_within_the_bounds_is_kept() -> None:
    """To the byte."""
    assert ending(workflow("w", put("a", "x" * 998)), FLAGS).status == "completed"
    assert ending(workflow("w", put("a", "x" * 999)), FLAGS).status == "faulted"


def test_a_jump_that_never_ends_is_stopped_early() -> None:
    """It would keep every other run waiting. The sentence names the task that jumps."""
    last = put("b", 2)
    last.then = 0
    reason = ending(workflow("w", put("a", 1), last), FLAGS).failure
    assert reason is not None
    assert "the task at /do/b jumped back 10,000 times" in reason.detail  # type: ignore[operator]


def test_jumps_are_counted_anew_after_each_wait() -> None:
    """A loop that acts may go on for ever."""
    task = act("a")
    task.then = 0
    plan = workflow("w", task)
    state, commands = advance(plan, None, RunStarted(1, "r", "d", flags=FLAGS))
    for _ in range(bounds.JUMPS_PER_EVENT_MAX + 10):
        state, commands = advance(plan, state, AttemptSucceeded(2, commands[0].id))  # type: ignore[union-attr]
    assert state.ended is None
