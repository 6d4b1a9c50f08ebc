"""Policies: Cedar text, checked against the schema and compiled; asked with a principal, an action and a resource.

A rule is one Cedar policy with an `@id`. Rules come in files; shipped files lie in `policies/`, and a file of the
same name in the store takes a shipped one's place. A `forbid` annotated `@approval("role")` does not refuse for
good: where only such rules forbid, the verdict is that somebody with that role must approve. One annotated
`@warn("why")` refuses nothing: where it applies, the verdict tells it.

Source: decision 0061; the Cedar policy language, version 4.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any, Final, Literal

import cedarpy
import msgspec

from segue.governance.actions import ACTIONS, PRINCIPALS, attributes_of, context_of, schema_text
from segue.governance.clocks import NO_CLOCK, ApprovalClock
from segue.types import Identity

VerdictName = Literal["allow", "deny", "needs-approval"]


class Resource(msgspec.Struct, frozen=True):
    """What is acted on.

    Attributes:
        type: As the action says.
        id: Empty where it is about no single one, as in a list.
        attributes: Text by name, as the schema of policies has it; what is missing counts as empty.
    """

    type: str
    id: str = ""
    attributes: dict[str, str] = {}

    @property
    def name(self) -> str:
        """`type:id`, as records write it."""
        return f"{self.type.lower()}:{self.id}" if self.id else self.type.lower()


class Verdict(msgspec.Struct, frozen=True):
    """The guard's answer.

    Attributes:
        rules: Ids of the rules that decided; empty where no rule permits.
        policy: Version of the policies.
        approver: Role that may approve, where that is needed.
        reason: One sentence for whoever asked.
        warnings: Ids of rules that would refuse it and only warn.
    """

    verdict: VerdictName
    rules: tuple[str, ...]
    policy: str
    reason: str
    approver: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def allowed(self) -> bool:
        """The only answer that lets anything through."""
        return self.verdict == "allow"


_WAITING: Final = ("workflow.publish", "workflow.adjust", "identity.change", "profile.put")
"""What waits, besides acts, where a rule asks for approval."""


class PolicyRefused(ValueError):
    """Policies that cannot be used: the message names the file, the rule and what is wrong."""


class Rule(msgspec.Struct, frozen=True):
    """One rule, as listings and analyses see it. `tree` is Cedar's own JSON form."""

    id: str
    file: str
    effect: Literal["permit", "forbid"]
    approval: str
    tree: dict[str, Any]
    shipped: bool = False
    warn: str = ""
    clock: ApprovalClock = NO_CLOCK


