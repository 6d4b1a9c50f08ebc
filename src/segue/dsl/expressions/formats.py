"""`@name` formats: a value as text that is safe to put into a surrounding."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Collection
from typing import Any, Final
from urllib.parse import quote as percent_quote

from segue.dsl.expressions.errors import EvaluationError
from segue.dsl.expressions.numbers import format_number
from segue.dsl.expressions.text import describe, to_json, to_text
from segue.dsl.expressions.values import SECRET_RULE
from segue.types import SecretText

Convert = Callable[[Any], Any]


def known_formats() -> Collection[str]:
    """The names, without the at sign."""
    return _FORMATS.keys()


def format_named(name: str) -> Convert:
    """The conversion of a format that exists."""
    return _FORMATS[name]


def join_pieces(pieces: list[Any]) -> str | SecretText:
    """Strings and secrets put together; a secret among them makes the whole one."""
    if all(type(piece) is str for piece in pieces):
        return "".join(pieces)
    joined: SecretText | None = None
    plain = ""
    for piece in pieces:
        if joined is not None:
            joined = joined.joined_to(piece)
        elif type(piece) is SecretText:
            joined = piece.joined_after(plain) if plain else piece
        else:
            plain += piece
    return plain if joined is None else joined


def _text(value: Any) -> Any:
    return value if type(value) is str or type(value) is SecretText else to_json(value)


def _json(value: Any) -> str:
    return to_json(value)


_HTML: Final = str.maketrans({"<": "&lt;", ">": "&gt;", "&": "&amp;", "'": "&apos;", '"': "&quot;"})


def _html(value: Any) -> str:
    return to_text(value).translate(_HTML)


def _uri(value: Any) -> str:
    return percent_quote(to_text(value).encode("utf-8", "replace"), safe="~-_.")


def _urid(value: Any) -> str:
    text = to_text(value)
    raw = bytearray()
    for part in re.split(r"(%(?:[0-9A-Fa-f]{2})?)", text):
        if part == "%":
            raise EvaluationError(f"{describe(text)} has a % without two hexadecimal digits")
        raw += bytes([int(part[1:], 16)]) if part.startswith("%") else part.encode("utf-8", "replace")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise EvaluationError(f"{describe(text)} does not decode to text") from None


def _row(value: Any, name: str) -> list[Any]:
    if type(value) is SecretText:
        raise EvaluationError(SECRET_RULE)
    if type(value) is not list:
        raise EvaluationError(f"{describe(value)} is no row for @{name}, only an array is")
    return value


def _csv(value: Any) -> str:
    return ",".join(_cell(item, "csv", lambda s: '"' + s.replace('"', '""') + '"') for item in _row(value, "csv"))


_TSV: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def _tsv(value: Any) -> str:
    return "\t".join(_cell(item, "tsv", lambda s: s.translate(_TSV)) for item in _row(value, "tsv"))


def _cell(item: Any, name: str, quoted: Callable[[str], str]) -> str:
    kind = type(item)
    if kind is str:
        return quoted(item)
    if item is None:
        return ""
    if kind is bool:
        return "true" if item else "false"
    if kind is int or kind is float:
        return format_number(item)
    raise EvaluationError(f"{describe(item)} cannot be a cell of @{name}")


def _sh(value: Any) -> str:
    return " ".join(_word(item) for item in (value if type(value) is list else [value]))


def _word(item: Any) -> str:
    if type(item) is str:
        return "'" + item.replace("'", "'\\''") + "'"
    if type(item) is list or type(item) is dict:
        raise EvaluationError(f"{describe(item)} cannot be escaped for a shell")
    return to_json(item)


def _base64(value: Any) -> str:
    return base64.b64encode(to_text(value).encode("utf-8", "replace")).decode("ascii")


_BASE64: Final = re.compile(r"[A-Za-z0-9+/]*=*", re.ASCII)


def _base64d(value: Any) -> str:
    text = to_text(value)
    body = text.rstrip("=")
    if not _BASE64.fullmatch(text):
        raise EvaluationError(f"{describe(text)} is not base64")
    if len(body) % 4 == 1:
        raise EvaluationError(f"{describe(text)} is not base64: one character too many")
    return base64.b64decode(body + "=" * (-len(body) % 4)).decode("utf-8", "replace")


def _base32(value: Any) -> str:
    return base64.b32encode(to_text(value).encode("utf-8", "replace")).decode("ascii")


def _base32d(value: Any) -> str:
    text = to_text(value)
    body = text.rstrip("=")
    try:
        return base64.b32decode(body + "=" * (-len(body) % 8)).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        raise EvaluationError(f"{describe(text)} is not base32") from None


_FORMATS: Final[dict[str, Convert]] = {
    "text": _text,
    "json": _json,
    "html": _html,
    "uri": _uri,
    "urid": _urid,
    "csv": _csv,
    "tsv": _tsv,
    "sh": _sh,
    "base64": _base64,
    "base64d": _base64d,
    "base32": _base32,
    "base32d": _base32d,
}
