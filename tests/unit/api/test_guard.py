"""The guard, without a framework behind it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any

import pytest

from segue.api.guard import COOKIE, GUESSED_PATHS, Guard, session_of
from segue.api.pace import Pace
from segue.service import Bearer, ServiceError
from segue.store.permission import CredentialRecord
from segue.types import LOCAL_OWNER, Identity


async def reached(scope: Any, receive: Any, send: Any) -> None:
    """An application that reads its body and says that it was reached."""
    more = True
    while more:
        more = (await receive()).get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"reached"})


ANN = Bearer(
    Identity(kind="person", id="ann"),
    CredentialRecord(id="1", digest="", kind="token", identity_kind="person", identity_id="ann", csrf="anns-page"),
)


def guard_of(**more: Any) -> Guard:
    """A guard that knows two tokens."""

    def bearer_of(token: str) -> Bearer | None:
        return ANN if token == "anns" else None

    return Guard(
        reached,
        token="the-token",
        owner=LOCAL_OWNER,
        bearer_of=bearer_of,
        names=["segue.example"],
        max_body_bytes=10,
        **more,
    )


async def answer(
    headers: Iterable[tuple[str, str]],
    path: str = "/api/v1/runs",
    body: tuple[bytes, ...] = (b"",),
    guard: Guard | None = None,
    **scope: Any,
) -> tuple[int, dict[str, str]]:
    """The status and headers that this request gets."""
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    parts = [{"type": "http.request", "body": b, "more_body": i < len(body) - 1} for i, b in enumerate(body)]
    sent: list[Any] = []

    async def receive() -> Any:
        return parts.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    asked = {"type": "http", "path": path, "method": "GET", "headers": raw, **scope}
    await (guard or guard_of())(asked, receive, send)
    return sent[0]["status"], {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}


async def ask(headers: dict[str, str], path: str = "/api/v1/runs", body: tuple[bytes, ...] = (b"",)) -> int:
    """The status that this request gets."""
    return (await answer(headers.items(), path, body))[0]


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


@pytest.mark.parametrize(
    ("method", "changed", "status"),
    [
        ("GET", {}, 200),
        ("GET", {"cookie": f"{COOKIE}=bobs"}, 401),
        ("GET", {"cookie": "other=anns"}, 401),
        ("POST", {}, 403),
        ("POST", {"x-csrf-token": "anns-pag"}, 403),
        ("POST", {"x-csrf-token": "anns-page"}, 200),
        ("POST", {"x-csrf-token": "anns-page", "authorization": "Bearer bobs"}, 401),
    ],
)
async def test_a_session_changes_things_only_from_our_own_page(
    method: str, changed: dict[str, str], status: int
) -> None:
    """A browser sends the cookie along for any page; a token beside it is what counts."""
    headers = {"host": "localhost", "cookie": f"{COOKIE}=anns", **changed}
    assert (await answer(headers.items(), method=method))[0] == status


@pytest.mark.parametrize("cookie", [b"\\", b'"\\"', b'\\"', b"a=b;", b";", b"=", b"segue_session=;", b" ", b"\xff"])
def test_cookies_of_any_letters_are_read_in_a_moment(cookie: bytes) -> None:
    """They are read for strangers, who could take the server from everybody by a header of backslashes."""
    of_64_kib = b'x="' + cookie * (65_000 // len(cookie)) + b'"; segue_session=mine'
    began = time.process_time()
    assert session_of({b"cookie": of_64_kib}) in ("mine", "")
    assert time.process_time() - began < 0.2  # It took seconds.


@pytest.mark.parametrize(
    ("cookie", "session"),
    [
        ("segue_session=a", "a"),
        ("x=1; segue_session=a; y=2", "a"),
        ("segue_session=a; segue_session=a", "a"),
        ("segue_session=a; segue_session=b", ""),
        ("not_segue_session=a", ""),
        ("", ""),
    ],
)
def test_of_two_sessions_none_counts(cookie: str, session: str) -> None:
    """A page of another name in our domain can plant a second one, and which comes first is for browsers to say."""
    assert session_of({b"cookie": cookie.encode()}) == session


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
    guard = guard_of()

    async def never(*_: Any) -> Any:
        raise AssertionError("nothing may be read or sent")

    await guard({"type": "websocket", "path": "/", "headers": []}, never, never)


@pytest.mark.parametrize("name", ["host", "authorization", "content-length"])
async def test_a_header_that_decides_comes_once(name: str) -> None:
    """Of two, a proxy in front might judge one and we the other."""
    twice = {**KNOWN, "content-length": "1"}

    assert (await answer([*twice.items(), (name, twice[name])]))[0] == 400


async def test_a_body_has_a_length_or_comes_in_chunks() -> None:
    """Where a proxy believes one and we the other, the rest of the body is somebody else's request."""
    both = {**KNOWN, "content-length": "1", "transfer-encoding": "chunked"}

    assert await ask(both) == 400


@pytest.mark.parametrize(("headers", "status"), [(KNOWN, 200), ({"host": "evil"}, 403)])
async def test_every_answer_tells_browsers_to_run_frame_guess_and_keep_nothing(
    headers: dict[str, str], status: int
) -> None:
    """A refusal is an answer too, and an answer of data is no page."""
    given, told = await answer(headers.items())

    assert given == status
    assert "default-src 'none'" in told["content-security-policy"]
    assert "frame-ancestors 'none'" in told["content-security-policy"]
    assert told["x-content-type-options"] == "nosniff"
    assert told["referrer-policy"] == "no-referrer"
    assert told["cache-control"] == "no-store"
    assert "strict-transport-security" not in told


async def test_over_tls_browsers_are_told_to_stay_with_it() -> None:
    """Over plain HTTP the header means nothing, and browsers ignore it."""
    _, told = await answer(KNOWN.items(), scheme="https")

    assert told["strict-transport-security"].startswith("max-age=")


async def test_an_identity_that_asks_too_much_is_told_when_to_come_back() -> None:
    """One runaway program must not take the server from everybody else."""
    guard = guard_of(requests=Pace(2, clock=lambda: 0.0))
    anns = {**KNOWN, "authorization": "Bearer anns"}

    assert [(await answer(anns.items(), guard=guard))[0] for _ in range(3)] == [200, 200, 429]
    assert (await answer(anns.items(), guard=guard))[1]["retry-after"] == "30"
    # The holder of the folder looks after the rest.
    assert (await answer(KNOWN.items(), guard=guard))[0] == 200


@pytest.mark.parametrize("path", sorted(GUESSED_PATHS))
async def test_an_address_guesses_so_often_and_no_more(path: str) -> None:
    """Whatever names and codes it tries; another address is not its neighbour."""
    guard = guard_of(guesses=Pace(2, clock=lambda: 0.0))

    async def guess(address: str) -> int:
        return (await answer([("host", "localhost")], path, guard=guard, client=(address, 1)))[0]

    assert [await guess("192.0.2.1") for _ in range(3)] == [200, 200, 429]
    assert await guess("192.0.2.2") == 200


async def test_a_body_that_does_not_arrive_is_not_waited_for() -> None:
    """Many who send one byte a minute would hold everything that a request holds."""

    async def silence() -> Any:
        await asyncio.Event().wait()

    raw = [(name.encode(), value.encode()) for name, value in KNOWN.items()]
    asked = {"type": "http", "path": "/api/v1/runs", "method": "POST", "headers": raw}
    with pytest.raises(ServiceError) as caught:
        await guard_of(body_seconds=0.0)(asked, silence, lambda _: asyncio.sleep(0))

    assert caught.value.kind == "body-too-slow"
