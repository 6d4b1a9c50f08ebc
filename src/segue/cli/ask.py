"""How a command finds its data: a server that is named, the server of the data folder, or the folder itself.

In this order: SEGUE_URL with SEGUE_TOKEN or the session of `segue login`; `server.json` in the data folder, while
the server it names answers;
the folder opened by this process. The last is for what changes no run: reading, publishing, connections.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import ssl
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import msgspec

from segue.bootstrap import ServerFile, open_folder, read_server_file, write_private
from segue.service import DEFAULT_FOLDER, Service, ServiceError, error_of

TIMEOUT_SECONDS: Final = 60.0
Local = Callable[[Service], Awaitable[Any]]


@dataclass(frozen=True)
class Request:
    """What to ask a server.

    Attributes:
        path: Below `/api/v1`.
        query: Parameters; None values are left out.
        body: What to send: bytes as they are, anything else as JSON.
    """

    method: str
    path: str
    query: dict[str, Any] = field(default_factory=dict)
    body: Any = None
    media: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


def folder_of(data: Path | None) -> Path:
    """The data folder that a command means."""
    return data or Path(os.environ.get("SEGUE_DATA") or DEFAULT_FOLDER)


def find_server(data: Path | None) -> ServerFile | None:
    """The server to ask, None where there is none.

    Raises:
        ServiceError: SEGUE_URL is set without SEGUE_TOKEN, and nobody is signed in there.
    """
    url = os.environ.get("SEGUE_URL")
    if url and data is None:
        token = os.environ.get("SEGUE_TOKEN") or kept_session(url)
        if not token:
            raise ServiceError(
                "setting-refused", "SEGUE_URL is set but SEGUE_TOKEN is not.", remedy="Set it, or use `segue login`."
            )
        return ServerFile(url=url, token=token, pid=0)
    return read_server_file(folder_of(data))


def kept_session(url: str) -> str | None:
    """What `segue login` left for this server."""
    return _sessions().get(url)


def keep_session(url: str, token: str | None) -> None:
    """Keep the session of a server, or forget it, in a file that only its owner can read.

    Raises:
        ServiceError: `file-unreadable`.
    """
    kept = {**_sessions(), url: token}
    path = _sessions_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(path, msgspec.json.encode({key: value for key, value in kept.items() if value}))
    except OSError as error:
        raise ServiceError("file-unreadable", f"{path} cannot be written ({error}).") from None


def _sessions_file() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "segue" / "sessions.json"


def _sessions() -> dict[str, str]:
    try:
        return msgspec.json.decode(_sessions_file().read_bytes(), type=dict[str, str])
    except (OSError, msgspec.DecodeError):
        return {}


def ask_server(server: ServerFile, request: Request) -> Any:
    """The answer of this server.

    Raises:
        ServiceError: What the service refused, or `server-unreachable`.
    """
    return _send(server, request)


def ask(data: Path | None, request: Request, local: Local | None) -> Any:
    """The answer to a request as plain data, from the server or from the folder.

    Args:
        local: What to do where no server runs; None where only a server may do it.

    Raises:
        ServiceError: What the service refused, `server-needed` or `server-unreachable`.
    """
    server = find_server(data)
    if server is not None:
        try:
            return _send(server, request)
        except _NotThere:
            # A server that was killed leaves its file behind, and its process number may be somebody else's now.
            if not server.pid:
                raise
    folder = folder_of(data)
    if local is None:
        raise ServiceError(
            "server-needed",
            f"No server serves {str(folder)!r}, and this changes runs.",
            remedy=f"Start one with `segue serve --data {folder}`, or name one with SEGUE_URL and SEGUE_TOKEN.",
        )
    if request.method == "GET" and not folder.exists():
        # Reading must not make a folder: a typing error would look like a company without any runs.
        raise ServiceError(
            "command-refused",
            f"There is no data folder {str(folder)!r}.",
            remedy="Name one with --data or SEGUE_DATA; `segue serve` and `segue publish` make one.",
        )
    return asyncio.run(_locally(folder, local))


async def _locally(folder: Path, local: Local) -> Any:
    async with open_folder(folder) as service:
        return msgspec.to_builtins(await local(service))


def _send(server: ServerFile, request: Request) -> Any:
    connection, answer = _open(server, request)
    try:
        content = answer.read()
    except OSError as error:
        raise _unreachable(server, error) from None
    finally:
        connection.close()
    return _understood(server, answer.status, content)


def follow(server: ServerFile, path: str) -> Iterator[dict[str, Any]]:
    """The events of a stream as they come."""
    connection, answer = _open(server, Request("GET", path), timeout=None)
    try:
        if answer.status != 200:
            _understood(server, answer.status, answer.read())
        for line in answer:
            if line.startswith(b"data: "):
                yield msgspec.json.decode(line[6:])
    except OSError as error:
        raise _unreachable(server, error) from None
    finally:
        connection.close()


def _open(
    server: ServerFile, request: Request, timeout: float | None = TIMEOUT_SECONDS
) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    place = urlsplit(server.url)
    if place.scheme not in ("http", "https") or not place.hostname:
        raise ServiceError("setting-refused", f"{server.url!r} is no address.", remedy="Correct SEGUE_URL.")
    connection = (
        http.client.HTTPSConnection(place.hostname, place.port, timeout=timeout, context=_trusting(server))
        if place.scheme == "https"
        else http.client.HTTPConnection(place.hostname, place.port, timeout=timeout)
    )
    query = urlencode({name: value for name, value in request.query.items() if value is not None})
    target = f"{place.path.rstrip('/')}/api/v1{request.path}" + (f"?{query}" if query else "")
    # Nobody has a token yet who signs in.
    bearer = {"Authorization": f"Bearer {server.token}"} if server.token else {}
    headers = {**bearer, **request.headers}
    body = request.body
    if body is not None:
        headers["Content-Type"] = request.media
        body = body if isinstance(body, bytes) else msgspec.json.encode(body)
    try:
        connection.request(request.method, target, body=body, headers=headers)
        return connection, connection.getresponse()
    except (OSError, ValueError, http.client.HTTPException) as error:
        connection.close()
        if isinstance(error, ConnectionRefusedError):
            raise _NotThere("server-unreachable", f"{server.url} does not answer.") from None
        raise _unreachable(server, error) from None


def _trusting(server: ServerFile) -> ssl.SSLContext:
    """Whom to believe: the certificate that the folder names and no other; else what the machine trusts."""
    if server.certificate is None:
        return ssl.create_default_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # It need not be for the loopback address: being exactly this one proves more than a name does.
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(server.certificate)
    except OSError as error:
        raise ServiceError("file-unreadable", f"{server.certificate} cannot be read ({error}).") from None
    return context


class _NotThere(ServiceError):
    """Nothing listens at the server's address, so nothing was asked."""


def _unreachable(server: ServerFile, error: Exception) -> ServiceError:
    return ServiceError("server-unreachable", f"{server.url} does not answer ({str(error) or type(error).__name__}).")


def _understood(server: ServerFile, status: int, content: bytes) -> Any:
    try:
        value = msgspec.json.decode(content) if content else None
    except msgspec.DecodeError:
        raise ServiceError("server-unreachable", f"{server.url} answers with something that is not JSON.") from None
    if status < 400:
        return value
    refusal = error_of(value) if isinstance(value, dict) else None
    raise refusal or ServiceError("server-unreachable", f"{server.url} answers with the status {status}.")
