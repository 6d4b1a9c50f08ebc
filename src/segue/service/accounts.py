"""Use cases of people and service accounts: who there is, what they may, whether they may come in."""

from __future__ import annotations

import msgspec

from segue.governance.credentials import Passwords
from segue.service.access import UseCases, governed, open_to_all
from segue.service.errors import ServiceError
from segue.service.identities import IdentityChange, IdentityView, NewIdentity, identity_of, view
from segue.service.roster import (
    NAME,
    RESERVED,
    Roster,
    ask_to_change,
    check_roles,
    identity_resource,
    now_ms,
    somebody,
)
from segue.service.shapes import Page
from segue.store.permission import IdentityRecord
from segue.types import Identity


class Accounts(UseCases):
    """People and service accounts of one data folder."""

    def __init__(self, roster: Roster, passwords: Passwords) -> None:
        self._roster = roster
        self._passwords = passwords

    @open_to_all("other use cases find identities by it; no edge calls it")
    def identity(self, kind: str, name: str) -> Identity:
        """Who this is, when they act with all they may.

        Raises:
            ServiceError: `identity-unknown`.
        """
        return identity_of(self._roster.record(kind, name))

    @open_to_all("tasks for people are routed by roles and groups; no edge calls it")
    def people(self) -> dict[str, Identity | None]:
        """Every person by id; None for those who may not act."""
        people = (record for record in self._roster.all() if record.kind == "person")
        return {record.id: identity_of(record) if record.state == "active" else None for record in people}

    @governed("identity.read")
    async def page(self, *, limit: int = 50, after: str | None = None) -> Page[IdentityView]:
        """Identities by kind and name; those removed too, because records name them."""
        known = {f"{record.kind}/{record.id}": record for record in self._roster.all()}
        found = sorted(name for name in known if after is None or name > after)
        items = [view(known[name]) for name in found[:limit]]
        return Page(items=items, next=found[limit - 1] if len(found) > limit else None)

    @governed("identity.read", on=identity_resource)
    async def get(self, kind: str, name: str) -> IdentityView:
        """One identity.

        Raises:
            ServiceError: `identity-unknown`.
        """
        return view(self._roster.record(kind, name))

    @open_to_all("asks in its middle, where it is known whom it is about")
    async def add(self, wanted: NewIdentity) -> IdentityView:
        """Add a person or a service account.

        Raises:
            ServiceError: `identity-taken` or `identity-refused`.
        """
        ask_to_change(self.guard, wanted.kind, wanted.id)
        if NAME.fullmatch(wanted.id) is None or wanted.id in RESERVED:
            raise ServiceError("identity-refused", f"{wanted.id!r} is no name that can be used.")
        if self._roster.find(wanted.kind, wanted.id) is not None:
            raise ServiceError("identity-taken", f"There is a {wanted.kind} {wanted.id!r} already, or was one.")
        if wanted.kind == "service" and wanted.password is not None:
            raise ServiceError("identity-refused", "A service account has tokens and no password.")
        check_roles(wanted.roles)
        hashed = "" if wanted.password is None else await self._passwords.hash(wanted.password)
        record = IdentityRecord(
            kind=wanted.kind,
            id=wanted.id,
            display=wanted.display or wanted.id,
            roles=wanted.roles,
            groups=wanted.groups,
            limits=wanted.limits,
            workspace=self.guard.workspace,
            created_at=now_ms(),
            created_by=somebody(self.guard).name,
            password=hashed,
        )
        if self._roster.find(wanted.kind, wanted.id) is not None:
            raise ServiceError("identity-taken", f"There is a {wanted.kind} {wanted.id!r} already.")
        await self._roster.put(record)
        return view(record)

    @open_to_all("asks in its middle, where it is known whom it is about")
    async def change(self, kind: str, name: str, wanted: IdentityChange) -> IdentityView:
        """Change an identity: what it is called, may and belongs to, its state, its password.

        Raises:
            ServiceError: `identity-unknown` or `identity-refused`.
        """
        ask_to_change(self.guard, kind, name)
        self._roster.record(kind, name)
        if wanted.roles is not None:
            check_roles(wanted.roles)
        if wanted.state in ("locked", "removed") and not wanted.reason.strip():
            raise ServiceError("identity-refused", f"To be {wanted.state} needs a reason.")
        if wanted.password is not None and kind != "person":
            raise ServiceError("identity-refused", "A service account has tokens and no password.")
        hashed = None if wanted.password is None else await self._passwords.hash(wanted.password)
        async with self._roster.changing:
            record = self._roster.record(kind, name)
            given = {
                field: value
                for field in ("display", "roles", "groups", "limits", "state")
                if (value := getattr(wanted, field)) is not None
            }
            if wanted.state is not None:
                given["reason"] = wanted.reason
            if record.scim is not None and wanted.state is not None:
                if wanted.state == "active" and not record.scim.active:
                    raise ServiceError(
                        "identity-refused", f"The directory keeps {name!r} out.", remedy="Let them in there."
                    )
                # From now on the lock is one of here, and the directory cannot lift it.
                given["scim"] = msgspec.structs.replace(record.scim, locked=False)
            if hashed is not None:
                given |= {"password": hashed, "failures": 0, "barred_until": 0}
            if wanted.reset_totp:
                given |= {"totp": "", "pending": "", "code": 0}
            changed = msgspec.structs.replace(record, **given)
            # Whoever is locked out, or has another password, is signed in nowhere.
            await self._roster.put(changed, sign_out=changed.state != "active" or hashed is not None)
        return view(changed)
