"""Routes of runs: start, list, read, control."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Header, Path, Query, Request, Response

from segue.api.bodies import read_json, read_optional_json
from segue.api.common import After, Asked, Limit, Moment, RunId, Workflow
from segue.api.describe import json_answer, json_body, json_response, operation
from segue.service import (
    Action,
    HistoryPage,
    Page,
    RunDetail,
    RunFilter,
    RunStatusName,
    RunSummary,
    TaskDetail,
    TaskView,
    Why,
)

router = APIRouter(tags=["runs"])


class StartRun(msgspec.Struct, forbid_unknown_fields=True):
    """What to start.

    Attributes:
        workflow: `namespace/name`.
        version: A version, or `latest`.
        input: The workflow's input.
    """

    workflow: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9-]+/[A-Za-z0-9-]+$", max_length=127)]
    version: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] = "latest"
    input: Any = None


class Reason(msgspec.Struct, forbid_unknown_fields=True):
    """Why an operator acts; kept in the history of the run."""

    reason: Annotated[str, msgspec.Meta(max_length=1000)] = ""


class Termination(msgspec.Struct, forbid_unknown_fields=True):
    """Why a run is ended, and by whom, as the client says."""

    reason: Why
    by: Annotated[str, msgspec.Meta(max_length=200)] = "api"


@router.post(
    "/runs",
    **operation(
        "startRun",
        "Start a run",
        answers={
            201: json_answer(RunSummary, "Started; on disk."),
            200: json_answer(RunSummary, "Started before by the same idempotency key."),
        },
        problems=(
            "workflow-unknown",
            "input-refused",
            "mask-refused",
            "key-reused",
        ),
        body=json_body(StartRun),
    ),
)
async def start_run(
    request: Request,
    service: Asked,
    idempotency_key: Annotated[
        str | None,
        Header(
            description="Requests with the same key start one run.",
            min_length=1,
            max_length=200,
            pattern="^[!-~]+$",
        ),
    ] = None,
) -> Response:
    """The answer comes when the run is on disk, not when it ends."""
    wanted = await read_json(request, StartRun)
    run, created = await service.runs.start(
        wanted.workflow, wanted.version, wanted.input, key=idempotency_key, cause={"kind": "api"}
    )
    return json_response(run, 201 if created else 200, {"Location": f"/api/v1/runs/{run.id}"})


@router.get(
    "/runs",
    **operation(
        "listRuns",
        "List runs, newest first",
        answers={200: json_answer(Page[RunSummary], "A page of runs.")},
        problems=("run-unknown",),
    ),
)
async def list_runs(
    service: Asked,
    limit: Limit = 50,
    after: After = None,
    workflow: Workflow = None,
    status: Annotated[RunStatusName | None, Query(description="Only runs in this status.")] = None,
    since: Annotated[Moment | None, Query(description="Only runs started at this time or later.")] = None,
    until: Annotated[Moment | None, Query(description="Only runs started before this time.")] = None,
    parent: Annotated[str | None, Query(description="Only runs that this run started.", max_length=200)] = None,
    include: Annotated[Literal["output"] | None, Query(description="Also the output or error of each run.")] = None,
) -> Response:
    """All filters must hold."""
    wanted = RunFilter(workflow=workflow, status=status, since=since, until=until, parent=parent)
    page = await service.runs.page(wanted, limit=limit, after=after, results=include == "output")
    return json_response(page)


@router.get(
    "/runs/counts",
    **operation(
        "countRuns",
        "Count runs by status",
        answers={
            200: json_answer(dict[str, int], "How many runs there are of each status; none where it is absent.")
        },
        problems=("run-unknown",),
    ),
)
async def count_runs(
    service: Asked,
    parent: Annotated[str | None, Query(description="Only runs that this run started.", max_length=200)] = None,
) -> Response:
    """Cheap enough to ask every second."""
    return json_response(await service.runs.counts(parent))


@router.get(
    "/runs/{run}",
    **operation(
        "getRun",
        "Read a run",
        answers={200: json_answer(RunDetail, "Everything to be said of the run.")},
        problems=("run-unknown",),
    ),
)
async def get_run(run: RunId, service: Asked) -> Response:
    """The newest of its tasks, in the order in which they started; `listTasks` pages all of them.

    `{"$omitted": {"bytes": …, "whole": …}}` stands for a large value: how large it is, and which path tells it.
    """
    return json_response(await service.runs.get(run))


@router.get(
    "/runs/{run}/input",
    **operation(
        "getRunInput",
        "Read the input of a run",
        answers={200: {"description": "What it was started with.", "content": {"application/json": {}}}},
        problems=("run-unknown",),
    ),
)
async def get_run_input(run: RunId, service: Asked) -> Response:
    """Whole, however large."""
    return json_response(await service.runs.input(run))


@router.get(
    "/runs/{run}/output",
    **operation(
        "getRunOutput",
        "Read the output of a run",
        answers={
            200: {"description": "The output; null until the run completed.", "content": {"application/json": {}}}
        },
        problems=("run-unknown",),
    ),
)
async def get_run_output(run: RunId, service: Asked) -> Response:
    """What a lifecycle event's `outputUri` points to."""
    return json_response(await service.runs.output(run))


