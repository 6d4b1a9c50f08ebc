"""W2: a fan-out: one run whose branches all act at once, and many such runs.

    python -m bench.w2 [--branches 100,1000] [--runs 50] [--json]

The rate is acts per second, joins included. Beside it the bare loop with group commit and as many waiters.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench._baseline import baseline
from bench._plans import DIGEST, NoSecrets, Plans, Step, fan_out

from segue.hosts import EmbeddedHost, HostSettings


async def measure(folder: Path, branches: int, runs: int) -> tuple[float, float]:
    """Acts per second over all runs, and milliseconds for one run alone (median of five)."""
    opening = EmbeddedHost.open(
        folder,
        handlers={"bench": Step()},
        plans=Plans(fan_out(branches)),
        secrets=NoSecrets(),
        settings=HostSettings(tune_gc=True),
    )
    async with opening as host:
        alone = []
        for _ in range(5):
            began = time.perf_counter()
            await host.wait_closed(await host.start(DIGEST, {"customer": 1}))
            alone.append((time.perf_counter() - began) * 1000)
        began = time.perf_counter()
        ids = await host.start_many(DIGEST, [{"customer": i} for i in range(runs)])
        outcomes = await asyncio.gather(*(host.wait_closed(run_id) for run_id in ids))
        took = time.perf_counter() - began
    assert all(o.status == "completed" and len(o.output) == branches for o in outcomes)
    return runs * branches / took, sorted(alone)[2]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--branches", default="100,1000")
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--folder", help="where to put the files; must be on the disk to be measured")
    arguments = parser.parse_args()
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=arguments.folder or Path.cwd()) as name:
        for branches in map(int, arguments.branches.split(",")):
            rate, alone = asyncio.run(measure(Path(name) / f"w2-{branches}", branches, arguments.runs))
            bare = asyncio.run(baseline(Path(name), runs=branches, steps=arguments.runs))
            found = {"workload": "W2", "branches": branches, "steps_per_s": rate, "alone_ms": alone}
            results.append({**found, "bare": bare, "ratio": rate / bare})
    if arguments.json:
        json.dump(results, sys.stdout, indent=2)
        return
    for r in results:
        print(
            f"W2 {r['branches']:>5} branches: {r['steps_per_s']:>9,.0f} acts/s, one run alone {r['alone_ms']:.1f} ms,"
            f" bare loop {r['bare']:>9,.0f}, {r['ratio']:.1%}"
        )


if __name__ == "__main__":
    main()
