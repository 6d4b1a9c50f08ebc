"""kill -9 of the real process, under load, again and again."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.integration.embedded_worker import DELICATE_PER_RUN, STEPS

from segue.store import FolderInUse, RunFilter, Store

RUNS = 60
ACTS = RUNS * (STEPS + DELICATE_PER_RUN)
KILLS = 8
ROOT = Path(__file__).parents[2]


def worker(folder: Path, kept: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.integration.embedded_worker", str(folder), str(RUNS), str(kept)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def acts(folder: Path) -> int:
    """How many acts have reached the world."""
    files = [folder / "cheap", folder / "delicate"]
    return sum(file.read_bytes().count(b"\n") for file in files if file.exists())


def run_until_killed(folder: Path, after_acts: int, kept: int) -> tuple[set[str], bool]:
    """Kill the worker once so many acts are done; the starts it confirmed, and whether it was killed."""
    process = worker(folder, kept)
    while process.poll() is None and acts(folder) < after_acts:
        time.sleep(0.0005)
    process.kill()
    assert process.stdout is not None
    # A line that the kill cut short confirmed nothing.
    said = [line for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    return {line.split()[1] for line in said if line.startswith("started")}, process.wait() == -9


def run_to_the_end(folder: Path, kept: int) -> str:
    process = worker(folder, kept)
    said, _ = process.communicate(timeout=60)
    return said


@pytest.mark.parametrize(("seed", "kept"), [(0, 0), (1, 0), (2, 6)], ids=["0", "1", "folding"])
async def test_nothing_is_lost_and_nothing_doubled_by_killing_the_process(
    tmp_path: Path, seed: int, kept: int
) -> None:
    """Every confirmed start ends, and every act that can be looked up happened exactly once, whenever death came.

    Also where the process folds the histories of its runs all the while.
    """
    draw = random.Random(seed)
    confirmed: set[str] = set()
    kills = 0
    for after_acts in sorted(draw.randrange(ACTS) for _ in range(KILLS)):
        said, killed = await asyncio.to_thread(run_until_killed, tmp_path, after_acts, kept)
        confirmed |= said
        kills += killed
    assert kills > KILLS // 2, "too few were killed: the test shows little"
    assert (await asyncio.to_thread(run_to_the_end, tmp_path, kept)).endswith("done\n")

    store = Store.open(tmp_path / "data")
    ended = {r.id: r for r in (await store.runs(RunFilter(name="work"), limit=1000)).items}
    assert confirmed <= set(ended)
    assert len(ended) == RUNS
    assert {r.status for r in ended.values()} == {"completed"}
    assert await store.count_runs() == {"completed": 2 * RUNS}
    await store.close()
    delicate = Counter((tmp_path / "delicate").read_text().splitlines())
    assert set(delicate.values()) == {1}, [key for key, n in delicate.items() if n > 1]
    assert len(delicate) == RUNS * DELICATE_PER_RUN
    cheap = Counter((tmp_path / "cheap").read_text().splitlines())
    assert len(cheap) == RUNS * STEPS


async def test_a_second_process_on_the_folder_is_refused(tmp_path: Path) -> None:
    """The first one goes on undisturbed."""
    process = worker(tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("started")
    with pytest.raises(FolderInUse, match=str(process.pid)):
        Store.open(tmp_path / "data")
    process.kill()
    process.stdout.read()
    process.wait()
