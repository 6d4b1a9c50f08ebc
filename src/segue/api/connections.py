"""Routes of connections and models."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from segue.api.bodies import read_json
from segue.api.common import After, Asked, Limit
from segue.api.describe import json_answer, json_body, json_response, operation
from segue.service import ConnectionDetail, ConnectionTest, ConnectionView, ModelView, NewConnection, Page

router = APIRouter(tags=["connections"])
ConnectionName = Annotated[str, Path(alias="connection", description="Name of the connection.", min_length=1)]


@router.get(
    "/connections",
    **operation(
        "listConnections",
        "List connections",
        answers={200: json_answer(Page[ConnectionView], "Credentials are shown as references only.")},
    ),
)
async def list_connections(service: Asked, limit: Limit = 50, after: After = None) -> Response:
    """By name."""
    return json_response(await service.connections.page(limit=limit, after=after))


@router.post(
    "/connections",
    **operation(
        "addConnection",
        "Add a connection",
        answers={201: json_answer(ConnectionView, "Added.")},
        problems=("connection-taken", "connection-refused"),
        body=json_body(NewConnection),
    ),
)
async def add_connection(request: Request, service: Asked) -> Response:
    """Credentials are references to the server's environment or secrets; files of the server are not read."""
    added = await service.connections.add_from(await read_json(request, NewConnection), trusted=False)
    return json_response(added, 201, {"Location": f"/api/v1/connections/{added.name}"})


@router.delete(
    "/connections/{connection}",
    **operation(
        "removeConnection",
        "Remove a connection",
        answers={200: json_answer(ConnectionView, "Removed.")},
        problems=("connection-unknown",),
    ),
)
async def remove_connection(connection: ConnectionName, service: Asked) -> Response:
    """Runs that name it fail at their next call."""
    return json_response(await service.connections.remove(connection))


@router.get(
    "/connections/{connection}",
    **operation(
        "getConnection",
        "Read a connection with its operations",
        answers={200: json_answer(ConnectionDetail, "The connection.")},
        problems=("connection-unknown",),
    ),
)
async def get_connection(connection: ConnectionName, service: Asked) -> Response:
    """With the schema of each operation's arguments and result."""
    return json_response(await service.connections.get(connection))


@router.post(
    "/connections/{connection}/test",
    **operation(
        "testConnection",
        "Try a connection",
        answers={200: json_answer(ConnectionTest, "What the try gave; a failed one is an answer too.")},
        problems=("connection-unknown",),
    ),
)
async def test_connection(connection: ConnectionName, service: Asked) -> Response:
    """Sends one harmless request."""
    return json_response(await service.connections.test(connection))


@router.get(
    "/models",
    **operation(
        "listModels",
        "List registered models",
        answers={200: json_answer(list[ModelView], "By name and version.")},
    ),
)
async def list_models(service: Asked) -> Response:
    """What the function `model` can name, whose it is, and what asks it."""
    return json_response(await service.models.all())
