"""The story of `make run`, told to its end: both counts add up, also with a kill -9 in the middle."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.full
def test_the_renewal_job_adds_up_with_a_kill_in_the_middle(tmp_path: Path) -> None:
    """Counted at the systems themselves: in = scored + refused + held, and every action exactly once."""
    command = [sys.executable, "-m", "scripts.demo", "--no-wait", "--days", "3", "--port", "0"]
    told = subprocess.run(
        [*command, "--folder", str(tmp_path / "demo")], cwd=ROOT, capture_output=True, text=True, timeout=280
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert told.stdout.count("adds up") == 3
    assert "does not add up" not in told.stdout
    assert "kill -9" in told.stdout
