"""W2: a fan-out: one run whose branches all act at once, and many such runs.

    python -m bench.w2 [--quick] [--rounds 5] [--json]

The rate is acts per second, joins included, of twenty runs at once; beside it the bare loop with group commit and as
many waiters as a run has branches. One run alone stands beside two bare commits: it cannot do with fewer, since its
acts may begin only when its start is on disk. *Document* and *plan* as in W1.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench import _document
from bench._baseline import bare_commit_ms, baseline
from bench._document import INPUT
from bench._figures import BARE_LOOP, Effort, Figure, command
from bench._plans import DIGEST, NoSecrets, Plans, Step, fan_out
from segue.hosts import EmbeddedHost, HostSettings

_AT_ONCE = 20


async def of_document(folder: Path, branches: int, runs: int) -> tuple[float, float]:
    """Acts per second of a document, and milliseconds for one run alone."""
    async with _document.opened(folder, _document.fan_out(branches)) as (house, calls):

        async def one() -> None:
            output = await (await house.start("bench/fan", input=INPUT)).result()
            assert len(output) == branches

        found = await _both(one, branches, runs)
        assert calls.number % branches == 0
        return found


async def of_plan(folder: Path, branches: int, runs: int) -> tuple[float, float]:
    """The same of a plan built by hand, straight at the host."""
    opening = EmbeddedHost.open(
        folder,
        handlers={"bench": Step()},
        plans=Plans(fan_out(branches)),
        secrets=NoSecrets(),
        settings=HostSettings(tune_gc=True),
    )
    async with opening as host:

        async def one() -> None:
            outcome = await host.wait_closed(await host.start(DIGEST, {"customer": 1}))
            assert outcome.status == "completed" and len(outcome.output) == branches  # noqa: PT018

        return await _both(one, branches, runs)


async def _both(one: Callable[[], Awaitable[None]], branches: int, runs: int) -> tuple[float, float]:
    alone = []
    for _ in range(8):
        began = time.perf_counter()
        await one()
        alone.append((time.perf_counter() - began) * 1000)
    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(runs)))
    # The first three only warm up.
    return runs * branches / (time.perf_counter() - began), statistics.median(alone[3:])


def measure(effort: Effort) -> list[Figure]:
    """All figures of W2."""
    found = []
    for branches in (10,) if effort.quick else (100, 1000):
        for name, way in (("document", of_document), ("plan alone, no handler", of_plan)):
            rates, alone = [], []
            for number in range(effort.rounds):
                folder = effort.folder / f"{name[:4]}-{branches}-{number}"
                rate, took = asyncio.run(way(folder, branches, _AT_ONCE))
                steps = 10 if effort.quick else 100_000 // branches
                rates.append((rate, asyncio.run(baseline(effort.folder, runs=branches, steps=steps))))
                alone.append((took, 2 * bare_commit_ms(effort.folder)))
            what = f"{_AT_ONCE} runs with {branches:,} branches at once, {name}"
            found.append(Figure.compared("W2", what, "acts/s", BARE_LOOP, rates))
            what = f"one run with {branches:,} branches alone, {name}"
            found.append(Figure.compared("W2", what, "ms", "two bare commits", alone))
    return found


if __name__ == "__main__":
    command(measure, __doc__)
