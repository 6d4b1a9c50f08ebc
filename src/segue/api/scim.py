"""Routes of SCIM 2.0: what a company's directory asks and says about people and groups.

Bodies come as `application/scim+json` or plain JSON, whatever a directory sends; answers and refusals are
`application/scim+json`.

Source: RFC 7644, sections 3 and 4.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.routing import APIRoute

from segue.api.bodies import SCIM, decode, require_media
from segue.api.common import Asked, root_of
from segue.api.describe import operation, schema_of
from segue.api.problems import SCIM_TYPE
from segue.service import FILTER_MAX, ServiceError


class _Placed(APIRoute):
    """Says where resources are with the address that their workspace has on this server."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers a request."""
        handle = super().get_route_handler()

        async def answered(request: Request) -> Response:
            response = await handle(request)
            root = root_of(request.scope)
            if not root or not response.body:
                return response
            found = msgspec.json.decode(response.body)
            for resource in (found, *found.get("Resources", ())):
                if "location" in resource.get("meta", ()):
                    resource["meta"]["location"] = root + resource["meta"]["location"]
            headers = {name: value for name, value in response.headers.items() if name != "content-length"}
            return Response(msgspec.json.encode(found), status_code=response.status_code, headers=headers)

        return answered


router = APIRouter(tags=["scim"], route_class=_Placed)
_CONFIG: Final = "/ServiceProviderConfig"


class ScimError(msgspec.Struct, rename={"scim_type": "scimType"}, omit_defaults=True):
    """A refusal (RFC 7644, section 3.12)."""

    schemas: list[str]
    status: str
    detail: str
    scim_type: str = ""


class ScimResource(msgspec.Struct):
    """A person, a group, or what describes the service; further attributes are those of `/Schemas`."""

    schemas: list[str]


class ScimList(msgspec.Struct, rename={"total_results": "totalResults", "resources": "Resources"}):
    """A page of resources (RFC 7644, section 3.4.2)."""

    schemas: list[str]
    total_results: int
    resources: list[ScimResource]


class ScimBody(msgspec.Struct):
    """A resource, or operations of a PATCH."""


_Name = Annotated[str, Path(alias="resource", description="Its `id`.", min_length=1, max_length=100)]
_Urn = Annotated[str, Path(alias="schema", description="Its URN.", min_length=1, max_length=200)]
_Type = Annotated[str, Path(alias="type", description="`User` or `Group`.", min_length=1, max_length=100)]
_Filter = Annotated[str, Query(max_length=FILTER_MAX, description='Such as `userName eq "ann@example.com"`.')]
_Start = Annotated[int | None, Query(alias="startIndex", description="Place of the first one, from 1.")]
_Count = Annotated[int | None, Query(description="At most so many; 200 where more are asked for.")]
_Only = Annotated[str, Query(max_length=FILTER_MAX, description="Only these attributes, with commas.")]
_Without = Annotated[
    str, Query(alias="excludedAttributes", max_length=FILTER_MAX, description="All but these, with commas.")
]
_IfMatch = Annotated[str, Header(alias="If-Match", max_length=1000, description="The version that is meant.")]
_IfNone = Annotated[str, Header(alias="If-None-Match", max_length=1000, description="Versions known already.")]
_BODY: Final = {media: {"schema": schema_of(ScimBody)} for media in SCIM}
_WRONG: Final = ("scim-refused", "scim-taken")


def _operation(operation_id: str, summary: str, status: int, shape: Any, *problems: str, body: bool = False) -> Any:
    content = {} if shape is None else {"content": {SCIM_TYPE: {"schema": schema_of(shape)}}}
    answers: dict[int, dict[str, Any]] = {status: {"description": summary + ".", **content}}
    if operation_id.startswith("scimGet"):
        answers[304] = {"description": "It is the version that `If-None-Match` names."}
    return operation(
        operation_id,
        summary,
        answers=answers,
        problems=(*problems, *(_WRONG if body else ())),
        body=_BODY if body else None,
        refusal={SCIM_TYPE: {"schema": schema_of(ScimError)}},
    )


