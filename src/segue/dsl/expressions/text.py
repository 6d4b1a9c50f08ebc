"""Values as text: JSON, and the short descriptions in error messages."""

from __future__ import annotations

import json
from json.encoder import encode_basestring
from typing import Any

from segue.dsl.expressions.errors import EvaluationError
from segue.dsl.expressions.numbers import format_number
from segue.types import SecretText

_DESCRIBED_CHARS = 30


def quote(text: str) -> str:
    """A JSON string."""
    quoted: str = encode_basestring(text)
    return quoted.replace("\x7f", "\\u007f") if "\x7f" in quoted else quoted


def to_json(value: Any) -> str:
    """Compact JSON, keys in the order they have.

    Raises:
        EvaluationError: A secret is in it.
    """
    parts: list[str] = []
    _write(value, parts.append)
    return "".join(parts)


def _write(value: Any, put: Any) -> None:
    kind = type(value)
    if kind is str:
        put(quote(value))
    elif kind is int or kind is float:
        put(format_number(value))
    elif value is None:
        put("null")
    elif kind is bool:
        put("true" if value else "false")
    elif kind is list:
        _write_array(value, put)
    elif kind is dict:
        _write_object(value, put)
    elif kind is SecretText:
        raise EvaluationError("a secret may only be passed on or joined to text")
    else:
        raise EvaluationError(f"a value of type {kind.__name__} is not JSON")


def _write_array(value: list[Any], put: Any) -> None:
    separator = "["
    for item in value:
        put(separator)
        _write(item, put)
        separator = ","
    put("]" if value else "[]")


def _write_object(value: dict[str, Any], put: Any) -> None:
    separator = "{"
    for key, item in value.items():
        put(separator)
        put(quote(key))
        put(":")
        _write(item, put)
        separator = ","
    put("}" if value else "{}")


def to_text(value: Any) -> str:
    """A string as it is, anything else as JSON."""
    return value if type(value) is str else to_json(value)


def describe(value: Any) -> str:
    """Kind and beginning of a value, for messages; a secret is only called a secret."""
    kind = type(value)
    if kind is SecretText:
        return "a secret"
    if kind is list:
        return f"an array of {len(value)}"
    if kind is dict:
        return f"an object of {len(value)}"
    if value is None:
        return "null"
    if kind is bool:
        return f"boolean ({'true' if value else 'false'})"
    if kind is str:
        shown = value if len(value) <= _DESCRIBED_CHARS else value[:_DESCRIBED_CHARS] + "…"
        return f"string ({json.dumps(shown, ensure_ascii=False)})"
    if kind is int or kind is float:
        return f"number ({format_number(value)})"
    return f"a {kind.__name__}"
