"""Which expressions are one function; that they answer like the rest is a law (`test_expressions_laws.py`)."""

from __future__ import annotations

from typing import Any

import pytest

from segue.dsl.expressions import compile_expression


def never(data: Any, variables: Any, now_ms: int) -> Any:
    """What a shortcut asks where something is out of the ordinary."""
    raise AssertionError("the long way was asked")


DATA = {"a": {"b": {"c": 3}}, "n": 2.5, "t": "yes"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (".", DATA),
        (".n", 2.5),
        (".a.b", {"c": 3}),
        (".a.b.c", 3),
        (".a.b.c == 3", True),
        (".n > 2", True),
        ('.t != "no"', True),
        ("$x.y", 7),
        ("$x.y <= 6", False),
        ('{one: .n, two: $x.y, three: "t", four: null}', {"one": 2.5, "two": 7, "three": "t", "four": None}),
    ],
)
def test_what_is_as_expected_never_goes_the_long_way(text: str, value: Any) -> None:
    """Else nothing is gained, and nobody would notice."""
    short = compile_expression(text, variables=["x"]).quick(otherwise=never)
    assert short.__module__.endswith(".shortcuts")
    assert short(DATA, {"x": {"y": 7}}, 0) == value


@pytest.mark.parametrize(
    "text", [".a?", ".[0]", ".a + 1", "$secrets.crm", '.t < "z"', "{(.t): 1}", "{a: {b: 1}}", ".a[]"]
)
def test_other_shapes_have_no_shortcut(text: str) -> None:
    """They go the usual way."""
    quick = compile_expression(text, variables=["x", "secrets"]).quick(otherwise=never)
    assert not quick.__module__.endswith(".shortcuts")
