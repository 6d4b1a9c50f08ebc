"""Use cases of owners: who owns a connection or a model, what wants to use it, and whether that is granted.

A workflow that newly uses a connection, or newly writes through it, is published when the owner has consented.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from segue.ai import ModelRegistry
from segue.connectors import MemoryConnections, connection_to_json
from segue.governance import MODEL, Resource
from segue.service.access import UseCases, admit_to, connection_of, governed, of, open_to_all
from segue.service.deciders import Deciders
from segue.service.errors import ServiceError
from segue.service.observe import iso
from segue.service.ownership import Accesses, Ownership
from segue.service.paging import place_of
from segue.service.publishing import Publications
from segue.service.shapes import Page, Shape, Why, WishClockView
from segue.store import Store
from segue.store.consents import ConsentRecord, ConsentState, Use, find_consent, list_consents, put_model_owner
from segue.store.wishes import Wish, find_wish

if TYPE_CHECKING:
    from segue.service.definitions import Definitions

Owner = Annotated[str, msgspec.Meta(pattern=r"^(person|group):[A-Za-z0-9._@/-]{1,200}$")]


class NewOwner(msgspec.Struct, forbid_unknown_fields=True):
    """Whom a connection or a model belongs to: `person:ann`, `group:sales`, or null for nobody."""

    owner: Owner | None
    reason: Why


class ConsentDecision(msgspec.Struct, forbid_unknown_fields=True):
    """Consent to a use or not, and why."""

    grant: bool
    reason: Why


class ConsentView(Shape, frozen=True, kw_only=True):
    """A use of a connection or a model that has an owner.

    Attributes:
        connection: Its name; `model:NAME` for a model.
        access: `read`, or `write`, which includes it; `use` of a model.
        state: `waiting`, `granted`, `refused`, `lapsed`, or `revoked`: then acts of the workflow are refused.
        clock: While it waits.
    """

    number: int
    connection: str
    owner: str | None
    workflow: str
    access: Literal["read", "write", "use"]
    state: str
    wanted_at: str
    wanted_by: str
    decided_at: str | None = None
    decided_by: str | None = None
    reason: str | None = None
    clock: WishClockView | None = None


class Owned(Shape, frozen=True, kw_only=True):
    """A connection and its owner. `kept`: uses that were there before and go on, as `namespace/name: access`."""

    connection: str
    owner: str | None
    kept: list[str]


class OwnedModel(Shape, frozen=True, kw_only=True):
    """A model and its owner. `kept`: workflows that asked it before and go on, as `namespace/name: use`."""

    model: str
    owner: str | None
    kept: list[str]


class Owning(UseCases):
    """Owners of connections and models of one data folder."""

    def __init__(
        self,
        store: Store,
        definitions: Definitions,
        loaded: MemoryConnections,
        ownership: Ownership,
        publications: Publications,
        deciders: Deciders,
        models: ModelRegistry,
        accesses: Accesses,
    ) -> None:
        self._store = store
        self._definitions = definitions
        self._loaded = loaded
        self._ownership = ownership
        self._publications = publications
        self._deciders = deciders
        self._models = models
        self._accesses = accesses
        self.deciding = asyncio.Lock()
        """Held by whoever decides, from looking at what waits until it is on disk."""

    @governed("connection.own", on=connection_of)
    async def own(self, name: str, wanted: NewOwner) -> Owned:
        """Say whom a connection belongs to. What is published and uses it already goes on, as if it was consented to.

        Raises:
            ServiceError: `connection-unknown`.
        """
        connection = self._loaded.find(name)
        if connection is None:
            raise ServiceError("connection-unknown", f"There is no connection {name!r}.")
        identity = self.guard.who()
        assert identity is not None, "the guard has let somebody in"
        kept = [] if connection.owner or wanted.owner is None else sorted(self._in_use(name))
        if kept:
            await self._ownership.grant(kept, identity.name, "it used the connection before that had an owner")
        changed = msgspec.structs.replace(connection, owner=wanted.owner)
        self._store.note("connection.own", f"connection:{name}", reason=wanted.reason, data={"owner": wanted.owner})
        await self._store.put_connection(name, connection_to_json(changed))
        self._loaded.put(changed)
        return Owned(connection=name, owner=wanted.owner, kept=[f"{use[1]}/{use[2]}: {use[3]}" for use in kept])

    @governed("model.own", on=of("Model"))
    async def own_model(self, name: str, wanted: NewOwner) -> OwnedModel:
        """Say whom a model belongs to, all versions of it. What is published and asks it already goes on.

        Raises:
            ServiceError: `model-unknown`.
        """
        if not self._models.has(name):
            raise ServiceError("model-unknown", f"There is no model {name!r}.")
        identity = self.guard.who()
        assert identity is not None, "the guard has let somebody in"
        async with self.deciding:
            before = self._accesses.model_owners.get(name)
            kept = [] if before or wanted.owner is None else sorted(self._in_use(MODEL + name))
            if kept:
                await self._ownership.grant(kept, identity.name, "it asked the model before that had an owner")
            now = time.time_ns() // 1_000_000
            self._store.note("model.own", f"model:{name}", reason=wanted.reason, data={"owner": wanted.owner})
            await self._store.write([put_model_owner(name, wanted.owner, now, identity.name)])
            if wanted.owner is None:
                self._accesses.model_owners.pop(name, None)
            else:
                self._accesses.model_owners[name] = wanted.owner
        return OwnedModel(model=name, owner=wanted.owner, kept=[f"{use[1]}/{use[2]}: {use[3]}" for use in kept])

    @governed("connection.list")
    async def page(
        self,
        *,
        connection: str | None = None,
        state: ConsentState | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> Page[ConsentView]:
        """Uses of owned connections, newest first.

        Raises:
            ServiceError: `request-malformed` where `after` is no `next`.
        """
        before = place_of(after)
        found = await self._store.read(
            lambda c: list_consents(c, of=connection, state=state, before=before, limit=limit + 1)
        )
        items = [await self._view(record) for record in found[:limit]]
        return Page(items=items, next=str(items[-1].number) if len(found) > limit else None)

    @open_to_all("asks in its middle, where it is known whose connection it is")
    async def decide(self, number: int, wanted: ConsentDecision) -> ConsentView:
        """Consent to a use, refuse it, or take a consent back.

        What waited for nothing else is published. What is taken back is refused from the next act on. The deputy of
        an owner who is away, and whom the clock has come to, decide about what waits, and take back nothing.

        Raises:
            ServiceError: `permission-denied` for whoever does not own the connection, `consent-unknown`,
                `consent-decided`, or what publishing itself refuses.
        """
        admit_to(self.guard, "consent.decide", Resource("Connection"))
        async with self.deciding:
            return await self._decide(number, wanted)

    async def _decide(self, number: int, wanted: ConsentDecision) -> ConsentView:
        record = await self._record(number)
        admit_to(self.guard, "consent.decide", connection_of(None, record.connection))
        identity = self.guard.who()
        assert identity is not None, "the guard has let somebody in"
        if not self._ownership.is_owner(identity, record.connection):
            wish = await self._wish(number)
            await self._deciders.require(wish, identity)
            if record.state != "waiting":
                raise ServiceError(
                    "consent-decided",
                    f"It is {record.state}, and {identity.name} decides about what waits only.",
                    remedy=f"Let the owner decide: {self._ownership.consents.owner_of(record.connection)}.",
                )
            self._deciders.require_in_time(wish)
        use = (record.connection, record.namespace, record.name, record.access)
        if wanted.grant:
            await self._ownership.grant([use], identity.name, wanted.reason)
            await self._publications.go_on(record.namespace, record.name)
        else:
            revoked = record.state in ("granted", "revoked")
            await self._ownership.deny(use, identity.name, wanted.reason, revoked=revoked)
            await self._publications.give_up(record.namespace, record.name, use, wanted.reason)
        return await self._view(await self._record(number))

    # -- helpers -----------------------------------------------------------------------------------

    def _in_use(self, connection: str) -> set[Use]:
        found: set[Use] = set()
        for namespace, name in self._definitions.names():
            for definition in self._definitions.versions(namespace, name):
                try:
                    uses = self._ownership.uses(self._definitions.plan(definition.digest))
                except ServiceError:
                    continue  # This release cannot compile it, so it cannot act either.
                found |= {(connection, namespace, name, access) for used, access in uses if used == connection}
        return found

    async def _record(self, number: int) -> ConsentRecord:
        record = await self._store.read(lambda c: find_consent(c, number))
        if record is None:
            raise ServiceError("consent-unknown", f"There is no consent {number}.")
        return record

    async def _wish(self, number: int) -> Wish:
        wish = await self._store.read(lambda c: find_wish(c, "consent", number))
        assert wish is not None, "consents are never removed"
        return wish

    async def _view(self, record: ConsentRecord) -> ConsentView:
        return ConsentView(
            number=record.number,
            connection=record.connection,
            owner=self._ownership.consents.owner_of(record.connection),
            workflow=f"{record.namespace}/{record.name}",
            access="read" if record.access == "read" else "use" if record.access == "use" else "write",
            state=record.state,
            wanted_at=iso(record.wanted_at),
            wanted_by=record.wanted_by,
            decided_at=None if record.decided_at is None else iso(record.decided_at),
            decided_by=record.decided_by,
            reason=record.reason,
            clock=self._deciders.view(await self._wish(record.number)) if record.state == "waiting" else None,
        )
