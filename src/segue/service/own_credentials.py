"""Use cases of what somebody signs in with themselves: their password and their one-time codes."""

from __future__ import annotations

import msgspec

from segue.governance.credentials import Passwords, new_totp, totp_step, totp_uri
from segue.service.access import UseCases, open_to_all
from segue.service.errors import ServiceError
from segue.service.identities import IdentityView, OwnPassword, TotpCode, TotpSecret, view
from segue.service.roster import Roster, now_ms
from segue.store.permission import IdentityRecord
from segue.types import acting


class OwnCredentials(UseCases):
    """Passwords and one-time codes, each of the person who acts."""

    def __init__(self, roster: Roster, passwords: Passwords) -> None:
        self._roster = roster
        self._passwords = passwords

    @open_to_all("one's own password, given the old one")
    async def set_password(self, wanted: OwnPassword) -> IdentityView:
        """Choose another password; every other session and token of the person ends.

        Raises:
            ServiceError: `not-signed-in` or `login-refused`.
        """
        record = self._own()
        if record.barred_until > now_ms():
            raise ServiceError("login-barred", "Too many wrong passwords.")
        if not await self._passwords.fits(wanted.old, record.password):
            await self._roster.wrong(self._own(), now_ms())
            raise ServiceError("login-refused", "The old password is another one.")
        hashed = await self._passwords.hash(wanted.new)
        async with self._roster.changing:
            changed = msgspec.structs.replace(self._own(), password=hashed, failures=0)
            await self._roster.put(changed, sign_out=True)
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

    def _own(self) -> IdentityRecord:
        identity = acting()
        known = (
            None if identity is None or identity.scopes is not None else self._roster.find(identity.kind, identity.id)
        )
        # Whoever only holds the folder's token is nobody's record.
        if known is None or known.kind != "person":
            raise ServiceError("not-signed-in", "This is for a person who signed in with a password.")
        return known
