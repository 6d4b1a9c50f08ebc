"""`python -m tests.replay.write_golden`: write the golden histories of this release.

Run it once for each release, before its tag is set; it writes what is missing and leaves the rest alone. With
`--again` it writes all of this release anew, which it refuses once the release has its tag: from then on histories
of it are out there.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.replay.conformance import conformance_stories
from tests.replay.examples import EXAMPLES, ROOT
from tests.replay.golden import FOLDER, Golden, run_of, write
from tests.replay.stage import Story, played
from tests.replay.stories import STORIES


def is_released(release: str) -> bool:
    """Does the release have its tag?"""
    found = subprocess.run(
        ["git", "tag", "--list", f"v{release}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return bool(found.stdout.strip())


async def golden_of(story: Story, release: str) -> Golden:
    """Play a story and keep what came of it."""
    with TemporaryDirectory() as folder:
        runs = await played(story, Path(folder))
    texts = {plan.digest: text for plan, text in zip(story.plans(), story.documents, strict=True)}
    kept = [run_of(plan, history) for plan, history in runs]
    return Golden(release, story.name, " ".join(story.told.split()), texts, list(story.functions), kept)


def main() -> int:
    """Write; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.replay.write_golden", description=__doc__)
    parser.add_argument("--again", action="store_true", help="write all histories of this release anew")
    asked = parser.parse_args()
    release = version("segue")
    if asked.again and is_released(release):
        print(f"{release} is released: its golden histories are what its users have, and stay as they are")
        return 2
    for story in [*STORIES, *EXAMPLES, *conformance_stories()]:
        path = FOLDER / release / f"{story.name}.json"
        if asked.again or not path.exists():
            golden = asyncio.run(golden_of(story, release))
            write(golden, path)
            print(f"{path.name}: {', '.join(f'{len(r.history)} events, {r.ending.status}' for r in golden.runs)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
