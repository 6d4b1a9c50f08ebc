"""W1 while retention removes old runs from the same file, as a ratio to W1 alone.

    python -m bench.retention [--runs 2000] [--old 100000] [--rounds 3]

Both are measured in turn, on folders that hold the same old runs; with full fsync.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from bench._plans import DIGEST, NoSecrets, Plans, Step, chain
from segue.hosts import EmbeddedHost, HostSettings
from segue.store import Rules

STEPS = 10


def _opening(folder: Path, kept_ms: int | None = None) -> object:
    settings = HostSettings(tune_gc=True, retention=Rules(runs=kept_ms))
    return EmbeddedHost.open(
        folder, handlers={"bench": Step()}, plans=Plans(chain(STEPS)), secrets=NoSecrets(), settings=settings
    )


async def _fill(folder: Path, old: int) -> None:
    async with _opening(folder) as host:  # type: ignore[attr-defined]
        for _ in range(0, old, 2000):
            ids = await host.start_many(DIGEST, [{"customer": i} for i in range(2000)])
            await asyncio.gather(*(host.wait_closed(run_id) for run_id in ids))


async def _measure(folder: Path, runs: int, *, purging: bool) -> tuple[float, float]:
    """Steps per second, and runs removed per second meanwhile."""
    async with _opening(folder, 0 if purging else None) as host:  # type: ignore[attr-defined]
        purge = asyncio.create_task(host.purge())
        began = time.perf_counter()
        for _ in range(4):
            ids = await host.start_many(DIGEST, [{"customer": i} for i in range(runs)])
            await asyncio.gather(*(host.wait_closed(run_id) for run_id in ids))
        took = time.perf_counter() - began
        assert purge.done() is not purging, "the purge was over too early: give more --old runs"
        left = sum((await host.store.count_runs()).values())
        purge.cancel()
        await asyncio.gather(purge, return_exceptions=True)
    return 4 * runs * STEPS / took, left / took


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--old", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    ratios, rates = [], []
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        full = Path(name) / "full"
        asyncio.run(_fill(full, arguments.old))
        for number in range(arguments.rounds):
            pair = []
            for purging in (False, True):
                folder = Path(name) / f"{number}-{purging}"
                shutil.copytree(full, folder)
                pair.append(asyncio.run(_measure(folder, arguments.runs, purging=purging)))
                shutil.rmtree(folder)
            (alone, _), (beside, after) = pair
            removed = (arguments.old + 4 * arguments.runs) / (4 * arguments.runs * STEPS / beside) - after
            ratios.append(beside / alone)
            rates.append(removed)
            print(f"alone {alone:>8,.0f} steps/s, beside the purge {beside:>8,.0f}, removed {removed:>7,.0f} runs/s")
    print(f"W1 keeps {statistics.median(ratios):.0%} of its rate; {statistics.median(rates):,.0f} runs/s removed")


if __name__ == "__main__":
    main()
