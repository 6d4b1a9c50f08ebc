"""A verdict that was kept is the verdict that would be given now, whatever was asked, changed and stopped before."""

from __future__ import annotations

from functools import cache
from itertools import product
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from segue.governance import ActDoor, Guard, Policies, Resource, Thrown, shipped
from segue.types import Identity, Perform
from segue.types.causes import THROUGH, Way

_ACT = 'forbid (principal, action == Action::"act.perform", resource'
ACT_RULES = (
    f'@id("mail") {_ACT}) when {{ resource.handler == "notify" && context.classes.contains("personal") }};',
    f'@id("money") @approval("finance") {_ACT}) when {{ resource.connection == "billing" }};',
    f'@id("refund") {_ACT}) when {{ resource.operation == "refund" }};',
    f'@id("task") {_ACT} == Act::"a/b/do/0");',
    f'@id("flow") @approval("legal") {_ACT}) when {{ resource.name == "c" && context.untrusted }};',
    f'@id("risky") @warn("look") {_ACT}) when {{ context.risk == "high" }};',
    f'@id("alone") {_ACT}) when {{ context.affects == "person" && context.decider == "" }};',
)
RULES = (
    '@id("one") forbid (principal, action == Action::"run.read", resource == Run::"r1");',
    '@id("demo") forbid (principal, action in Action::"operate", resource is Workflow)'
    ' when { resource.namespace == "demo" };',
    '@id("team") permit (principal in Group::"team", action == Action::"run.read", resource);',
    '@id("risk") @approval("admin") forbid (principal, action == Action::"workflow.publish", resource)'
    ' when { context.risk == "high" || context.classes.contains("personal") };',
    '@id("own") forbid (principal, action == Action::"publication.approve", resource) when { !context.own };',
    '@id("seen") permit (principal in Role::"viewer", action == Action::"data.see", resource)'
    ' when { context.class == "personal" };',
)


@cache
def policies(rules: frozenset[str]) -> Policies:
    return Policies({**shipped(), "here": "\n".join(sorted(rules))})


# -- acts ------------------------------------------------------------------------------------------


class World:
    """What a door knows of workflows, and can be told anew."""

    def __init__(self) -> None:
        self.changes = 0
        self.apart: set[str] = set()
        self.clean: set[str] = set()

    def facts(self, workflow: str, pointer: str, way: Way | None) -> dict[str, Any]:
        knows = way if workflow in self.apart else None
        personal = workflow not in self.clean and (knows is None or bool(knows.hops))
        return {
            "risk": "high" if pointer == "/do/1" else "low",
            "classes": ["personal"] if personal and pointer == "/do/1" else [],
            "untrusted": personal,
            "sources": [],
        }

    def door(self, guard: Guard) -> ActDoor:
        return ActDoor(guard, guard.switches, self.facts, changes=lambda: self.changes, apart=self.apart.__contains__)


WORKFLOWS = ("a/b:1", "a/c:1")
PERSON: dict[str, Any] = {"affects": "person", "adverse": True}
ACTS = [
    Perform(1, handler, arguments, "task", pointer, "0", **about)
    for handler in ("notify", "function", "connector")
    for arguments in ({"use": "billing"}, {"use": "crm", "operation": "refund"})
    for pointer in ("/do/0", "/do/1")
    for about in ({}, PERSON, {**PERSON, "decided_by": "person:ola", "decided": "no"})
]
CAUSES: list[dict[str, Any]] = [{"kind": "api"}, {"kind": "run", THROUGH: ["a/x:1/do/0"]}]
CHANGES: list[tuple[str, Any]] = [
    ("clean", "a/b:1"),
    ("clean", "a/b:1"),
    ("throw", "workflow a/b"),
    ("release", "workflow a/b"),
    ("apart", "a/b:1"),
    ("clean", "a/b:1"),
    ("apart", "a/b:1"),
    ("throw", "connection billing"),
]


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.frozensets(st.sampled_from(ACT_RULES), min_size=1, max_size=3),
    st.frozensets(st.sampled_from(ACT_RULES), max_size=1),
    st.randoms(use_true_random=False),
)
@example(frozenset(ACT_RULES[:1]), frozenset(), Random(1))
@example(frozenset(ACT_RULES[2:3]), frozenset(ACT_RULES[:1]), Random(2))
def test_a_kept_answer_of_the_second_door_is_the_answer_of_a_new_one(
    rules: frozenset[str], others: frozenset[str], random: Random
) -> None:
    """An edited rule, a new publication and a thrown switch act at once, and no two acts are mixed up."""
    world = World()
    guard = Guard(policies(rules))
    door = world.door(guard)
    told = list(product(WORKFLOWS, ACTS, CAUSES))
    for change in (("none", ""), *CHANGES, ("rules", others)):
        _apply(change, world, guard)
        random.shuffle(told)
        fresh = Guard(guard.policies)
        for thrown in guard.switches.all():
            fresh.switches.throw(thrown)
        for workflow, act, cause in told:
            assert door.ask("r", workflow, act, cause) == world.door(fresh).ask("r", workflow, act, cause)


