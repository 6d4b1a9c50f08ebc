"""What a document may say about how long its runs are kept."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.service_support import document

from segue.dsl import read_document
from segue.service import Settings, open_checker
from segue.service.policies import complaints, said_days
from segue.service.retention import decide


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


def definition(**said: object) -> dict[str, object]:
    return {"document": {"metadata": {"segue": said}}}


@pytest.mark.parametrize(
    ("said", "settings", "days", "by"),
    [
        ({}, {}, 90, "setting"),
        ({"data_classes": ["personal"]}, {}, 90, "setting"),
        ({"data_classes": ["personal", "public"], "retention": {"personal": 60, "public": 700}}, {}, 60, "document"),
        ({"data_classes": ["public"], "retention": {"personal": 60, "public": 700}}, {}, 700, "document"),
        ({"retention_days": 5, "data_classes": ["public"], "retention": {"public": 3}}, {}, 5, "document"),
        ({"data_classes": ["personal"]}, {"personal": 30}, 30, "class"),
        ({"data_classes": ["public"]}, {"personal": 30}, 90, "setting"),
        ({"retention_days": 700, "data_classes": ["personal"]}, {"personal": 30}, 30, "class"),
        ({"retention_days": 7, "data_classes": ["personal"]}, {"personal": 30}, 7, "document"),
        ({"data_classes": ["personal", "secret"]}, {"personal": 30, "secret": 2}, 2, "class"),
    ],
)
def test_who_decides_how_long_runs_are_kept(
    said: dict[str, object], settings: dict[str, int], days: float, by: str
) -> None:
    """The document beats the setting, and what the administrator says of a class is a ceiling over both."""
    found = decide(definition(**said), Settings(retention_by_class=settings))
    assert (found.days, found.by) == (days, by)


def test_a_class_is_a_ceiling_also_where_runs_are_kept_for_ever() -> None:
    """A workflow that names no class is kept for ever then."""
    settings = Settings(retention_days=0, retention_by_class={"personal": 30})
    assert decide(definition(data_classes=["personal"]), settings).days == 30
    assert decide(definition(), settings).days is None
    assert decide(None, settings).days is None


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("data_classes: personal", "must be a list of names"),
        ("data_classes: [1]", "must be a list of names"),
        ("data_classes: [personal], retention: {personal: 0}", "number of days, above 0 and up to"),
        ("data_classes: [personal], retention: 5", "number of days, above 0 and up to"),
        ("retention: {personal: 5}", "`data_classes` does not name"),
        ("history_max_events: 5", "must be 0, or a"),
    ],
)
def test_what_means_nothing_is_refused_before_any_run(said: str, words: str) -> None:
    """Keeping something longer than intended is found out too late otherwise."""
    source = document().replace("1.0.0'}", f"1.0.0', metadata: {{segue: {{{said}}}}}}}")
    assert said in source
    assert any(words in finding.message for finding in complaints(read_document(source)))
