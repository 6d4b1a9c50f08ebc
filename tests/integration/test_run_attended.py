"""`segue run` and people: it says whom it waits for, and asks whoever sits at the terminal."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.integration.cli_support import environment, start, wait_until
from tests.integration.service_support import document

ASKS = document(
    """
    - ask: {call: human-task, with: {title: 'Pay ACME?', assign: {role: approver}}}
    - done: {set: {outcome: '${ .outcome }'}}
    """
)
PROMPT = b"comment behind it: "


@pytest.fixture
def asks(tmp_path: Path) -> Path:
    file = tmp_path / "ask.yaml"
    file.write_text(ASKS)
    return file


class Terminal:
    """A command whose terminal this process holds."""

    def __init__(self, *arguments: str) -> None:
        self.told = b""
        self._child, self._end = pty.fork()
        if self._child == 0:
            os.execve(sys.executable, [sys.executable, "-m", "segue", *arguments], environment(TERM="xterm"))

    def wait_for(self, text: bytes, seconds: float = 40) -> None:
        until = time.monotonic() + seconds
        while text not in self.told:
            assert time.monotonic() < until, self.told.decode(errors="replace")
            if select.select([self._end], [], [], 0.2)[0]:
                self.told += os.read(self._end, 4096)

    def type(self, line: str) -> None:
        self.told = b""
        os.write(self._end, line.encode() + b"\n")

    def ended(self) -> int:
        until = time.monotonic() + 40
        while time.monotonic() < until:
            try:
                self.told += os.read(self._end, 4096)
            except OSError:  # the other end is closed
                break
        return os.waitstatus_to_exitcode(os.waitpid(self._child, 0)[1])


def test_whoever_sits_at_the_terminal_decides(asks: Path) -> None:
    """Somebody who tries a document with an approval in it would sit before a silent terminal."""
    terminal = Terminal("run", str(asks))
    terminal.wait_for(PROMPT)
    assert b"for role:approver: task 1, Pay ACME?" in terminal.told
    terminal.type("perhaps")
    terminal.wait_for(b"not among its outcomes")
    terminal.wait_for(PROMPT)
    terminal.type("reject too much")
    assert terminal.ended() == 0
    assert b'"outcome": "reject"' in terminal.told


def test_without_a_terminal_it_says_whom_it_waits_for_and_can_be_stopped(asks: Path, tmp_path: Path) -> None:
    """A pipe cannot decide; whoever reads the log must see why nothing happens."""
    log = tmp_path / "log"
    with log.open("w") as kept:
        process = start(["run", asks, "--json"], stdin=subprocess.DEVNULL, stderr=kept)
        wait_until(lambda: "Nobody can decide" in log.read_text(), 40)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
    assert "for role:approver: task 1, Pay ACME?" in log.read_text()
    assert (process.returncode, '"status":"cancelled"' in out) == (3, True)
