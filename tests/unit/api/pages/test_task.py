"""The page of a task: what stands on it for whom."""

from __future__ import annotations

from typing import Any

import msgspec

from segue.api.pages.html import text_of
from segue.api.pages.task import View, form_of_task, task_content
from segue.service import HumanTaskDetail
from segue.types import Identity, acting_as

FORM = {"type": "object", "required": ["amount"], "properties": {"amount": {"type": "number"}}}
CHOICES = [
    {"outcome": "approve", "title": "Approve", "form": True, "comment": False, "votes": 2},
    {"outcome": "edit", "title": "Edit", "form": True, "comment": False, "votes": 2},
    {"outcome": "reject", "title": "Reject", "form": False, "comment": True, "votes": 1},
]
TASK = msgspec.convert(
    {
        "id": 7,
        "kind": "task",
        "title": "Pay?",
        "state": "offered",
        "priority": "normal",
        "run": "r-1",
        "workflow": {"namespace": "finance", "name": "pay", "version": "1.0.0", "digest": "d"},
        "pointer": "/do/0/ask",
        "audience": {"roles": ["approver"]},
        "offeredAt": "2026-11-22T05:00:00Z",
        "runStatus": "waiting",
        "mayDecide": True,
        "seen": "s",
        "choices": CHOICES,
        "form": FORM,
        "data": {"amount": 5},
    },
    HumanTaskDetail,
)
ANN = Identity(kind="person", id="ann")


def page(code: str = "", **changes: Any) -> str:
    """What stands on the page of this task for Ann."""
    scope = {"root_path": "/w/sales", "segue.csrf": "token"}
    with acting_as(None if code else ANN):
        return text_of(task_content(View(scope, msgspec.structs.replace(TASK, **changes), "/desk/x", code)))


def test_who_may_decide_gets_the_form_and_each_outcome_as_a_button() -> None:
    """With what each needs; in the workspace that the page is of."""
    text = page()
    assert text.count('name="outcome"') == 3
    assert 'name="data/amount"' in text
    assert "needs 2 people; 0 so far" in text
    assert "Needed for: Reject" in text
    assert 'action="/w/sales/desk/x"' in text
    assert 'name="csrf" value="token"' in text


def test_hidden_data_is_decided_about_and_not_changed() -> None:
    """A mask that came back would be written over what it stands for."""
    masked = {"amount": 5, "name": {"$masked": ["personal"]}}
    text = page(data=masked)
    assert form_of_task(msgspec.structs.replace(TASK, data=masked)) is None
    assert "hidden from you: <bdi>personal</bdi>" in text
    assert "You can decide about it, and not change it." in text
    assert 'name="data' not in text
    assert 'value="approve"' in text
    assert 'value="edit"' not in text, "nothing can be edited"


def test_who_may_not_decide_reads_the_data_and_why() -> None:
    """Everything but the ways to act."""
    text = page(may_decide=False, why_not="ann requested it, and the requester never decides")
    assert "You cannot decide this: <bdi>ann requested it" in text
    assert "What it is about" in text
    assert "<form" not in text


def test_whoever_comes_by_a_code_decides_and_does_nothing_else() -> None:
    """A code is for one decision: it hands nothing on, and shows no way to what it does not open."""
    text = page("a-code-of-a-mail-1234")
    assert 'name="code" value="a-code-of-a-mail-1234"' in text
    assert "/claim" not in text
    assert "/inbox" not in text
    assert 'value="approve"' in text


def test_the_first_button_of_the_form_is_one_that_does_nothing() -> None:
    """The key Enter in a field presses the first one."""
    form = page().partition('action="/w/sales/desk/x"')[2]
    assert form.index("<button disabled hidden") < form.index('name="outcome"')


def test_an_act_that_waits_shows_what_would_go_out() -> None:
    """Nobody approves what they have not seen."""
    context = {"act": {"operation": "pay", "arguments": {"iban": "DE1"}}, "rules": {"limit": "permit"}}
    text = page(kind="approval", form=None, data=None, context=context, choices=[{**CHOICES[0], "form": False}])
    assert "DE1" in text
    assert 'name="data' not in text


def test_what_is_over_says_how_it_ended_and_offers_nothing() -> None:
    """Decided, expired, withdrawn."""
    over = {"choices": [], "may_decide": False, "closed_at": "2026-11-22T05:40:12Z"}
    decided = page(**over, state="decided", outcome="approve", by="ann", edited=True)
    assert "Approve, decided by <bdi>ann (you)</bdi>" in decided
    assert "22 Nov 2026, 05:40 UTC" in decided
    assert "With other data than was asked." in decided
    assert "Nobody decided in time: Expired" in page(**over, state="expired", outcome="expired")
    assert "its run went on without it" in page(**over, state="withdrawn")
    assert "<form" not in decided
