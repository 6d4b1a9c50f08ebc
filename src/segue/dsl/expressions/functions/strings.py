"""Functions of strings, regular expressions included."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from segue.dsl.expressions.errors import EvaluationError
from segue.dsl.expressions.formats import format_named, known_formats
from segue.dsl.expressions.functions.registry import plain
from segue.dsl.expressions.meter import ENTRY_BYTES, SLOT_BYTES, Run, charge_walk
from segue.dsl.expressions.paths import array_indices, index, slice_of
from segue.dsl.expressions.regexes import Found, Group, find_all
from segue.dsl.expressions.text import describe, to_text
from segue.dsl.expressions.values import add, kind_of
from segue.dsl.expressions.values import split as split_text


def _string(value: Any, what: str) -> str:
    if type(value) is str:
        return value
    kind_of(value)
    raise EvaluationError(f"{what} needs a string, not {describe(value)}")


_UPPER = str.maketrans("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


@plain("ascii_downcase")
def _ascii_downcase(value: Any) -> str:
    return _string(value, "ascii_downcase").translate(_LOWER)


@plain("ascii_upcase")
def _ascii_upcase(value: Any) -> str:
    return _string(value, "ascii_upcase").translate(_UPPER)


@plain("utf8bytelength")
def _utf8bytelength(value: Any) -> int:
    return len(_string(value, "utf8bytelength").encode("utf-8", "replace"))


@plain("explode", metered=True)
def _explode(run: Run, value: Any) -> list[int]:
    text = _string(value, "explode")
    run.spend(len(text) >> 3)
    run.build(SLOT_BYTES * len(text))
    return [ord(character) for character in text]


@plain("implode", metered=True)
def _implode(run: Run, value: Any) -> str:
    if type(value) is not list:
        raise EvaluationError(f"implode needs an array of code points, not {describe(value)}")
    run.spend(len(value) >> 3)
    run.build(len(value))
    return "".join(map(_character, value))


@plain("ascii")
def _ascii(value: Any) -> str:
    return _character(value)


def _character(code: Any) -> str:
    if (type(code) is not int and type(code) is not float) or code - code != 0:
        raise EvaluationError(f"{describe(code)} is not a code point")
    point = int(code)
    valid = 0 <= point < 0x110000 and not 0xD800 <= point < 0xE000
    return chr(point) if valid else "\ufffd"


@plain("startswith", arity=1)
def _startswith(value: Any, start: Any) -> bool:
    return _string(value, "startswith").startswith(_string(start, "startswith"))


@plain("endswith", arity=1)
def _endswith(value: Any, end: Any) -> bool:
    return _string(value, "endswith").endswith(_string(end, "endswith"))


@plain("ltrimstr", arity=1)
def _ltrimstr(value: Any, start: Any) -> str:
    return _string(value, "ltrimstr").removeprefix(_string(start, "ltrimstr"))


@plain("rtrimstr", arity=1)
def _rtrimstr(value: Any, end: Any) -> str:
    return _string(value, "rtrimstr").removesuffix(_string(end, "rtrimstr"))


@plain("trimstr", arity=1)
def _trimstr(value: Any, edge: Any) -> str:
    text, cut = _string(value, "trimstr"), _string(edge, "trimstr")
    return text.removeprefix(cut).removesuffix(cut)


_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009"
    "\u200a\u2028\u2029\u202f\u205f\u3000"
)


@plain("trim")
def _trim(value: Any) -> str:
    return _string(value, "trim").strip(_SPACE)


@plain("ltrim")
def _ltrim(value: Any) -> str:
    return _string(value, "ltrim").lstrip(_SPACE)


@plain("rtrim")
def _rtrim(value: Any) -> str:
    return _string(value, "rtrim").rstrip(_SPACE)


@plain("split", arity=1, metered=True)
def _split(run: Run, value: Any, separator: Any) -> list[str]:
    text, mark = _string(value, "split"), _string(separator, "split")
    pieces = text.count(mark) + 1 if mark else len(text)
    run.spend(pieces >> 3)
    run.build(len(text) + 56 * pieces)
    return split_text(text, mark)


@plain("join", arity=1, metered=True)
def _join(run: Run, value: Any, separator: Any) -> Any:
    items = list(value.values()) if type(value) is dict else value
    if type(items) is not list:
        raise EvaluationError(f"join needs an array, not {describe(value)}")
    run.spend(len(items))
    if type(separator) is str and all(type(item) is str for item in items):
        run.build(sum(map(len, items)) + len(separator) * len(items))
        return str(separator).join(items)
    return _join_slowly(run, items, separator)


def _join_slowly(run: Run, items: list[Any], separator: Any) -> Any:
    """One addition after another, which numbers, null and secrets among the items make necessary."""
    joined: Any = None
    for item in items:
        kind = type(item)
        part = "" if item is None else to_text(item) if kind in (bool, int, float) else item
        joined = add("" if joined is None else add(joined, separator), part)
        run.build(len(joined) if type(joined) is str else 64)
    return "" if joined is None or joined is False else joined


@plain("indices", "_indices", arity=1, metered=True)
def _indices(run: Run, value: Any, wanted: Any) -> Any:
    return indices(run, value, wanted)


def indices(run: Run, value: Any, wanted: Any) -> Any:
    """Every place where `wanted` begins in a string or an array."""
    if type(value) is str and type(wanted) is str:
        run.spend(len(value) >> 3)
        return _places(value, wanted)
    if type(value) is list:
        sought = wanted if type(wanted) is list else [wanted]
        charge_walk(value, run)
        charge_walk(sought, run)
        run.spend(len(value) * max(1, len(sought)))
        return array_indices(value, sought)
    return index(value, wanted)


def _places(text: str, wanted: str) -> list[int]:
    found: list[int] = []
    at = text.find(wanted) if wanted else -1
    while at >= 0:
        found.append(at)
        at = text.find(wanted, at + 1)
    return found


@plain("index", arity=1, metered=True)
def _index(run: Run, value: Any, wanted: Any) -> Any:
    return index(indices(run, value, wanted), 0)


@plain("rindex", arity=1, metered=True)
def _rindex(run: Run, value: Any, wanted: Any) -> Any:
    found = indices(run, value, wanted)
    return index(found, -1) if type(found) is list or found is None else index(slice_of(found, -1, None), 0)


@plain("format", arity=1, walks=True)
def _format(value: Any, name: Any) -> Any:
    if type(name) is not str or name not in known_formats():
        raise EvaluationError(f"{describe(name)} is not a format")
    return format_named(name)(value)


# Regular expressions


def _pattern_and_flags(pattern: Any, flags: Any) -> tuple[Any, Any]:
    if type(pattern) is list and pattern:
        return pattern[0], pattern[1] if len(pattern) > 1 else None
    if type(pattern) is not str:
        raise EvaluationError(f"a pattern is a string or an array of pattern and flags, not {describe(pattern)}")
    return pattern, flags


def search(run: Run, value: Any, pattern: Any, flags: Any, *, everywhere: bool = False) -> Iterator[Found]:
    """The matches of a pattern in a string."""
    if type(value) is not str:
        kind_of(value)
        raise EvaluationError(f"{describe(value)} cannot be matched, only a string can")
    if type(pattern) is not str:
        raise EvaluationError(f"a pattern is a string, not {describe(pattern)}")
    if flags is not None and type(flags) is not str:
        raise EvaluationError(f"flags are a string, not {describe(flags)}")
    return find_all(run, value, pattern, flags or "", everywhere=everywhere)


@plain("test", arity=1, metered=True)
def _test(run: Run, value: Any, pattern: Any) -> bool:
    source, flags = _pattern_and_flags(pattern, None)
    return next(search(run, value, source, flags), None) is not None


@plain("test", arity=2, metered=True)
def _test_with(run: Run, value: Any, pattern: Any, flags: Any) -> bool:
    return next(search(run, value, pattern, flags), None) is not None


def matches(run: Run, value: Any, pattern: Any, flags: Any, *, everywhere: bool = False) -> Iterator[Any]:
    """The matches as objects with offset, length, string and captures."""
    for found in search(run, value, pattern, flags, everywhere=everywhere):
        run.build(6 * ENTRY_BYTES * (1 + len(found.groups)))
        yield {
            "offset": found.start,
            "length": found.end - found.start,
            "string": found.text,
            "captures": [_captured_part(group) for group in found.groups],
        }


def _captured_part(group: Group) -> dict[str, Any]:
    if group.text is None:
        return {"offset": -1, "string": None, "length": 0, "name": group.name}
    return {"offset": group.start, "length": len(group.text), "string": group.text, "name": group.name}


def captured(found: Found) -> dict[str, Any]:
    """The named groups of a match."""
    return {group.name: group.text for group in found.groups if group.name is not None}
