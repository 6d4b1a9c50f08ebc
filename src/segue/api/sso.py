"""Routes of single sign-on: to the provider, back from it, and over to a command line that waits."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated, Any, Final
from urllib.parse import quote, unquote, urlencode

import msgspec
from fastapi import APIRouter, Query, Request, Response

from segue.api.bodies import read_json
from segue.api.common import Asked, address_of, root_of
from segue.api.describe import json_answer, json_body, json_response, operation
from segue.api.guard import cookie_of
from segue.api.identities import is_secure, keep_session, with_session
from segue.api.pages.frame import page as page_of
from segue.api.pages.html import el
from segue.api.pages.places import SIGN_IN, own
from segue.api.pages.text import said
from segue.service import CodeOfCli, ProviderView, ServiceError, Session


class Providers(msgspec.Struct, frozen=True):
    """Those that the settings name."""

    items: list[ProviderView]


router = APIRouter(tags=["identities"])
FLOW_COOKIE: Final = "segue_sso"
BACK_COOKIE: Final = "segue_back"
"""Where to go on to after signing in, for who came from a page."""
_PATH: Final = "/api/v1/login/oidc"
_Port = Annotated[int | None, Query(ge=1024, le=65535, description="Where a command line waits, on 127.0.0.1.")]
_Challenge = Annotated[
    str | None, Query(pattern="^[A-Za-z0-9_-]{43}$", description="S256 challenge of that command line.")
]
_Mark = Annotated[str | None, Query(pattern="^[A-Za-z0-9_-]{1,64}$", description="Handed back to it.")]
_Given = Annotated[str | None, Query(max_length=4096)]
_Back = Annotated[
    str | None, Query(max_length=1000, description="A page of this server to go on to; others are left out.")
]
_Provider = Annotated[
    str | None, Query(pattern="^[a-z0-9-]{1,32}$", description="Its name, where there are several.")
]


@router.get(
    "/login/providers",
    **operation(
        "listProviders",
        "List the OpenID providers that people can sign in through",
        answers={200: json_answer(Providers, "In the order of the settings.")},
    ),
)
async def list_providers(service: Asked) -> Response:
    """For a page on which somebody signs in. Empty where there is none."""
    return json_response(Providers(items=service.sso.offered()))


@router.get(
    "/login/oidc",
    **operation(
        "beginOidc",
        "Sign in through the OpenID provider",
        answers={
            200: {"description": "A page on which to choose, where there are several.", "content": {"text/html": {}}},
            303: {"description": "Go on at the provider; a cookie remembers the sign-in for ten minutes."},
        },
        problems=("sso-off", "sso-unavailable"),
    ),
)
async def begin_oidc(
    request: Request,
    service: Asked,
    provider: _Provider = None,
    port: _Port = None,
    challenge: _Challenge = None,
    mark: _Mark = None,
    back: _Back = None,
) -> Response:
    """For a browser. A command line gives where it waits and what it will prove itself by."""
    offered = service.sso.offered()
    if provider is None and len(offered) > 1:
        return _choice(request, offered)
    begun = await service.sso.begin(
        str(request.base_url), provider=provider or "", port=port or 0, challenge=challenge or "", mark=mark or ""
    )
    response = _redirect(begun.url)
    _remember(response, request, FLOW_COOKIE, begun.cookie)
    # Which page somebody came from is no secret, and it is judged again where it is used.
    _remember(response, request, BACK_COOKIE, "" if back is None or port else quote(own(back), safe=""))
    return response


def _remember(response: Response, request: Request, name: str, value: str) -> None:
    """For as long as somebody may take at the provider; nothing is remembered where the value is empty."""
    path = root_of(request.scope) + _PATH
    if not value:
        response.delete_cookie(name, path=path)
        return
    # The way back begins at the provider, so a strict cookie would not come along.
    response.set_cookie(name, value, max_age=600, path=path, httponly=True, samesite="lax", secure=is_secure(request))


def _coming_back(name: str, summary: str) -> dict[str, Any]:
    answers = {
        200: json_answer(Session, "Signed in; the session is also in a cookie that no script reads."),
        303: {"description": "Go on to the command line that waits, or to the page that it began at."},
    }
    return operation(name, summary, answers=answers, problems=("sso-refused", "sso-off", "sso-unavailable"))


@router.get(
    "/login/oidc/callback",
    **_coming_back("finishOidc", "Come back from the OpenID provider"),
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
    given = _given(state=state, code=code, error=error, iss=iss)
    return await _finished(request, service.sso.finish(_flow_of(request), given))


@router.get(
    "/login/oidc/callback/{provider}",
    **_coming_back("finishOidcOf", "Come back from one of several OpenID providers"),
)
async def finish_oidc_of(
    request: Request,
    service: Asked,
    provider: str,
    state: _Given = None,
    code: _Given = None,
    error: _Given = None,
    iss: _Given = None,
) -> Response:
    """An address of its own for each, so that none can hand in what another one issued."""
    given = _given(state=state, code=code, error=error, iss=iss)
    return await _finished(request, service.sso.finish(_flow_of(request), given, provider=provider))


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


def _given(**parameters: str | None) -> dict[str, str]:
    return {name: value for name, value in parameters.items() if value}


def _flow_of(request: Request) -> str:
    return cookie_of(dict(request.scope["headers"]), FLOW_COOKIE)


async def _finished(request: Request, finishing: Awaitable[Session | str]) -> Response:
    """Where a sign-in leads; who began it at a page gets no data, and goes on to that page."""
    root = address_of(request.scope)
    page = unquote(cookie_of(dict(request.scope["headers"]), BACK_COOKIE))
    try:
        ended = await finishing
    except ServiceError as refusal:
        if not page:
            raise
        response = _redirect(f"{root}{SIGN_IN}?{urlencode({'next': own(page), 'told': refusal.kind})}")
    else:
        if isinstance(ended, str):
            response = _redirect(ended)
        elif page:
            response = keep_session(request, ended, _redirect(root + own(page)))
        else:
            response = with_session(request, ended)
    for name in (FLOW_COOKIE, BACK_COOKIE):
        _remember(response, request, name, "")
    return response


def _choice(request: Request, offered: list[ProviderView]) -> Response:
    """A page with one link for each provider: what was asked for goes along."""
    here = address_of(request.scope) + _PATH
    places = [
        (found.title, f"{here}?{urlencode({**request.query_params, 'provider': found.name})}") for found in offered
    ]
    links = [el("a", said(title), class_="button", href=url) for title, url in places]
    return page_of(request.scope, "Sign in", el("div", el("h1", "Sign in with"), links, class_="narrow"))


def _redirect(url: str) -> Response:
    return Response(status_code=303, headers={"Location": url})
