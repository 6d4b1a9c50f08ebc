"""Who there is by the names that documents and rules use: `person:ann`, `group:sales`, `role:approver`.

Somebody counts who may act: who is locked or removed is nobody. The holder of the data folder is counted for
`role:owner` alone: that they could do everything is a power, and not a duty.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from segue.governance import Guard, Resource
from segue.people import OWNER, Granted, Profile, permission
from segue.service.directory import Directory, identity_of
from segue.types import Identity

KINDS: Final = ("person", "group", "role")
_TASK: Final = Resource("HumanTask")


class Holders:
    """Knows it in one data folder."""

    def __init__(self, guard: Guard, directory: Directory) -> None:
        self._guard = guard
        self._directory = directory

    async def everybody(self) -> list[Identity]:
        """Everybody who may act, without the powers of the holder of the folder."""
        return [self._identity(profile) for profile in (await self._directory.all()).values()]

    async def of(self, kind: str, name: str) -> list[str]:
        """Ids of the people that a name means."""
        if (kind, name) == ("role", OWNER):
            return [OWNER]
        return [one.id for one in await self.everybody() if _is(one, kind, name)]

    async def deciding(
        self, audience: Mapping[str, Any], roles: Iterable[str] = (), requesters: Iterable[str] = ()
    ) -> list[str]:
        """Ids of the people who might decide a task.

        Args:
            audience: As tasks have it. roles: Of which they need one; none where it is empty.
            requesters: Who asked for it, and never decides.
        """
        profiles, now = await self._directory.all(), self._directory.now_ms()
        found = []
        for profile in profiles.values():
            identity = self._identity(profile)
            granted = permission(
                identity,
                audience=audience,
                owner="",
                authority={"roles": list(roles)},
                requesters=requesters,
                profiles=profiles,
                now_ms=now,
            )
            if isinstance(granted, Granted) and self._guard.verdict(identity, "task.decide", _TASK).allowed:
                found.append(profile.id)
        return found

    def _identity(self, profile: Profile) -> Identity:
        plain = msgspec.structs.replace(profile, roles=profile.roles - {OWNER})
        return identity_of(plain, self._guard.workspace)


def _is(identity: Identity, kind: str, name: str) -> bool:
    if kind == "person":
        return identity.id == name
    return name in (identity.groups if kind == "group" else identity.roles)
