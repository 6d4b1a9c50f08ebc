"""`fromjson`: one JSON text to a value, NaN and infinities spelled out included."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from segue.dsl.expressions.errors import EvaluationError
from segue.dsl.expressions.meter import DEPTH_VALUES_MAX
from segue.dsl.expressions.numbers import number_from_text, parse_number

_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def parse_json(text: str) -> Any:
    """The value that `text` is.

    Raises:
        EvaluationError: `text` is not exactly one JSON value, or has half a character in it.
    """
    stripped = text.strip(" \t\r\n")
    number = parse_number(stripped)
    if number is not None:
        return number
    if _depth(stripped) > DEPTH_VALUES_MAX:
        raise EvaluationError(f"the text is JSON nested more than {DEPTH_VALUES_MAX} deep")
    try:
        value = _DECODER.decode(stripped)
    except json.JSONDecodeError as error:
        raise EvaluationError(f"the text is not JSON: {error.msg} at character {error.pos + 1}") from None
    if "\\u" in text and _has_surrogate(value):
        raise EvaluationError("the text is not JSON: half of a surrogate pair is not a character")
    return value


_BRACKETS: Final = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)


def _depth(text: str) -> int:
    """How deep the brackets go; only looked at closely where there are many."""
    if text.count("[") + text.count("{") <= DEPTH_VALUES_MAX:
        return 0
    depth = deepest = 0
    for found in _BRACKETS.finditer(text):
        character = found.group()[0]
        if character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


def _has_surrogate(value: Any) -> bool:
    if type(value) is str:
        return _SURROGATE.search(value) is not None
    if type(value) is list:
        return any(map(_has_surrogate, value))
    if type(value) is dict:
        return any(map(_has_surrogate, value)) or any(map(_has_surrogate, value.values()))
    return False


def _constant(name: str) -> Any:
    return parse_number(name)


_DECODER: Final = json.JSONDecoder(parse_float=number_from_text, parse_int=parse_number, parse_constant=_constant)
