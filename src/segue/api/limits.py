"""Route of operational limits."""

from __future__ import annotations

from fastapi import APIRouter, Response

from segue.api.common import Asked
from segue.api.describe import json_answer, json_response, operation
from segue.service import ActLimitView

router = APIRouter(tags=["limits"])


@router.get(
    "/limits",
    **operation(
        "listLimits",
        "How much of each limit on acts is used",
        answers={200: json_answer(list[ActLimitView], "In the order of the settings.")},
    ),
)
async def list_limits(service: Asked) -> Response:
    """In the last hour, and the last 24."""
    return json_response(await service.limits.all())
