"""Routes of switches."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from segue.api.bodies import read_json
from segue.api.common import After, Asked, Limit
from segue.api.describe import json_answer, json_body, json_response, operation
from segue.service import NewSwitch, Page, SwitchView

router = APIRouter(tags=["switches"])
All = Annotated[bool, Query(description="Also what goes on again.")]


@router.get(
    "/switches",
    **operation(
        "listSwitches",
        "What is stopped",
        answers={200: json_answer(Page[SwitchView], "Newest first.")},
    ),
)
async def list_switches(service: Asked, all: All = False, limit: Limit = 50, after: After = None) -> Response:
    """With who and why."""
    return json_response(await service.switches.page(all=all, limit=limit, after=after))


@router.post(
    "/switches/stop",
    **operation(
        "stop",
        "Stop an agent, model, tool, connection, workflow or workspace",
        answers={200: json_answer(SwitchView, "It is stopped, and on disk.")},
        problems=("switch-thrown",),
        body=json_body(NewSwitch),
    ),
)
async def stop(request: Request, service: Asked) -> Response:
    """Also what is under way."""
    return json_response(await service.switches.stop(await read_json(request, NewSwitch)))


@router.post(
    "/switches/release",
    **operation(
        "release",
        "Let it go on",
        answers={200: json_answer(SwitchView, "It goes on.")},
        problems=("switch-unknown",),
        body=json_body(NewSwitch),
    ),
)
async def release(request: Request, service: Asked) -> Response:
    """What failed meanwhile stays failed."""
    return json_response(await service.switches.release(await read_json(request, NewSwitch)))
