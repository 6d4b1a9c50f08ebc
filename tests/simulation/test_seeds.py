"""Simulated worlds: a thousand in each test run, and by name those in which something was once found.

`SEGUE_SEEDS` changes how many; `python -m segue.hosts.simulated --seeds N` runs any number, elsewhere.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from segue.hosts.simulated import World, run_seed

SEEDS = int(os.environ.get("SEGUE_SEEDS", "1000"))
PARTS = 10

FOUND = {
    "a disk that fell silent after the last crash": (1, 956),
    "an act that a dead process had begun, taken for one that never began": (1, 13),
    "a branch that began below a held fork": (1, 31983),
    "an act that was refused, and happened when the process died": (1, 17),
    "an event that two sent at once, and that started a workflow twice": (1, 832),
    "attempts that nobody waited for, all of which happened after a crash": (1, 1569),
    "a task that failed again after somebody went back inside it, and was in no inbox": (1, 1407),
    "an act that began although it was cancelled, because the disk was slow": (1, 328),
    "an early event that a run missed, because it was parked while its wait was on its way to the disk": (1, 100487),
    "an act in doubt that was cancelled before its turn, and was in no inbox": (1, 203629),
    "a refusal that no event told of, taken for a doubt by the auditor": (1, 205818),
    "an answer to a command that the answer before it had withdrawn": (1, 207803),
    "due times that one run had made up for, missed by the auditor": (1, 210064),
    "a schedule asked for in vain before the clock was set, due later than the auditor thought": (1, 211502),
    "a run read back from before its end, when it had ended meanwhile": (1, 211944),
    "two readings at once, of which the wrong one was taken for ended": (1, 213335),
    "an event passed by, because one that came after it was delivered before it at a start": (1, 214188),
    "a run that could not be read, and was tried again an hour late because the clock was set back": (2, 11378),
    "the same, after another outage": (2, 11399),
    "an act in doubt that was stopped while it was looked up, and was called failed": (3, 14063),
    "an act in doubt that was repeated and refused, and was called failed": (3, 14748),
    "the same, in another workflow": (3, 14935),
    "an act that had to be approved once more, and stood in no list": (5, 25),
    "the same, after somebody had claimed it": (5, 48),
    "a human task that an act withdrew that answered at once after a crash, and stood in the list": (6, 1002410),
    "a child's answer thrown away, because its parent was being read when the host was closed": (6, 1003121),
    "an act in doubt whose held task a time-out ended, and that was in no inbox": (6, 92),
    "the same, of a loop": (6, 557),
    "an act that its own time-out cut off, told of by nobody because its task was held": (6, 1125),
    "an act done after a crash although an answer before it had ended it": (6, 1297),
    "an act that succeeded when a time-out was on its way to the disk, and was never taken back": (6, 635),
    "an act that gave its first answer although its undo had been cut off half-way": (8, 124),
    "a due time that came while its workflow was stopped, before the clock was set back, taken for early": (
        8,
        811212,
    ),
    "an event that went with the ones before it, which were folded twice after a failed write": (9, 3001719),
    "an act in doubt that was asked for again, because the clock had been set back since one that had failed": (
        9,
        3026787,
    ),
    "a schedule that a dead process had activated before the clock was set back, taken for late": (9, 4048792),
    "weeks in which nothing happens but looks at the clock, taken for a world that never rests": (9, 4079179),
    "an undo that somebody had given up, whose act was taken for done by a list that began again": (9, 3025018),
}
"""Editions and seeds under which something was found, by what it was. They are added, never taken out."""


@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_is_found_in_these_worlds(part: int) -> None:
    """No effect lost or doubled, nothing let out before it is on disk, every timer and message kept."""
    for seed in range(part, SEEDS, PARTS):
        run_seed(seed)


@pytest.mark.parametrize("story", sorted(FOUND))
def test_what_was_found_once_stays_mended(story: str) -> None:
    """Each of these worlds once broke a rule."""
    edition, seed = FOUND[story]
    run_seed(seed, edition=edition)


def test_a_seed_is_a_world() -> None:
    """A finding can be repeated, line by line, because nothing else than the seed decides."""
    logs = []
    for _ in range(2):
        world = World(77, verbose=True)
        world.run()
        logs.append(world.log)
    assert logs[0] == logs[1]
    assert len(logs[0]) > 10


def test_a_seed_is_the_same_world_in_every_process() -> None:
    """One command repeats a finding: neither hashing, nor addresses, nor a slow machine decides anything."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", ELSEWHERE, hash_seed, str(slowness)],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for hash_seed, slowness in (("1", 0.0), ("2", 0.02))
    ]
    told = [process.communicate()[0].split() for process in processes]
    assert len(told[0]) == len(PLACES)
    assert told[0] == told[1]


PLACES = ((1, 3), (1, 28), (4, 25), (6, 0), (6, 25), (6, 28), (8, 3), (8, 11), (8, 28))
"""Worlds that fold histories while the disk is slow: once they were others on a machine under load."""

ELSEWHERE = f"""
import hashlib, random, sys, time
dice, slowness, passed = random.Random(sys.argv[1]), float(sys.argv[2]), 0.0
kept = [bytearray(dice.randrange(200)) for _ in range(10_000)]  # Other addresses for all that follows.

def clock():
    global passed
    passed += dice.random() * slowness
    return passed

time.monotonic = time.perf_counter = clock
from segue.hosts.simulated import World
for edition, seed in {PLACES}:
    world = World(seed, edition=edition, verbose=True)
    world.run()
    print(hashlib.sha256("\\n".join(world.log).encode()).hexdigest())
"""


def test_the_worlds_are_rough() -> None:
    """A simulation in which nothing goes wrong would prove nothing."""
    reports = [run_seed(seed) for seed in range(100)]
    assert sum(r.crashes for r in reports) > 100
    assert sum(r.events for r in reports) > 1_000
    assert sum(r.acts for r in reports) > 500
    assert sum(r.held for r in reports) > 30
    assert sum(r.interventions for r in reports) > 50
    assert sum(r.children for r in reports) > 25
    assert sum(r.scheduled for r in reports) > 50
    assert sum(r.unread for r in reports) > 100
    assert sum(r.refusals for r in reports) > 50
    assert sum(r.decisions for r in reports) > 100
    assert sum(r.migrations for r in reports) > 15
    assert sum(r.undone for r in reports) > 100
