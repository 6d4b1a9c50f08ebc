"""What plain text means in a document: the rules of YAML 1.2's core schema, limited to what JSON can say.

YAML 1.1, which most loaders speak, turns `on` into true, `012` into ten and `12:30:00` into seconds.
Here they stay the text that they look like.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

INTEGER_MAX: Final = 2**63 - 1
"""Larger whole numbers lose digits in most systems that a workflow talks to."""

_WORDS: Final[dict[str, Any]] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_DECIMAL: Final = re.compile(r"[-+]?[0-9]+", re.ASCII)
_OTHER_BASE: Final = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_NO_NUMBER: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", re.ASCII)
_NUMERIC_START: Final = frozenset("0123456789+-.")


def resolve_plain(text: str) -> Any:
    """The value of an unquoted scalar.

    Raises:
        ValueError: It is a number that JSON cannot hold; the message says so.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMERIC_START:
        return text
    if _DECIMAL.fullmatch(text):
        return _integer(text, 10)
    if _OTHER_BASE.fullmatch(text):
        return _integer(text, 0)
    if _FLOAT.fullmatch(text):
        return _float(text)
    if _NO_NUMBER.fullmatch(text):
        raise ValueError(f"{text} is no number that JSON knows")
    return text


def _integer(text: str, base: int) -> int:
    # The length is tested first: converting very long digits takes time that grows with their square.
    if len(text) > 30 or not -INTEGER_MAX - 1 <= (value := int(text, base)) <= INTEGER_MAX:
        raise ValueError("the whole number does not fit into 64 bits")
    return value


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("the number is too large")
    return value
