"""Use cases of tokens: what programs, and people on the command line, identify themselves by."""

from __future__ import annotations

import secrets
from typing import Final

from segue.governance import ACTIONS, GROUPS
from segue.governance.credentials import new_token
from segue.service.access import UseCases, governed, open_to_all
from segue.service.errors import ServiceError
from segue.service.identities import MadeToken, NewToken, TokenView, token_view
from segue.service.roster import Roster, ask_to_change, identity_resource, now_ms, somebody
from segue.store.permission import CredentialRecord
from segue.types import acting_as

TOKENS_MAX: Final = 200
"""Tokens of one identity at a time. Each is in memory, and is made by a request."""
_DAY_MS: Final = 86_400_000


class Tokens(UseCases):
    """Tokens of one data folder."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster

    @governed("identity.read", on=identity_resource)
    async def of(self, kind: str, name: str) -> list[TokenView]:
        """The tokens of an identity; sessions are not listed.

        Raises:
            ServiceError: `identity-unknown`.
        """
        self._roster.record(kind, name)
        found = [c for c in self._roster.credentials_of(kind, name) if c.kind == "token"]
        return [token_view(credential) for credential in sorted(found, key=lambda c: c.created_at)]

    @open_to_all("asks in its middle: one's own tokens need no leave")
    async def make(self, kind: str, name: str, wanted: NewToken) -> MadeToken:
        """Make a token. It is shown this once.

        Raises:
            ServiceError: `identity-unknown` or `identity-refused`.
        """
        self._ask_for_others(kind, name)
        record = self._roster.record(kind, name)
        maker = somebody(self.guard)
        if kind == "person" and (maker.kind, maker.id) != (kind, name) and "owner" not in maker.roles:
            # It would let an administrator act under another's name, and the record would name the wrong one.
            raise ServiceError(
                "identity-refused", f"Only {name!r} makes tokens of {name!r}; accounts are for programs."
            )
        if {"admin", "provisioner"} & set(record.roles) and kind == "service" and "owner" not in maker.roles:
            # Whoever holds it would be a second administrator, or say as a directory who there is.
            raise ServiceError(
                "identity-refused",
                f"Tokens of {name!r}, which administers or provisions, are made by the holder of the data folder.",
                remedy="Let them run `segue tokens make` there.",
            )
        if record.state != "active":
            raise ServiceError("identity-refused", f"{kind} {name!r} is {record.state}.")
        unknown = sorted(set(wanted.scopes or ()) - set(GROUPS) - set(ACTIONS))
        if unknown:
            raise ServiceError("identity-refused", f"There is no group of actions and no action {unknown[0]!r}.")
        now = now_ms()
        living = [c for c in self._roster.credentials_of(kind, name) if c.kind == "token" and c.expires_at > now]
        if len(living) >= TOKENS_MAX:
            raise ServiceError(
                "identity-refused",
                f"{kind} {name!r} has {TOKENS_MAX} tokens, and no more than that.",
                remedy="End those that nobody uses: `segue tokens list` shows when each was used last.",
            )
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
            created_by=maker.name,
            expires_at=now + wanted.days * _DAY_MS,
        )
        with acting_as(maker):
            await self._roster.put_credential(credential)
        told = token_view(credential)
        return MadeToken(**{field: getattr(told, field) for field in told.__struct_fields__}, token=token)

    @open_to_all("asks in its middle: one's own tokens need no leave")
    async def revoke(self, token: str) -> TokenView:
        """End a token at once.

        Args:
            token: Its id, not what its bearer holds.

        Raises:
            ServiceError: `token-unknown`.
        """
        found = next((c for c in self._roster.credentials() if c.id == token and c.kind == "token"), None)
        if found is None:
            ask_to_change(self.guard, "service", "")
            raise ServiceError("token-unknown", f"There is no token {token!r}.")
        self._ask_for_others(found.identity_kind, found.identity_id)
        with acting_as(somebody(self.guard)):
            self._roster.store.note("token.revoke", f"token:{found.id}")
            await self._roster.forget(found)
        return token_view(found)

    def _ask_for_others(self, kind: str, name: str) -> None:
        identity = somebody(self.guard)
        # A narrowed token makes no wider one.
        if (identity.kind, identity.id) != (kind, name) or identity.scopes is not None or kind != "person":
            ask_to_change(self.guard, kind, name)
