"""What the pages tell people to do works, and what they show is what comes."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.docs.playing import Player
from tests.docs.reading import DOCS, ROOT, blocks, pages

PLAYED = [page for page in pages() if any(block.language for block in blocks(page))]
NOT_RUN = [
    (block.place, block.remarks["not run"]) for page in PLAYED for block in blocks(page) if "not run" in block.remarks
]
NOT_RUN_MAX = 4
"""A page that is not played goes stale. Raise this only for what no test can do."""


@pytest.mark.parametrize("page", PLAYED, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_can_be_played_from_top_to_bottom(page: Path, tmp_path: Path) -> None:
    """People copy block after block into an empty folder; the first that fails loses them."""
    player = Player(tmp_path)
    try:
        for block in blocks(page):
            if "not run" in block.remarks:
                continue
            try:
                player.play(block)
            except AssertionError as error:
                raise AssertionError(f"{block.place}: {error}") from None
    finally:
        player.close()


def test_what_is_not_played_says_why(record_property: pytest.RecordProperty) -> None:
    """An exception without a reason is a hole."""
    for place, reason in NOT_RUN:
        record_property("not run", f"{place}: {reason}")
        assert len(reason.split()) >= 3, f"{place}: say why it is not run"
    assert len(NOT_RUN) <= NOT_RUN_MAX, "\n".join(f"{place}: {reason}" for place, reason in NOT_RUN)


def test_the_examples_are_the_files_of_the_tutorial() -> None:
    """Whoever does not want to type takes them from there, and must get what the page explains."""
    told = {block.saved_as: block.text for block in blocks(DOCS / "tutorial.md") if block.saved_as}
    kept = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "examples" / "tutorial").iterdir()}

    assert kept == told
