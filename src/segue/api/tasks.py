"""Routes of human tasks: queues, one page with everything, claim, hand over, decide; and by one-time code."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response

from segue.api.bodies import read_json, read_optional_json
from segue.api.common import After, Asked, Limit, Workflow
from segue.api.describe import json_answer, json_body, json_response, operation
from segue.service import (
    FiguresView,
    HumanTaskDetail,
    HumanTaskKindName,
    HumanTaskView,
    LabelView,
    NewDecision,
    Page,
    Priority,
    QueueView,
    Why,
    WorkloadView,
)

router = APIRouter(tags=["tasks"])

Number = Annotated[int, Path(alias="task", description="Number of the task.", ge=1, le=2**53)]
Reason = Annotated[str, msgspec.Meta(max_length=1000)]
Person = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Names = Person | list[Person]
State = Annotated[Literal["open", "closed", "all"], Query(description="Open ones, closed ones, or all.")]
Seen = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
Outcome = Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
Comment = Annotated[str, msgspec.Meta(max_length=4000)]
_WRITES = ("human-task-unknown", "human-task-closed", "not-yours", "choice-refused", "server-needed")


class Decide(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A decision.

    Attributes:
        outcome: One of the task's `choices`.
        seen: `seen` of the page on which it was decided.
        data: What the form holds; left out, what the page showed.
    """

    outcome: Outcome
    seen: Seen
    data: Any = msgspec.UNSET
    comment: Comment = ""

    def settled(self) -> NewDecision:
        """As the service takes it."""
        return NewDecision(outcome=self.outcome, seen=self.seen, data=self.data, comment=self.comment)


class DecideByCode(Decide, forbid_unknown_fields=True, kw_only=True):
    """A decision by whoever was sent the code."""

    code: Annotated[str, msgspec.Meta(min_length=16, max_length=200)]


