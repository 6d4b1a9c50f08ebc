"""The published table is made from the policies."""

from __future__ import annotations

from pathlib import Path

from segue.governance import ROLES, Policies, as_markdown, classes_as_markdown, groups_as_markdown, shipped

PAGE = (Path(__file__).parents[3] / "docs" / "permissions.md").read_text()


def test_the_page_shows_the_policies_that_ship() -> None:
    """What an auditor reads must be what the guard does."""
    assert as_markdown(Policies(shipped())) in PAGE
    assert groups_as_markdown() in PAGE
    assert classes_as_markdown(Policies(shipped())) in PAGE
    for role, about in ROLES.items():
        assert f"| `{role}` | {about} |" in PAGE
