"""`python -m tests.replay.write_snapshots`: keep snapshots as this release takes them, before its tag is set.

It takes those that are missing and leaves the rest alone. What is out there may be all that is left of a run: once
the release has its tag, the command refuses.
"""

from __future__ import annotations

import sys
from importlib.metadata import version

import msgspec
from tests.replay.snapshots import SNAPSHOTS, GoldenSnapshot, read_snapshots, snapshots_of
from tests.replay.write_golden import is_released


def main() -> int:
    """Write; returns the exit code."""
    release = version("segue")
    if is_released(release):
        print(f"{release} is released: its snapshots are what its users have, and stay as they are")
        return 2
    SNAPSHOTS.mkdir(exist_ok=True)
    path = SNAPSHOTS / f"{release}.json"
    kept = {_place(one): one for one in read_snapshots(path)} if path.exists() else {}
    taken = {_place(one): one for one in snapshots_of(release)} | kept
    path.write_bytes(
        msgspec.json.format(msgspec.json.encode([taken[place] for place in sorted(taken)]), indent=1) + b"\n"
    )
    print(f"{path}: {len(taken) - len(kept)} more, {path.stat().st_size} bytes")
    return 0


def _place(one: GoldenSnapshot) -> tuple[str, int, int]:
    return one.story, one.run, one.events


if __name__ == "__main__":
    sys.exit(main())
