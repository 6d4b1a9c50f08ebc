"""Use cases of SCIM groups: who belongs to what in the directory.

A group gives nothing by itself: the mapping of the settings says which roles and groups here its members get. A
change of a group and of what all its members may is one transaction.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from segue.service.access import UseCases, governed, of
from segue.service.roster import now_ms
from segue.service.scim.filters import Filter, matches, named_in, parse_filter
from segue.service.scim.patches import patched
from segue.service.scim.refusals import ScimRefusal, taken, unknown
from segue.service.scim.resources import kept_of
from segue.service.scim.schemas import GROUPS
from segue.service.scim.showing import Resource, chosen, group_resource, list_response, page_bounds
from segue.service.scim.teams import Teams, is_managed
from segue.service.scim.users import require_version
from segue.store.provisioning import DirectoryGroup, delete_group, put_group

_NAMED_MAX: Final = 50
"""People that a record of the audit names; the number tells of the rest."""


class ScimGroups(UseCases):
    """Groups that a directory tells one data folder of."""

    def __init__(self, teams: Teams) -> None:
        self._teams = teams
        self._roster = teams.roster

    @governed("identity.lookup", on=of("Identity"))
    async def get(self, group: str, *, attributes: Sequence[str] = (), excluded: Sequence[str] = ()) -> Resource:
        """One group with its members.

        Raises:
            ServiceError: `scim-unknown`.
        """
        return chosen(group_resource(self._group(group), self._teams), attributes, excluded)

    @governed("identity.lookup")
    async def page(
        self,
        *,
        filter: str = "",
        start: int | None = None,
        count: int | None = None,
        attributes: Sequence[str] = (),
        excluded: Sequence[str] = (),
    ) -> Resource:
        """A page of groups, oldest first; see `ScimUsers.page`.

        Raises:
            ServiceError: `scim-refused`.
        """
        wanted = parse_filter(filter, GROUPS) if filter else None
        found = [group for group in self._teams.all() if self._fits(group, wanted)]
        first, size = page_bounds(start, count)
        shown = (group_resource(group, self._teams) for group in found[first - 1 : first - 1 + size])
        resources = [chosen(resource, attributes, excluded) for resource in shown]
        return list_response(resources, total=len(found), start=first)

    @governed("identity.provision")
    async def create(self, body: Any) -> Resource:
        """Add a group.

        Raises:
            ServiceError: `scim-refused`, or `scim-taken`: there is a group of this name.
        """
        said = kept_of(body, GROUPS)
        async with self._roster.changing:
            now = now_ms()
            group = DirectoryGroup(id=secrets.token_hex(16), created_at=now, changed_at=now)
            return await self._put(group, said, "created")

    @governed("identity.provision", on=of("Identity"))
    async def replace(self, group: str, body: Any, *, if_match: str = "") -> Resource:
        """Say everything about a group anew.

        Raises:
            ServiceError: `scim-unknown`, `scim-changed`, `scim-refused` or `scim-taken`.
        """
        return await self._change(group, lambda kept: kept_of(body, GROUPS), if_match)

    @governed("identity.provision", on=of("Identity"))
    async def patch(self, group: str, body: Any, *, if_match: str = "") -> Resource:
        """Change parts of a group, such as single members.

        Raises:
            ServiceError: `scim-unknown`, `scim-changed`, `scim-refused` or `scim-taken`.
        """
        return await self._change(group, lambda kept: patched(kept, body, GROUPS), if_match)

    @governed("identity.provision", on=of("Identity"))
    async def delete(self, group: str, *, if_match: str = "") -> None:
        """Remove a group; its members lose what it gave them.

        Raises:
            ServiceError: `scim-unknown` or `scim-changed`.
        """
        async with self._roster.changing:
            known = self._group(group, if_match)
            self._teams.drop(group)
            self._note(known, "removed", (), known.members)
            await self._roster.put(*self._teams.regrouped(known.members), more=[delete_group(group)])

    async def _change(self, name: str, said: Callable[[dict[str, Any]], dict[str, Any]], if_match: str) -> Resource:
        async with self._roster.changing:
            group = self._group(name, if_match)
            members = [{"value": person} for person in group.members]
            # A thousand operations on ten thousand members take seconds, in which nobody else would be answered.
            # Whoever else changes a group or a person waits for the lock.
            told = await asyncio.to_thread(said, {**group.kept, "members": members})
            return await self._put(group, told, "changed")

    async def _put(self, group: DirectoryGroup, said: dict[str, Any], what: str) -> Resource:
        members = list(dict.fromkeys(item["value"] for item in said.pop("members", ())))
        self._require_fit(group, said, members)
        if what == "changed" and (said, members) == (group.kept, group.members):
            return group_resource(group, self._teams)
        changed = msgspec.structs.replace(group, kept=said, members=members, changed_at=now_ms())
        self._teams.hold(changed)
        before, after = set(group.members), set(members)
        # A renamed group can mean something else to the mapping, for all of them.
        people = self._teams.regrouped(before | after)
        self._note(changed, what, after - before, before - after)
        await self._roster.put(*people, more=[put_group(changed)])
        return group_resource(changed, self._teams)

    def _require_fit(self, group: DirectoryGroup, said: dict[str, Any], members: list[str]) -> None:
        name = said["displayName"].casefold()
        if any(other.id != group.id and other.kept["displayName"].casefold() == name for other in self._teams.all()):
            raise taken(f"There is a group {said['displayName']!r} already.")
        known = set(group.members)
        for person in members:
            if person not in known:
                record = self._roster.find("person", person)
                if record is None or not is_managed(record):
                    raise ScimRefusal("invalidValue", f"There is no user {person[:80]!r} to be a member.")

    def _note(self, group: DirectoryGroup, what: str, added: Iterable[str], removed: Iterable[str]) -> None:
        new, gone = sorted(added), sorted(removed)
        data = {"what": what, "name": group.kept.get("displayName", ""), "members": len(group.members)}
        counts = {"added": len(new), "removed": len(gone)}
        named = {"who_added": new[:_NAMED_MAX], "who_removed": gone[:_NAMED_MAX]}
        self._roster.store.note("identity.provision", f"identity:group/{group.id}", data={**data, **counts, **named})

    def _group(self, name: str, if_match: str = "") -> DirectoryGroup:
        group = self._teams.find(name)
        if group is None:
            raise unknown("group", name)
        if if_match:
            require_version(group_resource(group, self._teams), if_match)
        return group

    def _fits(self, group: DirectoryGroup, wanted: Filter | None) -> bool:
        if wanted is None:
            return True
        if {"meta", "schemas"} & set(named_in(wanted)):
            return matches(wanted, group_resource(group, self._teams))
        members = [{"value": person} for person in group.members]
        return matches(wanted, {**group.kept, "id": group.id, "members": members})
