"""Functions of time: UTC always, English names always, whatever the server is set to.

"Broken down" time is jq's array: year, month from 0, day, hours, minutes, seconds (with fraction), day of the
week from Sunday, day of the year from 0. The calendar is computed here because the platform's own functions
follow its locale and its time zone.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

from segue.dsl.expressions.errors import EvaluationError
from segue.dsl.expressions.functions.registry import plain
from segue.dsl.expressions.meter import Run
from segue.dsl.expressions.numbers import to_double
from segue.dsl.expressions.text import describe
from segue.dsl.expressions.values import add, kind_of, subtract

_DAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MONTHS: Final = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_DAY_SECONDS: Final = 86_400
_SECONDS_MAX: Final = 10**14
_ISO: Final = "%Y-%m-%dT%H:%M:%SZ"


def days_from_civil(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 to a day of the Gregorian calendar; `month` from 1, `day` may overflow."""
    year += (month - 1) // 12
    month = (month - 1) % 12 + 1
    if month <= 2:
        year -= 1
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5
    return era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year + day - 719_469


def civil_from_days(days: int) -> tuple[int, int, int]:
    """Year, month from 1 and day of a number of days since 1970-01-01."""
    era, day_of_era = divmod(days + 719_468, 146_097)
    year = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year + year // 4 - year // 100)
    month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month + 2) // 5 + 1
    month += 3 if month < 10 else -9
    return era * 400 + year + (month <= 2), month, day


