"""Who may speak to the server: a check of the `Host` header, of the token and of the size of the body.

Plain ASGI, in front of everything else, so that nothing of a refused request is read or parsed.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final

from segue.api.problems import problem_response
from segue.service import ServiceError
from segue.types import LOCAL_OWNER, acting_as

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK_NAMES: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
OPEN_PATHS: Final = frozenset({"/api/v1/health", "/api/v1/ready"})


class Guard:
    """Lets a request through or answers it with a problem document.

    Args:
        token: What `Authorization: Bearer` must carry.
        names: Names, besides the loopback ones, by which the server may be addressed. A page in a browser that
            rebinds its own name to the loopback address sends that name, and is refused.
        max_body_bytes: Largest body that is read.
    """

    def __init__(self, app: Asgi, *, token: str, names: Iterable[str] = (), max_body_bytes: int) -> None:
        self._app = app
        self._token = token.encode()
        self._names = LOOPBACK_NAMES | {name.lower() for name in names}
        self._limit = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            # The only other kind is `lifespan`: no websocket route exists, and one would pass this guard.
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        refusal = self._refusal(scope["path"], headers)
        if refusal is not None:
            await problem_response(refusal, scope["path"])(scope, receive, send)
            return
        # An open path is asked by whoever watches the process: nobody acts there.
        with acting_as(None if scope["path"] in OPEN_PATHS else LOCAL_OWNER):
            await self._app(scope, self._counted(receive), send)

    def _refusal(self, path: str, headers: dict[bytes, bytes]) -> ServiceError | None:
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if _without_port(host) not in self._names:
            return ServiceError("host-refused", f"The server is not called {host!r}.")
        if path not in OPEN_PATHS and not self._knows(headers.get(b"authorization", b"")):
            return ServiceError("token-refused", "The request carries no token, or a wrong one.")
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > self._limit:
            return self._too_large()
        return None

    def _knows(self, given: bytes) -> bool:
        scheme, _, token = given.partition(b" ")
        # Compared in constant time, so that the time to refuse tells nothing about the token.
        return scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._token)

    def _too_large(self) -> ServiceError:
        return ServiceError("body-too-large", f"The server reads at most {self._limit} bytes of a body.")

    def _counted(self, receive: Receive) -> Receive:
        """The body as it comes, refused when it grows too large: one that is sent in chunks announces no length."""
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._limit:
                raise self._too_large()
            return message

        return counted


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
