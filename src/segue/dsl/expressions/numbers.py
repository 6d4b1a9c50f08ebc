"""Numbers: doubles, except that whole numbers are kept as exact integers.

An integer stays an `int` as long as the result is exact and within 2^53; beyond, arithmetic is done on
doubles. Integers that merely pass through are never touched, however large. A whole double within 2^53 turns
into an `int`, so `4 / 2` is `2`.

Infinities and NaN exist only inside an evaluation. Every operation that may make one counts it in `strange`,
so that `evaluate` need not search its result for them unless one was made meanwhile.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

EXACT_MAX: Final = 2**53
DOUBLE_MAX: Final = 1.7976931348623157e308
_DIGITS_MAX: Final = 400
"""Digits up to which text is read as an exact integer; a double ends at 309."""


class _Strange:
    """How many infinities and NaN this process has made; grows only, so a race can only cost time."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


strange = _Strange()


def tidy(number: float) -> int | float:
    """The form a computed double is kept in."""
    if number.is_integer():
        return int(number) if -EXACT_MAX <= number <= EXACT_MAX else number
    if number - number != 0.0:
        strange.count += 1
    return number


def to_double(number: int | float) -> float:
    """The nearest double; infinite where an integer is beyond all of them."""
    try:
        return float(number)
    except OverflowError:
        strange.count += 1
        return math.inf if number > 0 else -math.inf


def from_int(number: int) -> int | float:
    """The form a computed integer is kept in."""
    return number if -EXACT_MAX <= number <= EXACT_MAX else tidy(to_double(number))


def infinity(*, negative: bool = False) -> float:
    """An infinity, counted."""
    strange.count += 1
    return -math.inf if negative else math.inf


def not_a_number() -> float:
    """A NaN, counted."""
    strange.count += 1
    return math.nan


def number_from_text(text: str) -> int | float:
    """The number a literal stands for: `1.0` is 1, and what overflows is the largest double."""
    if text.isdigit() and len(text) <= _DIGITS_MAX:
        return int(text)
    number = float(text)
    if number - number != 0.0:
        return DOUBLE_MAX if number > 0 else -DOUBLE_MAX
    return tidy(number)


_NUMERAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_SPECIAL = re.compile(r"([+-]?)(?:(nan)|inf(?:inity)?)", re.ASCII | re.IGNORECASE)


def parse_number(text: str) -> int | float | None:
    """What `tonumber` makes of a text; None where it is no number."""
    if _INTEGER.fullmatch(text) and len(text) <= _DIGITS_MAX:
        return int(text)
    if _NUMERAL.fullmatch(text):
        return tidy(float(text))
    special = _SPECIAL.fullmatch(text)
    if special is None:
        return None
    return not_a_number() if special[2] else infinity(negative=special[1] == "-")


def format_number(number: int | float) -> str:
    """Decimal text: the shortest that reads back as the same number.

    Plain digits from 0.0001 up to fifteen zeros behind the last digit, an exponent beyond; NaN is null and
    infinities are the largest doubles, because JSON knows neither.
    """
    if type(number) is int:
        return str(number) if -(10**17) < number < 10**17 else _format_large(number)
    if number != number:
        return "null"
    if number - number != 0.0:
        number = math.copysign(DOUBLE_MAX, number)
    return _format_double(number)


def _format_large(number: int) -> str:
    try:
        return str(number)
    except ValueError:  # Beyond the interpreter's own limit for digits.
        return _format_double(math.copysign(DOUBLE_MAX, number))


def _format_double(number: float) -> str:
    if number == 0.0:
        return "-0" if math.copysign(1.0, number) < 0 else "0"
    mantissa, _, exponent = f"{abs(number)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) if whole != "0" else int(exponent or 0) - _zeros(fraction)
    digits = digits.rstrip("0")
    sign = "-" if number < 0 else ""
    if point <= -4 or point > len(digits) + 15:
        power = point - 1
        tail = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{tail}e{'-' if power < 0 else '+'}{abs(power):02d}"
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    if point >= len(digits):
        return f"{sign}{digits}{'0' * (point - len(digits))}"
    return f"{sign}{digits[:point]}.{digits[point:]}"


def _zeros(fraction: str) -> int:
    return len(fraction) - len(fraction.lstrip("0"))


def scrub(value: Any) -> Any:
    """`value` without NaN and infinities: null and the largest doubles stand in. Copies only what changes."""
    kind = type(value)
    if kind is float:
        if value - value == 0.0:
            return value
        return None if value != value else math.copysign(DOUBLE_MAX, value)
    if kind is list:
        items = [scrub(item) for item in value]
        return value if all(map(_same, items, value)) else items
    if kind is dict:
        entries = {key: scrub(item) for key, item in value.items()}
        return value if all(map(_same, entries.values(), value.values())) else entries
    return value


def _same(first: Any, second: Any) -> bool:
    return first is second
