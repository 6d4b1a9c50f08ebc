"""Who may speak to the server, and who is speaking: the `Host` header, the token or session, the size of the body.

Plain ASGI, in front of everything else, so that nothing of a refused request is read or parsed.
"""

from __future__ import annotations

import contextlib
import hmac
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final

from segue.api.problems import problem_response
from segue.service import Bearer, ServiceError
from segue.types import Identity, acting_as

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK_NAMES: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
OPEN_PATHS: Final = frozenset({"/api/v1/health", "/api/v1/ready", "/api/v1/login", "/api/v1/task-code"})
COOKIE: Final = "segue_session"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """Lets a request through or answers it with a problem document.

    Args:
        token: The bootstrap token of the data folder; its bearer is the folder's owner.
        owner: Who the holder of that token is.
        bearer_of: Says who holds any other token or session.
        names: Names, besides the loopback ones, by which the server may be addressed. A page in a browser that
            rebinds its own name to the loopback address sends that name, and is refused.
        max_body_bytes: Largest body that is read.
    """

    def __init__(
        self,
        app: Asgi,
        *,
        token: str,
        owner: Identity,
        bearer_of: Callable[[str], Bearer | None],
        names: Iterable[str] = (),
        max_body_bytes: int,
    ) -> None:
        self._app = app
        self._bearer_of = bearer_of
        self._owner = owner
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
        try:
            self._require_own_name(headers)
            # An open path is asked by whoever is nobody yet.
            identity = None if scope["path"] in OPEN_PATHS else self._who(scope["method"], headers)
            self._require_size(headers)
        except ServiceError as refusal:
            await problem_response(refusal, scope["path"])(scope, receive, send)
            return
        with acting_as(identity):
            await self._app(scope, self._counted(receive), send)

    def _require_own_name(self, headers: Mapping[bytes, bytes]) -> None:
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if _without_port(host) not in self._names:
            raise ServiceError("host-refused", f"The server is not called {host!r}.")

    def _require_size(self, headers: Mapping[bytes, bytes]) -> None:
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > self._limit:
            raise self._too_large()

    def _who(self, method: str, headers: Mapping[bytes, bytes]) -> Identity:
        """Who holds what the request carries: a token in the header, or the session of a browser."""
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        if scheme:
            token = given.strip() if scheme.lower() == b"bearer" else b""
            # Compared in constant time, so that the time to refuse tells nothing about the token.
            if hmac.compare_digest(token, self._token):
                return self._owner
            bearer = self._bearer_of(token.decode("latin-1"))
        else:
            bearer = self._bearer_of(session_of(headers))
            if bearer is not None:
                _require_own_page(method, headers, bearer)
        if bearer is None:
            raise ServiceError("token-refused", "The request carries no token or session, or a wrong one.")
        return bearer.identity

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


def session_of(headers: Mapping[bytes, bytes]) -> str:
    """What the cookie of a session holds; empty where there is none."""
    cookies: SimpleCookie = SimpleCookie()
    with contextlib.suppress(CookieError):
        cookies.load(headers.get(b"cookie", b"").decode("latin-1"))
    return cookies[COOKIE].value if COOKIE in cookies else ""


def _require_own_page(method: str, headers: Mapping[bytes, bytes], bearer: Bearer) -> None:
    """A browser sends the cookie along for any page; only our own page knows what the login answered."""
    given = headers.get(b"x-csrf-token", b"")
    if method not in _SAFE and not hmac.compare_digest(given, bearer.credential.csrf.encode()):
        raise ServiceError("csrf-refused", "The header `X-CSRF-Token` is missing or not that of the session.")
