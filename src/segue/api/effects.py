"""Routes of the effect ledger."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from segue.api.common import After, Asked, Limit, Moment
from segue.api.describe import json_answer, json_response, operation
from segue.service import EffectStateName, EffectView, Page

router = APIRouter(tags=["effects"])


@router.get(
    "/effects",
    **operation(
        "listEffects",
        "List acts that must not simply be repeated, newest first",
        answers={200: json_answer(Page[EffectView], "A page of attempts.")},
        problems=("run-unknown",),
    ),
)
async def list_effects(
    service: Asked,
    limit: Limit = 50,
    after: After = None,
    run: Annotated[str | None, Query(description="Only of this run.", max_length=200)] = None,
    handler: Annotated[str | None, Query(description="Only by this handler.", max_length=100)] = None,
    connection: Annotated[str | None, Query(description="Only through this connection.", max_length=200)] = None,
    state: Annotated[EffectStateName | None, Query(description="Only in this state.")] = None,
    since: Annotated[Moment | None, Query(description="Only begun at this time or later.")] = None,
) -> Response:
    """All filters must hold."""
    page = await service.effects.page(
        run=run, handler=handler, connection=connection, state=state, since=since, limit=limit, after=after
    )
    return json_response(page)


@router.get(
    "/effects/{effect}",
    **operation(
        "getEffect",
        "Read all attempts at one act",
        answers={200: json_answer(list[EffectView], "Oldest first, with what the system answered.")},
        problems=("effect-unknown",),
    ),
)
async def get_effect(
    effect: Annotated[str, Path(description="Key of the act.", min_length=1, max_length=500)], service: Asked
) -> Response:
    """They share the key, which the system gets as well where it takes one."""
    return json_response(await service.effects.get(effect))
