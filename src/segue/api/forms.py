"""Forms of our own pages: read once, in front of the routes, and refused where another page sent them.

A form cannot send a header, so the token of the session comes as a field of it. The guard reads and compares that
before any route runs: no route can forget to. Besides, a browser says which page a request comes from; that holds for
the forms of whoever is not signed in yet, where there is no token.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from fastapi import Request

from segue.service import ServiceError

FORM: Final = "segue.form"
"""Where the fields stand in the scope of a request."""
_MEDIA: Final = b"application/x-www-form-urlencoded"
_FIELDS_MAX: Final = 2000
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Form = dict[str, list[str]]


def form_of(request: Request) -> Form:
    """What was posted, by the names of the fields."""
    form: Form = request.scope[FORM]
    return form


def field_of(request: Request, name: str) -> str:
    """One field, without the blanks around it; empty where it is not there, or several times."""
    given = form_of(request).get(name, [])
    return given[0].strip() if len(given) == 1 else ""


def require_own_form(headers: Mapping[bytes, bytes]) -> None:
    """Refuse what a browser sends for the page of somebody else.

    Programs that are no browser say nothing of the kind; they carry nobody's session either.

    Raises:
        ServiceError: `csrf-refused`.
    """
    site = headers.get(b"sec-fetch-site")
    if site is None:
        origin = headers.get(b"origin")
        own = origin is None or urlsplit(origin.decode("latin-1")).netloc == headers.get(b"host", b"").decode(
            "latin-1"
        )
    else:
        own = site in (b"same-origin", b"none")
    if not own:
        raise ServiceError("csrf-refused", "The form was not sent by a page of this server.")


async def read_form(headers: Mapping[bytes, bytes], receive: Receive) -> Form:
    """The fields of a form.

    Raises:
        ServiceError: `media-type-refused`, `request-malformed`, and what `receive` refuses.
    """
    if headers.get(b"content-type", b"").partition(b";")[0].strip().lower() != _MEDIA:
        raise ServiceError("media-type-refused", "A page takes the fields of its form.")
    content = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ServiceError("request-malformed", "The form did not arrive as a whole.")
        content += message.get("body", b"")
        if not message.get("more_body", False):
            break
    try:
        pairs = parse_qsl(
            content.decode("ascii"),
            keep_blank_values=True,
            encoding="utf-8",
            errors="strict",
            max_num_fields=_FIELDS_MAX,
        )
    except ValueError:
        raise ServiceError("request-malformed", f"The form is no UTF-8, or has over {_FIELDS_MAX} fields.") from None
    form: Form = {}
    for name, value in pairs:
        form.setdefault(name, []).append(value)
    return form
