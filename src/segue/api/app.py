"""The application: routes, guard and error answers put together."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from fastapi import APIRouter, FastAPI

import segue
from segue.api import (
    audit,
    backups,
    connections,
    controls,
    describe,
    effects,
    events,
    exceptions,
    health,
    identities,
    limits,
    owning,
    people,
    policies,
    problems,
    publications,
    retention,
    runs,
    scim,
    sso,
    steering,
    streams,
    subjects,
    switches,
    tasks,
    vault,
    waiting,
    workflows,
)
from segue.api.guard import Asgi, Guard
from segue.api.pace import Pace
from segue.service import SCIM_PREFIX, Service, Settings
from segue.types import owner_of

PREFIX: Final = "/api/v1"
ROOMS: Final = (
    workflows,
    runs,
    steering,
    exceptions,
    waiting,
    tasks,
    people,
    effects,
    events,
    connections,
    backups,
    retention,
    audit,
    controls,
    streams,
    identities,
    sso,
    policies,
    publications,
    limits,
    owning,
    switches,
    subjects,
    vault,
    health,
)
"""Modules whose routes make the API, in the order in which they are tried."""


def create_app(service: Service, *, token: str, settings: Settings) -> tuple[Asgi, asyncio.Event]:
    """The HTTP API of a service.

    Args:
        token: What every request must carry, except those for health.
        settings: Names the server may be addressed by, the largest body, and the pace.

    Returns:
        The ASGI application, and an event to set before shutdown: open streams end when it is set.
    """
    app = _routes()
    app.state.service = service
    app.state.stopping = stopping = asyncio.Event()
    guard = Guard(
        app,
        token=token,
        owner=owner_of(service.guard.workspace),
        bearer_of=service.sessions.bearer_of,
        names=(*settings.allowed_hosts, *_own_name(settings)),
        max_body_bytes=settings.max_body_bytes,
        requests=Pace(settings.requests_per_minute),
        guesses=Pace(settings.guesses_per_minute),
    )
    return guard, stopping


def openapi_document() -> dict[str, Any]:
    """The description of the API, for whoever generates a client; needs no server."""
    return describe.openapi(_routes())


def _routes() -> FastAPI:
    app = FastAPI(
        title="Segue",
        version=segue.__version__,
        description="Run workflow documents durably. Errors are problem documents (RFC 9457).",
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    api = APIRouter(prefix=PREFIX)
    for room in ROOMS:
        api.include_router(room.router)
    app.include_router(api)
    # Where directories look for it; not under the prefix, because its version is that of the protocol.
    app.include_router(scim.router, prefix=SCIM_PREFIX)
    problems.install(app)

    def openapi() -> dict[str, Any]:
        return describe.openapi(app)

    app.openapi = openapi  # type: ignore[method-assign]
    return app


def _own_name(settings: Settings) -> tuple[str, ...]:
    # An address that means "all of them" names nothing.
    return () if settings.host in ("0.0.0.0", "::", "") else (settings.host,)  # noqa: S104 - compared, not bound
