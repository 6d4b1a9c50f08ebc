"""Every evaluation ends, and none fills the memory."""

from __future__ import annotations

from typing import Any

import pytest

from segue.dsl.expressions import Budget, BudgetExceeded, ExpressionError, compile_expression

SMALL = Budget(steps=20_000, bytes=1_000_000)
SHARED = "reduce range(30) as $i (.; [., .])"
"""Thirty arrays in memory, a thousand million when written out."""

SHARED_USES = (
    """
tojson; tostring; @json; @html; sort; unique; flatten; [..]; walk(.); [paths]; [tostream]; [leaf_paths]; "\\(.)"
. == [.]; . < [1]; [.] - [.]; [., .]; group_by(.); index([1]); INDEX(.); min_by(.); {k: .}; error; del(..); (.. |= .)
ascii; [.]; inside([.])
""".strip()
    .replace("\n", "; ")
    .split("; ")
)

ENDLESS = [
    "def f: f; f",
    "def f: 1 + f; f",
    "def f: [f]; f",
    "def f: f, f; f",
    "def f: ., f; f",
    "def f(g): f(g | g); f(.)",
    "def f(g): g | f(g); f(.)",
    "[range(1e9)]",
    "[repeat(1)]",
    "last(repeat(.))",
    "until(false; .)",
    "[while(true; 1)]",
    "[recurse([.])]",
    "[recurse(., .)]",
    "[limit(1e9; repeat(1))]",
    "path(repeat(.))",
    "[paths(repeat(1))]",
    "first(repeat(1) | select(. == 0))",
    "label $out | repeat(1) | select(. == 0) | break $out",
    "any(repeat(1); . == 0)",
    "reduce repeat(1) as $x (0; . + 1)",
    "[.[]?, repeat(1)] | length",
]
HUGE = [
    '"x" * 1e9',
    '"x" * 1e308',
    'reduce range(100) as $i ("x"; . + .)',
    'reduce range(100) as $i ("x"; "\\(.)\\(.)")',
    "reduce range(100) as $i ([1]; . + .)",
    '[range(10000)] | map(tostring) | join("x" * 1000)',
    "[range(30)] | [combinations(30)]",
    ".[1e8] = 1",
    "[range(10000)] | [.[] as $x | .[] as $y | $x * $y]",
    '("x" * 100000) | explode | map("y" * .) | add',
    '("x" * 100000) | gsub("x"; "y" * 1000)',
    "[range(4000)] | contains([range(4000)])",
    '("x" * 500000) | @json | @base64 | @base64 | @base64 | @base64',
    *[f"{SHARED} | {use}" for use in SHARED_USES],
]


@pytest.mark.parametrize("program", ENDLESS)
def test_what_never_ends_is_ended(program: str) -> None:
    """One endless expression would stop every run of the process."""
    with pytest.raises(BudgetExceeded):
        compile_expression(program, variables=()).evaluate(None, budget=SMALL)


@pytest.mark.parametrize("program", HUGE)
def test_what_grows_without_bound_is_ended(program: str) -> None:
    """A hostile value or document must not fill the memory; what fails for another reason is as good."""
    with pytest.raises(ExpressionError):
        compile_expression(program, variables=()).evaluate(None, budget=SMALL)