class Policies:
    """A compiled set of policies. Immutable: a change makes a new one.

    Args:
        files: Cedar text by file name.
        number: Counts the changes; part of the version.

    Raises:
        PolicyRefused: A file is no Cedar, names what the schema does not have, or a rule has no id or one taken.
    """

    def __init__(self, files: Mapping[str, str], number: int = 0) -> None:
        self.files = dict(sorted(files.items()))
        digest = hashlib.sha256(json.dumps(self.files).encode()).hexdigest()[:8]
        self.version = f"{number}-{digest}"
        self.rules: dict[str, Rule] = {}
        for name, text in self.files.items():
            for rule in _rules(name, text):
                known = self.rules.setdefault(rule.id, rule)
                if known is not rule:
                    raise PolicyRefused(f"{name}: the rule id {rule.id!r} is taken by a rule of {known.file}")
        self._warns = any(rule.warn for rule in self.rules.values())
        binding = [rule for rule in self.rules.values() if not rule.warn]
        self._set = _set_of(binding) if self._warns else _set_from(self.files.values())
        # What would hold if everything were approved: approval lifts a forbid, and never stands in for a permit.
        self._approved = _set_of([rule for rule in binding if not rule.approval])
        self._warnings = _set_of([rule for rule in self.rules.values() if rule.warn])
        self._reads = {action: _reads(self.rules.values(), action) for action in ACTIONS}

    def decide(
        self,
        identity: Identity,
        action: str,
        resource: Resource,
        *,
        workspace: str,
        context: Mapping[str, Any] | None = None,
    ) -> Verdict:
        """Ask the policies. What cannot be answered is denied.

        Args:
            workspace: Where the resource is.
            context: As the action's schema has it.
        """
        if not self.rules or action not in ACTIONS:
            return self._deny((), f"no rule knows the action {action!r}")
        principal = {"type": PRINCIPALS[identity.kind], "id": identity.id}
        target = {"type": resource.type, "id": resource.id}
        request = {
            "principal": principal,
            "action": {"type": "Action", "id": action},
            "resource": target,
            "context": {**_no_context(action), **_typed(action, context or {})},
        }
        entities = [
            _entity(principal, {"workspace": identity.workspace}, identity),
            _entity(target, {**_no_attributes(resource.type), **resource.attributes, "workspace": workspace}),
        ]
        # With no schema here: requests are built above from the same table, and validating costs more than deciding.
        world = _actions().with_added_json_str(json.dumps(entities))
        answer = cedarpy.is_authorized(request, self._set, world)
        named = answer.diagnostics.id_annotations_by_reason
        rules = tuple(sorted(filter(None, named.values())))
        if answer.diagnostics.errors:
            return self._deny(rules, "a rule could not be evaluated")
        if answer.allowed:
            return Verdict(
                "allow", rules, self.version, f"permitted by {_said(rules)}", warnings=self._warned(request, world)
            )
        refusal = self._refusal(rules, action, identity)
        if refusal.verdict == "needs-approval" and not cedarpy.is_authorized(request, self._approved, world).allowed:
            return self._deny(rules, f"no rule permits {identity.name} the action {action}")
        return refusal

    def _warned(self, request: dict[str, Any], world: cedarpy.Entities) -> tuple[str, ...]:
        if not self._warns:
            return ()
        named = cedarpy.is_authorized(request, self._warnings, world).diagnostics.id_annotations_by_reason
        return tuple(sorted(filter(None, named.values())))

    def text_of(self, rule: str) -> str:
        """A rule as Cedar text, without the comments of its file."""
        tree = {"staticPolicies": {rule: self.rules[rule].tree}, "templates": {}, "templateLinks": []}
        return cedarpy.format_policies(cedarpy.policies_from_json_str(json.dumps(tree)))

    def reads(self, action: str) -> frozenset[str]:
        """What the answer for this action depends on besides the principal: `resource.id`, `context.risk` …"""
        return self._reads.get(action, frozenset())

    def _refusal(self, rules: tuple[str, ...], action: str, identity: Identity) -> Verdict:
        if not rules:
            return self._deny((), f"no rule permits {identity.name} the action {action}")
        approvers = [self.rules[rule].approval for rule in rules if rule in self.rules]
        if approvers and all(approvers):
            wanted = approvers[0]
            reason = f"{_said(rules)} wants the approval of somebody with the role {wanted!r}"
            return Verdict("needs-approval", rules, self.version, reason, wanted)
        return self._deny(rules, f"forbidden by {_said(rules)}")

    def _deny(self, rules: tuple[str, ...], reason: str) -> Verdict:
        return Verdict("deny", rules, self.version, reason)


@cache
def shipped() -> dict[str, str]:
    """The policy files that ship, by name."""
    folder = resources.files("segue.governance").joinpath("policies")
    return {
        f.name.removesuffix(".cedar"): f.read_text("utf-8") for f in folder.iterdir() if f.name.endswith(".cedar")
    }


@cache
def shipped_policies() -> Policies:
    """They, compiled: once for all folders that a process opens."""
    return Policies(shipped())


def misfits(text: str) -> list[str]:
    """What of this Cedar text does not fit the schema of our actions, in Cedar's words."""
    checked = cedarpy.validate_policies(text, schema_text())
    return [] if checked.validation_passed else [error.error for error in checked.errors]


def _rules(file: str, text: str) -> Iterator[Rule]:
    try:
        found = json.loads(cedarpy.policies_to_json_str(text))
    except ValueError as error:
        raise PolicyRefused(f"{file}: {error}") from None
    if found.get("templates"):
        raise PolicyRefused(f"{file}: templates are not used here; write the rule out")
    ships = shipped().get(file) == text
    # What ships was checked when it was made: every start would spend more time on this than on all its files.
    wrong = [] if ships else misfits(text)
    if wrong:
        raise PolicyRefused(f"{file}: {'; '.join(wrong)}")
    for tree in found["staticPolicies"].values():
        annotations = tree.get("annotations") or {}
        name = annotations.get("id")
        if not name:
            raise PolicyRefused(f'{file}: a rule has no id; begin it with @id("a-name")')
        approval = annotations.get("approval") or ""
        if approval and tree["effect"] != "forbid":
            raise PolicyRefused(f"{file}: rule {name!r} permits, so it cannot ask for approval; make it a forbid")
        warn = annotations.get("warn") or ""
        if warn and (approval or tree["effect"] != "forbid"):
            raise PolicyRefused(f"{file}: rule {name!r} can only warn where it is a forbid without @approval")
        clock = _clock_of(file, name, annotations, tree)
        yield Rule(name, file, tree["effect"], approval, tree, shipped=ships, warn=warn, clock=clock)


