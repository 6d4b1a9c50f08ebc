"""Recovery: how long a new process takes to go on with what a killed one left.

    python -m bench.recovery [--quick] [--runs 100000] [--rounds N] [--json]

A child process brings runs of ten steps to their sixth, whose act does not answer, and is killed with SIGKILL. Then
the folder is opened again: measured is the time until every run is in memory and every open act was issued again, the
write-ahead log of SQLite included. Beside it, what no recovery can do without: reading the rows of history and
decoding them, and nothing else.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench._figures import Effort, Figure, command
from bench._plans import DIGEST, NoSecrets, Plans, Step, chain
from segue.hosts import EmbeddedHost, HostSettings
from segue.store.codec import load_event
from segue.store.folder import DATABASE_NAME
from segue.types import EffectContext, Perform

_STOPS_AT = 5


class Stopping(Step):
    """Answers the first steps; the sixth never."""

    def __init__(self) -> None:
        super().__init__()
        self.stopped = 0

    def perform_now(self, command: Perform, context: EffectContext) -> Any:
        """Answer, or ask to be called as a task."""
        if command.arguments["step"] == _STOPS_AT:
            return NotImplemented
        return super().perform_now(command, context)

    async def perform(self, command: Perform, context: EffectContext) -> Any:
        """Wait for ever."""
        self.stopped += 1
        await asyncio.get_running_loop().create_future()


def _opening(folder: Path, handler: Step, runs: int) -> Any:
    settings = HostSettings(acts_max=3 * runs, tune_gc=True)  # a workflow gets a third
    return EmbeddedHost.open(
        folder, handlers={"bench": handler}, plans=Plans(chain(10)), secrets=NoSecrets(), settings=settings
    )


async def live(folder: Path, runs: int) -> None:
    """Bring all runs to where they stop, say so, and wait for the end."""
    handler = Stopping()
    async with _opening(folder, handler, runs) as host:
        for _ in range(0, runs, 1000):
            await host.start_many(DIGEST, [{"customer": i} for i in range(min(runs, 1000))])
        await _until_stopped(handler, runs)
        print("ready", flush=True)
        await asyncio.sleep(3600)


async def recover(folder: Path, runs: int) -> float:
    """Runs per second from opening the folder to the last act issued again."""
    handler = Stopping()
    began = time.perf_counter()
    async with _opening(folder, handler, runs):
        await _until_stopped(handler, runs)
        return runs / (time.perf_counter() - began)


async def _until_stopped(handler: Stopping, runs: int) -> None:
    while handler.stopped < runs:  # noqa: ASYNC110 - nobody tells when acts were issued again
        await asyncio.sleep(0.002)


def read_only(folder: Path, runs: int) -> float:
    """Runs per second of reading and decoding their history."""
    connection = sqlite3.connect(folder / DATABASE_NAME)
    began = time.perf_counter()
    events = [load_event(data) for (data,) in connection.execute("SELECT data FROM history ORDER BY run, id")]
    took = time.perf_counter() - began
    connection.close()
    assert len(events) == runs * (1 + _STOPS_AT), len(events)
    return runs / took


def _killed(folder: Path, runs: int) -> None:
    line = [sys.executable, "-m", "bench.recovery", "--live", str(folder), str(runs)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.kill(process.pid, signal.SIGKILL)


def measure(effort: Effort) -> list[Figure]:
    """All figures of the recovery. Long, so one round; three where fewer runs are asked for."""
    runs = effort.runs or (1_000 if effort.quick else 100_000)
    pairs = []
    for number in range(min(effort.rounds, 1 if runs > 50_000 else 3)):
        folder = effort.folder / f"recovery-{number}"
        _killed(folder, runs)
        ours = asyncio.run(recover(folder, runs))
        pairs.append((ours, read_only(folder, runs)))
    what = f"going on with {runs:,} runs in their sixth step after kill -9"
    seconds = [(runs / ours, runs / bare) for ours, bare in pairs]
    return [
        Figure.compared("recovery", what, "runs/s", "reading their history", pairs),
        Figure.compared("recovery", f"until all {runs:,} go on", "s", "reading their history", seconds),
    ]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--live"]:
        asyncio.run(live(Path(sys.argv[2]), int(sys.argv[3])))
    else:
        command(measure, __doc__)
