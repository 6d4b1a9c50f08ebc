"""Whatever a document puts together, a run with bounds holds nothing that is larger: not even for a moment."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from segue.core import Plan, RunState, advance, bounds, snapshot
from segue.dsl import Environment, PythonFunction, compile_plan, read_document
from segue.types import AttemptSucceeded, Perform, RunStarted, StartTimer, TimerFired

ENVIRONMENT = Environment(functions={"f": PythonFunction("f")})
BYTES_MAX = 10_000
STEPS_MAX = 40
DEPTH = 2
TWICE = {"a": "${ . }", "b": "${ . }"}
WRAPPED = "${ {a: .} }"
PASS: dict[str, Any] = {"switch": [{"c": {"when": "${ false }", "then": "end"}}]}
MADE = st.sampled_from([TWICE, WRAPPED, "${ [., .] }", "${ . }", "${ [$context, .] }"])


@st.composite
def task(draw: st.DrawFn, depth: int) -> dict[str, Any]:
    made: dict[str, Any]
    match draw(
        st.sampled_from(["set", "act", "switch", "called"] + (["do", "fork", "needs", "for", "try"] * bool(depth)))
    ):
        case "set":
            made = {"set": draw(MADE)}
        case "act":
            made = {"call": "f", "with": draw(st.sampled_from([TWICE, {"a": "${ . }"}])), "output": {"as": TWICE}}
        case "switch":
            made = dict(PASS)
        case "called":
            made = {"call": "itself", "with": TWICE}
        case "do":
            made = {"do": draw(tasks(depth - 1))}
        case "for":
            made = {"for": {"in": "${ [1, 2, 3] }"}, "do": draw(tasks(depth - 1))}
        case "try":
            made = {"try": draw(tasks(depth - 1)), "catch": {"do": [{"e": {"set": draw(MADE)}}]}}
        case kind:
            made = {"fork": {"branches": [{"x": draw(task(depth - 1))}, {"y": draw(task(depth - 1))}]}}
            if kind == "needs":
                made["fork"]["branches"][1]["y"]["needs"] = ["x"]
    if draw(st.integers(0, 2)) == 0:
        made["input"] = {"from": draw(MADE)}
    if depth == DEPTH and draw(st.integers(0, 4)) == 0:  # two branches that export are refused
        made["export"] = {"as": draw(MADE)}
    return made


@st.composite
def tasks(draw: st.DrawFn, depth: int = DEPTH) -> list[dict[str, Any]]:
    return [{f"t{n}": draw(task(depth))} for n in range(draw(st.integers(1, 3)))]


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@example(listed=[{"t0": {"fork": {"branches": [{"x": PASS}, {"y": PASS}]}}}])
@example(listed=[{"t0": {"fork": {"branches": [{"x": PASS}, {"y": PASS}, {"z": {**PASS, "needs": ["x", "y"]}}]}}}])
@example(listed=[{"t0": {"call": "itself", "with": TWICE}}])
@example(listed=[{"t0": {**PASS, "input": {"from": TWICE}}}])
@given(listed=tasks())
def test_no_value_of_a_run_outgrows_its_bounds(listed: list[dict[str, Any]]) -> None:
    """Thirty rounds of doubling cost nothing in memory and a gigabyte when they are written out."""
    looping = [*listed, {"again": {"wait": {"seconds": 1}, "then": "t0"}}]  # passes on what it was given, unmeasured
    head = {"dsl": "1.0.3", "namespace": "n", "name": "d", "version": "1.0.0"}
    functions = {"itself": {"do": [{"s": PASS}]}}
    written = {"document": head, "use": {"functions": functions}, "do": looping}
    plan = compile_plan(read_document(msgspec.json.encode(written)), ENVIRONMENT)
    for state in states(plan):
        for frame in state.frames.values():
            for value in (frame.input, frame.thread.context):
                assert len(msgspec.json.encode(value)) <= BYTES_MAX
        assert len(snapshot.take(plan, state)) < 100 * BYTES_MAX


def states(plan: Plan) -> list[RunState]:
    """A run in which every act answers with what it was given, and time passes."""
    flags = (bounds.flag(BYTES_MAX),)
    state, commands = advance(plan, None, RunStarted(1, "r", plan.digest, "x" * (BYTES_MAX // 3), "s", flags=flags))
    pending, seen = list(commands), [state]
    for _ in range(STEPS_MAX):
        waits = [command for command in pending if isinstance(command, Perform | StartTimer)]
        if not waits or state.ended is not None:
            break
        first, *pending = waits
        event: Any = TimerFired(1, first.id)
        if isinstance(first, Perform):
            event = AttemptSucceeded(1, first.id, first.arguments)
        state, more = advance(plan, state, event)
        pending += more
        seen.append(state)
    return seen
