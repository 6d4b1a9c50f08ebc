"""Functions of paths: `path`, `paths`, `del`, `pick`, `map_values`, and the functions that pass places on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from segue.dsl.expressions import tree
from segue.dsl.expressions.codes import Code, Env, Follower, Path, Scope, many, one
from segue.dsl.expressions.compiler import Compiler
from segue.dsl.expressions.errors import EvaluationError
from segue.dsl.expressions.functions.registry import special, special_path
from segue.dsl.expressions.functions.special import (
    COUNTED,
    KEEPERS,
    count_of,
    element_at,
    is_kept,
    located,
)
from segue.dsl.expressions.meter import SLOT_BYTES
from segue.dsl.expressions.nodes_paths import descend_paths, follow_everything
from segue.dsl.expressions.paths import delete_paths, get_path, set_path
from segue.dsl.expressions.text import describe

Step = Iterable[tuple[Path, Any]]


def places(follow: Follower, data: Any, env: Env) -> Iterator[tuple[Any, ...]]:
    """The paths that path code leads to from `data`, paid for."""
    for path, value in follow(data, (), env):
        if path is None:
            raise EvaluationError(
                f"{describe(value)} was computed, so it has no path in the data",
                hint="only paths such as .a, .a[0], .a[] or select(...) can be assigned to",
            )
        env[0].step()
        env[0].build(SLOT_BYTES * len(path))
        yield path


@special("path", arity=1)
def _path(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    compiler.is_metered = True
    follow = compiler.follow(node.arguments[0], scope)
    return many(lambda data, env: (list(path) for path in places(follow, data, env)))


@special("paths")
def _paths(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    compiler.is_metered = True
    return many(lambda data, env: (list(p) for p in places(follow_everything, data, env) if p))


@special("paths", arity=1)
def _paths_where(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    compiler.is_metered = True
    tests = compiler.stream(node.arguments[0], scope)

    def run(data: Any, env: Env) -> Iterator[Any]:
        for path, value in follow_everything(data, (), env):
            for test in tests(value, env):
                if test is not None and test is not False and path:
                    yield list(path)

    return many(run)


@special("leaf_paths")
def _leaf_paths(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    compiler.is_metered = True

    def run(data: Any, env: Env) -> Iterator[Any]:
        for path, value in follow_everything(data, (), env):
            if path and value is not None and value is not False and type(value) not in (list, dict):
                yield list(path)

    return many(run)


@special("del", arity=1)
def _del(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    compiler.is_metered = True
    follow = compiler.follow(node.arguments[0], scope)

    def run(data: Any, env: Env) -> Any:
        return delete_paths(data, [list(path) for path in places(follow, data, env)], env[0])

    return one(located(node.column, run))


@special("pick", arity=1)
def _pick(compiler: Compiler, node: tree.Call, scope: Scope) -> Code:
    compiler.is_metered = True
    follow = compiler.follow(node.arguments[0], scope)

    def run(data: Any, env: Env) -> Any:
        made: Any = None
        for path in places(follow, data, env):
            made = set_path(made, path, get_path(data, path), env[0])
        return made

    return one(located(node.column, run))


# Places passed on


@special_path("empty")
def _follow_empty(compiler: Compiler, node: tree.Call, scope: Scope) -> Follower:
    return lambda data, path, env: ()


@special_path("select", arity=1)
def _follow_select(compiler: Compiler, node: tree.Call, scope: Scope) -> Follower:
    tests = compiler.stream(node.arguments[0], scope)

    def follow(data: Any, path: Path, env: Env) -> Step:
        for test in tests(data, env):
            if test is not None and test is not False:
                yield path, data

    return follow


@special_path(*KEEPERS)
def _follow_keep(compiler: Compiler, node: tree.Call, scope: Scope) -> Follower:
    test = is_kept(node.name)
    assert test is not None
    return lambda data, path, env: ((path, data),) if test(data) else ()


@special_path("first")
@special_path("last")
@special_path("nth", arity=1)
def _follow_element(compiler: Compiler, node: tree.Call, scope: Scope) -> Follower:
    return compiler.follow(element_at(node), scope)


@special_path("first", arity=1)
def _follow_first(compiler: Compiler, node: tree.Call, scope: Scope) -> Follower:
    inner = compiler.follow(node.arguments[0], scope)

    def follow(data: Any, path: Path, env: Env) -> Step:
        for step in inner(data, path, env):
            yield step
            return

    return follow


@special_path("last", arity=1)
def _follow_last(compiler: Compiler, node: tree.Call, scope: Scope) -> Follower:
    inner = compiler.follow(node.arguments[0], scope)

    def follow(data: Any, path: Path, env: Env) -> Step:
        last: tuple[Path, Any] | None = None
        for last in inner(data, path, env):  # noqa: B007 - the last one is the answer
            pass
        return () if last is None else (last,)

    return follow


@special_path(*COUNTED, arity=2)
def _follow_counted(compiler: Compiler, node: tree.Call, scope: Scope) -> Follower:
    counts = compiler.stream(node.arguments[0], scope)
    inner = compiler.follow(node.arguments[1], scope)
    choose, check = COUNTED[node.name], located(node.column, count_of)

    def follow(data: Any, path: Path, env: Env) -> Step:
        for count in counts(data, env):
            yield from choose(lambda: inner(data, path, env), check(count, node.name))

    return follow


@special_path("recurse")
def _follow_all(compiler: Compiler, node: tree.Call, scope: Scope) -> Follower:
    compiler.is_metered = True
    return follow_everything


@special_path("recurse", "repeat", arity=1)
def _follow_recurse(compiler: Compiler, node: tree.Call, scope: Scope) -> Follower:
    compiler.is_metered = True
    below = compiler.follow(node.arguments[0], scope)
    return lambda data, path, env: descend_paths(data, path, env, below)


@special_path("recurse", arity=2)
def _follow_recurse_while(compiler: Compiler, node: tree.Call, scope: Scope) -> Follower:
    compiler.is_metered = True
    inner = compiler.follow(node.arguments[0], scope)
    tests = compiler.stream(node.arguments[1], scope)

    def below(data: Any, path: Path, env: Env) -> Step:
        for at, value in inner(data, path, env):
            for test in tests(value, env):
                if test is not None and test is not False:
                    yield at, value

    return lambda data, path, env: descend_paths(data, path, env, below)


@special_path("until", arity=2)
def _follow_until(compiler: Compiler, node: tree.Call, scope: Scope) -> Follower:
    compiler.is_metered = True
    tests = compiler.stream(node.arguments[0], scope)
    inner = compiler.follow(node.arguments[1], scope)

    def follow(data: Any, path: Path, env: Env) -> Step:
        pending: list[tuple[Path, Any]] = [(path, data)]
        while pending:
            at, value = pending.pop()
            env[0].step()
            for test in tests(value, env):
                if test is not None and test is not False:
                    yield at, value
                else:
                    pending.extend(reversed(list(inner(value, at, env))))

    return follow


@special_path("while", arity=2)
def _follow_while(compiler: Compiler, node: tree.Call, scope: Scope) -> Follower:
    compiler.is_metered = True
    tests = compiler.stream(node.arguments[0], scope)
    inner = compiler.follow(node.arguments[1], scope)

    def passing(steps: Step, env: Env) -> Step:
        for at, value in steps:
            for test in tests(value, env):
                if test is not None and test is not False:
                    yield at, value

    def follow(data: Any, path: Path, env: Env) -> Step:
        for at, value in passing(((path, data),), env):
            yield from descend_paths(value, at, env, lambda v, p, e: passing(inner(v, p, e), e))

    return follow
