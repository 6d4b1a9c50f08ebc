"""Everybody that a data folder knows, in memory: every request asks who its bearer is.

A change counts here from when it is on its way to the disk, in the order in which it is written; whoever asked is
answered when it is there. Use cases of identities share one roster.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from segue.governance import ROLES, Guard, Resource
from segue.service.access import admit_to
from segue.service.errors import ServiceError
from segue.service.identities import identity_of
from segue.service.standing import of_identity, of_token
from segue.store import Store
from segue.store.permission import (
    CredentialRecord,
    IdentityRecord,
    delete_credential,
    delete_credentials,
    list_credentials,
    list_identities,
    put_credential,
    put_identity,
)
from segue.store.records import Sql
from segue.types import Identity

NAME: Final = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")
RESERVED: Final = frozenset({"owner", "nobody", "segue"})
SESSIONS_MAX: Final = 100
"""Sessions of one person at a time; whoever signs in once more ends the oldest."""
_TOLD_MS: Final = {"session": 0, "token": 30 * 86_400_000}
"""So long after its end a credential stays in lists."""
_WRONG_MAX: Final = 5
_BARRED_MS: Final = 15 * 60_000


class Roster:
    """Identities and credentials of one data folder."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.changing = asyncio.Lock()
        """From reading a record to writing it: of two changes at once neither may be lost."""
        self.left = asyncio.Event()
        """Somebody may act no more; see `Leaving`."""
        self._known: dict[tuple[str, str], IdentityRecord] = {}
        self._told: dict[tuple[str, str], IdentityRecord] = {}
        self._credentials: dict[str, CredentialRecord] = {}

    @classmethod
    async def load(cls, store: Store) -> Roster:
        """Everybody that a data folder knows."""
        loaded = cls(store)
        records, credentials = await store.read(lambda c: (list_identities(c), list_credentials(c)))
        loaded._known = {(record.kind, record.id): record for record in records}
        loaded._told = dict(loaded._known)
        loaded._credentials = {record.digest: record for record in credentials}
        return loaded

    # -- who there is --------------------------------------------------------------------------

    def find(self, kind: str, name: str) -> IdentityRecord | None:
        """Whoever has this kind and name."""
        return self._known.get((kind, name))

    def record(self, kind: str, name: str) -> IdentityRecord:
        """The same.

        Raises:
            ServiceError: `identity-unknown`.
        """
        record = self._known.get((kind, name))
        if record is None:
            raise ServiceError("identity-unknown", f"There is no {kind} {name!r}.")
        return record

    def all(self) -> Iterator[IdentityRecord]:
        """Everybody, in no order."""
        return iter(self._known.values())

    def people(self) -> dict[str, Identity | None]:
        """Every person by id; None for those who may not act."""
        people = (record for record in self._known.values() if record.kind == "person")
        return {record.id: identity_of(record) if record.state == "active" else None for record in people}

    def taken(self) -> set[str]:
        """Names that no new person can have."""
        return {name for kind, name in self._known if kind == "person"} | RESERVED

    def hold(self, record: IdentityRecord) -> None:
        """Let a record count here before it is on disk; whoever calls writes it."""
        self._known[(record.kind, record.id)] = record

    def tell(self, record: IdentityRecord) -> None:
        """Let the chain say what is changed about somebody; whoever calls writes it, without an `await` before."""
        key = (record.kind, record.id)
        change = of_identity(self._told.get(key), record)
        self._told[key] = record
        if change is not None:
            name = f"identity:{record.kind}/{record.id}"
            self.store.note("identity.change", name, reason=change.reason, data=change.facts)

    async def put(self, *records: IdentityRecord, sign_out: bool = False, more: Iterable[Sql] = ()) -> None:
        """Keep records in one transaction.

        Args:
            sign_out: Every token and session of them ends.
            more: What belongs into the same transaction.
        """
        statements = [*(put_identity(record) for record in records), *more]
        for record in records:
            # At once, so that memory and disk agree on what came last: a sign-in under way must not undo a lock.
            self.hold(record)
            if sign_out:
                statements.append(delete_credentials(record.kind, record.id))
                self._drop(self.credentials_of(record.kind, record.id))
            self.tell(record)
        await self.store.write(statements)
        if any(record.state != "active" for record in records):
            self.left.set()

    async def wrong(self, record: IdentityRecord, now: int) -> None:
        """Count a wrong password."""
        kept, barred = one_more(record.failures, record.barred_until, now)
        # Counted before it is on disk: a hundred tries at once are a hundred tries.
        changed = msgspec.structs.replace(record, failures=kept, barred_until=barred)
        self.hold(changed)
        await self.store.write([put_identity(changed)])

    # -- credentials ---------------------------------------------------------------------------

    def credential(self, digest: str) -> CredentialRecord | None:
        """The token or session with this digest."""
        return self._credentials.get(digest)

    def credentials(self) -> Iterator[CredentialRecord]:
        """All tokens and sessions, in no order."""
        return iter(self._credentials.values())

    def credentials_of(self, kind: str, name: str) -> list[CredentialRecord]:
        """Tokens and sessions of somebody."""
        return [c for c in self._credentials.values() if (c.identity_kind, c.identity_id) == (kind, name)]

    def hold_credential(self, credential: CredentialRecord) -> None:
        """Let a credential count here; whoever calls writes it."""
        self._credentials[credential.digest] = credential

    async def put_credential(self, credential: CredentialRecord, *, of: IdentityRecord | None = None) -> None:
        """Keep a credential, in one transaction with the record of whose it is, where that changes too."""
        statements = [] if of is None else [put_identity(of)]
        outlived = self._outlived(credential)
        self._drop(outlived)
        statements += [delete_credential(gone.id) for gone in outlived]
        # Before it is on disk, for the same reason: whoever ends all credentials meanwhile must find this one.
        self.hold_credential(credential)
        if of is not None:
            self.tell(of)
        made = "token.make" if credential.kind == "token" else "session.begin"
        self.store.note(made, f"{credential.kind}:{credential.id}", data=of_token(credential))
        await self.store.write([*statements, put_credential(credential)])

    def _outlived(self, new: CredentialRecord) -> list[CredentialRecord]:
        """What goes when this one comes: a program that signs in for every request must not fill memory and disk."""
        now = now_ms()
        over = [c for c in self._credentials.values() if c.expires_at + _TOLD_MS[c.kind] <= now]
        if new.kind != "session":
            return over
        mine = [c for c in self.credentials_of(new.identity_kind, new.identity_id) if c.kind == "session"]
        mine = sorted((c for c in mine if c not in over), key=lambda c: (c.created_at, c.id))
        return over + mine[: max(0, len(mine) + 1 - SESSIONS_MAX)]

    async def forget(self, credential: CredentialRecord) -> None:
        """End a credential."""
        self._drop([credential])
        await self.store.write([delete_credential(credential.id)])

    def _drop(self, credentials: Iterable[CredentialRecord]) -> None:
        for credential in credentials:
            self._credentials.pop(credential.digest, None)


