"""The guard: one place that every request and every act passes, and that answers with a verdict.

It asks the switches, then the policies. No answer is a deny: nobody acting, an action nobody declared, a rule that
fails. Verdicts are kept by what the rules read, so asking again costs a look-up; a change of policy forgets them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from segue.governance.actions import ACTIONS
from segue.governance.policy import Policies, Resource, Verdict, shipped_policies
from segue.governance.refusals import RESOURCE_MAX, Refusals
from segue.governance.switches import Switches
from segue.types import DEFAULT_WORKSPACE, AuditSink, Identity, acting

_KEPT_MAX: Final = 10_000
_QUIET: Final = frozenset(name for name, action in ACTIONS.items() if action.quiet or "read" in action.groups)
"""Being allowed these is not recorded."""
SWITCH_RULE: Final = "switch"
"""What a verdict names as its rule where a switch decided."""


class PolicyDenied(Exception):
    """The guard does not let it through.

    Attributes:
        identity: Who asked; None where nobody was acting.
        verdict: Why not.
    """

    def __init__(self, action: str, resource: Resource, identity: Identity | None, verdict: Verdict) -> None:
        super().__init__(verdict.reason)
        self.action = action
        self.resource = resource
        self.identity = identity
        self.verdict = verdict


class Guard:
    """Asked before anything is done.

    Args:
        policies: What is asked; those that ship when left out. Setting others forgets every verdict.
        local: Who acts where no edge has said who; None denies then. Only a program that holds the data folder itself
            may set it.
        workspace: Where everything is that this guard stands before.
        audit: Takes every refusal, and every permission to change something.
    """

    def __init__(
        self,
        policies: Policies | None = None,
        *,
        local: Identity | None = None,
        workspace: str = DEFAULT_WORKSPACE,
        audit: AuditSink | None = None,
    ) -> None:
        self.policies = policies or shipped_policies()
        self._forget(self.policies)
        self.local = local
        self.workspace = workspace
        self.audit = audit
        self.switches = Switches(workspace)
        self.refusals = Refusals(workspace)

    def who(self) -> Identity | None:
        """Who acts."""
        return acting() or self.local

    def check(
        self,
        action: str,
        resource: Resource,
        context: Mapping[str, Any] | None = None,
        *,
        silent: bool = False,
        waits: bool = False,
    ) -> Verdict:
        """Let whoever acts do this, or raise.

        Args:
            silent: The audit is not told of a permission: whoever asks sees to that.
            waits: Where an approval is needed, somebody's wish is kept for it: that has a record of its own.

        Raises:
            PolicyDenied: With the verdict.
        """
        identity = acting() or self.local
        if identity is None:
            verdict = Verdict("deny", (), self.policies.version, "nobody is signed in")
        elif self.switches.any and (stopped := self._stopped(action, resource)):
            verdict = Verdict("deny", (SWITCH_RULE,), self.policies.version, stopped)
        else:
            verdict = self.verdict(identity, action, resource, context)
        if verdict.verdict == "allow":
            if not silent and action not in _QUIET:
                self.note(identity, action, resource, verdict)
            return verdict
        self.note(identity, action, resource, verdict, waits=waits)
        raise PolicyDenied(action, resource, identity, verdict)

    def _stopped(self, action: str, resource: Resource) -> str:
        if action != "run.start":
            return ""
        thrown = self.switches.find("workflow", resource.id)
        return "" if thrown is None else f"{thrown.kind} {thrown.name!r} is stopped by {thrown.by}: {thrown.reason}"

    def verdict(
        self, identity: Identity, action: str, resource: Resource, context: Mapping[str, Any] | None = None
    ) -> Verdict:
        """The answer, and nothing happens. Whoever acts for somebody may do what both may."""
        if self.policies is not self._seen:
            self._forget(self.policies)
        last, kept = self._last
        if identity is not last:
            kept = self._kept_of(identity)
        places = self._places.get(action)
        if places is None:
            places = self._places_of(action)
        given = context or {}
        # What rules read of nothing but who asks is told apart by the action alone.
        key = _key(action, resource, given, places) if places else action
        found = kept.get(key)
        if found is None:
            if self._number >= _KEPT_MAX:
                self._forget(self.policies)
                kept = self._kept_of(identity)
            found = self._ask(identity, action, resource, given)
            kept[key] = found
            self._number += 1
        return found

    def _forget(self, policies: Policies) -> None:
        """Keep nothing of what was answered before."""
        self._seen = policies
        # New ones: an answer that is on its way belongs to those that it was asked of.
        self._kept: dict[tuple[Any, ...], dict[Any, Verdict]] = {}
        self._places: dict[str, tuple[tuple[str, str], ...]] = {}
        self._number = 0
        # Whoever asks once mostly asks again. Identities do not change.
        self._last: tuple[Identity | None, dict[Any, Verdict]] = None, {}

    def _kept_of(self, identity: Identity) -> dict[Any, Verdict]:
        kept = self._kept.setdefault(_key_of(identity), {})
        self._last = identity, kept
        return kept

    def _places_of(self, action: str) -> tuple[tuple[str, str], ...]:
        """What rules read of requests for this action. Where the resource is, is the same for all."""
        parts = [place.partition(".") for place in sorted(self.policies.reads(action) - {"resource.workspace"})]
        found = self._places[action] = tuple((variable, name) for variable, _, name in parts)
        return found

    def _ask(self, identity: Identity, action: str, resource: Resource, context: Mapping[str, Any]) -> Verdict:
        if not in_scope(identity, action):
            reason = f"the token of {identity.name} is not meant for {action}"
            return Verdict("deny", (), self.policies.version, reason)
        verdict = self.policies.decide(identity, action, resource, workspace=self.workspace, context=context)
        if verdict.allowed and identity.acts_for is not None:
            other = self.verdict(identity.acts_for, action, resource, context)
            if not other.allowed:
                return other
        return verdict

    def note(
        self, identity: Identity | None, action: str, resource: Resource, verdict: Verdict, *, waits: bool = False
    ) -> None:
        """Tell the audit what was answered: refusals, and every permission to change something.

        Refusals of whoever asks on are counted (`refusals.py`). Acts of runs each have their own record.
        """
        if self.audit is None:
            return
        now = time.time_ns() // 1_000_000
        principal = "nobody" if identity is None else identity.name
        is_kept = waits and verdict.verdict == "needs-approval"
        if not verdict.allowed and not is_kept and (identity is None or identity.kind != "workflow"):
            self.tell_refusals(now)
            if not self.refusals.is_first(principal, action, resource.name, now):
                return
        if verdict.allowed and action in _QUIET:
            return
        self.audit.record(
            principal=principal,
            action=action,
            resource=resource.name[:RESOURCE_MAX],
            verdict=verdict.verdict,
            reason=told(verdict),
            at=now,
            workspace=self.workspace,
        )

    def tell_refusals(self, now: int, *, at_once: bool = False) -> bool:
        """Record the refusals that were counted, where five minutes are over; whether they were."""
        if self.audit is None or not (at_once or self.refusals.is_due(now)):
            return False
        self.refusals.tell(self.audit, now)
        return True


def told(verdict: Verdict) -> str:
    """Why, for the audit: the rules that decided, those that warn, and the version of the policies."""
    warned = f"; warned of by {', '.join(verdict.warnings)}" if verdict.warnings else ""
    return f"{verdict.reason}{warned} (policy {verdict.policy})"


def in_scope(identity: Identity, action: str) -> bool:
    """The credential in use is meant for this action."""
    if identity.scopes is None:
        return True
    known = ACTIONS.get(action)
    return action in identity.scopes or (known is not None and not identity.scopes.isdisjoint(known.groups))


def _key(
    action: str, resource: Resource, context: Mapping[str, Any], places: tuple[tuple[str, str], ...]
) -> tuple[Any, ...]:
    """What rules read of a request."""
    seen: list[Any] = [action]
    for variable, name in places:
        if variable != "resource":
            seen.append(repr(context.get(name) if name else sorted(context.items())))
        else:
            seen.append(resource.id if name == "id" else resource.attributes.get(name))
    return tuple(seen)


def _key_of(identity: Identity) -> tuple[Any, ...]:
    who = (identity.kind, identity.id, identity.roles, identity.groups, identity.workspace, identity.scopes)
    return (*who, None if identity.acts_for is None else _key_of(identity.acts_for))
