"""W1: many runs of ten durable steps at once, and one run alone.

    python -m bench.w1 [--quick] [--rounds 5] [--json]

Measured with full fsync, twice. The *document* is the real thing: compiled from text, with expressions in every step,
opened and started through the Python API, acting through the handler of Python functions. The *plan* is built by hand
and acts without a handler's work: what host, core and store can do at most. Beside both, in the same process, on the
same disk, in turns: the bare loop with group commit, which waits as many at a time and writes as many rows.

Starting the runs and hearing of their end is inside the measured time, opening and publishing are not. Every measure
begins with a wave that does not count. A run alone takes turns with ten bare commits, run by run.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from bench import _document
from bench._baseline import baseline, beside_commits
from bench._document import INPUT
from bench._figures import BARE_LOOP, Effort, Figure, command
from bench._plans import DIGEST, NoSecrets, Plans, Step, chain
from segue.hosts import EmbeddedHost, HostSettings, RunOutcome

STEPS = 10

Wave = Callable[[int], Awaitable[None]]
"""Do so many runs at once, and check them."""


async def of_document(folder: Path, runs: int, waves: int) -> float:
    """Durable steps per second of a document, through the Python API."""
    async with _document.opened(folder, _document.chain(STEPS)) as (house, calls):

        async def one() -> Any:
            return await (await house.start("bench/chain", input=INPUT)).result()

        async def wave(number: int) -> None:
            before = calls.number
            outputs = await asyncio.gather(*(one() for _ in range(number)))
            assert all(output["step"] == STEPS - 1 for output in outputs), outputs[0]
            assert calls.number - before == number * STEPS

        return await _rate(wave, runs, waves)


async def of_plan(folder: Path, runs: int, waves: int) -> float:
    """Durable steps per second of a plan built by hand, straight at the host."""
    step = Step()
    opening = EmbeddedHost.open(
        folder,
        handlers={"bench": step},
        plans=Plans(chain(STEPS)),
        secrets=NoSecrets(),
        settings=HostSettings(tune_gc=True),
    )
    async with opening as host:

        async def wave(number: int) -> None:
            before = step.calls
            ids = await host.start_many(DIGEST, [{"customer": i} for i in range(number)])
            outcomes = await asyncio.gather(*(host.wait_closed(run_id) for run_id in ids))
            assert all(outcome.status == "completed" for outcome in outcomes), outcomes[0]
            assert step.calls - before == number * STEPS

        return await _rate(wave, runs, waves)


async def _rate(wave: Wave, runs: int, waves: int) -> float:
    await wave(runs)
    began = time.perf_counter()
    for _ in range(waves):
        await wave(runs)
    return waves * runs * STEPS / (time.perf_counter() - began)


async def document_alone(folder: Path, times: int) -> tuple[float, float]:
    """Milliseconds for one run of the document when nothing else happens, and for ten bare commits."""
    async with _document.opened(folder / "data", _document.chain(STEPS)) as (house, _):

        async def one() -> Any:
            return await (await house.start("bench/chain", input=INPUT)).result()

        return await beside_commits(folder, one, commits=STEPS, times=times)


async def plan_alone(folder: Path, times: int) -> tuple[float, float]:
    """The same of the plan built by hand."""
    plans, secrets = Plans(chain(STEPS)), NoSecrets()
    async with EmbeddedHost.open(folder / "data", handlers={"bench": Step()}, plans=plans, secrets=secrets) as host:

        async def one() -> RunOutcome:
            return await host.wait_closed(await host.start(DIGEST, {"customer": 1}))

        return await beside_commits(folder, one, commits=STEPS, times=times)


def measure(effort: Effort) -> list[Figure]:
    """All figures of W1."""
    found = []
    ways = (("document", of_document), ("plan alone, no handler", of_plan))
    for runs in (20,) if effort.quick else (200, 2000):
        waves = 1 if effort.quick else max(1, 1000 // runs)
        for name, way in ways:
            pairs = []
            for number in range(effort.rounds):
                ours = asyncio.run(way(effort.folder / f"{name[:4]}-{runs}-{number}", runs, waves))
                pairs.append((ours, asyncio.run(baseline(effort.folder, runs=runs, steps=STEPS * waves * 4))))
            what = f"{runs:,} runs of ten steps at once, {name}"
            found.append(Figure.compared("W1", what, "steps/s", BARE_LOOP, pairs))
    for name, way_alone in (("document", document_alone), ("plan alone, no handler", plan_alone)):
        times = 5 if effort.quick else 50
        pairs = [
            asyncio.run(way_alone(effort.folder / f"{name[:4]}-alone-{number}", times))
            for number in range(effort.rounds)
        ]
        found.append(Figure.compared("W1", f"one run of ten steps alone, {name}", "ms", "ten bare commits", pairs))
    return found


if __name__ == "__main__":
    command(measure, __doc__)
