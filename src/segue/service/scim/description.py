"""Use cases that tell a client of SCIM what this service can do."""

from __future__ import annotations

from segue.service.access import UseCases, governed
from segue.service.scim.refusals import unknown
from segue.service.scim.schemas import resource_types, schemas, service_config
from segue.service.scim.showing import Resource, list_response


class ScimDescription(UseCases):
    """What can be provisioned into one data folder, and how.

    Args:
        body_bytes_max: Largest request body that the server reads.
    """

    def __init__(self, body_bytes_max: int) -> None:
        self._body_bytes_max = body_bytes_max

    @governed("identity.lookup")
    async def config(self) -> Resource:
        """What of the standard is there."""
        return service_config(self._body_bytes_max)

    @governed("identity.lookup")
    async def resource_types(self) -> Resource:
        """Types of resources."""
        found = resource_types()
        return list_response(found, total=len(found), start=1)

    @governed("identity.lookup")
    async def resource_type(self, name: str) -> Resource:
        """One of them.

        Raises:
            ServiceError: `scim-unknown`.
        """
        return _one(resource_types(), "resource type", name)

    @governed("identity.lookup")
    async def schemas(self) -> Resource:
        """Attributes of the types."""
        found = schemas()
        return list_response(found, total=len(found), start=1)

    @governed("identity.lookup")
    async def schema(self, urn: str) -> Resource:
        """Those of one type.

        Raises:
            ServiceError: `scim-unknown`.
        """
        return _one(schemas(), "schema", urn)


def _one(found: list[Resource], what: str, name: str) -> Resource:
    for resource in found:
        if resource["id"] == name:
            return resource
    raise unknown(what, name)
