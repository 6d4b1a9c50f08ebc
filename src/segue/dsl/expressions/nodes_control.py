"""Values of the nodes that decide, repeat and bind."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from segue.dsl.expressions import tree
from segue.dsl.expressions.codes import (
    NOTHING,
    Broken,
    Card,
    Code,
    Env,
    Runner,
    Scope,
    many,
    maybe,
    one,
    stream,
)
from segue.dsl.expressions.compiler import Compiler, values_of
from segue.dsl.expressions.errors import BudgetExceeded, EvaluationError
from segue.dsl.expressions.patterns import Binder, bind_patterns

SINGLE = (Card.ONE, Card.MAYBE)


@values_of(tree.Pipe)
def _pipe(compiler: Compiler, node: tree.Pipe, scope: Scope) -> Code:
    return piped(compiler.code(node.left, scope), compiler.code(node.right, scope))


def piped(left: Code, right: Code) -> Code:
    """`left | right`"""
    first, second = left.run, right.run
    if left.card is Card.ONE:
        # Whatever the right side has, the whole has.
        return Code(right.card, lambda data, env: second(first(data, env), env))
    if left.card is Card.MAYBE and right.card in SINGLE:

        def run_maybe(data: Any, env: Env) -> Any:
            value = first(data, env)
            return NOTHING if value is NOTHING else second(value, env)

        return maybe(run_maybe)
    lefts = stream(left)
    if right.card is Card.ONE:
        return many(lambda data, env: _each(lefts(data, env), second, env))
    if right.card is Card.MAYBE:
        return many(lambda data, env: _each_maybe(lefts(data, env), second, env))
    rights = stream(right)

    def run_many(data: Any, env: Env) -> Iterable[Any]:
        for value in lefts(data, env):
            yield from rights(value, env)

    return many(run_many)


def _each(values: Iterable[Any], step: Runner, env: Env) -> Iterable[Any]:
    for value in values:
        yield step(value, env)


def _each_maybe(values: Iterable[Any], step: Runner, env: Env) -> Iterable[Any]:
    for value in values:
        result = step(value, env)
        if result is not NOTHING:
            yield result


@values_of(tree.Comma)
def _comma(compiler: Compiler, node: tree.Comma, scope: Scope) -> Code:
    compiler.is_metered = True
    codes = [compiler.code(item, scope) for item in node.items]
    if all(code.card is Card.ONE for code in codes):
        runs = tuple(code.run for code in codes)

        def run_single(data: Any, env: Env) -> Iterable[Any]:
            env[0].spend(len(runs))
            for run in runs:
                yield run(data, env)

        return Code(Card.MANY, run_single, parts=runs)
    streams = [stream(code) for code in codes]

    def run_many(data: Any, env: Env) -> Iterable[Any]:
        env[0].spend(len(streams))
        for results in streams:
            yield from results(data, env)

    return many(run_many)


# Deciding


@values_of(tree.Logic)
def _logic(compiler: Compiler, node: tree.Logic, scope: Scope) -> Code:
    left, right = compiler.code(node.left, scope), compiler.code(node.right, scope)
    first, second = left.run, right.run
    decided = node.operator == "or"
    if left.card is Card.ONE and right.card is Card.ONE:

        def run(data: Any, env: Env) -> bool:
            value = first(data, env)
            if (value is not None and value is not False) is decided:
                return decided
            value = second(data, env)
            return value is not None and value is not False

        return compiler.folded(one(run), left, right)
    lefts, rights = stream(left), stream(right)

    def run_many(data: Any, env: Env) -> Iterable[bool]:
        for value in lefts(data, env):
            if (value is not None and value is not False) is decided:
                yield decided
                continue
            for other in rights(data, env):
                yield other is not None and other is not False

    return many(run_many)


@values_of(tree.Alternative)
def _alternative(compiler: Compiler, node: tree.Alternative, scope: Scope) -> Code:
    left, right = compiler.code(node.left, scope), compiler.code(node.right, scope)
    first, second = left.run, right.run
    if left.card in SINGLE and right.card in SINGLE:

        def run(data: Any, env: Env) -> Any:
            value = first(data, env)
            if value is None or value is False or value is NOTHING:
                return second(data, env)
            return value

        return Code(right.card, run)
    lefts, rights = stream(left), stream(right)

    def run_many(data: Any, env: Env) -> Iterable[Any]:
        found = False
        for value in lefts(data, env):
            if value is not None and value is not False:
                found = True
                yield value
        if not found:
            yield from rights(data, env)

    return many(run_many)


@values_of(tree.If)
def _if(compiler: Compiler, node: tree.If, scope: Scope) -> Code:
    condition = compiler.code(node.condition, scope)
    return branch(condition, compiler.code(node.yes, scope), compiler.code(node.no, scope))


def branch(condition: Code, yes: Code, no: Code) -> Code:
    """`if condition then yes else no end`"""
    test = condition.run
    card = max(yes.card, no.card)
    then, otherwise = (yes.run, no.run) if card is not Card.MANY else (stream(yes), stream(no))
    if condition.card is Card.ONE:

        def run(data: Any, env: Env) -> Any:
            value = test(data, env)
            if value is not None and value is not False:
                return then(data, env)
            return otherwise(data, env)

        return Code(card, run)
    tests, yes_results, no_results = stream(condition), stream(yes), stream(no)

    def run_many(data: Any, env: Env) -> Iterable[Any]:
        for value in tests(data, env):
            chosen = yes_results if value is not None and value is not False else no_results
            yield from chosen(data, env)

    return many(run_many)


@values_of(tree.Try)
def _try(compiler: Compiler, node: tree.Try, scope: Scope) -> Code:
    body = compiler.code(node.body, scope)
    handler = None if node.handler is None else compiler.code(node.handler, scope)
    return guarded(body, handler)


def guarded(body: Code, handler: Code | None) -> Code:
    """`try body catch handler`; the budget is not an error that can be caught."""
    run, results = body.run, stream(body)
    if handler is None:
        if body.card in SINGLE:
            return maybe(_run_or_nothing(run))
        return many(_stream_or_stop(results))
    if body.card in SINGLE and handler.card in SINGLE:
        rescue = handler.run

        def run_single(data: Any, env: Env) -> Any:
            depth = _depth(env)
            try:
                return run(data, env)
            except BudgetExceeded:
                raise
            except EvaluationError as error:
                _restore(env, depth)
                return rescue(error.value, env)

        return Code(max(body.card, handler.card), run_single)
    rescues = stream(handler)

    def run_many(data: Any, env: Env) -> Iterable[Any]:
        depth = _depth(env)
        try:
            yield from results(data, env)
        except BudgetExceeded:
            raise
        except EvaluationError as error:
            _restore(env, depth)
            failure = error
        else:
            return
        yield from rescues(failure.value, env)

    return many(run_many)


def _run_or_nothing(run: Runner) -> Runner:
    def attempt(data: Any, env: Env) -> Any:
        depth = _depth(env)
        try:
            return run(data, env)
        except BudgetExceeded:
            raise
        except EvaluationError:
            _restore(env, depth)
            return NOTHING

    return attempt


def _stream_or_stop(results: Callable[[Any, Env], Iterable[Any]]) -> Runner:
    def attempt(data: Any, env: Env) -> Iterable[Any]:
        depth = _depth(env)
        try:
            yield from results(data, env)
        except BudgetExceeded:
            raise
        except EvaluationError:
            _restore(env, depth)

    return attempt


def _depth(env: Env) -> int:
    run = env[0]
    return 0 if run is None else int(run.depth)


def _restore(env: Env, depth: int) -> None:
    """What was entered on the way to an error has been left."""
    if env[0] is not None:
        env[0].depth = depth


# Binding


@values_of(tree.As)
def _as(compiler: Compiler, node: tree.As, scope: Scope) -> Code:
    source = compiler.code(node.source, scope)
    binder = bind_patterns(compiler, node.patterns, scope)
    body = compiler.code(node.body, binder.scope)
    if len(binder.alternatives) > 1:
        compiler.is_metered = True
        return many(_try_patterns(stream(source), binder, stream(body)))
    return bound(source, binder, body)


def bound(source: Code, binder: Binder, body: Code) -> Code:
    """`source as pattern | body`, for one pattern."""
    run, then = source.run, body.run
    if source.card is Card.ONE and binder.is_plain:
        # The usual `. as $x | ...`: one more slot, then whatever the body has.
        return Code(body.card, lambda data, env: then(data, (*env, run(data, env))))
    bind = binder.alternatives[0]
    sources, results = stream(source), stream(body)

    def run_many(data: Any, env: Env) -> Iterable[Any]:
        for value in sources(data, env):
            for inner in bind(value, data, env):
                yield from results(data, inner)

    return many(run_many)


def _try_patterns(
    sources: Callable[[Any, Env], Iterable[Any]], binder: Binder, results: Callable[[Any, Env], Iterable[Any]]
) -> Runner:
    def run_many(data: Any, env: Env) -> Iterable[Any]:
        for value in sources(data, env):
            for inner_results in binder.attempts(value, data, env, results):
                yield from inner_results

    return run_many


@values_of(tree.Label)
def _label(compiler: Compiler, node: tree.Label, scope: Scope) -> Code:
    results = compiler.stream(node.body, scope.bind_label(node.name))

    def run_many(data: Any, env: Env) -> Iterable[Any]:
        token = object()
        depth = _depth(env)
        try:
            yield from results(data, (*env, token))
        except Broken as broken:
            if broken.token is not token:
                raise
            _restore(env, depth)

    return many(run_many)


@values_of(tree.Break)
def _break(compiler: Compiler, node: tree.Break, scope: Scope) -> Code:
    slot = label_slot(compiler, node, scope)

    def run(data: Any, env: Env) -> Any:
        raise Broken(env[slot])

    return maybe(run)


def label_slot(compiler: Compiler, node: tree.Break, scope: Scope) -> int:
    """The slot of the label that a break names."""
    slot = scope.labels.get(node.name)
    if slot is None:
        raise compiler.refuse(
            f"there is no label ${node.name} around this break", node, f"write label ${node.name} | before it"
        )
    return slot


# Folding


@values_of(tree.Reduce)
def _reduce(compiler: Compiler, node: tree.Reduce, scope: Scope) -> Code:
    compiler.is_metered = True
    sources = compiler.stream(node.source, scope)
    binder = bind_patterns(compiler, node.patterns, scope)
    start = compiler.code(node.start, scope)
    update = compiler.code(node.update, binder.scope)
    step = last_result(update)

    def fold(data: Any, env: Env, state: Any) -> Any:
        run = env[0]
        for value in sources(data, env):
            for inner in binder.bind_all(value, data, env):
                run.step()
                state = step(state, inner)
        return state

    begin = start.run
    if start.card is Card.ONE:
        return one(lambda data, env: fold(data, env, begin(data, env)))
    begins = stream(start)
    return many(lambda data, env: (fold(data, env, state) for state in begins(data, env)))


def last_result(code: Code) -> Runner:
    """The last of the code's results; null where it has none."""
    run = code.run
    if code.card is Card.ONE:
        return run
    results = stream(code)

    def last(data: Any, env: Env) -> Any:
        value = None
        for value in results(data, env):  # noqa: B007 - the last one is the answer
            pass
        return value

    return last


@values_of(tree.Foreach)
def _foreach(compiler: Compiler, node: tree.Foreach, scope: Scope) -> Code:
    compiler.is_metered = True
    sources = compiler.stream(node.source, scope)
    binder = bind_patterns(compiler, node.patterns, scope)
    starts = compiler.stream(node.start, scope)
    updates = compiler.stream(node.update, binder.scope)
    extract = None if node.extract is None else compiler.stream(node.extract, binder.scope)

    def fold(data: Any, env: Env, state: Any) -> Iterable[Any]:
        run = env[0]
        for value in sources(data, env):
            for inner in binder.bind_all(value, data, env):
                run.step()
                before, state = state, None
                for state in updates(before, inner):
                    if extract is None:
                        yield state
                    else:
                        yield from extract(state, inner)

    def run_many(data: Any, env: Env) -> Iterable[Any]:
        for state in starts(data, env):
            yield from fold(data, env, state)

    return many(run_many)


@values_of(tree.RecurseAll)
def _recurse_all(compiler: Compiler, node: tree.RecurseAll, scope: Scope) -> Code:
    return compiler.code(tree.Call(node.column, node.end, "recurse", ()), scope)
