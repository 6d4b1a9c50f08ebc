"""Requests, replies and refusals as the four systems see them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

BODY_LIMIT_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """A whole request. Header names are in lower case; `path` and `query` are as sent, still percent-encoded."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class Reply:
    """An answer ready to send."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    media_type: str = "application/json"


class Refusal(Exception):  # An answer to the client, not a fault of ours.
    """A request that is answered with an error; each system words its errors in its own way."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}


def json_reply(status: int, value: Any, headers: dict[str, str] | None = None) -> Reply:
    return Reply(status, msgspec.json.encode(value), headers or {})


def read_json(request: Request) -> Any:
    """The body as JSON.

    Raises:
        Refusal: 415 or 400, which is the client's fault.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise Refusal(415, "unsupported_media_type", f"Send the body as application/json, not {media_type!r}.")
    try:
        return msgspec.json.decode(request.body)
    except msgspec.DecodeError as error:
        raise Refusal(400, "malformed_json", f"The body is not JSON: {error}.") from None


async def read_request(scope: Scope, receive: Receive) -> Request:
    """Read a request to its end.

    Raises:
        Refusal: 413, when the body is larger than any operation takes.
    """
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > BODY_LIMIT_BYTES:
            raise Refusal(413, "body_too_large", f"A body may have at most {BODY_LIMIT_BYTES} bytes.")
    return Request(
        method=scope["method"],
        path=scope["raw_path"].decode("latin-1"),
        query=scope["query_string"].decode("latin-1"),
        headers={name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
        body=body,
    )


async def send_reply(reply: Reply, send: Send) -> None:
    headers = [
        (b"content-type", reply.media_type.encode()),
        (b"content-length", str(len(reply.body)).encode()),
        *((name.lower().encode(), value.encode()) for name, value in reply.headers.items()),
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
