"""Routes of the pages on which people see what waits for them and decide. Looking decides nothing; a form does.

Each asks the use case that the API asks, as whoever is signed in. They stand outside the description of the API: what
they answer is for eyes, and programs have the same use cases there.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response

from segue.api.common import Asked, address_of
from segue.api.forms import field_of, form_of
from segue.api.pages.fields import same
from segue.api.pages.filling import Posted, filled
from segue.api.pages.form import Typed
from segue.api.pages.frame import notice, page
from segue.api.pages.html import el
from segue.api.pages.inbox import inbox_content
from segue.api.pages.places import CODE, INBOX
from segue.api.pages.task import Told, View, form_of_task, outcome_title, task_content
from segue.api.pages.text import said
from segue.service import DESK, HumanTaskDetail, HumanTaskView, NewDecision, ServiceError
from segue.types import acting

router = APIRouter(prefix=DESK, include_in_schema=False, default_response_class=Response)

Number = Annotated[int, Path(alias="task", ge=1, le=2**53)]
Code = Annotated[str, Query(min_length=16, max_length=200)]
_RESUBMIT: Final = "resubmit"
_SHOWN_THERE: Final = frozenset(
    {"human-task-closed", "human-task-changed", "not-yours", "choice-refused", "mask-refused"}
    | {"server-needed", "not-ready", "disk-low"}
)
"""Refusals that are told on the page of the task."""
_WITH_TYPED: Final = _SHOWN_THERE | {"permission-denied"}
"""Where somebody has typed something, this one too."""
_DONE: Final = {
    "decided": "Your decision counts.",
    "claimed": "You have claimed it: nobody else can decide it now.",
    "released": "You have put it back.",
    "delegated": "You have handed it on.",
}


@router.get("")
async def begin(request: Request) -> Response:
    """The inbox."""
    return _to(request, INBOX)


@router.get("/inbox")
async def show_inbox(
    request: Request,
    service: Asked,
    after: Annotated[str | None, Query(max_length=500)] = None,
    overdue: bool = False,
) -> Response:
    """What waits for whoever asks, the most urgent first."""
    found = await service.waiting.page(overdue=overdue, after=after, limit=25)
    return page(request.scope, "Inbox", inbox_content(address_of(request.scope), found, overdue, after is not None))


@router.get("/tasks/{task}")
async def show_task(
    task: Number, request: Request, service: Asked, done: Annotated[str, Query(max_length=20)] = ""
) -> Response:
    """One task. `done` says what somebody has just done about it."""
    found = await service.tasks.get(task)
    told = Told("good", _DONE[done]) if done in _DONE else None
    if told and done == "decided" and found.choices:
        told = Told("good", "Your voice counts.", "Others have to decide as well.")
    return _task(request, found, told=told)


@router.post("/tasks/{task}/decide")
async def decide(task: Number, request: Request, service: Asked) -> Response:
    """Decide, with the fields of the form."""
    found = await service.tasks.get(task)
    decision, typed = _read(request, found)
    if decision is None:
        return _task(request, found, typed=typed, told=_WRONG, status=422)
    if decision.outcome == _RESUBMIT:
        doing = service.tasks.resubmit(task, decision)
    else:
        doing = service.tasks.decide(task, decision)
    refusal = await _refusal_of(doing, _WITH_TYPED)
    if refusal is None:
        return _to(request, f"{DESK}/tasks/{task}?done=decided")
    return _refused(request, await service.tasks.get(task), refusal, typed)


@router.post("/tasks/{task}/claim")
async def claim(task: Number, request: Request, service: Asked) -> Response:
    """Take it."""
    refusal = await _refusal_of(service.tasks.claim(task))
    if refusal is None:
        return _to(request, f"{DESK}/tasks/{task}?done=claimed")
    return _refused(request, await service.tasks.get(task), refusal)


@router.post("/tasks/{task}/release")
async def release(task: Number, request: Request, service: Asked) -> Response:
    """Put it back."""
    refusal = await _refusal_of(service.tasks.release(task, reason=field_of(request, "reason")[:1000]))
    if refusal is None:
        return _to(request, f"{DESK}/tasks/{task}?done=released")
    return _refused(request, await service.tasks.get(task), refusal)


@router.post("/tasks/{task}/delegate")
async def delegate(task: Number, request: Request, service: Asked) -> Response:
    """Hand it on."""
    to = field_of(request, "to")
    if not to or len(to) > 200:
        told = Told("bad", "To whom?", "Write the name that they sign in with.")
        return _task(request, await service.tasks.get(task), told=told, status=422)
    refusal = await _refusal_of(service.tasks.delegate(task, to, reason=field_of(request, "reason")[:1000]))
    if refusal is None:
        return _to(request, f"{DESK}/tasks/{task}?done=delegated")
    return _refused(request, await service.tasks.get(task), refusal)


@router.get("/code")
async def show_by_code(request: Request, service: Asked, code: Code) -> Response:
    """The task that a one-time code is for. Programs that open every link of a mail decide nothing by it."""
    return _task(request, await service.tasks.get_by_code(code), code=code)


@router.post("/code")
async def decide_by_code(request: Request, service: Asked) -> Response:
    """Decide it, as the person whom the code was sent to; the code is spent then."""
    code = field_of(request, "code")
    found = await service.tasks.get_by_code(code)
    decision, typed = _read(request, found)
    if decision is None:
        return _task(request, found, code=code, typed=typed, told=_WRONG, status=422)
    try:
        done = await service.tasks.decide_by_code(code, decision)
    except ServiceError as refusal:
        if refusal.kind not in _WITH_TYPED:
            raise
        return _refused(request, await service.tasks.get_by_code(code), refusal, typed, code)
    return _thanks(request, found, done)


# -- helpers ---------------------------------------------------------------------------------------

_WRONG: Final = Told("bad", "Nothing was decided.", "Something in the form is missing or cannot be read; see below.")


def _read(request: Request, task: HumanTaskDetail) -> tuple[NewDecision | None, Typed]:
    """The decision that a form makes; None where one of its fields holds no value of its kind."""
    posted: Posted = form_of(request)
    wrong: dict[str, str] = {}
    outcome, form = field_of(request, "outcome"), form_of_task(task)
    data: Any = msgspec.UNSET
    if form is not None and any(choice["outcome"] == outcome and choice["form"] for choice in task.choices):
        entered = filled(form, posted, wrong)
        # What nobody touched is not sent in: it is what the page showed, masks and all.
        data = msgspec.UNSET if same(entered, task.data) else entered
    comment = field_of(request, "comment").replace("\r\n", "\n")
    typed = Typed(posted, wrong, comment)
    if wrong:
        return None, typed
    return NewDecision(outcome=outcome, seen=field_of(request, "seen"), data=data, comment=comment), typed


async def _refusal_of(
    doing: Awaitable[HumanTaskView], shown_there: frozenset[str] = _SHOWN_THERE
) -> ServiceError | None:
    """Why it was not done, where that can be told on the page of the task."""
    try:
        await doing
    except ServiceError as refusal:
        if refusal.kind not in shown_there:
            raise
        return refusal
    return None


def _refused(
    request: Request, task: HumanTaskDetail, refusal: ServiceError, typed: Typed | None = None, code: str = ""
) -> Response:
    """The page of the task as it is now, and why what was wanted was not done."""
    if typed is not None and refusal.kind == "human-task-changed":
        typed = typed._replace(kept=False)
    return _task(request, task, code=code, typed=typed, told=_why(task, refusal), status=refusal.entry.status)


def _why(task: HumanTaskDetail, refusal: ServiceError) -> Told:
    if refusal.kind == "human-task-closed":
        me = acting()
        if me is not None and task.by == me.id:
            return Told("plain", "You have decided this before.", "Nothing was done a second time.")
        return Told("bad", "You came too late: your decision does not count.")
    if refusal.kind == "human-task-changed":
        text = "It is shown here as it is now. Look at it again, and decide then."
        return Told("bad", "Nothing was decided: the task changed after you had opened it.", text)
    return Told("bad", "Nothing was done.", f"{refusal.detail} {refusal.remedy}".strip())


def _task(
    request: Request,
    task: HumanTaskDetail,
    *,
    code: str = "",
    typed: Typed | None = None,
    told: Told | None = None,
    status: int = 200,
) -> Response:
    action = CODE if code else f"{DESK}/tasks/{task.id}/decide"
    view = View(request.scope, task, action, code, typed, told)
    return page(request.scope, task.title, task_content(view), status=status)


def _thanks(request: Request, task: HumanTaskDetail, done: HumanTaskView) -> Response:
    """What a decision by code came to. The code is spent, so there is no page to go back to."""
    if done.state == "decided":
        what = f"{outcome_title(task, done.outcome or '')}: this is decided."
    else:
        what = "Your voice counts. Others have to decide as well."
    content = [
        el("h1", said(task.title)),
        notice("good", el("p", el("b", what))),
        el("p", "You can close this page."),
    ]
    return page(request.scope, task.title, content)


def _to(request: Request, path: str) -> Response:
    return Response(status_code=303, headers={"Location": address_of(request.scope) + path})
