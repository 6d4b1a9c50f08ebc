"""Use cases of people and service accounts: who there is, what they may, whether they may come in."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from segue.governance.credentials import Passwords
from segue.service.access import UseCases, governed, open_to_all
from segue.service.directory import Directory
from segue.service.errors import ServiceError
from segue.service.identities import IdentityChange, IdentityView, NewIdentity, identity_of, view
from segue.service.personal import Personal
from segue.service.reach import Reach
from segue.service.roles import KnownRoles
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
from segue.service.second import AccountWishes, ask_for_effect
from segue.service.shapes import Page
from segue.store.account_changes import AccountChangeRecord
from segue.store.permission import IdentityRecord
from segue.store.records import Sql
from segue.types import Identity, acting_as

ONE_TIME_MS: Final = 72 * 3_600_000
"""So long a password that somebody else set counts."""


class Accounts(UseCases):
    """People and service accounts of one data folder."""

    def __init__(
        self,
        roster: Roster,
        passwords: Passwords,
        personal: Personal,
        directory: Directory,
        reach: Reach,
        wishes: AccountWishes,
        roles: KnownRoles,
    ) -> None:
        self._roster = roster
        self._passwords = passwords
        self._personal = personal
        self._directory = directory
        self._reach = reach
        self._wishes = wishes
        self._roles = roles

    @open_to_all("other use cases find identities by it; no edge calls it")
    def identity(self, kind: str, name: str) -> Identity:
        """Who this is, when they act with all they may.

        Raises:
            ServiceError: `identity-unknown`.
        """
        return identity_of(self._roster.record(kind, name))

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

    @open_to_all("asks in its middle, where it is known whom it is about and what it would do")
    async def add(self, wanted: NewIdentity) -> IdentityView:
        """Add a person or a service account. A password given here counts once, to choose another.

        Raises:
            ServiceError: `identity-taken` or `identity-refused`; `approval-needed` where a second administrator must
                approve it, and it waits from then on.
        """
        ask_to_change(self.guard, wanted.kind, wanted.id, silent=True)
        self._require_new(wanted)
        hashed = "" if wanted.password is None else await self._passwords.hash(wanted.password)
        has_address = wanted.kind == "person" and await self._directory.has_address(wanted.id)
        effect = self._reach.of_added(wanted, has_address=has_address)
        waits = ask_for_effect(self.guard, "identity.change", wanted.kind, wanted.id, effect)
        by = somebody(self.guard).name
        if waits is not None:
            who = (wanted.kind, wanted.id)
            raise await self._wishes.wait("add", who, effect, _wish(wanted, hashed), waits, by)
        known = [by] if hashed or has_address else []
        return await self._added(wanted, hashed, by, known)

    @open_to_all("asks in its middle, where it is known whom it is about and what it would do")
    async def change(self, kind: str, name: str, wanted: IdentityChange) -> IdentityView:
        """Change an identity: what it is called, may and belongs to, its state, its password.

        A password that is set here counts once and for three days, to choose another; the person is told.

        Raises:
            ServiceError: `identity-unknown` or `identity-refused`; `approval-needed` where a second administrator
                must approve it, and it waits from then on.
        """
        ask_to_change(self.guard, kind, name, silent=True)
        known = self._roster.record(kind, name)
        if wanted.roles is not None:
            check_roles(wanted.roles)
            self._roles.require(role for role in wanted.roles if role not in known.roles)
        if wanted.state in ("locked", "removed") and not wanted.reason.strip():
            raise ServiceError("identity-refused", f"To be {wanted.state} needs a reason.")
        if wanted.password is not None and kind != "person":
            raise ServiceError("identity-refused", "A service account has tokens and no password.")
        hashed = "" if wanted.password is None else await self._passwords.hash(wanted.password)
        async with self._roster.changing:
            record, identity = self._roster.record(kind, name), somebody(self.guard)
            effect = self._reach.of_changed(record, wanted, identity)
            waits = ask_for_effect(self.guard, "identity.change", kind, name, effect)
            if waits is not None:
                wish = _wish(wanted, hashed)
                raise await self._wishes.wait("change", (kind, name), effect, wish, waits, identity.name)
            changed = await self._changed(record, wanted, hashed, identity.name)
        self._tell(changed, wanted, hashed)
        return view(changed)

    @open_to_all("a second administrator's approval makes it; no edge calls it")
    async def make(self, asked: AccountChangeRecord, decided: Sql) -> None:
        """Make a change that a second administrator has approved.

        Raises:
            ServiceError: `identity-unknown`, `identity-taken` or `identity-refused`.
        """
        wish = dict(asked.wish)
        hashed = wish.pop("hash")
        if asked.what == "add":
            new = msgspec.convert(wish, NewIdentity)
            self._require_new(new)
            await self._added(new, hashed, asked.wanted_by, [asked.wanted_by], decided)
            return
        wanted = msgspec.convert(wish, IdentityChange)
        async with self._roster.changing:
            record = self._roster.record(asked.kind, asked.id)
            changed = await self._changed(record, wanted, hashed, asked.wanted_by, decided)
        self._tell(changed, wanted, hashed)

    # -- helpers -----------------------------------------------------------------------------------

    def _require_new(self, wanted: NewIdentity) -> None:
        if NAME.fullmatch(wanted.id) is None or wanted.id in RESERVED:
            raise ServiceError("identity-refused", f"{wanted.id!r} is no name that can be used.")
        if self._roster.find(wanted.kind, wanted.id) is not None:
            raise ServiceError("identity-taken", f"There is a {wanted.kind} {wanted.id!r} already, or was one.")
        if wanted.kind == "service" and wanted.password is not None:
            raise ServiceError("identity-refused", "A service account has tokens and no password.")
        check_roles(wanted.roles)
        self._roles.require(wanted.roles)

    async def _added(
        self, wanted: NewIdentity, hashed: str, by: str, known_to: list[str], *more: Sql
    ) -> IdentityView:
        record = IdentityRecord(
            kind=wanted.kind,
            id=wanted.id,
            display=wanted.display or wanted.id,
            roles=wanted.roles,
            groups=wanted.groups,
            limits=wanted.limits,
            workspace=self.guard.workspace,
            created_at=now_ms(),
            created_by=by,
            password=hashed,
            one_time_until=now_ms() + ONE_TIME_MS if hashed else 0,
            password_by=by if hashed else "",
            known_to=known_to,
        )
        if self._roster.find(wanted.kind, wanted.id) is not None:
            raise ServiceError("identity-taken", f"There is a {wanted.kind} {wanted.id!r} already.")
        if hashed:
            self._note_password(record)
        # Where no edge has said who acts, the record must not say that nobody did.
        with acting_as(somebody(self.guard)):
            await self._roster.put(record, more=more)
        return view(record)

    async def _changed(
        self, record: IdentityRecord, wanted: IdentityChange, hashed: str, by: str, *more: Sql
    ) -> IdentityRecord:
        """Make a change; whoever calls holds the lock of the roster."""
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
                    "identity-refused", f"The directory keeps {record.id!r} out.", remedy="Let them in there."
                )
            # From now on the lock is one of here, and the directory cannot lift it.
            given["scim"] = msgspec.structs.replace(record.scim, locked=False)
        if hashed:
            given |= {"password": hashed, "failures": 0, "barred_until": 0}
            given |= {"one_time_until": now_ms() + ONE_TIME_MS, "password_by": by}
            given["known_to"] = [*record.known_to, *({by} - set(record.known_to))]
        if wanted.reset_totp:
            given |= {"totp": "", "pending": "", "code": 0}
        changed = msgspec.structs.replace(record, **given)
        if hashed:
            self._note_password(changed)
        # Whoever is locked out, or has another password, is signed in nowhere.
        with acting_as(somebody(self.guard)):
            await self._roster.put(changed, sign_out=changed.state != "active" or bool(hashed), more=more)
        return changed

    def _tell(self, changed: IdentityRecord, wanted: IdentityChange, hashed: str) -> None:
        """The person knows what somebody else did to their account."""
        if hashed:
            self._personal.tell(
                changed.id,
                "Somebody set your password in Segue",
                f"{changed.password_by} set another password for {changed.id}. It counts once, to choose your own."
                " All your sessions and tokens have ended. If you did not ask for it, tell whoever answers for"
                " security.",
            )
        elif wanted.reset_totp and changed.kind == "person":
            self._personal.tell(
                changed.id,
                "Your one-time codes in Segue were reset",
                f"{changed.id} is asked for no one-time code any more. If you did not ask for it, tell whoever"
                " answers for security.",
            )

    def _note_password(self, record: IdentityRecord) -> None:
        """That it was set, by itself: a change of anything else is allowed by the same rule."""
        data = {"by": record.password_by, "until": record.one_time_until}
        # Where no edge has said who acts, the record must not say that nobody did.
        with acting_as(somebody(self.guard)):
            self._roster.store.note("password.set", f"person:{record.id}", data=data)


def _wish(wanted: NewIdentity | IdentityChange, hashed: str) -> dict[str, Any]:
    """What was asked for, to be made later: of a password only its hash."""
    asked: dict[str, Any] = msgspec.to_builtins(wanted)
    return {key: value for key, value in asked.items() if key != "password"} | {"hash": hashed}
