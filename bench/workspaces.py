"""Starts per second over several workspaces of one process, as a ratio to one of them; and what each one takes.

    python -m bench.workspaces [--workspaces 4] [--callers 64] [--starts 40] [--rounds 9]

The same callers start the same runs, all in one workspace or spread evenly; in turn, with full fsync, without HTTP.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from segue.service import Service, Settings, Workspaces, create_workspace, load_settings
from segue.types import acting_as, owner_of

DOCUMENT = b"document: {dsl: '1.0.3', namespace: bench, name: one, version: '1.0.0'}\ndo:\n- one: {set: {a: 1}}\n"


class _NoDoor:
    """Nobody asks over HTTP."""

    def admit(self, folder: Path, service: Service, settings: Settings) -> None:
        """Nothing to do."""

    async def dismiss(self, folder: Path) -> None:
        """Nothing to do."""


async def _starts(served: Workspaces, names: list[str], callers: int, each: int) -> float:
    """Starts per second."""

    async def call(name: str) -> None:
        service = served.service(name)
        assert service is not None
        with acting_as(owner_of(name)):
            for _ in range(each):
                await service.runs.start("bench/one", input={"n": 1})

    began = time.perf_counter()
    await asyncio.gather(*(call(names[at % len(names)]) for at in range(callers)))
    return callers * each / (time.perf_counter() - began)


def _megabytes() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


async def _measure(folder: Path, count: int, callers: int, each: int, rounds: int) -> None:
    names = [f"w{number}" for number in range(count)]
    for name in names:
        create_workspace(folder, name)
    before, began = _megabytes(), time.process_time()
    async with Workspaces(folder, load_settings, _NoDoor(), start_seconds=600) as served:
        took = time.process_time() - began
        print(f"{count} workspaces: {(_megabytes() - before) / count:.1f} MB and {took / count:.2f} s of work each")
        for name in names:
            service = served.service(name)
            assert service is not None
            with acting_as(owner_of(name)):
                await service.workflows.publish(DOCUMENT)
        await _starts(served, names, callers, each)
        alone, spread = [], []
        for _ in range(rounds):
            alone.append(await _starts(served, names[:1], callers, each))
            spread.append(await _starts(served, names, callers, each))
    ratio = statistics.median(many / one for many, one in zip(spread, alone, strict=True))
    print(f"one: {statistics.median(alone):,.0f}/s, {count}: {statistics.median(spread):,.0f}/s, ratio {ratio:.2f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspaces", type=int, default=4)
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--starts", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_measure(Path(folder) / "all", given.workspaces, given.callers, given.starts, given.rounds))


if __name__ == "__main__":
    main()