@router.get(
    "/runs/{run}/tasks",
    **operation(
        "listTasks",
        "List the tasks of a run",
        answers={200: json_answer(Page[TaskView], "In the order in which they started.")},
        problems=("run-unknown",),
    ),
)
async def list_tasks(run: RunId, service: Asked, limit: Limit = 200, after: After = None) -> Response:
    """Without their data; as far as the history of the run is kept."""
    return json_response(await service.runs.tasks(run, limit=limit, after=after))


@router.get(
    "/runs/{run}/tasks/{task}",
    **operation(
        "getTask",
        "Read one task of a run",
        answers={200: json_answer(TaskDetail, "The task with its input and output.")},
        problems=("run-unknown", "task-unknown", "history-folded"),
    ),
)
async def get_task(
    run: RunId, task: Annotated[int, Path(description="Number of the task.", ge=1, le=2**53)], service: Asked
) -> Response:
    """With the data that went in and came out."""
    return json_response(await service.runs.task(run, task))


@router.get(
    "/runs/{run}/history",
    **operation(
        "getHistory",
        "Read the history of a run",
        answers={200: json_answer(HistoryPage, "Events in order; `e` names the kind.")},
        problems=("run-unknown",),
    ),
)
async def get_history(run: RunId, service: Asked, limit: Limit = 200, after: After = None) -> Response:
    """The only source of the run's state."""
    return json_response(await service.runs.history(run, limit=limit, after=after))


@router.get(
    "/runs/{run}/lifecycle",
    **operation(
        "getLifecycle",
        "Read the lifecycle events of a run",
        answers={200: json_answer(HistoryPage, "CloudEvents in order.")},
        problems=("run-unknown",),
    ),
)
async def get_lifecycle(run: RunId, service: Asked) -> Response:
    """The sixteen types of the language's lifecycle events."""
    return json_response(await service.runs.lifecycle(run))


def _control(action: Action, summary: str) -> None:
    @router.post(
        f"/runs/{{run}}/{action}",
        **operation(
            f"{action}Run",
            summary,
            answers={200: json_answer(RunSummary, "The run afterwards.")},
            problems=("run-unknown", "run-closed"),
            body=json_body(Reason),
        ),
    )
    async def control(run: RunId, request: Request, service: Asked) -> Response:
        given = await read_optional_json(request, Reason)
        return json_response(await service.runs.control(run, action, reason=given.reason, by="api"))


_control("pause", "Let a run start nothing new")
_control("resume", "Let a paused run go on")
_control("cancel", "End a run and everything below it")


@router.post(
    "/runs/{run}/terminate",
    **operation(
        "terminateRun",
        "End a run, saying why",
        answers={200: json_answer(RunSummary, "The run afterwards.")},
        problems=("run-unknown", "run-closed"),
        body=json_body(Termination),
    ),
)
async def terminate_run(run: RunId, request: Request, service: Asked) -> Response:
    """As `cancel`, for those who must be able to say afterwards why."""
    given = await read_json(request, Termination)
    return json_response(await service.runs.control(run, "cancel", reason=given.reason, by=given.by))
