"""Who there is by the names that documents and rules use: `person:ann`, `group:sales`, `role:approver`.

Somebody counts who may act: who is locked or removed is nobody. The holder of the data folder is counted for
`role:owner` alone: that they could do everything is a power, and not a duty.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec

from segue.governance import Guard, Resource
from segue.people import OWNER, Profile
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

    async def decide(
        self, audience: Mapping[str, Any], roles: Collection[str] = (), requesters: Collection[str] = ()
    ) -> bool:
        """Somebody who is asked might decide a task. Limits and absences do not count.

        Args:
            audience: As tasks have it. roles: Of which whoever decides needs one; none where it is empty.
            requesters: Who asked for it, and never decides.
        """
        for one in await self.everybody():
            asked = one.id in audience.get("people", ()) or bool(
                one.roles.intersection(audience.get("roles", ()))
                or one.groups.intersection(audience.get("groups", ()))
            )
            fits = asked and one.id not in requesters and (not roles or bool(one.roles.intersection(roles)))
            if fits and self._guard.verdict(one, "task.decide", _TASK).allowed:
                return True
        return False

    async def assigning(self) -> list[str]:
        """Ids of the people who may offer a task to others."""
        return [one.id for one in await self.everybody() if self._guard.verdict(one, "task.assign", _TASK).allowed]

    def _identity(self, profile: Profile) -> Identity:
        plain = msgspec.structs.replace(profile, roles=profile.roles - {OWNER})
        return identity_of(plain, self._guard.workspace)


def _is(identity: Identity, kind: str, name: str) -> bool:
    if kind == "person":
        return identity.id == name
    return name in (identity.groups if kind == "group" else identity.roles)
