"""People and groups as resources of SCIM, and pages of them.

Source: RFC 7643, section 3.1; RFC 7644, sections 3.4.2, 3.9 and 3.14.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from segue.service.observe import iso
from segue.service.scim.resources import version_of
from segue.service.scim.schemas import COUNT_MAX, GROUPS, LIST_URN, PREFIX, USERS, Kind
from segue.service.scim.teams import Teams
from segue.store.permission import IdentityRecord
from segue.store.provisioning import DirectoryGroup

Resource = dict[str, Any]


def user_resource(record: IdentityRecord, teams: Teams) -> Resource:
    """A person."""
    assert record.scim is not None, "only who is provisioned is shown"
    groups = [{"value": group.id, "display": group.kept.get("displayName", "")} for group in teams.of(record.id)]
    shown = {**record.scim.kept, "active": record.state == "active"}
    return _resource(
        USERS,
        record.id,
        {**shown, "groups": groups} if groups else shown,
        record.scim.created_at,
        record.scim.changed_at,
    )


def group_resource(group: DirectoryGroup, teams: Teams) -> Resource:
    """A group with its members."""
    members = [{"value": person, "display": _display(teams, person)} for person in group.members]
    shown = {**group.kept, "members": members} if members else group.kept
    return _resource(GROUPS, group.id, shown, group.created_at, group.changed_at)


def chosen(resource: Resource, attributes: Sequence[str], excluded: Sequence[str]) -> Resource:
    """Only these attributes, or all but those; a part of one stands for the whole. `id`, `schemas`, `meta` stay."""
    wanted, unwanted = ({name.partition(".")[0].lower() for name in names} for names in (attributes, excluded))
    always = {"id", "schemas", "meta"}
    return {
        name: value
        for name, value in resource.items()
        if name in always or ((not wanted or name.lower() in wanted) and name.lower() not in unwanted)
    }


def page_bounds(start: int | None, count: int | None) -> tuple[int, int]:
    """First place, from 1, and number of resources of a page; what is out of range is taken for the nearest."""
    return max(1, start or 1), COUNT_MAX if count is None else min(max(0, count), COUNT_MAX)


def list_response(resources: Iterable[Resource], *, total: int, start: int) -> Resource:
    """A page (RFC 7644, figure 3)."""
    items = list(resources)
    return {
        "schemas": [LIST_URN],
        "totalResults": total,
        "startIndex": start,
        "itemsPerPage": len(items),
        "Resources": items,
    }


def _resource(kind: Kind, name: str, shown: Resource, created_at: int, changed_at: int) -> Resource:
    resource: Resource = {"schemas": [kind.urn], "id": name, **shown}
    return {
        **resource,
        "meta": {
            "resourceType": kind.name,
            "created": iso(created_at),
            "lastModified": iso(changed_at),
            "location": f"{PREFIX}{kind.endpoint}/{name}",
            "version": version_of(resource),
        },
    }


def _display(teams: Teams, person: str) -> str:
    record = teams.roster.find("person", person)
    return person if record is None else record.display or person
