"""What rules do to each other: which contradict, and which can never decide anything.

Precedence is one sentence: a `forbid` beats every `permit`. The analysis compares the scopes of rules (who, which
actions, what) and not their conditions, so it says "may" where conditions decide, and it never misses an overlap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations, product
from typing import Any, Literal

import msgspec

from segue.governance.actions import ACTIONS
from segue.governance.policy import Policies, Rule, applies

FindingKind = Literal["conflict", "shadowed", "redundant"]


class PolicyFinding(msgspec.Struct, frozen=True):
    """Two rules of which one matters less than its author may think.

    Attributes:
        rule: The rule that gives way. by: the rule that wins.
        actions: Where they meet.
        message: What that means, with the order of precedence.
    """

    kind: FindingKind
    rule: str
    by: str
    actions: tuple[str, ...]
    message: str


def findings(policies: Policies) -> list[PolicyFinding]:
    """All findings, the gravest first. A pair of rules that both ship is not told: they were made for each other."""
    rules = list(policies.rules.values())
    permits = [rule for rule in rules if rule.effect == "permit"]
    # The border of workspaces meets every rule there is; telling that of each says nothing.
    forbids = [rule for rule in rules if rule.effect == "forbid" and rule.id != "workspace-border" and not rule.warn]
    found = [*_contradictions(permits, forbids), *_repetitions(permits)]
    order = {"shadowed": 0, "conflict": 1, "redundant": 2}
    return sorted(found, key=lambda finding: (order[finding.kind], finding.rule, finding.by))


def _contradictions(permits: list[Rule], forbids: list[Rule]) -> Iterator[PolicyFinding]:
    for permit, forbid in product(permits, forbids):
        actions = _meet(permit, forbid)
        if not actions or (permit.shipped and forbid.shipped) or "Role::owner" in _who(permit):
            continue
        if _covers(forbid, permit) and not forbid.tree["conditions"]:
            message = f"forbid {forbid.id!r} beats permit {permit.id!r} wherever it applies, so it never counts"
            yield PolicyFinding("shadowed", permit.id, forbid.id, actions, message)
        else:
            message = f"where both apply, forbid {forbid.id!r} beats permit {permit.id!r}"
            yield PolicyFinding("conflict", permit.id, forbid.id, actions, message)


def _repetitions(permits: list[Rule]) -> Iterator[PolicyFinding]:
    for one, other in combinations(permits, 2):
        if one.shipped and other.shipped:
            continue
        for wide, narrow in ((one, other), (other, one)):
            if _covers(wide, narrow) and not wide.tree["conditions"]:
                message = f"permit {wide.id!r} allows all that permit {narrow.id!r} does; that one may go"
                yield PolicyFinding("redundant", narrow.id, wide.id, _meet(wide, narrow), message)
                break


def _meet(one: Rule, other: Rule) -> tuple[str, ...]:
    """Actions that both rules may apply to, where they may apply to the same somebody and something."""
    if not all(_overlap(one.tree[part], other.tree[part]) for part in ("principal", "resource")):
        return ()
    return tuple(name for name in _actions(one) if name in set(_actions(other)))


def _covers(wide: Rule, narrow: Rule) -> bool:
    """Whatever the narrow rule's scope takes, the wide one's takes too."""
    parts = all(_within(narrow.tree[part], wide.tree[part]) for part in ("principal", "resource"))
    return parts and set(_actions(narrow)) <= set(_actions(wide)) and bool(_actions(narrow))


def _actions(rule: Rule) -> list[str]:
    return [name for name in ACTIONS if applies(rule.tree["action"], name)]


def _within(narrow: Mapping[str, Any], wide: Mapping[str, Any]) -> bool:
    return wide["op"] == "All" or dict(wide) == dict(narrow) or _same_entity(narrow, wide)


def _same_entity(narrow: Mapping[str, Any], wide: Mapping[str, Any]) -> bool:
    # `principal == Person::"ann"` lies within `principal is Person`.
    entity = narrow.get("entity", {})
    return wide["op"] == "is" and narrow["op"] == "==" and bool(entity.get("type") == wide.get("entity_type"))


def _overlap(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    if one["op"] == other["op"] == "==":
        return bool(one["entity"] == other["entity"])
    types = [scope.get("entity_type") or (scope["op"] == "==" and scope["entity"]["type"]) for scope in (one, other)]
    return not all(types) or types[0] == types[1]


def _who(rule: Rule) -> str:
    entity = rule.tree["principal"].get("entity", {})
    return f"{entity.get('type', '')}::{entity.get('id', '')}"
