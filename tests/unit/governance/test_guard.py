"""Who may do what, and that no answer is a deny."""

from __future__ import annotations

from typing import Any

import pytest

from segue.governance import (
    ACTIONS,
    ROLES,
    ActDoor,
    Guard,
    Policies,
    PolicyDenied,
    PolicyRefused,
    Resource,
    Thrown,
    roles_for,
    shipped,
)
from segue.governance.policy import misfits
from segue.types import LOCAL_OWNER, Identity, acting_as

VIEWER = Identity(kind="person", id="vic", roles=frozenset({"viewer"}))
OPERATOR = Identity(kind="person", id="ola", roles=frozenset({"operator"}))
RUN = Resource("Run", "r1")
FLOW = Resource("Workflow", "demo/flow", {"namespace": "demo", "name": "flow"})


class Sink:
    """Remembers records."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    def record(self, **record: Any) -> None:
        self.records.append(record)


def with_rule(text: str) -> Guard:
    return Guard(Policies({**shipped(), "extra": text}))


def test_nobody_is_denied() -> None:
    """An edge that forgot to say who acts lets nothing through."""
    with pytest.raises(PolicyDenied) as denied:
        Guard().check("run.read", RUN)

    assert denied.value.identity is None
    assert denied.value.verdict.verdict == "deny"


def test_what_no_rule_permits_is_denied_and_says_so() -> None:
    """Deny by default; a person without a role may nothing at all."""
    guard = Guard()
    nobody = Identity(kind="person", id="new")

    assert all(
        guard.verdict(nobody, name, Resource(action.resource)).verdict == "deny" for name, action in ACTIONS.items()
    )
    assert "no rule permits person:new" in guard.verdict(nobody, "run.read", RUN).reason


def test_the_verdict_names_the_rules_and_the_version() -> None:
    """An auditor must see why, and under which policies."""
    verdict = Guard().verdict(VIEWER, "run.read", RUN)

    assert (verdict.verdict, verdict.rules) == ("allow", ("viewer",))
    assert verdict.policy.startswith("0-")


def test_a_forbid_beats_every_permit() -> None:
    """Precedence must be one sentence that everybody can remember."""
    guard = with_rule(
        '@id("freeze") forbid (principal, action == Action::"run.start", resource)'
        ' when { resource.namespace == "demo" };'
    )
    other = Resource("Workflow", "sales/x", {"namespace": "sales", "name": "x"})

    assert guard.verdict(LOCAL_OWNER, "run.start", FLOW).rules == ("freeze",)
    assert guard.verdict(LOCAL_OWNER, "run.start", other).allowed


def test_nobody_reaches_over_the_border_of_a_workspace() -> None:
    """Not even an owner: whoever works in several says in which one."""
    guard = Guard(workspace="north")

    assert guard.verdict(LOCAL_OWNER, "run.read", RUN).rules == ("workspace-border",)


def test_a_token_narrows_and_never_widens() -> None:
    """A leaked token is worth what it was made for and no more."""
    guard = Guard()
    narrow = Identity(kind="service", id="ci", roles=frozenset({"publisher"}), scopes=frozenset({"publish"}))
    wide = Identity(kind="service", id="ci", roles=frozenset({"viewer"}), scopes=frozenset({"publish", "administer"}))

    assert guard.verdict(narrow, "workflow.publish", FLOW).allowed
    assert not guard.verdict(narrow, "run.read", RUN).allowed
    assert not guard.verdict(wide, "retention.run", Resource("Installation")).allowed


def test_who_acts_for_somebody_may_only_what_both_may() -> None:
    """An agent started by a viewer is no way around being a viewer."""
    agent = Identity(kind="agent", id="helper", roles=frozenset({"operator"}), acts_for=VIEWER)
    trusted = Identity(kind="agent", id="helper", roles=frozenset({"operator"}), acts_for=OPERATOR)

    assert not Guard().verdict(agent, "run.start", FLOW).allowed
    assert Guard().verdict(trusted, "run.start", FLOW).allowed


def test_a_rule_can_ask_for_approval_instead_of_refusing() -> None:
    """Not everything is yes or no; but a plain forbid beside it wins."""
    asks = '@id("big") @approval("approver") forbid (principal, action == Action::"run.start", resource);'
    guard = with_rule(asks)
    verdict = guard.verdict(OPERATOR, "run.start", FLOW)
    never = with_rule(asks + '@id("never") forbid (principal, action == Action::"run.start", resource);')

    assert (verdict.verdict, verdict.approver, verdict.rules) == ("needs-approval", "approver", ("big",))
    assert never.verdict(OPERATOR, "run.start", FLOW).verdict == "deny"


def test_approval_lifts_a_forbid_and_never_stands_in_for_a_permit() -> None:
    """Otherwise a rule that asks for more would give everybody something to ask for."""
    guard = with_rule('@id("big") @approval("approver") forbid (principal, action == Action::"run.start", resource);')

    assert guard.verdict(VIEWER, "run.start", FLOW).verdict == "deny"


def test_a_rule_that_fails_denies() -> None:
    """No answer is a deny, also where another rule would permit."""
    guard = with_rule(
        '@id("sum") permit (principal, action == Action::"run.start", resource)'
        " when { 9223372036854775807 + 1 == 0 };"
    )

    verdict = guard.verdict(LOCAL_OWNER, "run.start", FLOW)

    assert verdict.verdict == "deny"
    assert "could not be evaluated" in verdict.reason


def test_verdicts_are_kept_by_what_the_rules_read() -> None:
    """Asking for each of a million runs must not ask Cedar a million times; and never mix two answers up."""
    guard = Guard()
    for number in range(50):
        guard.verdict(VIEWER, "run.read", Resource("Run", f"r{number}"))
    assert sum(map(len, guard._kept.values())) == 1

    guard = with_rule('@id("one") forbid (principal, action == Action::"run.read", resource == Run::"r7");')
    answers = [guard.verdict(VIEWER, "run.read", Resource("Run", f"r{number}")).allowed for number in range(10)]
    assert answers == [number != 7 for number in range(10)]


def test_changed_policies_count_at_once() -> None:
    """Taking a right away must not wait for a cache."""
    guard = Guard()
    assert guard.verdict(VIEWER, "run.read", RUN).allowed

    guard.policies = Policies({**shipped(), "x": '@id("closed") forbid (principal, action, resource);'}, 1)

    assert not guard.verdict(VIEWER, "run.read", RUN).allowed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("permit (principal, action, resource);", "has no id"),
        ('@id("x") permit (principal, action == Action::"run.strat", resource);', "run.strat"),
        ('@id("x") permit (principal', "unexpected end"),
        ('@id("x") permit (principal, action, resource is Run) when { resource.hue == 0 };', "hue"),
        ('@id("viewer") permit (principal, action, resource);', "taken"),
        ('@id("x") @approval("admin") permit (principal, action, resource);', "make it a forbid"),
        ('@id("x") permit (principal == ?principal, action, resource);', "templates"),
    ],
)  # fmt: skip
def test_policies_that_cannot_mean_what_they_say_are_refused(text: str, said: str) -> None:
    """A misspelt action would otherwise be a rule that never applies, and nobody would know."""
    with pytest.raises(PolicyRefused, match=said):
        Policies({**shipped(), "extra": text})


def test_the_sink_hears_refusals_and_changes_but_not_every_look() -> None:
    """The chain holds what somebody may ask about later; looking at a list is not that."""
    sink = Sink()
    guard = Guard(audit=sink, local=OPERATOR)
    guard.check("run.read", RUN)
    guard.check("run.start", FLOW)
    with acting_as(VIEWER), pytest.raises(PolicyDenied):
        guard.check("run.start", FLOW)

    assert [(r["principal"], r["action"], r["resource"], r["verdict"]) for r in sink.records] == [
        ("person:ola", "run.start", "workflow:demo/flow", "allow"),
        ("person:vic", "run.start", "workflow:demo/flow", "deny"),
    ]


@pytest.mark.parametrize("name", sorted(shipped()))
def test_what_ships_fits_the_schema(name: str) -> None:
    """A start does not check it again, because that takes longer than opening a folder."""
    assert misfits(shipped()[name]) == []


def test_a_shipped_file_that_somebody_changed_is_checked() -> None:
    """Only the very text that ships was checked when it was made."""
    changed = shipped()["roles"].replace("principal", "principle", 1)
    with pytest.raises(PolicyRefused, match="roles"):
        Policies({**shipped(), "roles": changed})
    unknown = '@id("x") permit (principal, action == Action::"no.such", resource);'
    with pytest.raises(PolicyRefused, match="roles"):
        Policies({**shipped(), "roles": shipped()["roles"] + unknown})


def test_separate_duties_are_separate_in_the_shipped_roles() -> None:
    """Who decides about people does not publish, and who publishes does not decide about people."""
    policies = Policies(shipped())

    assert roles_for(policies, "workflow.publish") == ["publisher", "owner"]
    assert roles_for(policies, "retention.run") == ["admin", "owner"]
    assert "operator" not in roles_for(policies, "connection.add")
    assert roles_for(policies, "run.read") == [role for role in ROLES if role != "provisioner"]


@pytest.mark.parametrize(("kind", "name"), [("workflow", "demo/flow"), ("workspace", "default")])
def test_what_a_switch_stops_starts_by_no_schedule(kind: Any, name: str) -> None:
    """The scheduler asks the door; a switch on something else is none of its business."""
    guard = Guard()
    door = ActDoor(guard, guard.switches)
    guard.switches.throw(Thrown("workflow", "demo/other", "person:ola", "drift", 0))
    assert door.may_start("demo/flow")
    guard.switches.throw(Thrown(kind, name, "person:ola", "drift", 0))
    assert not door.may_start("demo/flow")
    guard.switches.release(kind, name)
    assert door.may_start("demo/flow")
