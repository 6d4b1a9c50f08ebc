"""Routes of workflows: publish, list, read."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request, Response

from segue.api.bodies import JSON, YAML, read_json, require_media
from segue.api.common import After, Asked, Limit, Name, Namespace, Version, Workflow
from segue.api.describe import json_answer, json_body, json_response, operation
from segue.service import (
    Adjustables,
    AdjustmentDecision,
    AdjustmentView,
    LeavingAct,
    NewAdjustment,
    Page,
    Published,
    Tested,
    Validation,
    WorkflowDetail,
    WorkflowSummary,
)

router = APIRouter(tags=["workflows"])
Number = Annotated[int, Path(alias="adjustment", description="Number of the adjustment.", ge=1, le=2**53)]
State = Annotated[
    Literal["made", "waiting", "approved", "refused", "lapsed", "all"], Query(description="Only these.")
]

_DOCUMENT = {
    "application/yaml": {"schema": {"type": "string", "description": "A workflow document."}},
    "application/json": {"schema": {"type": "object", "description": "The same document as JSON."}},
}


@router.post(
    "/workflows",
    **operation(
        "publishWorkflow",
        "Publish a workflow document",
        answers={
            201: json_answer(Published, "Published now."),
            200: json_answer(Published, "The same content was published before."),
        },
        problems=("definition-refused", "version-taken"),
        body=_DOCUMENT,
    ),
)
async def publish_workflow(request: Request, service: Asked) -> Response:
    """A definition is immutable: the same version with other content is refused."""
    require_media(request, *YAML, *JSON)
    published = await service.workflows.publish(await request.body(), file="<request>")
    ref = published.workflow
    place = f"/api/v1/workflows/{ref.namespace}/{ref.name}/versions/{ref.version}"
    return json_response(published, 201 if published.created else 200, {"Location": place})


@router.post(
    "/validate",
    **operation(
        "validateWorkflow",
        "Say everything that is wrong with a workflow document",
        answers={200: json_answer(Validation, "All findings; `valid` is false where one is an error.")},
        body=_DOCUMENT,
    ),
)
async def validate_workflow(request: Request, service: Asked) -> Response:
    """Publishes nothing."""
    require_media(request, *YAML, *JSON)
    return json_response(await service.workflows.validate(await request.body(), file="<request>"))


@router.post(
    "/test",
    **operation(
        "testWorkflow",
        "Play the tests of a workflow document",
        answers={200: json_answer(Tested, "What became of each; `passed` is false where one did not pass.")},
        body=_DOCUMENT,
    ),
)
async def test_workflow(request: Request, service: Asked) -> Response:
    """Nothing acts, and nothing is kept."""
    require_media(request, *YAML, *JSON)
    return json_response(await service.workflows.test(await request.body(), file="<request>"))


@router.get(
    "/workflows",
    **operation(
        "listWorkflows",
        "List the latest version of every workflow",
        answers={200: json_answer(Page[WorkflowSummary], "A page, by namespace and name.")},
    ),
)
async def list_workflows(
    service: Asked,
    limit: Limit = 50,
    after: After = None,
    namespace: Annotated[str | None, Query(description="Only this namespace.", max_length=63)] = None,
) -> Response:
    """One entry for each namespace and name."""
    return json_response(await service.workflows.page(namespace=namespace, limit=limit, after=after))


@router.get(
    "/workflows/{namespace}/{name}/versions",
    **operation(
        "listVersions",
        "List the versions of a workflow",
        answers={200: json_answer(Page[WorkflowSummary], "All versions, newest first.")},
        problems=("workflow-unknown",),
    ),
)
async def list_versions(
    namespace: Namespace, name: Name, service: Asked, limit: Limit = 50, after: After = None
) -> Response:
    """Newest by the order of semantic versions."""
    return json_response(await service.workflows.versions(namespace, name, limit=limit, after=after))


@router.get(
    "/workflows/{namespace}/{name}/versions/{version}",
    **operation(
        "getWorkflow",
        "Read a workflow",
        answers={200: json_answer(WorkflowDetail, "The definition with its content.")},
        problems=("workflow-unknown",),
    ),
)
async def get_workflow(namespace: Namespace, name: Name, version: Version, service: Asked) -> Response:
    """`latest` is the highest version."""
    return json_response(await service.workflows.get(namespace, name, version))


@router.get(
    "/workflows/{namespace}/{name}/versions/{version}/leaving",
    **operation(
        "getLeaving",
        "Tell what a workflow can send out",
        answers={200: json_answer(list[LeavingAct], "Each act with the labels of what it can be given.")},
        problems=("workflow-unknown",),
    ),
)
async def get_leaving(namespace: Namespace, name: Name, version: Version, service: Asked) -> Response:
    """Followed through the document, before anything runs."""
    return json_response(await service.workflows.leaving(namespace, name, version))


@router.get(
    "/workflows/{namespace}/{name}/adjustable",
    **operation(
        "getAdjustable",
        "What may be adjusted without a new version",
        answers={200: json_answer(Adjustables, "Each value with what it is and what it may be.")},
        problems=("workflow-unknown",),
    ),
)
async def get_adjustable(namespace: Namespace, name: Name, service: Asked) -> Response:
    """As the latest version declares it."""
    return json_response(await service.adjusting.show(namespace, name))


@router.post(
    "/workflows/{namespace}/{name}/adjust",
    **operation(
        "adjustWorkflow",
        "Change adjustable values",
        answers={200: json_answer(AdjustmentView, "Runs that start from now on get them.")},
        problems=("workflow-unknown", "adjustment-refused", "mask-refused"),
        body=json_body(NewAdjustment),
    ),
)
async def adjust_workflow(namespace: Namespace, name: Name, request: Request, service: Asked) -> Response:
    """All of them or none."""
    wanted = await read_json(request, NewAdjustment)
    return json_response(await service.adjusting.adjust(namespace, name, wanted))


@router.get(
    "/adjustments",
    **operation(
        "listAdjustments",
        "Changes of adjustable values",
        answers={200: json_answer(Page[AdjustmentView], "Newest first, also what waits and what was refused.")},
    ),
)
async def list_adjustments(
    service: Asked, workflow: Workflow = None, state: State = "all", limit: Limit = 50, after: After = None
) -> Response:
    """With who and why."""
    chosen = None if state == "all" else state
    return json_response(await service.adjusting.page(workflow=workflow, state=chosen, limit=limit, after=after))


@router.post(
    "/adjustments/{adjustment}/decide",
    **operation(
        "decideAdjustment",
        "Approve or refuse somebody else's change of a value",
        answers={200: json_answer(AdjustmentView, "As it was decided.")},
        problems=(*("adjustment-unknown", "adjustment-decided", "adjustment-refused"),),
        body=json_body(AdjustmentDecision),
    ),
)
async def decide_adjustment(adjustment: Number, request: Request, service: Asked) -> Response:
    """Approving lets it count."""
    wanted = await read_json(request, AdjustmentDecision)
    return json_response(await service.adjusting.decide(adjustment, wanted))
