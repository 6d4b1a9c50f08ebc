"""Compiling and evaluating: the public face."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest

from segue.dsl.expressions import (
    EvaluationError,
    ExpressionRefused,
    compile_expression,
    is_wrapped,
    truthy,
    unwrap,
)


def evaluate(text: str, data: Any = None, **variables: Any) -> Any:
    return compile_expression(text, variables=variables).evaluate(data, variables)


def test_no_result_is_null_one_is_itself_and_several_are_an_array() -> None:
    """Ruling R15: a field of a document holds one value, whatever the expression yields."""
    assert evaluate("empty") is None
    assert evaluate(".[]", [5]) == 5
    assert evaluate(".[]", [5, 6]) == [5, 6]
    assert evaluate("select(. > 1)", 0) is None


def test_variables_are_read_by_name() -> None:
    """Documents read `$context` and the like."""
    assert evaluate("$context.limit + .a", {"a": 1}, context={"limit": 2}) == 3


def test_a_variable_without_a_value_says_which() -> None:
    """A host that forgets one should find out from the message."""
    expression = compile_expression("$task.name", variables=["task"])
    with pytest.raises(EvaluationError, match=r"\$task has no value"):
        expression.evaluate({}, {})


def test_an_unknown_variable_is_refused_with_those_that_exist() -> None:
    """A typing error shows when the document is checked, not when it runs."""
    with pytest.raises(ExpressionRefused, match=r"\$contxt is not available.*\$context, \$input") as caught:
        compile_expression(".a + $contxt", variables=["context", "input"])
    assert caught.value.column == 6


def test_only_variables_that_are_read_need_values() -> None:
    """The core passes what an expression names and nothing more."""
    expression = compile_expression("$input.a", variables=["context", "input", "task"])
    assert expression.variables == {"input"}
    assert expression.evaluate(None, {"input": {"a": 1}}) == 1


def test_now_is_the_time_of_the_event() -> None:
    """A replay must see the same time as the first run."""
    expression = compile_expression("now", variables=())
    assert expression.evaluate(None, now_ms=1_500) == 1.5
    assert expression.evaluate(None, now_ms=2_000) == 2
    assert compile_expression("now | todate", variables=()).evaluate(None) == "1970-01-01T00:00:00Z"


def test_the_same_text_and_variables_compile_once() -> None:
    """Thousands of runs share one compiled document; equal fields share one expression."""
    first = compile_expression(".a", variables=["context"])
    assert compile_expression(".a", variables=["context"]) is first
    assert compile_expression(".a", variables=["input"]) is not first


def test_booleans_are_not_numbers() -> None:
    """Python counts True as 1; a document must not."""
    assert evaluate(". == 1", True) is False
    assert evaluate(". == true", 1) is False
    assert evaluate("[1] == [true]") is False
    assert evaluate('{"a": [0]} == {"a": [false]}') is False
    assert evaluate("sort", [1, True, 0, False]) == [False, True, 0, 1]
    assert evaluate("index(1)", [True, 1]) == 1
    assert evaluate(". - [1]", [True, 1]) == [True]
    assert evaluate("group_by(.) | length", [True, 1]) == 2


def test_text_found_in_data_is_never_evaluated() -> None:
    """Data comes from strangers."""
    assert evaluate(".", "${ 1 + 1 }") == "${ 1 + 1 }"
    assert evaluate('"\\(.)"', "\\(1+1)") == "\\(1+1)"


def test_results_may_share_structure_but_data_stays_as_it_was() -> None:
    """The core keeps using the data."""
    data = {"a": [1, 2], "b": {"c": 1}}
    assert evaluate(".a += [3] | .b.c |= 5 | del(.a[0])", data) == {"a": [2, 3], "b": {"c": 5}}
    assert data == {"a": [1, 2], "b": {"c": 1}}


def test_results_do_not_share_constants_of_the_expression() -> None:
    """A caller that fills in a result must not change what the next one gets."""
    expression = compile_expression('{a: [1], b: "x"}', variables=())
    expression.evaluate(None)["a"].append(2)
    assert expression.evaluate(None) == {"a": [1], "b": "x"}


def test_an_expression_works_however_deep_the_caller_stands() -> None:
    """The outcome may depend on the data only, not on the stack of the process."""

    def at_depth(depth: int) -> Any:
        if depth:
            return at_depth(depth - 1)
        return evaluate("def f: if . > 0 then 1 + (. - 1 | f) else 0 end; f", 100)

    sys.setrecursionlimit(1_000)
    assert at_depth(900) == 100


def test_expressions_may_be_evaluated_by_several_threads_at_once() -> None:
    """Handlers run in threads; compiled expressions are shared."""
    expression = compile_expression("reduce .[] as $x (0; . + $x)", variables=())
    answers: list[Any] = []

    def work() -> None:
        answers.extend(expression.evaluate(list(range(100))) for _ in range(50))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [4950] * 200


@pytest.mark.parametrize(
    ("text", "wrapped", "inner"),
    [
        ("${ .a }", True, ".a"),
        ("  ${.a}  ", True, ".a"),
        ("${\n .a\n}", True, ".a"),
        ("${}", True, ""),
        (".a", False, ".a"),
        ("Hello ${ .name }", False, "Hello ${ .name }"),
        ("${ .a } and more", False, "${ .a } and more"),
        ("{ .a }", False, "{ .a }"),
    ],
)
def test_an_expression_is_wrapped_when_the_whole_text_is(text: str, wrapped: bool, inner: str) -> None:
    """In strict mode everything else is a literal (ruling R14)."""
    assert is_wrapped(text) is wrapped
    assert unwrap(text) == inner


def test_only_null_and_false_count_as_false() -> None:
    """jq's truth, used for `if`, `when` and `while`."""
    assert [truthy(value) for value in (None, False, 0, "", [], {}, True)] == [False] * 2 + [True] * 5
