"""Time: UTC and English names, whatever the server is set to."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.dsl.expressions import EvaluationError, compile_expression


def evaluate(text: str, data: Any = None) -> Any:
    return compile_expression(text, variables=()).evaluate(data)


@pytest.mark.parametrize(
    ("text", "data", "expected"),
    [
        ("todate", 1425599507, "2015-03-05T23:51:47Z"),
        ("todate", 1425599507.9, "2015-03-05T23:51:47Z"),
        ("fromdate", "2015-03-05T23:51:47Z", 1425599507),
        ("gmtime", 1425599507.25, [2015, 2, 5, 23, 51, 47.25, 4, 63]),
        ("mktime", [2024, 1, 30, 0, 0, 0], 1709251200),
        ("mktime", [2024, 13, 1, 25, 61, 61, 0, 0], 1738461721),
        ('strftime("%A, %B %d, %Y %j %U %V %G %p %I")', 1425599507, "Thursday, March 05, 2015 064 09 10 2015 PM 11"),
        (
            'strftime("%c|%D|%T|%F|%R|%e|%u|%w|%s|%%|%Q")',
            0,
            "Thu Jan  1 00:00:00 1970|01/01/70|00:00:00|1970-01-01|00:00| 1|4|4|0|%|%Q",
        ),
        ('strptime("%Y-%m-%dT%H:%M:%S%z") | mktime', "2015-03-05T23:51:47+0100", 1425599507),
        ('strptime("%a, %d %b %Y")', "Thu, 05 Mar 2015", [2015, 2, 5, 0, 0, 0, 4, 63]),
        ('strptime("%I:%M %p") | .[3:5]', "12:30 AM", [0, 30]),
        ('strptime("%s") | todate', "1425599507", "2015-03-05T23:51:47Z"),
    ],
)
def test_time_functions(text: str, data: Any, expected: Any) -> None:
    """Dates in documents mean the same on every machine."""
    assert evaluate(text, data) == expected


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("fromdate", "2015-03-05"),
        ("todate", "x"),
        ("todate", 1e300),
        ("mktime", 5),
        ('strptime("%Y")', "x"),
        ('strptime("%Y-%m-%d")', "2024-13-01"),
        ('strptime("%H")', "25"),
        ("gmtime", "x"),
        ("strftime(1)", 0),
    ],
)
def test_what_is_no_time_is_an_error(text: str, data: Any) -> None:
    """A wrong date must not become another one."""
    with pytest.raises(EvaluationError):
        evaluate(text, data)


@given(st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2200, 1, 1)))
def test_the_calendar_agrees_with_the_standard_library(moment: datetime.datetime) -> None:
    """The calendar is computed here, so it is checked against another one."""
    moment = moment.replace(microsecond=0, tzinfo=datetime.UTC)
    seconds = int(moment.timestamp())
    assert evaluate("todate", seconds) == moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    form = "%Y-%m-%d %G-%V-%u %j %U %W %a"
    assert evaluate(f'strftime("{form}")', seconds) == moment.strftime(form)
    assert evaluate("todate | fromdate", seconds) == seconds
    assert evaluate("gmtime | mktime", seconds) == seconds
