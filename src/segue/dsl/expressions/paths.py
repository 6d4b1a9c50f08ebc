"""Reading and writing at a place inside a value.

A path is a tuple of keys: strings for objects, numbers for arrays, `{"start", "end"}` objects for slices.
Writing copies the containers on the way and shares everything else; nothing is changed in place.
"""

from __future__ import annotations

import math
from typing import Any, Final, NoReturn

from segue.dsl.expressions.errors import BudgetExceeded, EvaluationError
from segue.dsl.expressions.meter import ENTRY_BYTES, SLOT_BYTES, Run
from segue.dsl.expressions.text import describe
from segue.dsl.expressions.values import equal, kind_of, sort_key

INDEX_MAX: Final = 2**29
PATH_KEYS_MAX: Final = 1_000
"""Keys of one path, so levels that one assignment may make."""


def index(value: Any, key: Any) -> Any:
    """`value[key]`; null has null everywhere, and what is missing is null."""
    kind, key_kind = type(value), type(key)
    if kind is dict and key_kind is str:
        return value.get(key)
    if kind is list and (key_kind is int or key_kind is float):
        return _element(value, key)
    if value is None and (key_kind is str or key_kind is int or key_kind is float or key_kind is dict):
        return None
    if key_kind is dict and (kind is list or kind is str):
        return slice_of(value, *_bounds_of(key))
    if kind is list and key_kind is list:
        return array_indices(value, key)
    return cannot_index(value, key)


def cannot_index(value: Any, key: Any) -> NoReturn:
    """Say that a value of this kind has no such key."""
    kind = kind_of(value)
    key_kind = kind_of(key)
    shown = f' "{key}"' if key_kind == "string" and len(key) <= 60 else ""
    hint = ""
    if kind == "array" and key_kind == "string":
        hint = "write .[] before it to read it from every element"
    raise EvaluationError(f"cannot index {kind} with {key_kind}{shown}", hint=hint)


def _element(value: list[Any], key: int | float) -> Any:
    if key - key != 0:
        return None
    place = int(key)
    if place < 0:
        place += len(value)
    return value[place] if 0 <= place < len(value) else None


def array_indices(value: list[Any], wanted: list[Any]) -> list[int]:
    """Where the array `wanted` begins inside the array `value`; nowhere if it is empty."""
    if not wanted:
        return []
    first, width = wanted[0], len(wanted)
    return [
        at
        for at in range(len(value) - width + 1)
        if equal(value[at], first) and (width == 1 or all(map(equal, value[at : at + width], wanted)))
    ]


def _bounds_of(key: dict[str, Any]) -> tuple[Any, Any]:
    if "start" not in key or "end" not in key:
        raise EvaluationError("an object can only be a key with the entries start and end")
    return key["start"], key["end"]


def slice_of(value: Any, low: Any, high: Any) -> Any:
    """`value[low:high]` of an array, a string or null."""
    kind = type(value)
    if value is None:
        return None
    if kind is not list and kind is not str:
        raise EvaluationError(f"cannot slice {kind_of(value)}, only arrays and strings")
    start, end = slice_range(len(value), low, high)
    return value[start:end]


def slice_range(length: int, low: Any, high: Any) -> tuple[int, int]:
    """The whole, non-negative bounds that a slice has in something of this length."""
    start = 0 if low is None else _bound(low, length, math.floor)
    end = length if high is None else _bound(high, length, math.ceil)
    return start, max(start, end)


def _bound(bound: Any, length: int, rounded: Any) -> int:
    if type(bound) is float:
        if bound != bound:
            return 0 if rounded is math.floor else length
        bound = rounded(max(-1e15, min(1e15, bound)))
    elif type(bound) is not int:
        raise EvaluationError(f"the bounds of a slice are numbers, not {kind_of(bound)}")
    return int(max(0, bound + length) if bound < 0 else min(bound, length))


def get_path(value: Any, path: tuple[Any, ...] | list[Any]) -> Any:
    """The value at a path; null from where something is missing."""
    for key in path:
        if value is None:
            index(None, key)
            continue
        value = index(value, key)
    return value


def as_path(path: Any) -> list[Any]:
    """A value that was given as a path.

    Raises:
        EvaluationError: It is no array.
        BudgetExceeded: It has more keys than anything can be deep.
    """
    if type(path) is not list:
        raise EvaluationError(f"a path is an array, not {kind_of(path)}")
    if len(path) > PATH_KEYS_MAX:
        raise BudgetExceeded(f"a path has {len(path)} keys, more than {PATH_KEYS_MAX}")
    return path


