"""What a document must say of itself before it counts, and publications that somebody else must approve.

Use cases: list what waits, approve it, refuse it. The rules are policies: a `forbid` of `workflow.publish` that asks
for approval makes the publication wait, and whoever wanted it does not approve it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from segue.ai import ModelRegistry
from segue.dsl import Document
from segue.governance import MODEL, Guard, Resource, Verdict, named_owned
from segue.service.access import UseCases, admit_or_wait, admit_to, governed, open_to_all
from segue.service.adjusted import Adjusted, let_go
from segue.service.cases import failing
from segue.service.deciders import Deciders
from segue.service.declared import PLACE, Reactive, Strictness, facts_of, missing, said_of, unproven
from segue.service.definitions import finding_of
from segue.service.errors import Finding, ServiceError
from segue.service.holders import Holders
from segue.service.models_used import models_used
from segue.service.observe import iso
from segue.service.ownership import Ownership
from segue.service.roles import KnownRoles, undecidable
from segue.service.shapes import Page, Shape, Why, WishClockView
from segue.store import Store
from segue.store.consents import Use
from segue.store.publications import (
    PublicationRecord,
    PublicationState,
    decide_publication,
    find_publication,
    list_publications,
    want_publication,
)
from segue.store.wishes import Wish, find_wish, give_clock
from segue.types import Identity

if TYPE_CHECKING:
    from segue.core import Plan
    from segue.service.workflows import Workflows


class PublicationDecision(msgspec.Struct, forbid_unknown_fields=True):
    """Approve it or not, and why."""

    approve: bool
    reason: Why


class PublicationView(Shape, frozen=True, kw_only=True):
    """A publication that waits, was decided, or has lapsed. `approver` is the role that a rule asks for.

    Attributes:
        clock: While it waits.
    """

    number: int
    namespace: str
    name: str
    version: str
    digest: str
    approver: str
    wanted_at: str
    wanted_by: str
    state: str
    decided_at: str | None = None
    decided_by: str | None = None
    reason: str | None = None
    source: str | None = None
    clock: WishClockView | None = None


_RISKS: Final = ("minimal", "limited", "high", "unacceptable")


def _is_above(risk: str, said: str) -> bool:
    """Of classes of risk that are known: this one is worse than what is said."""
    return risk in _RISKS and said in _RISKS and _RISKS.index(risk) > _RISKS.index(said)


class Publishing:
    """What stands between a checked document and its publication."""

    def __init__(
        self,
        store: Store,
        strictness: Strictness,
        adjusted: Adjusted,
        ownership: Ownership,
        deciders: Deciders,
        models: ModelRegistry,
        holders: Holders,
        reactive: Reactive,
        roles: KnownRoles,
    ) -> None:
        self._store = store
        self._holders = holders
        self._reactive = reactive
        self._roles = roles
        self._adjusted = adjusted
        self._ownership = ownership
        self._deciders = deciders
        self._registry = models
        self.strictness: Strictness = strictness

    def complaints(self, document: Document, plan: Plan | None) -> Iterator[Finding]:
        """What stands against publishing, or should be known, besides what validation finds."""
        yield from missing(document, self.strictness)
        if plan is not None:
            yield from self._models(document, plan)
        if plan is not None and self.strictness != "off":
            yield from self._unowned(document, plan)
        for name, value, why in () if plan is None else self._adjusted.refused_by(plan):
            message = f"{name!r} was adjusted to {value!r}, and this version does not allow that: {why}"
            remedy = "publish it, and the default counts; or let the range hold what is set"
            pointer = f"{PLACE}/adjustable/{name}"
            if plan is not None and name not in plan.adjustable:
                pointer = PLACE if said_of(document.data) else "/document"
            yield finding_of(document.finding("adjusted-value-refused", "warning", message, remedy, pointer=pointer))

    async def unproven(self, document: Document, plan: Plan) -> list[Finding]:
        """What the document claims and does not hold: error route, fallback, tests; and whom it asks in vain."""
        asked = await undecidable(document, self._roles, self._holders)
        if self.strictness == "off":
            return asked
        found = await unproven(document, plan, self._holders, self._reactive)
        if said_of(document.data).get("tests"):
            found += await asyncio.to_thread(lambda: list(failing(document, plan)))
        severity = "error" if self.strictness == "block" else "warning"
        return asked + [msgspec.structs.replace(one, severity=severity) for one in found]

    def _unowned(self, document: Document, plan: Plan) -> Iterator[Finding]:
        """Connections and models that nobody owns, so that nobody was asked about their use."""
        severity: Literal["error", "warning"] = "error" if self.strictness == "block" else "warning"
        for owned, _ in sorted(self._ownership.uses(plan)):
            if self._ownership.is_unowned(owned):
                model = owned.removeprefix(MODEL)
                kind = "connection" if model == owned else "model"
                message = f"{named_owned(owned)} has no owner who could consent to this use"
                remedy = f"name one: `segue {kind}s own {model} group:NAME --reason …`"
                yield finding_of(document.finding(f"unowned-{kind}", severity, message, remedy, pointer="/do"))

    def _models(self, document: Document, plan: Plan) -> Iterator[Finding]:
        """What the cards of models say against this use of them."""
        facts = facts_of(plan.definition)
        severity: Literal["error", "warning"] = "error" if self.strictness == "block" else "warning"
        for name, pointer in sorted(models_used(plan).items()):
            card = self._registry.card(name)
            if card is None:
                continue
            if card.use_cases and facts["use_case"] not in card.use_cases:
                said = (
                    f"not for {facts['use_case']!r}" if facts["use_case"] else "and this document says no `use_case`"
                )
                message = f"the model {name!r} is for {', '.join(card.use_cases)}, {said}"
                remedy = "use another model, or let whoever keeps its card allow this use there (`use_cases`)"
                yield finding_of(document.finding("model-use", "error", message, remedy, pointer=pointer))
            if self.strictness == "off":
                continue
            lacks = [word for word in ("purpose", "risk") if not getattr(card, word).strip()]
            if lacks:
                message = f"the card of the model {name!r} says no {' and no '.join(lacks)}"
                remedy = "let whoever keeps the models say it in the card"
                yield finding_of(document.finding("ungoverned-model", severity, message, remedy, pointer=pointer))
            if _is_above(card.risk, facts["risk"]):
                message = f"the model {name!r} has the risk {card.risk!r}, and this document says {facts['risk']!r}"
                remedy = f"say `risk: {card.risk}`, so that the rules for that count"
                yield finding_of(document.finding("model-risk", severity, message, remedy, pointer=pointer))

    async def published(self, plan: Plan, by: str) -> None:
        """It is the latest version of its name by now."""
        await let_go(self._store, self._adjusted, plan, by)

    async def admit(self, guard: Guard, plan: Plan, source: str) -> None:
        """Let this definition be published by whoever acts.

        Owners of connections are asked for what is new to them; whoever acts and owns one has consented by that.

        Raises:
            ServiceError: `permission-denied`; or `approval-needed`, and the publication waits from then on.
        """
        resource = Resource(
            "Workflow", f"{plan.namespace}/{plan.name}", {"namespace": plan.namespace, "name": plan.name}
        )
        affects = any(one.affects == "person" for one in plan.consequences.values())
        context = {**facts_of(plan.definition), "affects_person": affects, "models": sorted(models_used(plan))}
        verdict = admit_or_wait(guard, "workflow.publish", resource, context)
        identity = guard.who()
        assert identity is not None, "the guard has let somebody in, or said who must approve"
        await self._consent(plan, identity)
        lacking = self._ownership.lacking(plan)
        if verdict.allowed and not lacking:
            return
        number = await self._wait(plan, source, verdict, identity)
        why, remedies = [], []
        if not verdict.allowed:
            why.append(verdict.reason)
            remedies.append(f"Let somebody else with that role run `segue publications approve {number} --reason …`.")
        if lacking:
            await self._ownership.want(lacking, identity.name, self._deciders.clock_for("consent"))
            why.append(self._ownership.told(lacking))
            remedies.append("Let them run `segue consents grant NUMBER --reason …`; `segue consents list` shows it.")
        said = f"{resource.id}:{plan.version} waits as publication {number}: {'; '.join(why)}."
        raise ServiceError("approval-needed", said, remedy=" ".join(remedies))

    def lacking(self, plan: Plan) -> list[Use]:
        """Uses of connections that their owners have not consented to."""
        return self._ownership.lacking(plan)

    async def _consent(self, plan: Plan, identity: Identity) -> None:
        """Whoever publishes consents to uses of what is theirs."""
        mine = [use for use in self._ownership.lacking(plan) if self._ownership.is_owner(identity, use[0])]
        if mine:
            await self._ownership.grant(mine, identity.name, f"published {plan.name}:{plan.version}")

    async def _wait(self, plan: Plan, source: str, verdict: Verdict, identity: Identity) -> int:
        place = (plan.namespace, plan.name, plan.version)
        now = time.time_ns() // 1_000_000
        wanted = want_publication(place, plan.digest, source, verdict.approver, now, identity.name)
        clock = self._deciders.clock_for("publication", None if verdict.allowed else verdict)
        await self._store.write([wanted, give_clock("publication", clock)])
        (found,) = await self._store.read(lambda c: list_publications(c, state="waiting", digest=plan.digest))
        return found.number


class Publications(UseCases):
    """Publications of one data folder that wait, or were decided."""

    def __init__(self, store: Store, workflows: Workflows, deciders: Deciders) -> None:
        self._store = store
        self._workflows = workflows
        self._deciders = deciders
        self.deciding = asyncio.Lock()
        """Held by whoever decides, from looking at what waits until it is on disk."""

    @governed("publication.list")
    async def page(
        self, *, state: PublicationState | None = "waiting", limit: int = 50, after: str | None = None
    ) -> Page[PublicationView]:
        """Publications, newest first.

        Raises:
            ServiceError: `request-malformed` where `after` is no `next`.
        """
        if after is not None and not (after.isascii() and after.isdigit() and len(after) < 18):
            raise ServiceError("request-malformed", f"{after!r} is not the `next` of a page.")
        before = None if after is None else int(after)
        found = await self._store.read(lambda c: list_publications(c, state=state, before=before, limit=limit + 1))
        return Page(
            items=[await self._view(record) for record in found[:limit]],
            next=str(found[limit - 1].number) if len(found) > limit else None,
        )

    @governed("publication.list")
    async def get(self, number: int) -> PublicationView:
        """One of them, with the document.

        Raises:
            ServiceError: `publication-unknown`.
        """
        record = await self._record(number)
        return msgspec.structs.replace(await self._view(record), source=record.source)

    @open_to_all("asks in its middle, where it is known whose publication it is")
    async def decide(self, number: int, wanted: PublicationDecision) -> PublicationView:
        """Publish what waits, or refuse it. The first decision counts.

        Raises:
            ServiceError: `publication-unknown`, `publication-decided`, `permission-denied` also where whoever wanted
                it decides, or what publishing itself refuses.
        """
        # Whether there is one is told only to those who may ask.
        admit_to(self.guard, "publication.approve", Resource("Workflow"), {"own": False})
        async with self.deciding:
            record = await self._record(number)
            identity = self.guard.who()
            assert identity is not None, "the guard has let somebody in"
            place = f"{record.namespace}/{record.name}"
            resource = Resource("Workflow", place, {"namespace": record.namespace, "name": record.name})
            admit_to(self.guard, "publication.approve", resource, {"own": identity.name == record.wanted_by})
            if not record.approver and wanted.approve:
                raise ServiceError(
                    "approval-needed",
                    "It waits for the consent of owners of connections, and for nothing else.",
                    remedy="`segue consents list --state waiting` shows whose.",
                )
            wish = await self._wish(number)
            await self._deciders.require(wish, identity)
            if record.state == "lapsed":
                raise ServiceError("publication-decided", "It has lapsed.", remedy="It can be published anew.")
            if record.state != "waiting":
                raise ServiceError(
                    "publication-decided", f"{record.decided_by} has {record.state} it: {record.reason}."
                )
            self._deciders.require_in_time(wish)
            if wanted.approve and (lacking := await self._workflows.lacking(record.source)):
                raise ServiceError(
                    "approval-needed",
                    f"Consents are missing still: {', '.join(f'{use[3]} {use[0]}' for use in lacking)}.",
                    remedy="`segue consents list --state waiting` shows whose; approve it then.",
                )
            if wanted.approve:
                await self._put(record)
            state: PublicationState = "approved" if wanted.approve else "refused"
            now = time.time_ns() // 1_000_000
            await self._store.write([decide_publication(number, state, now, identity.name, wanted.reason)])
            return await self._view(await self._record(number))

    @open_to_all("an owner's consent lets it go on; no edge calls it")
    async def go_on(self, namespace: str, name: str) -> None:
        """Publish what waited for consents only, and has them all.

        Raises:
            ServiceError: What publishing itself refuses.
        """
        async with self.deciding:
            for record in await self._waiting(namespace, name):
                if record.approver or self._deciders.is_over(await self._wish(record.number)):
                    continue
                if not await self._workflows.lacking(record.source):
                    await self._put(record)
                    await self._decided(record, "approved", "every owner has consented")

    @open_to_all("an owner's refusal, or silence, ends it; no edge calls it")
    async def give_up(
        self, namespace: str, name: str, use: Use, reason: str, state: PublicationState = "refused"
    ) -> None:
        """End what waits for a consent that is refused, or has lapsed."""
        async with self.deciding:
            for record in await self._waiting(namespace, name):
                if use in await self._workflows.lacking(record.source):
                    await self._decided(record, state, f"{use[3]} {use[0]} is not consented to: {reason}"[:1000])

    async def _put(self, record: PublicationRecord) -> None:
        """Publish it as whoever wanted it. Whoever approved it, or consented, has a record of that."""
        kind, _, name = record.wanted_by.partition(":")
        author = msgspec.convert({"kind": kind, "id": name, "workspace": self.guard.workspace}, Identity)
        await self._workflows.put(record.source, by=author)

    async def _waiting(self, namespace: str, name: str) -> list[PublicationRecord]:
        found = await self._store.read(lambda c: list_publications(c, state="waiting", limit=-1))
        return [record for record in reversed(found) if (record.namespace, record.name) == (namespace, name)]

    async def _decided(self, record: PublicationRecord, state: PublicationState, reason: str) -> None:
        identity = self.guard.who()
        by = "" if identity is None else identity.name
        now = time.time_ns() // 1_000_000
        await self._store.write([decide_publication(record.number, state, now, by, reason)])

    async def _record(self, number: int) -> PublicationRecord:
        record = await self._store.read(lambda c: find_publication(c, number))
        if record is None:
            raise ServiceError("publication-unknown", f"There is no publication {number}.")
        return record

    async def _wish(self, number: int) -> Wish:
        wish = await self._store.read(lambda c: find_wish(c, "publication", number))
        assert wish is not None, "publications are never removed"
        return wish

    async def _view(self, record: PublicationRecord) -> PublicationView:
        waits = record.state == "waiting"
        return PublicationView(
            number=record.number,
            namespace=record.namespace,
            name=record.name,
            version=record.version,
            digest=record.digest,
            approver=record.approver,
            wanted_at=iso(record.wanted_at),
            wanted_by=record.wanted_by,
            state=record.state,
            decided_at=None if record.decided_at is None else iso(record.decided_at),
            decided_by=record.decided_by,
            reason=record.reason,
            clock=self._deciders.view(await self._wish(record.number)) if waits else None,
        )
