"""The practice company as a whole: its files, its credentials, and its four servers in one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from segue.sandbox import billing, crm, support, usage
from segue.sandbox.customers import Customer, customers
from segue.sandbox.database import EDITION, Database, create
from segue.sandbox.knobs import Knobs
from segue.sandbox.system import ADMIN_HEADER, System

NAMES = ("crm", "billing", "usage", "support")
_SYSTEMS: dict[str, type[System]] = {
    "crm": crm.Crm,
    "billing": billing.Billing,
    "usage": usage.Usage,
    "support": support.Support,
}
_HOST = "127.0.0.1"


class CompanyError(Exception):
    """The company cannot start; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class RunningSystem:
    """One of the four, up and listening.

    Attributes:
        origin: `http://host:port`; /openapi.json, /_knobs, /_stats and /_reset are here.
    """

    name: str
    origin: str
    system: System

    @property
    def url(self) -> str:
        """Base address of its operations, without a slash at the end."""
        return self.origin + self.system.contract.base_path

    @property
    def openapi_url(self) -> str:
        return self.origin + "/openapi.json"

    @property
    def credentials(self) -> dict[str, Any]:
        """How to sign in, with `kind` one of `oauth2`, `basic`, `bearer`, `api_key`."""
        return self.system.credentials

    @property
    def admin_token(self) -> str:
        """What the administrative addresses ask for, in the header X-Admin-Token."""
        return self.system.admin_token

    def stats(self, *, after: int = 0) -> dict[str, Any]:
        """The system's own count; `after` leaves out writes up to that `last_sequence`."""
        return self.system.statistics(after=after)

    def turn(self, **knobs: Any) -> Knobs:
        """Set knobs; see `Knobs`.

        Raises:
            ValueError: A knob is unknown here or its value does not fit.
        """
        return self.system.turn(**knobs)

    def reset(self) -> None:
        """Forget what clients wrote, and all counts."""
        self.system.ledger.reset()

    def described(self) -> dict[str, Any]:
        """What a client needs to know, as it stands in practice.json."""
        return {
            "url": self.url,
            "openapi": self.openapi_url,
            "credentials": self.credentials,
            "admin": {
                "header": ADMIN_HEADER,
                "token": self.admin_token,
                "knobs": f"{self.origin}/_knobs",
                "stats": f"{self.origin}/_stats",
                "reset": f"{self.origin}/_reset",
            },
        }


class PracticeCompany:
    """Four simulated vendors over one directory, as an async context manager.

    Everything a client caused is in the directory's files before it is answered; starting again over the same
    directory, even after a kill, goes on with the same customers, credentials, ports and counts.

    Args:
        directory: Where the files are; None for a temporary one that goes when the company stops.
        today: The company's date, from which renewals are counted. A directory keeps the one it was made
            with. None: the directory's, or the current date (UTC) for a new one.
        port_base: Ports are this and the next three; 0 for the ports of the last start, or free ones.
    """

    def __init__(self, directory: Path | str | None = None, *, today: date | None = None, port_base: int = 0) -> None:
        self._stack = contextlib.AsyncExitStack()
        self._given_directory = None if directory is None else Path(directory)
        self._given_today = today
        self._port_base = port_base
        self.directory = Path()
        self.today = today or date.min
        self.systems: dict[str, RunningSystem] = {}

    async def __aenter__(self) -> PracticeCompany:
        async with contextlib.AsyncExitStack() as stack:
            self.directory = self._given_directory or Path(stack.enter_context(TemporaryDirectory()))
            self.directory.mkdir(parents=True, exist_ok=True)
            self.today = _prepare(self.directory, self._given_today)
            earlier = self._earlier()
            sockets = stack.enter_context(_listening(self._ports(earlier)))
            servers = [
                await self._start(stack, name, sockets[name], earlier.get(name) or _new_secrets(name))
                for name in NAMES
            ]
            # First of all when it stops: told one after the other, they would take four times as long.
            stack.callback(_tell_to_stop, servers)
            self._write_description()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def stats(self) -> dict[str, dict[str, Any]]:
        """Every system's own count, by name."""
        return {name: running.stats() for name, running in self.systems.items()}

    def described(self) -> dict[str, Any]:
        """Addresses and credentials, as they stand in practice.json."""
        return {
            "today": str(self.today),
            "systems": {name: running.described() for name, running in self.systems.items()},
        }

    async def _start(
        self, stack: contextlib.AsyncExitStack, name: str, listening: socket.socket, kept: dict[str, Any]
    ) -> _Server:
        db = Database(self.directory / f"{name}.sqlite3")
        stack.callback(db.close)
        system = _SYSTEMS[name](db, user=kept["user"], secret=kept["secret"], admin_token=kept["admin_token"])
        system.origin = f"http://{_HOST}:{listening.getsockname()[1]}"
        self.systems[name] = RunningSystem(name, system.origin, system)
        return await stack.enter_async_context(_serving(system, listening))

    @property
    def _secrets_path(self) -> Path:
        return self.directory / "practice.json"

    def _earlier(self) -> dict[str, Any]:
        """Ports and secrets of each system, from what the last start over this directory wrote."""
        if not self._secrets_path.exists():
            return {}
        written: dict[str, Any] = json.loads(self._secrets_path.read_text())["systems"]
        return {name: _kept(described) for name, described in written.items()}

    def _ports(self, earlier: dict[str, Any]) -> dict[str, int]:
        if self._port_base:
            return {name: self._port_base + place for place, name in enumerate(NAMES)}
        return {name: earlier[name]["port"] if earlier else 0 for name in NAMES}

    def _write_description(self) -> None:
        path = self._secrets_path.with_suffix(".unfinished")
        # Born unreadable to others: it holds credentials, if only a practice company's.
        path.touch(mode=0o600)
        path.write_text(json.dumps(self.described(), indent=2) + "\n")
        path.replace(self._secrets_path)


