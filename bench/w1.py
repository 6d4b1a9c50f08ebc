"""W1: many runs of ten durable steps at once, and one run alone.

    python -m bench.w1 [--runs 200,2000] [--rounds 3] [--json]

Every step is an inline Python function behind the real host, core and store, with full fsync. Beside it, in the same
process and on the same disk, the bare loop with group commit (`_baseline.py`). Printed is the median round.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench._baseline import bare_commit_ms, baseline
from bench._plans import DIGEST, NoSecrets, Plans, Step, chain

from segue.hosts import EmbeddedHost, HostSettings

STEPS = 10


async def measure(folder: Path, runs: int) -> float:
    """Durable steps per second of the embedded host."""
    step = Step()
    settings = HostSettings(tune_gc=True)
    opening = EmbeddedHost.open(
        folder, handlers={"bench": step}, plans=Plans(chain(STEPS)), secrets=NoSecrets(), settings=settings
    )
    async with opening as host:
        began = time.perf_counter()
        ids = await host.start_many(DIGEST, [{"customer": i} for i in range(runs)])
        outcomes = await asyncio.gather(*(host.wait_closed(run_id) for run_id in ids))
        took = time.perf_counter() - began
    assert all(o.status == "completed" for o in outcomes), outcomes[0]
    assert step.calls == runs * STEPS
    return runs * STEPS / took


async def alone_ms(folder: Path, rounds: int = 20) -> float:
    """How long one run of ten steps takes when nothing else happens, in milliseconds (median)."""
    opening = EmbeddedHost.open(folder, handlers={"bench": Step()}, plans=Plans(chain(STEPS)), secrets=NoSecrets())
    times = []
    async with opening as host:
        for _ in range(rounds):
            began = time.perf_counter()
            run_id = await host.start(DIGEST, {"customer": 1})
            await host.wait_closed(run_id)
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", default="200,2000")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--folder", help="where to put the files; must be on the disk to be measured")
    arguments = parser.parse_args()
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=arguments.folder or Path.cwd()) as name:
        folder = Path(name)
        for runs in map(int, arguments.runs.split(",")):
            # Alternating, so that whatever else the machine does meets both.
            pairs = [
                (asyncio.run(measure(folder / f"w1-{runs}-{i}", runs)), asyncio.run(baseline(folder, runs=runs)))
                for i in range(arguments.rounds)
            ]
            ours, bare = (statistics.median(side) for side in zip(*pairs, strict=True))
            results.append({"workload": "W1", "runs": runs, "steps_per_s": ours, "bare": bare, "ratio": ours / bare})
        single, commit = asyncio.run(alone_ms(folder / "alone")), bare_commit_ms(folder)
        ratio = single / (STEPS * commit)
        results.append({"workload": "W1 alone", "ms": single, "ten_bare_commits_ms": STEPS * commit, "ratio": ratio})
    if arguments.json:
        json.dump(results, sys.stdout, indent=2)
        return
    *many, alone = results
    for r in many:
        rates = f"{r['steps_per_s']:>9,.0f} steps/s, bare loop {r['bare']:>9,.0f}, {r['ratio']:.1%}"
        print(f"W1 {r['runs']:>5} runs: {rates}")
    print(
        f"W1 alone: {alone['ms']:.2f} ms for ten steps, ten bare commits {alone['ten_bare_commits_ms']:.2f} ms,"
        f" x{alone['ratio']:.2f}"
    )


if __name__ == "__main__":
    main()
