"""Who owns a connection or a model, what they consented to, and what a definition needs of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from segue.connectors import MemoryConnections, OperationsCache
from segue.core import Plan
from segue.core.plan import ActNode, UndoNode
from segue.dsl.flows import target_of
from segue.governance import MODEL, Access, Consents, named_owned
from segue.service.models_used import models_used
from segue.store import Store
from segue.store.consents import ConsentRecord, Use, decide_consent, want_consent
from segue.store.wishes import give_clock
from segue.types import Identity, TaskFailure

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Accesses:
    """Whose connections and models are, and what operations do there, by their methods."""

    def __init__(self, connections: MemoryConnections) -> None:
        self._connections = connections
        self._operations = OperationsCache()
        self.model_owners: dict[str, str] = {}

    def owners(self) -> Iterator[str | None]:
        """Whom anything belongs to."""
        yield from (connection.owner for connection in self._connections.all())
        yield from self.model_owners.values()

    def owner(self, connection: str) -> str | None:
        """Whom a connection, or `model:NAME`, belongs to."""
        if connection.startswith(MODEL):
            return self.model_owners.get(connection.removeprefix(MODEL))
        found = self._connections.find(connection)
        return None if found is None else found.owner

    def of(self, connection: str, operation: str) -> Access:
        """`read` for a method that changes nothing; what is not known writes."""
        found = self._connections.find(connection)
        if found is None:
            return "write"
        document = found.document
        try:
            known = self._operations.get(document.digest, document.content, document.source).get(operation)
        except TaskFailure:
            return "write"
        return "read" if known.method in _READING else "write"


class Ownership:
    """Consents of one data folder: on disk, and in the memory that the second door asks."""

    def __init__(self, consents: Consents, is_known: Callable[[str], bool]) -> None:
        self.consents = consents
        self._is_known = is_known
        self.store: Store | None = None
        self._denials: dict[Use, int] = {}

    def load(self, records: Iterable[ConsentRecord]) -> None:
        """Take over what is stored."""
        for record in records:
            if record.state == "granted":
                self.consents.grant(f"{record.namespace}/{record.name}", record.connection, _access(record.access))

    def uses(self, plan: Plan) -> set[tuple[str, Access]]:
        """Connections that a definition names, and what it does there; models that it asks. A computed name is known
        only to its runs.
        """
        found: set[tuple[str, Access]] = {(MODEL + name, "use") for name in models_used(plan)}
        for node in plan.nodes:
            if not isinstance(node, ActNode) or node.handler != "connector":
                continue
            connection, operation = target_of(node)
            if connection is not None:
                writes = operation is None or isinstance(node, UndoNode)
                found.add((connection, "write" if writes else self.consents.access_of(connection, operation or "")))
        return {(name, access) for name, access in found if access != "read" or (name, "write") not in found}

    def lacking(self, plan: Plan) -> list[Use]:
        """Uses that owners have not consented to."""
        workflow = f"{plan.namespace}/{plan.name}"
        return [
            (connection, plan.namespace, plan.name, access)
            for connection, access in sorted(self.uses(plan))
            if self.consents.lacks(workflow, connection, access)
        ]

    def is_unowned(self, connection: str) -> bool:
        """It is there, and belongs to nobody."""
        return self._is_known(connection) and self.consents.owner_of(connection) is None

    def told(self, uses: Iterable[Use]) -> str:
        """What is lacking, as a part of a sentence."""
        return "; ".join(
            f"{self.consents.owner_of(connection)} must consent to its {access} of {named_owned(connection)}"
            for connection, _, _, access in uses
        )

    def is_owner(self, identity: Identity, connection: str) -> bool:
        """They own it, themselves or as one of a group; whoever holds the folder stands in."""
        owner = self.consents.owner_of(connection) or ""
        kind, _, name = owner.partition(":")
        return owner == identity.name or (kind == "group" and name in identity.groups) or "owner" in identity.roles

    async def want(self, uses: Iterable[Use], by: str, clock: dict[str, Any]) -> None:
        """Ask the owners. `clock`: see `segue.people.agenda_of`."""
        now = time.time_ns() // 1_000_000
        await self._store().write([*(want_consent(use, now, by) for use in uses), give_clock("consent", clock)])

    async def grant(self, uses: Iterable[Use], by: str, reason: str) -> None:
        """An owner consents."""
        now, granted = time.time_ns() // 1_000_000, list(uses)
        before = {use: self._denials.get(use, 0) for use in granted}
        for use in granted:
            self._note("consent.grant", use, reason)
        await self._store().write([decide_consent(use, "granted", now, by, reason) for use in granted])
        # What was taken back meanwhile stands behind it on disk, so it must not count here.
        still = [use for use in granted if self._denials.get(use, 0) == before[use]]
        for connection, namespace, name, access in still:
            self.consents.grant(f"{namespace}/{name}", connection, _access(access))

    async def deny(self, use: Use, by: str, reason: str, *, revoked: bool) -> None:
        """An owner does not consent, or not any more."""
        connection, namespace, name, access = use
        # In memory first: what is on its way to the disk must not be used any more.
        self._denials[use] = self._denials.get(use, 0) + 1
        self.consents.withdraw(f"{namespace}/{name}", connection, _access(access))
        self._note("consent.revoke" if revoked else "consent.refuse", use, reason)
        now = time.time_ns() // 1_000_000
        await self._store().write([decide_consent(use, "revoked" if revoked else "refused", now, by, reason)])

    def _note(self, action: str, use: Use, reason: str) -> None:
        connection, namespace, name, access = use
        told = {"workflow": f"{namespace}/{name}", "access": access}
        what = connection if connection.startswith(MODEL) else f"connection:{connection}"
        self._store().note(action, what, reason=reason, data=told)

    def _store(self) -> Store:
        assert self.store is not None, "loaded before anybody publishes"
        return self.store


def _access(text: str) -> Access:
    return "read" if text == "read" else "use" if text == "use" else "write"
