"""Routes of policies."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from segue.api.bodies import read_json
from segue.api.common import After, Asked, Limit
from segue.api.describe import json_answer, json_body, json_response, operation
from segue.service import (
    Explanation,
    NewPolicy,
    Page,
    PolicyChangeView,
    PolicyList,
    PolicyQuestion,
    PolicyTest,
    PolicyTested,
)

router = APIRouter(tags=["policies"])
Name = Annotated[str, Path(alias="policy", description="Name of the policy file.", min_length=1, max_length=63)]
_PROBLEMS = ("policy-refused",)


@router.get(
    "/policies",
    **operation(
        "listPolicies",
        "The policies in force",
        answers={200: json_answer(PolicyList, "With their version, and what rules do to each other.")},
    ),
)
async def list_policies(service: Asked) -> Response:
    """Files by name, each with its rules and who changed it last."""
    return json_response(await service.permissions.show())


@router.get(
    "/policies/history",
    **operation(
        "listPolicyChanges",
        "Every change of a policy",
        answers={200: json_answer(Page[PolicyChangeView], "Newest first.")},
    ),
)
async def list_policy_changes(service: Asked, limit: Limit = 50, after: After = None) -> Response:
    """With the text, who and why."""
    return json_response(await service.permissions.history(limit=limit, after=after))


@router.post(
    "/policies/explain",
    **operation(
        "explainPolicy",
        "May somebody do something, and why",
        answers={200: json_answer(Explanation, "The verdict and the rules that decided.")},
        problems=("identity-unknown", *_PROBLEMS),
        body=json_body(PolicyQuestion),
    ),
)
async def explain_policy(request: Request, service: Asked) -> Response:
    """Nothing is done."""
    return json_response(await service.permissions.explain(await read_json(request, PolicyQuestion)))


@router.post(
    "/policies/test",
    **operation(
        "testPolicies",
        "Try a table of cases",
        answers={200: json_answer(PolicyTested, "Each case with the answer it got.")},
        problems=("identity-unknown", *_PROBLEMS),
        body=json_body(PolicyTest),
    ),
)
async def test_policies(request: Request, service: Asked) -> Response:
    """Also on files that are not set yet."""
    return json_response(await service.permissions.test(await read_json(request, PolicyTest)))


@router.post(
    "/policies/{policy}",
    **operation(
        "changePolicy",
        "Set a policy file, or take it back",
        answers={200: json_answer(PolicyList, "The policies in force now.")},
        problems=("policy-unknown", *_PROBLEMS),
        body=json_body(NewPolicy),
    ),
)
async def change_policy(policy: Name, request: Request, service: Asked) -> Response:
    """Checked against the schema first; counts at once."""
    return json_response(await service.permissions.change(policy, await read_json(request, NewPolicy)))
