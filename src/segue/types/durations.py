"""Durations: ISO 8601 text or an object of units, as whole milliseconds.

Years and months are refused because they have no fixed length: a reader of `P1M` should not have to guess
whether it means 28, 30 or 31 days. Fractions are exact and rounded up, so a wait is never too short.

Source: Open Workflow DSL 1.0.x, "Duration".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final

UNIT_MS: Final[Mapping[str, int]] = {
    "days": 86_400_000,
    "hours": 3_600_000,
    "minutes": 60_000,
    "seconds": 1_000,
    "milliseconds": 1,
}
DURATION_MS_MAX: Final = 100 * 366 * 86_400_000
"""A century. Longer waits are slips of the pen, and would leave the range of calendar dates."""

_NUMBER: Final = r"(\d{1,18}(?:[.,]\d{1,18})?)"
_FORM: Final = re.compile(
    rf"P(?=\d|T\d)(?:{_NUMBER}Y)?(?:{_NUMBER}M)?(?:{_NUMBER}W)?(?:{_NUMBER}D)?"
    rf"(?:T(?=\d)(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:{_NUMBER}S)?)?",
    re.ASCII,
)
_FACTORS_MS: Final = (0, 0, 7 * 86_400_000, 86_400_000, 3_600_000, 60_000, 1_000)


def parse_duration_ms(text: str) -> int:
    """Read ISO 8601 text such as `PT1M30S`, `P2W` or `PT0.5S`.

    Returns:
        Milliseconds, rounded up.

    Raises:
        ValueError: It is no duration, is negative, uses years or months, or is longer than a century.
            The message says what to write instead.
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        if text.strip().startswith(("-", "+")):
            raise ValueError(f"the duration {_short(text)} carries a sign; durations are zero or more: leave it out")
        raise ValueError(f"{_short(text)} is no ISO 8601 duration; write something like PT30S, PT5M, PT1H30M or P2D")
    parts = found.groups()
    if parts[0] or parts[1]:
        raise ValueError(f"{_short(text)} uses years or months, which have no fixed length; write days, such as P30D")
    given = [part for part in parts if part]
    if any("." in part or "," in part for part in given[:-1]):
        raise ValueError(f"{_short(text)}: only the last number of a duration may have a fraction")
    total = sum(
        (Fraction(part.replace(",", ".")) * factor for part, factor in zip(parts, _FACTORS_MS, strict=True) if part),
        Fraction(0),
    )
    return _bounded(-(-total.numerator // total.denominator))


def object_duration_ms(units: Mapping[str, Any]) -> int:
    """Add up an object such as `{minutes: 1, seconds: 30}`.

    Raises:
        ValueError: A unit is unknown, no whole number, or negative; or there is none.
    """
    if not units:
        raise ValueError(f"the duration is empty; give at least one of {', '.join(UNIT_MS)}")
    total = 0
    for unit, amount in units.items():
        if unit not in UNIT_MS:
            raise ValueError(f"{unit!r} is no unit of a duration; the units are {', '.join(UNIT_MS)}")
        if isinstance(amount, bool) or not isinstance(amount, int):
            raise ValueError(f"{unit} must be a whole number")
        if amount < 0:
            raise ValueError(f"{unit} is negative; durations are zero or more")
        total += amount * UNIT_MS[unit]
    return _bounded(total)


def duration_ms(value: Any) -> int:
    """Read either form.

    Raises:
        ValueError: It is neither, or not a duration.
    """
    if isinstance(value, str):
        return parse_duration_ms(value)
    if isinstance(value, Mapping):
        return object_duration_ms(value)
    raise ValueError("a duration is ISO 8601 text such as PT5S, or an object such as {seconds: 5}")


def _bounded(total_ms: int) -> int:
    if total_ms > DURATION_MS_MAX:
        raise ValueError("the duration is longer than a century")
    return total_ms


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "…")
