"""`python -m tests.replay.write_folder`: keep a data folder of this release.

Until the release has its tag, its schema may still change; then the folder is written anew, by this command. Once
it is released, the command refuses: that folder is what its users have.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.replay.folder_story import FOLDERS, fill
from tests.replay.write_golden import is_released


def main() -> int:
    """Write; returns the exit code."""
    release = version("segue")
    if is_released(release):
        print(f"{release} is released: its data folder is what its users have, and stays as it is")
        return 2
    kept = FOLDERS / release
    with TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        asyncio.run(fill(data))
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        for name in ("segue.db", "segue.mark"):
            shutil.copy(data / name, kept / name)
            print(f"{kept / name}: {(kept / name).stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
