"""Values of the nodes that read: `.`, variables, keys, slices, elements."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from segue.dsl.expressions import tree
from segue.dsl.expressions.codes import (
    Card,
    Code,
    Env,
    Runner,
    Scope,
    constant,
    many,
    one,
    stream,
)
from segue.dsl.expressions.combining import after, cartesian, compute, optionally
from segue.dsl.expressions.compiler import Compiler, grown, values_of
from segue.dsl.expressions.errors import BudgetExceeded, EvaluationError
from segue.dsl.expressions.paths import index, slice_of
from segue.dsl.expressions.secrets import secret_reference
from segue.dsl.expressions.text import describe


def identity(data: Any, env: Env) -> Any:
    """`.`"""
    return data


@values_of(tree.Identity)
def _identity(compiler: Compiler, node: tree.Identity, scope: Scope) -> Code:
    return one(identity)


@values_of(tree.Constant)
def _constant(compiler: Compiler, node: tree.Constant, scope: Scope) -> Code:
    return constant(node.value)


@values_of(tree.Variable)
def _variable(compiler: Compiler, node: tree.Variable, scope: Scope) -> Code:
    secret_reference(compiler, node, scope)
    slot = scope.variables.get(node.name)
    if slot is None:
        raise unknown_variable(compiler, node, scope)
    return one(lambda data, env: env[slot])


def unknown_variable(compiler: Compiler, node: tree.Variable, scope: Scope) -> Exception:
    """The refusal of a variable that does not exist here; it names those that do."""
    if node.name == "ENV":
        hint = "pass configuration in as input, and secrets as $secrets"
        return compiler.refuse("$ENV reads the environment of the server", node, hint)
    names = sorted(name for name in scope.variables)
    allowed = ", ".join(f"${name}" for name in names) if names else "none"
    return compiler.refuse(f"${node.name} is not available here", node, f"variables at this place: {allowed}")


@values_of(tree.Location)
def _location(compiler: Compiler, node: tree.Location, scope: Scope) -> Code:
    return one(lambda data, env: {"file": "<top-level>", "line": node.line})


# Reading


@values_of(tree.Index)
def _index(compiler: Compiler, node: tree.Index, scope: Scope) -> Code:
    secret = secret_reference(compiler, node, scope)
    if secret is not None:
        return constant(secret)
    if node.optional:
        base, key = compiler.code(node.base, scope), compiler.code(node.key, scope)
        return optionally(compute(index, node.column), base, key)
    start, keys = static_keys(node)
    if keys and isinstance(start, tree.Identity):
        return one(_walk(keys, node.column))
    if keys:
        return after(compiler.code(start, scope), _walk(keys, node.column))
    base, key = compiler.code(node.base, scope), compiler.code(node.key, scope)
    return cartesian(compute(index, node.column), base, key)


def static_keys(node: tree.Node) -> tuple[tree.Node, tuple[str | int, ...]]:
    """What a chain of accesses starts from, and its keys, as far back as they are constants."""
    keys: list[str | int] = []
    while isinstance(node, tree.Index) and isinstance(node.key, tree.Constant) and not node.optional:
        key = node.key.value
        if type(key) is not str and type(key) is not int:
            break
        keys.append(key)
        node = node.base
    return node, tuple(reversed(keys))


def _walk(keys: tuple[str | int, ...], column: int) -> Runner:
    """Read along known keys. Where all is as expected, Python's own subscripts do the work."""

    def slowly(data: Any) -> Any:
        try:
            for key in keys:
                data = index(data, key)
        except EvaluationError as error:
            error.located(column)
            raise
        return data

    if not all(type(key) is str for key in keys):
        # A Python string would answer to a number; the language's does not.
        return lambda data, env: slowly(data)
    return _walk_names(keys, slowly)


def _walk_names(keys: tuple[str | int, ...], slowly: Callable[[Any], Any]) -> Runner:
    first = keys[0]
    if len(keys) == 1:

        def walk_one(data: Any, env: Env) -> Any:
            try:
                return data[first]
            except (KeyError, TypeError, IndexError):
                return slowly(data)

        return walk_one
    second = keys[1]
    if len(keys) == 2:

        def walk_two(data: Any, env: Env) -> Any:
            try:
                return data[first][second]
            except (KeyError, TypeError, IndexError):
                return slowly(data)

        return walk_two

    def walk_all(data: Any, env: Env) -> Any:
        value = data
        try:
            for key in keys:
                value = value[key]
        except (KeyError, TypeError, IndexError):
            return slowly(data)
        return value

    return walk_all


@values_of(tree.Slice)
def _slice(compiler: Compiler, node: tree.Slice, scope: Scope) -> Code:
    secret_reference(compiler, node, scope)
    low = constant(None) if node.low is None else compiler.code(node.low, scope)
    high = constant(None) if node.high is None else compiler.code(node.high, scope)
    base = compiler.code(node.base, scope)

    def sliced(value: Any, start: Any, end: Any, env: Env) -> Any:
        try:
            return grown(slice_of(value, start, end), env)
        except EvaluationError as error:
            error.located(node.column)
            raise

    if base.card is low.card is high.card is Card.ONE and not node.optional:
        run, start_of, end_of = base.run, low.run, high.run
        return one(lambda data, env: sliced(run(data, env), start_of(data, env), end_of(data, env), env))
    bases, starts, ends = stream(base), stream(low), stream(high)

    def run_many(data: Any, env: Env) -> Iterable[Any]:
        for start in starts(data, env):
            for end in ends(data, env):
                for value in bases(data, env):
                    try:
                        part = sliced(value, start, end, env)
                    except BudgetExceeded:
                        raise
                    except EvaluationError:
                        if not node.optional:
                            raise
                        continue
                    yield part

    return many(run_many)


@values_of(tree.Iterate)
def _iterate(compiler: Compiler, node: tree.Iterate, scope: Scope) -> Code:
    secret_reference(compiler, node, scope)
    compiler.is_metered = True
    base = compiler.code(node.base, scope)

    def elements(value: Any, env: Env) -> Any:
        kind = type(value)
        if kind is list:
            env[0].spend(len(value))
            return value
        if kind is dict:
            env[0].spend(len(value))
            return list(value.values())
        if node.optional:
            return ()
        error = EvaluationError(f"cannot iterate over {describe(value)}", hint="write .[]? to skip it")
        error.located(node.column)
        raise error

    run = base.run
    if base.card is Card.ONE:
        return many(lambda data, env: elements(run(data, env), env))
    bases = stream(base)

    def run_many(data: Any, env: Env) -> Iterable[Any]:
        for value in bases(data, env):
            yield from elements(value, env)

    return many(run_many)
