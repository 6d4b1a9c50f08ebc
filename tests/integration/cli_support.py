"""The command line in this process, and as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from segue.cli import main


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as one JSON document."""
        return json.loads(self.out)


class Cli:
    """Runs commands in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str | Path) -> Outcome:
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = self._capsys.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        assert "Traceback" not in out + err
        return Outcome(code, out, err)


def environment(**more: str) -> dict[str, str]:
    """An environment without settings of ours."""
    return {**{k: v for k, v in os.environ.items() if not k.startswith("SEGUE_")}, **more}


def start(arguments: Sequence[str | Path], **more: Any) -> subprocess.Popen[str]:
    """Start a command as a process of its own."""
    command = [sys.executable, "-m", "segue", *map(str, arguments)]
    pipe = subprocess.PIPE
    options = {"stdout": pipe, "stderr": pipe, "env": environment(), **more}
    return subprocess.Popen(command, text=True, **options)


@contextmanager
def serving(data: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A server process over a data folder; stopped by SIGTERM at the end."""
    process = start(["serve", "--data", data, "--port", "0", "--json", *arguments])
    try:
        assert process.stdout is not None
        assert process.stdout.readline(), process.communicate()[1]
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)


def wait_until(happened: Any, seconds: float = 15) -> None:
    """Ask again and again until it has happened."""
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)
