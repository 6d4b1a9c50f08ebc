"""What documents say about their failures."""

from __future__ import annotations

import pytest
from tests.integration.service_support import document

from segue.dsl import Environment, compile_plan, read_document
from segue.hosts import FailurePolicy
from segue.service.policies import complaints, policies


def saying(**said: str) -> str:
    inside = ", ".join(f"{key}: {value}" for key, value in said.items())
    return document().replace("version: '1.0.0'", f"version: '1.0.0', metadata: {{segue: {{{inside}}}}}")


def read(text: str, *, attended: bool = True) -> FailurePolicy:
    return policies(attended=attended)(compile_plan(read_document(text), Environment()))


def test_a_document_that_says_nothing_leaves_it_to_the_settings() -> None:
    """Most documents."""
    assert read(document()) == FailurePolicy()


def test_a_document_chooses_names_an_owner_and_a_deadline() -> None:
    """All three are optional."""
    found = read(saying(failures="hold", owner="ops", escalate_after="PT1M", escalate_to="[lead, head]"))
    assert found == FailurePolicy(hold=True, owner="ops", deadline_ms=60_000, ladder=("lead", "head"))


def test_a_deadline_of_the_settings_counts_where_a_document_names_none() -> None:
    """The ladder goes with its deadline: half of one and half of the other would be nobody's wish."""
    usual = policies(attended=True, escalate_after="PT1H", escalate_to=("boss",))
    read_by = [usual(compile_plan(read_document(text), Environment())) for text in (
        saying(owner="ops"), saying(escalate_after="PT1M"), saying(escalate_after="PT1M", escalate_to="[lead]"),
    )]  # fmt: skip
    assert [(p.deadline_ms, p.ladder) for p in read_by] == [(3_600_000, ("boss",)), (60_000, ()), (60_000, ("lead",))]


def test_where_nobody_can_come_nothing_is_held() -> None:
    """A command that waits for a decision nobody can make would hang for ever."""
    assert read(saying(failures="hold"), attended=False).hold is False


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ({"failures": "halt"}, "hold"),
        ({"failures": "3"}, "hold"),
        ({"owner": "[a]"}, "name"),
        ({"escalate_after": "soon"}, "PT4H"),
        ({"escalate_after": "4"}, "PT4H"),
        ({"escalate_to": "[a]"}, "escalate_after"),
        ({"escalate_to": "[]", "escalate_after": "PT1H"}, "list"),
        ({"escalate_to": "boss", "escalate_after": "PT1H"}, "list"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_its_place(said: dict[str, str], word: str) -> None:
    """A typing error here would be found on the night of the failure."""
    (finding,) = complaints(read_document(saying(**said)))
    assert finding.severity == "error"
    assert finding.pointer.startswith("/document/metadata/segue/")
    assert finding.line == 1
    assert word in finding.remedy
