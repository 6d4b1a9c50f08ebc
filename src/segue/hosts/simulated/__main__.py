"""`python -m segue.hosts.simulated`: run simulated worlds and report what must not happen.

Prints worlds per second. On a finding it prints what the auditor says, the events of that world, and one command
that repeats it, and ends with exit code 1.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from segue.hosts.simulated.simulation import Finding, World

_CHUNK = 50
_LOG_LINES_MAX = 400
_COUNTED = ("runs", "children", "scheduled", "events", "acts", "crashes", "held", "interventions")


@dataclass(frozen=True, slots=True)
class Batch:
    """What came of some seeds: counts, and the first complaint with its seed."""

    counts: Counter[str]
    seed: int | None = None
    complaint: str = ""


def run_batch(seeds: Sequence[int]) -> Batch:
    """Run these seeds, up to the first finding."""
    counts: Counter[str] = Counter()
    for seed in seeds:
        try:
            report = World(seed).run()
        except Finding as finding:
            return Batch(counts, seed, finding.complaint)
        counts["worlds"] += 1
        for name in _COUNTED:
            counts[name] += getattr(report, name)
    return Batch(counts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m segue.hosts.simulated", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000, help="how many worlds to run")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="run this one world and print its events")
    parser.add_argument("--workers", type=int, default=1, help="processes to run them in")
    asked = parser.parse_args(arguments)
    if asked.seed is not None:
        return show(asked.seed)
    began = time.monotonic()
    total: Counter[str] = Counter()
    found = Batch(total)
    for batch in _batches(asked.start, asked.seeds, asked.workers):
        total.update(batch.counts)
        if batch.seed is not None:
            found = batch
            break
    took = time.monotonic() - began
    worlds = total["worlds"]
    said = ", ".join(f"{total[name]} {name}" for name in _COUNTED)
    print(f"{worlds} worlds in {took:.1f} s ({worlds / max(took, 0.001):.0f} a second): {said}")
    return 0 if found.seed is None else show(found.seed)


def show(seed: int) -> int:
    """Run one world with its log; returns 1 when the auditor complains."""
    world = World(seed, verbose=True)
    complaint = None
    try:
        world.run()
    except Finding as finding:
        complaint = finding.complaint
    if len(world.log) > _LOG_LINES_MAX:
        print(f"… {len(world.log) - _LOG_LINES_MAX} earlier lines")
    print("\n".join(world.log[-_LOG_LINES_MAX:]))
    if complaint is None:
        print(f"seed {seed}: nothing to complain of")
        return 0
    print(f"\nFOUND    {complaint}\nrepeat   python -m segue.hosts.simulated --seed {seed}")
    return 1


def _batches(start: int, count: int, workers: int) -> Iterator[Batch]:
    chunks = [range(first, min(first + _CHUNK, start + count)) for first in range(start, start + count, _CHUNK)]
    if workers <= 1:
        yield from map(run_batch, chunks)
        return
    with ProcessPoolExecutor(workers) as pool:
        try:
            yield from pool.map(run_batch, chunks)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


if __name__ == "__main__":
    sys.exit(main())
