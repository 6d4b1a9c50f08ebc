"""Routes of everything that waits: for whoever asks, and for anybody."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from segue.api.common import After, Asked, Limit
from segue.api.describe import json_answer, json_response, operation
from segue.service import Page, WaitingKind, WaitingView, WishKind, WishView

router = APIRouter(tags=["waiting"])


@router.get(
    "/waiting",
    **operation(
        "listWaiting",
        "What waits for whoever asks, the most urgent first",
        answers={200: json_answer(Page[WaitingView], "A page of what one can decide.")},
    ),
)
async def list_waiting(
    service: Asked,
    limit: Limit = 50,
    after: After = None,
    kind: Annotated[WaitingKind | None, Query(description="Only of this kind.")] = None,
    overdue: Annotated[bool, Query(description="Only what is late.")] = False,
) -> Response:
    """Tasks, approvals of acts, publications, changes of values, consents, and exceptions that are theirs."""
    return json_response(await service.waiting.page(kind=kind, overdue=overdue, limit=limit, after=after))


@router.get(
    "/wishes",
    **operation(
        "listWishes",
        "What somebody wants and others decide about, the oldest first",
        answers={200: json_answer(Page[WishView], "With whom it waits for, and its clock.")},
    ),
)
async def list_wishes(
    service: Asked,
    limit: Limit = 50,
    after: After = None,
    kind: Annotated[WishKind | None, Query(description="Only of this kind.")] = None,
    mine: Annotated[bool, Query(description="Only what one wants oneself.")] = False,
) -> Response:
    """Publications, changes of values, consents and changes of people that wait."""
    return json_response(await service.wishes.page(kind=kind, mine=mine, limit=limit, after=after))
