"""Reading request bodies: bounded by the guard, decoded once, refused with the place of the mistake."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec
from fastapi import Request

from segue.service import ServiceError

JSON: Final = ("application/json",)
SCIM: Final = ("application/scim+json", "application/json")
YAML: Final = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")
Wanted = TypeVar("Wanted")


def media_type(request: Request) -> str:
    """The content type without parameters, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def require_media(request: Request, *allowed: str) -> str:
    """The content type, if it is one of these.

    Raises:
        ServiceError: `media-type-refused`, naming what is allowed.
    """
    given = media_type(request)
    if given not in allowed:
        raise ServiceError("media-type-refused", f"Got {given or 'no content type'}; takes {', '.join(allowed)}.")
    return given


def decode(content: bytes, kind: type[Wanted] | Any = Any) -> Any:
    """JSON as a value of this type.

    Raises:
        ServiceError: `request-malformed`, naming the place.
    """
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError as error:
        raise ServiceError("request-malformed", f"The body does not fit: {error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ServiceError("request-malformed", f"The body is not JSON: {error}.") from None


async def read_json(request: Request, kind: type[Wanted]) -> Wanted:
    """The JSON body as a value of this type."""
    require_media(request, *JSON)
    value: Wanted = decode(await request.body(), kind)
    return value


async def read_optional_json(request: Request, kind: type[Wanted]) -> Wanted:
    """The same, where no body at all means the defaults."""
    content = await request.body()
    if not content:
        return kind()
    require_media(request, *JSON)
    value: Wanted = decode(content, kind)
    return value
