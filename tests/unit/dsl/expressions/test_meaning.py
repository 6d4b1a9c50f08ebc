"""What programs mean, by example; the differential test covers the breadth."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.dsl.expressions.meanings import FAILURES, MEANINGS

from segue.dsl.expressions import ExpressionError, compile_expression


def results(program: str, data: Any = None) -> list[Any]:
    return list(compile_expression(program, variables=()).results(data))


@pytest.mark.parametrize(("program", "expected"), MEANINGS)
def test_a_program_has_these_results(program: str, expected: list[Any]) -> None:
    """Compared as JSON text: true is not 1, and the order of keys is part of the answer."""
    assert json.dumps(results(program)) == json.dumps(expected)


@pytest.mark.parametrize("program", FAILURES)
def test_a_program_fails(program: str) -> None:
    """What jq refuses or cannot do fails here too, with an error of ours."""
    with pytest.raises(ExpressionError):
        results(program)


@pytest.mark.parametrize(
    ("program", "data", "expected"),
    [
        ("limit(5; repeat(. * 2))", 1, [1, 2, 4, 8, 16]),
        ("[.[] | ascii]", [65, 97], [["A", "a"]]),
        ("toarray", 1, [[1]]),
        ("toarray", [1], [[1]]),
        ("[leaf_paths]", {"a": [1]}, [[["a", 0]]]),
        ("isvalid(.a)", 1, [False]),
        ("isvalid(.a)", {}, [True]),
        ("@base32, (@base32 | @base32d)", "héllo", ["NDB2S3DMN4======", "héllo"]),
        ("date, todate, todateiso8601", 0, ["1970-01-01T00:00:00Z"] * 3),
        ('dateadd("seconds"; 5), datesub("seconds"; 5)', 10, [15, 5]),
        ("from_entries", [{"k": "a", "v": 1}, {"name": "b", "Value": 2}, {"key": 1}], [{"a": 1, "b": 2, "1": None}]),
        ("from_entries", [{"key": None}, {"key": False}], [{"null": None, "false": None}]),
        ('.a?//"x"', 5, ["x"]),
        ("reverse", "abc", ["cba"]),
        ("reduce (1, 2) as $x (0, 10; . + $x)", None, [3, 13]),
        ("[foreach (1, 2) as $x (0, 5; . + $x; [$x, .])]", None, [[[1, 1], [2, 3], [1, 6], [2, 8]]]),
        ("path(last(.[]))", [1, 2], [[1]]),
        ("(first(.[] | select(. > 1))) |= 9", [1, 2, 3], [[1, 9, 3]]),
        ("have_literal_numbers, have_decnum", None, [True, False]),
        ("[limit(3; builtins[])] | length", None, [3]),
        ('getpath(["a", "b"])', {"a": {"b": 1}}, [1]),
        ("1 as $x | def f: $x; 2 as $x | f", None, [1]),
        ("def map(f): 0; with_entries(.value += 1)", {"a": 1}, [{"a": 2}]),
    ],
)
def test_what_the_manual_has_beyond_the_library(program: str, data: Any, expected: list[Any]) -> None:
    """Where the jq library at hand lacks something or departs from the manual, the manual holds."""
    assert results(program, data) == expected


def test_comments_end_with_their_line() -> None:
    """Authors write multi-line expressions in YAML blocks."""
    assert results("# all of it\n.a # the field\n| . + 1", {"a": 1}) == [2]


def test_a_backslash_continues_a_comment() -> None:
    """As jq 1.7.1 has it."""
    assert results("1 # one \\\n+ 1") == [1]
