"""Values of the nodes that build: arrays, objects, texts."""

from __future__ import annotations

from collections.abc import Iterable
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
from segue.dsl.expressions.compiler import Compiler, account, grown, values_of
from segue.dsl.expressions.errors import EvaluationError
from segue.dsl.expressions.formats import format_named, join_pieces, known_formats
from segue.dsl.expressions.meter import ENTRY_BYTES, SLOT_BYTES, charge_walk
from segue.dsl.expressions.text import describe
from segue.dsl.expressions.values import (
    kind_of,
)


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
