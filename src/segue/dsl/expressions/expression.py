"""Compiling a text once, and evaluating it many times."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, TypeVar

from segue.dsl.expressions import (
    nodes_arithmetic,
    nodes_assign,
    nodes_basic,
    nodes_building,
    nodes_calls,
    nodes_control,
    nodes_paths,
)
from segue.dsl.expressions.codes import NOTHING, Broken, Card, Code, Scope, stream
from segue.dsl.expressions.compiler import Compiler, NeedsAccount
from segue.dsl.expressions.errors import EvaluationError, ExpressionError
from segue.dsl.expressions.meter import DEFAULT_BUDGET, DEPTH_FRAMES_MAX, Budget, Run, measure, too_deep
from segue.dsl.expressions.numbers import scrub, strange
from segue.dsl.expressions.parser import parse
from segue.dsl.expressions.reads import Reads, reads_of
from segue.dsl.expressions.secrets import SECRET_SLOT, SECRETS
from segue.dsl.expressions.shape import GROWTH_UNMEASURED_MAX, growth_of
from segue.dsl.expressions.shortcuts import shortcut
from segue.dsl.expressions.tree import Node

__all__ = ["Expression", "compile_expression", "is_wrapped", "truthy", "unwrap"]

_KINDS_OF_NODES: Final = (
    nodes_arithmetic,
    nodes_assign,
    nodes_basic,
    nodes_building,
    nodes_calls,
    nodes_control,
    nodes_paths,
)
"""Named so that they are imported: each registers its nodes with the compiler."""

EMPTY: Final[Mapping[str, Any]] = MappingProxyType({})
_NO_VARIABLES: Final = (None,)
"""What an expression sees that reads no variables and keeps no account."""
_ROOM_FRAMES: Final = DEPTH_FRAMES_MAX + 6_000
_CACHE_SIZE: Final = 4_096

T = TypeVar("T")


class Expression:
    """A compiled expression.

    Evaluating it never changes data, reads nothing but its arguments, and always ends.

    Attributes:
        text: What it was compiled from.
        variables: Names, without the dollar sign, of the outside variables it reads.
        paths: What it reads: `(".", "a", "b")` for `.a.b`, `("$context", "x")` for `$context.x`. A path ends
            where the rest is computed, or where the whole value is used.
        secrets: The secrets it mentions, as paths: `("crm", "token")`.
        tree: The parsed text, for those who follow data through it.
    """

    __slots__ = (
        "_card",
        "_is_metered",
        "_names",
        "_run",
        "paths",
        "secrets",
        "text",
        "tree",
        "variables",
    )

    def __init__(self, text: str, tree: Node, code: Code, names: tuple[str, ...], *, is_metered: bool) -> None:
        reads: Reads = reads_of(tree, frozenset(names))
        self.text = text
        self.variables: frozenset[str] = reads.variables
        self.paths: frozenset[tuple[str | int, ...]] = reads.paths
        self.secrets: frozenset[tuple[str, ...]] = reads.secrets
        self.tree = tree
        self._card = code.card
        self._run = code.run
        self._names = names
        self._is_metered = is_metered

    def evaluate(
        self,
        data: Any,
        variables: Mapping[str, Any] = EMPTY,
        *,
        now_ms: int = 0,
        budget: Budget = DEFAULT_BUDGET,
    ) -> Any:
        """The value of the expression on `data`: null without a result, an array of several.

        Args:
            data: What `.` is; a JSON value.
            variables: Values of the outside variables by name, without the dollar sign.
            now_ms: What `now` is, in milliseconds since 1970: the time of the event being applied.
            budget: What the evaluation may use.

        Raises:
            EvaluationError: The data does not fit the expression.
            BudgetExceeded: The budget is used up.
        """
        before = strange.count
        account = Run(budget, now_ms) if self._is_metered else None
        try:
            env = (account, *[variables[name] for name in self._names]) if self._names else (account,)
            value = self._run(data, env)
            if self._card is not Card.ONE:
                value = _single(value, self._card)
        except EvaluationError as error:
            error.text = self.text
            raise
        except (NeedsAccount, RecursionError, Broken, KeyError):
            value = self._evaluate_again(data, variables, now_ms, budget)
        kind = type(value)
        if kind is bool or kind is str or kind is int:
            return value
        if self._is_metered and (kind is list or kind is dict):
            measure(value, account or Run(budget, now_ms))
        return value if strange.count == before else scrub(value)

    def quick(self, otherwise: Callable[[Any, Mapping[str, Any], int], Any]) -> Callable[..., Any]:
        """`evaluate` as a function of data, variables and time for whoever evaluates often, with the default budget.

        Expressions are pure, so wherever anything is out of the ordinary it gives up and asks again.

        Args:
            otherwise: Evaluates in full, and raises what its caller wants to see.
        """
        if self._is_metered or self._card is not Card.ONE:
            return otherwise
        run, names = self._run, self._names
        if (short := shortcut(self.tree, names, otherwise)) is not None:
            return short

        def evaluate_alone(data: Any, variables: Mapping[str, Any], now_ms: int) -> Any:
            before = strange.count
            try:
                value = run(data, _NO_VARIABLES)
            except Exception:
                return otherwise(data, variables, now_ms)
            return value if strange.count == before else scrub(value)

        def evaluate(data: Any, variables: Mapping[str, Any], now_ms: int) -> Any:
            before = strange.count
            try:
                value = run(data, (None, *[variables[name] for name in names]))
            except Exception:
                return otherwise(data, variables, now_ms)
            return value if strange.count == before else scrub(value)

        return evaluate if names else evaluate_alone

    def _evaluate_again(self, data: Any, variables: Mapping[str, Any], now_ms: int, budget: Budget) -> Any:
        """With an account, and with room on the stack: what the first attempt lacked."""
        env = self._environment(variables, Run(budget, now_ms))
        try:
            value = with_room(lambda: _single(self._run(data, env), self._card))
        except EvaluationError as error:
            error.text = self.text
            raise
        return value

    def _environment(self, variables: Mapping[str, Any], account: Run) -> tuple[Any, ...]:
        missing = [name for name in self._names if name not in variables]
        if missing:
            listed = ", ".join(f"${name}" for name in missing)
            raise EvaluationError(f"{listed} has no value here", text=self.text)
        return (account, *[variables[name] for name in self._names])

    def results(
        self,
        data: Any,
        variables: Mapping[str, Any] = EMPTY,
        *,
        now_ms: int = 0,
        budget: Budget = DEFAULT_BUDGET,
    ) -> Iterator[Any]:
        """All results; arguments as for `evaluate`."""
        begin = stream(Code(self._card, self._run))

        def collect() -> list[Any]:
            account = Run(budget, now_ms)
            found = list(begin(data, self._environment(variables, account)))
            for value in found:
                measure(value, account)
            return [scrub(value) for value in found]

        try:
            try:
                return iter(collect())
            except RecursionError:
                return iter(with_room(collect))
        except EvaluationError as error:
            error.text = self.text
            raise

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"


def _single(value: Any, card: Card) -> Any:
    if card is Card.MANY:
        results = list(value)
        if len(results) == 1:
            return results[0]
        return results or None
    return None if value is NOTHING else value


def with_room(call: Callable[[], T]) -> T:
    """`call()` with enough frames on the stack for the deepest that the budgets allow.

    The interpreter's limit is raised by what is missing and stays there: lowering it again could pull it from
    under another thread.

    Raises:
        BudgetExceeded: Even so it was too deep.
    """
    frame, depth = sys._getframe(), 0
    while frame.f_back is not None:
        frame, depth = frame.f_back, depth + 1
    if sys.getrecursionlimit() < depth + _ROOM_FRAMES:
        sys.setrecursionlimit(depth + _ROOM_FRAMES)
    try:
        return call()
    except RecursionError:
        raise too_deep() from None


def compile_expression(text: str, *, variables: Collection[str]) -> Expression:
    """Compile an expression: the inside of `${ }`.

    The same text with the same variables is compiled once.

    Args:
        text: The expression.
        variables: The names, without the dollar sign, that it may read at its place in the document. `secrets`
            among them allows `$secrets.name`.

    Raises:
        ExpressionSyntaxError: `text` is no expression.
        ExpressionRefused: It uses something that is not available here.
    """
    return _compile(text, frozenset(variables))


@lru_cache(maxsize=_CACHE_SIZE)
def _compile(text: str, variables: frozenset[str]) -> Expression:
    try:
        return _compiled(text, variables)
    except RecursionError:
        return with_room(lambda: _compiled(text, variables))


def _compiled(text: str, variables: frozenset[str]) -> Expression:
    try:
        tree = parse(text)
        # Only what is read gets a slot, so that an evaluation need not copy the rest.
        names = tuple(sorted(reads_of(tree, variables).variables & variables - {SECRETS}))
        slots = {name: at for at, name in enumerate(names, start=1)}
        hidden = dict.fromkeys(variables - slots.keys(), SECRET_SLOT)
        scope = Scope({**hidden, **slots}, {}, {}, 1 + len(names))
        compiler = Compiler(text)
        code = compiler.code(tree, scope)
        # What can grow a value that much must pay for its walks over it.
        compiler.is_metered |= growth_of(tree) > GROWTH_UNMEASURED_MAX
    except ExpressionError as error:
        error.text = text
        raise
    return Expression(text, tree, code, names, is_metered=compiler.is_metered)


# Expressions in documents


def is_wrapped(text: str) -> bool:
    """Whether the whole text, apart from white space around it, is `${ ... }`."""
    trimmed = text.strip()
    return trimmed.startswith("${") and trimmed.endswith("}")


def unwrap(text: str) -> str:
    """The expression inside `${ ... }`, or the text itself where it is not wrapped."""
    trimmed = text.strip()
    return trimmed[2:-1].strip() if is_wrapped(text) else text


def truthy(value: Any) -> bool:
    """Whether a value counts as true: everything does except null and false."""
    return value is not None and value is not False
