"""The second door: rules that leave acts to people."""

from __future__ import annotations

from typing import Any

import msgspec

from segue.governance import ActDoor, Guard, Policies, shipped
from segue.types import Approval, ApprovalWanted, Failure, Perform, SecretText
from segue.types.causes import Way

RULE = '@id("{0}") @approval("{1}")\nforbid (principal, action == Action::"act.perform", resource) when {{ {2} }};\n'
FINANCE = RULE.format("money", "finance", 'resource.connection == "billing"')
LEGAL = RULE.format("contracts", "legal", "context.untrusted")
NEVER = '@id("never") forbid (principal, action == Action::"act.perform", resource);'
FACTS = {"untrusted": True, "classes": ["personal"], "sources": ["input"], "risk": "high", "declares": []}


def door(*rules: str) -> ActDoor:
    guard = Guard(Policies({**shipped(), "here": "\n".join(rules)}))
    return ActDoor(guard, guard.switches, lambda workflow, pointer, way: FACTS)


def act(**more: Any) -> Perform:
    arguments = {"use": "billing", "body": {"n": 1}, "key": SecretText.of("billing")}
    return Perform(5, "connector", more.pop("arguments", arguments), "refund", "/do/0", "1", **more)


def approve(command: Perform, *wanted: ApprovalWanted) -> Perform:
    given = [Approval(command.effect, w.digest, w.rules, f"by-{w.role}", 1, w.id) for w in wanted]
    return msgspec.structs.replace(command, approvals=(*command.approvals, *given))


def test_it_says_who_must_approve_and_what_they_need_to_know() -> None:
    """The rule with its text, the labels, and a digest of the act."""
    wanted = door(FINANCE).ask("r", "a/b:1", act())
    assert isinstance(wanted, ApprovalWanted)
    assert (wanted.id, wanted.role, list(wanted.rules)) == (5, "finance", ["money"])
    assert '== "billing"' in wanted.rules["money"]
    assert wanted.labels == FACTS
    assert wanted.amount is None


def test_several_roles_are_asked_one_after_the_other_and_each_counts_for_its_rules() -> None:
    """Two rules that want two people are not lifted by one of them."""
    asked = door(FINANCE, LEGAL)
    first = asked.ask("r", "a/b:1", act())
    assert isinstance(first, ApprovalWanted)
    second = asked.ask("r", "a/b:1", approve(act(), first))
    assert isinstance(second, ApprovalWanted)
    assert {first.role, second.role} == {"finance", "legal"}
    answer = asked.ask("r", "a/b:1", approve(act(), first, second))
    assert isinstance(answer, str)
    assert answer.startswith("contracts,money@")
    assert "by-finance" in answer
    assert "by-legal" in answer


def test_no_approval_lifts_a_rule_that_forbids() -> None:
    """A stricter rule that comes while it waits counts."""
    given = approve(act(), _wanted(door(FINANCE)))
    assert isinstance(door(FINANCE, NEVER).ask("r", "a/b:1", given), Failure)


def test_a_rule_that_was_rewritten_is_approved_anew() -> None:
    """What somebody read is what they lifted."""
    given = approve(act(), _wanted(door(FINANCE)))
    assert isinstance(door(FINANCE).ask("r", "a/b:1", given), str)
    rewritten = FINANCE.replace('"billing"', '"billing" || true')
    assert isinstance(door(rewritten).ask("r", "a/b:1", given), ApprovalWanted)


def test_other_arguments_or_another_secret_are_another_act() -> None:
    """Whatever could make it so."""
    asked = door(FINANCE)
    given = approve(act(), _wanted(asked))
    for other in ({"use": "billing", "body": {"n": 2}}, {**act().arguments, "key": SecretText.of("crm")}):
        tried = msgspec.structs.replace(given, arguments=other)
        assert isinstance(asked.ask("r", "a/b:1", tried), ApprovalWanted)


def test_what_nobody_waits_for_and_what_is_under_way_cannot_wait() -> None:
    """They are refused, and say why."""
    asked = door(FINANCE)
    detached = asked.ask("r", "a/b:1", act(detached=True))
    assert isinstance(detached, Failure)
    assert "await: false" in str(detached.detail)
    assert isinstance(asked.ask("r", "a/b:1", act(), begun=True), Failure)
    assert isinstance(asked.ask("r", "a/b:1", approve(act(), _wanted(asked)), begun=True), str)


def _wanted(asked: ActDoor) -> ApprovalWanted:
    wanted = asked.ask("r", "a/b:1", act())
    assert isinstance(wanted, ApprovalWanted)
    return wanted


def test_a_kept_verdict_ends_with_what_it_was_made_of() -> None:
    """Asking again is a look-up, until a rule, a fact or the act itself is another."""
    facts, changes = dict(FACTS), [0]
    guard = Guard(Policies({**shipped(), "here": LEGAL}))
    asked: list[str] = []

    def told(workflow: str, pointer: str, way: Way | None) -> dict[str, Any]:
        asked.append(pointer)
        return dict(facts)

    door = ActDoor(guard, guard.switches, told, changes=lambda: changes[0])
    facts["untrusted"] = False
    assert [isinstance(door.ask("r", "a/b:1", act()), str) for _ in range(3)] == [True] * 3
    assert asked == ["/do/0"]

    facts["untrusted"] = True
    changes[0] += 1
    assert isinstance(door.ask("r", "a/b:1", act()), ApprovalWanted)

    guard.policies = Policies({**shipped(), "here": NEVER})
    assert isinstance(door.ask("r", "a/b:1", act()), Failure)

    guard.policies = Policies({**shipped(), "here": RULE.format("one", "x", 'resource.operation == "refund"')})
    assert isinstance(door.ask("r", "a/b:1", act()), str)
    refund = act(arguments={"use": "billing", "operation": "refund"})
    assert isinstance(door.ask("r", "a/b:1", refund), ApprovalWanted)
    assert isinstance(door.ask("r", "a/b:1", act()), str)


def test_what_passed_by_one_look_up_is_asked_anew_when_its_labels_are_others() -> None:
    """Nothing else is asked in between that could notice it."""
    facts, changes = {"untrusted": False}, [0]
    guard = Guard(Policies({**shipped(), "here": RULE.format("contracts", "legal", "context.untrusted")}))
    door = ActDoor(guard, guard.switches, lambda *_: dict(facts), changes=lambda: changes[0])
    call = Perform(5, "function", {"name": "f"}, "send", "/do/0", "1")
    assert [isinstance(door.ask("r", "a/b:1", call), str) for _ in range(3)] == [True] * 3

    facts["untrusted"] = True
    changes[0] += 1
    assert isinstance(door.ask("r", "a/b:1", call), ApprovalWanted)
