"""For all tests: the long ones first, so that no worker is left with one while the others have nothing to do."""

from __future__ import annotations

import pytest

LONG = (
    "tests/e2e/",
    "tests/docs/test_pages.py",
    "_killed.py",
    "tests/integration/test_sandbox_process.py",
    "tests/integration/test_workspaces.py",
    "tests/integration/test_waits_told.py",
    "tests/integration/test_runs_at_scale.py",
    "tests/simulation/",
    "tests/property/test_expressions_differential.py",
)
"""Where single tests take seconds: processes that are started and killed, worlds, and thousands of examples."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not any(part in item.nodeid for part in LONG))
