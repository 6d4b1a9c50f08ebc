"""Routes of publications that wait for approval."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request, Response

from segue.api.bodies import read_json
from segue.api.common import After, Asked, Limit
from segue.api.describe import json_answer, json_body, json_response, operation
from segue.service import Page, PublicationDecision, PublicationView

router = APIRouter(tags=["publications"])
Number = Annotated[int, Path(alias="publication", description="Number of the publication.", ge=1, le=2**53)]
State = Annotated[Literal["waiting", "approved", "refused", "lapsed", "all"], Query(description="Only these.")]


@router.get(
    "/publications",
    **operation(
        "listPublications",
        "What waits for approval",
        answers={200: json_answer(Page[PublicationView], "Newest first.")},
    ),
)
async def list_publications(
    service: Asked, state: State = "waiting", limit: Limit = 50, after: After = None
) -> Response:
    """With who wants it, and which role must approve."""
    chosen = None if state == "all" else state
    return json_response(await service.publications.page(state=chosen, limit=limit, after=after))


@router.get(
    "/publications/{publication}",
    **operation(
        "getPublication",
        "Read a publication",
        answers={200: json_answer(PublicationView, "With the document.")},
        problems=("publication-unknown",),
    ),
)
async def get_publication(publication: Number, service: Asked) -> Response:
    """Also one that was decided."""
    return json_response(await service.publications.get(publication))


@router.post(
    "/publications/{publication}/decide",
    **operation(
        "decidePublication",
        "Approve or refuse somebody else's publication",
        answers={200: json_answer(PublicationView, "As it was decided.")},
        problems=(*("publication-unknown", "publication-decided", "definition-refused", "version-taken"),),
        body=json_body(PublicationDecision),
    ),
)
async def decide_publication(publication: Number, request: Request, service: Asked) -> Response:
    """Approving publishes it."""
    wanted = await read_json(request, PublicationDecision)
    return json_response(await service.publications.decide(publication, wanted))
