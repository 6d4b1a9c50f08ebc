"""The shape of the work, the same for every engine."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

STEPS = 10
_ALONE = 20

RunOne = Callable[[str], Awaitable[Any]]
"""Start one run under this id and wait for its end; returns what the last step answered."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to set the engine up.

    Attributes:
        name: What the table calls it, version included.
        durability: When a step counts as durable, and how the disk is flushed.
        open: Opens the engine in an empty folder.
    """

    name: str
    durability: str
    open: Callable[[Path], AbstractAsyncContextManager[RunOne]]


@dataclass(frozen=True, slots=True)
class Measured:
    """What one variant reached: `steps_per_s` of each round, and one run alone in milliseconds (median)."""

    name: str
    durability: str
    steps_per_s: list[float]
    alone_ms: float


def answer(step: int) -> dict[str, Any]:
    """What a step answers, in every engine."""
    return {"step": step, "score": 0.75}


async def _measure(variant: Variant, folder: Path, runs: int, rounds: int) -> Measured:
    async with variant.open(folder) as run_one:
        # One small round that does not count: connections, caches and code are warm for everybody.
        await _round(run_one, "warm", min(runs, 20))
        rates = [await _round(run_one, f"round{number}", runs) for number in range(rounds)]
        alone = []
        for number in range(_ALONE):
            began = time.perf_counter()
            await run_one(f"alone-{number}")
            alone.append((time.perf_counter() - began) * 1000)
    return Measured(variant.name, variant.durability, rates, statistics.median(alone))


async def _round(run_one: RunOne, name: str, runs: int) -> float:
    began = time.perf_counter()
    ends = await asyncio.gather(*(run_one(f"{name}-{number}") for number in range(runs)))
    took = time.perf_counter() - began
    assert all(end == answer(STEPS - 1) for end in ends), ends[0]
    return runs * STEPS / took


def main(variants: list[Variant], description: str | None) -> None:
    """Measure each variant in a folder of its own, and print a list as JSON."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", default=".", help="on the disk to be measured")
    asked = parser.parse_args()
    found = []
    for variant in variants:
        with tempfile.TemporaryDirectory(dir=asked.folder, prefix=".bench-peer-") as name:
            measured = asyncio.run(_measure(variant, Path(name), asked.runs, asked.rounds))
        found.append(asdict(measured))
    json.dump(found, sys.stdout)


@asynccontextmanager
async def server(*command: str, environment: dict[str, str] | None = None) -> AsyncIterator[None]:
    """A server in a process of its own; ended with the block."""
    quiet = None if os.environ.get("BENCH_VERBOSE") else asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdout=quiet, stderr=quiet, env=environment)
    try:
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def until(ready: Callable[[], Awaitable[Any]], seconds: float = 30) -> Any:
    """Try until it works; what goes wrong last is raised."""
    end = time.monotonic() + seconds
    while True:
        try:
            return await ready()
        except Exception:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.1)


def free_port() -> int:
    """A port that nobody listens on now."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
