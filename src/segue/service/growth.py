"""Whether a change of policies gives its author more rights: who writes the rules could else write some for oneself.

Scopes of rules are compared, and not their conditions: a rule that might bind or favour the author counts as one that
does. So it may refuse what would be harmless, and misses nothing that a rule names its author by.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segue.governance import ACTIONS, Guard, Policies, Resource
from segue.governance.actions import PRINCIPALS
from segue.governance.policy import Rule, applies
from segue.types import Identity


def grows(guard: Guard, after: Policies, author: Identity) -> str:
    """What the author would gain, as a sentence without its end; empty where it is nothing."""
    before = guard.policies
    for rule in before.rules.values():
        if rule.effect == "forbid" and _about(rule, author) and not _kept(rule, after):
            return f"The rule {rule.id!r} binds {author.name} and would change"
    for rule in after.rules.values():
        if rule.effect != "permit" or not _about(rule, author) or _kept(rule, before):
            continue
        for name, action in ACTIONS.items():
            covered = applies(rule.tree["action"], name)
            if covered and not guard.verdict(author, name, Resource(action.resource)).allowed:
                return f"The rule {rule.id!r} would let {author.name} do {name!r}"
    return ""


def _kept(rule: Rule, policies: Policies) -> bool:
    other = policies.rules.get(rule.id)
    return other is not None and other.tree == rule.tree


def _about(rule: Rule, identity: Identity) -> bool:
    """The principal part of a rule covers this identity."""
    scope: Mapping[str, Any] = rule.tree["principal"]
    kind = PRINCIPALS[identity.kind]
    if scope["op"] == "All":
        return True
    if scope["op"] == "is":
        within = scope.get("in")
        return scope["entity_type"] == kind and (within is None or _in(within["entity"], identity))
    if scope["op"] == "==":
        return bool(scope["entity"] == {"type": kind, "id": identity.id})
    return _in(scope["entity"], identity)


def _in(entity: Mapping[str, Any], identity: Identity) -> bool:
    held = {"Role": identity.roles, "Group": identity.groups}
    return entity["id"] in held.get(entity["type"], {identity.id})
