"""`run.script` and `run.shell`: programs on this machine. Off unless an administrator allows them.

A program gets a private temporary folder as its working directory, a minimal environment, a time limit and an
output limit. It is started by a supervisor (`_supervisor.py`) that adopts all of its descendants and kills them when
the program ends, when the act is cancelled, and when the service itself dies. This bounds a program; it does not
confine one: it runs as the service's user and may read what that user may read.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from segue.connectors import Outbound, TokenCache, authenticator, is_success, refused
from segue.governance import Redactor
from segue.handlers.acting import act_with_secrets
from segue.handlers.http import endpoint_of
from segue.handlers.settings import ProcessSettings
from segue.types import NOT_DONE, EffectContext, Perform, Recovery, fail

_SUPERVISOR: Final = str(Path(__file__).with_name("_supervisor.py"))
_RETURNS: Final = ("stdout", "stderr", "code", "all", "none")
_CHUNK_BYTES: Final = 65_536
_SHOWN_CHARACTERS: Final = 400
_PYTHON_RUNNER: Final = """\
import json, runpy, sys
with open(sys.argv.pop(1), encoding="utf-8") as file:
    named = json.load(file)
sys.argv[0] = sys.argv[0].replace("run.py", "script.py")
runpy.run_path(sys.argv[0], named, "__main__")
"""
_JS_RUNNER: Final = """\
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
const [variables] = process.argv.splice(2, 1);
globalThis.require = createRequire(import.meta.url);
Object.assign(globalThis, JSON.parse(readFileSync(variables, "utf8")));
await import("./script.mjs");
"""


class Outcome(msgspec.Struct, frozen=True):
    """How a program ended. The exit code of a program killed by signal n is 128 + n."""

    code: int
    stdout: str
    stderr: str


class _ProcessHandler(ABC):
    """What scripts and shell commands have in common."""

    kind = ""

    def __init__(self, settings: ProcessSettings, outbound: Outbound, tokens: TokenCache) -> None:
        self._settings = settings
        self._outbound = outbound
        self._tokens = tokens
        self._slots = asyncio.Semaphore(settings.concurrency)

    async def perform(self, command: Perform, context: EffectContext) -> Any:
        """Run the program to its end; the result is what `return` names (ruling R20)."""
        self._refuse_unless_allowed()
        return await act_with_secrets(command.arguments, context, self._act)

    def recovery(self, command: Perform) -> Recovery:
        """As the administrator declares; `ask` unless told otherwise."""
        return self._settings.recovery

    async def verify(self, command: Perform, context: EffectContext) -> Any:
        """Never needed: programs cannot be looked up."""
        return NOT_DONE

    def _refuse_unless_allowed(self) -> None:
        allowed = self._settings.allow_scripts if self.kind == "script" else self._settings.allow_shell
        if not allowed:
            raise fail(
                "configuration",
                f"run.{self.kind} is off in this installation: an administrator can allow it in the settings.",
            )

    async def _act(self, arguments: dict[str, Any], redactor: Redactor) -> Any:
        wanted = arguments.get("return") or "stdout"
        if wanted not in _RETURNS:
            raise fail("validation", f"return must be one of {', '.join(_RETURNS)}, not {wanted!r}.")
        environment = _environment(arguments.get("environment"))
        stdin = _text(arguments.get("stdin"))
        async with self._slots:
            folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="segue-run-")
            try:
                program = await self._program(arguments, Path(folder), redactor)
                outcome = await run_program(
                    program, folder=folder, environment=environment, stdin=stdin, settings=self._settings
                )
            finally:
                # Shielded: a cancelled act must not leave its folder, which may hold revealed secrets.
                await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))
        return _result(outcome, wanted)

    @abstractmethod
    async def _program(self, arguments: dict[str, Any], folder: Path, redactor: Redactor) -> list[str]:
        """The command that runs it, with the files that it needs in the folder."""


class ShellHandler(_ProcessHandler):
    """Runs a command with /bin/sh. The arguments are its `$1`, `$2` …; a map is refused (ruling R3)."""

    kind = "shell"

    async def _program(self, arguments: dict[str, Any], folder: Path, redactor: Redactor) -> list[str]:
        command = arguments.get("command")
        if not isinstance(command, str) or not command.strip():
            raise fail("validation", "run.shell needs a command as text.")
        given = arguments.get("arguments") or []
        if not isinstance(given, list):
            raise fail(
                "validation", "The arguments of run.shell must be a list: a map of options is never guessed at."
            )
        return ["/bin/sh", "-c", command, "sh", *map(_argument, given)]


class ScriptHandler(_ProcessHandler):
    """Runs Python with this interpreter in isolated mode, or JavaScript with node as an ECMAScript module.

    A list of arguments is the script's argv; a map becomes variables the script can read by name (ruling R3).
    """

    kind = "script"

    async def _program(self, arguments: dict[str, Any], folder: Path, redactor: Redactor) -> list[str]:
        language = str(arguments.get("language", "")).lower()
        code = await self._code(arguments, redactor)
        given = arguments.get("arguments")
        named, listed = (given, []) if isinstance(given, dict) else ({}, given or [])
        if not isinstance(listed, list):
            raise fail("validation", "The arguments of run.script must be a list or a map.")
        for name in named:
            if not name.isidentifier():
                raise fail("validation", f"The argument {name!r} cannot be the name of a variable.")
        if language == "python":
            program, suffix, runner = [sys.executable, "-I"], "py", _PYTHON_RUNNER
        elif language in ("js", "javascript"):
            program, suffix, runner = [self._node()], "mjs", _JS_RUNNER
        else:
            raise fail("configuration", f"Scripts are written in python or js, not {language!r}.")
        files = {f"script.{suffix}": code, f"run.{suffix}": runner, "variables.json": json.dumps(named)}
        await asyncio.to_thread(_write, folder, files)
        return [*program, str(folder / f"run.{suffix}"), str(folder / "variables.json"), *map(_argument, listed)]

    async def _code(self, arguments: dict[str, Any], redactor: Redactor) -> str:
        code, source = arguments.get("code"), arguments.get("source")
        if isinstance(code, str):
            return code
        if not isinstance(source, dict):
            raise fail("validation", "run.script needs code as text, or a source with an endpoint.")
        endpoint = endpoint_of(source.get("endpoint"))
        auth = authenticator(endpoint.get("authentication"), self._tokens, redactor.note)
        answer = await self._outbound.send("GET", endpoint["uri"], auth=auth)
        if not is_success(answer.status, redirect=False):
            raise refused(answer)
        return answer.content.decode("utf-8", errors="replace")

    def _node(self) -> str:
        node = self._settings.node or shutil.which("node", path=self._settings.path)
        if node is None:
            raise fail(
                "configuration",
                f"There is no node in {self._settings.path}: install it, or name it in the settings.",
            )
        return node


async def run_program(
    program: list[str],
    *,
    folder: str,
    environment: dict[str, str],
    stdin: str | None,
    settings: ProcessSettings,
) -> Outcome:
    """Run a program under the supervisor until it ends or a limit is reached. Leaves nothing running.

    Raises:
        TaskFailure: `timeout` after the time limit; `runtime` beyond the output limit.
    """
    read_end, write_end = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", _SUPERVISOR, str(read_end), *program,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=folder,
            env=_base_environment(folder, settings) | environment,
            pass_fds=(read_end,),
            start_new_session=True,
        )  # fmt: skip
    except BaseException:
        os.close(write_end)
        raise
    finally:
        os.close(read_end)
    running = _Running(process, write_end, settings.output_limit_bytes)
    try:
        async with asyncio.timeout(settings.time_limit_ms / 1000):
            return await running.finish(stdin)
    except TimeoutError:
        raise fail("timeout", f"The program ran longer than {settings.time_limit_ms} ms and was killed.") from None
    finally:
        await asyncio.shield(running.end())


class _Running:
    """A program under way: its pipes, and the lifeline whose closing ends it."""

    def __init__(self, process: asyncio.subprocess.Process, lifeline: int, output_limit_bytes: int) -> None:
        self._process = process
        self._lifeline: int | None = lifeline
        self._left_bytes = self._limit_bytes = output_limit_bytes

    async def finish(self, stdin: str | None) -> Outcome:
        """Feed the program, read what it writes, and wait for its end.

        Raises:
            TaskFailure: `runtime`, when it wrote more than it may.
        """
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        out, err, _ = await asyncio.gather(
            self._read(self._process.stdout), self._read(self._process.stderr), self._feed(stdin)
        )
        code = await self._process.wait()
        if self._left_bytes < 0:
            raise fail("runtime", f"The program wrote more than {self._limit_bytes} bytes and was killed.")
        return Outcome(code, out.decode("utf-8", errors="replace"), err.decode("utf-8", errors="replace"))

    async def end(self) -> None:
        """Kill what is left of the program and wait until it is gone."""
        self._cut()
        self._left_bytes = 0
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        # Read to their ends, so that the pipes close; the writers are being killed.
        await asyncio.gather(self._read(self._process.stdout), self._read(self._process.stderr))
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._process.wait()

    async def _read(self, stream: asyncio.StreamReader) -> bytes:
        kept: list[bytes] = []
        while chunk := await stream.read(_CHUNK_BYTES):
            self._left_bytes -= len(chunk)
            if self._left_bytes < 0:
                self._cut()
                kept.clear()
            else:
                kept.append(chunk)
        return b"".join(kept)

    async def _feed(self, stdin: str | None) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        try:
            if stdin:
                pipe.write(stdin.encode())
                await pipe.drain()
            pipe.close()
        except (BrokenPipeError, ConnectionResetError):
            pass  # a program need not read what it is given

    def _cut(self) -> None:
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None


def _base_environment(folder: str, settings: ProcessSettings) -> dict[str, str]:
    """What every program gets. Nothing is inherited: the service's environment holds credentials."""
    return {"PATH": settings.path, "HOME": folder, "TMPDIR": folder, "LANG": "C.UTF-8"}


def _environment(given: Any) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise fail("validation", "environment must be an object.")
    for name in given:
        if not name or "=" in name or "\0" in name:
            raise fail("validation", f"{name!r} cannot be the name of an environment variable.")
    return {name: _argument(value) for name, value in given.items() if value is not None}


def _argument(value: Any) -> str:
    text = _text(value) or ""
    if "\0" in text:
        raise fail("validation", "Arguments and environment variables cannot hold a NUL character.")
    return text


def _text(value: Any) -> str | None:
    """A value as a program reads it: text as it is, anything else as JSON."""
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def _write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def _result(outcome: Outcome, wanted: str) -> Any:
    if wanted == "code":
        return outcome.code
    if wanted == "all":
        return {"code": outcome.code, "stdout": outcome.stdout, "stderr": outcome.stderr}
    if outcome.code != 0:
        said = outcome.stderr.strip()[-_SHOWN_CHARACTERS:]
        raise fail("runtime", f"The program ended with exit code {outcome.code}" + (f": {said}" if said else "."))
    return {"stdout": outcome.stdout, "stderr": outcome.stderr}.get(wanted)
