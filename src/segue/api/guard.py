"""Who may speak to the server, who is speaking and how much: `Host`, token or session, pace, and the body.

Plain ASGI, in front of everything else, so that nothing of a refused request is read or parsed.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any, Final

from segue.api.common import route_of
from segue.api.forms import FORM, read_form, require_own_form
from segue.api.headers import protecting
from segue.api.pace import Pace
from segue.api.pages import places
from segue.api.pages.frame import CSRF
from segue.api.problems import problem_response
from segue.service import Bearer, ServiceError
from segue.types import Identity, acting_as

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK_NAMES: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
SSO_PATHS: Final = frozenset(f"/api/v1/login/oidc{part}" for part in ("", "/callback", "/session"))
CALLBACK_OF: Final = "/api/v1/login/oidc/callback/"
"""Before the name of one of several providers."""
GUESSED_PATHS: Final = (
    frozenset({"/api/v1/login", "/api/v1/login/providers", "/api/v1/task-code"}) | SSO_PATHS | places.OPEN
)
OPEN_PATHS: Final = frozenset({"/api/v1/health", "/api/v1/ready"}) | GUESSED_PATHS
"""Where a stranger could try passwords and codes."""
NOBODY: Final = "The request carries no token or session, or a wrong one."
COOKIE: Final = "segue_session"
BODY_SECONDS: Final = 60.0
"""Longest time that a body may take to arrive; the largest one comes in it over any line that people work with."""
_ONCE: Final = (b"host", b"authorization", b"content-length")
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
        requests: How fast each identity may ask; the holder of the folder as fast as they like.
        guesses: How fast one address may try passwords and one-time codes.
        body_seconds: Longest time that a body may take.
        open_paths: What is asked without a token or session.
        refusal: What whoever has neither is told.
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
        requests: Pace | None = None,
        guesses: Pace | None = None,
        body_seconds: float = BODY_SECONDS,
        open_paths: frozenset[str] = OPEN_PATHS,
        refusal: str = NOBODY,
    ) -> None:
        self._app = app
        self._bearer_of = bearer_of
        self._owner = owner
        self._token = token.encode()
        self._names = LOOPBACK_NAMES | {name.lower() for name in names}
        self._limit = max_body_bytes
        self._requests = requests or Pace(0)
        self._guesses = guesses or Pace(0)
        self._body_seconds = body_seconds
        self._open = open_paths
        self._refusal = refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            # The only other kind is `lifespan`: no websocket route exists, and one would pass this guard.
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        send = protecting(send, over_tls=scope.get("scheme") == "https")
        headers: dict[bytes, bytes] = dict(scope["headers"])
        try:
            _require_once(scope["headers"])
            self._require_own_name(headers)
            # An open path is asked by whoever is nobody yet.
            identity, csrf = (None, "") if _open_route(scope) in self._open else self._who(scope, headers)
            self._require_pace(scope, identity)
            self._require_size(headers)
            receive = self._counted(receive)
            if places.is_page(route_of(scope)):
                scope[CSRF] = csrf
                receive = await _with_form(scope, headers, receive, csrf)
        except ServiceError as refusal:
            await problem_response(refusal, scope)(scope, receive, send)
            return
        scope["still"] = lambda: identity is None or self._remains(scope, headers, identity)
        with acting_as(identity):
            await self._app(scope, receive, send)

    def _require_own_name(self, headers: Mapping[bytes, bytes]) -> None:
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if _without_port(host) not in self._names:
            raise ServiceError("host-refused", f"The server is not called {host!r}.")

    def _require_pace(self, scope: Scope, identity: Identity | None) -> None:
        wait = 0
        if identity is not None and identity != self._owner:
            wait = self._requests.wait_s(identity.name)
        elif _open_route(scope) in GUESSED_PATHS:
            wait = self._guesses.wait_s((scope.get("client") or ("",))[0])
        if wait:
            raise ServiceError(
                "too-many-requests", f"More requests came than are answered in a minute; wait {wait} s.", wait_s=wait
            )

    def _require_size(self, headers: Mapping[bytes, bytes]) -> None:
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > self._limit:
            raise self._too_large()

    def _who(self, scope: Scope, headers: Mapping[bytes, bytes]) -> tuple[Identity, str]:
        """Who holds what the request carries: a token in the header, or a session, with what its forms repeat."""
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        if scheme:
            token = given.strip() if scheme.lower() == b"bearer" else b""
            # Compared in constant time, so that the time to refuse tells nothing about the token.
            if hmac.compare_digest(token, self._token):
                return self._owner, ""
            bearer, csrf = self._bearer_of(token.decode("latin-1")), ""
        else:
            bearer = self._bearer_of(session_of(headers))
            csrf = "" if bearer is None else bearer.credential.csrf
            # Forms of our pages say it in a field, which is read later.
            if bearer is not None and not places.is_page(route_of(scope)):
                _require_own_page(scope["method"], headers.get(b"x-csrf-token", b""), csrf)
        if bearer is None:
            raise ServiceError("token-refused", self._refusal)
        return bearer.identity, csrf

    def _remains(self, scope: Scope, headers: Mapping[bytes, bytes], identity: Identity) -> bool:
        """The credential is still worth what it was, for answers that take long."""
        try:
            return self._who(scope, headers)[0] == identity
        except ServiceError:
            return False

    def _too_large(self) -> ServiceError:
        return ServiceError("body-too-large", f"The server reads at most {self._limit} bytes of a body.")

    def _counted(self, receive: Receive) -> Receive:
        """The body as it comes, refused when it grows too large or too slow; one in chunks announces no length."""
        size, complete = 0, False
        late = asyncio.get_running_loop().time() + self._body_seconds

        async def counted() -> Message:
            nonlocal size, complete
            if complete:
                # What comes now is the news that the client has left, and may take as long as it likes.
                return await receive()
            try:
                async with asyncio.timeout_at(late):
                    message = await receive()
            except TimeoutError:
                detail = f"The body did not arrive within {self._body_seconds:g} s."
                raise ServiceError("body-too-slow", detail) from None
            complete = not message.get("more_body", False)
            size += len(message.get("body", b""))
            if size > self._limit:
                raise self._too_large()
            return message

        return counted


def _require_once(headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Of two such headers we would read one and a proxy in front the other."""
    names = [name for name, _ in headers if name in _ONCE]
    if len(set(names)) < len(names):
        raise ServiceError("request-malformed", "A header that must come once comes twice.")
    if b"content-length" in names and any(name == b"transfer-encoding" for name, _ in headers):
        raise ServiceError("request-malformed", "A body has a length or comes in chunks, and not both.")


