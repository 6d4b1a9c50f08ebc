"""Routes of owners of connections and models, and their consents."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request, Response

from segue.api.bodies import read_json
from segue.api.common import After, Asked, Limit
from segue.api.describe import json_answer, json_body, json_response, operation
from segue.service import ConsentDecision, ConsentView, NewOwner, Owned, OwnedModel, Page

router = APIRouter(tags=["owners"])
ConnectionName = Annotated[str, Path(alias="connection", description="Name of the connection.", min_length=1)]
ModelName = Annotated[str, Path(alias="model", description="Name of the model.", min_length=1)]
Number = Annotated[int, Path(alias="consent", description="Number of the consent.", ge=1, le=2**53)]
State = Annotated[
    Literal["waiting", "granted", "refused", "revoked", "lapsed", "all"], Query(description="Only these.")
]
Connection = Annotated[str | None, Query(description="Only of this connection, or `model:NAME`.", max_length=200)]


@router.post(
    "/connections/{connection}/owner",
    **operation(
        "ownConnection",
        "Say whom a connection belongs to",
        answers={200: json_answer(Owned, "With the uses that go on.")},
        problems=("connection-unknown",),
        body=json_body(NewOwner),
    ),
)
async def own_connection(connection: ConnectionName, request: Request, service: Asked) -> Response:
    """Their consent is needed for new uses."""
    return json_response(await service.owning.own(connection, await read_json(request, NewOwner)))


@router.post(
    "/models/{model}/owner",
    **operation(
        "ownModel",
        "Say whom a model belongs to",
        answers={200: json_answer(OwnedModel, "With the uses that go on.")},
        problems=("model-unknown",),
        body=json_body(NewOwner),
    ),
)
async def own_model(model: ModelName, request: Request, service: Asked) -> Response:
    """Their consent is needed before another workflow asks it."""
    return json_response(await service.owning.own_model(model, await read_json(request, NewOwner)))


@router.get(
    "/consents",
    **operation(
        "listConsents",
        "Uses of connections that have an owner",
        answers={200: json_answer(Page[ConsentView], "Newest first.")},
    ),
)
async def list_consents(
    service: Asked, connection: Connection = None, state: State = "all", limit: Limit = 50, after: After = None
) -> Response:
    """What waits, what was granted, refused or revoked."""
    chosen = None if state == "all" else state
    return json_response(await service.owning.page(connection=connection, state=chosen, limit=limit, after=after))


@router.post(
    "/consents/{consent}/decide",
    **operation(
        "decideConsent",
        "Consent to a use of a connection that one owns, or not",
        answers={200: json_answer(ConsentView, "As it was decided.")},
        problems=("consent-unknown", "consent-decided", "definition-refused", "version-taken"),
        body=json_body(ConsentDecision),
    ),
)
async def decide_consent(consent: Number, request: Request, service: Asked) -> Response:
    """What waited for nothing else is published; what is taken back is refused."""
    return json_response(await service.owning.decide(consent, await read_json(request, ConsentDecision)))