def break_down(seconds: float) -> list[Any]:
    """Broken down time of seconds since 1970."""
    whole = math.floor(seconds)
    days, rest = divmod(whole, _DAY_SECONDS)
    year, month, day = civil_from_days(days)
    second: Any = rest % 60
    if seconds != whole:
        second = second + (seconds - whole)
    year_day = days - days_from_civil(year, 1, 1)
    return [year, month - 1, day, rest // 3600, rest // 60 % 60, second, (days + 4) % 7, year_day]


def to_seconds(parts: list[int]) -> int:
    """Seconds since 1970 of broken down time whose fields may overflow."""
    year, month, day, hours, minutes, seconds = parts[:6]
    return days_from_civil(year, month + 1, day) * _DAY_SECONDS + hours * 3600 + minutes * 60 + seconds


def _seconds(value: Any, what: str) -> float:
    if type(value) is not int and type(value) is not float:
        kind_of(value)
        raise EvaluationError(f"{what} needs seconds since 1970, not {describe(value)}")
    seconds = to_double(value)
    if not abs(seconds) <= _SECONDS_MAX:
        raise EvaluationError(f"{what}: {describe(value)} is outside the calendar")
    return seconds if type(value) is float else value


def _broken_down(value: Any, what: str) -> list[int]:
    """Whole fields of broken down time; seconds since 1970 are broken down first."""
    if type(value) is int or type(value) is float:
        value = break_down(_seconds(value, what))
    if type(value) is not list or not all(type(part) is int or type(part) is float for part in value):
        kind_of(value)
        raise EvaluationError(f"{what} needs seconds since 1970 or a broken down time, not {describe(value)}")
    if not all(abs(to_double(part)) <= _SECONDS_MAX for part in value):
        raise EvaluationError(f"{what}: the time is outside the calendar")
    parts = [int(part) for part in value]
    missing = [0, 0, 1, 0, 0, 0][len(parts) :]
    parts += missing
    if len(parts) < 8:
        days = days_from_civil(parts[0], parts[1] + 1, parts[2])
        parts = [*parts[:6], (days + 4) % 7, days - days_from_civil(parts[0], 1, 1)]
    return parts


@plain("gmtime")
def _gmtime(value: Any) -> list[Any]:
    return break_down(_seconds(value, "gmtime"))


@plain("mktime")
def _mktime(value: Any) -> int:
    if type(value) is not list:
        kind_of(value)
        raise EvaluationError(f"mktime needs a broken down time, not {describe(value)}")
    return to_seconds(_broken_down(value, "mktime"))


@plain("todate", "todateiso8601", "date", "dateiso8601")
def _todate(value: Any) -> str:
    return format_time(_broken_down(value, "todate"), _ISO)


@plain("fromdate", "fromdateiso8601")
def _fromdate(value: Any) -> int:
    return to_seconds(parse_time(_text(value, "fromdate"), _ISO))


@plain("dateadd", arity=2)
def _dateadd(value: Any, unit: Any, amount: Any) -> Any:
    return add(value, amount)


@plain("datesub", arity=2)
def _datesub(value: Any, unit: Any, amount: Any) -> Any:
    return subtract(value, amount)


def _text(value: Any, what: str) -> str:
    if type(value) is not str:
        kind_of(value)
        raise EvaluationError(f"{what} needs a string, not {describe(value)}")
    return value


@plain("strftime", arity=1, metered=True)
def _strftime(run: Run, value: Any, form: Any) -> str:
    parts = _broken_down(value, "strftime")
    text = _text(form, "the format of strftime")
    run.build(32 * len(text))
    return format_time(parts, text)


@plain("strptime", arity=1)
def _strptime(value: Any, form: Any) -> list[Any]:
    return parse_time(_text(value, "strptime"), _text(form, "the format of strptime"))


def _iso_week(parts: list[int]) -> tuple[int, int]:
    """Year and week of ISO 8601."""
    year, weekday, year_day = parts[0], (parts[6] + 6) % 7, parts[7]
    week = (year_day - weekday + 10) // 7
    if week < 1:
        return year - 1, _weeks(year - 1)
    return (year + 1, 1) if week > _weeks(year) else (year, week)


def _weeks(year: int) -> int:
    first = (days_from_civil(year, 1, 1) + 3) % 7
    leap = days_from_civil(year + 1, 1, 1) - days_from_civil(year, 1, 1) == 366
    return 53 if first == 3 or (leap and first == 2) else 52


_COMPOUND: Final = {
    "c": "%a %b %e %H:%M:%S %Y",
    "D": "%m/%d/%y",
    "F": "%Y-%m-%d",
    "R": "%H:%M",
    "r": "%I:%M:%S %p",
    "T": "%H:%M:%S",
    "x": "%m/%d/%y",
    "X": "%H:%M:%S",
    "+": "%a %b %e %H:%M:%S %Z %Y",
}


def format_time(parts: list[int], form: str) -> str:
    """Broken down time by a format of `strftime`; what is no conversion stays as it is."""
    for letter, expanded in _COMPOUND.items():
        form = re.sub(rf"(?<!%)((?:%%)*)%{re.escape(letter)}", rf"\g<1>{expanded}", form)
    return re.sub(r"%[EO]?(.)", lambda found: _field(parts, found), form, flags=re.DOTALL)


def _field(parts: list[int], found: re.Match[str]) -> str:
    year, month, day, hour, minute, second, weekday, year_day = parts[:8]
    letter = found.group(1)
    month_name, day_name = _MONTHS[month % 12], _DAYS[weekday % 7]
    twelve = (hour + 11) % 12 + 1
    iso_year, iso_week = _iso_week(parts) if letter in "GgV" else (0, 0)
    fields = {
        "Y": f"{year}",
        "C": f"{year // 100:02d}",
        "y": f"{year % 100:02d}",
        "m": f"{month + 1:02d}",
        "d": f"{day:02d}",
        "e": f"{day:2d}",
        "H": f"{hour:02d}",
        "k": f"{hour:2d}",
        "I": f"{twelve:02d}",
        "l": f"{twelve:2d}",
        "M": f"{minute:02d}",
        "S": f"{second:02d}",
        "p": "AM" if hour < 12 else "PM",
        "P": "am" if hour < 12 else "pm",
        "a": day_name[:3],
        "A": day_name,
        "b": month_name[:3],
        "h": month_name[:3],
        "B": month_name,
        "j": f"{year_day + 1:03d}",
        "u": f"{(weekday + 6) % 7 + 1}",
        "w": f"{weekday}",
        "U": f"{(year_day + 7 - weekday) // 7:02d}",
        "W": f"{(year_day + 7 - (weekday + 6) % 7) // 7:02d}",
        "G": f"{iso_year}",
        "g": f"{iso_year % 100:02d}",
        "V": f"{iso_week:02d}",
        "s": f"{to_seconds(parts)}",
        "z": "+0000",
        "Z": "UTC",
        "n": "\n",
        "t": "\t",
        "%": "%",
    }
    return fields.get(letter, found.group())


_NUMERIC: Final = {
    "Y": r"[+-]?[0-9]{1,4}",
    "m": "[0-9]{1,2}",
    "d": "[0-9]{1,2}",
    "e": "[0-9]{1,2}",
    "H": "[0-9]{1,2}",
    "k": "[0-9]{1,2}",
    "I": "[0-9]{1,2}",
    "l": "[0-9]{1,2}",
    "M": "[0-9]{1,2}",
    "S": "[0-9]{1,2}",
    "y": "[0-9]{1,2}",
    "C": "[0-9]{1,2}",
    "j": "[0-9]{1,3}",
    "s": "-?[0-9]{1,14}",
    "u": "[1-7]",
    "w": "[0-6]",
    "U": "[0-9]{1,2}",
    "W": "[0-9]{1,2}",
}
_NAMED: Final = {
    "a": _DAYS,
    "A": _DAYS,
    "b": _MONTHS,
    "h": _MONTHS,
    "B": _MONTHS,
}


def parse_time(text: str, form: str) -> list[Any]:
    """Broken down time from text in a format of `strptime`."""
    for letter, expanded in _COMPOUND.items():
        form = re.sub(rf"(?<!%)((?:%%)*)%{re.escape(letter)}", rf"\g<1>{expanded}", form)
    fields: dict[str, Any] = {}
    position = 0
    for part in re.findall(r"%[EO]?.|\s+|[^%\s]|%", form, flags=re.DOTALL):
        end = _take(text, position, part, fields)
        if end is None:
            raise EvaluationError(f'the date "{text[:60]}" does not match the format "{form[:60]}"')
        position = end
    if position != len(text):
        raise EvaluationError(f'the date "{text[:60]}" goes on where the format "{form[:60]}" ends')
    return _assemble(fields, text, form)


def _take(text: str, position: int, part: str, fields: dict[str, Any]) -> int | None:
    letter = part[-1] if part.startswith("%") and len(part) > 1 else ""
    if part.isspace() or letter in ("n", "t"):
        return _skip_space(text, position)
    if not letter or letter == "%":
        return position + 1 if text.startswith(letter or part, position) else None
    if letter in _NUMERIC:
        start = _skip_space(text, position)
        found = re.compile(_NUMERIC[letter]).match(text, start)
        if found:
            fields[{"e": "d", "k": "H", "l": "I"}.get(letter, letter)] = int(found.group())
        return found.end() if found else None
    if letter in _NAMED:
        return _take_name(text, position, letter, fields)
    if letter in ("p", "P"):
        half = text[position : position + 2].upper()
        fields["p"] = half
        return position + 2 if half in ("AM", "PM") else None
    if letter == "z":
        zone = re.compile(r"\s*(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)").match(text, position)
        return zone.end() if zone else None
    if letter == "Z":
        zone = re.compile(r"[A-Za-z]+").match(text, position)
        return zone.end() if zone else None
    return None


def _skip_space(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _take_name(text: str, position: int, letter: str, fields: dict[str, Any]) -> int | None:
    rest = text[position : position + 12].lower()
    for at, name in enumerate(_NAMED[letter]):
        for form in (name, name[:3]):
            if rest.startswith(form.lower()):
                fields["w" if letter in "aA" else "m"] = at if letter in "aA" else at + 1
                return position + len(form)
    return None


_LIMITS: Final = {"m": (1, 12), "d": (1, 31), "H": (0, 23), "I": (1, 12), "M": (0, 59), "S": (0, 61), "j": (1, 366)}


def _assemble(fields: dict[str, Any], text: str, form: str) -> list[Any]:
    for letter, (low, high) in _LIMITS.items():
        if not low <= fields.get(letter, low) <= high:
            raise EvaluationError(f'the date "{text[:60]}" does not match the format "{form[:60]}"')
    if "s" in fields:
        return break_down(fields["s"])
    year = _year(fields)
    hour = fields.get("H", 0)
    if "I" in fields:
        hour = fields["I"] % 12 + (12 if fields.get("p") == "PM" else 0)
    month, day = fields.get("m", 1), fields.get("d", 1)
    if "j" in fields and "m" not in fields and "d" not in fields:
        _, month, day = civil_from_days(days_from_civil(year, 1, 1) + fields["j"] - 1)
    days = days_from_civil(year, month, day)
    weekday, year_day = (days + 4) % 7, days - days_from_civil(year, 1, 1)
    return [year, month - 1, day, hour, fields.get("M", 0), fields.get("S", 0), weekday, year_day]


def _year(fields: dict[str, Any]) -> int:
    if "Y" in fields:
        return int(fields["Y"])
    if "C" in fields:
        return int(fields["C"]) * 100 + int(fields.get("y", 0))
    if "y" in fields:
        return int(fields["y"]) + (1900 if fields["y"] >= 69 else 2000)
    return 1900
