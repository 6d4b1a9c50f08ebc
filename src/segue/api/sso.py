"""Routes of single sign-on: to the provider, back from it, and over to a command line that waits."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response

from segue.api.bodies import read_json
from segue.api.common import Asked, root_of
from segue.api.describe import json_answer, json_body, json_response, operation
from segue.api.guard import cookie_of
from segue.api.identities import is_secure, with_session
from segue.service import CodeOfCli, Session

router = APIRouter(tags=["identities"])
FLOW_COOKIE: Final = "segue_sso"
_PATH: Final = "/api/v1/login/oidc"
_Port = Annotated[int | None, Query(ge=1024, le=65535, description="Where a command line waits, on 127.0.0.1.")]
_Challenge = Annotated[
    str | None, Query(pattern="^[A-Za-z0-9_-]{43}$", description="S256 challenge of that command line.")
]
_Mark = Annotated[str | None, Query(pattern="^[A-Za-z0-9_-]{1,64}$", description="Handed back to it.")]
_Given = Annotated[str | None, Query(max_length=4096)]


@router.get(
    "/login/oidc",
    **operation(
        "beginOidc",
        "Sign in through the OpenID provider",
        answers={303: {"description": "Go on at the provider; a cookie remembers the sign-in for ten minutes."}},
        problems=("sso-off", "sso-unavailable"),
    ),
)
async def begin_oidc(
    request: Request, service: Asked, port: _Port = None, challenge: _Challenge = None, mark: _Mark = None
) -> Response:
    """For a browser. A command line gives where it waits and what it will prove itself by."""
    begun = await service.sso.begin(str(request.base_url), port=port or 0, challenge=challenge or "", mark=mark or "")
    response = _redirect(begun.url)
    response.set_cookie(
        FLOW_COOKIE,
        begun.cookie,
        max_age=600,
        path=root_of(request.scope) + _PATH,
        httponly=True,
        # The way back begins at the provider, so a strict cookie would not come along.
        samesite="lax",
        secure=is_secure(request),
    )
    return response


@router.get(
    "/login/oidc/callback",
    **operation(
        "finishOidc",
        "Come back from the OpenID provider",
        answers={
            200: json_answer(Session, "Signed in; the session is also in a cookie that no script reads."),
            303: {"description": "Signed in; go on to the command line that waits."},
        },
        problems=("sso-refused", "sso-off", "sso-unavailable"),
    ),
)
async def finish_oidc(
    request: Request,
    service: Asked,
    state: _Given = None,
    code: _Given = None,
    error: _Given = None,
    iss: _Given = None,
) -> Response:
    """The refusal is the same whatever was wrong; the server's log says more."""
    given = {
        name: value for name, value in {"state": state, "code": code, "error": error, "iss": iss}.items() if value
    }
    cookie = cookie_of(dict(request.scope["headers"]), FLOW_COOKIE)
    ended = await service.sso.finish(cookie, given)
    response = _redirect(ended) if isinstance(ended, str) else with_session(request, ended)
    response.delete_cookie(FLOW_COOKIE, path=root_of(request.scope) + _PATH)
    return response


@router.post(
    "/login/oidc/session",
    **operation(
        "handOverOidc",
        "Get the session of a command line that signed in through a browser",
        answers={200: json_answer(Session, "Signed in.")},
        problems=("sso-refused", "sso-off"),
        body=json_body(CodeOfCli),
    ),
)
async def hand_over_oidc(request: Request, service: Asked) -> Response:
    """A code counts once, for a minute, and for the command line that began the sign-in only."""
    return json_response(await service.sso.hand_over(await read_json(request, CodeOfCli)))


def _redirect(url: str) -> Response:
    return Response(status_code=303, headers={"Location": url})
