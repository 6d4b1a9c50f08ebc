"""`call: http` and the outbound client against real servers."""

from __future__ import annotations

import asyncio
import gzip
import resource
import socket
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from tests.integration.handlers_support import command, failure_of, perform, route, serving, word

from segue.connectors import HostLines, Outbound, OutboundLimits, OutboundPolicy, TokenCache
from segue.handlers.http import HttpHandler
from segue.types import SecretText

OPEN = OutboundPolicy(allow_loopback=True)


async def _mirror(request: Request) -> Response:
    """Answers what it was sent."""
    body = await request.body()
    return JSONResponse(
        {
            "method": request.method,
            "path": request.url.path,
            "query": request.url.query,
            "headers": dict(request.headers),
            "body": body.decode("latin-1"),
        }
    )


async def _answer(request: Request) -> Response:
    """Answers as the query asks."""
    query = request.query_params
    headers = {"retry-after": query["wait"]} if "wait" in query else {}
    return Response(
        query.get("body", "no"), int(query["status"]), headers=headers, media_type=query.get("type", "text/plain")
    )


@pytest.fixture
async def base() -> AsyncIterator[str]:
    methods = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")
    async with serving(route("/mirror", _mirror, *methods), route("/answer", _answer, *methods)) as url:
        yield url


@pytest.fixture
async def handler() -> AsyncIterator[HttpHandler]:
    outbound = Outbound(OPEN, OutboundLimits(total_ms=5_000, max_response_bytes=100_000))
    yield HttpHandler(outbound, TokenCache(outbound))
    await outbound.aclose()


def _get(uri: str, **more: Any) -> dict[str, Any]:
    return {"method": "get", "endpoint": {"uri": uri}, **more}


async def test_a_request_arrives_as_the_document_wrote_it(handler: HttpHandler, base: str) -> None:
    """Method in any case, query added to the address, headers, JSON body."""
    arguments = {
        "method": "post",
        "endpoint": {"uri": f"{base}/mirror?a=1"},
        "query": {"b": "x y", "c": ["1", "2"], "d": None, "e": True},
        "headers": {"X-One": "1", "X-Two": None, "X-Three": 3},
        "body": {"k": [1, "é"]},
    }

    seen = await perform(handler, arguments)

    assert (seen["method"], seen["path"]) == ("POST", "/mirror")
    assert seen["query"] == "a=1&b=x+y&c=1&c=2&e=true"
    assert seen["headers"]["x-one"] == "1"
    assert seen["headers"]["x-three"] == "3"
    assert "x-two" not in seen["headers"]
    assert seen["headers"]["content-type"] == "application/json"
    assert seen["body"].encode("latin-1").decode() == '{"k":[1,"é"]}'


async def test_a_content_type_in_any_case_decides_how_the_body_is_written(handler: HttpHandler, base: str) -> None:
    """Two content types would leave it to the server which one counts."""
    arguments = _get(f"{base}/mirror", method="post", headers={"Content-Type": "text/plain"}, body="plain")

    seen = await perform(handler, arguments)

    assert (seen["body"], seen["headers"]["content-type"]) == ("plain", "text/plain")


@pytest.mark.parametrize(
    ("status", "redirect", "passes"), [(201, False, True), (302, True, True), (302, False, False), (404, True, False)]
)
async def test_success_is_as_redirect_says(
    handler: HttpHandler, base: str, status: int, redirect: bool, passes: bool
) -> None:
    """Document reference, section 10.1."""
    arguments = _get(f"{base}/answer?status={status}", redirect=redirect)

    if passes:
        assert await perform(handler, arguments) == "no"
    else:
        assert (await failure_of(handler, arguments)).status == status


async def test_a_refused_request_is_a_communication_failure_with_its_status(handler: HttpHandler, base: str) -> None:
    """`catch` filters on it, and the retry policy waits as long as the server asks."""
    failure = await failure_of(handler, _get(f"{base}/answer?status=429&wait=7&body=busy"))

    assert (word(failure), failure.status, failure.retry_after_ms) == ("communication", 429, 7000)
    assert "busy" in (failure.detail or "")
    assert not failure.outcome_unknown


