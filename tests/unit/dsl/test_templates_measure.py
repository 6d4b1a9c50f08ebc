"""What a template or expression puts together is refused before it is written out, however small it is in memory."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from segue.dsl import Environment, compile_plan, read_document
from segue.dsl.expressions import BudgetExceeded, compile_expression
from segue.types import TaskFailure

LARGE = {"rows": ["x" * 1000] * 10_000}


def value_of(template: Any) -> Any:
    head = {"dsl": "1.0.3", "namespace": "n", "name": "d", "version": "1.0.0"}
    document = read_document(msgspec.json.encode({"document": head, "do": [{"a": {"set": template}}]}))
    return compile_plan(document, Environment()).root.tasks[0].value.run(LARGE, {}, 0)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "template",
    [
        {f"k{n}": "${ . }" for n in range(3000)},
        {"a": ["${ . }"] * 10, "b": {"c": ["${ .rows }"] * 10}},
        {"a": "${ [., ., ., .] }", "b": ["${ [., ., ., .] }"] * 4},
    ],
    ids=["wide", "nested", "in expressions"],
)
def test_a_template_that_mentions_large_data_too_often_is_refused(template: Any) -> None:
    """Three thousand times ten megabytes took the process down when it was written out."""
    with pytest.raises(TaskFailure) as caught:
        value_of(template)
    assert "builds more than 33554432 bytes" in str(caught.value.failure.detail)


def test_a_template_with_many_small_parts_is_built() -> None:
    """The number of mentions is no fault by itself."""
    made = value_of({f"k{n}": "${ .rows[0] }" for n in range(3000)})
    assert len(made) == 3000


def test_short_texts_count_with_their_length() -> None:
    """A million times the same thousand characters are eight megabytes of pointers, and a gigabyte of JSON."""
    expression = compile_expression('[("x" * 1000)] | reduce range(20) as $i (.; . + .)', variables=())
    with pytest.raises(BudgetExceeded):
        expression.evaluate(None)
