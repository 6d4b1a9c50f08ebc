"""Calls: functions of the expression itself, functions of the language, and definitions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any

from segue.dsl.expressions import tree
from segue.dsl.expressions.codes import (
    Argument,
    Card,
    Code,
    Env,
    Function,
    Instance,
    Parameter,
    Runner,
    Scope,
    many,
    one,
    stream,
)
from segue.dsl.expressions.compiler import Compiler, grown, values_of
from segue.dsl.expressions.errors import EvaluationError
from segue.dsl.expressions.functions import REFUSED, Plain, find_plain, find_special, known_functions
from segue.dsl.expressions.meter import charge_walk
from segue.dsl.expressions.shape import calls_itself, frames_of


@values_of(tree.Define)
def _define(compiler: Compiler, node: tree.Define, scope: Scope) -> Code:
    return compiler.code(node.rest, define(node, scope))


def define(node: tree.Define, scope: Scope) -> Scope:
    """The scope with the function in it, for what follows the definition."""
    recursive = calls_itself(node)
    function = Function(node, scope, recursive, frames_of(node.body))
    return scope.define(node.name, len(node.parameters), function)


@values_of(tree.Call)
def _call(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    found = scope.functions.get((node.name, len(node.arguments)))
    if isinstance(found, Parameter):
        return _call_parameter(found)
    if found is not None:
        return _call_function(compiler, node, found, scope)
    special = find_special(node.name, len(node.arguments))
    if special is not None:
        return special.compile(compiler, node, scope)
    plain = find_plain(node.name, len(node.arguments))
    if plain is not None:
        return _call_plain(compiler, node, plain, scope)
    raise unknown_function(compiler, node, scope)


def unknown_function(compiler: Compiler, node: tree.Call, scope: Scope) -> Exception:
    """The refusal of a function that may not run here or does not exist; it says what to use instead."""
    name, arity = node.name, len(node.arguments)
    if name in REFUSED:
        why, instead = REFUSED[name]
        return compiler.refuse(f"{name} {why}", node, instead)
    known = {*known_functions(), *scope.functions}
    arities = sorted(count for other, count in known if other == name)
    if arities:
        counts = " or ".join(str(count) for count in arities)
        return compiler.refuse(f"{name} takes {counts} arguments, not {arity}", node, "separate them with ;")
    close = get_close_matches(name, sorted({other for other, _ in known}), n=1, cutoff=0.75)
    hint = f"did you mean {close[0]}?" if close else "define it in place with def"
    if arity == 0 and name.isidentifier() and not close:
        hint = f'a field is written .{name}, a text "{name}"'
    return compiler.refuse(f"there is no function {name}", node, hint)


# Functions of values


def _call_plain(compiler: Compiler, node: tree.Call, plain: Plain, scope: Scope) -> Code:
    if plain.metered:
        compiler.is_metered = True
    codes = [compiler.code(argument, scope) for argument in node.arguments]
    apply = _applied(plain, node.column)
    if not codes:
        return one(lambda data, env: apply(env, data))
    if all(code.card is Card.ONE for code in codes):
        return one(_call_single(apply, [code.run for code in codes]))
    streams = [stream(code) for code in codes]
    order = range(len(streams) - 1, -1, -1) if plain.outermost_last else range(len(streams))
    return many(_call_each(apply, streams, tuple(order)))


def _applied(plain: Plain, column: int) -> Callable[..., Any]:
    run, metered, walks = plain.run, plain.metered, plain.walks

    def apply(env: Env, *values: Any) -> Any:
        try:
            if walks and env[0] is not None:
                charge_walk(values[0], env[0])
            value = run(env[0], *values) if metered else run(*values)
        except EvaluationError as error:
            error.located(column)
            raise
        return value if metered else grown(value, env)

    return apply


def _call_single(apply: Callable[..., Any], runs: list[Runner]) -> Runner:
    if len(runs) == 1:
        first = runs[0]
        return lambda data, env: apply(env, data, first(data, env))
    return lambda data, env: apply(env, data, *[run(data, env) for run in runs])


def _call_each(apply: Callable[..., Any], streams: list[Runner], order: tuple[int, ...]) -> Runner:
    """Every combination of arguments; `order` lists them from the slowest to the fastest."""

    def choose(data: Any, env: Env, chosen: list[Any], at: int) -> Iterable[Any]:
        if at == len(order):
            yield apply(env, data, *chosen)
            return
        place = order[at]
        for value in streams[place](data, env):
            following = [*chosen]
            following[place] = value
            yield from choose(data, env, following, at + 1)

    return lambda data, env: choose(data, env, [None] * len(streams), 0)


# Functions of the expression


def _call_parameter(parameter: Parameter) -> Code:
    slot = parameter.slot

    def run(data: Any, env: Env) -> Any:
        argument, there = env[slot]
        return argument.code.run(data, there)

    return Code(parameter.card, run)


def _call_function(compiler: Compiler, node: tree.Call, function: Function, scope: Scope) -> Code:
    compiler.is_metered = True
    arguments = [Argument(compiler, argument, scope) for argument in node.arguments]
    instance = instance_of(compiler, function, tuple(a.code.card for a in arguments), as_paths=False)
    size = function.scope.size
    frames = function.frames + sum(frames_of(argument.node) for argument in arguments)
    if not function.is_recursive:
        frames = 0

    def inner_env(env: Env) -> Env:
        return env[:size] + tuple([(argument, env) for argument in arguments])

    if instance.card is Card.MANY:
        return many(_run_stream(instance, inner_env, frames))
    return Code(instance.card, _run_single(instance, inner_env, frames))


def _run_single(instance: Instance, inner_env: Callable[[Env], Env], frames: int) -> Runner:
    def run(data: Any, env: Env) -> Any:
        account = env[0]
        account.step()
        outer = account.enter(frames)
        value = instance.run(data, inner_env(env))
        account.depth = outer
        return value

    return run


def _run_stream(instance: Instance, inner_env: Callable[[Env], Env], frames: int) -> Runner:
    def run(data: Any, env: Env) -> Iterable[Any]:
        account = env[0]
        account.step()
        if not frames:
            yield from instance.run(data, inner_env(env))
            return
        outer = account.enter(frames)
        inner = account.depth
        for value in instance.run(data, inner_env(env)):
            # While the caller works on a result, this call is not on the stack.
            account.depth = outer
            yield value
            account.depth = inner
        account.depth = outer

    return run


def instance_of(compiler: Compiler, function: Function, cards: tuple[Card, ...], *, as_paths: bool) -> Instance:
    """The function compiled for arguments with these cards.

    A recursive function is first assumed to have one result; where its body turns out to have more, it is
    compiled again with that knowledge.
    """
    key = (as_paths, cards)
    known = function.instances.get(key)
    if known is not None:
        return known
    card = Card.MANY if as_paths else Card.ONE
    while True:
        instance = Instance(card, _not_compiled)
        function.instances[key] = instance
        scope, wrapped = _body_of(function, cards)
        if as_paths:
            instance.follow = compiler.follow(wrapped, scope)
            return instance
        code = compiler.code(wrapped, scope)
        if code.card <= card or not function.is_recursive:
            instance.card = max(code.card, card)
            instance.run = stream(code) if instance.card is Card.MANY else code.run
            return instance
        card = code.card


def _not_compiled(data: Any, env: Env) -> Any:
    raise AssertionError("a function ran before it was compiled")


def _body_of(function: Function, cards: tuple[Card, ...]) -> tuple[Scope, tree.Node]:
    """The scope inside a function, and its body with value parameters bound to variables."""
    node = function.node
    scope = function.scope.define(node.name, len(node.parameters), function)
    for at, (name, _) in enumerate(node.parameters):
        scope = scope.define(name, 0, Parameter(function.scope.size + at, cards[at]))
    scope = scope.reserve(len(node.parameters))
    body = node.body
    for name, is_value in reversed(node.parameters):
        if is_value:
            pattern = tree.VariablePattern(body.column, body.end, name)
            value = tree.Call(body.column, body.end, name, ())
            body = tree.As(body.column, body.end, value, (pattern,), body)
    return scope, body
