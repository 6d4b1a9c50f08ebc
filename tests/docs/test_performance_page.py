"""The page of figures is written by the benchmark: it must find its places there."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from bench._docs import DOCUMENT, write
from bench._figures import Figure
from bench._goals import GOALS, judged

MACHINE = {
    "processor": "a processor",
    "cores": 2,
    "memory_gib": 4.0,
    "system": "Linux",
    "file_system": "ext4",
    "python": "3.11",
    "sqlite": "3.40",
    "flush_ms": 0.2,
    "flush_p95_ms": 0.4,
    "load": 0.1,
    "others": 0.05,
}
GROUPS = ("core", "expressions", "W1", "W2", "W3", "recovery", "loops", "peers")


def figure(group: str, what: str = "a thing") -> Figure:
    return Figure(group, what, 12_345.0, "steps/s", "a limit", 20_000.0, 0.617, 12_000.0, 13_000.0)


def test_every_group_of_figures_has_its_place_on_the_page(tmp_path: Path) -> None:
    """A table that lost its place would keep figures of another year."""
    page = Path(shutil.copy(DOCUMENT, tmp_path))
    figures = [figure(group) for group in GROUPS]

    write(page, figures, judged(figures, others=0), MACHINE, "today")

    text = page.read_text()
    assert text.count("| a thing | 12,345") == len(GROUPS)
    assert all(goal.says in text for goal in GOALS)
    assert "a processor, 2 cores" in text
    write(page, figures, judged(figures, others=0), MACHINE, "today")
    assert page.read_text() == text


def test_a_page_without_a_place_is_refused(tmp_path: Path) -> None:
    """Figures that are written nowhere are lost."""
    page = tmp_path / "page.md"
    page.write_text("nothing")
    with pytest.raises(SystemExit, match="has no place"):
        write(page, [], [], MACHINE, "today")


def test_a_goal_holds_fails_or_was_disturbed() -> None:
    """What another process spoilt is no failure, and no success either; a ratio does not care."""
    goals = {goal.says: goal for goal in GOALS}
    rate = goals["W1, a document: at least 30,000 durable steps/s"]
    share = goals["W1, a document: at least 30 % of the bare loop"]
    slow = figure("W1", rate.what)

    def holds(found: Figure, others: float) -> dict[str, str]:
        return {judgement.says: judgement.holds for judgement in judged([found], others=others)}

    assert holds(slow, 0.05)[rate.says] == "no"
    assert holds(slow, 0.5)[rate.says] == "no, disturbed"
    assert holds(replace(slow, value=31_000.0), 0.5)[rate.says] == "yes"
    assert holds(slow, 0.05)[share.says] == "yes"
    assert holds(replace(slow, ratio=0.29), 0.5)[share.says] == "no"
    assert holds(slow, 0.05)["100 runs of 10,000 iterations: flat memory"] == "not measured"
