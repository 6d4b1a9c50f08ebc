"""The threat model names tests, and they are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
NAMED = re.compile(r"`(tests/[\w/.]+|…)::(\w+)`")


def named() -> list[tuple[str, str]]:
    """File and name of every test on the page; an ellipsis stands for the file before it."""
    found: list[tuple[str, str]] = []
    for file, test in NAMED.findall(PAGE):
        found.append((found[-1][0] if file == "…" else file, test))
    return found


def test_every_test_that_a_threat_names_exists() -> None:
    """A defence whose test was renamed or removed is a claim."""
    tests = named()
    assert len(tests) > 60

    missing = [f"{file}::{test}" for file, test in tests if f"def {test}(" not in (ROOT / file).read_text()]
    assert missing == []


def test_every_threat_names_a_test() -> None:
    """What nothing covers belongs under what is not solved."""
    inside = PAGE[PAGE.index("## Threats") : PAGE.index("## Known and not solved")]
    rows = [
        line for line in inside.splitlines() if line.startswith("| ") and not line.startswith(("| threat", "| ---"))
    ]

    assert [row for row in rows if not NAMED.search(row)] == []
