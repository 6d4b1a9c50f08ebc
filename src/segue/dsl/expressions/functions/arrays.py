"""Functions of arrays and objects that compute one value."""

from __future__ import annotations

import math
from typing import Any

from segue.dsl.expressions.errors import EvaluationError
from segue.dsl.expressions.functions.plain import length
from segue.dsl.expressions.functions.registry import plain
from segue.dsl.expressions.meter import SLOT_BYTES, Run, charge_walk
from segue.dsl.expressions.paths import index
from segue.dsl.expressions.text import describe
from segue.dsl.expressions.values import add, equal, kind_of, less, sort_key, subtract


def elements(value: Any) -> list[Any]:
    """The elements of an array or the values of an object."""
    if type(value) is list:
        return value
    if type(value) is dict:
        return list(value.values())
    raise EvaluationError(f"cannot iterate over {describe(value)}")


def sorted_pairs(run: Run, value: Any, keys: list[Any], verb: str) -> list[tuple[Any, Any]]:
    """The elements of an array with their keys, by key; equal keys keep their order."""
    if type(value) is not list:
        kind_of(value)
        raise EvaluationError(f"{describe(value)} cannot be {verb}, only an array can")
    run.spend(len(value) * max(1, len(value).bit_length() >> 2))
    run.build(4 * SLOT_BYTES * len(value))
    charge_walk(keys, run)
    return sorted(zip(map(sort_key, keys), value, strict=True), key=_first)


def _first(pair: tuple[Any, Any]) -> Any:
    return pair[0]


@plain("sort", metered=True)
def _sort(run: Run, value: Any) -> list[Any]:
    return [item for _, item in sorted_pairs(run, value, value, "sorted")]


@plain("unique", metered=True)
def _unique(run: Run, value: Any) -> list[Any]:
    return first_of_groups(sorted_pairs(run, value, value, "sorted"))


def first_of_groups(pairs: list[tuple[Any, Any]]) -> list[Any]:
    """The first element of each run of equal keys."""
    return [item for at, (key, item) in enumerate(pairs) if at == 0 or pairs[at - 1][0] != key]


def groups(pairs: list[tuple[Any, Any]]) -> list[list[Any]]:
    """The runs of equal keys."""
    made: list[list[Any]] = []
    for at, (key, item) in enumerate(pairs):
        if at and pairs[at - 1][0] == key:
            made[-1].append(item)
        else:
            made.append([item])
    return made


def extreme(run: Run, value: Any, keys: list[Any], *, largest: bool) -> Any:
    """The first smallest, or the last largest, element; null of an empty array."""
    if type(value) is not list:
        kind_of(value)
        raise EvaluationError(f"{describe(value)} has no smallest or largest element, only an array has")
    run.spend(len(value))
    charge_walk(keys, run)
    best = -1
    for at, key in enumerate(keys):
        if best < 0 or (less(keys[best], key) or equal(keys[best], key) if largest else less(key, keys[best])):
            best = at
    return value[best] if best >= 0 else None


@plain("min", metered=True)
def _min(run: Run, value: Any) -> Any:
    return extreme(run, value, value, largest=False)


@plain("max", metered=True)
def _max(run: Run, value: Any) -> Any:
    return extreme(run, value, value, largest=True)


@plain("reverse", metered=True)
def _reverse(run: Run, value: Any) -> Any:
    if type(value) is str or type(value) is list:
        run.build(SLOT_BYTES * len(value))
        return value[::-1]
    return [] if equal(length(value), 0) else index(value, 0)


@plain("add", metered=True)
def _add(run: Run, value: Any) -> Any:
    return total(run, elements(value))


def total(run: Run, items: list[Any]) -> Any:
    """The sum of values; texts and arrays are put together in one go, so that a long sum is not quadratic."""
    run.spend(len(items))
    if items and all(type(item) is str for item in items):
        run.build(sum(map(len, items)))
        return "".join(items)
    if items and all(type(item) is list for item in items):
        run.build(SLOT_BYTES * sum(map(len, items)))
        return [part for item in items for part in item]
    if items and all(type(item) is dict for item in items):
        run.build(64 * sum(map(len, items)))
        return {key: part for item in items for key, part in item.items()}
    result: Any = None
    for item in items:
        result = add(result, item)
        if type(result) is str or type(result) is list:
            run.build(SLOT_BYTES * len(result))
    return result


@plain("any", metered=True)
def _any(run: Run, value: Any) -> bool:
    items = elements(value)
    run.spend(len(items))
    return any(item is not None and item is not False for item in items)


@plain("all", metered=True)
def _all(run: Run, value: Any) -> bool:
    items = elements(value)
    run.spend(len(items))
    return all(item is not None and item is not False for item in items)


@plain("flatten", metered=True)
def _flatten(run: Run, value: Any) -> list[Any]:
    return _flattened(run, value, math.inf)


@plain("flatten", arity=1, metered=True)
def _flatten_to(run: Run, value: Any, depth: Any) -> list[Any]:
    if less(depth, 0):
        raise EvaluationError("the depth to flatten must not be negative")
    return _flattened(run, value, depth)


def _flattened(run: Run, value: Any, depth: Any) -> list[Any]:
    flat = elements(value)
    while not equal(depth, 0) and any(type(item) is list for item in flat):
        run.spend(len(flat))
        level: list[Any] = []
        for item in flat:
            level.extend(item) if type(item) is list else level.append(item)
        run.build(SLOT_BYTES * len(level))
        flat, depth = level, subtract(depth, 1)
    return list(flat)


@plain("transpose", metered=True)
def _transpose(run: Run, value: Any) -> list[Any]:
    rows = elements(value)
    lengths = [_row_length(row) for row in rows]
    width = max(lengths, default=0)
    run.spend(len(rows) * width)
    run.build(SLOT_BYTES * len(rows) * width)
    return [[index(row, at) for row in rows] for at in range(width)]


def _row_length(row: Any) -> int:
    if row is None:
        return 0
    if type(row) is list or type(row) is dict or type(row) is str:
        return len(row)
    raise EvaluationError(f"a row to transpose is an array, not {describe(row)}")


@plain("bsearch", arity=1, metered=True)
def _bsearch(run: Run, value: Any, wanted: Any) -> int:
    if type(value) is not list:
        raise EvaluationError(f"{describe(value)} cannot be searched, only a sorted array can")
    low, high = 0, len(value)
    while low < high:
        run.step()
        middle = (low + high) // 2
        if less(value[middle], wanted):
            low = middle + 1
        else:
            high = middle
    return low if low < len(value) and equal(value[low], wanted) else -1 - low
