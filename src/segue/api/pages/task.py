"""The page of one task: everything that the API tells of it, and what somebody can do about it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from segue.api.common import address_of
from segue.api.pages.fields import Field, fields_of
from segue.api.pages.form import Typed, comment_field, form_fields
from segue.api.pages.frame import csrf_field, notice
from segue.api.pages.html import Content, Html, el
from segue.api.pages.places import INBOX
from segue.api.pages.text import block, moment, said, words
from segue.api.pages.values import has_mask, shown
from segue.service import COMMENT_MAX, DESK, HumanTaskDetail, HumanTaskView
from segue.types import acting

_AUDIENCE: Final = {"people": "", "roles": "role ", "groups": "group ", "agents": "agent "}
_STATES: Final = {
    "offered": "waits for somebody",
    "claimed": "claimed",
    "sent-back": "sent back",
    "decided": "decided",
    "expired": "expired",
    "withdrawn": "withdrawn",
}


class Told(NamedTuple):
    """What stands above everything else. kind: as for `notice`."""

    kind: str
    title: str
    text: str = ""


class View(NamedTuple):
    """One task for one person.

    Attributes:
        action: Where a decision is sent. code: the one-time code that is sent along; empty where somebody signed in.
    """

    scope: Mapping[str, Any]
    task: HumanTaskDetail
    action: str
    code: str = ""
    typed: Typed | None = None
    told: Told | None = None


def form_of_task(task: HumanTaskDetail) -> Field | None:
    """The form that can be filled in; None where there is nothing to fill in, or a part of it is hidden."""
    fills = [choice for choice in task.choices if choice["form"]]
    if not fills or has_mask(task.data) or has_mask(task.form):
        return None
    if task.form is None and not any(choice["outcome"] in ("edit", "resubmit") for choice in fills):
        return None
    return fields_of({} if task.form is None else task.form, task.data)


def task_content(view: View) -> list[Content]:
    """Everything below the head of the page."""
    task, root = view.task, address_of(view.scope)
    can = task.may_decide and bool(task.choices)
    return [
        None if view.code else el("a", "← Inbox", href=root + INBOX, class_="back"),
        el("h1", said(task.title)),
        _facts(task),
        _told(view.told),
        _ended(task),
        el("a", "To the decision", href="#decide", class_="jump") if can else None,
        el("div", el("div", _read(task, can and form_of_task(task) is not None)), _decide(view, can), class_="two"),
    ]


def outcome_title(task: HumanTaskView, outcome: str) -> str:
    """What an outcome is called."""
    choices = task.choices if isinstance(task, HumanTaskDetail) else []
    return next((str(choice["title"]) for choice in choices if choice["outcome"] == outcome), words(outcome))


def _told(told: Told | None) -> Html | None:
    return None if told is None else notice(told.kind, el("p", el("b", said(told.title))), _paragraph(told.text))


# -- what is read ----------------------------------------------------------------------------------


def _facts(task: HumanTaskDetail) -> Html:
    now = datetime.now(UTC)
    tags = [el("span", _STATES[task.state], class_="tag")]
    if task.priority != "normal":
        tags.append(el("span", task.priority, class_=f"tag {task.priority}"))
    if task.overdue:
        tags.append(el("span", "late", class_="tag late"))
    workflow = f"{task.workflow.namespace}/{task.workflow.name} {task.workflow.version}"
    facts: list[Content] = [f"Task {task.id} of {workflow}", [" · offered ", moment(task.offered_at, now)]]
    if task.requester:
        facts.append([" · asked for by ", said(task.requester, most=200)])
    if task.owner:
        facts.append([" · claimed by ", said(task.owner, most=200)])
    elif task.choices:
        facts.append([" · for ", said(_who(task.audience), most=500)])
    if task.choices and task.due_at:
        facts.append([" · due ", moment(task.due_at, now)])
    if task.choices and task.deadline_at:
        outcome = words(task.deadline_outcome or "")
        facts.append([f" · if nobody decides: {outcome}, ", moment(task.deadline_at, now)])
    return el("div", tags, el("p", facts, class_="facts"))


def _who(audience: Mapping[str, Any]) -> str:
    names = [f"{word}{name}" for kind, word in _AUDIENCE.items() for name in audience.get(kind, ())]
    return ", ".join([*names, *(["their managers"] if audience.get("manager") else [])])


def _ended(task: HumanTaskDetail) -> Html | None:
    """What became of a task that is closed."""
    if task.choices:
        return None
    when = moment(task.closed_at)
    if task.state == "decided":
        what: Content = [outcome_title(task, task.outcome or ""), ", decided by ", said(_you(task.by)), " on ", when]
    elif task.state == "expired":
        what = ["Nobody decided in time: ", words(task.outcome or ""), " since ", when]
    else:
        what = ["Nobody has to decide this any more: its run went on without it, ", when]
    return notice(
        "plain", el("p", el("b", what)), el("p", "With other data than was asked.") if task.edited else None
    )


def _you(name: str | None) -> str:
    me = acting()
    return f"{name} (you)" if me is not None and name == me.id else name or "nobody"


def _read(task: HumanTaskDetail, in_form: bool) -> list[Content]:
    """Everything that is told. in_form: the form has the data."""
    cards: list[Content] = []
    if task.description:
        cards.append(_card(None, block(task.description)))
    if task.suggestion is not None:
        cards.append(_card("Suggested", shown(task.suggestion)))
    if task.about is not None:
        cards.append(_card("What the model says", shown(task.about)))
    if task.data is not None and not in_form:
        cards.append(_card("What it is about", shown(task.data)))
    if task.context is not None:
        cards.append(_card("Act" if task.kind == "approval" else "Context", shown(task.context)))
    if not cards:
        cards.append(_card(None, el("p", "Nothing more is told about it.", class_="none")))
    return [cards, _voices(task), _run(task), _changes(task)]


def _card(title: str | None, *content: Content) -> Html:
    return el("section", el("h2", title) if title else None, content, class_="card")


def _voices(task: HumanTaskDetail) -> Html | None:
    if not task.decisions:
        return None
    rows = [
        el(
            "li",
            [outcome_title(task, voice.outcome), " by ", said(_you(voice.by)), ", ", moment(voice.at)],
            block(voice.comment) if voice.comment else None,
        )
        for voice in task.decisions
    ]
    return _card("Who has decided", el("ul", rows))


def _run(task: HumanTaskDetail) -> Html:
    steps = [
        el(
            "li",
            el("b", said(step.pointer)),
            f" {step.status}",
            el("dl", el("div", el("dt", "Result"), el("dd", shown(step.output))))
            if step.output is not None
            else None,
        )
        for step in task.steps
    ]
    return el(
        "details",
        el("summary", "What the run did before"),
        el("p", "Run ", said(task.run), class_="facts"),
        el("dl", el("div", el("dt", "Input"), el("dd", shown(task.run_input)))),
        el("ul", steps) if steps else None,
        class_="card",
    )


def _changes(task: HumanTaskDetail) -> Html | None:
    if not task.changes:
        return None
    rows = [
        el(
            "li",
            [moment(change.at), " ", change.change.replace("-", " ")],
            [" by ", said(_you(change.by))] if change.by else None,
            [", now with ", said(change.owner)] if change.owner else None,
            block(change.reason) if change.reason else None,
        )
        for change in task.changes
    ]
    return el("details", el("summary", "How it got here"), el("ul", rows), class_="card")


# -- what is done ----------------------------------------------------------------------------------


def _decide(view: View, can: bool) -> Html:
    task = view.task
    if not task.choices:
        return el("div")
    pieces: list[Content] = [el("h2", "Decide")]
    if can:
        pieces.append(_decision(view))
    else:
        why: Content = [": ", said(task.why_not), "."] if task.why_not else "."
        pieces.append(notice("plain", el("p", "You cannot decide this", why)))
    if not view.code:
        pieces += _handing(view, can)
    # What has a form may be higher than the screen, and would hide its buttons if it stayed in place.
    short = not can or form_of_task(task) is None
    return el("section", pieces, class_="card decide short" if short else "card decide", id="decide")


def _decision(view: View) -> Html:
    task = view.task
    form = form_of_task(task)
    hidden = [
        csrf_field(view.scope),
        el("input", type="hidden", name="seen", value=task.seen),
        el("input", type="hidden", name="code", value=view.code) if view.code else None,
        # The first button is what the key Enter presses in a field: nobody decides by that.
        el("button", disabled=True, hidden=True, type="submit"),
    ]
    note = None
    if form is None and any(choice["form"] for choice in task.choices) and has_mask([task.data, task.form]):
        note = el(
            "p", "Parts of the data are hidden from you. You can decide about it, and not change it.", class_="hint"
        )
    comments = [str(choice["title"]) for choice in task.choices if choice["comment"]]
    return el(
        "form",
        hidden,
        note,
        form_fields(form, view.typed) if form else None,
        comment_field(view.typed, comments, COMMENT_MAX),
        [_button(task, choice, form is not None) for choice in task.choices if form or choice["outcome"] != "edit"],
        method="post",
        action=address_of(view.scope) + view.action,
    )


def _button(task: HumanTaskDetail, choice: Mapping[str, Any], with_form: bool) -> Html:
    hints = []
    if choice["votes"] > 1:
        hints.append(f"needs {choice['votes']} people; {_given(task, choice['outcome'])} so far")
    if with_form and not choice["form"]:
        hints.append("what you changed above does not count")
    return el(
        "button",
        said(str(choice["title"]), most=200),
        el("span", "; ".join(hints), class_="hint") if hints else None,
        name="outcome",
        value=choice["outcome"],
        formnovalidate=not choice["form"],
    )


def _given(task: HumanTaskDetail, outcome: str) -> int:
    wanted = {"approve", "edit"} if outcome in ("approve", "edit") else {outcome}
    # Those of earlier rounds stand before; the row counts those of this one.
    return sum(voice.outcome in wanted for voice in task.decisions[-task.votes :]) if task.votes else 0


def _handing(view: View, can: bool) -> list[Content]:
    """Claim, put back, hand on."""
    task, me = view.task, acting()
    if me is None:
        return []
    mine = task.owner == me.id
    buttons = []
    if can and not mine:
        buttons.append(_small(view, "claim", "Claim it"))
    if mine:
        buttons.append(_small(view, "release", "Put it back"))
    if not can and not mine:
        return []
    to = el(
        "div",
        el("label", "To whom", el("span", "The name that they sign in with", class_="hint"), for_="to"),
        el("input", name="to", id="to", maxlength=200, autocomplete="off", autocapitalize="none"),
        class_="field",
    )
    why = el(
        "div",
        el("label", "Why", el("span", "can stay empty", class_="hint"), for_="why"),
        el("input", name="reason", id="why", maxlength=1000, autocomplete="off", dir="auto"),
        class_="field",
    )
    place = f"{address_of(view.scope)}{DESK}/tasks/{task.id}/delegate"
    form = el("form", csrf_field(view.scope), to, why, el("button", "Hand it on"), method="post", action=place)
    return [
        el("div", buttons, class_="row") if buttons else None,
        el("details", el("summary", "Hand it to somebody else"), form),
    ]


def _small(view: View, act: str, title: str) -> Html:
    place = f"{address_of(view.scope)}{DESK}/tasks/{view.task.id}/{act}"
    return el("form", csrf_field(view.scope), el("button", title, class_="quiet"), method="post", action=place)


def _paragraph(text: str) -> Html | None:
    return el("p", said(text)) if text else None
