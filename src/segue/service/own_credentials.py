"""Use cases of what somebody signs in with themselves: their password and their one-time codes."""

from __future__ import annotations

import msgspec

from segue.governance.credentials import Passwords, new_totp, totp_step, totp_uri
from segue.service.access import PASSWORD_SCOPE, UseCases, open_to_all
from segue.service.attempts import FailedSignIns
from segue.service.errors import ServiceError
from segue.service.identities import IdentityView, OwnPassword, TotpCode, TotpSecret, view
from segue.service.personal import Personal
from segue.service.roster import Roster, now_ms
from segue.store.permission import IdentityRecord
from segue.types import acting


class OwnCredentials(UseCases):
    """Passwords and one-time codes, each of the person who acts."""

    def __init__(self, roster: Roster, passwords: Passwords, failures: FailedSignIns, personal: Personal) -> None:
        self._roster = roster
        self._passwords = passwords
        self._failures = failures
        self._personal = personal

    @open_to_all("one's own password, given the old one")
    async def set_password(self, wanted: OwnPassword) -> IdentityView:
        """Choose another password; every session and token of the person ends.

        Raises:
            ServiceError: `not-signed-in` or `login-refused`; `identity-refused` where it is the old one.
        """
        record = self._own(PASSWORD_SCOPE)
        if wanted.new == wanted.old:
            raise ServiceError("identity-refused", "The new password is the old one.")
        self._require_unbarred(record)
        checked = record.password
        fits = await self._passwords.fits(wanted.old, checked)
        record = self._own(PASSWORD_SCOPE)
        # Again: of a hundred tries at once five count, whatever the others were about to find out.
        self._require_unbarred(record)
        if not fits or record.password != checked:
            why = "a wrong old password, where another was to be chosen"
            await self._failures.wrong(record, self._roster, now_ms(), why=why)
            raise ServiceError("login-refused", "The old password is another one.")
        hashed = await self._passwords.hash(wanted.new)
        async with self._roster.changing:
            record = self._own(PASSWORD_SCOPE)
            if record.password != checked:
                raise ServiceError("login-refused", "The password was changed meanwhile.")
            changed = msgspec.structs.replace(record, password=hashed, failures=0, one_time_until=0, password_by="")
            data = {"instead_of": record.password_by} if record.password_by else None
            self._roster.store.note("password.change", f"person:{record.id}", data=data)
            await self._roster.put(changed, sign_out=True)
        self._personal.tell(
            record.id,
            "Your password in Segue was changed",
            f"The password of {record.id} was changed after signing in with the one before. All your sessions and"
            " tokens have ended. If it was not you, tell whoever answers for security.",
        )
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
        async with self._roster.changing:
            await self._roster.put(msgspec.structs.replace(self._own(), pending=secret))
        return TotpSecret(secret=secret, uri=totp_uri(secret, record.id))

    @open_to_all("one's own second factor")
    async def confirm_totp(self, wanted: TotpCode) -> IdentityView:
        """Ask for a one-time code at every login from now on.

        Raises:
            ServiceError: `not-signed-in` or `login-refused`.
        """
        record = self._own()
        step = totp_step(record.pending, wanted.code, at=now_ms(), after=0) if record.pending else None
        if step is None:
            raise ServiceError("login-refused", "The code is not one of the secret that was shown.")
        async with self._roster.changing:
            changed = msgspec.structs.replace(self._own(), totp=record.pending, pending="", code=step)
            await self._roster.put(changed)
        return view(changed)

    @staticmethod
    def _require_unbarred(record: IdentityRecord) -> None:
        if (wait := record.barred_until - now_ms()) > 0:
            raise ServiceError("login-barred", "Too many wrong passwords.", wait_s=-(-wait // 1000))

    def _own(self, scope: str = "") -> IdentityRecord:
        """The record of who acts, by a sign-in that is worth all they may, or this scope alone."""
        identity = acting()
        known: IdentityRecord | None = None
        if identity is not None and identity.scopes in (None, frozenset({scope})):
            known = self._roster.find(identity.kind, identity.id)
        # Whoever only holds the folder's token is nobody's record.
        if known is None or known.kind != "person":
            raise ServiceError("not-signed-in", "This is for a person who signed in with a password.")
        return known