def _apply(change: tuple[Any, ...], world: World, guard: Guard) -> None:
    match change:
        case "rules", rules:
            guard.policies = policies(rules)
        case "throw", name:
            guard.switches.throw(Thrown(*name.split(), "person:ola", "drift", 0))
        case "release", name:
            guard.switches.release(*name.split())
        case "apart" | "clean" as kind, workflow:
            getattr(world, kind).symmetric_difference_update({workflow})
            world.changes += 1


# -- requests --------------------------------------------------------------------------------------


OLA = Identity(kind="person", id="ola", roles=frozenset({"viewer"}))
PEOPLE = [
    Identity(kind=kind, id="vic", roles=roles, groups=groups, workspace=workspace, scopes=scopes, acts_for=other)
    for kind, roles, groups, workspace, scopes, other in (
        ("person", frozenset({"operator"}), frozenset(), "default", None, None),
        ("person", frozenset({"operator"}), frozenset(), "other", None, None),
        ("person", frozenset({"operator"}), frozenset(), "default", frozenset({"read"}), None),
        ("agent", frozenset({"operator"}), frozenset(), "default", None, OLA),
        ("agent", frozenset({"operator"}), frozenset(), "default", None, None),
        ("person", frozenset({"publisher", "viewer"}), frozenset(), "default", None, None),
        ("person", frozenset(), frozenset({"team"}), "default", None, None),
        ("person", frozenset({"owner"}), frozenset(), "default", None, None),
    )
]
FLOWS = [Resource("Workflow", f"{space}/f", {"namespace": space, "name": "f"}) for space in ("demo", "x")]
REQUESTS: list[tuple[str, Resource, dict[str, Any]]] = [
    *[("run.read", Resource("Run", name), {}) for name in ("r1", "r2")],
    *[("run.start", flow, {}) for flow in FLOWS],
    *[
        ("workflow.publish", flow, {"risk": risk, "classes": classes})
        for flow in FLOWS
        for risk in ("low", "high")
        for classes in ([], ["personal"])
    ],
    *[("publication.approve", FLOWS[0], {"own": own}) for own in (True, False)],
    *[("data.see", flow, {"class": name}) for flow in FLOWS for name in ("public", "personal")],
]


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.frozensets(st.sampled_from(RULES), max_size=3), min_size=1, max_size=2),
    st.randoms(use_true_random=False),
)
@example([frozenset(RULES)], Random(1))
def test_a_kept_verdict_is_the_one_that_the_policies_give(rules: list[frozenset[str]], random: Random) -> None:
    """Whatever rules read of whoever asks, of what it is about, and of its context."""
    guard = Guard()
    told = list(product(PEOPLE, REQUESTS))
    for chosen in rules:
        guard.policies = policies(chosen)
        random.shuffle(told)
        for who, (action, resource, context) in told:
            wanted = Guard(guard.policies).verdict(who, action, resource, context)
            assert guard.verdict(who, action, resource, context) == wanted


def test_verdicts_that_are_kept_are_not_more_and_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules may read the id of a run, and there is no end of runs."""
    monkeypatch.setattr("segue.governance.guard._KEPT_MAX", 5)
    monkeypatch.setattr("segue.governance.door._KEPT_MAX", 5)
    guard = Guard(policies(frozenset(RULES[:1] + ACT_RULES[:1])))
    door = World().door(guard)
    for number in range(40):
        who = Identity(kind="person", id=f"p{number % 3}", roles=frozenset({"viewer"}))
        assert guard.verdict(who, "run.read", Resource("Run", f"r{number}")).allowed == (number != 1)
        assert isinstance(door.ask("r", f"a/{number}:1", Perform(1, "notify", {}, "t", "/do/0", "0")), str)
        assert sum(map(len, guard._kept.values())) <= 5
        assert len(door._passing) <= len(door._kept) <= 5
