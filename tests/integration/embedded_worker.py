"""The process that `test_embedded_kill.py` kills: a real host on a real file, acting on a world of files.

    python -m tests.integration.embedded_worker FOLDER RUNS [KEPT]

KEPT is how many events a run keeps, all by default; with it, snapshots are written after every second event.
It starts the runs `run-0` … and says `started ID` for each start that was confirmed, then `done` when all have ended.
The world is one append-only file for each handler: an act is a line with its key. A line that is written stays
written when the process is killed, like a request that has reached another company's server.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from tests.conformance.hosts.building import NoSecrets, PlanBook, act, child, fork, listen, wait, workflow

from segue.hosts import EmbeddedHost, HostSettings
from segue.types import NOT_DONE, EffectContext, Perform, Recovery

STEPS = 4
BELOW = workflow("below", act("delicate-below", "delicate"))
WORK = workflow(
    "work",
    *(act(f"cheap-{n}", "cheap") for n in range(STEPS)),
    fork("both", act("delicate-1", "delicate"), act("delicate-2", "delicate")),
    child("child", "below"),
    wait("nap", 30),
    listen("news", "news"),
    act("last", "delicate", arguments=lambda data: data),
)
DELICATE_PER_RUN = 4


class World:
    """An outside system: acts are lines of a file."""

    def __init__(self, path: Path, recovery: Recovery) -> None:
        self.path = path
        self.declared = recovery
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def perform(self, command: Perform, context: EffectContext) -> Any:
        os.write(self._file, f"{context.key}\n".encode())
        # The answer travels for a while: time for a kill between the act and its record.
        await asyncio.sleep(0.002)
        return command.name

    def recovery(self, command: Perform) -> Recovery:
        return self.declared

    async def verify(self, command: Perform, context: EffectContext) -> Any:
        known = self.path.read_text().splitlines()
        return command.name if context.key in known else NOT_DONE


async def main(folder: Path, runs: int, kept: int = 0) -> None:
    """Start what has not been started, and wait for all."""
    handlers = {"cheap": World(folder / "cheap", "repeat"), "delicate": World(folder / "delicate", "verify")}
    opening = EmbeddedHost.open(
        folder / "data",
        handlers=handlers,
        plans=PlanBook(WORK, BELOW),
        secrets=NoSecrets(),
        settings=HostSettings(
            park_after_ms=20, park_timer_min_ms=10, history_max_events=kept, snapshot_events=2 if kept else 1000
        ),
    )
    async with opening as host:

        async def one(number: int) -> None:
            run_id = await host.start(WORK.digest, number, run_id=f"run-{number}")
            print("started", run_id, flush=True)
            await host.wait_closed(run_id)

        async def news() -> None:
            for number in range(10_000):
                await host.publish({"id": f"{os.getpid()}-{number}", "source": "/news", "type": "news"})
                await asyncio.sleep(0.01)

        publisher = asyncio.create_task(news())
        await asyncio.gather(*(one(n) for n in range(runs)))
        publisher.cancel()
    print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *map(int, sys.argv[2:])))
