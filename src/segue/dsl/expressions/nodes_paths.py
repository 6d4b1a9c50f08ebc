"""Nodes as paths: where values stand, for assignments, `path`, `del` and the like."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from segue.dsl.expressions import tree
from segue.dsl.expressions.codes import Argument, Broken, Card, Env, Follower, Function, Parameter, Path, Scope
from segue.dsl.expressions.compiler import Compiler, paths_of
from segue.dsl.expressions.errors import BudgetExceeded, EvaluationError
from segue.dsl.expressions.functions import find_special
from segue.dsl.expressions.nodes_calls import define, instance_of
from segue.dsl.expressions.paths import PATH_KEYS_MAX, as_path, get_path, index, slice_of
from segue.dsl.expressions.patterns import bind_patterns
from segue.dsl.expressions.secrets import secret_path
from segue.dsl.expressions.shape import frames_of
from segue.dsl.expressions.text import describe

Step = Iterable[tuple[Path, Any]]


def extended(path: Path, key: Any, value: Any) -> tuple[Any, ...]:
    """The path one key further.

    Raises:
        EvaluationError: `value`, to be stepped into, was computed and stands nowhere in the input.
    """
    if path is None:
        raise EvaluationError(
            f"{describe(value)} was computed, so it has no path in the data",
            hint="only paths such as .a, .a[0], .a[] or select(...) can be assigned to",
        )
    if len(path) >= PATH_KEYS_MAX:
        raise BudgetExceeded(f"a path has more than {PATH_KEYS_MAX} keys")
    return (*path, key)


@paths_of(tree.Identity)
def _identity(compiler: Compiler, node: tree.Identity, scope: Scope) -> Follower:
    return lambda data, path, env: ((path, data),)


@paths_of(tree.Index)
def _index(compiler: Compiler, node: tree.Index, scope: Scope) -> Follower:
    if secret_path(node) is not None:
        return compiler.unplaced(compiler.code(node, scope))
    keys = compiler.stream(node.key, scope)
    base = compiler.follow(node.base, scope)

    def follow(data: Any, path: Path, env: Env) -> Step:
        for key in keys(data, env):
            for at, value in base(data, path, env):
                try:
                    step = extended(at, key, value), index(value, key)
                except BudgetExceeded:
                    raise
                except EvaluationError as error:
                    if node.optional:
                        continue
                    error.located(node.column)
                    raise
                yield step

    return follow


@paths_of(tree.Slice)
def _slice(compiler: Compiler, node: tree.Slice, scope: Scope) -> Follower:
    nothing = tree.Constant(node.column, node.end, None)
    lows = compiler.stream(node.low or nothing, scope)
    highs = compiler.stream(node.high or nothing, scope)
    base = compiler.follow(node.base, scope)

    def follow(data: Any, path: Path, env: Env) -> Step:
        for low in lows(data, env):
            for high in highs(data, env):
                for at, value in base(data, path, env):
                    try:
                        step = extended(at, {"start": low, "end": high}, value), slice_of(value, low, high)
                    except EvaluationError:
                        if node.optional:
                            continue
                        raise
                    yield step

    return follow


@paths_of(tree.Iterate)
def _iterate(compiler: Compiler, node: tree.Iterate, scope: Scope) -> Follower:
    compiler.is_metered = True
    base = compiler.follow(node.base, scope)

    def follow(data: Any, path: Path, env: Env) -> Step:
        for at, value in base(data, path, env):
            if type(value) is not list and type(value) is not dict:
                if node.optional:
                    continue
                raise EvaluationError(f"cannot iterate over {describe(value)}", column=node.column)
            env[0].spend(len(value))
            for key, item in entries_of(value):
                yield extended(at, key, value), item

    return follow


def entries_of(value: Any) -> Iterable[tuple[Any, Any]]:
    """Keys and values of a container; nothing of anything else."""
    if type(value) is list:
        return enumerate(value)
    return list(value.items()) if type(value) is dict else ()


@paths_of(tree.RecurseAll)
def _recurse_all(compiler: Compiler, node: tree.RecurseAll, scope: Scope) -> Follower:
    compiler.is_metered = True
    return follow_everything


def follow_everything(data: Any, path: Path, env: Env) -> Step:
    """`..` as paths."""

    def below(value: Any, at: Path, env: Env) -> Step:
        return ((extended(at, key, value), item) for key, item in entries_of(value))

    return descend_paths(data, path, env, below)


def descend_paths(data: Any, path: Path, env: Env, below: Follower) -> Step:
    """A place and all that `below` leads to from it; the stack is a list, not calls."""
    run = env[0]
    run.step()
    yield path, data
    pending = [iter(below(data, path, env))]
    while pending:
        step = next(pending[-1], None)
        if step is None:
            pending.pop()
            continue
        run.step()
        run.build(8 * len(step[0] or ()))
        yield step
        pending.append(iter(below(step[1], step[0], env)))


@paths_of(tree.Pipe)
def _pipe(compiler: Compiler, node: tree.Pipe, scope: Scope) -> Follower:
    left, right = compiler.follow(node.left, scope), compiler.follow(node.right, scope)

    def follow(data: Any, path: Path, env: Env) -> Step:
        for at, value in left(data, path, env):
            yield from right(value, at, env)

    return follow


@paths_of(tree.Comma)
def _comma(compiler: Compiler, node: tree.Comma, scope: Scope) -> Follower:
    compiler.is_metered = True
    items = [compiler.follow(item, scope) for item in node.items]

    def follow(data: Any, path: Path, env: Env) -> Step:
        env[0].spend(len(items))
        for item in items:
            yield from item(data, path, env)

    return follow


@paths_of(tree.If)
def _if(compiler: Compiler, node: tree.If, scope: Scope) -> Follower:
    tests = compiler.stream(node.condition, scope)
    yes, no = compiler.follow(node.yes, scope), compiler.follow(node.no, scope)

    def follow(data: Any, path: Path, env: Env) -> Step:
        for test in tests(data, env):
            yield from (yes if test is not None and test is not False else no)(data, path, env)

    return follow


@paths_of(tree.Alternative)
def _alternative(compiler: Compiler, node: tree.Alternative, scope: Scope) -> Follower:
    left, right = compiler.follow(node.left, scope), compiler.follow(node.right, scope)

    def follow(data: Any, path: Path, env: Env) -> Step:
        found = False
        for at, value in left(data, path, env):
            if value is not None and value is not False:
                found = True
                yield at, value
        if not found:
            yield from right(data, path, env)

    return follow


@paths_of(tree.Try)
def _try(compiler: Compiler, node: tree.Try, scope: Scope) -> Follower:
    body = compiler.follow(node.body, scope)
    handler = None if node.handler is None else compiler.stream(node.handler, scope)

    def follow(data: Any, path: Path, env: Env) -> Step:
        depth = 0 if env[0] is None else env[0].depth
        try:
            yield from body(data, path, env)
        except BudgetExceeded:
            raise
        except EvaluationError as error:
            if env[0] is not None:
                env[0].depth = depth
            failure = error
        else:
            return
        if handler is not None:
            for value in handler(failure.value, env):
                yield None, value

    return follow


@paths_of(tree.As)
def _as(compiler: Compiler, node: tree.As, scope: Scope) -> Follower:
    sources = compiler.stream(node.source, scope)
    binder = bind_patterns(compiler, node.patterns, scope)
    body = compiler.follow(node.body, binder.scope)

    def follow(data: Any, path: Path, env: Env) -> Step:
        for value in sources(data, env):
            for inner in binder.bind_all(value, data, env):
                yield from body(data, path, inner)

    return follow


@paths_of(tree.Foreach)
def _foreach(compiler: Compiler, node: tree.Foreach, scope: Scope) -> Follower:
    compiler.is_metered = True
    sources, starts = compiler.stream(node.source, scope), compiler.follow(node.start, scope)
    binder = bind_patterns(compiler, node.patterns, scope)
    update = compiler.follow(node.update, binder.scope)
    here = tree.Identity(node.column, node.column)
    extract = compiler.follow(node.extract or here, binder.scope)

    def follow(data: Any, path: Path, env: Env) -> Step:
        for _, state in starts(data, path, env):
            for value in sources(data, env):
                for inner in binder.bind_all(value, data, env):
                    env[0].step()
                    # The state is a variable; it keeps its place only while it is the data itself.
                    before, state = state, None
                    for at, state in update(before, path if before is data else None, inner):
                        yield from extract(state, at, inner)

    return follow


@paths_of(tree.Label)
def _label(compiler: Compiler, node: tree.Label, scope: Scope) -> Follower:
    body = compiler.follow(node.body, scope.bind_label(node.name))

    def follow(data: Any, path: Path, env: Env) -> Step:
        token = object()
        try:
            yield from body(data, path, (*env, token))
        except Broken as broken:
            if broken.token is not token:
                raise

    return follow


@paths_of(tree.Define)
def _define(compiler: Compiler, node: tree.Define, scope: Scope) -> Follower:
    return compiler.follow(node.rest, define(node, scope))


@paths_of(tree.Call)
def _call(compiler: Compiler, node: tree.Call, scope: Scope) -> Follower:
    found = scope.functions.get((node.name, len(node.arguments)))
    if isinstance(found, Parameter):
        return _call_parameter(found.slot)
    if found is not None:
        return _call_function(compiler, node, found, scope)
    special = find_special(node.name, len(node.arguments))
    if special is not None and special.follow is not None:
        return special.follow(compiler, node, scope)
    if (node.name, len(node.arguments)) == ("getpath", 1):
        return _getpath(compiler, node, scope)
    return compiler.unplaced(compiler.code(node, scope))


def _call_parameter(slot: int) -> Follower:
    def follow(data: Any, path: Path, env: Env) -> Step:
        argument, there = env[slot]
        follow_argument: Follower = argument.follow
        return follow_argument(data, path, there)

    return follow


def _call_function(compiler: Compiler, node: tree.Call, function: Function, scope: Scope) -> Follower:
    compiler.is_metered = True
    arguments = [Argument(compiler, argument, scope) for argument in node.arguments]
    cards: tuple[Card, ...] = tuple(argument.code.card for argument in arguments)
    instance = instance_of(compiler, function, cards, as_paths=True)
    size = function.scope.size
    frames = function.frames + sum(frames_of(argument.node) for argument in arguments)

    def follow(data: Any, path: Path, env: Env) -> Step:
        account = env[0]
        account.step()
        outer = account.enter(frames if function.is_recursive else 0)
        inner = account.depth
        assert instance.follow is not None
        inside = env[:size] + tuple([(argument, env) for argument in arguments])
        for step in instance.follow(data, path, inside):
            account.depth = outer
            yield step
            account.depth = inner
        account.depth = outer

    return follow


def _getpath(compiler: Compiler, node: tree.Call, scope: Scope) -> Follower:
    paths = compiler.stream(node.arguments[0], scope)

    def follow(data: Any, path: Path, env: Env) -> Step:
        for keys in paths(data, env):
            try:
                value = get_path(data, as_path(keys))
                at: Path = path
                for key in keys:
                    at = extended(at, key, data)
            except EvaluationError as error:
                error.located(node.column)
                raise
            yield at, value

    return follow
