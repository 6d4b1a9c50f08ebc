"""Values of the nodes that calculate and compare, and how functions of several results combine."""

from __future__ import annotations

import operator as python
from collections.abc import Callable, Mapping
from typing import Any, Final

from segue.dsl.expressions import tree
from segue.dsl.expressions.codes import (
    Card,
    Code,
    Env,
    Runner,
    Scope,
    one,
)
from segue.dsl.expressions.combining import after, calculate, cartesian, compute
from segue.dsl.expressions.compiler import Compiler, account, values_of
from segue.dsl.expressions.errors import EvaluationError
from segue.dsl.expressions.meter import charge_walk
from segue.dsl.expressions.values import (
    OPERATORS,
    PLAIN_OPERATORS,
    negate,
    repeat_count,
)
from segue.types import SecretText

_QUICK: Final[Mapping[str, Callable[[Any, Any], float]]] = {"+": python.add, "-": python.sub, "*": python.mul}


@values_of(tree.Negate)
def _negate(compiler: Compiler, node: tree.Negate, scope: Scope) -> Code:
    operand = compiler.code(node.operand, scope)

    def step(value: Any, env: Env) -> Any:
        try:
            return negate(value)
        except EvaluationError as error:
            error.located(node.column)
            raise

    return compiler.folded(after(operand, step), operand)


@values_of(tree.Binary)
def _binary(compiler: Compiler, node: tree.Binary, scope: Scope) -> Code:
    left, right = compiler.code(node.left, scope), compiler.code(node.right, scope)
    operator = node.operator
    if operator in PLAIN_OPERATORS:
        code = _comparison(operator, left, right, node)
    elif operator in _QUICK:
        code = calculate(_QUICK[operator], operation(operator, node.column), left, right)
    else:
        code = cartesian(operation(operator, node.column), left, right)
    return compiler.folded(code, left, right)


def _comparison(operator: str, left: Code, right: Code, node: tree.Binary) -> Code:
    known = node.right.value if isinstance(node.right, tree.Constant) else None
    if left.card is Card.ONE and right.is_constant and type(known) in (int, float):
        return one(_compare_number(operator, left.run, known, node.column))
    if left.card is Card.ONE and type(known) is str and operator in ("==", "!="):
        return one(_compare_text(left.run, known, node.column, wanted=operator == "=="))
    return cartesian(operation(operator, node.column), left, right)


def _compare_number(operator: str, left: Runner, known: Any, column: int) -> Runner:
    plainly, fully = PLAIN_OPERATORS[operator], operation(operator, column)

    def run(data: Any, env: Env) -> Any:
        value = left(data, env)
        kind = type(value)
        if (kind is float or kind is int) and value == value:
            return plainly(value, known)
        return fully(value, known, env)

    return run


def _compare_text(left: Runner, known: str, column: int, *, wanted: bool) -> Runner:
    fully = operation("==" if wanted else "!=", column)

    def run(data: Any, env: Env) -> Any:
        value = left(data, env)
        if type(value) is SecretText:
            return fully(value, known, env)
        return (value == known) is wanted

    return run


def operation(operator: str, column: int) -> Callable[[Any, Any, Env], Any]:
    """The function of an operator, `//` aside."""
    if operator == "*":
        return _multiplication(column)
    if operator in ("==", "!=", "<", "<=", ">", ">="):
        return _full_comparison(operator, column)
    if operator == "-":
        return _difference(column)
    return compute(OPERATORS[operator], column)


def _difference(column: int) -> Callable[[Any, Any, Env], Any]:
    difference = compute(OPERATORS["-"], column)

    def subtracted(left: Any, right: Any, env: Env) -> Any:
        if type(left) is list and type(right) is list and env[0] is not None:
            charge_walk(left, env[0])
            charge_walk(right, env[0])
        return difference(left, right, env)

    return subtracted


def _multiplication(column: int) -> Callable[[Any, Any, Env], Any]:
    product = compute(OPERATORS["*"], column)

    def multiplied(left: Any, right: Any, env: Env) -> Any:
        if type(left) is str or type(right) is str:
            text, times = (left, right) if type(left) is str else (right, left)
            if type(times) is int or type(times) is float:
                # Paid before it is built: the factor comes from the data.
                account(env).build(len(text) * (repeat_count(times) or 0))
        if type(right) is dict and env[0] is not None:
            charge_walk(right, env[0])
        return product(left, right, env)

    return multiplied


def _full_comparison(operator: str, column: int) -> Callable[[Any, Any, Env], Any]:
    function = OPERATORS[operator]

    def compared(left: Any, right: Any, env: Env) -> bool:
        kind = type(left)
        if kind is list or kind is dict:
            run = env[0]
            if run is not None:
                charge_walk(left, run)
                charge_walk(right, run)
        try:
            return bool(function(left, right))
        except EvaluationError as error:
            error.located(column)
            raise

    return compared
