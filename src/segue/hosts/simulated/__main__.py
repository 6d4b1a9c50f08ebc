"""`python -m segue.hosts.simulated`: run simulated worlds and report what must not happen.

Prints worlds per second. On a finding it prints what the auditor says, the events of that world, and one command
that repeats it, and ends with exit code 1. With `--keep-going` it says what was found and goes on to the last seed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from segue.hosts.simulated.faults import NEWEST
from segue.hosts.simulated.reporting import Finding
from segue.hosts.simulated.simulation import World

_CHUNK = 50
_LOG_LINES_MAX = 400
_TOLD_EVERY_SECONDS = 60.0
_COUNTED = (
    "runs",
    "children",
    "scheduled",
    "events",
    "acts",
    "crashes",
    "unread",
    "refusals",
    "asked",
    "held",
    "interventions",
    "decisions",
    "migrations",
    "undone",
)


@dataclass(frozen=True, slots=True)
class Batch:
    """What came of some seeds: the last one, counts, and complaints by seed."""

    last: int
    counts: Counter[str] = field(default_factory=Counter)
    found: dict[int, str] = field(default_factory=dict)


def run_batch(seeds: Sequence[int], *, edition: int = NEWEST, keeps_going: bool = False) -> Batch:
    """Run these seeds, up to the first finding unless it keeps going."""
    batch = Batch(seeds[-1])
    for seed in seeds:
        try:
            report = World(seed, edition=edition).run()
        except Finding as finding:
            batch.found[seed] = finding.complaint
            if not keeps_going:
                break
            continue
        batch.counts["worlds"] += 1
        for name in _COUNTED:
            batch.counts[name] += getattr(report, name)
    return batch


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m segue.hosts.simulated", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000, help="how many worlds to run")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="run this one world and print its events")
    parser.add_argument("--workers", type=int, default=1, help="processes to run them in")
    parser.add_argument("--edition", type=int, default=NEWEST, help="what worlds are made of, as of an earlier one")
    parser.add_argument("--keep-going", action="store_true", help="collect findings instead of ending at the first")
    asked = parser.parse_args(arguments)
    if asked.seed is not None:
        return show(asked.seed, asked.edition)
    began = told = time.monotonic()
    total: Counter[str] = Counter()
    found: dict[int, str] = {}
    run = partial(run_batch, edition=asked.edition, keeps_going=asked.keep_going)
    for batch in _batches(run, asked.start, asked.seeds, asked.workers):
        total.update(batch.counts)
        found |= batch.found
        if found and not asked.keep_going:
            break
        for seed, complaint in batch.found.items():
            print(f"FOUND    {complaint}\nrepeat   {_repeat(seed, asked.edition)}", flush=True)
        if time.monotonic() - told > _TOLD_EVERY_SECONDS:
            told = time.monotonic()
            print(f"up to seed {batch.last}: {len(found)} findings", flush=True)
    took = time.monotonic() - began
    worlds = total["worlds"] + len(found)
    said = ", ".join(f"{total[name]} {name}" for name in _COUNTED)
    print(f"{worlds} worlds in {took:.1f} s ({worlds / max(took, 0.001):.0f} a second): {said}")
    if asked.keep_going and found:
        print(f"{len(found)} findings: {', '.join(str(seed) for seed in sorted(found))}")
        return 1
    return show(next(iter(found)), asked.edition) if found else 0


def show(seed: int, edition: int = NEWEST) -> int:
    """Run one world with its log; returns 1 when the auditor complains."""
    world = World(seed, edition=edition, verbose=True)
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
    print(f"\nFOUND    {complaint}\nrepeat   {_repeat(seed, edition)}")
    return 1


def _repeat(seed: int, edition: int) -> str:
    return f"python -m segue.hosts.simulated --seed {seed} --edition {edition}"


def _batches(run: Callable[[Sequence[int]], Batch], start: int, count: int, workers: int) -> Iterator[Batch]:
    chunks = [range(first, min(first + _CHUNK, start + count)) for first in range(start, start + count, _CHUNK)]
    if workers <= 1:
        yield from map(run, chunks)
        return
    with ProcessPoolExecutor(workers) as pool:
        try:
            yield from pool.map(run, chunks)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


if __name__ == "__main__":
    sys.exit(main())