@pytest.mark.parametrize("program", ["[repeat(1)]", "def f: f; f", '"x" * 1e9', "until(false; .)"])
def test_the_budget_cannot_be_caught(program: str) -> None:
    """Otherwise `try` around a loop would give it another life."""
    for form in (f"try ({program}) catch 1", f"({program})?", f"[({program})?]", f". as [$x] ?// $x | {program}"):
        with pytest.raises(BudgetExceeded):
            compile_expression(form, variables=()).evaluate(None, budget=SMALL)


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("first(repeat(1))", None),
        ("[limit(3; repeat(1))] | length", 3),
        ("isempty(repeat(1))", False),
        ("any(repeat(1); . == 1)", True),
        ("label $f | repeat(1) | ., break $f", None),
        ("[limit(3; range(1e9))]", [0, 1, 2]),
        ("0 | until(. == 10000; . + 1)", 10_000),
        ("[0 | limit(10000; repeat(. + 1))] | length", 10_000),
        ("reduce range(9000) as $i (0; . + 1)", 9_000),
        ("last(range(15000))", 14_999),
        ("[0 | while(. < 5000; . + 1)] | length", 5_000),
        ("def f: if . > 300 then . else . + 1 | f end; 0 | f", 301),
        ("def fac: if . <= 1 then 1 else . * (. - 1 | fac) end; 20 | fac", 2432902008176640000),
    ],
)
def test_loops_are_loops_and_lazy_ones_stop_early(program: str, expected: Any) -> None:
    """The budget is for what is taken, not for what could be."""
    assert compile_expression(program, variables=()).evaluate(None, budget=SMALL) == expected


def test_a_budget_says_what_to_do() -> None:
    """The author meets this at run time."""
    with pytest.raises(BudgetExceeded, match=r"more than 100 steps.*loop for ever") as caught:
        compile_expression("[range(1000)]", variables=()).evaluate(None, budget=Budget(steps=100))
    assert caught.value.text == "[range(1000)]"


def test_the_same_budget_gives_the_same_outcome_every_time() -> None:
    """A replay must fail where the first run failed, and only there."""
    program = compile_expression("[range($n)] | map(tostring) | add | length", variables=["n"])
    outcomes = set()
    for _ in range(3):
        limit = 0
        for n in range(0, 2_000, 50):
            try:
                program.evaluate(None, {"n": n}, budget=Budget(steps=1_000))
                limit = n
            except BudgetExceeded:
                break
        outcomes.add(limit)
    assert len(outcomes) == 1


@pytest.mark.parametrize(
    "text",
    [
        "(" * 10_000,
        "[" * 10_000 + "]" * 10_000,
        "{a:" * 10_000 + "1" + "}" * 10_000,
        "-" * 10_000 + "1",
        "1" + "+1" * 10_000,
        "." + "|." * 10_000,
        ".a" * 10_000,
        "." + "[0]" * 10_000,
        "." + "?" * 10_000,
        '"\\(' * 10_000,
        '"\\(' * 5_000 + "1" + ')"' * 5_000,
        "try " * 10_000 + "1",
        "if 1 then " * 5_000,
        "def f: " * 5_000,
        ". as [" + "[" * 5_000,
        "1 as $x | " * 5_000 + "1",
        "if 1 then 2 el" + "if 3 then 4 el" * 5_000 + "se 5 end",
        "." * 100_000,
        "#" * 60_000,
    ],
)
def test_a_hostile_text_is_refused_in_bounded_time(text: str) -> None:
    """Documents come from people and programs; a crash of the checker would take the service along."""
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text, variables=())
    assert len(str(caught.value)) < 400


def test_deep_data_ends_cleanly() -> None:
    """Data nested deeper than any format allows can only come from an expression, and ends there."""
    deep = "reduce range(5000) as $i (null; [.])"
    for use in (".", "tojson", "sort", ". == [1]", "walk(.)", "[paths] | length", "[.] | unique"):
        with pytest.raises(BudgetExceeded):
            compile_expression(f"{deep} | {use}", variables=()).evaluate(None)
    for use, expected in (("flatten", [None]), ("[..] | length", 5_001), ("length", 1)):
        assert compile_expression(f"{deep} | {use}", variables=()).evaluate(None) == expected


def test_deep_json_text_is_refused() -> None:
    """`fromjson` reads what strangers wrote."""
    with pytest.raises(ExpressionError):
        compile_expression("fromjson", variables=()).evaluate("[" * 100_000)
    with pytest.raises(ExpressionError):
        compile_expression("fromjson", variables=()).evaluate("[" * 5_000 + "]" * 5_000)
    assert compile_expression("fromjson | [..] | length", variables=()).evaluate("[" * 900 + "]" * 900) == 900
