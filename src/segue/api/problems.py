"""Every refusal as a problem document (RFC 9457)."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from segue.api.common import route_of
from segue.api.pages.places import is_page
from segue.api.pages.refusals import refused
from segue.service import ERROR_URN, SCIM_PREFIX, HostError, ScimRefusal, ServiceError, as_refusal
from segue.types import whereabouts

MEDIA_TYPE: Final = "application/problem+json"
SCIM_TYPE: Final = "application/scim+json"
_log = logging.getLogger("segue.api")


def problem_response(
    error: ServiceError, scope: Mapping[str, Any], headers: dict[str, str] | None = None
) -> Response:
    """The answer that a refusal gets to this request."""
    extra = dict(headers or {})
    if error.kind == "token-refused":
        extra["WWW-Authenticate"] = 'Bearer realm="segue"'
    if error.wait_s:
        extra["Retry-After"] = str(error.wait_s)
    if is_page(route_of(scope)):
        return refused(error, scope, {key: value for key, value in extra.items() if key != "WWW-Authenticate"})
    if route_of(scope).startswith(SCIM_PREFIX + "/"):
        return Response(_scim_error(error), status_code=error.entry.status, media_type=SCIM_TYPE, headers=extra)
    content = msgspec.json.encode(error.as_problem(scope["path"]))
    return Response(content, status_code=error.entry.status, media_type=MEDIA_TYPE, headers=extra)


def _scim_error(error: ServiceError) -> bytes:
    """What clients of SCIM read instead (RFC 7644, section 3.12)."""
    told = {
        "schemas": [ERROR_URN],
        "status": str(error.entry.status),
        "detail": f"{error.detail} {error.remedy}",
    }
    scim_type = error.scim_type if isinstance(error, ScimRefusal) else ""
    if error.kind == "request-malformed":
        scim_type = "invalidSyntax"
    return msgspec.json.encode({**told, "scimType": scim_type} if scim_type else told)


def install(app: FastAPI) -> None:
    """Let the app answer every error with a problem document."""
    app.add_exception_handler(ServiceError, _refused)
    app.add_exception_handler(HostError, _refused)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _framework)
    app.add_exception_handler(Exception, _crashed)


async def _refused(request: Request, error: Exception) -> Response:
    refusal = as_refusal(error)
    assert refusal is not None, "registered for refusals only"
    return problem_response(refusal, request.scope)


async def _malformed(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    places = "; ".join(f"{_place(item['loc'])}: {item['msg']}" for item in error.errors()[:5])
    return problem_response(ServiceError("request-malformed", places + "."), request.scope)


def _place(location: tuple[Any, ...]) -> str:
    kind, *rest = location
    return f"{kind} parameter {'.'.join(map(str, rest))!r}" if rest else str(kind)


async def _framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path
    if error.status_code == 405:
        route = route_of(request.scope)
        allowed = (error.headers or {}).get("Allow", "") if is_page(route) else methods_of(request.app, route)
        refusal = ServiceError("method-refused", f"{request.method} is not a method of {path}: {allowed}.")
        return problem_response(refusal, request.scope, {"Allow": allowed})
    elif error.status_code == 404:
        refusal = ServiceError("route-unknown", f"There is no route {path}.")
    else:
        refusal = ServiceError("request-malformed", str(error.detail))
    return problem_response(refusal, request.scope, dict(error.headers or {}))


def methods_of(app: FastAPI, path: str) -> str:
    """Every method of this address; the framework names those of the first route only."""
    found: set[str] = set()
    for template, methods in app.openapi()["paths"].items():
        if re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", template), path):
            found |= {method.upper() for method in methods}
    return ", ".join(sorted(found))


async def _crashed(request: Request, error: Exception) -> Response:
    # The number ties the answer to the log; the traceback itself stays here.
    number = uuid.uuid4().hex[:12]
    _log.error("request %s %s failed [%s]: %s", request.method, request.url.path, number, whereabouts(error))
    return problem_response(ServiceError("internal", f"See the entry {number} of the server's log."), request.scope)
