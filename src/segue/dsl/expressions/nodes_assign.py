"""Assignments: `=`, `|=`, the arithmetic ones, and `map_values`, which is one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from segue.dsl.expressions import tree
from segue.dsl.expressions.codes import NOTHING, Card, Code, Env, Runner, Scope, many, one, stream
from segue.dsl.expressions.compiler import Compiler, values_of
from segue.dsl.expressions.functions.arrays import elements
from segue.dsl.expressions.functions.places import places
from segue.dsl.expressions.functions.registry import special
from segue.dsl.expressions.functions.special import located
from segue.dsl.expressions.nodes_arithmetic import operation
from segue.dsl.expressions.nodes_basic import static_keys
from segue.dsl.expressions.paths import delete_paths, get_path, set_path


@values_of(tree.Assign)
def _assign(compiler: Compiler, node: tree.Assign, scope: Scope) -> Code:
    compiler.is_metered = True
    target = _places(compiler, node.target, scope)
    value = compiler.code(node.value, scope)
    if node.operator == "|=":
        return one(located(node.column, _updating(target, first_result(value))))
    change = located(node.column, _CHANGES[node.operator](target, node))
    if value.card is Card.ONE:
        run = value.run
        return one(lambda data, env: change(data, env, run(data, env)))
    values = stream(value)
    return many(lambda data, env: (change(data, env, new) for new in values(data, env)))


Places = Callable[[Any, Env], Iterable[tuple[Any, ...]]]


def _places(compiler: Compiler, node: tree.Node, scope: Scope) -> Places:
    """The paths that a target names; where it is a chain of names, they are known without looking."""
    base, keys = static_keys(node)
    if isinstance(base, tree.Identity):
        known = (keys,)
        return lambda data, env: known
    follow = compiler.follow(node, scope)
    return lambda data, env: places(follow, data, env)


def first_result(code: Code) -> Runner:
    """The first of the code's results, or `NOTHING`."""
    if code.card is not Card.MANY:
        return code.run
    results = code.run

    def first(data: Any, env: Env) -> Any:
        for value in results(data, env):
            return value
        return NOTHING

    return first


def _updating(target: Places, update: Runner) -> Runner:
    """Each place gets the first result of `update` on what stands there; where there is none, it goes."""

    def run(data: Any, env: Env) -> Any:
        account = env[0]
        result = data
        gone: list[Any] = []
        for path in target(data, env):
            new = update(get_path(result, path), env)
            if new is NOTHING:
                gone.append(list(path))
            else:
                result = set_path(result, path, new, account)
        return delete_paths(result, gone, account) if gone else result

    return run


def _setting(target: Places, node: tree.Assign) -> Any:
    def change(data: Any, env: Env, new: Any) -> Any:
        result = data
        for path in target(data, env):
            result = set_path(result, path, new, env[0])
        return result

    return change


def _combining(target: Places, node: tree.Assign) -> Any:
    combine = operation(node.operator[:-1], node.column)

    def change(data: Any, env: Env, operand: Any) -> Any:
        result = data
        for path in target(data, env):
            result = set_path(result, path, combine(get_path(result, path), operand, env), env[0])
        return result

    return change


def _defaulting(target: Places, node: tree.Assign) -> Any:
    def change(data: Any, env: Env, default: Any) -> Any:
        result = data
        for path in target(data, env):
            old = get_path(result, path)
            chosen = default if old is None or old is False else old
            result = set_path(result, path, chosen, env[0])
        return result

    return change


_CHANGES: dict[str, Any] = {
    "=": _setting,
    "//=": _defaulting,
    **dict.fromkeys(("+=", "-=", "*=", "/=", "%="), _combining),
}


@special("map_values", arity=1)
def _map_values(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    compiler.is_metered = True
    update = first_result(compiler.code(node.arguments[0], scope))

    def run(data: Any, env: Env) -> Any:
        items = elements(data)
        env[0].spend(len(items))
        env[0].build((64 if type(data) is dict else 8) * len(items))
        if type(data) is dict:
            pairs = ((key, update(item, env)) for key, item in data.items())
            return {key: new for key, new in pairs if new is not NOTHING}
        return [new for item in items if (new := update(item, env)) is not NOTHING]

    return one(located(node.column, run))
