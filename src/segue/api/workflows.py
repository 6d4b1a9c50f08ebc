"""Routes of workflows: publish, list, read."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from segue.api.bodies import JSON, YAML, require_media
from segue.api.common import After, Asked, Limit, Name, Namespace, Version
from segue.api.describe import json_answer, json_response, operation
from segue.service import LeavingAct, Page, Published, Validation, WorkflowDetail, WorkflowSummary

router = APIRouter(tags=["workflows"])

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
        problems=("definition-refused", "version-taken", "media-type-refused", "body-too-large"),
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
        problems=("media-type-refused", "body-too-large"),
        body=_DOCUMENT,
    ),
)
async def validate_workflow(request: Request, service: Asked) -> Response:
    """Publishes nothing."""
    require_media(request, *YAML, *JSON)
    return json_response(await service.workflows.validate(await request.body(), file="<request>"))


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
