"""The guard, without a framework behind it."""

from __future__ import annotations

from typing import Any

import pytest

from segue.api.guard import Guard
from segue.service import ServiceError


async def reached(scope: Any, receive: Any, send: Any) -> None:
    """An application that reads its body and says that it was reached."""
    more = True
    while more:
        more = (await receive()).get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"reached"})


async def ask(headers: dict[str, str], path: str = "/api/v1/runs", body: tuple[bytes, ...] = (b"",)) -> int:
    """The status that this request gets."""
    guard = Guard(reached, token="the-token", names=["segue.example"], max_body_bytes=10)
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    parts = [{"type": "http.request", "body": b, "more_body": i < len(body) - 1} for i, b in enumerate(body)]
    sent: list[Any] = []

    async def receive() -> Any:
        return parts.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await guard({"type": "http", "path": path, "method": "GET", "headers": raw}, receive, send)
    return int(sent[0]["status"])


KNOWN = {"host": "127.0.0.1:8420", "authorization": "Bearer the-token"}


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({}, 200),
        ({"authorization": "bearer the-token"}, 200),
        ({"authorization": "Bearer the-toke"}, 401),
        ({"authorization": "Bearer the-token-and-more"}, 401),
        ({"authorization": "Bearer thé-token"}, 401),
        ({"authorization": "the-token"}, 401),
        ({"authorization": ""}, 401),
        ({"host": "segue.example"}, 200),
        ({"host": "SEGUE.example:1"}, 200),
        ({"host": "segue.example.evil"}, 403),
        ({"host": "evil"}, 403),
        ({"content-length": "10"}, 200),
        ({"content-length": "11"}, 413),
    ],
)
async def test_who_is_let_through(changed: dict[str, str], status: int) -> None:
    """Token, name and size, each refused in its own way."""
    assert await ask({**KNOWN, **changed}) == status


async def test_a_missing_host_is_refused() -> None:
    """HTTP/1.0 knows requests without one."""
    assert await ask({"authorization": "Bearer the-token"}) == 403


async def test_a_body_in_chunks_is_counted() -> None:
    """It announces no length."""
    assert await ask(KNOWN, body=(b"12345", b"67890")) == 200
    with pytest.raises(ServiceError) as caught:
        await ask(KNOWN, body=(b"12345", b"67890", b"1"))
    assert caught.value.kind == "body-too-large"


@pytest.mark.parametrize("path", ["/api/v1/health", "/api/v1/ready"])
async def test_health_needs_no_token_but_a_name_of_ours(path: str) -> None:
    """Probes have no secrets; rebinding pages have no business."""
    assert await ask({"host": "localhost"}, path) == 200
    assert await ask({"host": "evil"}, path) == 403


async def test_websockets_do_not_pass() -> None:
    """No route takes them, and the checks are for requests."""
    guard = Guard(reached, token="the-token", max_body_bytes=10)

    async def never(*_: Any) -> Any:
        raise AssertionError("nothing may be read or sent")

    await guard({"type": "websocket", "path": "/", "headers": []}, never, never)
