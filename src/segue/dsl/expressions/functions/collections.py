"""Functions that take expressions: those about sorting, grouping, joining and searching."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from segue.dsl.expressions import tree
from segue.dsl.expressions.codes import Card, Code, Env, Runner, Scope, many, one
from segue.dsl.expressions.compiler import Compiler
from segue.dsl.expressions.errors import EvaluationError
from segue.dsl.expressions.formats import join_pieces
from segue.dsl.expressions.functions import streams
from segue.dsl.expressions.functions.arrays import elements, extreme, first_of_groups, groups, sorted_pairs, total
from segue.dsl.expressions.functions.plain import entries_to_object, length
from segue.dsl.expressions.functions.registry import find_plain, find_special, known_functions, special
from segue.dsl.expressions.functions.special import located
from segue.dsl.expressions.functions.strings import captured, matches, search
from segue.dsl.expressions.meter import Run, charge_walk
from segue.dsl.expressions.paths import index
from segue.dsl.expressions.text import describe, to_text
from segue.dsl.expressions.values import add, equal

# Sorting and grouping


def _by_keys(verb: str, finish: Callable[[list[tuple[Any, Any]]], Any]) -> Callable[[Run, Any, list[Any]], Any]:
    return lambda run, value, keys: finish(sorted_pairs(run, value, keys, verb))


_BY: dict[str, Callable[[Run, Any, list[Any]], Any]] = {
    "sort_by": _by_keys("sorted", lambda pairs: [item for _, item in pairs]),
    "group_by": _by_keys("grouped", groups),
    "unique_by": _by_keys("sorted", first_of_groups),
    "min_by": lambda run, value, keys: extreme(run, value, keys, largest=False),
    "max_by": lambda run, value, keys: extreme(run, value, keys, largest=True),
}


@special(*_BY, arity=1)
def _by(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    compiler.is_metered = True
    code = compiler.code(node.arguments[0], scope)
    run_key, finish = code.run, located(node.column, _BY[node.name])
    results = compiler.stream(node.arguments[0], scope)

    def run(data: Any, env: Env) -> Any:
        if type(data) is not list:
            return finish(env[0], data, [])
        env[0].spend(len(data))
        if code.card is Card.ONE:
            # A single key needs no array around it: arrays of one compare as their elements do.
            keys = [run_key(item, env) for item in data]
        else:
            keys = [list(results(item, env)) for item in data]
        return finish(env[0], data, keys)

    return one(run)


@special("add", arity=1)
def _add(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    compiler.is_metered = True
    results = compiler.stream(node.arguments[0], scope)
    sum_of = located(node.column, total)
    return one(lambda data, env: sum_of(env[0], list(results(data, env))))


@special("with_entries", arity=1)
def _with_entries(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    compiler.is_metered = True
    to_entries, map_special = find_plain("to_entries", 0), find_special("map", 1)
    assert to_entries is not None
    assert map_special is not None
    mapped = map_special.compile(compiler, node, scope).run
    begin, finish = located(node.column, to_entries.run), located(node.column, entries_to_object)
    return one(lambda data, env: finish(env[0], mapped(begin(env[0], data), env)))


# Tables


@special("INDEX", arity=1)
def _index_elements(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    items_of = located(node.column, elements)
    return _indexed(lambda data, env: items_of(data), compiler.stream(node.arguments[0], scope), compiler)


@special("INDEX", arity=2)
def _index_stream(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    rows = compiler.stream(node.arguments[0], scope)
    return _indexed(rows, compiler.stream(node.arguments[1], scope), compiler)


def _indexed(rows: Runner, keys: Runner, compiler: Compiler) -> Code:
    compiler.is_metered = True

    def run(data: Any, env: Env) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for row in rows(data, env):
            env[0].step()
            env[0].build(64)
            for key in keys(row, env):
                charge_walk(key, env[0])
                made[to_text(key)] = row
        return made

    return one(run)


@special("IN", arity=1)
def _in_stream(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    compiler.is_metered = True
    results = compiler.stream(node.arguments[0], scope)
    return one(lambda data, env: _any_equal(results(data, env), lambda: (data,), env))


@special("IN", arity=2)
def _in_streams(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    compiler.is_metered = True
    sources, results = compiler.stream(node.arguments[0], scope), compiler.stream(node.arguments[1], scope)
    return one(lambda data, env: _any_equal(results(data, env), lambda: sources(data, env), env))


def _any_equal(values: Iterable[Any], others: Callable[[], Iterable[Any]], env: Env) -> bool:
    for value in values:
        for other in others():
            env[0].step()
            if type(value) is list or type(value) is dict:
                charge_walk(value, env[0])
                charge_walk(other, env[0])
            if equal(value, other):
                return True
    return False


@special("JOIN", arity=2)
def _join_elements(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    compiler.is_metered = True
    tables, keys = (compiler.stream(argument, scope) for argument in node.arguments)
    items_of, look = located(node.column, elements), located(node.column, index)

    def run(data: Any, env: Env) -> Iterator[Any]:
        for table in tables(data, env):
            env[0].spend(len(items_of(data)))
            yield [[row, look(table, key)] for row in items_of(data) for key in keys(row, env)]

    return many(run)


@special("JOIN", arity=3)
def _join_stream(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    return _joined(compiler, node, scope, lambda data, env: (data,))


@special("JOIN", arity=4)
def _join_with(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    return _joined(compiler, node, scope, compiler.stream(node.arguments[3], scope))


def _joined(compiler: Compiler, node: tree.Call, scope: Scope, finish: Runner) -> Code:
    compiler.is_metered = True
    tables, rows, keys = (compiler.stream(argument, scope) for argument in node.arguments[:3])
    look = located(node.column, index)

    def run(data: Any, env: Env) -> Iterator[Any]:
        for table in tables(data, env):
            for row in rows(data, env):
                env[0].step()
                for key in keys(row, env):
                    yield from finish([row, look(table, key)], env)

    return many(run)


# Streams of events


@special("tostream")
def _tostream(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    compiler.is_metered = True
    return many(lambda data, env: streams.to_stream(env[0], data))


@special("fromstream", arity=1)
def _fromstream(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    compiler.is_metered = True
    events = compiler.stream(node.arguments[0], scope)
    return many(lambda data, env: streams.from_stream(env[0], events(data, env)))


@special("truncate_stream", arity=1)
def _truncate_stream(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    compiler.is_metered = True
    events = compiler.stream(node.arguments[0], scope)
    return many(lambda data, env: streams.truncate(env[0], data, events(None, env)))


@special("combinations")
def _combinations(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    compiler.is_metered = True
    return many(lambda data, env: streams.combinations(env[0], _lists(data)))


@special("combinations", arity=1)
def _combinations_of(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    compiler.is_metered = True
    counts = compiler.stream(node.arguments[0], scope)

    def run(data: Any, env: Env) -> Iterator[Any]:
        for count in counts(data, env):
            if type(count) is not int or not 0 <= count <= _COMBINED_MAX:
                raise EvaluationError(f"combinations takes a count up to {_COMBINED_MAX}, not {describe(count)}")
            yield from streams.combinations(env[0], [data] * count)

    return many(run)


_COMBINED_MAX = 200


def _lists(value: Any) -> list[Any]:
    if equal(length(value), 0):
        return []
    if type(value) is not list:
        raise EvaluationError(f"combinations needs an array of arrays, not {describe(value)}")
    if len(value) > _COMBINED_MAX:
        raise EvaluationError(f"combinations takes up to {_COMBINED_MAX} arrays, not {len(value)}")
    return value


# Regular expressions


def _flags_and_pattern(compiler: Compiler, node: tree.Call, scope: Scope, at: int) -> tuple[Runner, Runner]:
    flags: Runner = lambda data, env: (None,)  # noqa: E731
    if at < len(node.arguments):
        flags = compiler.stream(node.arguments[at], scope)
    return compiler.stream(node.arguments[0], scope), flags


def _each_search(compiler: Compiler, node: tree.Call, scope: Scope, produce: Callable[..., Iterable[Any]]) -> Code:
    """A function of pattern and flags with any number of results."""
    compiler.is_metered = True
    patterns, flag_sets = _flags_and_pattern(compiler, node, scope, 1)

    def run(data: Any, env: Env) -> Iterator[Any]:
        for pattern in patterns(data, env):
            for flags in flag_sets(data, env):
                try:
                    yield from produce(env[0], data, *_pair(pattern, flags))
                except EvaluationError as error:
                    error.located(node.column)
                    raise

    return many(run)


def _pair(pattern: Any, flags: Any) -> tuple[Any, Any]:
    if type(pattern) is list and pattern:
        return pattern[0], pattern[1] if len(pattern) > 1 else flags
    return pattern, flags


@special("match", arity=1)
@special("match", arity=2)
def _match(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    return _each_search(compiler, node, scope, matches)


@special("capture", arity=1)
@special("capture", arity=2)
def _capture(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    return _each_search(compiler, node, scope, lambda *given: map(captured, search(*given)))


@special("scan", arity=1)
@special("scan", arity=2)
def _scan(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    return _each_search(compiler, node, scope, _scanned)


def _scanned(run: Run, value: Any, pattern: Any, flags: Any) -> Iterator[Any]:
    for found in search(run, value, pattern, flags, everywhere=True):
        yield [group.text for group in found.groups] if found.groups else found.text


@special("splits", arity=1)
@special("splits", arity=2)
def _splits(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    return _each_search(compiler, node, scope, _split)


def _split(run: Run, value: Any, pattern: Any, flags: Any) -> Iterator[str]:
    end = 0
    for found in search(run, value, pattern, flags, everywhere=True):
        yield value[end : found.start]
        end = found.end
    yield value[end:]


@special("split", arity=2)
def _split_array(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    compiler.is_metered = True
    patterns, flag_sets = _flags_and_pattern(compiler, node, scope, 1)

    def run(data: Any, env: Env) -> Iterator[Any]:
        for pattern in patterns(data, env):
            for flags in flag_sets(data, env):
                pieces = list(located(node.column, _split_all)(env[0], data, pattern, flags))
                env[0].build(8 * len(pieces))
                yield pieces

    return many(run)


def _split_all(run: Run, value: Any, pattern: Any, flags: Any) -> list[str]:
    return list(_split(run, value, *_pair(pattern, flags)))


@special("sub", "gsub", arity=2)
@special("sub", "gsub", arity=3)
def _sub(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    compiler.is_metered = True
    patterns, flag_sets = _flags_and_pattern(compiler, node, scope, 2)
    replacements = compiler.stream(node.arguments[1], scope)
    replace = located(node.column, _replaced)

    def run(data: Any, env: Env) -> Iterator[Any]:
        for pattern in patterns(data, env):
            for flags in flag_sets(data, env):
                yield from replace(env, data, pattern, flags, replacements, node.name == "gsub")

    return many(run)


def _replaced(env: Env, data: Any, pattern: Any, flags: Any, replacements: Runner, everywhere: bool) -> list[Any]:
    """The text with matches replaced; several replacements make several texts, position by position."""
    pieces: list[list[Any]] = []
    end = 0
    for found in search(env[0], data, *_pair(pattern, flags), everywhere=everywhere):
        gap = data[end : found.start]
        inserts = list(replacements(captured(found), env))
        env[0].spend(1 + len(inserts))
        pieces += [[] for _ in range(len(inserts) - len(pieces))]
        for parts, insert in zip(pieces, inserts, strict=False):
            parts += [gap, add("", insert)]
            env[0].build(16 + len(gap) + (len(insert) if type(insert) is str else 0))
        end = found.end
    env[0].build(len(pieces) * len(data))
    return [join_pieces([*parts, data[end:]]) for parts in pieces] or [data]


@special("builtins")
def _builtins(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    names = sorted(f"{name}/{arity}" for name, arity in known_functions() if not name.startswith("_"))
    return one(lambda data, env: list(names))
