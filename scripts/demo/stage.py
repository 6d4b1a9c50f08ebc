"""The two programs of the story, as processes of their own: the practice company and Segue."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from scripts.demo.show import say

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "src" / "segue" / "catalog" / "templates" / "renewal-risk"
MODEL = ROOT / "src" / "segue" / "sandbox" / "model"
START_SECONDS_MAX = 60
# One client for all: a new one reads all certificate authorities, which costs more than the request. Connections are
# not kept: who answers them may have been killed since.
_HTTP = httpx.Client(limits=httpx.Limits(max_keepalive_connections=0))
SYSTEMS = ("crm", "billing", "usage", "support")


class StageError(Exception):
    """Something on the stage did not come up; the message says what and where its log is."""


def _inherited(beside: Path) -> dict[str, str]:
    """Our own environment. Where Python may not keep its bytecode beside the sources it keeps it here.

    Without any, a server compiles all its sources at each start, and a campaign starts it a thousand times.
    """
    inherited = dict(os.environ)
    if inherited.pop("PYTHONDONTWRITEBYTECODE", ""):
        inherited["PYTHONPYCACHEPREFIX"] = str(beside.resolve() / "bytecode")
    return inherited


class Program:
    """A child process whose output goes to a log file."""

    def __init__(self, title: str, command: list[str], log: Path, environment: dict[str, str] | None = None) -> None:
        self.title = title
        self.command = command
        self.log = log
        self.environment = environment or {}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; its own process group, so that a Ctrl-C here reaches us first."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**_inherited(self.log.parent), **self.environment},
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL: no chance to write anything more."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """SIGTERM, then wait; SIGKILL when it does not listen."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.kill()

    def check(self) -> None:
        """Raise if it ended by itself."""
        if self.process is not None and self.process.poll() is not None:
            tail = self.log.read_text(errors="replace").splitlines()[-15:]
            raise StageError(f"{self.title} ended with {self.process.returncode}; {self.log}:\n" + "\n".join(tail))


class Practice:
    """The practice company."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "practice"
        command = [sys.executable, "-m", "segue.sandbox", "serve", "--data", str(self.folder)]
        self.program = Program("the practice company", command, folder / "practice.log")
        self.systems: dict[str, dict[str, Any]] = {}

    def start(self) -> None:
        """Start it and read where its systems are."""
        self.program.start()
        place = self.folder / "practice.json"
        deadline = time.monotonic() + START_SECONDS_MAX
        while not (place.exists() and self._answers(place)):
            self.program.check()
            if time.monotonic() > deadline:
                raise StageError(f"the practice company did not start; see {self.program.log}")
            time.sleep(0.1)

    def _answers(self, place: Path) -> bool:
        try:
            self.systems = json.loads(place.read_text())["systems"]
            self.stats()
        except (ValueError, httpx.TransportError):
            return False
        return True

    def stats(self) -> dict[str, dict[str, Any]]:
        """What each system counted itself."""
        return {name: self._admin("GET", name, "stats") for name in self.systems}

    def turn(self, name: str, **knobs: Any) -> None:
        """Make a system slow, faulty or forgetful."""
        self._admin("PUT", name, "knobs", knobs)

    def reset(self) -> None:
        """Forget all writes and counts."""
        for name in self.systems:
            self._admin("POST", name, "reset")

    def _admin(self, method: str, name: str, what: str, body: Any = None) -> Any:
        admin = self.systems[name]["admin"]
        headers = {admin["header"]: admin["token"]}
        reply = _HTTP.request(method, admin[what], headers=headers, json=body, timeout=30)
        reply.raise_for_status()
        return reply.json() if reply.content else None


class Server:
    """`segue serve` on a data folder of its own."""

    def __init__(self, folder: Path, credentials: dict[str, str], *, port: int) -> None:
        self.folder = folder / "segue"
        port = free_port(port)
        self.url = f"http://127.0.0.1:{port}"
        settings = {
            "SEGUE_OUTBOUND_ALLOW_LOOPBACK": "true",
            "SEGUE_CONNECTION_VARIABLES": "PRACTICE_*",
            **credentials,
        }
        command = [sys.executable, "-m", "segue", "serve", "--data", str(self.folder), "--port", str(port)]
        self.program = Program("segue serve", command, folder / "segue.log", settings)
        self.environment = settings

    def install_model(self) -> None:
        """Put the churn model where the administrator keeps models."""
        models = self.folder / "models"
        models.mkdir(parents=True, exist_ok=True)
        for name in ("churn.json", "churn.onnx"):
            shutil.copy(MODEL / name, models / name)

    def start(self) -> None:
        """Start it and wait until it is ready."""
        self.program.start()
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self._answers():
            self.program.check()
            if time.monotonic() > deadline:
                raise StageError(f"segue serve did not start; see {self.program.log}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            return _HTTP.get(self.url + "/api/v1/ready", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def command(self, *words: str) -> str:
        """Run one `segue` command against this server and return what it printed."""
        command = [sys.executable, "-m", "segue", *words, "--data", str(self.folder)]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **self.environment})
        if done.returncode != 0:
            raise StageError(f"{' '.join(words)} failed:\n{done.stderr or done.stdout}")
        return done.stdout

    def get(self, path: str, **query: Any) -> Any:
        """GET from the HTTP API."""
        return self._ask("GET", path, params=query)

    def post(self, path: str, body: Any) -> Any:
        """POST to the HTTP API."""
        return self._ask("POST", path, json=body)

    def _ask(self, method: str, path: str, **content: Any) -> Any:
        headers = {"Authorization": f"Bearer {self._token()}"}
        reply = _HTTP.request(method, self.url + "/api/v1" + path, headers=headers, timeout=60, **content)
        reply.raise_for_status()
        return reply.json()

    def _token(self) -> str:
        return (self.folder / "token").read_text().strip()


def play(folder: Path, port: int, story: Callable[[Practice, Server], int]) -> int:
    """Open the practice company in an emptied folder, tell a story with it and a server, and stop both programs.

    Args:
        story: Gets the company, which is open, and the server, which is not started; returns the exit code.

    Returns:
        The exit code; 1 where something did not come up, 130 where somebody interrupted.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    practice = Practice(folder)
    server: Server | None = None
    # So that an interruption also stops the two programs.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    try:
        practice.start()
        server = Server(folder, credentials_of(practice.systems), port=port)
        return story(practice, server)
    except StageError as error:
        say(f"[red]{error}[/red]")
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if server is not None:
            server.program.stop()
        practice.program.stop()


def free_port(wanted: int) -> int:
    """This port if nothing listens on it, otherwise any free one; 0 wants any."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def credentials_of(systems: dict[str, dict[str, Any]]) -> dict[str, str]:
    """The practice company's credentials as environment variables; connections refer to them by name."""
    found = {}
    for name, system in systems.items():
        for field, value in system["credentials"].items():
            if field in ("client_id", "client_secret", "username", "password", "token", "key"):
                found[f"PRACTICE_{name}_{field}".upper()] = value
    return found
