"""What an expression reads, known before it runs."""

from __future__ import annotations

import pytest

from segue.dsl.expressions import compile_expression

VARIABLES = ("context", "input", "steps", "secrets")


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        (".a.b > 0.8", {(".", "a", "b")}),
        (".", {(".",)}),
        ("$context.x.y", {("$context", "x", "y")}),
        ("$steps.collect.total + .n", {("$steps", "collect", "total"), (".", "n")}),
        (".a[0].b", {(".", "a", 0, "b")}),
        (".a[.k].c", {(".", "a"), (".", "k")}),
        (".a | .b", {(".", "a", "b")}),
        ("$context | .x.y", {("$context", "x", "y")}),
        (".items | map(.price)", {(".", "items")}),
        (".items[] | .price", {(".", "items")}),
        ("{a: .x, b: $input.y}", {(".", "x"), ("$input", "y")}),
        ("if .a then .b else .c end", {(".", "a"), (".", "b"), (".", "c")}),
        (".a as $x | $x.b", {(".", "a")}),
        ("1", set()),
        ("now", set()),
        ("$secrets.crm.token", set()),
        ('"\\(.name) \\($context.n)"', {(".", "name"), ("$context", "n")}),
        ("select(.ok) | .v", {(".",), (".", "ok")}),
        (".a // .b", {(".", "a"), (".", "b")}),
        ("del(.a)", {(".",)}),
        ("reduce .xs[] as $x ($context.n; . + $x)", {(".", "xs"), ("$context", "n")}),
        ("def f: .a; f", {(".",)}),
        ("def f: 1; f", set()),
        ("..", {(".",)}),
        (".a.b?", {(".", "a", "b")}),
        ("1 as $context | $context.x", set()),
    ],
)
def test_the_paths_read_are_known(text: str, paths: set[tuple[str | int, ...]]) -> None:
    """Completion, impact and the choice of $steps values build on them; too long a path would lose data."""
    assert compile_expression(text, variables=VARIABLES).paths >= paths
    assert {p[:1] for p in compile_expression(text, variables=VARIABLES).paths} <= {p[:1] for p in paths} | {(".",)}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("$context.x + 1", {"context"}),
        ("$context as $c | $c", {"context"}),
        ("1 as $context | $context", set()),
        ("$input | $steps.a", {"input", "steps"}),
        ("def f($input): $input; f(1)", set()),
        ("{$context}", {"context"}),
        ('"\\($input)"', {"input"}),
        ("reduce .[] as $steps (0; . + $steps)", set()),
        (". as [$input] ?// $input | $input", set()),
        ("[.[] | $context.k as $k | .[$k]]", {"context"}),
        ("$context | map(.x)", {"context"}),
        ("path($context.a)?", {"context"}),
    ],
)
def test_the_variables_read_are_known(text: str, names: set[str]) -> None:
    """The host gives an expression only what it reads."""
    assert compile_expression(text, variables=VARIABLES).variables == names