async def test_no_server_is_a_communication_failure_500(handler: HttpHandler) -> None:
    """Nothing was sent, so nothing can have happened."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        failure = await failure_of(handler, _get(f"http://127.0.0.1:{port}/", method="post"))

    assert (word(failure), failure.status, failure.outcome_unknown) == ("communication", 500, False)


async def _hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


@pytest.mark.parametrize(("method", "unknown"), [("post", True), ("patch", True), ("get", False), ("put", False)])
async def test_a_lost_answer_leaves_the_outcome_unknown_where_repeating_could_act_twice(
    handler: HttpHandler, method: str, unknown: bool
) -> None:
    """A connection that closes after the request may have closed before or after the act."""
    server = await asyncio.start_server(_hang_up, "127.0.0.1", 0)
    async with server:
        uri = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        failure = await failure_of(handler, _get(uri, method=method))

    assert (word(failure), failure.status, failure.outcome_unknown) == ("communication", 500, unknown)


async def test_a_silent_server_is_given_up(base: str) -> None:
    """A peer that accepts and never answers must not hold a task for ever."""
    outbound = Outbound(OPEN, OutboundLimits(total_ms=50))
    server = await asyncio.start_server(_say_nothing, "127.0.0.1", 0)
    async with server:
        uri = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        failure = await failure_of(HttpHandler(outbound, TokenCache(outbound)), _get(uri, method="post"))
    await outbound.aclose()

    assert (word(failure), failure.outcome_unknown) == ("communication", True)
    assert "within 50 ms" in (failure.detail or "")


async def test_cancelling_closes_the_request(handler: HttpHandler) -> None:
    """A cancelled run must stop promptly and give its connection back."""
    reached, closed = asyncio.Event(), asyncio.Event()

    async def watch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        reached.set()
        await reader.read()
        closed.set()
        writer.close()

    server = await asyncio.start_server(watch, "127.0.0.1", 0)
    async with server, asyncio.timeout(5):
        uri = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        task = asyncio.create_task(perform(handler, _get(uri)))
        await reached.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await closed.wait()


async def test_connections_are_reused() -> None:
    """A handshake for each record would dominate a run over thousands of them."""
    outbound = Outbound(OPEN)
    handler = HttpHandler(outbound, TokenCache(outbound))
    opened = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        except asyncio.IncompleteReadError:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        uri = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        for _ in range(5):
            assert await perform(handler, _get(uri)) is None
        assert opened == 1
        await outbound.aclose()


async def test_an_answer_over_the_limit_is_refused(handler: HttpHandler) -> None:
    """One answer must not fill the memory, neither plainly nor compressed."""

    async def large(request: Request) -> Response:
        return Response(b"x" * 200_000)

    async def bomb(request: Request) -> Response:
        return Response(gzip.compress(b"\0" * 5_000_000), headers={"content-encoding": "gzip"})

    async def fine(request: Request) -> Response:
        return Response(gzip.compress(b"hello"), headers={"content-encoding": "gzip"}, media_type="text/plain")

    async with serving(route("/large", large), route("/bomb", bomb), route("/fine", fine)) as url:
        for path in ("/large", "/bomb"):
            failure = await failure_of(handler, _get(url + path))
            assert "larger than 100000 bytes" in (failure.detail or "")
        assert await perform(handler, _get(url + "/fine")) == "hello"


@pytest.mark.parametrize("encoding", ["gzip, gzip", "gzip,deflate", "gzip, gzip, gzip", "br", "zstd", "x" * 1000])
async def test_one_encoding_that_was_asked_for_is_taken(handler: HttpHandler, encoding: str) -> None:
    """Two of them make gigabytes of kilobytes before anybody counts, and the retry does it again."""
    packer = zlib.compressobj(wbits=31)
    inner = b"".join(packer.compress(bytes(1_000_000)) for _ in range(500)) + packer.flush()
    bomb = gzip.compress(inner)
    assert len(bomb) < 20_000

    async def answer(request: Request) -> Response:
        assert request.headers["accept-encoding"] == "gzip, deflate"
        return Response(bomb, headers={"content-encoding": encoding})

    async with serving(route("/", answer)) as url:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        failure = await failure_of(handler, _get(url + "/"))

    assert "gzip, deflate was asked for" in (failure.detail or "")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


@pytest.mark.parametrize("bare", [False, True])
async def test_what_a_compressed_answer_may_make_is_bounded_in_each_piece(handler: HttpHandler, bare: bool) -> None:
    """A piece of 64 KiB may hold 64 MiB, and the bound may be far below."""
    packer = zlib.compressobj(wbits=-15 if bare else 15)
    small, large = b"hello", packer.compress(b"\0" * 60_000_000) + packer.flush()
    packer = zlib.compressobj(wbits=-15 if bare else 15)
    bodies = {"/small": packer.compress(small) + packer.flush(), "/large": large}

    async def answer(request: Request) -> Response:
        headers = {"content-encoding": "deflate"}
        return Response(bodies[request.url.path], headers=headers, media_type="text/plain")

    async with serving(route("/small", answer), route("/large", answer)) as url:
        assert await perform(handler, _get(url + "/small")) == "hello"
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        failure = await failure_of(handler, _get(url + "/large"))

    assert "larger than 100000 bytes" in (failure.detail or "")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000


async def test_cookies_do_not_travel_between_requests(handler: HttpHandler) -> None:
    """One run's session must not become another's."""

    async def bake(request: Request) -> Response:
        return JSONResponse(request.headers.get("cookie"), headers={"set-cookie": "sid=1; Path=/"})

    async with serving(route("/", bake)) as url:
        assert [await perform(handler, _get(url + "/")) for _ in range(2)] == [None, None]


@pytest.mark.parametrize(
    "arguments",
    [
        {"endpoint": {"uri": "ftp://h.test/"}},
        {"endpoint": {"uri": "/relative"}},
        {"endpoint": {"uri": "http://"}},
        {"endpoint": {"uri": "http://h.test:port/"}},
        {"endpoint": {}},
        {"endpoint": None},
        {"headers": {"X-Bad": "a\r\nX-Evil: 1"}},
        {"headers": {"X Bad": "a"}},
        {"headers": {"X": {"a": 1}}},
        {"headers": "x"},
        {"query": "x"},
        {"output": "everything"},
    ],
)
async def test_what_cannot_be_a_request_is_a_validation_failure(handler: HttpHandler, arguments: Any) -> None:
    """Nothing of it may reach the wire."""
    failure = await failure_of(handler, _get("http://127.0.0.1:9/") | arguments)

    assert (word(failure), failure.status) == ("validation", 400)


@pytest.mark.parametrize(
    ("method", "headers", "recovery"),
    [
        ("get", None, "repeat"),
        ("HEAD", None, "repeat"),
        ("put", None, "repeat"),
        ("DELETE", None, "repeat"),
        ("post", None, "ask"),
        ("patch", {"X": "1"}, "ask"),
        ("post", {"idempotency-KEY": "1"}, "repeat"),
    ],
)
def test_recovery_follows_the_method(handler: HttpHandler, method: str, headers: Any, recovery: str) -> None:
    """What a crash leaves open may only be repeated where that is harmless."""
    assert handler.recovery(command("http", {"method": method, "headers": headers})) == recovery


async def test_secrets_reach_the_server_and_nothing_else(handler: HttpHandler, base: str) -> None:
    """The peer echoes every credential; none of them may enter a result."""
    token = SecretText.of("crm", "token").joined_after("Bearer ")
    arguments = _get(f"{base}/mirror", headers={"Authorization": token}, query={"k": SecretText.of("crm", "key")})
    secrets = {"crm": {"token": "t0ken-value", "key": "k/ey+value"}}

    for output in ("content", "response", "raw"):
        text = str(await perform(handler, arguments | {"output": output}, **secrets))
        assert "t0ken-value" not in text
        assert "k/ey" not in text
        assert "k%2Fey" not in text
    content = await perform(handler, arguments, **secrets)
    assert content["headers"]["authorization"] == "Bearer [secret]"


async def test_a_secret_in_an_error_message_is_masked(handler: HttpHandler, base: str) -> None:
    """Servers quote the credential they refuse."""
    arguments = _get(f"{base}/answer", query={"status": "401", "body": SecretText.of("t")})

    failure = await failure_of(handler, arguments, t="sup3rsecret")

    assert failure.status == 401
    assert "sup3rsecret" not in str(failure)
    assert "[secret]" in (failure.detail or "")


async def test_a_missing_secret_fails_before_anything_is_sent(handler: HttpHandler, base: str) -> None:
    """Half a request would be worse than none."""
    failure = await failure_of(handler, _get(f"{base}/mirror", headers={"X": SecretText.of("gone")}))

    assert (word(failure), failure.status) == ("authorization", 403)


# The guard.


async def _handler_with(policy: OutboundPolicy) -> HttpHandler:
    outbound = Outbound(policy)
    return HttpHandler(outbound, TokenCache(outbound))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "127.1"]
)
async def test_no_way_of_writing_loopback_gets_past_the_guard(base: str, host: str) -> None:
    """The resolved address is what is checked, so spelling does not matter."""
    handler = await _handler_with(OutboundPolicy())

    failure = await failure_of(handler, _get(base.replace("127.0.0.1", host) + "/mirror"))

    assert (word(failure), failure.status) == ("authorization", 403)


async def test_the_address_that_was_checked_is_the_one_connected_to(
    base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: a name that is public when it is checked and private when it is connected to."""
    loop = asyncio.get_running_loop()
    asked: list[str] = []
    port = int(base.rsplit(":", 1)[1])

    async def resolve(host: str, wanted: int, **more: Any) -> Any:
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "10.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, wanted))]

    outbound = Outbound(OPEN)
    with monkeypatch.context() as patched:
        patched.setattr(loop, "getaddrinfo", resolve)
        answer = await perform(HttpHandler(outbound, TokenCache(outbound)), _get(f"http://rebind.test:{port}/mirror"))
    await outbound.aclose()

    assert asked[0] == "rebind.test"
    assert set(asked[1:]) <= {"127.0.0.1"}
    assert answer["headers"]["host"] == f"rebind.test:{port}"


