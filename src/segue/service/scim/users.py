"""Use cases of SCIM users: people that a directory provisions.

They are people like any other, with two differences: what they may is what the mapping makes of their groups, and
whether they may come in is said there as well as here. Whoever was added here by hand is no resource: a directory
neither sees nor changes them.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from segue.service.access import UseCases, governed, of
from segue.service.directory import Directory
from segue.service.errors import ServiceError
from segue.service.identities import free_name
from segue.service.roster import now_ms, somebody
from segue.service.scim.filters import Filter, equalities, matches, named_in, parse_filter
from segue.service.scim.linking import find_earlier
from segue.service.scim.patches import patched
from segue.service.scim.refusals import taken, unknown
from segue.service.scim.resources import kept_of
from segue.service.scim.schemas import USERS
from segue.service.scim.showing import Resource, chosen, list_response, page_bounds, user_resource
from segue.service.scim.teams import Teams, is_managed
from segue.store.permission import IdentityRecord, Provisioned
from segue.store.provisioning import put_group

DEACTIVATED: Final = "the directory deactivated them"
REMOVED: Final = "the directory removed them"


class ScimUsers(UseCases):
    """People that a directory provisions into one data folder."""

    def __init__(self, teams: Teams, directory: Directory) -> None:
        self._teams = teams
        self._directory = directory
        self._roster = teams.roster

    @governed("identity.lookup", on=of("Identity"))
    async def get(self, name: str, *, attributes: Sequence[str] = (), excluded: Sequence[str] = ()) -> Resource:
        """One person.

        Raises:
            ServiceError: `scim-unknown`.
        """
        return chosen(user_resource(self._record(name), self._teams), attributes, excluded)

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
        """A page of people, oldest first.

        Args:
            start: Place of the first one, from 1.
            count: At most so many, up to `COUNT_MAX`.

        Raises:
            ServiceError: `scim-refused`: the filter cannot be used.
        """
        wanted = parse_filter(filter, USERS) if filter else None
        found = [record for record in self._candidates(wanted) if self._fits(record, wanted)]
        found.sort(key=lambda record: (record.created_at, record.id))
        first, size = page_bounds(start, count)
        shown = (user_resource(record, self._teams) for record in found[first - 1 : first - 1 + size])
        resources = [chosen(resource, attributes, excluded) for resource in shown]
        return list_response(resources, total=len(found), start=first)

    @governed("identity.provision")
    async def create(self, body: Any) -> Resource:
        """Add a person. Somebody who came in through the provider before, and whom it means, goes on as that person.

        Raises:
            ServiceError: `scim-refused`, or `scim-taken`: somebody has the `userName` or `externalId`.
        """
        kept = kept_of(body, USERS)
        active = kept.pop("active", True)
        async with self._roster.changing:
            self._require_free(kept)
            earlier = find_earlier(self._roster.all(), kept, self._teams.scim.link, self._teams.issuer)
            now = now_ms()
            others = self._roster.taken() | await self._directory.names()
            record = earlier or IdentityRecord(
                kind="person",
                id=free_name(kept["userName"], secrets.token_hex(16), others),
                workspace=self.guard.workspace,
                created_at=now,
                created_by=somebody(self.guard).name,
            )
            facts = Provisioned(kept={}, active=True, created_at=now, changed_at=now)
            told = msgspec.structs.replace(record, scim=facts)
            changed = await self._put(told, kept, active, "created" if earlier is None else "adopted")
        return user_resource(changed, self._teams)

    @governed("identity.provision", on=of("Identity"))
    async def replace(self, name: str, body: Any, *, if_match: str = "") -> Resource:
        """Say everything about a person anew; whether they are active stays where the body does not say.

        Raises:
            ServiceError: `scim-unknown`, `scim-changed`, `scim-refused` or `scim-taken`.
        """
        return await self._change(name, lambda kept: kept_of(body, USERS), if_match)

    @governed("identity.provision", on=of("Identity"))
    async def patch(self, name: str, body: Any, *, if_match: str = "") -> Resource:
        """Change parts of what is said about a person.

        Raises:
            ServiceError: `scim-unknown`, `scim-changed`, `scim-refused` or `scim-taken`.
        """
        return await self._change(name, lambda kept: patched(kept, body, USERS), if_match)

    @governed("identity.provision", on=of("Identity"))
    async def delete(self, name: str, *, if_match: str = "") -> None:
        """Remove a person: every session and token ends, and the name is never given again.

        Raises:
            ServiceError: `scim-unknown` or `scim-changed`.
        """
        async with self._roster.changing:
            record = self._record(name, if_match)
            assert record.scim is not None
            now = now_ms()
            left = [
                msgspec.structs.replace(
                    group, members=[person for person in group.members if person != name], changed_at=now
                )
                for group in self._teams.of(name)
            ]
            for group in left:
                self._teams.hold(group)
            # What the directory said of them goes; their name stays, because records hold it.
            facts = msgspec.structs.replace(record.scim, kept={}, active=False, gone=True, changed_at=now)
            changed = msgspec.structs.replace(
                record, scim=facts, state="removed", reason=REMOVED, roles=[], groups=[]
            )
            self._note(changed, "removed")
            await self._roster.put(changed, sign_out=True, more=[put_group(group) for group in left])

    async def _change(self, name: str, said: Callable[[dict[str, Any]], dict[str, Any]], if_match: str) -> Resource:
        async with self._roster.changing:
            record = self._record(name, if_match)
            assert record.scim is not None
            kept = said({**record.scim.kept, "active": record.scim.active})
            active = kept.pop("active", record.scim.active)
            self._require_free(kept, name)
            changed = await self._put(record, kept, active, "changed")
        return user_resource(changed, self._teams)

    async def _put(self, record: IdentityRecord, kept: dict[str, Any], active: bool, what: str) -> IdentityRecord:
        """Keep what the directory says now; a lock that an administrator set stays."""
        assert record.scim is not None
        facts = msgspec.structs.replace(record.scim, kept=kept, active=active)
        state, reason = record.state, record.reason
        if not active and state == "active":
            facts, state, reason = msgspec.structs.replace(facts, locked=True), "locked", DEACTIVATED
        elif active and state == "locked" and facts.locked:
            facts, state, reason = msgspec.structs.replace(facts, locked=False), "active", ""
        changed = self._teams.with_rights(
            msgspec.structs.replace(record, scim=facts, state=state, reason=reason, display=_display_of(kept))
        )
        if changed == record:
            return record
        changed = msgspec.structs.replace(changed, scim=msgspec.structs.replace(facts, changed_at=now_ms()))
        self._note(changed, what, record)
        await self._roster.put(changed, sign_out=state != "active")
        return changed

    def _note(self, changed: IdentityRecord, what: str, before: IdentityRecord | None = None) -> None:
        """Names of attributes, and not what they hold: the chain is never erased."""
        old = before.scim.kept if before is not None and before.scim is not None else {}
        new = changed.scim.kept if changed.scim is not None else {}
        data: dict[str, Any] = {
            "what": what,
            "state": changed.state,
            "roles": changed.roles,
            "groups": changed.groups,
        }
        data["attributes"] = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
        self._roster.store.note("identity.provision", f"identity:person/{changed.id}", data=data)

    def _record(self, name: str, if_match: str = "") -> IdentityRecord:
        record = self._roster.find("person", name)
        if record is None or not is_managed(record):
            raise unknown("user", name)
        if if_match:
            require_version(user_resource(record, self._teams), if_match)
        return record

    def _require_free(self, kept: dict[str, Any], name: str = "") -> None:
        """Nobody else has the name or the id that the directory knows them by."""
        user_name, external = kept["userName"].casefold(), kept.get("externalId")
        for record in self._roster.all():
            if record.id == name or record.scim is None or record.scim.gone:
                continue
            theirs = record.scim.kept
            if theirs.get("userName", "").casefold() != user_name and (
                not external or theirs.get("externalId") != external
            ):
                continue
            if record.state == "removed":
                raise taken("An administrator removed this person here; only one can let them in again.")
            raise taken(f"The userName or externalId is that of user {record.id!r}.")

    def _candidates(self, wanted: Filter | None) -> Iterable[IdentityRecord]:
        """Whom a filter can mean: directories ask for one person at a time, and that should cost little."""
        said = {} if wanted is None else equalities(wanted) or {}
        name = said.get("userName")
        name = name.casefold() if isinstance(name, str) else None
        for record in self._roster.all():
            if not is_managed(record):
                continue
            assert record.scim is not None
            if name is None or record.scim.kept["userName"].casefold() == name:
                yield record

    def _fits(self, record: IdentityRecord, wanted: Filter | None) -> bool:
        if wanted is None:
            return True
        if {"groups", "meta", "schemas"} & set(named_in(wanted)):
            return matches(wanted, user_resource(record, self._teams))
        assert record.scim is not None
        return matches(wanted, {**record.scim.kept, "id": record.id, "active": record.state == "active"})


def require_version(resource: Resource, if_match: str) -> None:
    """The client speaks of the resource as it is.

    Raises:
        ServiceError: `scim-changed`.
    """
    wanted = {tag.strip().removeprefix("W/") for tag in if_match.split(",")}
    if "*" not in wanted and resource["meta"]["version"].removeprefix("W/") not in wanted:
        raise ServiceError("scim-changed", f"{resource['id']!r} is not at the version that `If-Match` names.")


def _display_of(kept: dict[str, Any]) -> str:
    name = kept.get("name", {})
    parts = " ".join(filter(None, (name.get("givenName"), name.get("familyName"))))
    return str(kept.get("displayName") or name.get("formatted") or parts or kept["userName"])[:200]
