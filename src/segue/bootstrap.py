"""The one place where everything meets: settings become a service, a service becomes a server."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import secrets
import shutil
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from segue.service import (
    Service,
    ServiceError,
    Settings,
    Workspaces,
    WorkspaceView,
    address_of,
    load_settings,
    locked,
    open_service,
    require_installation,
)

if TYPE_CHECKING:
    from segue.api.workspaces import Border

SERVER_FILE: Final = "server.json"
NOBODY_NAME: Final = ".nobody"
TOKEN_FILE: Final = "token"  # noqa: S105 - a name
_DRAIN_SECONDS: Final = 10


class ServerFile(msgspec.Struct, frozen=True):
    """Where a running server answers. It lies in the data folder, readable by its owner only.

    Attributes:
        certificate: File with the server's own certificate, which is trusted whatever name it is for: the folder's
            owner wrote down here which one it is.
    """

    url: str
    token: str
    pid: int
    certificate: str | None = None


def read_server_file(folder: Path) -> ServerFile | None:
    """The server of a data folder, None where none runs.

    Raises:
        ServiceError: `file-unreadable`.
    """
    path = folder / SERVER_FILE
    try:
        found = msgspec.json.decode(path.read_bytes(), type=ServerFile)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise ServiceError("file-unreadable", f"{path} cannot be read ({error}).") from None
    # A server that was killed leaves its file behind.
    return found if _is_alive(found.pid) else None


def open_folder(folder: Path) -> contextlib.AbstractAsyncContextManager[Service]:
    """A data folder without a host: for reading, publishing and connections."""
    return open_service(folder, load_settings(folder), drive=False, base=Path.cwd())


async def serve(
    folder: Path, settings: Settings, *, started: Callable[[ServerFile, bool], None], log_level: str = "warning"
) -> None:
    """Serve a data folder until SIGTERM or SIGINT.

    Args:
        started: Called once the server answers, with its address and whether its token was made just now.

    Raises:
        ServiceError: `folder-busy`, `folder-unusable`, or `setting-refused` where the address cannot be bound, the
            certificate cannot be used, or others could listen to what is said.
    """
    # FastAPI and uvicorn take most of a second to import: only serving pays for it.
    from segue.api import create_app

    _require_secrecy(settings)
    signals = _Signals()
    with signals, contextlib.closing(_bind(settings)) as listener:
        async with open_service(folder, settings, alone=True, local=None) as service:
            token, fresh = _token(folder)
            app, stopping = create_app(service, token=token, settings=settings)
            place = _place(settings, listener, token)
            with _announced(folder, place):
                _listen(listener, settings)
                await _answer(
                    app, settings, listener, signals, stopping.set, log_level, lambda: started(place, fresh)
                )


async def serve_workspaces(
    folder: Path,
    settings: Settings,
    load: Callable[[Path], Settings],
    *,
    started: Callable[[ServerFile, bool, list[WorkspaceView]], None],
    log_level: str = "warning",
) -> None:
    """Serve every workspace of a folder until SIGTERM or SIGINT.

    Args:
        settings: Of the server. load: Reads those of a workspace.
        started: Called once the server answers, with its address, whether its token was made just now, and the
            workspaces that there are.

    Raises:
        ServiceError: As for `serve`; a workspace that cannot be opened stops nothing.
    """
    require_installation(folder)
    _require_secrecy(settings)
    signals = _Signals()
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(signals)
        listener = stack.enter_context(contextlib.closing(_bind(settings)))
        stack.enter_context(locked(folder))
        token, fresh = _token(folder)
        place = _place(settings, listener, token)
        border, workspaces = await stack.enter_async_context(open_border(folder, settings, load, place))
        stack.enter_context(_announced(folder, place))
        _listen(listener, settings)
        known = workspaces.list()
        await _answer(
            border, settings, listener, signals, border.stop, log_level, lambda: started(place, fresh, known)
        )


@contextlib.asynccontextmanager
async def open_border(
    folder: Path, settings: Settings, load: Callable[[Path], Settings], place: ServerFile
) -> AsyncIterator[tuple[Border, Workspaces]]:
    """The workspaces of a folder, and the application that leads to them."""
    from segue.api.workspaces import Border, Front

    front = Front(token=place.token, settings=settings)
    async with _nobody(folder, settings) as nobody:
        border = Border(front, nobody, token=secrets.token_urlsafe(32), settings=settings)
        async with Workspaces(folder, load, _Door(border, place)) as workspaces:
            front.workspaces = workspaces
            yield border, workspaces


class _Door:
    """Opens the border for a workspace, and writes down in its folder where it answers."""

    def __init__(self, border: Border, server: ServerFile) -> None:
        self._border = border
        self._server = server

    def admit(self, folder: Path, service: Service, settings: Settings) -> None:
        token, _ = _token(folder)
        url = self._server.url + address_of(folder.name)
        self._border.admit(folder.name, service, token=token, settings=settings)
        try:
            write_private(folder / SERVER_FILE, msgspec.json.encode(replace(self._server, url=url, token=token)))
        except OSError:
            self._border.refuse(folder.name)
            raise

    async def dismiss(self, folder: Path) -> None:
        (folder / SERVER_FILE).unlink(missing_ok=True)
        await self._border.dismiss(folder.name)


@contextlib.asynccontextmanager
async def _nobody(above: Path, settings: Settings) -> AsyncIterator[Service]:
    """An empty folder that nobody belongs to, made anew each time."""
    folder = above / NOBODY_NAME
    shutil.rmtree(folder, ignore_errors=True)
    bare = Settings(max_body_bytes=settings.max_body_bytes)
    async with open_service(folder, bare, drive=False, signed=False, local=None, among=True) as service:
        yield service
    shutil.rmtree(folder, ignore_errors=True)


def _place(settings: Settings, listener: socket.socket, token: str) -> ServerFile:
    return ServerFile(url=_url(settings, listener), token=token, pid=os.getpid(), certificate=settings.tls_cert_file)


@contextlib.contextmanager
def _announced(folder: Path, place: ServerFile) -> Iterator[None]:
    """Tell commands on this machine where the server is."""
    write_private(folder / SERVER_FILE, msgspec.json.encode(place))
    try:
        yield
    finally:
        (folder / SERVER_FILE).unlink(missing_ok=True)


async def _answer(
    app: Any,
    settings: Settings,
    listener: socket.socket,
    signals: _Signals,
    stopping: Callable[[], None],
    log_level: str,
    started: Callable[[], None],
) -> None:
    """Answer requests until a signal comes.

    Args:
        stopping: Called at the signal: streams are to end.
    """
    import uvicorn

    from segue.api.patience import PatientProtocol

    config = uvicorn.Config(
        app,
        log_level=log_level,
        access_log=False,
        lifespan="off",
        server_header=False,
        http=PatientProtocol,
        ssl_certfile=settings.tls_cert_file,
        ssl_keyfile=settings.tls_key_file,
        # From anybody else, a header could claim another address, and TLS where there is none.
        proxy_headers=bool(settings.behind_proxy),
        forwarded_allow_ips=list(settings.behind_proxy),
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    server = uvicorn.Server(config)
    # uvicorn raises the signal again when it is done, which would kill the process before the service is
    # closed. So it gets to see none.
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]

    def stop() -> None:
        # A second signal is a wish not to wait.
        server.force_exit = server.should_exit
        server.should_exit = True
        stopping()

    signals.then(stop)
    started()
    await server.serve(sockets=[listener])


class _Signals:
    """SIGINT and SIGTERM from the first moment on; what comes before `then` is told to it."""

    def __init__(self) -> None:
        self._early = False
        self._act: Callable[[], None] | None = None

    def then(self, act: Callable[[], None]) -> None:
        """What to do at each signal."""
        self._act = act
        if self._early:
            act()

    def __enter__(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._came)

    def __exit__(self, *_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().remove_signal_handler(number)

    def _came(self) -> None:
        self._early = True
        if self._act is not None:
            self._act()


def _require_secrecy(settings: Settings) -> None:
    """Passwords and tokens never go over a network in plain text because somebody forgot a setting."""
    if settings.tls_cert_file is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_cert_file, settings.tls_key_file)
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise ServiceError(
                "setting-refused",
                f"The certificate {settings.tls_cert_file} cannot be used: {why}.",
                remedy="Name PEM files that belong together: `tls_cert_file`, and `tls_key_file` without a password.",
            ) from None
    elif not settings.behind_proxy and not _is_loopback(settings.host):
        raise ServiceError(
            "setting-refused",
            f"Everybody on the way could read what is said to {settings.host} in plain text.",
            remedy="Set `tls_cert_file`; or name the proxy that ends TLS with --behind-proxy; or bind to 127.0.0.1.",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bind(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise _not_bound(settings, error) from None
    listener.set_inheritable(False)
    return listener


def _listen(listener: socket.socket, settings: Settings) -> None:
    """Let clients in. Only now: until the service can answer they are refused at once and need not wait."""
    try:
        listener.listen(2048)
    except OSError as error:
        raise _not_bound(settings, error) from None


def _not_bound(settings: Settings, error: OSError) -> ServiceError:
    return ServiceError(
        "setting-refused",
        f"{settings.host}:{settings.port} cannot be bound: {error.strerror or error}.",
        remedy="Choose another --host or --port, or stop what listens there; port 0 takes a free one.",
    )


def _url(settings: Settings, listener: socket.socket) -> str:
    port = listener.getsockname()[1]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - not bound here
    scheme = "http" if settings.tls_cert_file is None else "https"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _token(folder: Path) -> tuple[str, bool]:
    """The token of the data folder, and whether it was made just now."""
    path = folder / TOKEN_FILE
    try:
        known = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        known = ""
    if len(known) >= 32:
        return known, False
    token = secrets.token_urlsafe(32)
    write_private(path, token.encode() + b"\n")
    return token, True


def write_private(path: Path, content: bytes) -> None:
    """Replace a file as a whole; only its owner may read it at any moment."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    part.replace(path)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