def somebody(guard: Guard) -> Identity:
    """Who acts.

    Raises:
        ServiceError: `not-signed-in`.
    """
    identity = guard.who()
    if identity is None:
        raise ServiceError("not-signed-in", "Nobody is signed in.")
    return identity


def ask_to_change(guard: Guard, kind: str, name: str, *, silent: bool = False) -> None:
    """Ask the guard for a change of this identity that lets nobody act as somebody else.

    Args:
        silent: It is asked again once it is known what the change would do; see `second.ask_for_effect`.
    """
    identity = somebody(guard)
    own = (identity.kind, identity.id) == (kind, name)
    admit_to(guard, "identity.change", Resource("Identity", f"{kind}/{name}"), {"own": own}, silent=silent)


def identity_resource(*args: object, **named: object) -> Resource:
    """The identity that a call is about: its kind and its name."""
    given = [*args[1:], *named.values()]
    return Resource("Identity", "/".join(str(part) for part in given[:2]) if len(given) > 1 else "")


def one_more(failures: int, barred: int, now: int) -> tuple[int, int]:
    """Wrong passwords in a row and the end of the bar, after one more."""
    return (failures + 1, barred) if failures + 1 < _WRONG_MAX else (0, now + _BARRED_MS)


def check_roles(roles: Iterable[str]) -> None:
    """These roles can be granted.

    Raises:
        ServiceError: `identity-refused`.
    """
    given = list(roles)
    if "owner" in given or "system" in given:
        raise ServiceError("identity-refused", "The roles `owner` and `system` cannot be granted.")
    unknown = [role for role in given if role not in ROLES and NAME.fullmatch(role) is None]
    if unknown:
        raise ServiceError("identity-refused", f"{unknown[0]!r} is no name of a role.")


def now_ms() -> int:
    """The clock of this machine, in milliseconds since the epoch, UTC."""
    return time.time_ns() // 1_000_000
