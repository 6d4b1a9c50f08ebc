"""Bodies: JSON values to bytes by media type, and bytes back to JSON values (ruling R23)."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from segue.types import fail

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"
_TEXTUAL: Final = frozenset(
    {"application/xml", "application/yaml", "application/x-yaml", "application/javascript", "application/x-ndjson"}
)


def media_type(content_type: str) -> str:
    """`Text/HTML; charset=x` becomes `text/html`."""
    return content_type.split(";", 1)[0].strip().lower()


def is_json(media: str) -> bool:
    """Whether a media type is decoded as JSON."""
    return media == JSON or media.endswith("+json")


def is_text(media: str) -> bool:
    """Whether a media type is decoded as text."""
    return media.startswith("text/") or media in _TEXTUAL or media.endswith(("+xml", "+yaml"))


def encode_body(body: Any, content_type: str | None) -> tuple[bytes, str]:
    """The bytes of a body and the content type to send with them.

    Without a content type it is JSON. Text types take the text itself; a form takes an object; any other type
    takes base64, as ruling R23 reads it back.

    Raises:
        TaskFailure: `validation`, when the body cannot be written as that type.
    """
    if content_type is None:
        return msgspec.json.encode(body), JSON
    media = media_type(content_type)
    if is_json(media):
        return msgspec.json.encode(body), content_type
    if media == FORM and isinstance(body, dict):
        return urlencode(form_pairs(body)).encode(), content_type
    if media == MULTIPART and isinstance(body, dict):
        return _multipart(body)
    if not isinstance(body, str):
        if is_text(media) and isinstance(body, (int, float, bool)):
            return msgspec.json.encode(body), content_type
        raise fail("validation", f"A body of the type {media!r} must be text, not {_kind(body)}.")
    if is_text(media) or media == FORM:
        return body.encode(), content_type
    try:
        return base64.b64decode(body, validate=True), content_type
    except binascii.Error:
        raise fail("validation", f"A body of the type {media!r} must be base64 text.") from None


def decode_body(content: bytes, content_type: str, *, origin: str) -> Any:
    """The JSON value of a received body: decoded JSON, text, or base64 text of anything else.

    Args:
        origin: Who sent it, for the message.

    Raises:
        TaskFailure: `communication`, when a body that says it is JSON is not.

    Source: ruling R23 of the document reference.
    """
    media = media_type(content_type)
    if is_json(media):
        if not content:
            return None
        try:
            return msgspec.json.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise fail(
                "communication", f"{origin} answered with something that is not JSON, though it says so."
            ) from None
    if is_text(media):
        return _as_text(content, _charset(content_type))
    return base64.b64encode(content).decode() if content else None


def scalar_text(value: Any) -> str:
    """A JSON scalar as URLs, headers and forms carry it; objects and arrays as JSON text."""
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def form_pairs(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The fields of a form; an array repeats its field, null leaves it out."""
    pairs: list[tuple[str, str]] = []
    for name, value in body.items():
        items = value if isinstance(value, list) else [value]
        pairs += [(name, scalar_text(item)) for item in items if item is not None]
    return pairs


def _multipart(body: Mapping[str, Any]) -> tuple[bytes, str]:
    boundary = f"segue-{secrets.token_hex(16)}"
    parts: list[bytes] = []
    for name, value in body.items():
        for item in value if isinstance(value, list) else [value]:
            if item is not None:
                parts.append(_part(boundary, name, item))
    closing = f"--{boundary}--\r\n".encode()
    return b"".join(parts) + closing, f"{MULTIPART}; boundary={boundary}"


def _part(boundary: str, name: str, item: Any) -> bytes:
    disposition = f'form-data; name="{_quoted(name)}"'
    kind, content = None, b""
    if isinstance(item, dict) and {"filename", "content"} <= set(item):
        disposition += f'; filename="{_quoted(str(item["filename"]))}"'
        kind = str(item.get("contentType", "application/octet-stream"))
        content, _ = encode_body(item["content"], kind)
    elif isinstance(item, (dict, list)):
        kind, content = JSON, msgspec.json.encode(item)
    else:
        content = scalar_text(item).encode()
    head = f"--{boundary}\r\nContent-Disposition: {disposition}\r\n"
    if kind is not None:
        if "\r" in kind or "\n" in kind:
            raise fail("validation", "The contentType of a file contains a line end: remove it.")
        head += f"Content-Type: {kind}\r\n"
    return head.encode() + b"\r\n" + content + b"\r\n"


def _quoted(text: str) -> str:
    # The escapes browsers use in multipart names (HTML standard, form submission).
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _as_text(content: bytes, charset: str) -> str:
    try:
        return content.decode(charset, errors="replace")
    except (LookupError, UnicodeError):  # a charset that is none, or a codec that is not for text
        return content.decode("utf-8", errors="replace")


def _charset(content_type: str) -> str:
    for part in content_type.split(";")[1:]:
        name, _, value = part.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"')
    return "utf-8"


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    return {dict: "an object", list: "an array", bool: "a boolean"}.get(type(value), "a number")
