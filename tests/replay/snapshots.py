"""Golden snapshots: states of golden runs, as each release wrote them down.

A snapshot may be all that is left of a run's past (decision 0046), so today's code reads those of every release. They
stand beside the golden histories that they come from: `snapshots/RELEASE.json`, each packed and in base 64.
"""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Final

import msgspec
from tests.replay.golden import FOLDER, Golden, GoldenRun, compiled, read

from segue.core import Plan, RunState, advance, snapshot
from segue.types import RunMigrated

SNAPSHOTS: Final = Path(__file__).parent / "snapshots"
_RUNS_MAX: Final = 4


class GoldenSnapshot(msgspec.Struct, frozen=True):
    """The state of one run of a golden story after so many of its events."""

    story: str
    run: int
    events: int
    content: str

    def unpacked(self) -> bytes:
        """The snapshot as it was taken."""
        return zlib.decompress(b64decode(self.content))


def read_snapshots(path: Path) -> list[GoldenSnapshot]:
    """Those of one release."""
    return msgspec.json.decode(path.read_bytes(), type=list[GoldenSnapshot])


def snapshots_of(release: str) -> list[GoldenSnapshot]:
    """Take them with today's code, from the stories that are played here."""
    taken = []
    for path in sorted((FOLDER / release).glob("*.json")):
        if path.stem.startswith("conformance-"):
            continue
        golden = read(path)
        plans = plans_of(golden)
        for number, run in enumerate(golden.runs[:_RUNS_MAX]):
            for cut, content in _taken_of(plans[run.definition], run):
                packed = b64encode(zlib.compress(content, 9)).decode()
                taken.append(GoldenSnapshot(path.stem, number, cut, packed))
    return taken


def plans_of(golden: Golden) -> dict[str, Plan]:
    """Today's plans of a story's documents, by digest; each knows the others."""
    plans = {digest: compiled(text, golden.functions, golden.catalogue) for digest, text in golden.documents.items()}
    for plan in plans.values():
        plan.others = plans.__getitem__
    return plans


def _taken_of(plan: Plan, run: GoldenRun) -> list[tuple[int, bytes]]:
    """Half-way, just before the end, after each migration, and where the run begins to undo what it did."""
    length = len(run.history)
    wanted = {max(1, length // 2), max(1, length - 1)}
    taken: list[tuple[int, bytes]] = []
    state: RunState | None = None
    was_closing = False
    for cut, event in enumerate(run.history, start=1):
        state, _ = advance(plan, state, event)
        is_closing = state.closing is not None
        if cut in wanted or isinstance(event, RunMigrated) or (is_closing and not was_closing):
            taken.append((cut, snapshot.take(plan.at(state.definition), state)))
        was_closing = is_closing
    return taken
