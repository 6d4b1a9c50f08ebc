"""Use cases of identities: people, service accounts, signing in, tokens.

Everybody is loaded into memory, because every request asks who its bearer is; what is stored counts, and every change
is on disk before it counts here.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from segue.governance import ACTIONS, GROUPS, ROLES, Resource
from segue.governance.credentials import (
    Passwords,
    digest_of,
    new_token,
    new_totp,
    totp_step,
    totp_uri,
)
from segue.service.access import UseCases, admit_to, governed, open_to_all
from segue.service.errors import ServiceError
from segue.service.identities import (
    IdentityChange,
    IdentityView,
    Login,
    MadeToken,
    NewIdentity,
    NewToken,
    Outsider,
    OwnPassword,
    Session,
    TokenView,
    TotpCode,
    TotpSecret,
    WhoAmI,
    free_name,
    identity_of,
    token_view,
    view,
)
from segue.service.observe import iso
from segue.service.shapes import Page
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
from segue.types import Identity, acting, acting_as

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")
_RESERVED: Final = frozenset({"owner", "nobody", "segue"})
_WRONG_MAX: Final = 5
_BARRED_MS: Final = 15 * 60_000
_STRANGERS_MAX: Final = 10_000
_SESSION_MS: Final = 12 * 3_600_000
_DAY_MS: Final = 86_400_000
_USED_EVERY_MS: Final = 60_000


class Bearer(msgspec.Struct, frozen=True):
    """Whoever holds a credential. `credential` tells a token from a session, and what a browser must repeat."""

    identity: Identity
    credential: CredentialRecord


def _identity_of(*args: Any, **named: Any) -> Resource:
    given = [*args[1:], *named.values()]
    return Resource("Identity", "/".join(str(part) for part in given[:2]) if len(given) > 1 else "")


class Accounts(UseCases):
    """Identities of one data folder."""

    def __init__(self, store: Store, passwords: Passwords | None = None) -> None:
        self._store = store
        self._passwords = passwords or Passwords()
        # From reading a record to writing it: of two changes at once neither may be lost.
        self._changing = asyncio.Lock()
        self._known: dict[tuple[str, str], IdentityRecord] = {}
        self._credentials: dict[str, CredentialRecord] = {}
        # Wrong passwords of names that nobody has, and until when those are barred: as if they were somebody's.
        self._strangers: OrderedDict[str, tuple[int, int]] = OrderedDict()

    @classmethod
    async def load(cls, store: Store, passwords: Passwords | None = None) -> Accounts:
        """Everybody that a data folder knows."""
        loaded = cls(store, passwords)
        records, credentials = await store.read(lambda c: (list_identities(c), list_credentials(c)))
        loaded._known = {(record.kind, record.id): record for record in records}
        loaded._credentials = {record.digest: record for record in credentials}
        return loaded

    @open_to_all("other use cases find identities by it; no edge calls it")
    def identity(self, kind: str, name: str) -> Identity:
        """Who this is, when they act with all they may.

        Raises:
            ServiceError: `identity-unknown`.
        """
        return identity_of(self._record(kind, name))

    @open_to_all("tasks for people are routed by roles and groups; no edge calls it")
    def people(self) -> dict[str, Identity | None]:
        """Every person by id; None for those who may not act."""
        people = ((name, record) for (kind, name), record in self._known.items() if kind == "person")
        return {name: identity_of(record) if record.state == "active" else None for name, record in people}

    # -- who is it -----------------------------------------------------------------------------

    @open_to_all("it says who a bearer is, before anybody acts")
    def bearer_of(self, token: str) -> Bearer | None:
        """Whoever holds this token or session; None where it is none, has expired, or its identity may not act."""
        credential = self._credentials.get(digest_of(token))
        now = _now_ms()
        if credential is None or credential.expires_at <= now:
            return None
        record = self._known.get((credential.identity_kind, credential.identity_id))
        if record is None or record.state != "active":
            return None
        if now - (credential.used_at or 0) >= _USED_EVERY_MS:
            credential = self._credentials[credential.digest] = msgspec.structs.replace(credential, used_at=now)
            # With whatever is written next: nobody waits for the note of a last use.
            self._store.commit.pending.statements.append(put_credential(credential))
        return Bearer(identity_of(record, credential.scopes), credential)

    @open_to_all("signing in is how somebody becomes known")
    async def login(self, wanted: Login) -> Session:
        """Sign a person in.

        Raises:
            ServiceError: `login-refused`, the same for every reason but the bar after too many wrong passwords.
        """
        record = self._known.get(("person", wanted.name))
        now = _now_ms()
        barred = self._strangers.get(wanted.name, (0, 0))[1] if record is None else record.barred_until
        if barred > now:
            wait = -(-(barred - now) // 1000)
            raise ServiceError("login-barred", f"Too many wrong passwords for {wanted.name!r}.", wait_s=wait)
        fits = await self._passwords.fits(wanted.password, "" if record is None else record.password)
        # Read again: others may have tried meanwhile, and each wrong password counts.
        record = self._known.get(("person", wanted.name))
        step: int | None = 0
        if record is not None and record.totp:
            step = totp_step(record.totp, wanted.code, at=now, after=record.code)
        if record is None or record.barred_until > now or not fits or step is None or record.state != "active":
            if record is None:
                self._wrong_stranger(wanted.name, now)
            else:
                await self._wrong(record, now)
            raise ServiceError("login-refused", "Name, password and code do not fit together.")
        changed = msgspec.structs.replace(record, failures=0, barred_until=0, code=step or record.code)
        # At once: a one-time code counts once, also where it is sent twice at the same time.
        self._known[(record.kind, record.id)] = changed
        return await self._begin_session(changed, now)

    @open_to_all("signing in is how somebody becomes known")
    async def enter(self, outsider: Outsider) -> Session:
        """Sign in somebody whom a provider vouches for; they are added where they come for the first time.

        Their roles and groups are what the mapping gives them now. Who is locked or removed stays out.

        Raises:
            ServiceError: `sso-refused`; the reason stands in the audit only.
        """
        _check_roles(outsider.roles)
        async with self._changing:
            known = next((r for r in self._known.values() if r.subject == outsider.subject), None)
            now = _now_ms()
            record = known or IdentityRecord(
                kind="person",
                id=free_name(outsider, {name for kind, name in self._known if kind == "person"} | _RESERVED),
                workspace=self.guard.workspace,
                created_at=now,
                created_by="sso",
                subject=outsider.subject,
            )
            reason = outsider.refused or ("" if record.state == "active" else f"the person is {record.state}")
            changed = msgspec.structs.replace(
                record, display=outsider.display or record.id, roles=outsider.roles, groups=outsider.groups
            )
            with acting_as(identity_of(changed)):
                facts = {"roles": changed.roles, "groups": changed.groups, "added": known is None}
                verdict = "deny" if reason else "allow"
                self._store.note("login.sso", f"person:{record.id}", verdict=verdict, reason=reason, data=facts)
            if reason:
                await self._store.write([])  # What was noted is on disk before anybody is told.
                raise ServiceError("sso-refused", "The sign-in did not succeed.")
            session = await self._begin_session(changed, now)
            self._known[(changed.kind, changed.id)] = changed
        return session

    @open_to_all("ends one's own session and nothing else")
    async def logout(self, token: str) -> None:
        """End the session that this token is of."""
        credential = self._credentials.get(digest_of(token))
        if credential is not None and credential.kind == "session":
            await self._forget(credential)

    @open_to_all("everybody who is signed in may know who they are")
    async def whoami(self) -> WhoAmI:
        """Who acts, and what they may.

        Raises:
            ServiceError: `not-signed-in`.
        """
        identity = self._somebody()
        allowed = [
            name
            for name, action in ACTIONS.items()
            if name != "act.perform" and self.guard.verdict(identity, name, Resource(action.resource)).allowed
        ]
        return WhoAmI(
            kind=identity.kind,
            id=identity.id,
            display=identity.display,
            roles=sorted(identity.roles),
            groups=sorted(identity.groups),
            workspace=identity.workspace,
            scopes=None if identity.scopes is None else sorted(identity.scopes),
            actions=allowed,
        )

    # -- others --------------------------------------------------------------------------------

    @governed("identity.read")
    async def page(self, *, limit: int = 50, after: str | None = None) -> Page[IdentityView]:
        """Identities by kind and name; those removed too, because records name them."""
        found = sorted(f"{kind}/{name}" for kind, name in self._known if after is None or f"{kind}/{name}" > after)
        items = [view(self._known[_pair(name)]) for name in found[:limit]]
        return Page(items=items, next=found[limit - 1] if len(found) > limit else None)

    @governed("identity.read", on=_identity_of)
    async def get(self, kind: str, name: str) -> IdentityView:
        """One identity.

        Raises:
            ServiceError: `identity-unknown`.
        """
        return view(self._record(kind, name))

    @governed("identity.read", on=_identity_of)
    async def tokens(self, kind: str, name: str) -> list[TokenView]:
        """The tokens of an identity; sessions are not listed.

        Raises:
            ServiceError: `identity-unknown`.
        """
        self._record(kind, name)
        found = [c for c in self._of(kind, name) if c.kind == "token"]
        return [token_view(credential) for credential in sorted(found, key=lambda c: c.created_at)]

    @open_to_all("asks in its middle, where it is known whom it is about")
    async def add(self, wanted: NewIdentity) -> IdentityView:
        """Add a person or a service account.

        Raises:
            ServiceError: `identity-taken` or `identity-refused`.
        """
        self._ask(wanted.kind, wanted.id)
        if _NAME.fullmatch(wanted.id) is None or wanted.id in _RESERVED:
            raise ServiceError("identity-refused", f"{wanted.id!r} is no name that can be used.")
        if (wanted.kind, wanted.id) in self._known:
            raise ServiceError("identity-taken", f"There is a {wanted.kind} {wanted.id!r} already, or was one.")
        if wanted.kind == "service" and wanted.password is not None:
            raise ServiceError("identity-refused", "A service account has tokens and no password.")
        _check_roles(wanted.roles)
        hashed = "" if wanted.password is None else await self._passwords.hash(wanted.password)
        record = IdentityRecord(
            kind=wanted.kind,
            id=wanted.id,
            display=wanted.display or wanted.id,
            roles=wanted.roles,
            groups=wanted.groups,
            limits=wanted.limits,
            workspace=self.guard.workspace,
            created_at=_now_ms(),
            created_by=self._somebody().name,
            password=hashed,
        )
        if (wanted.kind, wanted.id) in self._known:
            raise ServiceError("identity-taken", f"There is a {wanted.kind} {wanted.id!r} already.")
        await self._put(record)
        return view(record)

    @open_to_all("asks in its middle, where it is known whom it is about")
    async def change(self, kind: str, name: str, wanted: IdentityChange) -> IdentityView:
        """Change an identity: what it is called, may and belongs to, its state, its password.

        Raises:
            ServiceError: `identity-unknown` or `identity-refused`.
        """
        self._ask(kind, name)
        record = self._record(kind, name)
        if wanted.roles is not None:
            _check_roles(wanted.roles)
        if wanted.state in ("locked", "removed") and not wanted.reason.strip():
            raise ServiceError("identity-refused", f"To be {wanted.state} needs a reason.")
        if wanted.password is not None and kind != "person":
            raise ServiceError("identity-refused", "A service account has tokens and no password.")
        hashed = None if wanted.password is None else await self._passwords.hash(wanted.password)
        async with self._changing:
            record = self._record(kind, name)
            given = {
                field: value
                for field in ("display", "roles", "groups", "limits", "state")
                if (value := getattr(wanted, field)) is not None
            }
            if wanted.state is not None:
                given["reason"] = wanted.reason
            if hashed is not None:
                given |= {"password": hashed, "failures": 0, "barred_until": 0}
            if wanted.reset_totp:
                given |= {"totp": "", "pending": "", "code": 0}
            changed = msgspec.structs.replace(record, **given)
            # Whoever is locked out, or has another password, is signed in nowhere.
            await self._put(changed, sign_out=changed.state != "active" or hashed is not None)
        return view(changed)

    @open_to_all("asks in its middle: one's own tokens need no leave")
    async def make_token(self, kind: str, name: str, wanted: NewToken) -> MadeToken:
        """Make a token. It is shown this once.

        Raises:
            ServiceError: `identity-unknown` or `identity-refused`.
        """
        self._ask_for_others(kind, name)
        record = self._record(kind, name)
        maker = self._somebody()
        if kind == "person" and (maker.kind, maker.id) != (kind, name) and "owner" not in maker.roles:
            # It would let an administrator act under another's name, and the record would name the wrong one.
            raise ServiceError(
                "identity-refused", f"Only {name!r} makes tokens of {name!r}; accounts are for programs."
            )
        if record.state != "active":
            raise ServiceError("identity-refused", f"{kind} {name!r} is {record.state}.")
        unknown = sorted(set(wanted.scopes or ()) - set(GROUPS) - set(ACTIONS))
        if unknown:
            raise ServiceError("identity-refused", f"There is no group of actions and no action {unknown[0]!r}.")
        now = _now_ms()
        token, digest = new_token("sg")
        credential = CredentialRecord(
            id=secrets.token_hex(8),
            digest=digest,
            kind="token",
            identity_kind=kind,
            identity_id=name,
            label=wanted.label,
            scopes=wanted.scopes,
            created_at=now,
            created_by=self._somebody().name,
            expires_at=now + wanted.days * _DAY_MS,
        )
        await self._store.write([put_credential(credential)])
        self._credentials[digest] = credential
        told = token_view(credential)
        return MadeToken(**{field: getattr(told, field) for field in told.__struct_fields__}, token=token)

    @open_to_all("asks in its middle: one's own tokens need no leave")
    async def revoke_token(self, token: str) -> TokenView:
        """End a token at once.

        Args:
            token: Its id, not what its bearer holds.

        Raises:
            ServiceError: `token-unknown`.
        """
        found = next((c for c in self._credentials.values() if c.id == token and c.kind == "token"), None)
        if found is None:
            self._ask("service", "")
            raise ServiceError("token-unknown", f"There is no token {token!r}.")
        self._ask_for_others(found.identity_kind, found.identity_id)
        await self._forget(found)
        return token_view(found)

    # -- oneself -------------------------------------------------------------------------------

    @open_to_all("one's own password, given the old one")
    async def set_password(self, wanted: OwnPassword) -> IdentityView:
        """Choose another password; every other session and token of the person ends.

        Raises:
            ServiceError: `not-signed-in` or `login-refused`.
        """
        record = self._own()
        if record.barred_until > _now_ms():
            raise ServiceError("login-barred", "Too many wrong passwords.")
        if not await self._passwords.fits(wanted.old, record.password):
            await self._wrong(self._own(), _now_ms())
            raise ServiceError("login-refused", "The old password is another one.")
        hashed = await self._passwords.hash(wanted.new)
        async with self._changing:
            changed = msgspec.structs.replace(self._own(), password=hashed, failures=0)
            await self._put(changed, sign_out=True)
        return view(changed)

    @open_to_all("one's own second factor")
    async def begin_totp(self) -> TotpSecret:
        """A secret for one-time codes. Codes are asked for once one of them was confirmed.

        Raises:
            ServiceError: `not-signed-in`, or `identity-refused` where the person has one-time codes.
        """
        record = self._own()
        if record.totp:
            raise ServiceError("identity-refused", "There are one-time codes; an administrator can reset them.")
        secret = new_totp()
        async with self._changing:
            await self._put(msgspec.structs.replace(self._own(), pending=secret))
        return TotpSecret(secret=secret, uri=totp_uri(secret, record.id))

    @open_to_all("one's own second factor")
    async def confirm_totp(self, wanted: TotpCode) -> IdentityView:
        """Ask for a one-time code at every login from now on.

        Raises:
            ServiceError: `not-signed-in` or `login-refused`.
        """
        record = self._own()
        step = totp_step(record.pending, wanted.code, at=_now_ms(), after=0) if record.pending else None
        if step is None:
            raise ServiceError("login-refused", "The code is not one of the secret that was shown.")
        async with self._changing:
            changed = msgspec.structs.replace(self._own(), totp=record.pending, pending="", code=step)
            await self._put(changed)
        return view(changed)

    # -- helpers -------------------------------------------------------------------------------

    async def _begin_session(self, record: IdentityRecord, now: int) -> Session:
        """A session of this person, whose record is written with it."""
        token, digest = new_token("ss")
        credential = CredentialRecord(
            id=secrets.token_hex(8),
            digest=digest,
            kind="session",
            identity_kind=record.kind,
            identity_id=record.id,
            csrf=secrets.token_urlsafe(16),
            created_at=now,
            expires_at=now + _SESSION_MS,
        )
        await self._store.write([put_identity(record), put_credential(credential)])
        self._credentials[digest] = credential
        return Session(
            token=token, csrf=credential.csrf, expires_at=iso(credential.expires_at), identity=view(record)
        )

    def _somebody(self) -> Identity:
        identity = self.guard.who()
        if identity is None:
            raise ServiceError("not-signed-in", "Nobody is signed in.")
        return identity

    def _own(self) -> IdentityRecord:
        identity = acting()
        known = (
            None if identity is None or identity.scopes is not None else self._known.get((identity.kind, identity.id))
        )
        # Whoever only holds the folder's token is nobody's record.
        if known is None or known.kind != "person":
            raise ServiceError("not-signed-in", "This is for a person who signed in with a password.")
        return known

    def _ask(self, kind: str, name: str) -> None:
        identity = self._somebody()
        own = (identity.kind, identity.id) == (kind, name)
        admit_to(self.guard, "identity.change", Resource("Identity", f"{kind}/{name}"), {"own": own})

    def _ask_for_others(self, kind: str, name: str) -> None:
        identity = self._somebody()
        # A narrowed token makes no wider one.
        if (identity.kind, identity.id) != (kind, name) or identity.scopes is not None or kind != "person":
            self._ask(kind, name)

    def _record(self, kind: str, name: str) -> IdentityRecord:
        record = self._known.get((kind, name))
        if record is None:
            raise ServiceError("identity-unknown", f"There is no {kind} {name!r}.")
        return record

    def _of(self, kind: str, name: str) -> list[CredentialRecord]:
        return [c for c in self._credentials.values() if (c.identity_kind, c.identity_id) == (kind, name)]

    def _wrong_stranger(self, name: str, now: int) -> None:
        failures, barred = self._strangers.pop(name, (0, 0))
        self._strangers[name] = _one_more(failures, barred, now)
        if len(self._strangers) > _STRANGERS_MAX:
            self._strangers.popitem(last=False)

    async def _wrong(self, record: IdentityRecord, now: int) -> None:
        kept, barred = _one_more(record.failures, record.barred_until, now)
        # Counted before it is on disk: a hundred tries at once are a hundred tries.
        changed = msgspec.structs.replace(record, failures=kept, barred_until=barred)
        self._known[(record.kind, record.id)] = changed
        await self._store.write([put_identity(changed)])

    async def _put(self, record: IdentityRecord, *, sign_out: bool = False) -> None:
        statements = [put_identity(record)]
        if sign_out:
            statements.append(delete_credentials(record.kind, record.id))
            # Before it is on disk: to stay signed in for a moment longer is the worse mistake.
            self._drop(self._of(record.kind, record.id))
        await self._store.write(statements)
        self._known[(record.kind, record.id)] = record

    async def _forget(self, credential: CredentialRecord) -> None:
        self._drop([credential])
        await self._store.write([delete_credential(credential.id)])

    def _drop(self, credentials: Iterable[CredentialRecord]) -> None:
        for credential in credentials:
            self._credentials.pop(credential.digest, None)


def _one_more(failures: int, barred: int, now: int) -> tuple[int, int]:
    """Wrong passwords in a row and the end of the bar, after one more."""
    return (failures + 1, barred) if failures + 1 < _WRONG_MAX else (0, now + _BARRED_MS)


def _check_roles(roles: list[str]) -> None:
    if "owner" in roles or "system" in roles:
        raise ServiceError("identity-refused", "The roles `owner` and `system` cannot be granted.")
    unknown = [role for role in roles if role not in ROLES and _NAME.fullmatch(role) is None]
    if unknown:
        raise ServiceError("identity-refused", f"{unknown[0]!r} is no name of a role.")


def _pair(name: str) -> tuple[str, str]:
    kind, _, rest = name.partition("/")
    return kind, rest


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
