"""Routes of secrets that are kept in the data folder."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from segue.api.bodies import read_json
from segue.api.common import Asked
from segue.api.describe import json_answer, json_body, json_response, operation
from segue.service import NewSecret, Page, SecretUsers, SecretView

router = APIRouter(tags=["secrets"])


@router.get(
    "/secrets",
    **operation(
        "listSecrets",
        "List secrets",
        answers={200: json_answer(Page[SecretView], "Names, scopes and last uses; never values.")},
    ),
)
async def list_secrets(service: Asked) -> Response:
    """Those that are kept in the data folder."""
    return json_response(await service.secrets.list())


@router.post(
    "/secrets",
    **operation(
        "setSecret",
        "Keep a secret",
        answers={200: json_answer(SecretView, "It is kept.")},
        problems=("keys-refused", "secret-refused"),
        body=json_body(NewSecret),
    ),
)
async def set_secret(request: Request, service: Asked) -> Response:
    """Over an older one of the same name."""
    return json_response(await service.secrets.set(await read_json(request, NewSecret)))


@router.post(
    "/secrets/{secret}/users",
    **operation(
        "allowSecret",
        "Say who may use a secret",
        answers={200: json_answer(SecretView, "They may, and nobody else.")},
        problems=("secret-refused",),
        body=json_body(SecretUsers),
    ),
)
async def allow_secret(
    secret: Annotated[str, Path(description="Its name.", min_length=1, max_length=128)],
    request: Request,
    service: Asked,
) -> Response:
    """Wherever it is kept."""
    return json_response(await service.secrets.allow(secret, await read_json(request, SecretUsers)))


@router.delete(
    "/secrets/{secret}",
    **operation(
        "removeSecret", "Forget a secret", answers={204: {"description": "Gone."}}, problems=("secret-unknown",)
    ),
)
async def remove_secret(
    secret: Annotated[str, Path(description="Its name.", min_length=1, max_length=128)], service: Asked
) -> Response:
    """Acts that need it fail from now on."""
    await service.secrets.remove(secret)
    return Response(status_code=204)
