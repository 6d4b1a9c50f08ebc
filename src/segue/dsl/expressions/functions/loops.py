"""Functions that loop: `range`, `until`, `while`, `repeat`, `recurse`, `walk`. None of them recurses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from segue.dsl.expressions import tree
from segue.dsl.expressions.codes import NOTHING, Card, Code, Env, Runner, Scope, many, one, stream
from segue.dsl.expressions.compiler import Compiler
from segue.dsl.expressions.errors import EvaluationError
from segue.dsl.expressions.functions.registry import special
from segue.dsl.expressions.functions.special import located, selecting
from segue.dsl.expressions.meter import too_deep
from segue.dsl.expressions.nodes_control import piped
from segue.dsl.expressions.text import describe
from segue.dsl.expressions.values import add, less


@special("range", arity=1)
def _range_to(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    zero = tree.Constant(node.column, node.end, 0)
    return _ranges(compiler, node, scope, (zero, node.arguments[0], None))


@special("range", arity=2)
def _range_from(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    return _ranges(compiler, node, scope, (node.arguments[0], node.arguments[1], None))


@special("range", arity=3)
def _range_by(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    return _ranges(compiler, node, scope, (node.arguments[0], node.arguments[1], node.arguments[2]))


def _ranges(
    compiler: Compiler, node: tree.Call, scope: Scope, bounds: tuple[tree.Node, tree.Node, tree.Node | None]
) -> Code:
    compiler.is_metered = True
    starts, ends = compiler.stream(bounds[0], scope), compiler.stream(bounds[1], scope)
    steps: Runner = (lambda data, env: (1,)) if bounds[2] is None else compiler.stream(bounds[2], scope)
    check = located(node.column, _numbers)

    def run(data: Any, env: Env) -> Iterator[Any]:
        for start in starts(data, env):
            for end in ends(data, env):
                for step in steps(data, env):
                    if bounds[2] is None:
                        check(start, end)
                    yield from _count(env[0], start, end, step)

    return many(run)


def _numbers(*bounds: Any) -> None:
    for bound in bounds:
        if type(bound) is not int and type(bound) is not float:
            raise EvaluationError(f"the bounds of a range are numbers, not {describe(bound)}")


def _count(run: Any, value: Any, end: Any, step: Any) -> Iterator[Any]:
    if type(value) is int and type(step) is int and type(end) is int and step > 0:
        for at in range(value, end, step):
            run.step()
            yield at
        return
    # With a step given, anything that can be added and compared will do.
    upwards, downwards = less(0, step), less(step, 0)
    while (upwards and less(value, end)) or (downwards and less(end, value)):
        run.step()
        yield value
        value = add(value, step)


@special("until", arity=2)
def _until(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    compiler.is_metered = True
    condition, update = compiler.code(node.arguments[0], scope), compiler.code(node.arguments[1], scope)
    test, step = condition.run, update.run
    if condition.card is Card.ONE and update.card is Card.ONE:

        def run(data: Any, env: Env) -> Any:
            while True:
                env[0].step()
                value = test(data, env)
                if value is not None and value is not False:
                    return data
                data = step(data, env)

        return one(run)
    tests, steps = stream(condition), stream(update)

    def results(data: Any, env: Env) -> Iterator[Any]:
        pending: list[Iterator[tuple[bool, Any]]] = [_until_step(data, env, tests, steps)]
        while pending:
            env[0].step()
            is_done, value = next(pending[-1], (False, NOTHING))
            if value is NOTHING:
                pending.pop()
            elif is_done:
                yield value
            else:
                pending.append(_until_step(value, env, tests, steps))

    return many(results)


def _until_step(data: Any, env: Env, tests: Runner, steps: Runner) -> Iterator[tuple[bool, Any]]:
    for test in tests(data, env):
        if test is not None and test is not False:
            yield True, data
        else:
            for value in steps(data, env):
                yield False, value


def descend(data: Any, env: Env, below: Callable[[Any, Env], Iterable[Any]]) -> Iterator[Any]:
    """A value and everything that `below` leads to from it, deepest first.

    The stack is a list, not calls; and where `below` has a single result, which codes with at most one
    answer as a tuple, nothing is stacked at all.
    """
    run, value = env[0], data
    pending: list[Iterator[Any]] = []
    while value is not NOTHING:
        run.step()
        yield value
        following = below(value, env)
        if type(following) is tuple and len(following) == 1:
            value = following[0]
            continue
        if len(pending) >= PENDING_MAX:
            raise too_deep()
        pending.append(iter(following))
        value = _next_of(pending)


def _next_of(pending: list[Iterator[Any]]) -> Any:
    while pending:
        value = next(pending[-1], NOTHING)
        if value is not NOTHING:
            return value
        pending.pop()
    return NOTHING


PENDING_MAX = 10_000
"""Places on the way down that may still have something to follow."""


@special("while", arity=2)
def _while(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    compiler.is_metered = True
    passing = selecting(compiler.code(node.arguments[0], scope))
    below = stream(piped(compiler.code(node.arguments[1], scope), passing))
    begins = stream(passing)

    def run(data: Any, env: Env) -> Iterator[Any]:
        for value in begins(data, env):
            yield from descend(value, env, below)

    return many(run)


@special("recurse", "repeat", arity=1)
def _recurse(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    compiler.is_metered = True
    below = compiler.stream(node.arguments[0], scope)
    return many(lambda data, env: descend(data, env, below))


@special("recurse", arity=2)
def _recurse_while(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    compiler.is_metered = True
    passing = selecting(compiler.code(node.arguments[1], scope))
    below = stream(piped(compiler.code(node.arguments[0], scope), passing))
    return many(lambda data, env: descend(data, env, below))


def contents(value: Any, env: Env) -> Iterable[Any]:
    """`.[]?`"""
    if type(value) is list:
        return value
    return list(value.values()) if type(value) is dict else ()


@special("recurse")
def _recurse_all(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    compiler.is_metered = True
    return many(lambda data, env: descend(data, env, contents))


@special("walk", arity=1)
def _walk(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    compiler.is_metered = True
    results = compiler.stream(node.arguments[0], scope)

    def walk(value: Any, env: Env) -> Iterable[Any]:
        run = env[0]
        run.step()
        if type(value) is list:
            outer = run.enter(8)
            value = [new for item in value for new in walk(item, env)]
            run.depth = outer
            run.build(8 * len(value))
        elif type(value) is dict:
            outer = run.enter(8)
            changed: dict[str, Any] = {}
            for key, item in value.items():
                for new in walk(item, env):
                    changed[key] = new
                    break
            run.depth = outer
            run.build(64 * len(changed))
            value = changed
        return results(value, env)

    return many(walk)
