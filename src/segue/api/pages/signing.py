"""Routes of signing in and out in a browser, and of choosing a password of one's own where another set it.

The rules are those of `POST /login`: one answer for whatever was wrong, names are barred after wrong passwords, an
address may try so many times a minute. Who has signed in goes back to a page of ours and nowhere else.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeVar
from urllib.parse import urlencode

import msgspec
from fastapi import APIRouter, Query, Request, Response

from segue.api.common import Asked, address_of
from segue.api.forms import field_of, form_of
from segue.api.guard import session_of
from segue.api.identities import forget_session, keep_session
from segue.api.pages.frame import csrf_field, notice, page
from segue.api.pages.html import Content, Html, el
from segue.api.pages.places import PASSWORD, SIGN_IN, own
from segue.api.pages.text import said
from segue.service import DESK, Login, OwnPassword, ProviderView, ServiceError

router = APIRouter(prefix=DESK, include_in_schema=False, default_response_class=Response)

Next = Annotated[str, Query(max_length=1000)]
Wanted = TypeVar("Wanted")
_REFUSED: Final = frozenset({"login-refused", "login-barred"})
_TOLD: Final = {
    "password": ("good", "Your password is another one now. Sign in with it."),
    "ended": (
        "bad",
        "Nothing was done: you were not signed in any more. Going back in your browser may show what you typed.",
    ),
    "out": ("plain", "You have signed out."),
    "sso-refused": ("bad", "The sign-in did not succeed."),
    "sso-unavailable": ("bad", "The provider cannot be used at the moment. Try again later."),
}
_MUST: Final = "Somebody else set your password, so it counts once. Choose one of your own."


@router.get("/sign-in")
async def show_sign_in(
    request: Request, service: Asked, next: Next = "", told: Annotated[str, Query(max_length=40)] = ""
) -> Response:
    """Name and password, or one of the providers."""
    return _sign_in(request, service.sso.offered(), own(next), told=_TOLD.get(told))


@router.post("/sign-in")
async def sign_in(request: Request, service: Asked) -> Response:
    """Sign in, and go back to where one came from."""
    onward = own(field_of(request, "next"))
    given = {name: (form_of(request).get(name) or [""])[0] for name in ("name", "password", "code")}
    given |= {"name": given["name"].strip(), "code": given["code"].replace(" ", "")}
    try:
        session = await service.sessions.login(
            _struct(given, Login, "login-refused", "Name or password is too long.")
        )
    except ServiceError as refusal:
        if refusal.kind not in _REFUSED:
            raise
        offered = service.sso.offered()
        return _sign_in(
            request, offered, onward, name=given["name"][:63], told=("bad", _why(refusal)), refusal=refusal
        )
    if session.identity.must_change:
        onward = f"{PASSWORD}?{urlencode({'next': onward})}"
    return keep_session(request, session, _to(request, onward))


@router.post("/sign-out")
async def sign_out(request: Request, service: Asked) -> Response:
    """End the session of this browser."""
    await service.sessions.logout(session_of(dict(request.scope["headers"])))
    return forget_session(request, _to(request, f"{SIGN_IN}?told=out"))


@router.get("/password")
async def show_password(request: Request, service: Asked, next: Next = "") -> Response:
    """Choose a password of one's own."""
    who = await service.sessions.whoami()
    told = ("plain", _MUST) if who.scopes is not None else None
    return _password(request, own(next), told)


@router.post("/password")
async def choose_password(request: Request, service: Asked) -> Response:
    """Take it; every session ends, and one signs in with the new one."""
    onward = own(field_of(request, "next"))
    given = {name: (form_of(request).get(name) or [""])[0] for name in ("old", "new", "again")}
    if given["new"] != given.pop("again"):
        return _password(request, onward, ("bad", "The new password was not the same both times."), status=422)
    try:
        wanted = _struct(given, OwnPassword, "identity-refused", "A password has at least twelve characters.")
        await service.own_credentials.set_password(wanted)
    except ServiceError as refusal:
        if refusal.kind not in (*_REFUSED, "identity-refused"):
            raise
        return _password(request, onward, ("bad", _why(refusal)), status=refusal.entry.status)
    where = f"{SIGN_IN}?{urlencode({'next': onward, 'told': 'password'})}"
    return forget_session(request, _to(request, where))


# -- the pages -------------------------------------------------------------------------------------


def _sign_in(
    request: Request,
    offered: list[ProviderView],
    onward: str,
    *,
    name: str = "",
    told: tuple[str, str] | None = None,
    refusal: ServiceError | None = None,
) -> Response:
    root = address_of(request.scope)
    form = el(
        "form",
        el("input", type="hidden", name="next", value=onward),
        _line("Name", "name", "username", name, autofocus=not name),
        _line("Password", "password", "current-password", type="password", autofocus=bool(name)),
        _line(
            "One-time code", "code", "one-time-code", hint="only if you use an authenticator app", inputmode="numeric"
        ),
        el("button", "Sign in"),
        method="post",
        action=root + SIGN_IN,
    )
    links = [
        el(
            "a",
            "Sign in with ",
            said(provider.title, most=100),
            class_="button",
            href=f"{root}/api/v1/login/oidc?{urlencode({'provider': provider.name, 'back': onward})}",
        )
        for provider in offered
    ]
    content = el("div", el("h1", "Sign in to Segue"), _told(told), links, form, class_="narrow")
    answer = page(request.scope, "Sign in", content, status=refusal.entry.status if refusal else 200)
    if refusal and refusal.wait_s:
        answer.headers["Retry-After"] = str(refusal.wait_s)
    return answer


def _password(request: Request, onward: str, told: tuple[str, str] | None, *, status: int = 200) -> Response:
    form = el(
        "form",
        csrf_field(request.scope),
        el("input", type="hidden", name="next", value=onward),
        _line("Password until now", "old", "current-password", type="password"),
        _line("New password", "new", "new-password", type="password", hint="at least twelve characters"),
        _line("The new one once more", "again", "new-password", type="password"),
        el("button", "Choose it"),
        method="post",
        action=address_of(request.scope) + PASSWORD,
    )
    content = el("div", el("h1", "Choose a password"), _told(told), form, class_="narrow")
    return page(request.scope, "Choose a password", content, status=status)


def _told(told: tuple[str, str] | None) -> Html | None:
    return None if told is None else notice(told[0], el("p", said(told[1])))


def _line(
    title: str,
    name: str,
    known_as: str,
    value: str = "",
    *,
    type: str = "text",
    hint: str = "",
    inputmode: str | None = None,
    autofocus: bool = False,
) -> Html:
    label: Content = [title, el("span", hint, class_="hint") if hint else None]
    field = el(
        "input",
        type=type,
        name=name,
        id=name,
        value=value or None,
        autocomplete=known_as,
        inputmode=inputmode,
        autocapitalize="none",
        spellcheck="false",
        autofocus=autofocus,
    )
    return el("div", el("label", label, for_=name), field, class_="field")


def _why(refusal: ServiceError) -> str:
    wait = f" Try again in {-(-refusal.wait_s // 60)} min." if refusal.wait_s else ""
    return f"{refusal.detail}{wait}"


def _struct(given: Any, kind: type[Wanted], otherwise: str, why: str) -> Wanted:
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError:
        raise ServiceError(otherwise, why) from None


def _to(request: Request, path: str) -> Response:
    return Response(status_code=303, headers={"Location": address_of(request.scope) + path})
