"""A short kill campaign with real processes: whatever dies when, every action exists exactly once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.full
def test_kills_at_random_moments_lose_and_double_nothing(tmp_path: Path) -> None:
    """The same command with more kills is `make kill-campaign`."""
    folder = tmp_path / "kill"
    command = [sys.executable, "-m", "scripts.campaigns.kill", "--kills", "8", "--days", "3", "--folder", str(folder)]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)

    assert told.returncode == 0, told.stdout + told.stderr
    report = json.loads((folder / "report.json").read_text())
    assert report["kills"] >= 8
    assert report["findings"] == []
    assert report["secondServersRefused"] >= 1
    at_risk, faulted = report["outcomes"]["at risk"], report["outcomes"].get("faulted", 0)
    assert at_risk > 0
    assert all(at_risk <= made <= at_risk + faulted for made in report["actions"].values())