def set_path(value: Any, path: tuple[Any, ...] | list[Any], new: Any, run: Run, at: int = 0) -> Any:
    """`value` with `new` at the path; what is missing on the way is made."""
    if at == len(path):
        return new
    key = path[at]
    kind, key_kind = type(value), type(key)
    if key_kind is str and (kind is dict or value is None):
        old = value.get(key) if kind is dict else None
        new = set_path(old, path, new, run, at + 1)
        run.build(ENTRY_BYTES * (len(value) + 1 if value else 1))
        return {**value, key: new} if value else {key: new}
    if (key_kind is int or key_kind is float) and (kind is list or value is None):
        return _set_element(value or [], key, path, new, run, at)
    if key_kind is dict and (kind is list or value is None):
        return _set_slice(value or [], key, path, new, run, at, missing=value is None)
    if key_kind is dict and kind is str:
        raise EvaluationError("a slice of a string cannot be assigned to")
    cannot_index(value, key)


def _set_element(value: list[Any], key: int | float, path: Any, new: Any, run: Run, at: int) -> list[Any]:
    if key != key:
        raise EvaluationError("NaN is no array index")
    place = INDEX_MAX if math.isinf(key) else int(key)
    if place < 0:
        place += len(value)
        if place < 0:
            raise EvaluationError(f"the array has only {len(value)} elements before its end")
    if place >= INDEX_MAX:
        raise EvaluationError(f"{place} is too large for an array index")
    new = set_path(value[place] if place < len(value) else None, path, new, run, at + 1)
    run.build(SLOT_BYTES * max(len(value), place + 1))
    copy = value + [None] * (place + 1 - len(value))
    copy[place] = new
    return copy


def _set_slice(
    value: list[Any], key: dict[str, Any], path: Any, new: Any, run: Run, at: int, *, missing: bool
) -> list[Any]:
    start, end = slice_range(len(value), *_bounds_of(key))
    new = set_path(None if missing else value[start:end], path, new, run, at + 1)
    if type(new) is not list:
        raise EvaluationError(f"a slice of an array can only be replaced by an array, not {kind_of(new)}")
    run.build(SLOT_BYTES * (len(value) + len(new)))
    return value[:start] + new + value[end:]


def delete_paths(value: Any, paths: list[Any], run: Run) -> Any:
    """`value` without what the paths name, each counted as if the others had not been deleted yet."""
    kept: list[list[Any]] = []
    for path in sorted(map(as_path, paths), key=sort_key):
        run.spend(1 + len(path))
        # What stands below something that goes, goes with it.
        if not kept or path[: len(kept[-1])] != kept[-1]:
            kept.append(path)
    return _delete(value, kept, run, 0)


def _delete(value: Any, paths: list[list[Any]], run: Run, at: int) -> Any:
    """Delete below `value`, to which the first `at` keys of all the paths lead; inner places first."""
    if not paths or value is None:
        return value
    if len(paths[0]) == at:
        return None
    keys: list[Any] = []
    end = len(paths)
    while end > 0:
        key = paths[end - 1][at]
        start = end - 1
        while start > 0 and paths[start - 1][at] == key:
            start -= 1
        if len(paths[start]) == at + 1:
            keys.append(key)
        else:
            inner = index(value, key)
            if inner is not None:
                value = set_path(value, (key,), _delete(inner, paths[start:end], run, at + 1), run)
        end = start
    return _without_keys(value, keys, run) if keys else value


def _without_keys(value: Any, keys: list[Any], run: Run) -> Any:
    if type(value) is dict and all(type(key) is str for key in keys):
        gone_names = set(keys)
        run.build(ENTRY_BYTES * len(value))
        return {name: item for name, item in value.items() if name not in gone_names}
    if type(value) is list and all(type(key) in (int, float, dict) for key in keys):
        gone: set[int] = set()
        for key in keys:
            gone.update(range(*_deleted_range(value, key)))
        run.build(SLOT_BYTES * len(value))
        run.spend(len(gone))
        return [item for at, item in enumerate(value) if at not in gone]
    wrong = next(key for key in keys if type(value) is not dict or type(key) is not str)
    raise EvaluationError(f"cannot delete the key {describe(wrong)} of {describe(value)}")


def _deleted_range(value: list[Any], key: Any) -> tuple[int, int]:
    if type(key) is dict:
        return slice_range(len(value), *_bounds_of(key))
    place = int(key) if key - key == 0 else len(value)
    if place < 0:
        place += len(value)
    return (place, place + 1) if 0 <= place < len(value) else (0, 0)
