"""W3: runs that only wait: how fast they start, what they cost while parked, how fast they wake.

    python -m bench.w3 [--runs 100000] [--json]

Memory is the growth of the process's resident set while all the runs are started and parked. A pass of the same
kind before it fills caches and pools, and no more than so many runs are let into memory at once, so that what is
counted belongs to the parked runs and not to the rush.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench._baseline import baseline
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


async def measure(folder: Path, runs: int) -> dict[str, Any]:
    """All figures."""
    opening = EmbeddedHost.open(
        folder,
        handlers={},
        plans=Plans(sleeper(_HOUR)),
        secrets=NoSecrets(),
        settings=HostSettings(park_after_ms=500, tune_gc=True),
    )
    async with opening as host:
        await start(host, 2 * _LIVE_MAX)
        await until_fewer(host, 0)
        gc.collect()
        before = resident_bytes()
        ids, rate = await start(host, runs)
        await until_fewer(host, 0)
        gc.collect()
        each = max(0, resident_bytes() - before) / runs
        wakes = []
        for run_id in ids[:_WAKES]:
            began = time.perf_counter()
            await host.control(run_id, RunCancelled(at=0))
            wakes.append((time.perf_counter() - began) * 1000)
    wakes.sort()
    return {
        "workload": "W3",
        "runs": runs,
        "starts_per_s": rate,
        "bytes_per_parked_run": each,
        "wake_ms_median": statistics.median(wakes),
        "wake_ms_p99": wakes[int(len(wakes) * 0.99)],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--folder", help="where to put the files; must be on the disk to be measured")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder or Path.cwd()) as name:
        found = asyncio.run(measure(Path(name) / "w3", arguments.runs))
        found["bare"] = asyncio.run(baseline(Path(name), runs=_AT_ONCE, steps=arguments.runs // _AT_ONCE))
    if arguments.json:
        json.dump([found], sys.stdout, indent=2)
        return
    print(
        f"W3 {found['runs']} parked runs: {found['starts_per_s']:,.0f} starts/s (bare appends {found['bare']:,.0f}),"
        f" {found['bytes_per_parked_run']:.0f} bytes each, awake and answered in {found['wake_ms_median']:.1f} ms"
        f" (p99 {found['wake_ms_p99']:.1f})"
    )


if __name__ == "__main__":
    main()
