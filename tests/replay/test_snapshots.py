"""Snapshots of every release, read with today's code: the runs go on from them as they did."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from tests.replay.golden import FOLDER, read, replayed
from tests.replay.snapshots import SNAPSHOTS, GoldenSnapshot, plans_of, read_snapshots

from segue.core import snapshot

PATHS = sorted(SNAPSHOTS.glob("*.json"))
KEPT = [(path, kept) for path in PATHS for kept in read_snapshots(path)]


@pytest.mark.parametrize(
    ("path", "kept"), KEPT, ids=[f"{path.stem}-{kept.story}-{kept.run}-{kept.events}" for path, kept in KEPT]
)
def test_a_run_goes_on_from_the_snapshot_of_its_release(path: Path, kept: GoldenSnapshot) -> None:
    """Its beginning may be gone. Remedy: a default for a new field, a reader for an old form (decision 0046)."""
    golden = read(FOLDER / path.stem / f"{kept.story}.json")
    run = golden.runs[kept.run]
    plan = plans_of(golden)[run.definition]
    content = kept.unpacked()
    state = snapshot.restore(plan.at(snapshot.digest_of(content)), content)
    digests, _, ending = replayed(plan, run.history[kept.events :], state)
    assert digests == run.commands[kept.events :]
    assert ending == run.ending


def test_they_hold_what_runs_are_made_of() -> None:
    """Else a change of one of these would not be seen here."""
    written = [msgspec.msgpack.decode(kept.unpacked(), ext_hook=msgspec.msgpack.Ext) for _, kept in KEPT]
    kinds = {kind for _, _, _, records, _ in written for kind, _ in records}
    of_the_state = {"RunState", "Frame", "Thread", "Attempts", "Join", "Listening", "Tasking", "Undo", "Closing"}
    assert kinds >= of_the_state | {"Perform", "StartTimer", "AwaitMessages", "Offer", "Failure"}


def test_some_were_taken_after_their_run_had_moved_to_another_version() -> None:
    """Such a snapshot belongs to another definition than the run began with."""
    moved = [kept for _, kept in KEPT if kept.story == "moved"]
    assert len({snapshot.digest_of(kept.unpacked()) for kept in moved}) == 2
