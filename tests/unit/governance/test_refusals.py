"""Refusals are told, and whoever is refused does not fill the audit chain with them."""

from __future__ import annotations

from typing import Any

import pytest

from segue.governance import Guard, PolicyDenied, Resource
from segue.governance.refusals import INTERVAL_MS, NAMED_MAX, RESOURCE_MAX, TOLD_MAX, Refusals
from segue.types import Identity, acting_as


class Sink:
    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    def record(self, **record: Any) -> None:
        self.records.append(record)


def viewer(name: str) -> Identity:
    return Identity(kind="person", id=name, roles=frozenset({"viewer"}))


def refused(guard: Guard, who: Identity | None, action: str, about: str) -> None:
    with acting_as(who), pytest.raises(PolicyDenied):
        guard.check(action, Resource("Workflow", about))


def test_the_first_refusal_is_told_at_once_and_the_others_are_counted() -> None:
    """Of each person and each action; what they asked for stands in the count."""
    sink = Sink()
    guard = Guard(audit=sink)
    for number in range(50):
        refused(guard, viewer("vic"), "run.start", f"demo/w{number}")
    refused(guard, viewer("vic"), "workflow.publish", "demo/w")
    refused(guard, viewer("ann"), "run.start", "demo/w")
    refused(guard, None, "run.start", "demo/w")
    told = [(r["principal"], r["action"], r["resource"]) for r in sink.records]
    assert told == [
        ("person:vic", "run.start", "workflow:demo/w0"),
        ("person:vic", "workflow.publish", "workflow:demo/w"),
        ("person:ann", "run.start", "workflow:demo/w"),
        ("nobody", "run.start", "workflow:demo/w"),
    ]
    assert guard.tell_refusals(0, at_once=True)
    count = sink.records[4:]
    assert [(r["principal"], r["action"], r["verdict"], r["data"]["count"]) for r in count] == [
        ("person:vic", "run.start", "deny", 49)
    ]
    assert len(count[0]["data"]["about"]) == TOLD_MAX


def test_counts_are_told_when_five_minutes_are_over_and_begin_again() -> None:
    """Also where the clock was set back."""
    refusals, sink = Refusals("default"), Sink()
    assert refusals.is_first("person:vic", "run.start", "a", 1000)
    assert not refusals.is_first("person:vic", "run.start", "a", 2000)
    assert not refusals.is_due(1000 + INTERVAL_MS - 1)
    assert refusals.is_due(1000 + INTERVAL_MS)
    assert refusals.is_due(500)
    refusals.tell(sink, 9)
    assert [r["data"] for r in sink.records] == [{"count": 1, "about": ["a"]}]
    assert not refusals.is_due(1000 + INTERVAL_MS)
    assert refusals.is_first("person:vic", "run.start", "a", 1000 + INTERVAL_MS)


def test_many_tokens_cause_no_more_records_than_are_counted_apart() -> None:
    """Whoever makes accounts must not get a record for each of them for ever."""
    refusals, sink = Refusals("default"), Sink()
    first = sum(refusals.is_first(f"service:{n}", "run.start", "a", 1) for n in range(NAMED_MAX * 3))
    assert first == NAMED_MAX + 1
    refusals.tell(sink, 2)
    assert [(r["principal"], r["data"]["count"]) for r in sink.records] == [("several", NAMED_MAX * 2 - 1)]


def test_what_they_name_is_cut() -> None:
    """A body may hold megabytes, and the name of what somebody wants is taken from it."""
    sink = Sink()
    guard = Guard(audit=sink)
    for _ in range(2):
        refused(guard, viewer("vic"), "run.start", "x" * 1_000_000)
    guard.tell_refusals(0, at_once=True)
    assert len(str(sink.records)) < 10 * RESOURCE_MAX


def test_refused_acts_of_runs_each_have_their_record() -> None:
    """They are as many as events of histories, and each is somebody's question later."""
    sink = Sink()
    guard = Guard(audit=sink)
    who = Identity(kind="workflow", id="demo/flow")
    verdict = guard.verdict(who, "run.start", Resource("Workflow", "demo/w"))
    for _ in range(3):
        guard.note(who, "act.perform", Resource("Act", "demo/flow/do/0"), verdict)
    assert len(sink.records) == 3