def _open_route(scope: Scope) -> str:
    """The path, where the callback of each provider is that of all of them."""
    route = route_of(scope)
    return CALLBACK_OF.rstrip("/") if route.startswith(CALLBACK_OF) else route


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def session_of(headers: Mapping[bytes, bytes]) -> str:
    """What the cookie of a session holds; empty where there is none, or several."""
    return cookie_of(headers, COOKIE)


def cookie_of(headers: Mapping[bytes, bytes], wanted: str) -> str:
    """What this cookie holds; empty where there is none, or several that differ.

    Read by hand: `http.cookies` of some versions of Python takes seconds for a header of backslashes, and this is
    done for strangers. What we set needs no escapes.
    """
    pairs = (part.partition("=") for part in headers.get(b"cookie", b"").decode("latin-1").split(";"))
    values = {value.strip().strip('"') for name, _, value in pairs if name.strip() == wanted}
    return values.pop() if len(values) == 1 else ""


def _require_own_page(method: str, given: bytes, csrf: str) -> None:
    """A browser sends the cookie along for any page; only our own page knows what the login answered."""
    if method not in _SAFE and not hmac.compare_digest(given, csrf.encode()):
        raise ServiceError("csrf-refused", "The header `X-CSRF-Token` is missing or not that of the session.")


async def _with_form(scope: Scope, headers: Mapping[bytes, bytes], receive: Receive, csrf: str) -> Receive:
    """Read the form of a page, so that no route sees one that another page sent; what is left to receive."""
    if scope["method"] in _SAFE:
        return receive
    require_own_form(headers)
    form = scope[FORM] = await read_form(headers, receive)
    given = form.pop(places.CSRF_FIELD, [])
    if csrf and not (len(given) == 1 and hmac.compare_digest(given[0].encode(), csrf.encode())):
        raise ServiceError(
            "csrf-refused",
            "The form was not sent by a page of this session.",
            remedy="Open the page again: somebody may have signed in or out meanwhile.",
        )

    pending = True

    async def rest() -> Message:
        nonlocal pending
        if pending:
            pending = False
            return {"type": "http.request", "body": b"", "more_body": False}
        return await receive()

    return rest
