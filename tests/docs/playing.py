"""Playing a page: a person in an empty folder who does what the page says, block after block.

Two terminals are enough for every page: one shell for all `sh` blocks, and for each block that ends with a server a
terminal of its own, which stays open until the page is played.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path
from queue import Empty, Queue
from typing import Any, Final

import yaml
from tests.docs.reading import ROOT, Block

from segue.dsl.expressions import compile_expression
from segue.governance import Policies, shipped

STEP_SECONDS_MAX: Final = 60.0
_SERVER: Final = re.compile(r"^(?:segue serve|python -m segue\.sandbox serve)\b", re.MULTILINE)
_READY: Final = re.compile(r'^(?:Segue serves |\{"today")', re.MULTILINE)
_DONE: Final = "block done:"
_PORT_BASE: Final = 8701
"""The port of the first of four systems, as the pages have it."""

# What differs between two machines or two days, and a word for it.
_VARYING: Final = [
    (re.compile(r"\b[0-9a-f]{12}-[0-9a-f]{12}(?:~\d+)?\b"), "RUN"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"), "TIME"),
    (re.compile(r"\b\d+(?:\.\d+)? (?:ms|s|min)(?![\w])"), "LONG"),
    (re.compile(r"127\.0\.0\.1:\d+"), "ADDRESS"),
    (re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{12,64}\b"), "DIGEST"),
    (re.compile(r"(?<=/token: )\S+"), "TOKEN"),
    (re.compile(r" +"), " "),
]


class Player:
    """Plays the blocks of one page in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said = ""
        (folder / ".venv").symlink_to(sys.prefix)
        self._ports = _four_free_ports()
        self._shell: Shell | None = None
        self._servers: list[Server] = []
        self._modules: list[str] = []

    def close(self) -> None:
        """Close every terminal."""
        for server in self._servers:
            server.stop()
        if self._shell is not None:
            self._shell.close()

    def play(self, block: Block) -> None:
        """Do what a block says; an AssertionError where it is not as the page tells."""
        text = self._with_free_ports(block.text)
        if block.saved_as:
            path = self.folder / block.saved_as
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        match block.language:
            case "yaml":
                self._check_yaml(block, text)
            case "python" if block.saved_as:
                compile(text, block.place, "exec")
                self._modules += [Path(block.saved_as).stem] if "@segue.function" in text else []
            case "python":
                self._run([sys.executable, "-c", text])
            case "sh":
                self._type(block, text)
            case "console":
                self._type_lines(text)
            case "text":
                _assert_same(text, self.said)
            case "json":
                json.loads(text)
            case "toml":
                tomllib.loads(text)
            case "jq":
                compile_expression(text, variables=())
            case "cedar":
                Policies({**shipped(), "page": text})
            case "":
                pass
            case other:
                raise AssertionError(f"nobody knows how to play a block of {other!r}")

    def _type(self, block: Block, text: str) -> None:
        if _SERVER.search(text.strip().splitlines()[-1]):
            server = Server(text, self.folder, self._environment())
            self._servers.append(server)
            self.said = server.wait_until_ready()
            return
        self.said, code = self._in_shell(text)
        wanted = int(block.remarks.get("exit code", "0"))
        assert code == wanted, f"ended with {code}, not {wanted}:\n{self.said}"

    def _type_lines(self, text: str) -> None:
        """Commands behind `$`, each followed by what it prints."""
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            said, code = self._in_shell(command + "\n")
            assert code == 0, said
            if shown.strip():
                _assert_same(shown, said)

    def _in_shell(self, text: str) -> tuple[str, int]:
        if self._shell is None:
            self._shell = Shell(self.folder, self._environment())
        return self._shell.type(text)

    def _check_yaml(self, block: Block, text: str) -> None:
        content = yaml.safe_load(text)
        if isinstance(content, list) and all(isinstance(item, dict) and len(item) == 1 for item in content):
            content = {"do": content}
        if not (isinstance(content, dict) and "do" in content):
            return
        whole = "document" in content
        content = {"document": {"dsl": "1.0.3", "namespace": "d", "name": "d", "version": "1.0.0"}, **content}
        functions = [word for module in self._modules for word in ("--function", module)]
        # Through its own text, so that line numbers and the rules of YAML 1.2 count; a fragment has none to lose.
        source = text if whole else json.dumps(content)
        command = [sys.executable, "-m", "segue", "validate", "-", "--allow-processes", *functions]
        self._run(command, source, code=2 if "refused" in block.remarks else 0)

    def _run(self, command: list[str], given: str = "", *, code: int = 0) -> None:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self._environment(),
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=STEP_SECONDS_MAX,
        )
        self.said = done.stdout
        assert done.returncode == code, f"ended with {done.returncode}, not {code}:\n{self.said}"

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SEGUE_", "PYTEST"))}
        binaries = Path(sys.executable).parent
        # Any port will do, and output in the order in which a terminal shows it.
        mine = {"SEGUE_PORT": "0", "PYTHONUNBUFFERED": "1", "NO_COLOR": "1", "COLUMNS": "80"}
        return {
            **kept,
            **mine,
            "PATH": f"{binaries}{os.pathsep}{kept.get('PATH', '')}",
            "PYTHONPATH": str(ROOT / "src"),
        }

    def _with_free_ports(self, text: str) -> str:
        for offset in range(4):
            text = re.sub(rf"\b{_PORT_BASE + offset}\b", str(self._ports + offset), text)
        return text


