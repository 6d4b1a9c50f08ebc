"""Connections of the outbound client: kept, dropped, encrypted, and broken in every way a server can."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from tests.integration.handlers_support import word

from segue.connectors import Outbound, OutboundPolicy
from segue.types import Failure, TaskFailure

Serving = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OPEN = OutboundPolicy(allow_loopback=True)
HELLO = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


@asynccontextmanager
async def _server(serve: Serving, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(closing, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.fixture
async def outbound() -> AsyncIterator[Outbound]:
    outbound = Outbound(OPEN)
    yield outbound
    await outbound.aclose()


async def _failure(outbound: Outbound, method: str, url: str, content: bytes | None = None) -> Failure:
    with pytest.raises(TaskFailure) as caught:
        await outbound.send(method, url, content=content)
    return caught.value.failure


@pytest.mark.parametrize(
    ("answer", "content"),
    [
        (HELLO, b"hello"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", b"hello"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + HELLO, b"hello"),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello", b"hello"),
        (b"HTTP/1.0 200 OK\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    ],
)
async def test_every_framing_is_read(outbound: Outbound, answer: bytes, content: bytes) -> None:
    """Length, chunks, the end of the connection, nothing at all, and interim answers before it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    async with _server(serve) as port:
        for _ in range(2):
            assert (await outbound.send("GET", f"http://127.0.0.1:{port}/")).content == content


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhe",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nnope",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000,
    ],
)
async def test_a_broken_answer_is_a_communication_failure(outbound: Outbound, answer: bytes) -> None:
    """Half of it must never pass as a whole; a writing request may have been acted upon."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    async with _server(serve) as port:
        post = await _failure(outbound, "POST", f"http://127.0.0.1:{port}/")
        get = await _failure(outbound, "GET", f"http://127.0.0.1:{port}/")

    assert (word(post), post.outcome_unknown) == ("communication", True)
    assert (word(get), get.outcome_unknown) == ("communication", False)


@pytest.mark.parametrize(("method", "survives"), [("GET", True), ("PUT", True), ("POST", False)])
async def test_an_idle_connection_that_ends_as_it_is_used_again(
    outbound: Outbound, method: str, survives: bool
) -> None:
    """The server closed it at that moment: harmless requests go out anew, a writing one must not be guessed about."""
    seen = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        await reader.readuntil(b"\r\n\r\n")
        seen += 1
        writer.write(HELLO)
        await reader.readuntil(b"\r\n\r\n")  # read, and closed without an answer

    async with _server(serve) as port:
        url = f"http://127.0.0.1:{port}/"
        await outbound.send("GET", url)
        if survives:
            assert (await outbound.send(method, url)).status == 200
            assert seen == 2
        else:
            assert (await _failure(outbound, method, url)).outcome_unknown
            assert seen == 1


async def test_a_connection_closed_while_idle_is_not_used(outbound: Outbound) -> None:
    """A server that restarted must not cost a writing request its certainty."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HELLO)
        await writer.drain()

    async with _server(serve) as port:
        for _ in range(3):
            assert (await outbound.send("POST", f"http://127.0.0.1:{port}/")).status == 200
            await asyncio.sleep(0.01)


async def test_a_refusal_before_the_whole_body_was_read_arrives(outbound: Outbound) -> None:
    """Servers answer 413 and close; the reason must not drown in a broken pipe."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        # The answer is on its way; the rest of the body is still taken, as lingering servers do.
        while await reader.read(65_536):
            pass

    async with _server(serve) as port:
        answer = await outbound.send("POST", f"http://127.0.0.1:{port}/", content=b"x" * 5_000_000)

    assert answer.status == 413


async def test_requests_beyond_the_limit_wait_outside_their_own_time(outbound: Outbound) -> None:
    """A queue in front of a busy client is not the server's slowness."""
    from segue.connectors import OutboundLimits

    under_way = most = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal under_way, most
        while True:
            await reader.readuntil(b"\r\n\r\n")
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0.05)
            under_way -= 1
            writer.write(HELLO)

    # One host takes at most half of the connections: the other half is there for whoever comes next (decision 0055).
    narrow = Outbound(OPEN, OutboundLimits(max_connections=6, total_ms=700))
    async with _server(serve) as port:
        url = f"http://127.0.0.1:{port}/"
        answers = await asyncio.gather(*(narrow.send("GET", url) for _ in range(60)))
        await narrow.aclose()

    assert (len(answers), most) == (60, 3)


async def test_the_http_library_writes_no_urls_into_logs(
    outbound: Outbound, caplog: pytest.LogCaptureFixture
) -> None:
    """Queries carry keys, and a service that logs at INFO would store them."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HELLO)
        await writer.drain()

    with caplog.at_level(logging.INFO):
        async with _server(serve) as port:
            await outbound.send("GET", f"http://127.0.0.1:{port}/?key=s3cret")

    assert "s3cret" not in caplog.text


# https.


def _certificate(name: str, folder: Path) -> tuple[ssl.SSLContext, str]:
    """A server's context with a self-signed certificate for this name, and the file to trust it by."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / f"{name}.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pem.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    trusted = folder / f"{name}.crt"
    trusted.write_bytes(certificate.public_bytes(Encoding.PEM))
    return context, str(trusted)


async def _hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HELLO)
        await writer.drain()


async def test_https_checks_the_certificate_against_the_name(tmp_path: Path) -> None:
    """The connection goes to a number; the certificate must still be that of the name."""
    right, trusted = _certificate("localhost", tmp_path)
    outbound = Outbound(OPEN, ca_file=trusted)
    async with _server(_hello, right) as port:
        answer = await outbound.send("GET", f"https://localhost:{port}/")
        wrong_name = await _failure(outbound, "POST", f"https://127.0.0.1:{port}/")
        await outbound.aclose()

    assert answer.content == b"hello"
    assert (word(wrong_name), wrong_name.outcome_unknown) == ("communication", False)
    assert "cannot be reached" in (wrong_name.detail or "")


async def test_https_refuses_a_certificate_nobody_trusts(tmp_path: Path, outbound: Outbound) -> None:
    """There is no setting that turns the check off."""
    context, _ = _certificate("localhost", tmp_path)
    async with _server(_hello, context) as port:
        failure = await _failure(outbound, "GET", f"https://localhost:{port}/")

    assert word(failure) == "communication"
    assert "certificate" in (failure.detail or "").lower()
