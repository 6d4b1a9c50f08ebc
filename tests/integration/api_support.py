"""A client of the API over a real data folder, in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from tests.integration.service_support import TOKEN

from segue.api import create_app
from segue.api.app import create_routes
from segue.service import Service, Settings, open_service

BASE = "http://127.0.0.1:8420"
YAML = {"content-type": "application/yaml"}
KNOWN = {"authorization": f"Bearer {TOKEN}"}


shared_routes = cache(create_routes)
"""They hold nothing of a service, and making them takes longer than opening one."""


@asynccontextmanager
async def client_of(service: Service, settings: Settings | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the token."""
    app, _ = create_app(service, token=TOKEN, settings=settings or Settings(), routes=shared_routes())
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url=BASE, headers=KNOWN) as client:
        yield client


@asynccontextmanager
async def api(folder: Path, settings: Settings | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A client over a data folder."""
    async with open_service(folder, settings or Settings()) as service, client_of(service, settings) as client:
        yield client


SCIM = "/scim/v2"
FIRST = "set by somebody else"


async def choose_own(client: httpx.AsyncClient, name: str, own: str, first: str = FIRST) -> None:
    """Exchange the password that somebody else set for one of their own."""
    once = (await client.post("/api/v1/login", json={"name": name, "password": first})).json()
    headers = {"authorization": f"Bearer {once['token']}"}
    changed = await client.post("/api/v1/me/password", json={"old": first, "new": own}, headers=headers)
    assert changed.status_code == 200, changed.text


def scim_error(answer: httpx.Response, status: int, scim_type: str = "") -> str:
    """Assert that this is a refusal as SCIM has it, and return its detail."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/scim+json"
    body: dict[str, Any] = answer.json()
    assert body["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
    assert body["status"] == str(status)
    assert body.get("scimType", "") == scim_type, body
    assert body["detail"]
    return str(body["detail"])


def problem(answer: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    """Assert that this is a problem document of this kind, and return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["type"] == f"urn:segue:problem:{kind}", body
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    assert body["remedy"]
    return body