class Shell:
    """One bash for all blocks of a page, so that what one block exports holds in the next."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._lines: Queue[str] = Queue()
        self._block = folder / ".block.sh"
        threading.Thread(target=self._read, daemon=True).start()
        assert self._process.stdin is not None
        self._process.stdin.write("set -E; trap 'failed=${failed:-$?}' ERR\n")

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)

    def type(self, text: str) -> tuple[str, int]:
        """What a block prints, and the exit code of its first command that fails; 0 where none does."""
        self._block.write_text(text, encoding="utf-8")
        assert self._process.stdin is not None
        self._process.stdin.write(
            f"failed=; . {shlex.quote(str(self._block))} </dev/null; echo; echo {_DONE}${{failed:-0}}\n"
        )
        self._process.stdin.flush()
        said = ""
        deadline = time.monotonic() + STEP_SECONDS_MAX
        while True:
            try:
                line = self._lines.get(timeout=max(deadline - time.monotonic(), 0.001))
            except Empty:
                raise AssertionError(f"still at it after {STEP_SECONDS_MAX} s:\n{said}") from None
            if line.startswith(_DONE):
                return said, int(line.removeprefix(_DONE))
            said += line

    def close(self) -> None:
        """End the shell and what it may have left running."""
        _end(self._process)


class Server:
    """A terminal in which a server runs."""

    def __init__(self, text: str, folder: Path, environment: dict[str, str]) -> None:
        self._log = folder / f".server-{time.monotonic_ns()}.log"
        # The server takes the shell's place, so that signals reach it.
        script = _SERVER.sub(lambda found: f"exec {found[0]}", text)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["bash", "--noprofile", "--norc", "-e", "-c", script],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_ready(self) -> str:
        """What it said until it was ready."""
        deadline = time.monotonic() + STEP_SECONDS_MAX
        while not _READY.search(said := self._log.read_text(encoding="utf-8", errors="replace")):
            assert self._process.poll() is None, f"ended with {self._process.returncode}:\n{said}"
            assert time.monotonic() < deadline, f"not ready after {STEP_SECONDS_MAX} s:\n{said}"
            time.sleep(0.05)
        return said

    def stop(self) -> None:
        """As Ctrl-C would."""
        _end(self._process)


def _end(process: subprocess.Popen[Any]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _assert_same(shown: str, said: str) -> None:
    """What the page shows is what was printed; a line `…` stands for any lines."""
    parts = [_plain(part) for part in re.split(r"^ *… *\n", shown, flags=re.MULTILINE)]
    pattern = "(?:.*\n)*?".join(re.escape(part) for part in parts)
    assert re.fullmatch(pattern, _plain(said)), f"the page shows\n{shown}\nbut it was\n{said}"


def _plain(text: str) -> str:
    for pattern, word in _VARYING:
        text = pattern.sub(word, text)
    lines = [line.strip() for line in text.splitlines()]
    return "".join(f"{line}\n" for line in lines if line)


def _four_free_ports() -> int:
    """A port that is free like the three after it."""
    for base in range(20_000 + os.getpid() % 5_000 * 4, 60_000, 4):
        if all(_is_free(base + offset) for offset in range(4)):
            return base
    raise AssertionError("no four ports in a row are free")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
