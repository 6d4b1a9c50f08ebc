"""The OpenAPI document: FastAPI draws the routes, the service's own shapes and error table give the schemas."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi

from segue.service import PROBLEM_BASE, PROBLEMS, Finding

_REF: Final = "#/components/schemas/{name}"
_LATER: Final = "#/shapes/"
_shapes: list[Any] = []
_EVERYWHERE: Final = (
    "request-malformed",
    *("token-refused", "not-signed-in", "host-refused", "permission-denied", "approval-needed", "not-ready"),
    "too-many-requests",
)
_OF_BODIES: Final = ("media-type-refused", "body-too-large", "body-too-slow")
_OPEN: Final = (
    *("/health", "/ready", "/login", "/task-code"),
    *("/login/oidc", "/login/oidc/callback", "/login/oidc/session"),
    *("/login/providers", "/login/oidc/callback/{provider}"),
)
_LOGINS: Final = frozenset({"login", "finishOidc", "finishOidcOf", "handOverOidc"})
_TIMES: Final = (
    *("publishedAt", "startedAt", "endedAt", "at", "dueAt"),
    *("offeredAt", "closedAt", "deadlineAt", "oldestAt", "sentAt", "readAt"),
    *("createdAt", "expiresAt", "usedAt", "barredUntil", "releasedAt"),
    *("intendedAt", "settledAt", "deadline", "firstAt", "lastAt"),
)


class Problem(msgspec.Struct):
    """A problem document (RFC 9457). `type` names an entry of the list of problems in the docs.

    Attributes:
        remedy: What to do next.
        findings: What validation found, where a workflow document was refused.
    """

    type: str
    title: str
    status: int
    detail: str
    remedy: str
    instance: str = ""
    findings: list[Finding] = []


def schema_of(shape: Any) -> dict[str, Any]:
    """What stands for the shape's schema until the document is built.

    The schemas of all shapes take a fifth of a second, which a server that starts does not have to spend.
    """
    if shape not in _shapes:
        _shapes.append(shape)
    return {"$ref": f"{_LATER}{_shapes.index(shape)}"}


def json_answer(shape: Any, description: str) -> dict[str, Any]:
    """A JSON answer of this shape."""
    return {"description": description, "content": {"application/json": {"schema": schema_of(shape)}}}


def json_body(shape: Any) -> dict[str, Any]:
    """A JSON request of this shape."""
    return {"application/json": {"schema": schema_of(shape)}}


def operation(
    operation_id: str,
    summary: str,
    *,
    answers: dict[int, dict[str, Any]],
    problems: Iterable[str] = (),
    body: dict[str, Any] | None = None,
    refusal: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """What a route's decorator needs.

    Args:
        answers: Description of each successful answer by its status.
        problems: Kinds of refusals besides those of every route, and of every route with a body.
        body: Content types and schemas of the request body.
        refusal: Content of a refusal; a problem document where it is left out.
    """
    responses: dict[int | str, Any] = {status: answer for status, answer in answers.items()}  # noqa: C416 - widens the key
    by_status: dict[int, list[str]] = {}
    for kind in dict.fromkeys((*_EVERYWHERE, *problems, *(_OF_BODIES if body else ()), "internal")):
        by_status.setdefault(PROBLEMS[kind].status, []).append(kind)
    for status, kinds in by_status.items():
        responses[status] = {
            "description": "; ".join(PROBLEMS[kind].title for kind in kinds),
            "content": refusal or {"application/problem+json": {"schema": schema_of(Problem)}},
        }
    extra = {"requestBody": {"required": True, "content": body}} if body else {}
    return {
        "operation_id": operation_id,
        "summary": summary,
        "responses": responses,
        "status_code": next(iter(answers)),
        "response_class": Response,
        "response_model": None,
        "openapi_extra": extra,
    }


def openapi(app: FastAPI) -> dict[str, Any]:
    """The whole document, built once."""
    if app.openapi_schema:
        return app.openapi_schema
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    document, components = _with_shapes(document)
    schemas = document["components"]["schemas"]
    schemas.update(components)
    _mark_times(schemas)
    document["components"]["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer"},
        "session": {"type": "apiKey", "in": "cookie", "name": "segue_session"},
    }
    for path, methods in document["paths"].items():
        for described in methods.values():
            _polish(described, is_open=path.endswith(_OPEN))
    document["x-problems"] = {PROBLEM_BASE + kind: entry.meaning for kind, entry in PROBLEMS.items()}
    app.openapi_schema = document
    return document


def _with_shapes(document: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The document with the schemas of its shapes, and the components that these refer to."""
    # Only those that this document names: another one of the same process may name others.
    named = sorted(set(map(int, re.findall(f"'{_LATER}(\\d+)'", str(document)))))
    found, components = msgspec.json.schema_components([_shapes[place] for place in named], ref_template=_REF)
    known = {f"{_LATER}{place}": schema for place, schema in zip(named, found, strict=True)}

    def filled(part: Any) -> Any:
        if isinstance(part, dict):
            reference = part.get("$ref")
            if isinstance(reference, str) and reference in known:
                return dict(known[reference])
            return {key: filled(value) for key, value in part.items()}
        return [filled(value) for value in part] if isinstance(part, list) else part

    return filled(document), components


def _mark_times(schemas: dict[str, Any]) -> None:
    for schema in schemas.values():
        for name, described in schema.get("properties", {}).items():
            if name in _TIMES and described.get("type") == "string":
                described["format"] = "date-time"


def _polish(described: dict[str, Any], *, is_open: bool) -> None:
    answers = described["responses"]
    # FastAPI's own 422 never happens: a malformed parameter is a 400 here.
    if "HTTPValidationError" in str(answers.get("422", "")):
        del answers["422"]
    for answer in answers.values():
        # The empty content that FastAPI adds for a plain `Response` would allow anything.
        answer["content"] = {k: v for k, v in answer.get("content", {}).items() if k != "application/octet-stream"}
        if not answer["content"]:
            del answer["content"]
    if is_open:
        if described["operationId"] not in _LOGINS:
            answers.pop("401", None)
    else:
        described["security"] = [{"token": []}, {"session": []}]


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """The service's answer, as JSON."""
    content = msgspec.json.encode(value)
    return Response(content, status_code=status, media_type="application/json", headers=headers)
