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
        policies: What is asked; those that ship when left out.
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
        self._policies = policies or shipped_policies()
        self._kept: dict[tuple[Any, ...], Verdict] = {}
        self._places: dict[str, list[tuple[str, str, str]]] = {}
        # Whoever asks once mostly asks again. Identities do not change.
        self._known: tuple[Identity | None, tuple[Any, ...] | None] = None, None
        self.local = local
        self.workspace = workspace
        self.audit = audit
        self.switches = Switches(workspace)
        self.refusals = Refusals(workspace)

    @property
    def policies(self) -> Policies:
        """The policies in force. Setting others forgets every verdict."""
        return self._policies

    @policies.setter
    def policies(self, policies: Policies) -> None:
        self._policies = policies
        self._kept.clear()
        self._places.clear()

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
        identity = self.who()
        if identity is None:
            verdict = Verdict("deny", (), self._policies.version, "nobody is signed in")
        elif stopped := self._stopped(action, resource):
            verdict = Verdict("deny", (SWITCH_RULE,), self._policies.version, stopped)
        else:
            verdict = self.verdict(identity, action, resource, context)
        if not (silent and verdict.allowed):
            self.note(identity, action, resource, verdict, waits=waits)
        if not verdict.allowed:
            raise PolicyDenied(action, resource, identity, verdict)
        return verdict

    def _stopped(self, action: str, resource: Resource) -> str:
        if action != "run.start" or not self.switches.any:
            return ""
        thrown = self.switches.find("workflow", resource.id)
        return "" if thrown is None else f"{thrown.kind} {thrown.name!r} is stopped by {thrown.by}: {thrown.reason}"

    def verdict(
        self, identity: Identity, action: str, resource: Resource, context: Mapping[str, Any] | None = None
    ) -> Verdict:
        """The answer, and nothing happens. Whoever acts for somebody may do what both may."""
        given = context or {}
        key = self._key(identity, action, resource, given)
        found = self._kept.get(key)
        if found is None:
            found = self._ask(identity, action, resource, given)
            if len(self._kept) >= _KEPT_MAX:
                self._kept.clear()
            self._kept[key] = found
        return found

    def _ask(self, identity: Identity, action: str, resource: Resource, context: Mapping[str, Any]) -> Verdict:
        if not in_scope(identity, action):
            reason = f"the token of {identity.name} is not meant for {action}"
            return Verdict("deny", (), self._policies.version, reason)
        verdict = self._policies.decide(identity, action, resource, workspace=self.workspace, context=context)
        if verdict.allowed and identity.acts_for is not None:
            other = self.verdict(identity.acts_for, action, resource, context)
            if not other.allowed:
                return other
        return verdict

    def _key(
        self, identity: Identity, action: str, resource: Resource, context: Mapping[str, Any]
    ) -> tuple[Any, ...]:
        if identity is not self._known[0]:
            self._known = identity, _key_of(identity)
        seen: list[Any] = [action, self._known[1]]
        places = self._places.get(action)
        if places is None:
            places = self._places[action] = [place.partition(".") for place in sorted(self._policies.reads(action))]
        for variable, _, name in places:
            if variable != "resource":
                seen.append(repr(context.get(name) if name else sorted(context.items())))
            else:
                seen.append(resource.id if name == "id" else resource.attributes.get(name))
        return tuple(seen)

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
        known = ACTIONS.get(action)
        if verdict.allowed and known is not None and (known.quiet or "read" in known.groups):
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


def _key_of(identity: Identity | None) -> tuple[Any, ...] | None:
    if identity is None:
        return None
    who = (identity.kind, identity.id, identity.roles, identity.groups, identity.workspace, identity.scopes)
    return (*who, _key_of(identity.acts_for))
