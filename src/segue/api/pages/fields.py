"""Fields of a form from a JSON Schema and the data that it holds first.

A field is what a browser can edit without a script: a line, lines, a choice, ticks. Where a schema, or the value that
is there, is none of these, the field is the value's JSON: all can be edited, and nothing is lost by being shown.
Which data fits is decided where decisions are made; here only what kind of field it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import unquote

import msgspec

from segue.api.pages.text import words

Kind = Literal["object", "line", "lines", "date", "whole", "number", "yes-no", "choice", "ticks", "list", "json"]


class _Missing:
    """No value at all, which is not null."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()


class Option(NamedTuple):
    """What can be chosen: the value, and what a person reads."""

    value: Any
    title: str


class Field(NamedTuple):
    """One field, or the fields of an object.

    Attributes:
        place: JSON Pointer of the value in the data; empty for all of it.
        key: Its name in the object around it.
        value: What is there now, or MISSING.
        needed: It must be there. nullable: it may be null.
        options: Of `choice` and `ticks`. item: of `list`, `line`, `whole` or `number`.
        parts: Of `object`.
    """

    place: str
    key: str
    kind: Kind
    title: str
    value: Any
    needed: bool = False
    nullable: bool = False
    fixed: bool = False
    hint: str = ""
    text: str = ""
    options: tuple[Option, ...] = ()
    item: Kind = "line"
    parts: tuple[Field, ...] = ()


_DEEPEST: Final = 4
_FIELDS_MAX: Final = 200
_OPTIONS_MAX: Final = 500
_LONG: Final = 100
_REFERENCES_MAX: Final = 16
_PLAIN: Final = frozenset({"string", "integer", "number", "boolean", "object", "array"})
_DATE: Final = re.compile(r"[1-9][0-9]{3}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])")
_BETWEEN: Final = re.compile(r"[\r\n]")


def fields_of(schema: Any, data: Any) -> Field:
    """The form of a schema over this data; of no schema, all of it as JSON."""
    made = _Making(schema).field(schema, data, "", "", True, 0)
    return made if made.title else made._replace(title="Data")


class _Making:
    def __init__(self, root: Any) -> None:
        self._root = root
        self._left = _FIELDS_MAX

    def field(self, schema: Any, value: Any, place: str, key: str, needed: bool, depth: int) -> Field:
        said, nullable = self._settled(schema)
        title = said.get("title")
        base = Field(
            place,
            key,
            "json",
            title if isinstance(title, str) and title else words(key),
            value,
            needed,
            nullable,
            said.get("readOnly") is True,
            _hint(said),
            said["description"] if isinstance(said.get("description"), str) else "",
        )
        self._left -= 1
        return self._as_kind(base, said, depth)

    def _as_kind(self, base: Field, said: Mapping[str, Any], depth: int) -> Field:
        options = _options(said)
        if options:
            return base._replace(kind="choice", options=options)
        value, kind = base.value, said.get("type")
        there = value is not MISSING and value is not None
        if value is None and not base.nullable and base.place:
            return base  # A null that is not allowed is shown as what it is.
        if kind == "object" or (kind is None and "properties" in said):
            return self._object(base, said, depth)
        if kind == "boolean" and (not there or isinstance(value, bool)):
            return base._replace(kind="yes-no")
        if kind in ("integer", "number") and (not there or _is_number(value)):
            return base._replace(kind="whole" if kind == "integer" else "number")
        if kind == "string" and (not there or isinstance(value, str)):
            return base._replace(kind=_line_kind(said, value if there else ""))
        if kind == "array" and (not there or isinstance(value, list)):
            return self._array(base, said, value if there else [])
        return base

    def _object(self, base: Field, said: Mapping[str, Any], depth: int) -> Field:
        properties, value = said.get("properties"), base.value
        there = value is not MISSING and value is not None
        if not isinstance(properties, dict) or not properties or (there and not isinstance(value, dict)):
            return base
        # An object that may be absent or null would be there as soon as it is shown as fields.
        unsure = not there and bool(base.place)
        if depth >= _DEEPEST or len(properties) > self._left or (unsure and not base.needed):
            return base
        required = said.get("required")
        names = set(required) if isinstance(required, list) else set()
        held = value if there else {}
        parts = tuple(
            self.field(part, held.get(key, MISSING), f"{base.place}/{escape_key(key)}", key, key in names, depth + 1)
            for key, part in properties.items()
        )
        return base._replace(kind="object", parts=parts)

    def _array(self, base: Field, said: Mapping[str, Any], value: list[Any]) -> Field:
        items, nullable = self._settled(said.get("items", {}))
        if nullable or "prefixItems" in said:
            return base
        options = _options(items)
        if options and said.get("uniqueItems") is True and _each_once(value, options):
            return base._replace(kind="ticks", options=options)
        kind = items.get("type")
        if options or kind not in ("string", "integer", "number"):
            return base
        if kind == "string":
            fits = all(
                isinstance(one, str) and one.strip() == one != "" and not _BETWEEN.search(one) for one in value
            )
            return base._replace(kind="list", item="line") if fits else base
        if not all(_is_number(one) for one in value):
            return base
        return base._replace(kind="list", item="whole" if kind == "integer" else "number")

    def _settled(self, schema: Any) -> tuple[Mapping[str, Any], bool]:
        """The schema with its references followed, and whether null is allowed besides. Empty where it is another."""
        said = self._followed(schema)
        kinds = said.get("type")
        if isinstance(kinds, list):
            others = [kind for kind in kinds if kind != "null"]
            one = len(others) == 1 and others[0] in _PLAIN
            return ({**said, "type": others[0]} if one else _named(said)), one and "null" in kinds
        for word in ("anyOf", "oneOf"):
            ways = said.get(word)
            if isinstance(ways, list) and len(ways) == 2 and "type" not in said:
                rest = [way for way in map(self._followed, ways) if way != {"type": "null"}]
                if len(rest) == 1:
                    inner, _ = self._settled(rest[0])
                    return {**inner, **{k: v for k, v in said.items() if k != word}}, True
        if any(word in said for word in ("anyOf", "allOf", "not", "if")) and "properties" not in said:
            return _named(said), False
        return said, False

    def _followed(self, schema: Any) -> Mapping[str, Any]:
        said: Any = schema
        for _ in range(_REFERENCES_MAX):
            reference = said.get("$ref") if isinstance(said, dict) else None
            if reference is None:
                return said if isinstance(said, dict) else {}
            beside = {key: held for key, held in said.items() if key != "$ref"}
            found = _at(self._root, reference)
            said = {**found, **beside} if isinstance(found, dict) else None
        return {}


