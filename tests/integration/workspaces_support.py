"""Several workspaces behind one border, in this process."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from tests.integration.api_support import BASE

from segue.bootstrap import ServerFile, open_border
from segue.service import Settings, Workspaces, create_workspace, load_settings, load_shared

FRONT_TOKEN = "the-token-of-whoever-holds-the-folder-of-all"
# Quick requests would be answered with 429 soon, which says nothing about the routes behind.
UNHURRIED = {"requests_per_minute": 0, "guesses_per_minute": 0}


@dataclass
class Several:
    """What answers for all of them."""

    folder: Path
    app: Any
    workspaces: Workspaces

    def token(self, name: str) -> str:
        """The token of the holder of one folder."""
        return (self.folder / name / "token").read_text().strip()

    def client(self, name: str, headers: Mapping[str, str] | None = None) -> httpx.AsyncClient:
        """A client of one workspace, or of a name that none has; without headers as the holder of its folder."""
        given = {"authorization": f"Bearer {self.token(name)}"} if headers is None else headers
        return self._client(f"{BASE}/w/{name}", given)

    def front(self, token: str = FRONT_TOKEN) -> httpx.AsyncClient:
        """A client of the server itself."""
        return self._client(BASE, {"authorization": f"Bearer {token}"} if token else {})

    def _client(self, base: str, headers: Mapping[str, str]) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url=base, headers=headers)


@asynccontextmanager
async def several(
    folder: Path, *names: str, flags: Mapping[str, Any] | None = None, start_seconds: float = 20.0
) -> AsyncIterator[Several]:
    """Serve the workspaces of a folder, which are made where they are not there."""
    for name in names:
        if not (folder / name).exists():
            create_workspace(folder, name)
    told = {**UNHURRIED, **(flags or {})}

    def load(place: Path) -> Settings:
        return load_settings(place, environment={}, flags=told, defaults={"failures": "hold"})

    settings = load_shared(folder, environment={}, flags=told)
    place = ServerFile(url=BASE, token=FRONT_TOKEN, pid=0)
    async with open_border(folder, settings, load, place) as (border, workspaces):
        yield Several(folder, border, workspaces)


def address_in(folder: Path) -> str:
    """Where the server of a workspace says that it is."""
    url: str = json.loads((folder / "server.json").read_text())["url"]
    return url
