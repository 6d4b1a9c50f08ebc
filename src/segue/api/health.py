"""Routes for whoever watches the process. They need no token and tell nothing worth one."""

from __future__ import annotations

from fastapi import APIRouter, Response

from segue.api.common import Asked
from segue.api.describe import json_answer, json_response, operation
from segue.service import Health

router = APIRouter(tags=["health"])


@router.get(
    "/health",
    **operation("getHealth", "Is the process alive", answers={200: json_answer(Health, "It is.")}),
)
async def get_health(service: Asked) -> Response:
    """Answers as long as the event loop turns."""
    return json_response(service.health())


@router.get(
    "/ready",
    **operation(
        "getReady", "Can the server work", answers={200: json_answer(Health, "It can.")}, problems=("not-ready",)
    ),
)
async def get_ready(service: Asked) -> Response:
    """Asks the store."""
    return json_response(await service.ready())
