"""Everybody's profile, kept in memory: routing, authority and notices look at all of them.

Roles, groups and limits of somebody who can sign in are those of their account, whatever a profile says; who is
barred has no profile here. A profile alone is somebody who decides by mail.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from segue.people import Profile
from segue.service.standing import of_profile
from segue.store import Store, notices
from segue.store.records import Sql
from segue.types import Identity


def now_ms() -> int:
    """The clock of this machine, where no host has one."""
    return time.time_ns() // 1_000_000


class Directory:
    """The profiles of one data folder.

    Args:
        now_ms: The clock of the house, in milliseconds since the epoch.
        accounts: People who can sign in, by id; None for those who may not act.
    """

    def __init__(
        self,
        store: Store,
        now_ms: Callable[[], int],
        accounts: Callable[[], Mapping[str, Identity | None]] = dict,
    ) -> None:
        self.now_ms = now_ms
        self._accounts = accounts
        self._store = store
        self._known: dict[str, Profile] | None = None

    async def all(self) -> Mapping[str, Profile]:
        """Everybody who may act, by id."""
        everybody = dict(await self._profiles())
        for name, identity in self._accounts().items():
            if identity is None:
                everybody.pop(name, None)
                continue
            known = everybody.get(name) or Profile(id=name, name=identity.display)
            everybody[name] = msgspec.structs.replace(
                known, roles=identity.roles, groups=identity.groups, limits=identity.limits
            )
        return everybody

    async def _profiles(self) -> Mapping[str, Profile]:
        if self._known is None:
            rows = await self._store.read(notices.profiles)
            self._known = {row["id"]: msgspec.convert(row, Profile) for row in rows}
        return self._known

    async def names(self) -> set[str]:
        """Names that somebody has who is reached by mail or chat; whoever is new here is somebody else."""
        return set(await self._profiles())

    async def kept(self, name: str) -> Profile | None:
        """What was kept of somebody, whether or not they may act."""
        return (await self._profiles()).get(name)

    async def has_address(self, name: str) -> bool:
        """Mail for somebody of this name goes somewhere."""
        known = await self.kept(name)
        return known is not None and bool(known.email)

    async def keep(self, profile: Profile, *more: Sql) -> Profile:
        """Keep a profile, over an older one of the same person; `more` belongs into the same transaction."""
        known = await self._profiles()
        data = _stored(profile)
        kept = notices.put_profile(profile.id, data, self.now_ms())
        self._tell(known.get(profile.id), profile)
        await self._store.write([kept, *more])
        self._known = {**known, profile.id: profile}
        return profile

    async def forget(self, name: str) -> bool:
        """Forget somebody; False when nobody was known by this name."""
        known = await self._profiles()
        if name in known:
            self._tell(known[name], None)
        await self._store.write([notices.delete_profile(name)])
        self._known = {other: profile for other, profile in known.items() if other != name}
        return name in known

    def _tell(self, before: Profile | None, after: Profile | None) -> None:
        """Let the audit chain say what is changed."""
        change = of_profile(None if before is None else _stored(before), None if after is None else _stored(after))
        named = after or before
        if change is not None and named is not None:
            self._store.note("profile.put", f"profile:{named.id}", data=change.facts)


def _stored(profile: Profile) -> dict[str, Any]:
    """As it is kept: sets in an order, so that equal ones look equal."""
    found: dict[str, Any] = msgspec.to_builtins(profile, order="deterministic")
    return found


def identity_of(profile: Profile, workspace: str) -> Identity:
    """Somebody as their profile knows them: whom a code speaks for, or who is told something."""
    return Identity(
        kind="person",
        id=profile.id,
        display=profile.name,
        roles=profile.roles,
        groups=profile.groups,
        limits=profile.limits,
        workspace=workspace,
    )
