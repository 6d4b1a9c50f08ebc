"""W2: a fan-out: one run whose branches all act at once, and many such runs.

    python -m bench.w2 [--quick] [--rounds 5] [--json]

The rate is acts per second, joins included, of twenty runs at once; beside it the bare loop with group commit and as
many waiters as there are acts at once. One run alone stands beside two bare commits: it cannot do with fewer, as its
acts may begin only when its start is on disk. *Document* and *plan* as in W1.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench import _document
from bench._baseline import baseline, beside_commits
from bench._document import INPUT
from bench._figures import BARE_LOOP, Effort, Figure, command
from bench._plans import DIGEST, NoSecrets, Plans, Step, fan_out
from segue.hosts import EmbeddedHost, HostSettings

_AT_ONCE = 20


async def of_document(folder: Path, branches: int) -> tuple[float, tuple[float, float]]:
    """Acts per second of a document; and milliseconds for one run alone, and for two bare commits."""
    async with _document.opened(folder / "data", _document.fan_out(branches)) as (house, calls):

        async def one() -> None:
            output = await (await house.start("bench/fan", input=INPUT)).result()
            assert len(output) == branches

        found = await _both(folder, one, branches)
        assert calls.number % branches == 0
        return found


async def of_plan(folder: Path, branches: int) -> tuple[float, tuple[float, float]]:
    """The same of a plan built by hand, straight at the host."""
    opening = EmbeddedHost.open(
        folder / "data",
        handlers={"bench": Step()},
        plans=Plans(fan_out(branches)),
        secrets=NoSecrets(),
        settings=HostSettings(tune_gc=True),
    )
    async with opening as host:

        async def one() -> None:
            outcome = await host.wait_closed(await host.start(DIGEST, {"customer": 1}))
            assert outcome.status == "completed" and len(outcome.output) == branches  # noqa: PT018

        return await _both(folder, one, branches)


async def _both(folder: Path, one: Callable[[], Awaitable[None]], branches: int) -> tuple[float, tuple[float, float]]:
    # This also warms up what is measured next.
    alone = await beside_commits(folder, one, commits=2, times=10)
    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(_AT_ONCE)))
    return _AT_ONCE * branches / (time.perf_counter() - began), alone


def measure(effort: Effort) -> list[Figure]:
    """All figures of W2."""
    found = []
    rows = 2_000 if effort.quick else 100_000
    for branches in (10,) if effort.quick else (100, 1000):
        for name, way in (("document", of_document), ("plan alone, no handler", of_plan)):
            rates, alone = [], []
            for number in range(effort.rounds):
                folder = effort.folder / f"{name[:4]}-{branches}-{number}"
                rate, pair = asyncio.run(way(folder, branches))
                waiters = _AT_ONCE * branches
                rates.append((rate, asyncio.run(baseline(effort.folder, runs=waiters, steps=rows // waiters))))
                alone.append(pair)
            what = f"{_AT_ONCE} runs with {branches:,} branches at once, {name}"
            found.append(Figure.compared("W2", what, "acts/s", BARE_LOOP, rates))
            what = f"one run with {branches:,} branches alone, {name}"
            found.append(Figure.compared("W2", what, "ms", "two bare commits", alone))
    return found


if __name__ == "__main__":
    command(measure, __doc__)
