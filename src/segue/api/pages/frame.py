"""What all pages have around them: head, style, who is signed in, and the headers that they go out with."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any, Final

from fastapi import Response

from segue.api.common import address_of
from segue.api.pages.html import Content, Html, el, raw
from segue.api.pages.places import CSRF_FIELD, INBOX, SIGN_OUT
from segue.api.pages.style import STYLE
from segue.api.pages.text import said
from segue.types import Identity, acting

CSRF: Final = "segue.csrf"
"""Where the token of the session stands in the scope of a request."""
_DIGEST: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
"""As for every answer, but with our own style, known by its digest, and forms to ourselves. No script, no picture."""


def page(
    scope: Mapping[str, Any], title: str, *content: Content, status: int = 200, head: Content = None
) -> Response:
    """A whole page.

    Args:
        title: Of the tab; may be a text of a stranger.
        head: Further elements of the head.
    """
    identity = acting()
    known = [_top(address_of(scope), str(scope.get(CSRF, "")), identity)] if identity is not None else []
    document = el(
        "html",
        el(
            "head",
            el("meta", charset="utf-8"),
            el("title", f"{' '.join(title.split())[:120]} · Segue"),
            el("meta", name="viewport", content="width=device-width, initial-scale=1"),
            el("meta", name="robots", content="noindex"),
            head,
            el("style", raw(STYLE)),
        ),
        el("body", known, el("main", content)),
        lang="en",
    )
    return Response(
        f"<!doctype html>{document.text}".encode(),
        status_code=status,
        media_type="text/html; charset=utf-8",
        headers={"Content-Security-Policy": POLICY},
    )


def csrf_field(scope: Mapping[str, Any]) -> Html | None:
    """What a form of a session repeats; none where nobody is signed in by a cookie."""
    token = str(scope.get(CSRF, ""))
    return el("input", type="hidden", name=CSRF_FIELD, value=token) if token else None


def notice(kind: str, *content: Content) -> Html:
    """Something that has to be read first. kind: `good`, `bad` or `plain`; the bad is announced."""
    return el("div", content, class_=f"notice {kind}", role="alert" if kind == "bad" else "status")


def _top(root: str, csrf: str, identity: Identity) -> Html:
    out = el(
        "form",
        el("input", type="hidden", name=CSRF_FIELD, value=csrf),
        el("button", "Sign out", class_="quiet"),
        method="post",
        action=root + SIGN_OUT,
    )
    who = el("span", said(identity.display or identity.id, most=60), class_="who")
    return el("header", el("a", "Segue", href=root + INBOX, class_="home"), who, out if csrf else None)
