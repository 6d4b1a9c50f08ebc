"""Functions that take expressions: those about choosing and looping."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from segue.dsl.expressions import tree
from segue.dsl.expressions.codes import NOTHING, Card, Code, Env, Runner, Scope, many, maybe, one, stream
from segue.dsl.expressions.compiler import Compiler
from segue.dsl.expressions.errors import BudgetExceeded, EvaluationError
from segue.dsl.expressions.functions.arrays import elements
from segue.dsl.expressions.functions.registry import find_plain, special
from segue.dsl.expressions.text import describe
from segue.dsl.expressions.values import equal, less, less_or_equal, subtract


def located(column: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` with the column on its errors."""

    def call(*values: Any) -> Any:
        try:
            return function(*values)
        except EvaluationError as error:
            error.located(column)
            raise

    return call


# None or one


@special("empty")
def _empty(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    return maybe(lambda data, env: NOTHING)


@special("select", arity=1)
def _select(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    return selecting(compiler.code(node.arguments[0], scope))


def selecting(condition: Code) -> Code:
    """The data, once for each time the condition holds."""
    test = condition.run
    if condition.card is Card.ONE:

        def run(data: Any, env: Env) -> Any:
            value = test(data, env)
            return data if value is not None and value is not False else NOTHING

        return maybe(run)
    tests = stream(condition)
    return many(lambda data, env: (data for value in tests(data, env) if value is not None and value is not False))


_KINDS: dict[str, tuple[type, ...]] = {
    "nulls": (type(None),),
    "booleans": (bool,),
    "numbers": (int, float),
    "strings": (str,),
    "arrays": (list,),
    "objects": (dict,),
    "iterables": (list, dict),
}


def is_kept(name: str) -> Callable[[Any], bool] | None:
    """The test of `strings`, `numbers` and the like; None for any other name."""
    if name in _KINDS:
        kinds = _KINDS[name]
        return lambda value: type(value) in kinds
    if name == "values":
        return lambda value: value is not None
    if name == "scalars":
        return lambda value: type(value) is not list and type(value) is not dict
    if name in ("finites", "normals"):
        return _is_finite if name == "finites" else _is_normal
    return None


def _is_finite(value: Any) -> bool:
    return type(value) is int or (type(value) is float and abs(value) != float("inf"))


def _is_normal(value: Any) -> bool:
    if type(value) is int:
        return value != 0
    return type(value) is float and value - value == 0.0 and abs(value) >= 2.2250738585072014e-308


KEEPERS = (*_KINDS, "values", "scalars", "finites", "normals")


@special(*KEEPERS)
def _keep(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    test = is_kept(node.name)
    assert test is not None
    return maybe(lambda data, env: data if test(data) else NOTHING)


@special("isvalid", arity=1)
def _isvalid(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    results = compiler.stream(node.arguments[0], scope)

    def run(data: Any, env: Env) -> bool:
        try:
            for _ in results(data, env):
                break
        except BudgetExceeded:
            raise
        except EvaluationError:
            return False
        return True

    return one(run)


# Elements


@special("map", arity=1)
def _map(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    compiler.is_metered = True
    code = compiler.code(node.arguments[0], scope)
    items_of = located(node.column, elements)
    run = code.run
    if code.card is Card.ONE:

        def map_each(data: Any, env: Env) -> list[Any]:
            items = items_of(data)
            _pay(env, len(items))
            return [run(item, env) for item in items]

        return one(map_each)
    if code.card is Card.MAYBE:

        def map_some(data: Any, env: Env) -> list[Any]:
            items = items_of(data)
            _pay(env, len(items))
            return [value for item in items if (value := run(item, env)) is not NOTHING]

        return one(map_some)

    def map_all(data: Any, env: Env) -> list[Any]:
        items = items_of(data)
        _pay(env, len(items))
        made = [value for item in items for value in run(item, env)]
        env[0].build(8 * len(made))
        return made

    return one(map_all)


def _pay(env: Env, count: int) -> None:
    env[0].spend(count)
    env[0].build(8 * count)


@special("first")
def _first_element(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    return compiler.code(_element(node, 0), scope)


@special("last")
def _last_element(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    return compiler.code(_element(node, -1), scope)


@special("nth", arity=1)
def _nth_element(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    return compiler.code(element_at(node), scope)


def _element(node: tree.Call, at: int) -> tree.Index:
    key = tree.Constant(node.column, node.end, at)
    return tree.Index(node.column, node.end, tree.Identity(node.column, node.column), key)


def element_at(node: tree.Call) -> tree.Index:
    """`first`, `last` and `nth(n)` are indexes; this is which."""
    if node.arguments:
        here = tree.Identity(node.column, node.column)
        return tree.Index(node.column, node.end, here, node.arguments[0])
    return _element(node, 0 if node.name == "first" else -1)


# Streams


@special("first", arity=1)
def _first(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    code = compiler.code(node.arguments[0], scope)
    if code.card is not Card.MANY:
        return code
    results = code.run

    def run(data: Any, env: Env) -> Any:
        for value in results(data, env):
            return value
        return NOTHING

    return maybe(run)


@special("last", arity=1)
def _last(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    code = compiler.code(node.arguments[0], scope)
    if code.card is not Card.MANY:
        return code
    results = code.run

    def run(data: Any, env: Env) -> Any:
        value: Any = NOTHING
        for value in results(data, env):  # noqa: B007 - the last one is the answer
            pass
        return value

    return maybe(run)


@special("isempty", arity=1)
def _isempty(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    results = compiler.stream(node.arguments[0], scope)

    def run(data: Any, env: Env) -> bool:
        return all(False for _ in results(data, env))

    return one(run)


def count_of(value: Any, name: str) -> Any:
    """The number of results that `limit`, `skip` or `nth` was asked for; what is no number shows in use."""
    if less(0, value) or equal(value, 0):
        return value
    problem = "negative positions" if name == "nth" else "a negative count"
    raise EvaluationError(f"{name} does not take {problem}, here {describe(value)}")


Begin = Callable[[], Iterable[Any]]
"""Starts the computation of results. Not started at all where none is wanted."""


def limited(begin: Begin, count: Any) -> Iterator[Any]:
    """At most `count` results; the one after the last is never computed."""
    if equal(count, 0):
        return
    for value in begin():
        count = subtract(count, 1)
        yield value
        if less_or_equal(count, 0):
            return


def skipped(begin: Begin, count: Any) -> Iterator[Any]:
    """All but the first `count` results."""
    for value in begin():
        if less(0, count):
            count = subtract(count, 1)
            if less_or_equal(0, count):
                continue
        yield value


def nth_of(begin: Begin, count: Any) -> Iterator[Any]:
    """The result at a position, if there are so many."""
    return limited(lambda: skipped(begin, count), 1)


COUNTED: dict[str, Callable[[Begin, Any], Iterator[Any]]] = {
    "limit": limited,
    "skip": skipped,
    "nth": nth_of,
}


@special(*COUNTED, arity=2)
def _counted(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    counts = compiler.stream(node.arguments[0], scope)
    results = compiler.stream(node.arguments[1], scope)
    choose, check = COUNTED[node.name], located(node.column, count_of)

    def run(data: Any, env: Env) -> Iterator[Any]:
        for count in counts(data, env):
            yield from choose(lambda: results(data, env), check(count, node.name))

    return many(run)


@special("any", "all", arity=2)
def _any_all(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    compiler.is_metered = True
    return _decide(compiler.stream(node.arguments[0], scope), compiler.stream(node.arguments[1], scope), node)


@special("any", "all", arity=1)
def _any_all_elements(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    compiler.is_metered = True
    items_of = located(node.column, elements)
    return _decide(lambda data, env: items_of(data), compiler.stream(node.arguments[0], scope), node)


def _decide(sources: Runner, tests: Runner, node: tree.Call) -> Code:
    decided = node.name == "any"

    def run(data: Any, env: Env) -> bool:
        for item in sources(data, env):
            env[0].step()
            for value in tests(item, env):
                if (value is not None and value is not False) is decided:
                    return decided
        return not decided

    return one(run)


@special("in", "inside", arity=1)
def _in(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    compiler.is_metered = True
    check = find_plain(*(("has", 1) if node.name == "in" else ("contains", 1)))
    assert check is not None
    test = located(node.column, check.run if check.metered else lambda run, *values: check.run(*values))
    containers = compiler.stream(node.arguments[0], scope)
    return many(lambda data, env: (test(env[0], container, data) for container in containers(data, env)))
