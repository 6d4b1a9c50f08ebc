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
from tests.replay.golden import FOLDER, compiled, read

from segue.core import replay, snapshot

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
    """Take them with today's code, from the stories that are played here; half-way and just before the end."""
    taken = []
    for path in sorted((FOLDER / release).glob("*.json")):
        if path.stem.startswith("conformance-"):
            continue
        golden = read(path)
        for number, run in enumerate(golden.runs[:_RUNS_MAX]):
            plan = compiled(golden.documents[run.definition], golden.functions, golden.catalogue)
            for cut in sorted({max(1, len(run.history) // 2), max(1, len(run.history) - 1)}):
                content = snapshot.take(plan, replay(plan, run.history[:cut]))
                packed = b64encode(zlib.compress(content, 9)).decode()
                taken.append(GoldenSnapshot(path.stem, number, cut, packed))
    return taken
