"""Use cases of policies: read, change, try, explain, and find rules that contradict each other."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec

from segue.governance import (
    ACTIONS,
    PRINCIPALS,
    Guard,
    Policies,
    PolicyFinding,
    PolicyRefused,
    Resource,
    attributes_of,
    context_of,
    findings,
    roles_for,
    shipped,
)
from segue.service.access import UseCases, governed, of
from segue.service.accounts import Accounts
from segue.service.errors import ServiceError
from segue.service.growth import grows
from segue.service.observe import iso
from segue.service.shapes import Page, Shape, Why
from segue.service.standing import of_policy
from segue.store import Store
from segue.store.permission import PolicyChange, add_policy_change, list_policy_changes
from segue.types import DEFAULT_WORKSPACE, LOCAL_OWNER, Identity, owner_of

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
TEXT_MAX: Final = 200_000
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_MAX)]


class NewPolicy(msgspec.Struct, forbid_unknown_fields=True):
    """What a policy file says from now on; null goes back to what ships, or removes it."""

    text: Text | None
    reason: Why


class PolicyQuestion(msgspec.Struct, forbid_unknown_fields=True):
    """May `who` do `action` with `what`?

    Attributes:
        who: `person:ann`, `service:ci`, `workflow:sales/renewal`, `connection:crm`, `agent:scout`; or `role:viewer`
            for somebody with that role alone.
        what: Id of the resource, such as `sales/renewal`; empty for none in particular.
        attributes, context: Of the resource and of the request, as the action's schema has them.
    """

    who: Annotated[str, msgspec.Meta(pattern="^[a-z]+:[A-Za-z0-9._/-]{1,200}$")]
    action: str
    what: Annotated[str, msgspec.Meta(max_length=200)] = ""
    attributes: dict[str, str] = {}
    context: dict[str, Any] = {}


class PolicyCase(PolicyQuestion, forbid_unknown_fields=True, kw_only=True):
    """A question and the answer that is wanted: `allow`, `deny` or `needs-approval`."""

    want: str


class PolicyTest(msgspec.Struct, forbid_unknown_fields=True):
    """A table of cases; `files` are tried over those in force, before they are set."""

    cases: Annotated[list[PolicyCase], msgspec.Meta(max_length=10_000)]
    files: dict[str, Text] = {}


class PolicyView(Shape, frozen=True, kw_only=True):
    """A policy file. `origin`: it `ships`, it was `changed` from what ships, or was `added`."""

    name: str
    origin: str
    text: str
    rules: list[str]
    changed_at: str | None = None
    changed_by: str = ""
    reason: str = ""


class PolicyList(Shape, frozen=True, kw_only=True):
    """The policies in force, and their version, which verdicts name."""

    version: str
    files: list[PolicyView]
    findings: list[PolicyFinding]


class PolicyChangeView(Shape, frozen=True, kw_only=True):
    """A change of a policy file; without `text` it went back to what ships."""

    number: int
    name: str
    text: str | None
    at: str
    by: str
    reason: str


class Explanation(Shape, frozen=True, kw_only=True):
    """An answer with the rules that decided, as they are written, and the roles that may."""

    who: str
    action: str
    what: str
    verdict: str
    reason: str
    rules: dict[str, str]
    policy: str
    roles: list[str]


class CaseResult(Shape, frozen=True, kw_only=True):
    """One case of a table."""

    who: str
    action: str
    what: str
    want: str
    got: str
    rules: list[str]
    passed: bool


class PolicyTested(Shape, frozen=True, kw_only=True):
    """A table of cases, tried."""

    version: str
    passed: int
    failed: int
    cases: list[CaseResult]


class Permissions(UseCases):
    """The policies of one data folder."""

    def __init__(self, store: Store, accounts: Accounts) -> None:
        self._store = store
        self._accounts = accounts

    @governed("policy.read")
    async def show(self) -> PolicyList:
        """The policies in force, and what their rules do to each other."""
        changes = {change.name: change for change in await self._store.read(list_policy_changes)}
        policies = self.guard.policies
        views = []
        for name, text in policies.files.items():
            change = changes.get(name)
            ships = shipped().get(name)
            views.append(
                PolicyView(
                    name=name,
                    origin="added" if ships is None else "ships" if ships == text else "changed",
                    text=text,
                    rules=[rule.id for rule in policies.rules.values() if rule.file == name],
                    changed_at=None if change is None else iso(change.at),
                    changed_by="" if change is None else change.by,
                    reason="" if change is None else change.reason,
                )
            )
        return PolicyList(version=policies.version, files=views, findings=findings(policies))

    @governed("policy.read")
    async def history(self, *, limit: int = 50, after: str | None = None) -> Page[PolicyChangeView]:
        """Every change, newest first.

        Raises:
            ServiceError: `request-malformed` where `after` is no `next`.
        """
        if after is not None and not (after.isascii() and after.isdigit()):
            raise ServiceError("request-malformed", f"{after!r} is not the `next` of a page.")
        changes = await self._store.read(list_policy_changes)
        found = [c for c in reversed(changes) if after is None or c.number < int(after[:18])]
        items = [
            PolicyChangeView(number=c.number, name=c.name, text=c.text, at=iso(c.at), by=c.by, reason=c.reason)
            for c in found[:limit]
        ]
        return Page(items=items, next=str(items[-1].number) if len(found) > limit else None)

    @governed("policy.change", on=of("Policy"))
    async def change(self, name: str, wanted: NewPolicy) -> PolicyList:
        """Set a policy file. It counts for every request from the moment this returns.

        Raises:
            ServiceError: `policy-refused`, or `policy-unknown` where there is nothing to take back.
        """
        if _NAME.fullmatch(name) is None:
            raise ServiceError("policy-refused", f"{name!r} is no name of a policy file.")
        if wanted.text is None and name not in self.guard.policies.files:
            raise ServiceError("policy-unknown", f"There is no policy file {name!r}.")
        files = _with(self.guard.policies.files, name, wanted.text)
        by = self.guard.who()
        assert by is not None, "the guard has let somebody in"
        if "owner" not in by.roles and (growth := grows(self.guard, self._compiled(files), by)):
            raise ServiceError(
                "policy-refused",
                f"{growth}, and nobody changes what binds themselves.",
                remedy="Let the holder of the data folder make this change.",
            )
        self._compiled(files)
        now = time.time_ns() // 1_000_000
        self._store.note("policy.change", f"policy:{name}", reason=wanted.reason, data=of_policy(wanted.text))
        await self._store.write([add_policy_change(name, wanted.text, now, by.name, wanted.reason)])
        # From what is on disk: two changes at once give both, in their order.
        put_in_force(self.guard, await self._store.read(list_policy_changes))
        return await self.show()

    @governed("policy.read")
    async def explain(self, wanted: PolicyQuestion) -> Explanation:
        """Answer a question and name the rules that decided. Nothing is done.

        Raises:
            ServiceError: `identity-unknown`, or `policy-refused` for an action that there is not.
        """
        verdict = self._ask(self.guard, wanted)
        policies = self.guard.policies
        return Explanation(
            who=wanted.who,
            action=wanted.action,
            what=wanted.what,
            verdict=verdict.verdict,
            reason=verdict.reason,
            rules={rule: policies.text_of(rule) for rule in verdict.rules if rule in policies.rules},
            policy=verdict.policy,
            roles=roles_for(policies, wanted.action),
        )

    @governed("policy.read")
    async def test(self, wanted: PolicyTest) -> PolicyTested:
        """Try a table of cases, also on policies that are not set yet.

        Raises:
            ServiceError: `policy-refused` or `identity-unknown`.
        """
        guard = self.guard
        if wanted.files:
            files = dict(guard.policies.files)
            for name, text in wanted.files.items():
                files = _with(files, name, text)
            guard = Guard(self._compiled(files), workspace=guard.workspace)
        results = []
        for case in wanted.cases:
            verdict = self._ask(guard, case)
            results.append(
                CaseResult(
                    who=case.who,
                    action=case.action,
                    what=case.what,
                    want=case.want,
                    got=verdict.verdict,
                    rules=list(verdict.rules),
                    passed=verdict.verdict == case.want,
                )
            )
        passed = sum(result.passed for result in results)
        return PolicyTested(
            version=guard.policies.version, passed=passed, failed=len(results) - passed, cases=results
        )

    def _ask(self, guard: Guard, wanted: PolicyQuestion) -> Any:
        action = ACTIONS.get(wanted.action)
        if action is None:
            raise ServiceError("policy-refused", f"There is no action {wanted.action!r}.")
        namespace, _, name = wanted.what.partition("/")
        attributes = {"namespace": namespace, "name": name or namespace}
        if action.resource == "Connection":
            attributes = {"name": wanted.what}
        elif action.resource not in ("Workflow", "Act"):
            attributes = {}
        _require_known(wanted.attributes, attributes_of(action.resource), f"{action.resource} has no attribute")
        _require_known(wanted.context, context_of(wanted.action), f"{wanted.action} has no context")
        resource = Resource(action.resource, wanted.what, {**attributes, **wanted.attributes})
        return guard.verdict(self._somebody(guard, wanted.who), wanted.action, resource, wanted.context)

    def _somebody(self, guard: Guard, who: str) -> Identity:
        kind, _, name = who.partition(":")
        if kind == "role":
            return Identity(kind="person", id="somebody", roles=frozenset({name}), workspace=guard.workspace)
        if who == LOCAL_OWNER.name:
            return owner_of(guard.workspace)
        if kind in ("person", "service"):
            return self._accounts.identity(kind, name)
        if kind in PRINCIPALS:
            return Identity(kind=kind, id=name, workspace=guard.workspace)  # type: ignore[arg-type]
        raise ServiceError("identity-unknown", f"{who!r} names nobody.")

    def _compiled(self, files: dict[str, str]) -> Policies:
        try:
            policies = Policies(files)
        except PolicyRefused as error:
            raise ServiceError("policy-refused", f"{error}.") from None
        verdict = policies.decide(LOCAL_OWNER, "policy.change", Resource("Policy"), workspace=DEFAULT_WORKSPACE)
        if not verdict.allowed:
            raise ServiceError("policy-refused", f"Nobody could take this back: {verdict.reason}.")
        return policies


def _require_known(given: Mapping[str, Any], known: Mapping[str, str], complaint: str) -> None:
    unknown = sorted(given.keys() - known.keys())
    if unknown:
        raise ServiceError("policy-refused", f"{complaint} {unknown[0]!r}.", remedy=f"It has: {', '.join(known)}.")


def put_in_force(guard: Guard, changes: list[PolicyChange]) -> None:
    """Give a guard the policies that ship, as they were changed since."""
    files = shipped()
    for change in changes:
        files = _with(files, change.name, change.text)
    if changes:
        guard.policies = Policies(files, changes[-1].number)


def _with(files: dict[str, str], name: str, text: str | None) -> dict[str, str]:
    """The files after a change."""
    text = shipped().get(name) if text is None else text
    others = {other: kept for other, kept in files.items() if other != name}
    return others if text is None else {**others, name: text}
