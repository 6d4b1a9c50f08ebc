"""Loops: many runs of ten thousand iterations each, whose memory must not grow with what lies behind them.

    python -m bench.loops [--quick] [--runs 100] [--json]

Each iteration is one durable step. The resident set is read when every run has done a tenth of its iterations, half
of them, and all: what is between the first and the last would grow for ever in a run that loops for ever. Each run
keeps about a fifth of its events, so that histories are folded all the while; what is kept at the end stands beside
what was written. SQLite fills its page caches meanwhile, 48 MiB at most, so Python's memory is told apart. Beside
the rate stands the bare loop with group commit and as many waiters.
"""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

from bench._baseline import baseline
from bench._figures import BARE_LOOP, Effort, Figure, command
from bench._plans import DIGEST, NoSecrets, Plans, Step, act, plan_of
from bench.w3 import resident_bytes
from segue.core.plan import ForNode, Plan, Program
from segue.hosts import EmbeddedHost, HostSettings
from segue.types import EffectContext, Perform

_LOOKS = (10, 2)
"""Looks come after these parts of the iterations: one in so many."""
_KEPT = 5
"""A run keeps one in so many of its events, and up to half as many again until they are folded."""


class Looking(Step):
    """Reads the resident set when so many calls have been made."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self._look_at = [calls // part for part in _LOOKS]
        self.seen_bytes: list[int] = []
        self.seen_blocks: list[int] = []

    def perform_now(self, command: Perform, context: EffectContext) -> Any:
        """Answer, and look if it is time."""
        answer = super().perform_now(command, context)
        if self.calls in self._look_at:
            self.look()
        return answer

    def look(self) -> None:
        """Read the resident set, and how many blocks of memory Python's objects take."""
        gc.collect()
        self.seen_bytes.append(resident_bytes())
        self.seen_blocks.append(sys.getallocatedblocks())


def loop(iterations: int) -> Plan:
    """One loop of one act."""
    each = list(range(iterations))
    items = Program(run=lambda data, variables, now_ms: each)
    body = act(0, "/do/0/loop/do/0", section="foreach")
    return plan_of(ForNode(name="loop", pointer="/do/0/loop", each="item", items=items, tasks=(body,)))


async def looped(folder: Path, runs: int, iterations: int) -> tuple[float, Looking, int]:
    """Steps per second, what was seen after each part and at the end, and the events that are kept."""
    step = Looking(runs * iterations)
    opening = EmbeddedHost.open(
        folder,
        handlers={"bench": step},
        plans=Plans(loop(iterations)),
        secrets=NoSecrets(),
        settings=HostSettings(tune_gc=True, history_max_events=iterations // _KEPT, snapshot_events=iterations // 20),
    )
    async with opening as host:
        began = time.perf_counter()
        ids = await host.start_many(DIGEST, [{"customer": i} for i in range(runs)])
        await asyncio.gather(*(host.wait_closed(run_id) for run_id in ids))
        took = time.perf_counter() - began
        step.look()
        assert step.calls == runs * iterations, step.calls
        while (kept := await host.store.read(_rows)) > runs * iterations // _KEPT * 2:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.1)  # The last folds are on their way.
        return runs * iterations / took, step, kept


def _rows(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM history").fetchone()[0])


def measure(effort: Effort) -> list[Figure]:
    """All figures of the loops; one round, because it is long."""
    runs, iterations = (10, 500) if effort.quick else (effort.runs or 100, 10_000)
    rate, seen, kept = asyncio.run(looped(effort.folder / "loops", runs, iterations))
    early, middle, late = seen.seen_bytes
    blocks = seen.seen_blocks
    bare = asyncio.run(baseline(effort.folder, runs=runs, steps=min(iterations, 1_000)))
    what = f"{runs:,} runs of {iterations:,} iterations at once, plan alone"
    return [
        Figure.compared("loops", what, "steps/s", BARE_LOOP, [(rate, bare)]),
        Figure.compared(
            "loops",
            f"memory at the end of {runs:,} runs of {iterations:,}",
            "MB",
            "memory at half of them",
            [(late / 1e6, middle / 1e6)],
        ),
        Figure.compared(
            "loops",
            f"memory at half of {runs:,} runs of {iterations:,}",
            "MB",
            "memory after a tenth, SQLite's caches not full",
            [(middle / 1e6, early / 1e6)],
        ),
        Figure.compared(
            "loops",
            f"Python's memory blocks at the end of {runs:,} runs of {iterations:,}",
            "blocks",
            "blocks after a tenth of them",
            [(blocks[-1], blocks[0])],
        ),
        Figure.compared(
            "loops",
            f"events kept of {runs:,} runs of {iterations:,}",
            "events",
            "events written",
            [(kept, runs * (iterations + 1))],
        ),
    ]


if __name__ == "__main__":
    command(measure, __doc__)
