"""Functions of any value: kinds, conversion, keys, paths."""

from __future__ import annotations

from typing import Any, Final

from segue.dsl.expressions.errors import EvaluationError, RaisedError
from segue.dsl.expressions.functions.registry import plain
from segue.dsl.expressions.meter import Run, charge_walk
from segue.dsl.expressions.numbers import parse_number
from segue.dsl.expressions.parse_json import parse_json
from segue.dsl.expressions.paths import as_path, delete_paths, get_path, set_path
from segue.dsl.expressions.text import describe, to_json, to_text
from segue.dsl.expressions.values import SECRET_RULE, contains, kind_of, less, negate
from segue.types import SecretText


@plain("not")
def _not(value: Any) -> bool:
    return value is None or value is False


@plain("type")
def _type(value: Any) -> str:
    return kind_of(value)


@plain("length")
def length(value: Any) -> Any:
    """Characters, elements or keys; of a number, its absolute value; of null, 0."""
    kind = type(value)
    if kind is list or kind is dict or kind is str:
        return len(value)
    if value is None:
        return 0
    if kind is int or kind is float:
        return abs(value) if kind is int else negate(value) if value < 0 else value
    kind_of(value)
    raise EvaluationError(f"{describe(value)} has no length")


@plain("abs")
def _abs(value: Any) -> Any:
    if type(value) is SecretText:
        raise EvaluationError(SECRET_RULE)
    return negate(value) if less(value, 0) else value


@plain("tojson", walks=True)
def _tojson(value: Any) -> str:
    return to_json(value)


@plain("tostring", walks=True)
def _tostring(value: Any) -> str:
    return to_text(value)


@plain("fromjson", metered=True)
def _fromjson(run: Run, value: Any) -> Any:
    if type(value) is not str:
        raise EvaluationError(f"only a string can be read as JSON, not {describe(value)}")
    # The values made take up a small multiple of their text.
    run.build(8 * len(value))
    return parse_json(value)


@plain("tonumber")
def _tonumber(value: Any) -> Any:
    if type(value) is int or type(value) is float:
        return value
    number = parse_number(value) if type(value) is str else None
    if number is None:
        raise EvaluationError(f"{describe(value)} cannot be read as a number")
    return number


@plain("toboolean")
def _toboolean(value: Any) -> bool:
    if type(value) is bool:
        return value
    if value == "true" or value == "false":
        return bool(value == "true")
    raise EvaluationError(f"{describe(value)} cannot be read as a boolean")


@plain("toarray")
def _toarray(value: Any) -> Any:
    return value if type(value) is list else [value]


@plain("keys", metered=True)
def _keys(run: Run, value: Any) -> list[Any]:
    return sorted(_keys_unsorted(run, value))


@plain("keys_unsorted", metered=True)
def _keys_unsorted(run: Run, value: Any) -> list[Any]:
    if type(value) is dict:
        run.spend(len(value) >> 3)
        return list(value)
    if type(value) is list:
        run.spend(len(value) >> 3)
        return list(range(len(value)))
    raise EvaluationError(f"{describe(value)} has no keys")


@plain("has", arity=1)
def _has(value: Any, key: Any) -> bool:
    kind, key_kind = type(value), type(key)
    if kind is dict and key_kind is str:
        return key in value
    if kind is list and (key_kind is int or key_kind is float):
        # Numbers between -1 and 0 are cut to 0.
        return bool(-1 < key < len(value)) if key == key else False
    if value is None:
        return False
    raise EvaluationError(f"cannot check whether {kind_of(value)} has a key of kind {kind_of(key)}")


@plain("contains", arity=1, metered=True)
def _contains(run: Run, value: Any, part: Any) -> bool:
    _pay_pairs(run, value, part)
    return contains(value, part)


def _pay_pairs(run: Run, value: Any, part: Any) -> None:
    """Every element may be held against every other."""
    if type(value) is list and type(part) is list:
        run.spend(len(value) * len(part))
        for item in value:
            for other in part:
                _pay_pairs(run, item, other)
    elif type(value) is dict and type(part) is dict:
        run.spend(len(part))
        for key, other in part.items():
            if key in value:
                _pay_pairs(run, value[key], other)


@plain("error")
def _error(value: Any) -> Any:
    raise raised(value)


@plain("error", arity=1)
def _error_with(value: Any, message: Any) -> Any:
    raise raised(message)


def raised(value: Any) -> RaisedError:
    """The error that the expression raised with this value."""
    if type(value) is SecretText:
        raise EvaluationError(SECRET_RULE)
    message = value if type(value) is str else f"error raised with {describe(value)}"
    return RaisedError(value, message)


@plain("now", metered=True)
def _now(run: Run, value: Any) -> Any:
    seconds = run.now_ms / 1000
    return int(seconds) if seconds.is_integer() else seconds


_CONSTANTS: Final = {"have_literal_numbers": True, "have_decnum": False}

for _name, _value in _CONSTANTS.items():
    plain(_name)(lambda data, known=_value: known)


@plain("getpath", arity=1)
def _getpath(value: Any, path: Any) -> Any:
    return get_path(value, as_path(path))


@plain("setpath", arity=2, metered=True, outermost_last=True)
def _setpath(run: Run, value: Any, path: Any, new: Any) -> Any:
    return set_path(value, as_path(path), new, run)


@plain("delpaths", arity=1, metered=True)
def _delpaths(run: Run, value: Any, paths: Any) -> Any:
    if type(paths) is not list:
        raise EvaluationError(f"paths are an array of arrays, not {describe(paths)}")
    return delete_paths(value, [as_path(path) for path in paths], run)


@plain("to_entries", metered=True)
def _to_entries(run: Run, value: Any) -> list[Any]:
    pairs = _pairs(run, value)
    run.build(144 * len(pairs))
    return [{"key": key, "value": item} for key, item in pairs]


def _pairs(run: Run, value: Any) -> list[tuple[Any, Any]]:
    keys = _keys_unsorted(run, value)
    run.spend(len(keys))
    return [(key, value[key]) for key in keys]


_KEY_NAMES: Final = ("key", "k", "name", "Name", "Key", "K")
_VALUE_NAMES: Final = ("value", "v", "Value", "V")


@plain("from_entries", metered=True)
def _from_entries(run: Run, value: Any) -> dict[str, Any]:
    return entries_to_object(run, value)


def entries_to_object(run: Run, entries: Any) -> dict[str, Any]:
    """An object from entries; keys that are no strings become their JSON text."""
    if type(entries) is dict:
        entries = list(entries.values())
    if type(entries) is not list:
        raise EvaluationError(f"entries are an array, not {describe(entries)}")
    run.spend(len(entries))
    run.build(64 * len(entries))
    made: dict[str, Any] = {}
    for entry in entries:
        if type(entry) is not dict:
            raise EvaluationError(f"an entry is an object with key and value, not {describe(entry)}")
        made[_entry_key(run, entry)] = next((entry[name] for name in _VALUE_NAMES if name in entry), None)
    return made


def _entry_key(run: Run, entry: dict[str, Any]) -> str:
    fallback: Any = None
    for name in _KEY_NAMES:
        key = entry.get(name)
        if type(key) is str:
            return key
        if key is not None and key is not False:
            charge_walk(key, run)
            return to_json(key)
        if key is False:
            fallback = False
    return to_json(fallback)