@router.get(_CONFIG, **_operation("scimConfig", "What of SCIM there is", 200, ScimResource))
async def config(service: Asked, filter: _Filter = "") -> Response:
    """Filters of up to a length, PATCH, entity tags; no bulk, no sorting, no passwords."""
    _refuse_filter(filter)
    return _answer(await service.scim.config())


@router.get("/ResourceTypes", **_operation("scimResourceTypes", "Types of resources", 200, ScimList))
async def resource_types(service: Asked, filter: _Filter = "") -> Response:
    """People and groups."""
    _refuse_filter(filter)
    return _answer(await service.scim.resource_types())


@router.get("/ResourceTypes/{type}", **_operation("scimResourceType", "One type", 200, ScimResource, "scim-unknown"))
async def resource_type(type_: _Type, service: Asked) -> Response:
    """Where it is and which schema it has."""
    return _answer(await service.scim.resource_type(type_))


@router.get("/Schemas", **_operation("scimSchemas", "Attributes of the types", 200, ScimList))
async def schemas(service: Asked, filter: _Filter = "") -> Response:
    """Those that are kept; others are taken and dropped."""
    _refuse_filter(filter)
    return _answer(await service.scim.schemas())


@router.get("/Schemas/{schema}", **_operation("scimSchema", "One schema", 200, ScimResource, "scim-unknown"))
async def schema(urn: _Urn, service: Asked) -> Response:
    """By its URN."""
    return _answer(await service.scim.schema(urn))


@router.get(
    "/Users", **_operation("scimUsers", "People whom the directory provisioned", 200, ScimList, "scim-refused")
)
async def users(
    service: Asked,
    filter: _Filter = "",
    start: _Start = None,
    count: _Count = None,
    attributes: _Only = "",
    excluded: _Without = "",
) -> Response:
    """Oldest first. Whoever was added here by hand is none of them."""
    return _answer(
        await service.scim_users.page(
            filter=filter, start=start, count=count, attributes=_names(attributes), excluded=_names(excluded)
        )
    )


@router.post("/Users", **_operation("scimAddUser", "Add a person", 201, ScimResource, body=True))
async def add_user(request: Request, service: Asked) -> Response:
    """They sign in through the provider; a password is taken and dropped."""
    return _answer(await service.scim_users.create(await _body(request)), 201)


@router.get("/Users/{resource}", **_operation("scimGetUser", "Read a person", 200, ScimResource, "scim-unknown"))
async def user(
    name: _Name, service: Asked, attributes: _Only = "", excluded: _Without = "", known: _IfNone = ""
) -> Response:
    """With the groups that they are in."""
    found = await service.scim_users.get(name, attributes=_names(attributes), excluded=_names(excluded))
    return _answer_unless_known(found, known)


@router.put(
    "/Users/{resource}",
    **_operation(
        "scimReplaceUser",
        "Say everything about a person anew",
        200,
        ScimResource,
        "scim-unknown",
        "scim-changed",
        body=True,
    ),
)
async def replace_user(name: _Name, request: Request, service: Asked, if_match: _IfMatch = "") -> Response:
    """`active` stays where the body does not say it."""
    return _answer(await service.scim_users.replace(name, await _body(request), if_match=if_match))


@router.patch(
    "/Users/{resource}",
    **_operation(
        "scimPatchUser", "Change parts of a person", 200, ScimResource, "scim-unknown", "scim-changed", body=True
    ),
)
async def patch_user(name: _Name, request: Request, service: Asked, if_match: _IfMatch = "") -> Response:
    """All operations count, or none."""
    return _answer(await service.scim_users.patch(name, await _body(request), if_match=if_match))


