"""Use cases of signing in: with a password, through a provider, and out again; and who a bearer is."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from typing import Any, Final

import msgspec

from segue.governance import ACTIONS, Resource
from segue.governance.credentials import Passwords, digest_of, new_token, totp_step
from segue.service.access import PASSWORD_SCOPE, UseCases, open_to_all
from segue.service.attempts import FailedSignIns
from segue.service.directory import Directory
from segue.service.errors import ServiceError
from segue.service.identities import Login, Outsider, Session, WhoAmI, free_name, identity_of, view
from segue.service.observe import iso
from segue.service.roster import Roster, check_roles, now_ms, one_more, somebody
from segue.service.scim.linking import Found, find_entrant
from segue.service.settings import ScimSettings
from segue.store.permission import CredentialRecord, IdentityRecord, put_credential, put_identity
from segue.types import Identity, acting_as

_STRANGERS_MAX: Final = 10_000
_SESSION_MS: Final = 12 * 3_600_000
_ONCE_MS: Final = 15 * 60_000
_USED_EVERY_MS: Final = 60_000


class Bearer(msgspec.Struct, frozen=True):
    """Whoever holds a credential. `credential` tells a token from a session, and what a browser must repeat."""

    identity: Identity
    credential: CredentialRecord


class Sessions(UseCases):
    """Signing in to one data folder."""

    def __init__(
        self, roster: Roster, passwords: Passwords, failures: FailedSignIns, directory: Directory, scim: ScimSettings
    ) -> None:
        self._roster = roster
        self._passwords = passwords
        self._failures = failures
        self._directory = directory
        self._scim = scim
        # Wrong passwords of names that nobody has, and until when those are barred: as if they were somebody's.
        self._strangers: OrderedDict[str, tuple[int, int]] = OrderedDict()

    @open_to_all("it says who a bearer is, before anybody acts")
    def bearer_of(self, token: str) -> Bearer | None:
        """Whoever holds this token or session; None where it is none, has expired, or its identity may not act."""
        credential = self._roster.credential(digest_of(token))
        now = now_ms()
        if credential is None or credential.expires_at <= now:
            return None
        record = self._roster.find(credential.identity_kind, credential.identity_id)
        if record is None or record.state != "active":
            return None
        if now - (credential.used_at or 0) >= _USED_EVERY_MS:
            credential = msgspec.structs.replace(credential, used_at=now)
            self._roster.hold_credential(credential)
            # With whatever is written next: nobody waits for the note of a last use.
            self._roster.store.commit.pending.statements.append(put_credential(credential))
        return Bearer(identity_of(record, credential.scopes), credential)

    @open_to_all("it gives nobody anything")
    def anew(self) -> Sessions:
        """The same, to which no stranger has come yet."""
        return Sessions(self._roster, self._passwords, self._failures, self._directory, self._scim)

    @open_to_all("signing in is how somebody becomes known")
    async def login(self, wanted: Login) -> Session:
        """Sign a person in.

        Raises:
            ServiceError: `login-refused`, the same for every reason but the bar after too many wrong passwords.
        """
        record = self._roster.find("person", wanted.name)
        now = now_ms()
        barred = self._strangers.get(wanted.name, (0, 0))[1] if record is None else record.barred_until
        if barred > now:
            self._failures.failed(None if record is None else wanted.name, why="the name is barred")
            wait = -(-(barred - now) // 1000)
            raise ServiceError("login-barred", f"Too many wrong passwords for {wanted.name!r}.", wait_s=wait)
        checked = "" if record is None else record.password
        fits = await self._passwords.fits(wanted.password, checked)
        # Read again: others may have tried meanwhile, and each wrong password counts; and whoever chose another
        # one to be rid of somebody is not rid of them if the old one still lets in who waited for their turn.
        record = self._roster.find("person", wanted.name)
        fits = fits and record is not None and record.password == checked
        step: int | None = 0
        if record is not None and record.totp:
            step = totp_step(record.totp, wanted.code, at=now, after=record.code)
        if record is None or record.barred_until > now or not fits or step is None or not _counts(record, now):
            if record is None:
                self._failures.failed(None)
                self._wrong_stranger(wanted.name, now)
            else:
                await self._failures.wrong(record, self._roster, now, why=_why(record, fits, step, now))
            raise ServiceError("login-refused", "Name, password and code do not fit together.")
        changed = msgspec.structs.replace(record, failures=0, barred_until=0, code=step or record.code)
        data: dict[str, Any] = {"one_time": True, "set_by": record.password_by} if record.one_time_until else {}
        if further := self._failures.told(record.id):
            data["failures"] = further
        with acting_as(identity_of(changed)):
            self._roster.store.note("login.password", f"person:{record.id}", verdict="allow", data=data or None)
        # At once: a one-time code counts once, also where it is sent twice at the same time.
        self._roster.hold(changed)
        return await self._begin(changed, now, once=bool(record.one_time_until))

    @open_to_all("signing in is how somebody becomes known")
    async def enter(self, outsider: Outsider) -> Session:
        """Sign in somebody whom a provider vouches for; they are added where they come for the first time.

        Their roles and groups are what the mapping gives them now; those of whom a directory provisions are what its
        groups give them. Who is locked or removed stays out.

        Raises:
            ServiceError: `sso-refused`; the reason stands in the audit only.
        """
        check_roles(outsider.roles)
        async with self._roster.changing:
            found = find_entrant(self._roster.all(), outsider, self._scim.link)
            now = now_ms()
            taken = self._roster.taken() | await self._directory.names()
            record = found.record or IdentityRecord(
                kind="person",
                id=free_name(outsider.name, outsider.subject, taken),
                workspace=self.guard.workspace,
                created_at=now,
                created_by="sso",
            )
            changed = msgspec.structs.replace(record, subject=outsider.subject, link=outsider.link)
            if record.scim is None or self._scim.groups == "claim":
                changed = msgspec.structs.replace(changed, roles=outsider.roles, groups=outsider.groups)
            if record.scim is None:
                changed = msgspec.structs.replace(changed, display=outsider.display or record.id)
            reason = self._refusal(outsider, found, record)
            store = self._roster.store
            with acting_as(identity_of(changed)):
                facts = {"roles": changed.roles, "groups": changed.groups, "added": found.record is None}
                if record.subject != outsider.subject and found.record is not None:
                    facts["linked"] = True
                if found.before is not None:
                    facts["before"] = found.before.id
                verdict = "deny" if reason else "allow"
                store.note("login.sso", f"person:{record.id}", verdict=verdict, reason=reason, data=facts)
            if reason:
                await store.write([])  # What was noted is on disk before anybody is told.
                raise ServiceError("sso-refused", "The sign-in did not succeed.")
            self._roster.hold(changed)
            if found.before is not None:
                before = msgspec.structs.replace(
                    found.before,
                    state="removed",
                    reason=f"is {changed.id!r}, whom the directory provisioned",
                    subject="",
                )
                self._roster.tell(changed)
                await self._roster.put(before, sign_out=True, more=[put_identity(changed)])
            return await self._begin(changed, now)

    def _refusal(self, outsider: Outsider, found: Found, record: IdentityRecord) -> str:
        if outsider.refused or found.refused:
            return outsider.refused or found.refused
        for whoever in (record, found.before):
            if whoever is not None and whoever.state != "active":
                return f"the person is {whoever.state}"
        if self._scim.only and record.scim is None:
            return "the directory has not provisioned them, and `scim.only` is set"
        return ""

    @open_to_all("ends one's own session and nothing else")
    async def logout(self, token: str) -> None:
        """End the session that this token is of."""
        credential = self._roster.credential(digest_of(token))
        if credential is not None and credential.kind == "session":
            record = self._roster.find(credential.identity_kind, credential.identity_id)
            with acting_as(None if record is None else identity_of(record)):
                self._roster.store.note("logout", f"person:{credential.identity_id}")
            await self._roster.forget(credential)

    @open_to_all("everybody who is signed in may know who they are")
    async def whoami(self) -> WhoAmI:
        """Who acts, and what they may.

        Raises:
            ServiceError: `not-signed-in`.
        """
        identity = somebody(self.guard)
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

    async def _begin(self, record: IdentityRecord, now: int, *, once: bool = False) -> Session:
        """A session of this person, whose record is written with it.

        Args:
            once: Only to choose a password of one's own.
        """
        token, digest = new_token("ss")
        credential = CredentialRecord(
            id=secrets.token_hex(8),
            digest=digest,
            kind="session",
            identity_kind=record.kind,
            identity_id=record.id,
            csrf=secrets.token_urlsafe(16),
            created_at=now,
            scopes=[PASSWORD_SCOPE] if once else None,
            expires_at=now + (_ONCE_MS if once else _SESSION_MS),
        )
        await self._roster.put_credential(credential, of=record)
        return Session(
            token=token, csrf=credential.csrf, expires_at=iso(credential.expires_at), identity=view(record)
        )

    def _wrong_stranger(self, name: str, now: int) -> None:
        failures, barred = self._strangers.pop(name, (0, 0))
        self._strangers[name] = one_more(failures, barred, now)
        if len(self._strangers) > _STRANGERS_MAX:
            self._strangers.popitem(last=False)


def _why(record: IdentityRecord, fits: bool, step: int | None, now: int) -> str:
    """For the audit; the stranger is told one sentence."""
    if record.state != "active":
        return f"the person is {record.state}"
    if record.barred_until > now:
        return "the name is barred"
    if not fits:
        return "a wrong password"
    return "a wrong one-time code" if step is None else "the password counted once, and is too old"


def _counts(record: IdentityRecord, now: int) -> bool:
    """The person may come in with their password now."""
    return record.state == "active" and (not record.one_time_until or now < record.one_time_until)
