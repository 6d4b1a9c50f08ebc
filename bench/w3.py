"""W3: runs that only wait: how fast they start, what they cost while parked, how fast they wake.

    python -m bench.w3 [--quick] [--runs 1000000] [--rounds N] [--json]

Memory is the growth of the process's resident set from half of the runs parked to all of them. The first half fills
caches and pools, and no more than so many runs are let into memory at once, so that what is counted belongs to the
parked runs and not to the rush. Beside it the resident set of an asyncio task that sleeps,
which is what a waiting run costs where it has to stay in memory, without any state of its own.

A wake is an operator's control of a parked run, from the call to its answer: read, fold, apply, commit.
"""

from __future__ import annotations

import asyncio
import gc
import time
from pathlib import Path

from bench._baseline import Commits, baseline
from bench._figures import BARE_LOOP, Effort, Figure, command
from bench._plans import DIGEST, NoSecrets, Plans, sleeper
from segue.hosts import EmbeddedHost, HostSettings
from segue.types import RunCancelled

_HOUR = 3_600_000
_AT_ONCE = 1_000
_LIVE_MAX = 20_000
_WAKES = 200


def resident_bytes() -> int:
    """The process's resident set."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this system does not say how much memory a process holds")


async def start(host: EmbeddedHost, number: int) -> tuple[list[str], float]:
    """Start so many, a thousand in each request; some of their ids, and the rate per second."""
    began = time.perf_counter()
    some: list[str] = []
    for _ in range(0, number, _AT_ONCE):
        ids = await host.start_many(DIGEST, [{"customer": i} for i in range(_AT_ONCE)])
        some += ids[:: max(1, number // _WAKES)][:_WAKES]
        await until_fewer(host, _LIVE_MAX)
    return some, number / (time.perf_counter() - began)


async def until_fewer(host: EmbeddedHost, most: int) -> None:
    """Wait until no more than so many runs are in memory."""
    while host.health().live_runs > most:  # noqa: ASYNC110 - parking tells nobody
        await asyncio.sleep(0.01)


async def parked(folder: Path, runs: int) -> tuple[float, float, list[tuple[float, float]]]:
    """Starts per second, bytes for each parked run, and milliseconds for each wake beside a bare commit."""
    bare = Commits(folder.parent)
    opening = EmbeddedHost.open(
        folder,
        handlers={},
        plans=Plans(sleeper(_HOUR)),
        secrets=NoSecrets(),
        settings=HostSettings(park_after_ms=500, tune_gc=True),
    )
    async with opening as host:
        half = max(_AT_ONCE, runs // 2)
        ids, first = await start(host, half)
        await until_fewer(host, 0)
        gc.collect()
        before = resident_bytes()
        more, second = await start(host, half)
        await until_fewer(host, 0)
        gc.collect()
        each = max(0, resident_bytes() - before) / half
        rate = 2 / (1 / first + 1 / second)
        ids = [*ids[::2], *more[::2]]
        wakes = []
        for run_id in ids[:_WAKES]:
            began = time.perf_counter()
            assert await host.control(run_id, RunCancelled(at=0))
            took = (time.perf_counter() - began) * 1000
            wakes.append((took, bare.ms(1)))
    bare.close()
    return rate, each, wakes


async def sleeping_task_bytes(number: int) -> float:
    """What an asyncio task that sleeps takes of the resident set."""
    gc.collect()
    before = resident_bytes()
    tasks = [asyncio.create_task(asyncio.sleep(3600)) for _ in range(number)]
    await asyncio.sleep(0)
    each = (resident_bytes() - before) / number
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return each


def _at(share: float, values: list[float]) -> float:
    """The value below which this share of them lies."""
    return sorted(values)[int(len(values) * share)]


def measure(effort: Effort) -> list[Figure]:
    """All figures of W3. Long, so one round; three where fewer runs are asked for."""
    runs = effort.runs or (2_000 if effort.quick else 1_000_000)
    rounds = min(effort.rounds, 1 if runs > 200_000 else 3)
    # First, in a process that has not grown yet.
    task_bytes = asyncio.run(sleeping_task_bytes(min(runs, 100_000) // 2))
    starts, sizes, wakes, tails = [], [], [], []
    for number in range(rounds):
        rate, each, woken = asyncio.run(parked(effort.folder / f"w3-{number}", runs))
        bare = asyncio.run(baseline(effort.folder, runs=_AT_ONCE, steps=min(runs, 200_000) // _AT_ONCE))
        starts.append((rate, bare))
        sizes.append((each, task_bytes))
        wakes.append((_at(0.5, [w for w, _ in woken]), _at(0.5, [c for _, c in woken])))
        tails.append((_at(0.99, [w for w, _ in woken]), _at(0.99, [c for _, c in woken])))
    return [
        Figure.compared("W3", f"starting {runs:,} runs that wait", "runs/s", BARE_LOOP, starts),
        Figure.compared("W3", f"memory of each of {runs:,} parked runs", "B", "a sleeping asyncio task", sizes),
        Figure.compared("W3", f"median of waking one of {runs:,}", "ms", "one bare commit", wakes),
        Figure.compared("W3", f"99th percentile of waking one of {runs:,}", "ms", "a bare commit, likewise", tails),
    ]


if __name__ == "__main__":
    command(measure, __doc__)
