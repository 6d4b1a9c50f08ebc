"""What every answer tells a browser: nothing of it is a page, runs, is framed, is guessed at or is kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_ALWAYS: Final = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    # A link with a one-time code must not travel on in the `Referer` of what is clicked next.
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)
_HSTS: Final = (b"strict-transport-security", b"max-age=31536000")
_NO_STORE: Final = (b"cache-control", b"no-store")


def protecting(send: Send, *, over_tls: bool) -> Send:
    """The same `send`, whose answers carry the headers.

    Args:
        over_tls: Browsers may be told to come over TLS only, for a year.
    """

    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            said = list(message.get("headers", ()))
            known = {name.lower() for name, _ in said}
            wanted = (*_ALWAYS, _NO_STORE, *((_HSTS,) if over_tls else ()))
            message["headers"] = [*said, *((name, value) for name, value in wanted if name not in known)]
        await send(message)

    return sending
