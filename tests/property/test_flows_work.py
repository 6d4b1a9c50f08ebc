"""Law: following data takes work in proportion to a document, however its loops, branches and jumps are nested."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.dsl import Environment, PythonFunction, compile_plan, read_document
from segue.dsl.flows import leaving, traced
from segue.dsl.flows.tasks import Walk

WALKS_PER_TASK = 150
"""Walks of tasks for each task of the document; 57 were the most among 120 nests made at random."""
JOINS_PER_TASK = 25_000
"""Parts that are joined, likewise; 9,300 were the most. Values have up to a thousand parts."""

ENVIRONMENT = Environment(functions={"f": PythonFunction("f")})
ACT = {
    "call": "f",
    "with": {"a": "${ . }", "x": "${ $context }"},
    "output": {"as": "${ {a: ., b: $context} }"},
    "export": {"as": "${ $context + {k: .} }"},
}
BACK = {"switch": [{"a": {"when": "${ .x }", "then": "one"}}, {"b": {"then": "exit"}}]}


def around(kind: str, level: int, body: list[Any]) -> dict[str, Any]:
    """A task with these inside."""
    match kind:
        case "for":
            return {"for": {"each": f"v{level}", "in": "${ [.] }"}, "do": body}
        case "fork":
            return {"fork": {"branches": [{"l": {"do": body}}, {"r": {"set": {"z": "${ $context }"}}}]}}
        case "try":
            catch = {"as": f"e{level}", "do": [{"c": {"set": {"w": f"${{ $e{level} }}"}}}]}
            return {"try": body, "catch": catch}
        case _:
            return {"do": [{"one": {"do": body}}, {"two": BACK}]}


def nested(kinds: list[str]) -> dict[str, Any]:
    body: list[Any] = [{"act": ACT}]
    for level, kind in enumerate(kinds):
        body = [{f"n{level}": around(kind, level, body)}]
    head = {"dsl": "1.0.3", "namespace": "n", "name": "d", "version": "1.0.0"}
    return {"document": head, "do": body}


@contextmanager
def counted() -> Iterator[dict[str, int]]:
    """How many tasks are walked and parts joined: work, and not the time that a busy machine takes for it."""
    counts = {"walks": 0, "joins": 0}
    walk, join = Walk._walk, traced._joined

    def walked(self: Walk, *given: Any) -> Any:
        counts["walks"] += 1
        return walk(self, *given)

    def joined(*given: Any) -> Any:
        counts["joins"] += 1
        return join(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Walk, "_walk", walked)
        patch.setattr(traced, "_joined", joined)
        yield counts


@settings(max_examples=25, deadline=None, derandomize=True)
@given(kinds=st.lists(st.sampled_from(["for", "fork", "try", "jump"]), min_size=1, max_size=10))
def test_work_grows_with_the_document(kinds: list[str]) -> None:
    """Whoever publishes a document, and whoever first looks at a run of it, waits for this."""
    plan = compile_plan(read_document(json.dumps(nested(kinds))), ENVIRONMENT)
    with counted() as counts:
        leaving(plan)
    assert counts["walks"] <= WALKS_PER_TASK * len(plan.nodes), (kinds, counts)
    assert counts["joins"] <= JOINS_PER_TASK * len(plan.nodes), (kinds, counts)


def test_what_adds_nothing_is_not_copied() -> None:
    """Loops come back with what they began with; telling so must not cost what it holds."""
    inner = traced.made_of({"a": traced.Traced(frozenset({traced.Origin("input")}))})
    whole = traced.made_of({"x": inner, "y": inner})
    assert traced.join(whole, traced.made_of({"x": inner})) is whole
    assert traced.join(inner, inner, traced.NOTHING) is inner
