"""Tree to closures: the frame that the kinds of nodes plug into.

Each kind registers a function that compiles it as a value (`values_of`) and, where it can name a place, one
that compiles it as a path (`paths_of`). A kind without the second still works where paths are wanted: its
results count as places only when they are the very data they were computed from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias, TypeVar

from segue.dsl.expressions.codes import Card, Code, Env, Follower, Path, Scope, constant, stream
from segue.dsl.expressions.errors import EvaluationError, ExpressionRefused
from segue.dsl.expressions.meter import SHORT_TEXT_CHARS
from segue.dsl.expressions.tree import Node

N = TypeVar("N", bound=Node)
CompileValue: TypeAlias = "Callable[[Compiler, Any, Scope], Code]"
CompilePath: TypeAlias = "Callable[[Compiler, Any, Scope], Follower]"

_values: dict[type[Node], CompileValue] = {}
_paths: dict[type[Node], CompilePath] = {}


def values_of(kind: type[N]) -> Callable[[Callable[[Compiler, N, Scope], Code]], CompileValue]:
    """Register how nodes of a kind compile to values."""

    def register(function: Callable[[Compiler, N, Scope], Code]) -> CompileValue:
        _values[kind] = function
        return function

    return register


def paths_of(kind: type[N]) -> Callable[[Callable[[Compiler, N, Scope], Follower]], CompilePath]:
    """Register how nodes of a kind compile to paths."""

    def register(function: Callable[[Compiler, N, Scope], Follower]) -> CompilePath:
        _paths[kind] = function
        return function

    return register


class Compiler:
    """Compiles one expression.

    `is_metered` turns true when a construct is met that can repeat: only then does an evaluation keep an
    account from its start.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.is_metered = False

    def code(self, node: Node, scope: Scope) -> Code:
        """The node as values."""
        return _values[type(node)](self, node, scope)

    def stream(self, node: Node, scope: Scope) -> Callable[[Any, Env], Iterable[Any]]:
        """The node as a function to an iterable of values."""
        return stream(self.code(node, scope))

    def follow(self, node: Node, scope: Scope) -> Follower:
        """The node as paths."""
        compile_path = _paths.get(type(node))
        if compile_path is not None:
            return compile_path(self, node, scope)
        return self.unplaced(self.code(node, scope))

    def unplaced(self, code: Code) -> Follower:
        """Path code for what computes values: a result is a place only if it is the data itself."""
        run = stream(code)

        def follow(data: Any, path: Path, env: Env) -> Iterable[tuple[Path, Any]]:
            for value in run(data, env):
                # Equal numbers and texts may be the same object by chance; containers only by descent.
                is_placed = value is data and type(value) not in (int, float, str)
                yield (path if is_placed else None), value

        return follow

    def folded(self, code: Code, *parts: Code) -> Code:
        """`code`, or its value where all its parts are constants and the value is small and finite."""
        if code.card is not Card.ONE or not all(part.is_constant for part in parts):
            return code
        try:
            value = code.run(None, (None,))
        except (EvaluationError, NeedsAccount):
            return code
        if type(value) is float and value - value != 0.0:
            return code
        if type(value) in (list, dict) or (type(value) is str and len(value) > SHORT_TEXT_CHARS):
            return code
        return constant(value)

    def refuse(self, message: str, node: Node, hint: str = "") -> ExpressionRefused:
        """The error for a node that may not be compiled."""
        return ExpressionRefused(message, column=node.column, text=self.text, hint=hint)


class NeedsAccount(Exception):
    """Something large is being built by an expression that keeps no account: run it again with one."""


def grown(value: Any, env: Env) -> Any:
    """`value`, just built from data, after paying for its size."""
    kind = type(value)
    if kind is str:
        size = len(value)
    elif kind is list:
        size = 8 * len(value)
    elif kind is dict:
        size = 64 * len(value)
    else:
        return value
    if size > SHORT_TEXT_CHARS:
        account(env).build(size)
    return value


def account(env: Env) -> Any:
    """The account of this evaluation.

    Raises:
        NeedsAccount: There is none yet; `evaluate` answers by starting again with one.
    """
    run = env[0]
    if run is None:
        raise NeedsAccount
    return run
