"""The shapes that nearly all expressions of documents have, each as one function instead of four to eight.

A path (`.a.b`, `$input.id`), a path compared with a number or a text (`.score > 0.5`), an object of paths and
constants. Reading and comparing make no number, so nothing needs to be looked through for infinities either.

A shortcut knows the ordinary case only. Wherever a value is not as expected it gives up and asks `otherwise`, which
evaluates in full: expressions are pure, so nothing is lost but time. Law: with and without, the answer is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from segue.dsl.expressions import tree
from segue.dsl.expressions.values import PLAIN_OPERATORS
from segue.types import SecretText

Shortcut: TypeAlias = Callable[[Any, Mapping[str, Any], int], Any]
"""`(data, variables, now_ms) -> value`"""

_NUMBERS: Final = frozenset({int, float})


class _Path(NamedTuple):
    """Where a value is read: in a variable or, without a name, in the data."""

    variable: str | None
    keys: tuple[str, ...]


def shortcut(node: tree.Node, names: Collection[str], otherwise: Shortcut) -> Shortcut | None:
    """One function for the whole expression; None where it has another shape.

    Args:
        names: The outside variables that it may read.
        otherwise: Evaluates in full.
    """
    path = _path(node, names)
    if path is not None:
        return _read(path, otherwise)
    if isinstance(node, tree.Binary):
        return _comparison(node, names, otherwise)
    if isinstance(node, tree.ObjectOf):
        return _object(node, names, otherwise)
    return None


def _path(node: tree.Node, names: Collection[str]) -> _Path | None:
    keys: list[str] = []
    while isinstance(node, tree.Index) and isinstance(node.key, tree.Constant) and not node.optional:
        if type(node.key.value) is not str:
            return None
        keys.append(node.key.value)
        node = node.base
    keys.reverse()
    if isinstance(node, tree.Identity):
        return _Path(None, tuple(keys))
    if isinstance(node, tree.Variable) and node.name in names:
        return _Path(node.name, tuple(keys))
    return None


def _read(path: _Path, otherwise: Shortcut) -> Shortcut:
    variable, keys = path
    if variable is None and len(keys) == 1:
        (key,) = keys

        def read_one(data: Any, variables: Mapping[str, Any], now_ms: int) -> Any:
            try:
                return data[key]
            except (KeyError, TypeError, IndexError):
                return otherwise(data, variables, now_ms)

        return read_one
    if variable is None and len(keys) == 2:
        first, second = keys

        def read_two(data: Any, variables: Mapping[str, Any], now_ms: int) -> Any:
            try:
                return data[first][second]
            except (KeyError, TypeError, IndexError):
                return otherwise(data, variables, now_ms)

        return read_two

    def read(data: Any, variables: Mapping[str, Any], now_ms: int) -> Any:
        try:
            value = data if variable is None else variables[variable]
            for key in keys:
                value = value[key]
        except (KeyError, TypeError, IndexError):
            return otherwise(data, variables, now_ms)
        return value

    return read


def _comparison(node: tree.Binary, names: Collection[str], otherwise: Shortcut) -> Shortcut | None:
    path = _path(node.left, names)
    if path is None or not isinstance(node.right, tree.Constant) or node.operator not in PLAIN_OPERATORS:
        return None
    known = node.right.value
    if type(known) in _NUMBERS:
        return _compare_number(path, PLAIN_OPERATORS[node.operator], known, otherwise)
    if type(known) is str and node.operator in ("==", "!="):
        return _compare_text(path, known, node.operator == "==", otherwise)
    return None


def _compare_number(path: _Path, holds: Callable[[Any, Any], Any], known: float, otherwise: Shortcut) -> Shortcut:
    variable, keys = path
    if variable is None and len(keys) == 1:
        (only,) = keys

        def compare_one(data: Any, variables: Mapping[str, Any], now_ms: int) -> Any:
            try:
                value = data[only]
            except (KeyError, TypeError, IndexError):
                return otherwise(data, variables, now_ms)
            kind = type(value)
            if (kind is float or kind is int) and value == value:
                return holds(value, known)
            return otherwise(data, variables, now_ms)

        return compare_one

    def compare(data: Any, variables: Mapping[str, Any], now_ms: int) -> Any:
        try:
            value = data if variable is None else variables[variable]
            for key in keys:
                value = value[key]
        except (KeyError, TypeError, IndexError):
            return otherwise(data, variables, now_ms)
        kind = type(value)
        if (kind is float or kind is int) and value == value:
            return holds(value, known)
        return otherwise(data, variables, now_ms)

    return compare


def _compare_text(path: _Path, known: str, wanted: bool, otherwise: Shortcut) -> Shortcut:
    variable, keys = path

    def compare(data: Any, variables: Mapping[str, Any], now_ms: int) -> Any:
        try:
            value = data if variable is None else variables[variable]
            for key in keys:
                value = value[key]
        except (KeyError, TypeError, IndexError):
            return otherwise(data, variables, now_ms)
        if type(value) is SecretText:
            return otherwise(data, variables, now_ms)
        return (value == known) is wanted

    return compare


def _object(node: tree.ObjectOf, names: Collection[str], otherwise: Shortcut) -> Shortcut | None:
    base: dict[str, Any] = {}
    moving: dict[str, _Path] = {}
    for key, value in node.entries:
        # What a key is given that is named once more is not kept, but may still fail.
        if not isinstance(key, tree.Constant) or type(key.value) is not str or key.value in base:
            return None
        path = _path(value, names)
        if path is not None:
            moving[key.value] = path
        elif not isinstance(value, tree.Constant):
            return None
        base[key.value] = value.value if isinstance(value, tree.Constant) else None
    paths = [(name, variable, keys) for name, (variable, keys) in moving.items()]

    def build(data: Any, variables: Mapping[str, Any], now_ms: int) -> Any:
        made = base.copy()
        try:
            for name, variable, keys in paths:
                value = data if variable is None else variables[variable]
                for key in keys:
                    value = value[key]
                made[name] = value
        except (KeyError, TypeError, IndexError):
            return otherwise(data, variables, now_ms)
        return made

    return build
