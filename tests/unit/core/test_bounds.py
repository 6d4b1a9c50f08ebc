"""How large a value may be that a run keeps, and how often it may jump back without waiting."""

from __future__ import annotations

from typing import Any

import pytest
from tests.conformance.hosts.building import act, emit, fork, listens_to, program, workflow

from segue.core import Plan, RunState, advance, bounds
from segue.core.plan import EventFilter, Iterator, ListenNode, Matcher, Node, SetNode, Strategy
from segue.types import AttemptSucceeded, EndRun, Event, MessageConsumed, RunStarted

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
        (put("a", 1, input_from=program(["x" * 2000])), "the input"),
        (fork("a", put("x", "x" * 600), put("y", "x" * 600)), "the array of the branches' outputs"),
    ],
    ids=["set", "emit", "output", "export", "input", "fork"],
)
def test_a_value_that_is_too_large_faults_its_task(task: Node, what: str) -> None:
    """The sentence names the task, the size, the limit and what to do; a run without the flag is as it was."""
    reason = ending(workflow("w", task), FLAGS).failure
    assert reason is not None
    assert reason.instance == "/do/a"
    assert reason.detail.startswith(what)  # type: ignore[union-attr]
    assert "at most 1,000 may be kept (setting payload_max_kb)" in reason.detail  # type: ignore[operator]
    assert ending(workflow("w", task), ()).status == "completed"


def test_arguments_that_are_too_large_never_reach_the_handler() -> None:
    """They would be written down before anybody could refuse them."""
    plan = workflow("w", act("a", arguments=lambda data: ["x" * 2000]))
    reason = ending(plan, FLAGS).failure
    assert reason is not None
    assert reason.detail.startswith("what the arguments came to has 2,004 bytes")  # type: ignore[union-attr]


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value] if levels % 2 else {'a]"': value}
    return value


@pytest.mark.parametrize("levels", [bounds.DEPTH_MAX - 1, bounds.DEPTH_MAX, bounds.DEPTH_MAX + 1, 990, 5_000])
def test_a_value_is_refused_from_a_depth_on_that_is_the_same_everywhere(levels: int) -> None:
    """What readers and writers of JSON can take depends on how much stack is left."""
    reason = ending(workflow("w", put("a", deep(levels))), (bounds.flag(1_000_000),)).failure
    assert (reason is not None) == (levels > bounds.DEPTH_MAX)
    if reason is not None:
        assert "the value is nested deeper than 256 levels" in reason.detail  # type: ignore[operator]


def test_brackets_beside_each_other_and_in_texts_are_no_depth() -> None:
    """An array of a thousand objects is two levels deep, whatever stands in their texts."""
    value = [{"a": ["[" * 300 + "\\"], '"]"': [], "b": '\\"'}] * 1000
    assert ending(workflow("w", put("a", value)), (bounds.flag(1_000_000),)).status == "completed"


def test_runs_of_an_earlier_release_keep_the_bounds_they_began_with() -> None:
    """Their histories would lead elsewhere otherwise."""
    doubled = fork("a", put("x", "x" * 600), put("y", "x" * 600))
    assert ending(workflow("w", doubled), ("value-max=1000",)).status == "completed"
    assert ending(workflow("w", doubled), FLAGS).status == "faulted"
    assert ending(workflow("w", put("a", "x" * 2000)), ("value-max=1000",)).status == "faulted"


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


NEVER = Strategy("any", (EventFilter((Matcher("type", literal="a"),)),), until=program(False))


def collected(node: ListenNode, number: int, size: int) -> RunState:
    """The state after so many events of this size."""
    state, _ = advance(workflow("w", node), None, RunStarted(1, "r", "d", flags=FLAGS))
    for n in range(number):
        event = {"id": str(n), "source": "/t", "type": "a", "data": "x" * (size - 2)}
        state, _ = advance(workflow("w", node), state, MessageConsumed(2 + n, event))
    return state


def test_a_listener_stops_when_it_has_collected_too_much() -> None:
    """One whose end never comes would grow with every event, and nothing but the end was measured."""
    assert collected(ListenNode(name="l", pointer="/do/l", to=NEVER), 5, 200).ended is None
    state = collected(ListenNode(name="l", pointer="/do/l", to=NEVER), 6, 200)
    assert state.ended == "faulted"
    assert state.failure is not None
    assert state.failure.instance == "/do/l"
    assert "what the task has collected has more than 1,000 bytes" in (state.failure.detail or "")
    assert not state.frames


def test_what_a_listener_has_handled_counts_as_what_came_of_it() -> None:
    """One that hands each event on may go on for ever, as long as little is left of each."""
    each = Iterator(tasks=(), output_as=program(1))
    stream = Strategy("any", NEVER.filters, until=listens_to("b", mode="one"))
    assert collected(ListenNode(name="l", pointer="/do/l", to=stream, foreach=each), 500, 200).ended is None
    whole = Iterator(tasks=())
    assert collected(ListenNode(name="l", pointer="/do/l", to=stream, foreach=whole), 6, 200).ended == "faulted"
