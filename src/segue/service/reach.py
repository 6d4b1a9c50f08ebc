"""Whether a change of somebody would let whoever makes it act as them: what a second administrator must look at.

Three things let somebody act under another's name: a password that they know, a second factor that is gone, and the
address that one-time codes go to. A right that is given afterwards to somebody whose password or address one has set
is the same in another order, so who set them is remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from segue.governance import ACTIONS, Guard, Resource
from segue.people import Profile
from segue.service.identities import IdentityChange, NewIdentity, identity_of
from segue.store.permission import IdentityRecord
from segue.types import Identity

PLAIN: Final = frozenset({"viewer", "operator", "builder"})
"""Roles that decide nothing which somebody else must not decide. Any other role may be named by a rule or a task."""
_PLAIN_GROUPS: Final = frozenset({"read", "own", "operate", "build", "stop"})
_DECIDING: Final = tuple(
    (name, action.resource)
    for name, action in ACTIONS.items()
    if action.groups and _PLAIN_GROUPS.isdisjoint(action.groups)
)
_RIGHTS: Final = ("roles", "groups", "limits")


class Effect(msgspec.Struct, frozen=True):
    """What a change would do.

    Attributes:
        takes_over: Ways in which whoever makes it could act as somebody who decides about something.
        grants: Roles that it gives.
        told: Everything that it changes, for whoever approves it; no password.
    """

    takes_over: tuple[str, ...] = ()
    grants: tuple[str, ...] = ()
    told: tuple[str, ...] = ()

    @property
    def context(self) -> dict[str, Any]:
        """As rules see it."""
        return {"takes_over": bool(self.takes_over), "grants": list(self.grants)}


NO_EFFECT: Final = Effect()


class Reach:
    """Knows who decides about anything in one data folder.

    Args:
        owners: Whom connections belong to: `person:ann`, `group:sales`.
    """

    def __init__(self, guard: Guard, owners: Callable[[], Iterable[str | None]]) -> None:
        self._guard = guard
        self._owners = owners

    def decides(self, identity: Identity) -> bool:
        """Something is theirs to decide: by a role, by a rule, or because they own a connection."""
        if identity.roles - PLAIN:
            return True
        owns = {identity.name, *(f"group:{group}" for group in identity.groups)}
        if not owns.isdisjoint(owner for owner in self._owners() if owner):
            return True
        return any(self._guard.verdict(identity, name, Resource(kind)).allowed for name, kind in _DECIDING)

    def of_added(self, wanted: NewIdentity, *, has_address: bool) -> Effect:
        """What adding somebody would do. `has_address`: codes for this name go somewhere already."""
        told = tuple(_told(wanted))
        if wanted.kind != "person":
            return Effect((), tuple(wanted.roles), told)
        after = self._identity(wanted.id, wanted.roles, wanted.groups)
        ways = ["password"] if wanted.password is not None else []
        ways += ["address"] if has_address else []
        return Effect(tuple(ways) if self.decides(after) else (), tuple(wanted.roles), told)

    def of_changed(self, record: IdentityRecord, wanted: IdentityChange, by: Identity) -> Effect:
        """What a change would do."""
        grants = tuple(role for role in wanted.roles or () if role not in record.roles)
        told = tuple(_told(wanted))
        if record.kind != "person":
            return Effect((), grants, told)
        groups = record.groups if wanted.groups is None else wanted.groups
        after = self._identity(record.id, wanted.roles if wanted.roles is not None else record.roles, groups)
        # What a directory or a provider says decides about their rights, and may say more tomorrow.
        elsewhere = record.scim is not None or bool(record.subject)
        decides = elsewhere or self.decides(identity_of(record)) or self.decides(after)
        ways = ["second factor"] if wanted.reset_totp and record.totp else []
        ways += ["password"] if wanted.password is not None and decides else []
        changed = any(
            (value := getattr(wanted, field)) is not None and value != getattr(record, field) for field in _RIGHTS
        )
        ways += ["rights"] if changed and by.name in record.known_to and self.decides(after) else []
        return Effect(tuple(ways), grants, told)

    def of_profile(self, before: Profile | None, after: Profile, record: IdentityRecord | None) -> Effect:
        """What a profile of somebody else would do: one-time codes go to its address.

        Args:
            record: Their account, whose rights count; None for who decides by mail only.
        """
        if not after.email:
            return NO_EFFECT
        moved = before is None or before.email != after.email
        if record is not None:
            elsewhere = record.scim is not None or bool(record.subject)
            takes = moved and (elsewhere or self.decides(identity_of(record)))
        else:
            raised = before is None or any(getattr(before, field) != getattr(after, field) for field in _RIGHTS)
            takes = (moved or raised) and self.decides(self._identity(after.id, after.roles, after.groups))
        return Effect(("address",) if takes else (), (), (f"e-mail: {after.email}",))

    def _identity(self, name: str, roles: Iterable[str], groups: Iterable[str]) -> Identity:
        return Identity(
            kind="person",
            id=name,
            roles=frozenset(roles),
            groups=frozenset(groups),
            workspace=self._guard.workspace,
        )


def _told(wanted: NewIdentity | IdentityChange) -> list[str]:
    """What is asked for, in words; a password is only said to be there."""
    found = ["sets a password"] if wanted.password is not None else []
    if isinstance(wanted, IdentityChange):
        found += ["resets one-time codes"] if wanted.reset_totp else []
        found += [f"state: {wanted.state}"] if wanted.state is not None else []
    for field in ("roles", "groups"):
        names: list[str] | None = getattr(wanted, field)
        if names or (names is not None and isinstance(wanted, IdentityChange)):
            found.append(f"{field}: {', '.join(names) or 'none'}")
    if wanted.limits:
        found.append("limits: " + ", ".join(f"{name} {number:g}" for name, number in wanted.limits.items()))
    return found
