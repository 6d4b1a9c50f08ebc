"""What the compiler says of ways on which no person decides holds for whatever the core then does."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segue.core import Plan, advance, bounds, snapshot
from segue.dsl import Environment, PythonFunction, compile_plan, read_document
from segue.dsl.flows import undecided
from segue.types import AttemptSucceeded, DecisionMade, Offer, Perform, RunStarted

ENVIRONMENT = Environment(functions={"f": PythonFunction("f")})
ASK: dict[str, Any] = {"call": "human-task", "with": {"title": "x", "assign": {"role": "r"}}}
REJECT: dict[str, Any] = {"call": "f", "metadata": {"segue": {"affects": "person", "adverse": True}}}
STEPS_MAX = 60
FLAGS = 6

flag = st.integers(0, FLAGS - 1).map(lambda n: f"${{ $workflow.input[{n}] }}")


@st.composite
def task(draw: st.DrawFn, depth: int, names: list[str]) -> dict[str, Any]:
    kinds = ["ask", "reject", "set", "switch"] + (["do", "for", "try", "fork", "needs"] if depth else [])
    made: dict[str, Any]
    match draw(st.sampled_from(kinds)):
        case "ask":
            made = dict(ASK)
        case "reject":
            made = dict(REJECT)
        case "set":
            made = {"set": {"a": 1}}
        case "switch":
            return {"switch": [{"c": {"when": draw(flag), "then": draw(st.sampled_from(names))}}]}
        case "do":
            made = {"do": draw(tasks(depth - 1))}
        case "for":
            made = {"for": {"in": "${ [1, 2] }"}, "do": draw(tasks(depth - 1))}
        case "try":
            made = {"try": draw(tasks(depth - 1)), "catch": {"do": draw(tasks(depth - 1))}}
        case "fork":
            made = {
                "fork": {"branches": [{"x": draw(task(depth - 1, ["end"]))}, {"y": draw(task(depth - 1, ["end"]))}]}
            }
        case _:
            second = {**draw(task(depth - 1, ["end"])), "needs": ["x"]}
            made = {"fork": {"branches": [{"x": draw(task(depth - 1, ["end"]))}, {"y": second}]}}
    if draw(st.integers(0, 3)) == 0:
        made["if"] = draw(flag)
    if depth and draw(st.integers(0, 4)) == 0:
        made["then"] = draw(st.sampled_from([name for name in names if name not in ("x", "y")]))
    return made


@st.composite
def tasks(draw: st.DrawFn, depth: int = 2) -> list[dict[str, Any]]:
    names = [f"t{n}" for n in range(draw(st.integers(1, 4)))]
    return [{name: draw(task(depth, [*names, "exit", "end"]))} for name in names]


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(listed=tasks(), flags=st.lists(st.booleans(), min_size=FLAGS, max_size=FLAGS))
def test_an_act_without_a_decision_stands_on_a_way_that_was_told(
    listed: list[dict[str, Any]], flags: list[bool]
) -> None:
    """What publishing lets through must never be refused by the guard for want of a person."""
    head = {"dsl": "1.0.3", "namespace": "n", "name": "d", "version": "1.0.0"}
    document = read_document(msgspec.json.encode({"document": head, "do": listed}))
    plan = compile_plan(document, ENVIRONMENT)
    told = undecided(plan)
    for act in acts(plan, flags):
        assert act.affects == "person"
        assert act.decided_by or act.pointer in told, f"{act.pointer} was reached with nobody's decision"


def acts(plan: Plan, flags: list[bool]) -> list[Perform]:
    """All acts of a run in which every act succeeds and every task is decided, over snapshots now and then."""
    state, commands = advance(plan, None, RunStarted(1, "r", plan.digest, flags, "s", flags=(bounds.flag(10_000),)))
    found: list[Perform] = []
    pending = list(commands)
    for step in range(STEPS_MAX):
        pending = [c for c in pending if isinstance(c, Perform | Offer) and c.id in state.open]
        if not pending or state.ended is not None:
            break
        if step % 5 == 4:
            state = snapshot.restore(plan, snapshot.take(plan, state))
        chosen = pending.pop(0)
        if isinstance(chosen, Perform):
            found.append(chosen)
            event: Any = AttemptSucceeded(1, chosen.id, {})
        else:
            event = DecisionMade(1, chosen.id, "approve", by="ann")
        state, commands = advance(plan, state, event)
        pending += commands
    return found