class Resubmit(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Corrected data for those who sent a task back; see `Decide`."""

    seen: Seen
    data: Any = msgspec.UNSET
    comment: Comment = ""


class Release(msgspec.Struct, forbid_unknown_fields=True):
    """Why a task is put back."""

    reason: Reason = ""


class Delegate(msgspec.Struct, forbid_unknown_fields=True):
    """Who gets a task, and why."""

    to: Person
    reason: Reason = ""


class Reassign(msgspec.Struct, forbid_unknown_fields=True):
    """Who is asked instead, one name or several each, and why."""

    reason: Why
    person: Names = []
    role: Names = []
    group: Names = []
    agent: Names = []


@router.get(
    "/tasks",
    **operation(
        "listHumanTasks",
        "List tasks for people, newest first",
        answers={200: json_answer(Page[HumanTaskView], "A page of tasks.")},
        problems=("run-unknown",),
    ),
)
async def list_tasks(
    service: Asked,
    limit: Limit = 50,
    after: After = None,
    state: State = "open",
    mine: Annotated[bool, Query(description="Only what waits for whoever asks.")] = False,
    queue: Annotated[
        str | None, Query(description="Only of this queue, such as `role:approver`.", max_length=220)
    ] = None,
    owner: Annotated[str | None, Query(description="Only claimed by this person.", max_length=200)] = None,
    workflow: Workflow = None,
    run: Annotated[str | None, Query(description="Only of this run.", max_length=200)] = None,
    priority: Annotated[Priority | None, Query(description="Only of this priority.")] = None,
    overdue: Annotated[bool, Query(description="Only what is late.")] = False,
    kind: Annotated[
        HumanTaskKindName | None, Query(description="Only tasks of documents, or only approvals of acts.")
    ] = None,
) -> Response:
    """Without the data: that stands on each task's page."""
    page = await service.tasks.page(
        state=None if state == "all" else state,
        mine=mine,
        queue=queue,
        owner=owner,
        workflow=workflow,
        run=run,
        priority=priority,
        overdue=overdue,
        kind=kind,
        limit=limit,
        after=after,
    )
    return json_response(page)


@router.get(
    "/tasks/queues",
    **operation("listQueues", "Count open tasks by audience", answers={200: json_answer(list[QueueView], "Queues.")}),
)
async def list_queues(service: Asked) -> Response:
    """The longest queue first."""
    return json_response(await service.tasks.queues())


@router.get(
    "/tasks/workload",
    **operation(
        "listWorkload", "Count claimed tasks by person", answers={200: json_answer(list[WorkloadView], "People.")}
    ),
)
async def list_workload(service: Asked) -> Response:
    """Who has most first."""
    return json_response(await service.tasks.workload())


@router.get(
    "/tasks/figures",
    **operation(
        "listTaskFigures",
        "How often people overrule, and how long they take",
        answers={200: json_answer(list[FiguresView], "Figures by place and model.")},
    ),
)
async def list_figures(
    service: Asked, days: Annotated[int, Query(ge=1, le=3650, description="Over so many days.")] = 90
) -> Response:
    """By workflow, place, model and its version."""
    return json_response(await service.tasks.figures(days=days))


@router.get(
    "/labels",
    **operation(
        "listLabels",
        "What decisions say about models' answers",
        answers={200: json_answer(Page[LabelView], "A page of labels.")},
    ),
)
async def list_labels(
    service: Asked,
    limit: Limit = 50,
    after: After = None,
    model: Annotated[str | None, Query(description="Only of this model.", max_length=200)] = None,
    version: Annotated[str | None, Query(description="Only of this version.", max_length=200)] = None,
) -> Response:
    """Input, answer and decision, tied to the model's version."""
    return json_response(await service.tasks.labels(model=model, version=version, limit=limit, after=after))


@router.get(
    "/tasks/{task}",
    **operation(
        "getHumanTask",
        "Read a task for people",
        answers={200: json_answer(HumanTaskDetail, "Everything that a decision needs.")},
        problems=("human-task-unknown",),
    ),
)
async def get_task(task: Number, service: Asked) -> Response:
    """Form, context, suggestion, what the run did before, voices so far. Reading decides nothing."""
    return json_response(await service.tasks.get(task))


@router.post(
    "/tasks/{task}/claim",
    **operation(
        "claimTask", "Claim a task", answers={200: json_answer(HumanTaskView, "The task.")}, problems=_WRITES
    ),
)
async def claim(task: Number, service: Asked) -> Response:
    """Nobody else can decide it then."""
    return json_response(await service.tasks.claim(task))


@router.post(
    "/tasks/{task}/release",
    **operation(
        "releaseTask",
        "Put a claimed task back",
        answers={200: json_answer(HumanTaskView, "The task.")},
        problems=_WRITES,
        body=json_body(Release),
    ),
)
async def release(task: Number, request: Request, service: Asked) -> Response:
    """Everybody who was asked can claim it again."""
    said = await read_optional_json(request, Release)
    return json_response(await service.tasks.release(task, reason=said.reason))


@router.post(
    "/tasks/{task}/delegate",
    **operation(
        "delegateTask",
        "Hand a task to another person",
        answers={200: json_answer(HumanTaskView, "The task.")},
        problems=_WRITES,
        body=json_body(Delegate),
    ),
)
async def delegate(task: Number, request: Request, service: Asked) -> Response:
    """They still need the role and the limit to decide it."""
    said = await read_json(request, Delegate)
    return json_response(await service.tasks.delegate(task, said.to, reason=said.reason))


@router.post(
    "/tasks/{task}/reassign",
    **operation(
        "reassignTask",
        "Offer a task to other people instead",
        answers={200: json_answer(HumanTaskView, "The task.")},
        problems=_WRITES,
        body=json_body(Reassign),
    ),
)
async def reassign(task: Number, request: Request, service: Asked) -> Response:
    """Whoever had claimed it has it no longer."""
    said = await read_json(request, Reassign)
    audience = {kind: getattr(said, kind) for kind in ("person", "role", "group", "agent")}
    audience = {kind: names for kind, names in audience.items() if names}
    return json_response(await service.tasks.reassign(task, audience, reason=said.reason))


@router.post(
    "/tasks/{task}/decide",
    **operation(
        "decideTask",
        "Decide a task",
        answers={200: json_answer(HumanTaskView, "The task afterwards.")},
        problems=(*_WRITES, "human-task-changed", "mask-refused"),
        body=json_body(Decide),
    ),
)
async def decide(task: Number, request: Request, service: Asked) -> Response:
    """On disk when it is answered. The first decision that counts is the result; later ones are refused."""
    said = await read_json(request, Decide)
    return json_response(await service.tasks.decide(task, said.settled()))


@router.post(
    "/tasks/{task}/resubmit",
    **operation(
        "resubmitTask",
        "Resubmit a task that was sent back",
        answers={200: json_answer(HumanTaskView, "The task afterwards.")},
        problems=(*_WRITES, "human-task-changed", "mask-refused"),
        body=json_body(Resubmit),
    ),
)
async def resubmit(task: Number, request: Request, service: Asked) -> Response:
    """With corrected data; those who sent it back are asked again."""
    said = await read_json(request, Resubmit)
    decision = NewDecision(outcome="resubmit", seen=said.seen, data=said.data, comment=said.comment)
    return json_response(await service.tasks.resubmit(task, decision))


@router.get(
    "/task-code",
    **operation(
        "getTaskByCode",
        "Read the task that a one-time code is for",
        answers={200: json_answer(HumanTaskDetail, "Everything that a decision needs.")},
        problems=("code-refused",),
    ),
)
async def get_by_code(
    service: Asked, code: Annotated[str, Query(description="The code.", min_length=16, max_length=200)]
) -> Response:
    """Reading spends nothing: programs that open every link of a mail decide nothing."""
    return json_response(await service.tasks.get_by_code(code))


@router.post(
    "/task-code",
    **operation(
        "decideTaskByCode",
        "Decide the task that a one-time code is for",
        answers={200: json_answer(HumanTaskView, "The task afterwards.")},
        problems=("code-refused", *_WRITES, "human-task-changed", "mask-refused"),
        body=json_body(DecideByCode),
    ),
)
async def decide_by_code(request: Request, service: Asked) -> Response:
    """As the person whom the code was sent to; it is spent then."""
    said = await read_json(request, DecideByCode)
    return json_response(await service.tasks.decide_by_code(said.code, said.settled()))
