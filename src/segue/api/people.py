"""Routes of people: how they are reached, who stands in for them, what they were told."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from segue.api.bodies import read_json
from segue.api.common import After, Asked, Limit
from segue.api.describe import json_answer, json_response, operation
from segue.service import NoticeView, Page, Profile

router = APIRouter(tags=["people"])

Person = Annotated[str, Path(description="Id of the person.", min_length=1, max_length=200)]
_BODY = {"application/json": {"schema": {"type": "object", "description": "A profile without its id."}}}
_READS = ("choice-refused",)


@router.get(
    "/people",
    **operation("listPeople", "List profiles", answers={200: json_answer(list[Profile], "Everybody, by id.")}),
)
async def list_people(service: Asked) -> Response:
    """Roles, groups and limits as tasks are routed by them."""
    return json_response(await service.profiles.list())


@router.post(
    "/people/{person}",
    **operation(
        "putPerson",
        "Say how somebody is reached and which tasks reach them",
        answers={200: json_answer(Profile, "The profile.")},
        problems=_READS,
        body=_BODY,
    ),
)
async def put_person(person: Person, request: Request, service: Asked) -> Response:
    """In place of what was said before."""
    said = await read_json(request, dict[str, Any])
    return json_response(await service.profiles.put(person, said))


@router.delete(
    "/people/{person}",
    **operation(
        "removePerson",
        "Forget how somebody is reached",
        answers={204: {"description": "Forgotten."}},
        problems=("profile-unknown",),
    ),
)
async def remove_person(person: Person, service: Asked) -> Response:
    """Their one-time codes are worth nothing then."""
    await service.profiles.remove(person)
    return Response(status_code=204)


@router.post(
    "/me/profile",
    **operation(
        "putOwnProfile",
        "Say how one is reached, and when one is away",
        answers={200: json_answer(Profile, "The profile.")},
        problems=_READS,
        body=_BODY,
    ),
)
async def put_own(request: Request, service: Asked) -> Response:
    """What is not named stays. Roles, groups, limits and the manager are for others to say."""
    return json_response(await service.profiles.put_own(await read_json(request, dict[str, Any])))


@router.get(
    "/me/notices",
    **operation(
        "listNotices",
        "What one was told, newest first",
        answers={200: json_answer(Page[NoticeView], "A page of notices.")},
    ),
)
async def list_notices(service: Asked, limit: Limit = 50, after: After = None) -> Response:
    """In the app; what went out by mail or chat stands on the task's page."""
    return json_response(await service.profiles.notices(limit=limit, after=after))


@router.post(
    "/me/notices/{notice}/read",
    **operation("readNotice", "Note that one has seen a notice", answers={204: {"description": "Noted."}}),
)
async def read_notice(
    notice: Annotated[int, Path(description="Number of the notice.", ge=1, le=2**53)], service: Asked
) -> Response:
    """And all before it."""
    await service.profiles.read(notice)
    return Response(status_code=204)
