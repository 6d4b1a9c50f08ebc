"""`python -m tests.replay.write_snapshots`: keep snapshots as this release takes them, once before its tag is set.

What is out there may be all that is left of a run: once the release has its tag, the command refuses.
"""

from __future__ import annotations

import sys
from importlib.metadata import version

import msgspec
from tests.replay.snapshots import SNAPSHOTS, snapshots_of
from tests.replay.write_golden import is_released


def main() -> int:
    """Write; returns the exit code."""
    release = version("segue")
    if is_released(release):
        print(f"{release} is released: its snapshots are what its users have, and stay as they are")
        return 2
    SNAPSHOTS.mkdir(exist_ok=True)
    path = SNAPSHOTS / f"{release}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(snapshots_of(release)), indent=1) + b"\n")
    print(f"{path}: {path.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