@router.delete(
    "/Users/{resource}",
    **_operation("scimRemoveUser", "Remove a person", 204, None, "scim-unknown", "scim-changed"),
)
async def remove_user(name: _Name, service: Asked, if_match: _IfMatch = "") -> Response:
    """At once; the id is never given again."""
    await service.scim_users.delete(name, if_match=if_match)
    return Response(status_code=204)


@router.get("/Groups", **_operation("scimGroups", "Groups of the directory", 200, ScimList, "scim-refused"))
async def groups(
    service: Asked,
    filter: _Filter = "",
    start: _Start = None,
    count: _Count = None,
    attributes: _Only = "",
    excluded: _Without = "",
) -> Response:
    """Oldest first; `excludedAttributes=members` leaves out what makes them large."""
    return _answer(
        await service.scim_groups.page(
            filter=filter, start=start, count=count, attributes=_names(attributes), excluded=_names(excluded)
        )
    )


@router.post("/Groups", **_operation("scimAddGroup", "Add a group", 201, ScimResource, body=True))
async def add_group(request: Request, service: Asked) -> Response:
    """What it is worth here, the mapping of the settings says."""
    return _answer(await service.scim_groups.create(await _body(request)), 201)


@router.get("/Groups/{resource}", **_operation("scimGetGroup", "Read a group", 200, ScimResource, "scim-unknown"))
async def group(
    name: _Name, service: Asked, attributes: _Only = "", excluded: _Without = "", known: _IfNone = ""
) -> Response:
    """With its members."""
    found = await service.scim_groups.get(name, attributes=_names(attributes), excluded=_names(excluded))
    return _answer_unless_known(found, known)


@router.put(
    "/Groups/{resource}",
    **_operation(
        "scimReplaceGroup",
        "Say everything about a group anew",
        200,
        ScimResource,
        "scim-unknown",
        "scim-changed",
        body=True,
    ),
)
async def replace_group(name: _Name, request: Request, service: Asked, if_match: _IfMatch = "") -> Response:
    """Members that are not named leave it."""
    return _answer(await service.scim_groups.replace(name, await _body(request), if_match=if_match))


@router.patch(
    "/Groups/{resource}",
    **_operation(
        "scimPatchGroup", "Change parts of a group", 200, ScimResource, "scim-unknown", "scim-changed", body=True
    ),
)
async def patch_group(name: _Name, request: Request, service: Asked, if_match: _IfMatch = "") -> Response:
    """All operations count, or none, for all members."""
    return _answer(await service.scim_groups.patch(name, await _body(request), if_match=if_match))


@router.delete(
    "/Groups/{resource}",
    **_operation("scimRemoveGroup", "Remove a group", 204, None, "scim-unknown", "scim-changed"),
)
async def remove_group(name: _Name, service: Asked, if_match: _IfMatch = "") -> Response:
    """Its members lose what it gave them."""
    await service.scim_groups.delete(name, if_match=if_match)
    return Response(status_code=204)


async def _body(request: Request) -> Any:
    require_media(request, *SCIM)
    return decode(await request.body())


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _refuse_filter(text: str) -> None:
    # RFC 7644, section 4: who filters here takes these for lists of people.
    if text:
        raise ServiceError("permission-denied", "What describes the service cannot be filtered.", remedy="Read all.")


def _answer(resource: dict[str, Any], status: int = 200) -> Response:
    meta = resource.get("meta", {})
    headers = {}
    if "version" in meta:
        headers = {"ETag": meta["version"]}
        headers["Location" if status == 201 else "Content-Location"] = meta["location"]
    return Response(msgspec.json.encode(resource), status_code=status, media_type=SCIM_TYPE, headers=headers)


def _answer_unless_known(resource: dict[str, Any], known: str) -> Response:
    version = resource["meta"]["version"]
    if version in (tag.strip() for tag in known.split(",")):
        return Response(status_code=304, headers={"ETag": version})
    return _answer(resource)
