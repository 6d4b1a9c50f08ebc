"""Routes that steer runs: retry from a task, skip, fork, and look back."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Request, Response

from segue.api.bodies import read_json
from segue.api.common import Asked, RunId
from segue.api.describe import json_answer, json_body, json_response, operation
from segue.service import Migration, Migrations, RunMoment, RunSummary, Why

router = APIRouter(tags=["runs"])

Pointer = Annotated[str, msgspec.Meta(min_length=1, max_length=1000, pattern="^/")]
By = Annotated[str, msgspec.Meta(max_length=200)]
_PROBLEMS = (
    "run-unknown",
    "place-refused",
    "history-folded",
    "choice-refused",
    "server-needed",
)


class RetryFrom(msgspec.Struct, forbid_unknown_fields=True):
    """Where a run goes back to. `input` is the task's raw input; without it, what the task got the last time."""

    pointer: Pointer
    reason: Why
    by: By = "api"
    input: Any = msgspec.UNSET


class SkipTask(msgspec.Struct, forbid_unknown_fields=True):
    """Which task gets its output from a person."""

    pointer: Pointer
    output: Any
    reason: Why
    by: By = "api"


class ForkRun(msgspec.Struct, forbid_unknown_fields=True):
    """Where a new run leaves the past of this one. `version` goes on with another version of the workflow."""

    pointer: Pointer
    input: Any = msgspec.UNSET
    version: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] | None = None
    reason: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    by: By = "api"


class MigrateRun(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """Which version a run goes on under. `mapping` names counterparts by pointer, where names differ."""

    version: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    mapping: dict[str, str] = {}
    reason: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    dry_run: bool = False
    by: By = "api"


class MigrateRuns(MigrateRun, forbid_unknown_fields=True, rename="camel"):
    """The same for all live runs of a workflow, or those of them that are under the version `since`."""

    workflow: Annotated[str, msgspec.Meta(min_length=3, max_length=200)] = ""
    since: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] | None = None


@router.post(
    "/runs/{run}/migrate",
    **operation(
        "migrateRun",
        "Let a run go on under another version",
        answers={200: json_answer(Migration, "What was done, or what stands against it; then nothing was.")},
        problems=("run-closed", "workflow-unknown", *_PROBLEMS),
        body=json_body(MigrateRun),
    ),
)
async def migrate_run(run: RunId, request: Request, service: Asked) -> Response:
    """What is open goes on, and its results reach the counterparts of its tasks."""
    said = await read_json(request, MigrateRun)
    made = await service.migrating.run(
        run, said.version, said.mapping, by=said.by, reason=said.reason, dry_run=said.dry_run
    )
    return json_response(made)


@router.post(
    "/migrations",
    **operation(
        "migrateRuns",
        "Let all live runs of a workflow go on under another version",
        answers={200: json_answer(Migrations, "How many were migrated, and why others were not.")},
        problems=("workflow-unknown", "request-malformed", *_PROBLEMS[1:]),
        body=json_body(MigrateRuns),
    ),
)
async def migrate_runs(request: Request, service: Asked) -> Response:
    """One by one; each is on disk when this answers."""
    said = await read_json(request, MigrateRuns)
    made = await service.migrating.all(
        said.workflow,
        said.version,
        said.mapping,
        since=said.since,
        by=said.by,
        reason=said.reason,
        dry_run=said.dry_run,
    )
    return json_response(made)


@router.get(
    "/runs/{run}/at/{event}",
    **operation(
        "getRunAt",
        "Read a run as it was after one of its events",
        answers={200: json_answer(RunMoment, "Status, data and open commands at that moment.")},
        problems=("run-unknown", "event-unknown", "history-folded"),
    ),
)
async def get_run_at(
    run: RunId,
    event: Annotated[int, Path(description="Number of the event, from 1.", ge=1, le=2**53)],
    service: Asked,
) -> Response:
    """Replayed from history; nothing happens."""
    return json_response(await service.steering.at(run, event))


@router.post(
    "/runs/{run}/retry",
    **operation(
        "retryRun",
        "Let a run go back to a task",
        answers={200: json_answer(RunSummary, "The run afterwards.")},
        problems=("run-closed", "mask-refused", *_PROBLEMS),
        body=json_body(RetryFrom),
    ),
)
async def retry_run(run: RunId, request: Request, service: Asked) -> Response:
    """Acts that must not simply be repeated and have happened give their first answer."""
    said = await read_json(request, RetryFrom)
    after = await service.steering.retry(run, said.pointer, input=said.input, by=said.by, reason=said.reason)
    return json_response(after)


@router.post(
    "/runs/{run}/skip",
    **operation(
        "skipTask",
        "Give a task of a run its output",
        answers={200: json_answer(RunSummary, "The run afterwards.")},
        problems=("run-closed", "mask-refused", *_PROBLEMS),
        body=json_body(SkipTask),
    ),
)
async def skip_task(run: RunId, request: Request, service: Asked) -> Response:
    """The run goes on behind it."""
    said = await read_json(request, SkipTask)
    after = await service.steering.skip(run, said.pointer, said.output, by=said.by, reason=said.reason)
    return json_response(after)


@router.post(
    "/runs/{run}/fork",
    **operation(
        "forkRun",
        "Start a run that has the past of this one",
        answers={201: json_answer(RunSummary, "The new run; on disk.")},
        problems=("workflow-unknown", "mask-refused", *_PROBLEMS),
        body=json_body(ForkRun),
    ),
)
async def fork_run(run: RunId, request: Request, service: Asked) -> Response:
    """What the copied events did outside is not done again; what follows goes out under the new run's keys."""
    said = await read_json(request, ForkRun)
    made = await service.steering.fork(
        run, said.pointer, input=said.input, version=said.version, by=said.by, reason=said.reason
    )
    return json_response(made, 201, {"Location": f"/api/v1/runs/{made.id}"})
