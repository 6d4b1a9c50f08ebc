"""Refusals as pages: what happened and what to do next; whoever is nobody yet is led to where people sign in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from fastapi import Response

from segue.api.common import address_of, route_of
from segue.api.pages.frame import page
from segue.api.pages.html import el
from segue.api.pages.places import INBOX, PASSWORD, SIGN_IN, own
from segue.api.pages.text import said
from segue.service import ServiceError

_SIGN_IN_FIRST: Final = frozenset({"token-refused", "not-signed-in"})


def refused(error: ServiceError, scope: Mapping[str, Any], headers: dict[str, str] | None = None) -> Response:
    """The page that a refusal becomes, for a request to one of ours."""
    root, route = address_of(scope), route_of(scope)
    if error.kind in _SIGN_IN_FIRST and route != SIGN_IN:
        return _led_on(scope, root, route)
    if error.kind == "password-due" and route != PASSWORD:
        return _to(f"{root}{PASSWORD}?{urlencode({'next': _wanted(scope, route)})}")
    answer = page(
        scope,
        error.entry.title,
        el("h1", error.entry.title),
        el("p", said(error.detail)),
        el("p", said(error.remedy)),
        el("p", el("a", "Inbox", href=root + INBOX)) if route != SIGN_IN else None,
        status=error.entry.status,
    )
    for name, value in (headers or {}).items():
        answer.headers[name] = value
    return answer


def _led_on(scope: Mapping[str, Any], root: str, route: str) -> Response:
    wanted = _wanted(scope, route)
    reading = scope["method"] in ("GET", "HEAD")
    if reading and dict(scope["headers"]).get(b"sec-fetch-site") == b"cross-site":
        return _once_more(scope, root + wanted)
    query = {"next": wanted} if reading else {"next": wanted, "told": "ended"}
    return _to(f"{root}{SIGN_IN}?{urlencode(query)}")


def _wanted(scope: Mapping[str, Any], route: str) -> str:
    """Where somebody wanted to go; from a form of a task, the task."""
    query = scope.get("query_string", b"").decode("latin-1")
    if scope["method"] not in ("GET", "HEAD"):
        return own(route.rpartition("/")[0])
    return own(f"{route}?{query}" if query else route)


def _to(where: str) -> Response:
    return Response(status_code=303, headers={"Location": where})


def _once_more(scope: Mapping[str, Any], where: str) -> Response:
    """A page that opens the same address again, as one of our own.

    Where somebody follows a link in their mail or comes back from a provider, the browser keeps the cookie of the
    session back, because it is for our own pages only (`SameSite=Strict`). This page is one.
    """
    onward = el("meta", http_equiv="refresh", content=f"0; url={where}")
    return page(scope, "One moment", el("p", el("a", "Go on", href=where)), head=onward)
