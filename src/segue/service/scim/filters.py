"""Filters and paths of SCIM: text becomes a tree, and the tree is asked of a resource. Nothing is evaluated as code.

    userName eq "ann@example.com" and (active eq true or emails[type eq "work" and value co "@example.com"])

The parser is a recursive descent over the grammar of the RFC; length, nesting and terms are bounded, so no filter is
large work. Names of attributes and operators are the same in any case.

Source: RFC 7644, sections 3.4.2.2 and 3.5.2; figure 1 is the grammar.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from segue.service.scim.refusals import ScimRefusal

if TYPE_CHECKING:
    from segue.service.scim.schemas import Attribute, Kind

FILTER_MAX: Final = 2_000
"""Characters of a filter or path."""
_DEPTH_MAX: Final = 10
_TERMS_MAX: Final = 60
_TOKEN: Final = re.compile(
    r'\s*(?:(?P<text>"(?:[^"\\]|\\.)*")|(?P<mark>[()\[\]])|(?P<number>-?\d[\d.eE+-]*)|(?P<sub>\.[A-Za-z$][\w$-]*)'
    r"|(?P<word>[A-Za-z$][\w$.:-]*))"
)
_OPERATORS: Final = frozenset({"eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"})
_LITERALS: Final = {"true": True, "false": False, "null": None}


class Compare(msgspec.Struct, frozen=True):
    """`attribute operator value`; `pr` has no value."""

    attribute: Attribute
    sub: Attribute | None
    operator: str
    value: Any = None


class Within(msgspec.Struct, frozen=True):
    """`attribute[filter]`: one value of a multi-valued attribute fits the whole filter."""

    attribute: Attribute
    inner: Filter


class Junction(msgspec.Struct, frozen=True):
    """All (`and`) or any (`or`) of several."""

    every: bool
    parts: tuple[Filter, ...]


class Negation(msgspec.Struct, frozen=True):
    """`not (…)`."""

    inner: Filter


Filter = Compare | Within | Junction | Negation


class Path(msgspec.Struct, frozen=True):
    """Where a PATCH operation applies: `attribute`, `attribute.sub`, `attribute[filter]`, `attribute[filter].sub`."""

    attribute: Attribute
    inner: Filter | None = None
    sub: Attribute | None = None


def parse_filter(text: str, kind: Kind) -> Filter:
    """A filter over resources of this kind.

    Raises:
        ScimRefusal: `invalidFilter`, naming the place.
    """
    parser = _Parser(text, kind, "invalidFilter")
    found = parser.disjunction(kind.attribute)
    parser.require_end()
    return found


def parse_path(text: str, kind: Kind) -> Path:
    """A path of a PATCH operation.

    Raises:
        ScimRefusal: `invalidPath`, naming the place.
    """
    parser = _Parser(kind.plain(text.strip()), kind, "invalidPath")
    found = parser.path()
    parser.require_end()
    return found


def matches(wanted: Filter, resource: Mapping[str, Any]) -> bool:
    """The resource fits."""
    match wanted:
        case Junction(every=every, parts=parts):
            return (all if every else any)(matches(part, resource) for part in parts)
        case Negation(inner=inner):
            return not matches(inner, resource)
        case Within(attribute=attribute, inner=inner):
            values = resource.get(attribute.name) or []
            return any(matches(inner, item) for item in values if isinstance(item, Mapping))
        case Compare():
            return _compares(wanted, list(_values(wanted, resource)))


def named_in(wanted: Filter) -> Iterator[str]:
    """Names of the attributes that a filter reads."""
    match wanted:
        case Junction(parts=parts):
            for part in parts:
                yield from named_in(part)
        case Negation(inner=inner):
            yield from named_in(inner)
        case Within(attribute=attribute) | Compare(attribute=attribute):
            yield attribute.name


def equalities(wanted: Filter) -> dict[str, Any] | None:
    """What an `and` of `eq` says as an object; None where the filter says anything else."""
    match wanted:
        case Compare(attribute=attribute, sub=None, operator="eq", value=value):
            return {attribute.name: value}
        case Junction(every=True, parts=parts):
            said: dict[str, Any] = {}
            for part in parts:
                found = equalities(part)
                if found is None:
                    return None
                said |= found
            return said
    return None


def _values(wanted: Compare, resource: Mapping[str, Any]) -> Iterator[Any]:
    found = resource.get(wanted.attribute.name)
    for item in found if isinstance(found, list) else [found]:
        if isinstance(item, Mapping):
            # A complex value that is compared as such means its `value`.
            item = item.get("value" if wanted.sub is None else wanted.sub.name)
        if item is not None and item != "":
            yield item


def _compares(wanted: Compare, values: list[Any]) -> bool:
    if wanted.operator == "pr":
        return bool(values)
    if wanted.value is None:
        return bool(values) == (wanted.operator == "ne")
    about = wanted.sub or wanted.attribute
    folded = _folded(about)
    asked = folded(wanted.value)
    if wanted.operator == "ne":
        return all(folded(value) != asked for value in values)
    test = _TESTS[wanted.operator]
    return any(type(given) is type(asked) and test(given, asked) for given in map(folded, values))


def _folded(about: Attribute) -> Callable[[Any], Any]:
    if about.exact:
        return lambda value: value
    return lambda value: value.casefold() if isinstance(value, str) else value


_TESTS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "eq": lambda given, asked: given == asked,
    "co": lambda given, asked: asked in given,
    "sw": lambda given, asked: given.startswith(asked),
    "ew": lambda given, asked: given.endswith(asked),
    "gt": lambda given, asked: given > asked,
    "ge": lambda given, asked: given >= asked,
    "lt": lambda given, asked: given < asked,
    "le": lambda given, asked: given <= asked,
}
Resolve = Callable[[str], "Attribute | None"]


class _Parser:
    """One text, read from left to right."""

    def __init__(self, text: str, kind: Kind, scim_type: str) -> None:
        self._kind = kind
        self._scim_type = scim_type
        if len(text) > FILTER_MAX:
            raise self._refused(f"it has more than {FILTER_MAX} characters")
        self._tokens = list(self._read(text))
        self._next = 0
        self._depth = 0
        self._terms = 0

    def disjunction(self, resolve: Resolve) -> Filter:
        """`a or b or …`; `and` binds closer."""
        parts = [self._conjunction(resolve)]
        while self._takes("word", "or"):
            parts.append(self._conjunction(resolve))
        return parts[0] if len(parts) == 1 else Junction(False, tuple(parts))

    def path(self) -> Path:
        """A path of a PATCH operation."""
        attribute, sub = self._attribute(self._take("word", "the name of an attribute"), self._kind.attribute)
        inner: Filter | None = None
        if sub is None and self._takes("mark", "["):
            inner = self._inside(attribute)
            if self._peek()[0] == "sub":
                name = self._take("sub", "a sub-attribute")[1:]
                sub = attribute.sub(name)
                if sub is None:
                    raise self._refused(f"{attribute.name} has no part {name!r}")
        return Path(attribute, inner, sub)

    def require_end(self) -> None:
        """Nothing is left over."""
        if self._next < len(self._tokens):
            raise self._refused(f"{self._tokens[self._next][1][:40]!r} is not expected there")

    def _conjunction(self, resolve: Resolve) -> Filter:
        parts = [self._term(resolve)]
        while self._takes("word", "and"):
            parts.append(self._term(resolve))
        return parts[0] if len(parts) == 1 else Junction(True, tuple(parts))

    def _term(self, resolve: Resolve) -> Filter:
        self._terms += 1
        if self._terms > _TERMS_MAX:
            raise self._refused(f"it has more than {_TERMS_MAX} terms")
        # An attribute could be called `not`; none of ours is.
        negated = self._takes("word", "not")
        if self._takes("mark", "("):
            inner = self._deeper(lambda: self.disjunction(resolve))
            self._require(")")
            return Negation(inner) if negated else inner
        if negated:
            raise self._refused("`not` stands before brackets")
        attribute, sub = self._attribute(self._take("word", "the name of an attribute"), resolve)
        if sub is None and self._takes("mark", "["):
            return Within(attribute, self._inside(attribute))
        operator = self._take("word", "an operator").lower()
        if operator == "pr":
            return Compare(attribute, sub, operator)
        if operator not in _OPERATORS:
            raise self._refused(f"{operator[:40]!r} is no operator")
        return self._comparison(attribute, sub, operator, self._value())

    def _comparison(self, attribute: Attribute, sub: Attribute | None, operator: str, value: Any) -> Compare:
        about = sub or attribute
        if about.type == "boolean":
            if isinstance(value, str) and value.lower() in ("true", "false"):
                value = value.lower() == "true"
            if operator not in ("eq", "ne") or not isinstance(value, bool | None):
                raise self._refused(f"{about.name} is true or false, and can be compared by `eq` and `ne`")
        elif not isinstance(value, str | None):
            raise self._refused(f"{about.name} is text, and is compared with text")
        elif value is None and operator not in ("eq", "ne"):
            raise self._refused(f"nothing can be {operator} null")
        return Compare(attribute, sub, operator, value)

    def _inside(self, attribute: Attribute) -> Filter:
        if not (attribute.multi and attribute.subs):
            raise self._refused(f"{attribute.name} has not several values with parts")
        inner = self._deeper(lambda: self.disjunction(attribute.sub))
        self._require("]")
        return inner

    def _attribute(self, name: str, resolve: Resolve) -> tuple[Attribute, Attribute | None]:
        first, _, rest = self._kind.plain(name).partition(".")
        attribute = resolve(first)
        sub = attribute.sub(rest) if attribute is not None and rest else None
        if attribute is None or (rest and sub is None):
            raise self._refused(f"there is no attribute {name[:80]!r}")
        return attribute, sub

    def _value(self) -> Any:
        kind, text = self._peek()
        self._next += 1
        if kind == "text" or kind == "number":
            try:
                return msgspec.json.decode(text.encode())
            except msgspec.DecodeError:
                raise self._refused(f"{text[:40]} is no value of JSON") from None
        if kind == "word" and text in _LITERALS:
            return _LITERALS[text]
        raise self._refused("a value is missing: text in quotation marks, true, false or null")

    def _deeper(self, read: Callable[[], Filter]) -> Filter:
        self._depth += 1
        if self._depth > _DEPTH_MAX:
            raise self._refused(f"it is nested deeper than {_DEPTH_MAX} times")
        found = read()
        self._depth -= 1
        return found

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._next] if self._next < len(self._tokens) else ("end", "")

    def _takes(self, kind: str, text: str) -> bool:
        given, said = self._peek()
        if given != kind or said.lower() != text:
            return False
        self._next += 1
        return True

    def _take(self, kind: str, what: str) -> str:
        given, text = self._peek()
        if given != kind:
            raise self._refused(f"{what} is missing")
        self._next += 1
        return text

    def _require(self, mark: str) -> None:
        if not self._takes("mark", mark):
            raise self._refused(f"{mark!r} is missing")

    def _read(self, text: str) -> Iterator[tuple[str, str]]:
        place, end = 0, len(text.rstrip())
        while place < end:
            found = _TOKEN.match(text, place)
            if found is None:
                raise self._refused(f"it cannot be read from {text[place : place + 20].strip()!r} on")
            assert found.lastgroup is not None
            yield found.lastgroup, found[found.lastgroup]
            place = found.end()

    def _refused(self, why: str) -> ScimRefusal:
        what = "filter" if self._scim_type == "invalidFilter" else "path"
        return ScimRefusal(self._scim_type, f"The {what} cannot be used: {why}.")
