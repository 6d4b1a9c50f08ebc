"""What errors say: what is wrong, where, and what to do instead."""

from __future__ import annotations

from typing import Any

import pytest

from segue.dsl.expressions import (
    EvaluationError,
    ExpressionError,
    ExpressionRefused,
    ExpressionSyntaxError,
    compile_expression,
)


def compile_error(text: str) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text, variables=())
    return caught.value


def run_error(text: str, data: Any = None) -> EvaluationError:
    with pytest.raises(EvaluationError) as caught:
        compile_expression(text, variables=()).evaluate(data)
    return caught.value


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("", 1, "the expression is empty"),
        (".a |", 5, "ends where a value is expected"),
        (".a b", 4, "'b' stands where the end is expected"),
        ("[1, 2", 6, "ends where ']' is expected"),
        ("{a: }", 5, "'}' stands where a value is expected"),
        ('"abc', 1, "the string is not closed"),
        (r'"\(1"', 6, "the string is not closed"),
        (r'"a\x"', 3, r"\x is not an escape"),
        ("1 == 2 == 3", 8, "comparisons cannot be chained"),
        (".a = 1 = 2", 8, "assignments cannot be chained"),
        ("if . then 1", 12, "ends where 'end' of the if is expected"),
        ("reduce .[] as $x (0)", 20, "';'"),
        ("&", 1, "'&' has no meaning here"),
        ("1 + def f: 1; f", 5, "'def' cannot stand here"),
        ("{1: 2}", 2, "a number cannot be a key"),
        (". as {} | .", 7, "'}' stands where a key is expected"),
    ],
)
def test_a_syntax_error_names_place_and_expectation(text: str, column: int, message: str) -> None:
    """An author fixes the document from this line alone."""
    error = compile_error(text)
    assert isinstance(error, ExpressionSyntaxError)
    assert error.text == text
    assert message in error.message
    if '"abc' not in text and "\\(" not in text:
        assert error.column == column


@pytest.mark.parametrize(
    ("text", "reason", "instead"),
    [
        ("env.PATH", "environment", "$secrets"),
        ("$ENV.PATH", "environment", "$secrets"),
        ("input", "from outside", "$workflow.input"),
        ("[inputs]", "from outside", "$workflow.input"),
        ("debug", "prints", "leave it out"),
        ('debug("x")', "prints", "leave it out"),
        ("stderr", "prints", "leave it out"),
        ("halt", "stops the program", "error("),
        ("halt_error", "stops the program", "error("),
        ("input_filename", "from outside", "."),
        ("input_line_number", "from outside", "."),
        ("localtime", "time zone", "gmtime"),
        ('strflocaltime("%H")', "time zone", "strftime"),
        ("get_search_list", "modules", "def"),
        ('"m" | modulemeta', "modules", "def"),
        ('import "m" as m; m::f', "modules", "def"),
        ('include "m"; f', "modules", "def"),
        ("m::f", "module", "def"),
        ("lenght", "no function lenght", "did you mean length?"),
        ("status", "no function status", ".status"),
        ("map", "map takes 1 arguments, not 0", ";"),
        ('@bas64 "x"', "@bas64 is not a format", "@base64"),
        ("break $x", "no label $x", "label $x"),
        ("{(1): 2}", "must be a string", "tostring"),
    ],
)
def test_a_refusal_gives_the_reason_and_another_way(text: str, reason: str, instead: str) -> None:
    """What reads the outside, prints or depends on the server is refused when the document is checked."""
    error = compile_error(text)
    assert isinstance(error, ExpressionRefused)
    assert reason in error.message
    assert instead in f"{error.hint} {error}"
    assert error.column is not None


@pytest.mark.parametrize(
    ("text", "data", "column", "message"),
    [
        (".a + (.b | tonumber)", {"b": "x"}, 12, "cannot be read as a number"),
        (".a.b", {"a": 1}, 1, 'cannot index number with string "b"'),
        (".a | .[0].x", {"a": [1]}, 6, "cannot index number"),
        ("1 + (.a * {})", {"a": 1}, 6, "cannot be multiplied"),
        ("[.[] | .x / 0]", [{"x": 1}], 8, "divisor is zero"),
        ("map(.x)", 5, 1, "cannot iterate over number (5)"),
        (".[]", None, 1, "cannot iterate over null"),
        ('"a" | test("(")', None, 7, "is not a regular expression"),
        ("{(.k): 1}", {"k": 2}, 3, "a key must be a string"),
        (".[0] = 1", {}, 1, "cannot index object with number"),
        ('"\\(1) \\({} | keys | .[0] | ascii_downcase)"', None, 28, "needs a string, not null"),
        ("error", {"a": 1}, None, "error raised with an object of 1"),
    ],
)
def test_an_evaluation_error_names_the_place(text: str, data: Any, column: int | None, message: str) -> None:
    """The column points at the operation that failed, not at the whole field."""
    error = run_error(text, data)
    assert message in error.message
    assert error.text == text
    if column is not None:
        assert error.column == column


def test_an_error_reads_as_one_sentence_with_place_and_advice() -> None:
    """The text goes into task failures and lint reports as it is."""
    error = run_error(".[]", 1)
    assert str(error) == "cannot iterate over number (1) at column 1 (write .[]? to skip it)"


def test_catch_sees_the_value_that_was_raised() -> None:
    """Values, null included, and texts without the column."""
    run = compile_expression("try error(.) catch .", variables=())
    assert run.evaluate({"code": 7}) == {"code": 7}
    assert run.evaluate(None) is None
    assert compile_expression("try .a catch .", variables=()).evaluate(1) == 'cannot index number with string "a"'


def test_long_values_are_shortened_in_messages() -> None:
    """An error message must not carry a whole payload into a log."""
    assert len(str(run_error(". + 1", "x" * 10_000))) < 200
