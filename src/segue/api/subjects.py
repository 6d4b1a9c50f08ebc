"""Routes of keys and data subjects."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from segue.api.bodies import read_json
from segue.api.common import After, Asked, Limit
from segue.api.describe import json_answer, json_body, json_response, operation
from segue.service import (
    AuditView,
    Erased,
    KeyInfo,
    KeysRewritten,
    KeysRotated,
    NewErasure,
    NewHold,
    NewRewrite,
    Page,
    SubjectExport,
    TimelineEntry,
    Trace,
)

router = APIRouter(tags=["privacy"])
Subject = Annotated[str, Query(description="Whom or what runs say they are about.", min_length=1, max_length=500)]


@router.get(
    "/keys",
    **operation(
        "listKeys",
        "List data keys",
        answers={200: json_answer(Page[KeyInfo], "When each was made and destroyed; never what it is.")},
        problems=("keys-refused",),
    ),
)
async def list_keys(service: Asked) -> Response:
    """Oldest first."""
    return json_response(await service.keys.list())


@router.post(
    "/keys/rotate",
    **operation(
        "rotateKeys",
        "Give what is written from now on a new key",
        answers={200: json_answer(KeysRotated, "It has one.")},
        problems=("keys-refused",),
    ),
)
async def rotate_keys(service: Asked) -> Response:
    """What is there stays readable. The key-encryption key is rotated on the command line."""
    return json_response(await service.keys.rotate())


@router.post(
    "/keys/rewrite",
    **operation(
        "rewriteKeys",
        "Seal with the newest key what older ones sealed",
        answers={200: json_answer(KeysRewritten, "What was done within the time.")},
        problems=("keys-refused",),
        body=json_body(NewRewrite),
    ),
)
async def rewrite_keys(request: Request, service: Asked) -> Response:
    """Call it again until `complete`."""
    return json_response(await service.keys.rewrite(await read_json(request, NewRewrite)))


@router.get(
    "/subjects/export",
    **operation(
        "exportSubject",
        "Everything held about one data subject",
        answers={
            200: json_answer(
                SubjectExport, "Runs with all that belongs to them, events, labels, records, and the user."
            )
        },
        problems=("subject-unknown", "identity-unknown", "request-malformed"),
    ),
)
async def export_subject(
    service: Asked,
    subject: Annotated[
        str | None, Query(description="Whom or what runs say they are about.", min_length=1, max_length=500)
    ] = None,
    person: Annotated[
        str | None, Query(description="Also what this person is, did and was told as a user.", max_length=128)
    ] = None,
) -> Response:
    """The name is no part of the path, so that it does not end in access logs of paths."""
    return json_response(await service.subjects.export(subject, person=person))


@router.post(
    "/subjects/erase",
    **operation(
        "eraseSubject",
        "Erase a data subject",
        answers={200: json_answer(Erased, "What was erased, or would be.")},
        problems=(
            "subject-unknown",
            "choice-refused",
            "keys-refused",
            "run-open",
        ),
        body=json_body(NewErasure),
    ),
)
async def erase_subject(request: Request, service: Asked) -> Response:
    """Destroys its keys; counts only, unless told otherwise."""
    return json_response(await service.subjects.erase(await read_json(request, NewErasure)))


@router.post(
    "/subjects/hold",
    **operation(
        "holdSubject",
        "Put a legal hold on a data subject, or lift it",
        answers={204: {"description": "Done."}},
        problems=("subject-unknown", "choice-refused", "keys-refused"),
        body=json_body(NewHold),
    ),
)
async def hold_subject(request: Request, service: Asked) -> Response:
    """Neither erasure nor retention touches it meanwhile."""
    await service.subjects.hold(await read_json(request, NewHold))
    return Response(status_code=204)


@router.get(
    "/timeline",
    **operation(
        "getTimeline",
        "Everything about one subject, over all workflows",
        answers={200: json_answer(Page[TimelineEntry], "Oldest first, within a page of runs.")},
        problems=("subject-unknown",),
    ),
)
async def get_timeline(service: Asked, subject: Subject, limit: Limit = 20, after: After = None) -> Response:
    """`limit` counts runs, newest first; `next` leads to older ones."""
    return json_response(await service.timeline.about(subject, limit=limit, after=after))


@router.get(
    "/effects/{effect}/trace",
    **operation(
        "traceEffect",
        "From an effect back to its origin",
        answers={200: json_answer(Trace, "Each link, and what allowed it.")},
        problems=("effect-unknown",),
    ),
)
async def trace_effect(
    effect: Annotated[str, Path(description="Key of the act.", min_length=1, max_length=500)], service: Asked
) -> Response:
    """To the person, schedule or event that it goes back to."""
    return json_response(await service.timeline.trace(effect))


@router.get(
    "/changes",
    **operation(
        "listChanges",
        "What changed how the installation behaves",
        answers={200: json_answer(Page[AuditView], "Newest first.")},
    ),
)
async def list_changes(service: Asked, limit: Limit = 50, after: After = None) -> Response:
    """Definitions, connections, settings, policies, people, switches and keys."""
    return json_response(await service.timeline.changes(limit=limit, after=after))
