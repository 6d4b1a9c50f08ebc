"""Numbers: exact where they can be, doubles beyond, and nothing JSON does not know."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from segue.dsl.expressions import compile_expression


def evaluate(text: str, data: Any = None) -> Any:
    return compile_expression(text, variables=()).evaluate(data)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.0", "1"),
        ("4 / 2", "2"),
        ("10 / 4", "2.5"),
        ("0.1 + 0.2", "0.30000000000000004"),
        ("12345678901234567890", "12345678901234567890"),
        ("9007199254740993", "9007199254740993"),
        ("9007199254740993 + 0", "9007199254740992"),
        ("2 | . * . * .", "8"),
        ("nan", "null"),
        ("[nan, infinite, -infinite]", "[null, 1.7976931348623157e+308, -1.7976931348623157e+308]"),
        ("1e308 * 10", "1.7976931348623157e+308"),
        ("{a: (0 * infinite)}", '{"a": null}'),
        ("1e1000", "1.7976931348623157e+308"),
        ("-7 % 3, 7 % -3, 5.9 % 2.1", "[-1, 1, 1]"),
        ("[1, 2.0] | add", "3"),
        ("3.7 | floor, ceil, round, trunc", "[3, 4, 4, 3]"),
        ("-1 | sqrt", "null"),
        ("0 | log", "-1.7976931348623157e+308"),
        ('"0x10" | tonumber?', "null"),
        ('" 1" | tonumber?', "null"),
        ('"1e2" | tonumber', "100"),
    ],
)
def test_numbers_are_written_like_this(text: str, expected: str) -> None:
    """The JSON of a result is what histories, hashes and other systems see."""
    assert json.dumps(evaluate(text)) == expected


def test_large_integers_pass_through_untouched() -> None:
    """An order number of twenty digits is a name, not an amount."""
    number = 12345678901234567890123
    assert evaluate(".id", {"id": number}) == number
    assert type(evaluate(".id", {"id": number})) is int
    assert evaluate("tostring", number) == str(number)
    assert evaluate(". == 12345678901234567890124", number) is False
    assert evaluate("[., 1] | sort", number) == [1, number]


def test_integers_beyond_every_double_do_not_crash() -> None:
    """A JSON reader may deliver four hundred digits."""
    number = 10**400
    assert evaluate(". + 1", number) == 1.7976931348623157e308
    assert evaluate("[floor, -., . * 0.5, . % 7] | length", number) == 4
    assert evaluate("isinfinite", number) is True


def test_nan_inside_an_evaluation_is_a_number() -> None:
    """Only on the way out it turns into null."""
    assert evaluate("nan | type, isnan, . < 1, . == .") == ["number", True, True, False]
    assert evaluate("[nan, 1, null] | sort | map(type)") == ["null", "number", "number"]


def test_strange_numbers_of_one_evaluation_do_not_touch_the_next() -> None:
    """The search for NaN in results is switched on by making one."""
    shared = {"a": [1, {"b": 2.5}]}
    assert evaluate("nan") is None
    assert evaluate(".", shared) is shared
    assert evaluate("{x: nan, y: .a}", shared) == {"x": None, "y": shared["a"]}


FUNCTIONS = "sin cos tan asin acos atan exp exp2 exp10 log log2 log10 sqrt cbrt gamma lgamma tgamma"


@pytest.mark.parametrize("name", FUNCTIONS.split(" "))
def test_mathematical_functions_never_raise_on_numbers(name: str) -> None:
    """Outside their domain they give NaN or an infinity, as in C."""
    for number in (0, 1, -1, 1e308, -1e308, 0.5, 710, -5):
        value = evaluate(f"[{name}] | .[0]", number)
        assert value is None or math.isfinite(value)