def _new_secrets(name: str) -> dict[str, str]:
    return {"user": f"{name}-client", "secret": secrets.token_urlsafe(24), "admin_token": secrets.token_urlsafe(24)}


def _kept(described: dict[str, Any]) -> dict[str, Any]:
    given = described["credentials"]
    return {
        "port": urlsplit(described["url"]).port,
        "user": given.get("client_id") or given.get("username") or "",
        "secret": next(given[name] for name in ("client_secret", "password", "token", "key") if name in given),
        "admin_token": described["admin"]["token"],
    }


def _prepare(directory: Path, today: date | None) -> date:
    """Make the files that are missing, and say what the company's date is.

    Raises:
        CompanyError: The directory belongs to another date or edition.
    """
    present = [path for name in NAMES if (path := directory / f"{name}.sqlite3").exists()]
    if present:
        db = Database(present[0])
        made, edition = date.fromisoformat(db.setting("today")), db.setting("edition")
        db.close()
        if edition != EDITION or (today is not None and made != today):
            raise CompanyError(
                f"{directory} was made for {made} (edition {edition}), not for {today or made} (edition {EDITION}). "
                "Use another directory, or delete this one."
            )
        today = made
    today = today or datetime.now(UTC).date()
    if len(present) < len(NAMES):
        _fill(directory, today)
    return today


def _fill(directory: Path, today: date) -> None:
    everybody = list(customers(today))
    tables: dict[str, tuple[str, dict[str, Any]]] = {
        "crm": (crm.SCHEMA, {"accounts": crm.rows}),
        "billing": (billing.SCHEMA, {"clients": billing.rows}),
        "usage": (usage.SCHEMA, {"customers": usage.rows}),
        "support": (support.SCHEMA, {"requesters": support.requester_rows, "tickets": support.ticket_rows}),
    }
    for name, (schema, rows) in tables.items():
        path = directory / f"{name}.sqlite3"
        if not path.exists():
            create(path, schema, today, {table: _each(everybody, make) for table, make in rows.items()})


def _each(everybody: list[Customer], make: Any) -> Iterator[tuple[Any, ...]]:
    for customer in everybody:
        yield from make(customer)


@contextlib.contextmanager
def _listening(ports: dict[str, int]) -> Iterator[dict[str, socket.socket]]:
    """Bound sockets, so that addresses are known, and taken, before anything is served."""
    with contextlib.ExitStack() as stack:
        sockets = {}
        for name, port in ports.items():
            # asyncio turns off Nagle's delay (40 ms an answer) only where the protocol is named.
            made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            sockets[name] = stack.enter_context(contextlib.closing(made))
            sockets[name].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sockets[name].bind((_HOST, port))
            except OSError as error:
                remedy = "Stop what listens there, or give another port base."
                raise CompanyError(f"{name} cannot use port {port}: {error.strerror}. {remedy}") from error
        yield sockets


class _Protocol(H11Protocol):
    """HTTP/1.1 whose application may close the connection instead of answering."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        served = self.app

        async def app(scope: Any, receive: Any, send: Any) -> None:
            scope["sandbox.abort"] = self.transport.abort
            await served(scope, receive, send)

        self.app = app


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the program that runs the company."""
        yield


def _tell_to_stop(servers: list[_Server]) -> None:
    for server in servers:
        server.should_exit = True


@contextlib.asynccontextmanager
async def _serving(system: System, listening: socket.socket) -> AsyncIterator[_Server]:
    config = uvicorn.Config(
        system,
        http=_Protocol,
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
        backlog=1024,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        # uvicorn tells of its start by a flag alone.
        while not server.started and not task.done():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        yield server
    finally:
        server.should_exit = True
        await task