def _clock_of(file: str, name: str, annotations: Mapping[str, str], tree: Mapping[str, Any]) -> ApprovalClock:
    """What the clock does while something waits for the approval that a rule asks for."""
    said = {key: annotations[key] or "" for key in ("remind", "escalate", "deadline") if key in annotations}
    if not said:
        return NO_CLOCK
    acts = applies(tree["action"], "act.perform")
    waits = acts or any(applies(tree["action"], action) for action in _WAITING)
    if not annotations.get("approval") or not waits:
        raise PolicyRefused(f"{file}: rule {name!r}: @{next(iter(said))} is for what waits for an @approval")
    clock = ApprovalClock(**said)
    if not acts and clock.deadline.strip().endswith("timeout"):
        raise PolicyRefused(f"{file}: rule {name!r}: what nobody decided about lapses; leave the outcome out")
    if complaint := clock.complaint():
        raise PolicyRefused(f"{file}: rule {name!r}: {complaint}")
    return clock


def _set_from(texts: Iterable[str]) -> cedarpy.PolicySet:
    return cedarpy.PolicySet.from_str("\n".join(texts))


def _set_of(rules: Iterable[Rule]) -> cedarpy.PolicySet:
    trees = {rule.id: rule.tree for rule in rules}
    return cedarpy.PolicySet.from_json_str(
        json.dumps({"staticPolicies": trees, "templates": {}, "templateLinks": []})
    )


def _entity(uid: dict[str, str], attributes: Mapping[str, Any], identity: Identity | None = None) -> dict[str, Any]:
    parents: list[dict[str, str]] = []
    if identity is not None:
        parents += [{"type": "Role", "id": role} for role in identity.roles]
        parents += [{"type": "Group", "id": group} for group in identity.groups]
    return {"uid": uid, "attrs": dict(attributes), "parents": parents}


@cache
def _actions() -> cedarpy.Entities:
    """The groups that each action stands in, as entities."""
    entities = [
        {
            "uid": {"type": "Action", "id": name},
            "attrs": {},
            "parents": [{"type": "Action", "id": group} for group in action.groups],
        }
        for name, action in ACTIONS.items()
    ]
    return cedarpy.Entities.from_json_str(json.dumps(entities))


def _decimal(value: float) -> dict[str, Any]:
    """A number as Cedar's decimal: four digits after the point."""
    return {"__extn": {"fn": "decimal", "arg": f"{value:.4f}"}}


_FILLERS: Final[dict[str, Any]] = {
    "String": "",
    "Bool": False,
    "Set<String>": [],
    "Long": 0,
    "decimal": _decimal(0),
}


def _typed(action: str, context: Mapping[str, Any]) -> dict[str, Any]:
    """A context with its numbers as the schema has them."""
    kinds = context_of(action)
    return {
        name: _decimal(value) if kinds.get(name) == "decimal" and isinstance(value, int | float) else value
        for name, value in context.items()
    }


@cache
def _no_attributes(resource: str) -> dict[str, Any]:
    return {name: _FILLERS[kind] for name, kind in attributes_of(resource).items()}


@cache
def _no_context(action: str) -> dict[str, Any]:
    return {name: _FILLERS[kind] for name, kind in context_of(action).items()}


def _reads(rules: Any, action: str) -> frozenset[str]:
    """What the rules that can apply to an action look at."""
    found: set[str] = set()
    for rule in rules:
        if not applies(rule.tree["action"], action):
            continue
        if rule.tree["resource"].get("op") in ("==", "in"):
            found.add("resource.id")
        for condition in rule.tree["conditions"]:
            found |= set(_read_in(condition["body"]))
    return frozenset(found)


def applies(scope: Mapping[str, Any], action: str) -> bool:
    """The action part of a rule covers this action."""
    if scope["op"] == "All":
        return True
    wanted = [scope["entity"]] if "entity" in scope else scope["entities"]
    names = {entity["id"] for entity in wanted}
    return action in names or (scope["op"] == "in" and bool(names & set(ACTIONS[action].groups)))


def _read_in(tree: Any) -> Iterator[str]:
    if isinstance(tree, list):
        for item in tree:
            yield from _read_in(item)
    if not isinstance(tree, dict):
        return
    for operator in (".", "has"):
        inside = tree.get(operator)
        if isinstance(inside, dict) and isinstance(inside.get("left"), dict) and "Var" in inside["left"]:
            variable = inside["left"]["Var"]
            if variable != "principal":
                yield f"{variable}.{inside['attr']}"
            return
    if tree.get("Var") == "resource":
        yield "resource.id"
    elif tree.get("Var") == "context":
        yield "context"
    for key, value in tree.items():
        if key not in ("Var", "Value"):
            yield from _read_in(value)


def _said(rules: tuple[str, ...]) -> str:
    return " and ".join(f"rule {rule!r}" for rule in rules)
