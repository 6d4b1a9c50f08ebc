"""How a function meets codes that may have no result, one or many."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from segue.dsl.expressions.codes import (
    NOTHING,
    Card,
    Code,
    Env,
    Runner,
    many,
    maybe,
    one,
    stream,
)
from segue.dsl.expressions.compiler import grown
from segue.dsl.expressions.errors import BudgetExceeded, EvaluationError
from segue.dsl.expressions.numbers import tidy


def compute(function: Callable[[Any, Any], Any], column: int) -> Callable[[Any, Any, Env], Any]:
    """A function of two values with its errors located and its results paid for."""

    def computed(left: Any, right: Any, env: Env) -> Any:
        try:
            value = function(left, right)
        except EvaluationError as error:
            error.located(column)
            raise
        kind = type(value)
        if kind is bool or kind is int or kind is float:
            return value
        return grown(value, env)

    return computed


def cartesian(function: Callable[[Any, Any, Env], Any], left: Code, right: Code) -> Code:
    """A function of two codes, for every pair of their results; the right one is evaluated first."""
    left_run, right_run = left.run, right.run
    if left.card is Card.ONE and right.card is Card.ONE:

        def run(data: Any, env: Env) -> Any:
            second = right_run(data, env)
            return function(left_run(data, env), second, env)

        return one(run)
    lefts, rights = stream(left), stream(right)

    def run_many(data: Any, env: Env) -> Iterable[Any]:
        for second in rights(data, env):
            for first in lefts(data, env):
                yield function(first, second, env)

    return many(run_many)


def calculate(
    quickly: Callable[[Any, Any], float], fully: Callable[[Any, Any, Env], Any], left: Code, right: Code
) -> Code:
    """`cartesian` for arithmetic: where a double is involved and nothing but numbers, Python calculates by itself."""
    if left.card is not Card.ONE or right.card is not Card.ONE:
        return cartesian(fully, left, right)
    left_run, right_run = left.run, right.run
    known = left_run(None, (None,)) if left.is_constant else None

    def run(data: Any, env: Env) -> Any:
        second = right_run(data, env)
        first = left_run(data, env) if known is None else known
        kind, other = type(first), type(second)
        if (kind is float and (other is float or other is int)) or (kind is int and other is float):
            try:
                value = quickly(first, second)
            except OverflowError:
                pass  # A whole number beyond all doubles, which counts as infinite.
            else:
                return tidy(value) if value.is_integer() or value - value != 0.0 else value
        return fully(first, second, env)

    return one(run)


def optionally(function: Callable[[Any, Any, Env], Any], left: Code, right: Code) -> Code:
    """A function of two codes, without a result where it fails; the codes themselves may not fail."""

    def attempt(first: Any, second: Any, env: Env) -> Any:
        try:
            return function(first, second, env)
        except BudgetExceeded:
            raise
        except EvaluationError:
            return NOTHING

    tried = cartesian(attempt, left, right)
    if tried.card is Card.ONE:
        return maybe(tried.run)
    results = tried.run
    return many(lambda data, env: (value for value in results(data, env) if value is not NOTHING))


def after(base: Code, step: Runner) -> Code:
    """`step` on every result of a code."""
    run = base.run
    if base.card is Card.ONE:
        return one(lambda data, env: step(run(data, env), env))
    results = stream(base)

    def run_many(data: Any, env: Env) -> Iterable[Any]:
        for value in results(data, env):
            yield step(value, env)

    return many(run_many)
