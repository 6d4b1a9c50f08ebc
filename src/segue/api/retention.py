"""Routes of retention."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from segue.api.bodies import read_json
from segue.api.common import Asked
from segue.api.describe import json_answer, json_body, json_response, operation
from segue.service import NewPurge, PurgeView, RetentionView

router = APIRouter(tags=["retention"])


@router.get(
    "/retention",
    **operation(
        "getRetention",
        "How long what is kept",
        answers={200: json_answer(RetentionView, "The rules, what is due, and the space in use.")},
    ),
)
async def get_retention(service: Asked) -> Response:
    """Counts what is due, so it takes longer the more there is."""
    return json_response(await service.retention.show())


@router.post(
    "/retention/run",
    **operation(
        "runRetention",
        "Remove what is due",
        answers={200: json_answer(PurgeView, "What was removed, or would be.")},
        body=json_body(NewPurge),
    ),
)
async def run_retention(request: Request, service: Asked) -> Response:
    """In short batches beside the work; stops after half a minute, and says whether more is due."""
    return json_response(await service.retention.run(await read_json(request, NewPurge)))