async def test_a_name_with_one_allowed_address_is_reached_there_only(
    base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mixed answers are a way to smuggle a private address past a check of the first one."""
    loop = asyncio.get_running_loop()
    port = int(base.rsplit(":", 1)[1])
    connected: list[str] = []

    async def resolve(host: str, wanted: int, **more: Any) -> Any:
        connected.append(host)
        addresses = ["169.254.169.254", "127.0.0.1"] if host == "mixed.test" else [host]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, wanted)) for address in addresses]

    outbound = Outbound(OPEN)
    monkeypatch.setattr(loop, "getaddrinfo", resolve)
    answer = await perform(HttpHandler(outbound, TokenCache(outbound)), _get(f"http://mixed.test:{port}/mirror"))
    await outbound.aclose()

    assert answer["path"] == "/mirror"
    assert "169.254.169.254" not in connected


async def _hop(request: Request) -> Response:
    return RedirectResponse(request.query_params["to"], int(request.query_params.get("status", "302")))


async def test_redirects_are_not_followed_unless_the_policy_says_so(handler: HttpHandler, base: str) -> None:
    """The author named one address; going to another one is the administrator's choice."""
    async with serving(route("/hop", _hop)) as other:
        failure = await failure_of(handler, _get(f"{other}/hop?to={base}/mirror"))

    assert failure.status == 302
    assert f"{base}/mirror" in (failure.detail or "")


async def test_a_followed_redirect_takes_no_credentials_to_another_origin(base: str) -> None:
    """A redirect is the other server's word; it must not be handed the first one's password."""
    handler = await _handler_with(OutboundPolicy(allow_loopback=True, max_redirects=3))
    policy = {"basic": {"username": "u", "password": "p4ssword"}}
    async with serving(route("/hop", _hop), route("/mirror", _mirror)) as other:
        elsewhere = {"uri": f"{other}/hop?to={base}/mirror", "authentication": policy}
        here = {"uri": f"{other}/hop?to=/mirror", "authentication": policy}
        headers = {"X-Api-Key": "k", "Accept": "application/json"}
        moved = await perform(handler, {"method": "get", "endpoint": elsewhere, "headers": headers})
        stayed = await perform(handler, {"method": "get", "endpoint": here, "headers": headers})

    assert "authorization" not in moved["headers"]
    assert "x-api-key" not in moved["headers"]
    assert moved["headers"]["accept"] == "application/json"
    assert stayed["headers"]["authorization"].startswith("Basic ")
    assert stayed["headers"]["x-api-key"] == "k"


async def test_each_hop_is_checked_anew() -> None:
    """An allowed server could otherwise lead anywhere."""
    handler = await _handler_with(OutboundPolicy(allow_loopback=True, max_redirects=3))
    async with serving(route("/hop", _hop)) as url:
        failure = await failure_of(handler, _get(f"{url}/hop?to=http://169.254.169.254/latest/"))

    assert (word(failure), failure.status) == ("authorization", 403)


async def test_a_post_is_never_sent_a_second_time_by_a_redirect() -> None:
    """307 asks to repeat the act elsewhere; whether that is meant is not for the client to guess."""
    handler = await _handler_with(OutboundPolicy(allow_loopback=True, max_redirects=3))
    async with serving(route("/hop", _hop, "POST"), route("/mirror", _mirror, "GET", "POST")) as url:
        kept = await failure_of(handler, _get(f"{url}/hop?to=/mirror&status=307", method="post", body=1))
        become = await perform(handler, _get(f"{url}/hop?to=/mirror&status=303", method="post", body=1))

    assert kept.status == 307
    assert (become["method"], become["body"]) == ("GET", "")


async def test_a_redirect_loop_ends() -> None:
    """Two servers must not keep a task busy for ever."""
    handler = await _handler_with(OutboundPolicy(allow_loopback=True, max_redirects=3))
    visits = 0

    async def loop(request: Request) -> Response:
        nonlocal visits
        visits += 1
        return RedirectResponse("/loop", 302)

    async with serving(route("/loop", loop)) as url:
        failure = await failure_of(handler, _get(f"{url}/loop"))

    assert (failure.status, visits) == (302, 4)


async def test_a_host_without_anybody_behind_it_is_left_alone(base: str) -> None:
    """It has a circuit like a connection, but a plain 500 may be one service of many behind one address."""
    outbound = Outbound(OPEN)
    hosts = HostLines(outbound)
    handler = HttpHandler(outbound, TokenCache(outbound), hosts)
    for _ in range(10):
        assert (await failure_of(handler, _get(f"{base}/answer?status=500"))).status == 500
    assert hosts.of(base).report().state == "closed"

    for _ in range(10):
        assert (await failure_of(handler, _get(f"{base}/answer?status=502"))).status == 502

    assert hosts.of(base + "/another/path?x=1").report().state == "open"
    assert hosts.of("http://127.0.0.1:9/").report().state == "closed"
    await outbound.aclose()


async def test_what_the_policy_refuses_says_nothing_about_the_host() -> None:
    """An address that may not be reached is refused each time, by name; it never looks like a system that is down."""
    outbound = Outbound(OutboundPolicy())
    hosts = HostLines(outbound)
    handler = HttpHandler(outbound, TokenCache(outbound), hosts)
    for _ in range(15):
        refused = await failure_of(handler, _get("http://127.0.0.1:1/"))
        assert word(refused) == "authorization"

    assert hosts.of("http://127.0.0.1:1/").report().state == "closed"
    await outbound.aclose()
