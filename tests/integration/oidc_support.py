"""A real OpenID provider in a process of its own, and a browser that signs in at it."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.integration.api_support import BASE

NODE: Final = Path(sys.prefix) / "oidc-node"
CALLBACK: Final = "/api/v1/login/oidc/callback"
PEOPLE: Final[dict[str, dict[str, Any]]] = {
    "ann": {
        "preferred_username": "ann",
        "name": "Ann Other",
        "email": "ann@example.com",
        "email_verified": True,
        "groups": ["ops", "coffee"],
    },
    "eve": {"preferred_username": "ann", "email": "eve@evil.example", "email_verified": True, "groups": []},
    "mal": {"preferred_username": "mal", "email": "mal@example.com", "email_verified": False, "groups": ["ops"]},
}


def free_port() -> int:
    """A port that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Key:
    """A signing key of the provider, or one that wants to be taken for it."""

    def __init__(self, kid: str) -> None:
        self.kid = kid
        self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def jwk(self) -> dict[str, Any]:
        made: dict[str, Any] = jwt.algorithms.RSAAlgorithm.to_jwk(self.private, as_dict=True)
        return {key: value for key, value in made.items() if key != "key_ops"} | {"kid": self.kid, "use": "sig"}

    def sign(self, claims: dict[str, Any], **header: Any) -> str:
        return jwt.encode(claims, self.private, algorithm="RS256", headers={"kid": self.kid, **header})


class Provider:
    """The provider; starting it anew with other keys on the same port is how its keys are rotated."""

    def __init__(self, *, in_token: bool = True, client: str = BASE, callback: str = CALLBACK) -> None:
        self.port = free_port()
        self.issuer = f"http://127.0.0.1:{self.port}"
        self.key = Key("first")
        self._in_token = in_token
        self._redirect = client + callback
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        script = Path(__file__).parent / "oidc_provider" / "server.mjs"
        self._process = await asyncio.create_subprocess_exec(
            *("node", str(script), str(NODE)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        given = {
            "port": self.port,
            "jwks": {"keys": [self.key.jwk]},
            "people": PEOPLE,
            "inToken": self._in_token,
            "redirects": [self._redirect],
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(given).encode() + b"\n")
        await self._process.stdin.drain()
        async with asyncio.timeout(30):
            while (line := await self._process.stdout.readline()).strip() != b"ready":
                assert line, "the provider ended"

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def rotate(self) -> None:
        """Other keys from now on; what was signed with the old ones counts no longer."""
        await self.stop()
        self.key = Key("second")
        await self.start()

    async def tell(self, what: str, body: dict[str, Any]) -> None:
        async with httpx.AsyncClient() as client:
            (await client.post(f"{self.issuer}/test/{what}", json=body)).raise_for_status()

    async def sign_in(self, url: str, name: str) -> str:
        """What a person does in the browser: follow, type a name, follow. Returns the address back at Segue."""
        async with httpx.AsyncClient() as browser:
            answer = await browser.get(url)
            for _ in range(12):
                if answer.is_redirect:
                    url = urljoin(str(answer.url), answer.headers["location"])
                    if not url.startswith(self.issuer):
                        return url
                    answer = await browser.get(url)
                    continue
                form = re.search(r'action="([^"]+)"', answer.text)
                assert form is not None, answer.text
                action = urljoin(str(answer.url), form[1])
                answer = await browser.post(action, data={"prompt": "login", "login": name, "password": "x"})
        raise AssertionError("the provider goes in circles")


@asynccontextmanager
async def provider(*, in_token: bool = True, client: str = BASE, callback: str = CALLBACK) -> AsyncIterator[Provider]:
    """A provider that runs, for a client at this address.

    Without Node and its packages the test is skipped, saying so.
    """
    if not (NODE / "node_modules" / "oidc-provider").is_dir():
        pytest.skip("THE OPENID PROVIDER IS NOT INSTALLED (npm is missing, or `make env` was not run): not tested")
    made = Provider(in_token=in_token, client=client, callback=callback)
    try:
        await made.start()
        yield made
    finally:
        await made.stop()
