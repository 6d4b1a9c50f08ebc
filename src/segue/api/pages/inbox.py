"""The list of what waits for somebody."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode

from segue.api.pages.html import Content, Html, el
from segue.api.pages.places import INBOX
from segue.api.pages.text import moment, said
from segue.service import DESK, Page, WaitingView

_WITH_PAGE: Final = frozenset({"task", "approval"})
_ELSEWHERE: Final = {
    "publication": "segue publications show {}",
    "adjustment": "segue adjustments list",
    "consent": "segue consents list",
    "account": "segue users changes",
    "exception": "segue exceptions show {}",
}
"""What has no page yet, and the command that shows it."""
_NAMES: Final = {
    "task": "Task",
    "approval": "Approval of an act",
    "publication": "Publication",
    "adjustment": "Change of values",
    "consent": "Use of a connection",
    "account": "Change of a person",
    "exception": "Exception",
}


def inbox_content(root: str, found: Page[WaitingView], overdue: bool, further: bool) -> list[Content]:
    """The page of a part of the list. further: it is not the first part."""
    other = el(
        "p",
        el("a", "All of it", href=root + INBOX)
        if overdue
        else el("a", "Only what is late", href=f"{root}{INBOX}?overdue=true"),
    )
    rows = [_row(root, item) for item in found.items]
    nothing = "Nothing more waits for you." if further else "Nothing waits for you."
    listed = el("ul", rows, class_="list") if rows else None if found.next else el("p", nothing, class_="none")
    query = {"after": found.next or "", **({"overdue": "true"} if overdue else {})}
    onward = el("p", el("a", "More", href=f"{root}{INBOX}?{urlencode(query)}")) if found.next else None
    return [el("h1", "Late" if overdue else "What waits for you"), listed, onward, other if rows or overdue else None]


def _row(root: str, item: WaitingView) -> Html:
    now = datetime.now(UTC)
    tags = [el("span", item.priority, class_=f"tag {item.priority}")] if item.priority != "normal" else []
    if item.overdue:
        tags.append(el("span", "late", class_="tag late"))
    facts: list[Content] = [_NAMES[item.kind]]
    if item.workflow:
        facts.append([" · ", said(item.workflow, most=200)])
    if item.by:
        facts.append([" · asked for by ", said(item.by, most=200)])
    facts.append([" · since ", moment(item.since, now)])
    if item.due:
        facts.append([" · due ", moment(item.due, now)])
    if item.deadline:
        facts.append([f" · if nobody decides: {item.deadline_outcome}, ", moment(item.deadline, now)])
    if item.kind not in _WITH_PAGE:
        facts.append([" · decided with ", el("code", _ELSEWHERE[item.kind].format(item.number))])
    content: list[Content] = [
        tags,
        el("span", said(item.title, most=500), class_="title"),
        el("span", facts, class_="facts"),
    ]
    if item.kind in _WITH_PAGE:
        return el("li", el("a", content, href=f"{root}{DESK}/tasks/{item.number}"))
    return el("li", el("div", content))
