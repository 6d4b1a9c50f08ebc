"""Groups of the directory in memory, who is in them, and what that gives each person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from segue.service.mapping import rights_of
from segue.service.roster import Roster
from segue.service.settings import OidcSettings, ScimSettings
from segue.store import Store
from segue.store.permission import IdentityRecord
from segue.store.provisioning import DirectoryGroup, list_groups


class Teams:
    """All groups that a directory told of.

    Args:
        oidc: Whose mapping decides; without it nobody gets anything.
    """

    def __init__(self, roster: Roster, oidc: OidcSettings | None, scim: ScimSettings) -> None:
        self.roster = roster
        self.scim = scim
        self.issuer = "" if oidc is None else oidc.issuer
        self._oidc = oidc
        self._known: dict[str, DirectoryGroup] = {}
        self._of: dict[str, set[str]] = {}

    async def load(self, store: Store) -> None:
        """Read them, and give everybody what the mapping says today: it may have changed since."""
        for group in await store.read(list_groups):
            self.hold(group)
        if self.scim.groups == "pushed":
            people = (record for record in self.roster.all() if is_managed(record))
            changed = [after for record in people if (after := self.with_rights(record)) != record]
            if changed:
                await self.roster.put(*changed)

    def find(self, group: str) -> DirectoryGroup | None:
        """The group with this id."""
        return self._known.get(group)

    def all(self) -> Iterator[DirectoryGroup]:
        """All groups, oldest first."""
        return iter(sorted(self._known.values(), key=lambda group: (group.created_at, group.id)))

    def of(self, person: str) -> list[DirectoryGroup]:
        """Groups of a person."""
        return sorted((self._known[group] for group in self._of.get(person, ())), key=lambda group: group.id)

    def hold(self, group: DirectoryGroup) -> None:
        """Let a group count; whoever calls writes it."""
        self.drop(group.id)
        self._known[group.id] = group
        for person in group.members:
            self._of.setdefault(person, set()).add(group.id)

    def drop(self, group: str) -> None:
        """Let a group count no longer."""
        known = self._known.pop(group, None)
        for person in known.members if known is not None else ():
            self._of[person].discard(group)

    def with_rights(self, record: IdentityRecord) -> IdentityRecord:
        """A person with the roles and groups that the mapping gives them now."""
        if self.scim.groups != "pushed":
            return record
        roles, groups = rights_of(self._oidc, set(_names(self.of(record.id))))
        if (roles, groups) == (record.roles, record.groups):
            return record
        return msgspec.structs.replace(record, roles=roles, groups=groups)

    def regrouped(self, people: Iterable[str]) -> list[IdentityRecord]:
        """Of these people, those whose rights change, as they are with them."""
        found = (self.roster.find("person", person) for person in people)
        known = (record for record in found if record is not None and is_managed(record))
        return [after for record in known if (after := self.with_rights(record)) is not record]


def is_managed(record: IdentityRecord) -> bool:
    """A directory tells of this person, and they have not been removed, there or here."""
    return record.scim is not None and record.state != "removed"


def _names(groups: Iterable[DirectoryGroup]) -> Iterator[Any]:
    """What a mapping may know a group by: its name, or its id in the directory."""
    for group in groups:
        yield group.kept.get("displayName")
        yield group.kept.get("externalId")
