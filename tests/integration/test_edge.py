"""The edge of a real server: TLS, plain text beyond loopback, proxies, connections that say little."""

from __future__ import annotations

import asyncio
import datetime
import http.client
import json
import socket
import ssl
import warnings
from pathlib import Path

import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.integration.cli_support import Cli, serving

from segue.api.patience import PatientProtocol


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    """The command line over a data folder."""
    monkeypatch.setenv("SEGUE_DATA", str(tmp_path / "data"))
    return Cli(capsys)


def certificate(folder: Path, name: str = "segue.example") -> tuple[Path, Path]:
    """A certificate that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / f"{name}.crt", folder / f"{name}.key"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = serialization.PrivateFormat.PKCS8
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption()))
    return cert_file, key_file


def port_of(data: Path) -> int:
    url: str = json.loads((data / "server.json").read_text())["url"]
    return int(url.rpartition(":")[2])


def test_with_a_certificate_the_server_speaks_modern_tls_and_nothing_else(cli: Cli, tmp_path: Path) -> None:
    """Passwords and tokens go over it. The command line trusts the one certificate that the folder names."""
    data = tmp_path / "data"
    cert, key = certificate(tmp_path)
    with serving(data, "--tls-cert", str(cert), "--tls-key", str(key)):
        port = port_of(data)
        assert cli("workflows", "list", "--json").json["items"] == []

        context = ssl.create_default_context(cafile=str(cert))
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="segue.example") as secure,
        ):
            assert secure.version() in ("TLSv1.2", "TLSv1.3")
            secure.sendall(b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answer = b""
            while part := secure.recv(65536):
                answer += part
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"strict-transport-security" in answer.lower()

        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        with warnings.catch_warnings(action="ignore"):
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
            pytest.raises(ssl.SSLError, match=r"(?i)alert|EOF"),
        ):
            old.wrap_socket(plain)

        in_plain = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        in_plain.request("GET", "/api/v1/health")
        with pytest.raises((OSError, http.client.HTTPException)):
            in_plain.getresponse()

        other, _ = certificate(tmp_path, "other.example")
        server = json.loads((data / "server.json").read_text())
        (data / "server.json").write_text(json.dumps({**server, "certificate": str(other)}))
        assert "does not answer" in cli("workflows", "list").err


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "segue.example"])
def test_beyond_loopback_nothing_is_served_in_plain_text(cli: Cli, host: str) -> None:
    """One forgotten setting would put every password on the network."""
    refused = cli("serve", "--host", host, "--port", "0")

    assert refused.code == 2
    assert "plain text" in refused.err
    assert "--behind-proxy" in refused.err


def test_a_certificate_that_cannot_be_used_is_refused_at_the_start(cli: Cli, tmp_path: Path) -> None:
    """Not at the first handshake, and never by going on without it."""
    cert, _ = certificate(tmp_path, "one.example")
    _, key = certificate(tmp_path, "two.example")

    for given in (["--tls-cert", str(cert), "--tls-key", str(key)], ["--tls-cert", str(tmp_path / "none")]):
        refused = cli("serve", "--port", "0", *given)
        assert refused.code == 2
        assert "cannot be used" in refused.err


def sign_in(port: int, claimed: str) -> int:
    """The status of a wrong sign-in from this machine that claims to come from elsewhere."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    body = json.dumps({"name": "nobody", "password": "x"})
    connection.request(
        "POST", "/api/v1/login", body, {"Content-Type": "application/json", "X-Forwarded-For": claimed}
    )
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize(("proxies", "last"), [([], 429), (["--behind-proxy", "127.0.0.1"], 401)])
def test_only_a_named_proxy_says_where_a_client_is(tmp_path: Path, proxies: list[str], last: int) -> None:
    """Else whoever guesses passwords would come from another address each time."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "segue.toml").write_text("guesses_per_minute = 2\n")
    with serving(data, *proxies):
        port = port_of(data)
        assert [sign_in(port, f"198.51.100.{n}") for n in range(3)] == [401, 401, last]


async def test_a_connection_that_never_finishes_its_headers_is_closed() -> None:
    """A thousand of them cost an attacker nothing, and each holds a socket here."""

    class Hasty(PatientProtocol):
        head_seconds = 0.2

    async def app(scope: object, receive: object, send: object) -> None:
        raise AssertionError("nobody has asked for anything")

    config = uvicorn.Config(app, port=0, http=Hasty, lifespan="off", log_level="error")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn offers nothing to wait for
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def drip() -> None:
        for byte in b"GET / HTTP/1.1\r\nHost: " + b"x" * 10_000:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.02)

    dripping = asyncio.create_task(drip())
    try:
        assert await asyncio.wait_for(reader.read(), 10) == b""
    finally:
        dripping.cancel()
        writer.close()
        server.should_exit = True
        await task
