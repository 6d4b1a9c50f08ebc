"""Values of the nodes that read, calculate and build."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from segue.dsl.expressions import tree
from segue.dsl.expressions.codes import (
    NOTHING,
    Card,
    Code,
    Env,
    Runner,
    Scope,
    constant,
    many,
    maybe,
    one,
    stream,
)
from segue.dsl.expressions.compiler import Compiler, account, grown, values_of
from segue.dsl.expressions.errors import BudgetExceeded, EvaluationError
from segue.dsl.expressions.formats import format_named, join_pieces, known_formats
from segue.dsl.expressions.meter import ENTRY_BYTES, SLOT_BYTES, charge_walk
from segue.dsl.expressions.paths import index, slice_of
from segue.dsl.expressions.secrets import secret_reference
from segue.dsl.expressions.text import describe
from segue.dsl.expressions.values import (
    OPERATORS,
    PLAIN_OPERATORS,
    kind_of,
    negate,
    repeat_count,
)
from segue.types import SecretText


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
    start, keys = _static_keys(node)
    if keys and isinstance(start, tree.Identity):
        return one(_walk(keys, node.column))
    if keys:
        return _after(compiler.code(start, scope), _walk(keys, node.column))
    base, key = compiler.code(node.base, scope), compiler.code(node.key, scope)
    return cartesian(compute(index, node.column), base, key)


def _static_keys(node: tree.Node) -> tuple[tree.Node, tuple[str | int, ...]]:
    keys: list[str | int] = []
    while isinstance(node, tree.Index) and isinstance(node.key, tree.Constant) and not node.optional:
        key = node.key.value
        if type(key) is not str and type(key) is not int:
            break
        keys.append(key)
        node = node.base
    return node, tuple(reversed(keys))


def _after(base: Code, step: Runner) -> Code:
    run = base.run
    if base.card is Card.ONE:
        return one(lambda data, env: step(run(data, env), env))
    results = stream(base)

    def run_many(data: Any, env: Env) -> Iterable[Any]:
        for value in results(data, env):
            yield step(value, env)

    return many(run_many)


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


# Calculating


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


@values_of(tree.Negate)
def _negate(compiler: Compiler, node: tree.Negate, scope: Scope) -> Code:
    operand = compiler.code(node.operand, scope)

    def step(value: Any, env: Env) -> Any:
        try:
            return negate(value)
        except EvaluationError as error:
            error.located(node.column)
            raise

    return compiler.folded(_after(operand, step), operand)


@values_of(tree.Binary)
def _binary(compiler: Compiler, node: tree.Binary, scope: Scope) -> Code:
    left, right = compiler.code(node.left, scope), compiler.code(node.right, scope)
    operator = node.operator
    if operator in PLAIN_OPERATORS:
        code = _comparison(operator, left, right, node)
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
    return compute(OPERATORS[operator], column)


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


# Building


@values_of(tree.ArrayOf)
def _array(compiler: Compiler, node: tree.ArrayOf, scope: Scope) -> Code:
    if node.content is None:
        return one(lambda data, env: [])
    code = compiler.code(node.content, scope)
    run = code.run
    if code.card is Card.ONE:
        return one(lambda data, env: [run(data, env)])
    parts = code.parts
    if parts:
        return one(lambda data, env: [part(data, env) for part in parts])
    items = stream(code)

    def collect(data: Any, env: Env) -> Any:
        found = list(items(data, env))
        if len(found) > 64:
            account(env).build(SLOT_BYTES * len(found))
        return found

    return one(collect)


@values_of(tree.ObjectOf)
def _object(compiler: Compiler, node: tree.ObjectOf, scope: Scope) -> Code:
    keys = [compiler.code(key, scope) for key, _ in node.entries]
    values = [compiler.code(value, scope) for _, value in node.entries]
    for key, code in zip((key for key, _ in node.entries), keys, strict=True):
        if isinstance(key, tree.Constant) and type(key.value) is not str:
            kind = kind_of(code.run(None, (None,)))
            raise compiler.refuse(f"a key must be a string, not {kind}", key, "convert it with tostring")
    if all(code.card is Card.ONE for code in (*keys, *values)):
        return one(_single_object(node, keys, values))
    return many(_many_objects(node, keys, values))


def _single_object(node: tree.ObjectOf, keys: list[Code], values: list[Code]) -> Runner:
    if all(isinstance(key, tree.Constant) for key, _ in node.entries):
        named = [(key.run(None, (None,)), value.run) for key, value in zip(keys, values, strict=True)]
        return lambda data, env: {name: run(data, env) for name, run in named}
    pairs = [
        (key.run, value.run, entry[0].column) for entry, key, value in zip(node.entries, keys, values, strict=True)
    ]

    def build(data: Any, env: Env) -> Any:
        made: dict[str, Any] = {}
        for key, value, column in pairs:
            name = key(data, env)
            made[_checked_key(name, column)] = value(data, env)
        return made

    return build


def _checked_key(name: Any, column: int) -> str:
    if type(name) is str:
        return name
    raise EvaluationError(
        f"a key must be a string, not {describe(name)}", column=column, hint="convert it with tostring"
    )


def _many_objects(node: tree.ObjectOf, keys: list[Code], values: list[Code]) -> Runner:
    entries = [
        (stream(key), stream(value), key_node.column)
        for (key_node, _), key, value in zip(node.entries, keys, values, strict=True)
    ]

    def build(data: Any, env: Env, made: dict[str, Any], at: int) -> Iterable[Any]:
        if at == len(entries):
            account(env).build(ENTRY_BYTES * len(made))
            yield made
            return
        names, results, column = entries[at]
        for name in names(data, env):
            checked = _checked_key(name, column)
            for value in results(data, env):
                yield from build(data, env, {**made, checked: value}, at + 1)

    return lambda data, env: build(data, env, {}, 0)


@values_of(tree.Format)
def _format(compiler: Compiler, node: tree.Format, scope: Scope) -> Code:
    if node.name not in known_formats():
        names = ", ".join(f"@{name}" for name in sorted(known_formats()))
        raise compiler.refuse(f"@{node.name} is not a format", node, f"formats are {names}")
    convert = format_named(node.name)

    def converted(value: Any, env: Env) -> Any:
        if env[0] is not None:
            charge_walk(value, env[0])
        try:
            return grown(convert(value), env)
        except EvaluationError as error:
            error.located(node.column)
            raise

    if node.pieces is None:
        return one(converted)
    return _interpolation(compiler, node.pieces, scope, converted)


def _interpolation(compiler: Compiler, pieces: tuple[str | tree.Node, ...], scope: Scope, convert: Runner) -> Code:
    codes = [constant(p) if isinstance(p, str) else compiler.code(p, scope) for p in pieces]
    literal = [isinstance(piece, str) for piece in pieces]
    runs = [code.run for code in codes]

    if all(code.card is Card.ONE for code in codes):

        def run(data: Any, env: Env) -> Any:
            # The last piece is evaluated first, as everywhere in the language.
            parts = [
                part(data, env) if known else convert(part(data, env), env)
                for part, known in zip(reversed(runs), reversed(literal), strict=True)
            ]
            return grown(join_pieces(parts[::-1]), env)

        return compiler.folded(one(run), *codes)
    results = [stream(code) for code in codes]

    def build(data: Any, env: Env, tail: list[Any], at: int) -> Iterable[Any]:
        if at < 0:
            yield grown(join_pieces(tail), env)
            return
        for value in results[at](data, env):
            part = value if literal[at] else convert(value, env)
            yield from build(data, env, [part, *tail], at - 1)

    return many(lambda data, env: build(data, env, [], len(results) - 1))
