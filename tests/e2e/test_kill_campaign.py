"""Short campaigns with real processes: whatever dies when, every act exists exactly once, or is taken back once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from scripts.campaigns.taken_back import Write, complaints

ROOT = Path(__file__).parents[2]


@pytest.mark.full
def test_kills_at_random_moments_lose_and_double_nothing(tmp_path: Path) -> None:
    """The same command with more kills is `make kill-campaign`."""
    folder = tmp_path / "kill"
    command = [sys.executable, "-m", "scripts.campaigns.kill", "--kills", "5", "--days", "3", "--folder", str(folder)]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)

    assert told.returncode == 0, told.stdout + told.stderr
    report = json.loads((folder / "report.json").read_text())
    assert report["kills"] >= 5
    assert report["findings"] == []
    assert report["secondServersRefused"] >= 1
    at_risk, faulted = report["outcomes"]["at risk"], report["outcomes"].get("faulted", 0)
    assert at_risk > 0
    assert all(at_risk <= made <= at_risk + faulted for made in report["actions"].values())


@pytest.mark.full
def test_kills_while_runs_are_taken_back_leave_nothing_standing(tmp_path: Path) -> None:
    """The same command with more kills is `make undo-campaign`."""
    folder = tmp_path / "undo"
    command = [sys.executable, "-m", "scripts.campaigns.undo", "--kills", "6", "--customers", "18"]
    told = subprocess.run([*command, "--folder", str(folder)], cwd=ROOT, capture_output=True, text=True, timeout=280)

    assert told.returncode == 0, told.stdout + told.stderr
    report = json.loads((folder / "report.json").read_text())
    assert report["kills"] >= 6
    assert report["findings"] == []
    assert report["acts"] > 0
    assert report["acts"] - report["unknown"] <= report["undone"] <= report["acts"]
    assert {"cancelled", "completed", "faulted"} <= set(report["outcomes"])


def write(at_ms: int, system: str, said: str) -> Write:
    verb, act = said.split()
    return Write(at_ms, system, at_ms, verb == "undo", int(act))


CANCELLED: dict[str, Any] = {"status": "cancelled", "output": None}
IN_ORDER = [write(1, "crm", "did 1"), write(2, "crm", "did 4"), write(3, "crm", "undo 4"), write(4, "crm", "undo 1")]
WRONG = {
    "is not taken back": IN_ORDER[:3],
    "is taken back twice": [*IN_ORDER, write(5, "crm", "undo 1")],
    "is done twice": [write(0, "billing", "did 4"), *IN_ORDER],
    "goes in the wrong order": [*IN_ORDER[:2], write(3, "crm", "undo 1"), write(4, "billing", "undo 4")],
    "goes on acting": [*IN_ORDER[:3], write(4, "support", "did 3"), *IN_ORDER[3:], write(5, "support", "undo 3")],
    "is taken back without being done": [*IN_ORDER, write(5, "crm", "undo 2")],
}


@pytest.mark.parametrize("writes", WRONG.values(), ids=WRONG)
def test_the_judge_of_the_undo_campaign_sees_an_act_that(writes: list[Write]) -> None:
    """A judge that finds nothing proves nothing."""
    assert complaints(CANCELLED, IN_ORDER, frozenset()) == []
    assert complaints(CANCELLED, writes, frozenset()) != []


def test_an_act_that_the_inbox_knows_may_stand() -> None:
    """It was under way when its run was cancelled: nobody but a person can know."""
    assert complaints(CANCELLED, IN_ORDER[:3], frozenset({1})) == []
