"""Labels: what a schema says of the values that it describes.

Three keywords, anywhere in a JSON Schema, ignored by validators:

    x-data-class: personal        a class, or a list of classes
    x-untrusted: true             a stranger wrote it; false on events: whoever sends them is trusted
    x-detect: true                personal data may stand in this text: `personal`, unless it was looked for in vain;
                                  a class, where it is to be another one

A label holds for the value and everything below it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from segue.dsl.flows.traced import ITEM, Path

CLASS: Final = "x-data-class"
UNTRUSTED: Final = "x-untrusted"
PERSONAL: Final = "personal"
DETECT: Final = "x-detect"
_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_PARTS_MAX: Final = 20_000
"""How many parts of a schema are read; references can unfold a short one without end."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What is known of a value.

    Attributes:
        classes: Data classes, such as `personal`.
        untrusted: Somebody outside wrote it, so it may try to give orders.
        sources: The connections it comes from; `input` for what started the run.
    """

    classes: frozenset[str] = frozenset()
    untrusted: bool = False
    sources: frozenset[str] = frozenset()

    def __or__(self, other: Labels) -> Labels:
        return Labels(self.classes | other.classes, self.untrusted or other.untrusted, self.sources | other.sources)

    def __bool__(self) -> bool:
        return bool(self.classes) or self.untrusted


NO_LABELS: Final = Labels()


def detected_places(schema: Any) -> dict[Path, Labels]:
    """Where a schema wants personal data to be looked for, and the class of what is found there."""
    return declared_labels(_only_detect(schema))


def _only_detect(schema: Any) -> Any:
    """The schema without the labels that hold whatever stands there."""
    if isinstance(schema, dict):
        return {key: _only_detect(held) for key, held in schema.items() if not _is_word(key, held, CLASS, UNTRUSTED)}
    return [_only_detect(held) for held in schema] if isinstance(schema, list) else schema


def without_detected(schema: Any) -> Any:
    """The schema as if nothing had to be looked for."""
    if isinstance(schema, dict):
        return {key: without_detected(held) for key, held in schema.items() if not _is_word(key, held, DETECT)}
    return [without_detected(held) for held in schema] if isinstance(schema, list) else schema


def _is_word(key: str, held: Any, *words: str) -> bool:
    """It is one of our keywords, and no property of that name."""
    return key in words and not isinstance(held, dict)


def declared_labels(schema: Any) -> dict[Path, Labels]:
    """The labels of a schema by the path of the value that they hold for; the empty path is the whole value.

    What is not followed (references that lead nowhere known, schemas that unfold to too much) has every label that
    stands anywhere in the schema: too much, never too little.
    """
    everything = _everywhere(schema)
    if not everything:
        return {}
    return _Reading(schema, everything).read()


def _everywhere(schema: Any) -> Labels:
    found, pending = NO_LABELS, [schema]
    while pending:
        part = pending.pop()
        if isinstance(part, dict):
            found |= _own(part)
            pending.extend(part.values())
        elif isinstance(part, list):
            pending.extend(part)
    return found


def is_vouched_for(schema: Any) -> bool:
    """A schema of an array says `x-untrusted: false` of it or its items: its author trusts whoever sends them."""
    if not isinstance(schema, dict):
        return False
    items = schema.get("items")
    return schema.get(UNTRUSTED) is False or (isinstance(items, dict) and items.get(UNTRUSTED) is False)


def labels_at(declared: Mapping[Path, Labels], path: Path) -> Labels:
    """What holds for the value at `path`: the labels on it, above it and, as it contains them, below it."""
    total = NO_LABELS
    for place, labels in declared.items():
        if all(_same(a, b) for a, b in zip(place, path, strict=False)):
            total |= labels
    return total


def _same(declared: str, read: str) -> bool:
    return declared == read or ITEM in (declared, read)


class _Reading:
    """One schema, read part by part."""

    def __init__(self, root: Any, everything: Labels) -> None:
        self._root = root
        self._everything = everything
        self._found: dict[Path, Labels] = {}
        self._named = _named(root)

    def read(self) -> dict[Path, Labels]:
        pending: list[tuple[Any, Path, frozenset[str]]] = [(self._root, (), frozenset())]
        for _ in range(_PARTS_MAX):
            if not pending:
                return self._found
            schema, path, seen = pending.pop()
            if isinstance(schema, dict):
                self._put(path, _own(schema))
                pending.extend(self._referred(schema, path, seen))
                pending.extend((part, place, seen) for part, place in _parts(schema, path))
        return {(): self._everything}

    def _put(self, path: Path, labels: Labels) -> None:
        if labels:
            self._found[path] = self._found.get(path, NO_LABELS) | labels

    def _referred(
        self, schema: dict[str, Any], path: Path, seen: frozenset[str]
    ) -> Iterator[tuple[Any, Path, frozenset[str]]]:
        for key in _REFERENCES:
            reference = schema.get(key)
            if not isinstance(reference, str):
                continue
            found = self._named.get(reference) if key == "$ref" else None
            if found is None and key == "$ref":
                found = _resolved(self._root, reference)
            if found is None or reference in seen:
                # A schema that refers to itself is a tree without end: from here on, any of its labels may hold.
                self._put(path, self._everything)
            else:
                yield found, path, seen | {reference}
        if schema.get("propertyNames") or schema.get("contentSchema"):
            # Keys are told with the object that has them, and what a text holds with the text.
            self._put(path, _everywhere([schema.get("propertyNames"), schema.get("contentSchema")]))


def _parts(schema: dict[str, Any], path: Path) -> Iterator[tuple[Any, Path]]:
    for key in ("allOf", "anyOf", "oneOf", "then", "else", "if"):
        listed = schema.get(key)
        yield from ((part, path) for part in (listed if isinstance(listed, list) else [listed]))
    for key in ("dependentSchemas", "dependencies"):
        yield from ((part, path) for part in _object(schema.get(key)).values())
    for name, part in _object(schema.get("properties")).items():
        yield part, (*path, str(name))
    for part in _object(schema.get("patternProperties")).values():
        yield part, (*path, ITEM)
    items = schema.get("items")
    yield from ((part, (*path, ITEM)) for part in (items if isinstance(items, list) else [items]))
    yield from ((part, (*path, ITEM)) for part in _listed(schema.get("prefixItems")))
    for key in ("additionalProperties", "unevaluatedProperties", "contains", "additionalItems", "unevaluatedItems"):
        yield schema.get(key), (*path, ITEM)


def _named(root: Any) -> dict[str, Any]:
    """Parts of a schema that have names of their own, by how a reference writes them."""
    found: dict[str, Any] = {}
    pending = [root]
    while pending:
        part = pending.pop()
        if isinstance(part, dict):
            for key, sign in (("$anchor", "#"), ("$dynamicAnchor", "#"), ("$id", "")):
                if isinstance(name := part.get(key), str):
                    found.setdefault(sign + name, part)
            pending.extend(part.values())
        elif isinstance(part, list):
            pending.extend(part)
    return found


def _own(schema: dict[str, Any]) -> Labels:
    written = schema.get(CLASS)
    classes = written if isinstance(written, list) else [written] if written is not None else []
    named = frozenset(str(name) for name in classes if not isinstance(name, dict | list))
    if (detect := schema.get(DETECT)) is True or isinstance(detect, str):
        named |= {detect if isinstance(detect, str) else PERSONAL}
    return Labels(named, schema.get(UNTRUSTED) is True)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _resolved(root: Any, reference: str) -> Any:
    """The part of the schema that a local reference names; None for any other reference."""
    if not reference.startswith("#"):
        return None
    at = root
    for key in unquote(reference[1:]).split("/")[1:]:
        name = key.replace("~1", "/").replace("~0", "~")
        if isinstance(at, list):
            at = at[int(name)] if name.isdigit() and int(name) < len(at) else None
        else:
            at = at.get(name) if isinstance(at, dict) else None
    return at
