"""What a document may say about how long its runs are kept."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.service_support import document

from segue.service import Settings, open_checker
from segue.service.policies import said_days


@pytest.mark.parametrize(
    ("said", "days"),
    [(2, 2.0), (0.5, 0.5), (0, None), (-1, None), ("2", None), (True, None), (10**9, None), (None, None), ([], None)],
)
def test_only_a_sensible_number_of_days_counts(said: Any, days: float | None) -> None:
    """A definition of an earlier release may hold anything."""
    assert said_days({"document": {"metadata": {"segue": {"retention_days": said}}}}) == days


@pytest.mark.parametrize("definition", [None, {}, {"document": None}, {"document": {"metadata": {"segue": 7}}}])
def test_a_document_that_says_nothing_leaves_it_to_the_setting(definition: Any) -> None:
    """Most documents."""
    assert said_days(definition) is None


@pytest.mark.parametrize(("said", "findings"), [("7", 0), ("soon", 1), ("0", 1), ("true", 1)])
async def test_a_wrong_number_is_found_before_publishing(said: str, findings: int, tmp_path: Any) -> None:
    """Otherwise runs would be kept as long as the setting says, and nobody would know."""
    source = document().replace("1.0.0'}", f"1.0.0', metadata: {{segue: {{retention_days: {said}}}}}}}")
    async with open_checker(Settings()) as check:
        found = (await check(source.encode(), tmp_path / "flow.yaml")).findings
    assert [f.rule for f in found if "retention_days" in f.message] == ["failure-policy"] * findings