def same(one: Any, other: Any) -> bool:
    """The same JSON: `1` and `true` are not, `1` and `1.0` neither, since they read differently."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(held, other[key]) for key, held in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)


def escape_key(key: str) -> str:
    """A key as a part of a JSON Pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def as_text(value: Any) -> str:
    """A value as JSON."""
    return msgspec.json.encode(value).decode()


def _named(said: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of a schema that is no field: what it is called, so that its JSON has a name."""
    return {key: said[key] for key in ("title", "description", "readOnly") if key in said}


def _at(root: Any, reference: Any) -> Any:
    if not isinstance(reference, str) or not reference.startswith("#"):
        return None
    found = root
    for part in unquote(reference[1:]).split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, dict) or key not in found:
            return None
        found = found[key]
    return found


def _options(said: Mapping[str, Any]) -> tuple[Option, ...]:
    """Of `enum`, of `const`, and of `oneOf` with a constant each."""
    if "const" in said:
        return (Option(said["const"], _name(said["const"])),)
    named = said.get("oneOf")
    if isinstance(named, list) and named and all(isinstance(way, dict) and "const" in way for way in named):
        found = [Option(way["const"], str(way.get("title") or _name(way["const"]))) for way in named]
    else:
        values = said.get("enum")
        found = [Option(value, _name(value)) for value in values] if isinstance(values, list) else []
    return tuple(found) if len(found) <= _OPTIONS_MAX else ()


def _name(value: Any) -> str:
    if isinstance(value, str):
        return value or "(empty)"
    return {"null": "(nothing)", "true": "yes", "false": "no"}.get(text := as_text(value), text)


def _line_kind(said: Mapping[str, Any], value: str) -> Kind:
    if said.get("format") == "date" and (not value or _DATE.fullmatch(value)):
        return "date"
    most = said.get("maxLength")
    long = isinstance(most, int) and most > _LONG and said.get("format") is None
    return "lines" if long or len(value) > _LONG or _BETWEEN.search(value) else "line"


def _hint(said: Mapping[str, Any]) -> str:
    """What the schema asks for that a person can be told in words."""
    told = []
    for key, text in _HINTS.items():
        held = said.get(key)
        if isinstance(held, int | float) and not isinstance(held, bool):
            told.append(text.format(f"{held:,}"))
    if isinstance(form := said.get("format"), str):
        told.append(_FORMATS.get(form, ""))
    if "default" in said:
        told.append(f"usually {_name(said['default'])[:100]}")
    return "; ".join(filter(None, told))


_HINTS: Final = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
    "multipleOf": "a multiple of {}",
    "maxLength": "at most {} characters",
    "maxItems": "at most {} entries",
}
_FORMATS: Final = {
    "date": "such as 2026-01-31",
    "date-time": "such as 2026-01-31T12:00:00Z",
    "time": "such as 12:00:00Z",
    "duration": "such as P1D or PT8H",
    "email": "an e-mail address",
    "uri": "an address such as https://example.com",
}


def _is_line(value: Any) -> bool:
    """It can stand on a line of its own, and nobody loses blanks around it."""
    return isinstance(value, str) and value.strip() == value != "" and not _BETWEEN.search(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _each_once(values: list[Any], options: tuple[Option, ...]) -> bool:
    places = [next((n for n, option in enumerate(options) if same(option.value, value)), -1) for value in values]
    return -1 not in places and len(set(places)) == len(places)
