"""Routes of the exception inbox: list, read, decide."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response

from segue.api.bodies import read_json
from segue.api.common import After, Asked, Limit, Workflow
from segue.api.describe import json_answer, json_body, json_response, operation
from segue.service import (
    Choice,
    ExceptionDetail,
    ExceptionGroup,
    ExceptionKind,
    ExceptionView,
    GroupDecision,
    Page,
    Why,
)

router = APIRouter(tags=["exceptions"])

By = Annotated[str, msgspec.Meta(max_length=200)]
Number = Annotated[int, Path(alias="exception", description="Number of the exception.", ge=1, le=2**53)]
Group = Annotated[str, Path(description="What failures with the same cause share.", min_length=1, max_length=100)]
State = Annotated[
    Literal["open", "overdue", "closed", "all"], Query(description="Open ones, overdue ones, closed ones, or all.")
]


class Decide(msgspec.Struct, forbid_unknown_fields=True):
    """A decision about one failure.

    Attributes:
        reason: Why; kept in the inbox, and in the history of a run that goes on.
        by: Who decides, as the client says: counts where the holder of the folder asks, who may name somebody.
        input: With `retry`: what the task starts with instead of its payload.
        output: With `skip` and `happened`: the task's output, as the next task gets it.
    """

    reason: Why
    by: By = "api"
    input: Any = msgspec.UNSET
    output: Any = msgspec.UNSET


class DecideGroup(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """A decision about all open failures of a group.

    Attributes:
        dry_run: Only count. A decision about many is worth a look first, so this is the default.
    """

    reason: Why
    by: By = "api"
    output: Any = msgspec.UNSET
    dry_run: bool = True


@router.get(
    "/exceptions",
    **operation(
        "listExceptions",
        "List failures, newest first",
        answers={200: json_answer(Page[ExceptionView], "A page of failures.")},
        problems=("run-unknown",),
    ),
)
async def list_exceptions(
    service: Asked,
    limit: Limit = 50,
    after: After = None,
    state: State = "open",
    kind: Annotated[ExceptionKind | None, Query(description="Only of this kind.")] = None,
    workflow: Workflow = None,
    group: Annotated[str | None, Query(description="Only of this group.", max_length=100)] = None,
    run: Annotated[str | None, Query(description="Only of this run.", max_length=200)] = None,
) -> Response:
    """All filters must hold."""
    page = await service.exceptions.page(
        state=None if state == "all" else state,
        kind=kind,
        workflow=workflow,
        group=group,
        run=run,
        limit=limit,
        after=after,
    )
    return json_response(page)


@router.get(
    "/exceptions/groups",
    **operation(
        "listExceptionGroups",
        "List failures by cause",
        answers={200: json_answer(list[ExceptionGroup], "The most frequent cause first.")},
    ),
)
async def list_groups(
    service: Asked, limit: Limit = 50, state: State = "open", workflow: Workflow = None
) -> Response:
    """A cause is workflow, place, error type and status."""
    chosen = None if state == "all" else state
    return json_response(await service.exceptions.groups(state=chosen, workflow=workflow, limit=limit))


@router.get(
    "/exceptions/{exception}",
    **operation(
        "getException",
        "Read a failure",
        answers={200: json_answer(ExceptionDetail, "Everything that a decision needs.")},
        problems=("exception-unknown",),
    ),
)
async def get_exception(exception: Number, service: Asked) -> Response:
    """Payload, failure, the run's position, and what the run did outside."""
    return json_response(await service.exceptions.get(exception))


@router.post(
    "/exceptions/groups/{group}/{action}",
    **operation(
        "decideExceptionGroup",
        "Decide about all open failures of a group",
        answers={200: json_answer(GroupDecision, "How many it is about, and what became of them.")},
        problems=(
            "exception-unknown",
            "choice-refused",
            "mask-refused",
            "server-needed",
        ),
        body=json_body(DecideGroup),
    ),
)
async def decide_group(
    group: Group, action: Annotated[Choice, Path(description="What to do.")], request: Request, service: Asked
) -> Response:
    """Each failure keeps its own payload. Without `dryRun: false` it only counts."""
    said = await read_json(request, DecideGroup)
    done = await service.exceptions.decide_group(
        group, action, reason=said.reason, by=said.by, output=said.output, dry_run=said.dry_run
    )
    return json_response(done)


@router.post(
    "/exceptions/{exception}/{action}",
    **operation(
        "decideException",
        "Decide about a failure",
        answers={200: json_answer(ExceptionView, "The failure afterwards.")},
        problems=(
            "exception-unknown",
            "exception-closed",
            "choice-refused",
            "mask-refused",
            "server-needed",
        ),
        body=json_body(Decide),
    ),
)
async def decide(
    exception: Number, action: Annotated[Choice, Path(description="What to do.")], request: Request, service: Asked
) -> Response:
    """On disk when it is answered."""
    said = await read_json(request, Decide)
    decided = await service.exceptions.decide(
        exception, action, reason=said.reason, by=said.by, input=said.input, output=said.output
    )
    return json_response(decided)
