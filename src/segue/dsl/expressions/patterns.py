"""Patterns to the right of `as`: taking values apart into variables.

All variables of all alternatives exist in the body; those the chosen alternative does not mention are null.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from segue.dsl.expressions import tree
from segue.dsl.expressions.codes import Env, Scope
from segue.dsl.expressions.compiler import Compiler
from segue.dsl.expressions.errors import BudgetExceeded, EvaluationError
from segue.dsl.expressions.paths import index
from segue.dsl.expressions.text import describe

Bind: TypeAlias = Callable[[Any, Any, Env], Iterable[Env]]
"""From a value, the data around it and the environment to the environments with the variables bound."""

_Slots: TypeAlias = dict[str, int]


@dataclass(frozen=True, slots=True)
class Binder:
    """Compiled patterns. `is_plain` means one pattern that is one variable."""

    alternatives: tuple[Bind, ...]
    scope: Scope
    is_plain: bool

    def bind_all(self, value: Any, data: Any, env: Env) -> Iterable[Env]:
        """The environments for one value. With alternatives, the first that takes it apart."""
        if self.is_plain:
            return ((*env, value),)
        if len(self.alternatives) == 1:
            return self.alternatives[0](value, data, env)
        return self._first_fitting(value, data, env)

    def _first_fitting(self, value: Any, data: Any, env: Env) -> Iterable[Env]:
        for bind in self.alternatives[:-1]:
            try:
                return list(bind(value, data, env))
            except BudgetExceeded:
                raise
            except EvaluationError:
                continue
        return self.alternatives[-1](value, data, env)

    def attempts(
        self, value: Any, data: Any, env: Env, body: Callable[[Any, Env], Iterable[Any]]
    ) -> Iterator[Iterable[Any]]:
        """The body's results under the first alternative that fails neither itself nor in the body."""
        depth = env[0].depth
        for at, bind in enumerate(self.alternatives):
            failed = [False]
            last = at == len(self.alternatives) - 1
            yield _attempt(bind, value, data, env, body, failed, last=last)
            if not failed[0]:
                return
            env[0].depth = depth


def _attempt(
    bind: Bind,
    value: Any,
    data: Any,
    env: Env,
    body: Callable[[Any, Env], Iterable[Any]],
    failed: list[bool],
    *,
    last: bool,
) -> Iterable[Any]:
    try:
        for inner in bind(value, data, env):
            yield from body(data, inner)
    except BudgetExceeded:
        raise
    except EvaluationError:
        if last:
            raise
        failed[0] = True


def bind_patterns(compiler: Compiler, patterns: tuple[tree.Pattern, ...], scope: Scope) -> Binder:
    """Compile patterns; the binder's scope is that of the body."""
    first = patterns[0]
    if len(patterns) == 1 and isinstance(first, tree.VariablePattern):
        inner = scope.bind(first.name)
        return Binder((lambda value, data, env: ((*env, value),),), inner, is_plain=True)
    names: list[str] = []
    for pattern in patterns:
        for name in tree.variables_of(pattern):
            if name not in names:
                names.append(name)
    inner = scope.bind(*names)
    nulls = (None,) * len(names)
    alternatives = tuple(_alternative(compiler, pattern, inner, scope, nulls) for pattern in patterns)
    return Binder(alternatives, inner, is_plain=False)


def _alternative(
    compiler: Compiler, pattern: tree.Pattern, inner: Scope, outer: Scope, nulls: tuple[None, ...]
) -> Bind:
    """Bind into slots that start as null, one variable after another."""
    # Computed keys see the outer names only, but run where the slots are laid out already.
    keys_scope = outer.reserve(len(nulls))
    bind = _pattern(compiler, pattern, inner, keys_scope)
    return lambda value, data, env: bind(value, data, env + nulls)


def _pattern(compiler: Compiler, pattern: tree.Pattern, inner: Scope, outer: Scope) -> Bind:
    if isinstance(pattern, tree.VariablePattern):
        slot = inner.variables[pattern.name]
        return lambda value, data, env: (_with(env, slot, value),)
    if isinstance(pattern, tree.ArrayPattern):
        parts = [_pattern(compiler, item, inner, outer) for item in pattern.items]
        return _sequence([_entry(_always(at), None, part, pattern.column) for at, part in enumerate(parts)])
    steps = []
    for key, name, item_or_none in pattern.entries:
        if isinstance(key, tree.Constant) and type(key.value) is not str:
            raise compiler.refuse(f"a key must be a string, not {describe(key.value)}", key)
        slot_or_none = None if name is None else inner.variables[name]
        bind = None if item_or_none is None else _pattern(compiler, item_or_none, inner, outer)
        steps.append(_entry(compiler.stream(key, outer), slot_or_none, bind, pattern.column))
    return _sequence(steps)


def _always(key: int) -> Callable[[Any, Env], Iterable[Any]]:
    return lambda data, env: (key,)


def _with(env: Env, slot: int, value: Any) -> Env:
    return (*env[:slot], value, *env[slot + 1 :])


def _entry(keys: Callable[[Any, Env], Iterable[Any]], slot: int | None, bind: Bind | None, column: int) -> Bind:
    def take(value: Any, data: Any, env: Env) -> Iterable[Env]:
        for key in keys(data, env):
            try:
                part = index(value, key)
            except EvaluationError as error:
                error.located(column)
                raise
            inner = env if slot is None else _with(env, slot, part)
            if bind is None:
                yield inner
            else:
                yield from bind(part, data, inner)

    return take


def _sequence(steps: list[Bind]) -> Bind:
    if len(steps) == 1:
        return steps[0]

    def take(value: Any, data: Any, env: Env, at: int = 0) -> Iterable[Env]:
        if at == len(steps):
            yield env
            return
        for inner in steps[at](value, data, env):
            yield from take(value, data, inner, at + 1)

    return take
