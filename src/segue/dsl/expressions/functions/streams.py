"""Streams of path and leaf: `tostream`, `fromstream`, `truncate_stream`, and `combinations`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from segue.dsl.expressions.errors import EvaluationError
from segue.dsl.expressions.functions.arrays import elements
from segue.dsl.expressions.functions.plain import length
from segue.dsl.expressions.meter import SLOT_BYTES, Run
from segue.dsl.expressions.paths import as_path, index, set_path, slice_of
from segue.dsl.expressions.text import describe
from segue.dsl.expressions.values import less


def children_of(value: Any) -> list[tuple[Any, Any]]:
    """Keys and values of a container; nothing of anything else."""
    if type(value) is list:
        return list(enumerate(value))
    return list(value.items()) if type(value) is dict else []


def to_stream(run: Run, value: Any) -> Iterator[list[Any]]:
    """Events of a value: `[path, leaf]`, and `[path]` where a container ends."""
    yield from _events(run, value, (), is_top=True)


def _events(run: Run, value: Any, path: tuple[Any, ...], *, is_top: bool) -> Iterator[list[Any]]:
    run.step()
    run.build(SLOT_BYTES * len(path))
    below = children_of(value)
    if not below:
        yield [list(path), value]
        return
    for key, item in below:
        yield from _events(run, item, (*path, key), is_top=False)
    yield [[*path, below[-1][0]]]


def from_stream(run: Run, events: Iterable[Any]) -> Iterator[Any]:
    """The values that events describe."""
    value: Any = None
    for event in events:
        run.step()
        path, has_leaf = _event_parts(event)
        if has_leaf:
            value = set_path(value, path, event[1], run)
        if len(path) == (0 if has_leaf else 1):
            yield value
            value = None


def _event_parts(event: Any) -> tuple[list[Any], bool]:
    if type(event) is not list or not 1 <= len(event) <= 2 or type(event[0]) is not list:
        raise EvaluationError(f"an event of a stream is [path] or [path, leaf], not {describe(event)}")
    return as_path(event[0]), len(event) == 2


def truncate(run: Run, depth: Any, events: Iterable[Any]) -> Iterator[Any]:
    """Events with the first `depth` keys cut off their paths; shorter ones fall away."""
    for event in events:
        run.step()
        path = index(event, 0)
        if less(depth, length(path)):
            yield set_path(event, (0,), slice_of(path, depth, None), run)


def combinations(run: Run, lists: list[Any]) -> Iterator[list[Any]]:
    """Every choice of one element from each list, the last one changing fastest."""
    if not lists:
        yield []
        return
    for item in elements(lists[0]):
        for rest in combinations(run, lists[1:]):
            run.step()
            run.build(SLOT_BYTES * (1 + len(rest)))
            yield [item, *rest]
