"""Regular expressions: Oniguruma's syntax, and no pattern that freezes the process."""

from __future__ import annotations

import time
from typing import Any

import pytest

from segue.dsl.expressions import EvaluationError, ExpressionError, compile_expression
from segue.dsl.expressions.regex_syntax import translate
from segue.dsl.expressions.simulation import degree_of


def evaluate(text: str, data: Any) -> Any:
    return compile_expression(text, variables=()).evaluate(data)


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"\d+", "a12", "12"),
        (r"[[:alpha:]]+", "1ab2", "ab"),
        (r"[[:digit:][:space:]]+", "a1 2b", "1 2"),
        (r"\p{L}+", "1é2", "é"),
        (r"\p{Lu}", "aÉ", "É"),
        (r"\P{L}+", "a12b", "12"),
        (r"[\p{L}-]+", "1a-b", "a-b"),
        (r"(?i)AB", "ab", "ab"),
        (r"a(?i)B", "ab", "ab"),
        (r"(?i:A)b", "ab", "ab"),
        (r"(?<y>\d)\k<y>", "121 33", "33"),
        (r"(a)\1", "aba aa", "aa"),
        (r"\Aab\z", "ab", "ab"),
        (r"ab\Z", "ab\n", "ab"),
        (r"x{2,}", "axxx", "xxx"),
        (r"x{,2}", "x{,2}", "x{,2}"),
        (r"[]a]+", "]a", "]a"),
        (r"\x41\x{e9}", "Aé", "Aé"),
        (r"\Q.*\E", "a.*", ".*"),
        (r"\h", "h", "h"),
        (r"(?>a+)b", "aab", "aab"),
        (r"a++b", "aab", "aab"),
        (r"(?=a)\w", "ba", "a"),
        (r"(?<=b)a", "ba", "a"),
        (r"(?#note)a", "a", "a"),
        (r"a.c", "a\nc", None),
        (r"^c", "a\nc", None),
        (r"[a--]", "-", "-"),
    ],
)
def test_oniguruma_syntax_is_understood(pattern: str, text: str, found: str | None) -> None:
    """Authors paste patterns that work in jq."""
    expression = compile_expression("first(match($p).string) // null", variables=["p"])
    assert expression.evaluate(text, {"p": pattern}) == found


@pytest.mark.parametrize(
    ("flags", "text", "expected"),
    [("i", "AB", True), ("x", "ab", True), ("p", "ab", True), ("gi", "AB", True), ("", "AB", False)],
)
def test_flags(flags: str, text: str, expected: bool) -> None:
    """g, i, n, p, s, l and x."""
    assert evaluate(f'test("a b|ab"; "{flags}")', text) is expected


def test_the_flag_l_finds_the_longest() -> None:
    """Alternatives are usually tried in order."""
    assert evaluate('[match("a|ab|abc").string, match("a|ab|abc"; "l").string]', "abcd") == ["a", "abc"]


def test_the_flag_n_ignores_empty_matches() -> None:
    """For splitting and replacing."""
    assert evaluate('[match("x*"; "gn").offset]', "axbxx") == [1, 3]


@pytest.mark.parametrize(
    "pattern", ["(", "[a", "a{2", "*", "(?<n>a", r"\G", r"\K", "[a[b]]", "[a&&b]", "(?P<n>a)", r"\p{Q}", "a\\"]
)
def test_what_is_no_pattern_or_not_available_says_so(pattern: str) -> None:
    """Never a Python error, never silently something else."""
    expression = compile_expression('"a" | test($p)', variables=["p"])
    if pattern == "a{2":
        assert expression.evaluate(None, {"p": pattern}) is False
        return
    with pytest.raises(EvaluationError):
        expression.evaluate(None, {"p": pattern})


def test_unknown_flags_are_named() -> None:
    """A typing error in the flags would otherwise change the meaning."""
    with pytest.raises(EvaluationError, match="flags are g i n p s l x"):
        evaluate('test("a"; "q")', "a")


@pytest.mark.parametrize(
    ("pattern", "length"),
    [
        ("(a+)+b", 30),
        ("(a+)+b", 5_000),
        ("(a|a)*b", 40),
        ("(a|aa)+$", 2_000),
        ("(.*)*x", 2_000),
        ("a*a*a*a*a*b", 3_000),
        ("(a?){30}a{30}b", 100),
        ("^(([a-z])+.)+[A-Z]([a-z])+$", 1_000),
        ("(x+x+)+y", 5_000),
        ("(?:a{0,30}){0,30}b", 2_000),
        (r"^(\w+\s?)*$", 5_000),
        ("a.*a.*a.*a.*b", 3_000),
    ],
)
def test_catastrophic_patterns_end_soon(pattern: str, length: int) -> None:
    """Patterns may come from data, and backtracking may take for ever; the process has other runs to serve."""
    expression = compile_expression("test($p)", variables=["p"])
    started = time.process_time()
    try:
        expression.evaluate("a" * length + "!", {"p": pattern})
    except ExpressionError:
        pass
    assert time.process_time() - started < 3


def test_only_what_needs_backtracking_is_refused_on_long_texts() -> None:
    """Look-around and back-references cannot be simulated."""
    with pytest.raises(EvaluationError, match="could take too long on 20000 characters"):
        evaluate(r'test("(.*)\\1\\1b")', "a" * 20_000)
    assert evaluate(r'test("(.*)\\1b")', "abab") is True


@pytest.mark.parametrize(
    ("pattern", "degree"),
    [
        ("abc", 0),
        (r"\d+", 0),
        (r"a\d+b", 1),
        ("^a*b", 0),
        ("a*b*c", 2),
        ("(ab)*c", 1),
        ("(a+)+", None),
        ("(a|ab)*c", None),
    ],
)
def test_competing_repetitions_are_counted(pattern: str, degree: int | None) -> None:
    """The bound on time rests on this count."""
    assert degree_of(translate(pattern, extended=False), 0) == degree
