"""What `docs/expressions.md` says is so."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from segue.dsl.expressions import DEFAULT_BUDGET, ExpressionRefused, compile_expression
from segue.dsl.expressions.functions import REFUSED
from segue.dsl.expressions.meter import DEPTH_VALUES_MAX
from segue.dsl.expressions.tokens import NESTING_MAX

PAGE = (Path(__file__).parents[4] / "docs" / "expressions.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^\| `(.+)` \| `(.+)` \| `(.+)` \|$", PAGE, flags=re.MULTILINE)


@pytest.mark.parametrize(("text", "data", "expected"), EXAMPLES)
def test_examples_give_what_they_say(text: str, data: str, expected: str) -> None:
    """Readers learn from examples first."""
    expression = compile_expression(text.replace("\\|", "|"), variables=())
    assert expression.evaluate(json.loads(data)) == json.loads(expected)


def test_there_are_examples() -> None:
    """The test above would pass without any."""
    assert len(EXAMPLES) >= 10


def test_every_refused_function_is_in_the_table() -> None:
    """A refusal must not surprise."""
    table = PAGE[PAGE.index("## What is refused") : PAGE.index("## Budgets")]
    hidden = {"getenv", "get_jq_origin", "get_prog_origin"}
    for name in REFUSED.keys() - hidden:
        assert f"`{name}`" in table, name
        with pytest.raises(ExpressionRefused):
            compile_expression(name, variables=())


def test_the_limits_are_those_of_the_code() -> None:
    """Authors plan with them."""
    assert f"{DEFAULT_BUDGET.steps:,} steps" in PAGE
    assert f"{DEFAULT_BUDGET.bytes // 1024 // 1024} MiB" in PAGE
    assert f"brackets {NESTING_MAX} deep" in PAGE
    assert f"{DEPTH_VALUES_MAX:,} levels" in PAGE


def test_the_python_example_runs() -> None:
    """It is the first thing an embedder tries."""
    block = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)[0]
    names: dict[str, object] = {}
    exec(block, names)
    expression = compile_expression(".a.b > $context.limit", variables=["context", "input"])
    assert names["expression"] is expression
    assert expression.evaluate({"a": {"b": 5}}, {"context": {"limit": 3}}) is True
    assert expression.paths == {(".", "a", "b"), ("$context", "limit")}
