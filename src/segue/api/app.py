"""The application: routes, guard and error answers put together."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, Final

from fastapi import APIRouter, FastAPI

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
from segue.api.building import PREFIX, build
from segue.api.common import FOLLOWED, SERVICE, STOPPING, root_of
from segue.api.guard import NOBODY, OPEN_PATHS, Asgi, Guard, Message, Receive, Scope, Send
from segue.api.pace import Pace
from segue.api.pages import desk, signing
from segue.service import SCIM_PREFIX, Service, Settings
from segue.types import owner_of

_PLACES: Final = (b"location", b"content-location")
_OURS: Final = (f"{PREFIX}/".encode(), f"{SCIM_PREFIX}/".encode())
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
PAGES: Final = (desk, signing)
"""The same for the pages, which are outside the description of the API."""


def create_app(
    service: Service,
    *,
    token: str,
    settings: Settings,
    routes: Asgi | None = None,
    guesses: Pace | None = None,
    open_paths: frozenset[str] = OPEN_PATHS,
    refusal: str = NOBODY,
) -> tuple[Asgi, asyncio.Event]:
    """The HTTP API of a service.

    Args:
        token: What every request must carry, except those for health.
        settings: Names the server may be addressed by, the largest body, and the pace.
        routes: Those of `create_routes`, where several services share them.
        guesses: How fast passwords and codes may be tried, where several services count together.
        open_paths, refusal: As for `Guard`.

    Returns:
        The ASGI application, and an event to set before shutdown: open streams end when it is set.
    """
    stopping = asyncio.Event()
    guard = Guard(
        _bound(routes or create_routes(), service, stopping),
        token=token,
        owner=owner_of(service.guard.workspace),
        bearer_of=service.sessions.bearer_of,
        names=names_of(settings),
        max_body_bytes=settings.max_body_bytes,
        requests=Pace(settings.requests_per_minute),
        guesses=guesses or Pace(settings.guesses_per_minute),
        open_paths=open_paths,
        refusal=refusal,
    )
    return guard, stopping


def openapi_document() -> dict[str, Any]:
    """The description of the API, for whoever generates a client; needs no server."""
    return describe.openapi(create_routes())


def names_of(settings: Settings) -> tuple[str, ...]:
    """Names, besides the loopback ones, by which a server may be addressed."""
    # An address that means "all of them" names nothing.
    own = () if settings.host in ("0.0.0.0", "::", "") else (settings.host,)  # noqa: S104 - compared, not bound
    return (*settings.allowed_hosts, *own)


def _bound(routes: Asgi, service: Service, stopping: asyncio.Event) -> Asgi:
    """The routes for requests to this service."""

    followed: Counter[str] = Counter()

    async def ask(scope: Scope, receive: Receive, send: Send) -> None:
        scope[SERVICE], scope[STOPPING], scope[FOLLOWED] = service, stopping, followed
        await routes(scope, receive, _placed(send, root_of(scope)))

    return ask


def _placed(send: Send, root: str) -> Send:
    """The same `send`; where a thing is, answers say with the address that this service has here."""
    if not root:
        return send

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [
                (name, root.encode() + value if name.lower() in _PLACES and value.startswith(_OURS) else value)
                for name, value in message.get("headers", ())
            ]
        await send(message)

    return sending


def create_routes() -> FastAPI:
    """Every route. They hold nothing of any service, so that any number of them may share these."""
    api, directories, pages = APIRouter(prefix=PREFIX), APIRouter(prefix=SCIM_PREFIX), APIRouter()
    for room in ROOMS:
        api.include_router(room.router)
    # Where directories look for it; not under the prefix, because its version is that of the protocol.
    directories.include_router(scim.router)
    for room in PAGES:
        pages.include_router(room.router)
    said = "Run workflow documents durably. Errors are problem documents (RFC 9457)."
    return build("Segue", said, (api, directories, pages))
