"""Labels: what a schema says of the values that it describes.

Two keywords, anywhere in a JSON Schema, ignored by validators:

    x-data-class: personal        a class, or a list of classes
    x-untrusted: true             a stranger wrote it; false on events: whoever sends them is trusted

A label holds for the value and everything below it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from segue.dsl.flows.traced import ITEM, Path

CLASS: Final = "x-data-class"
UNTRUSTED: Final = "x-untrusted"
_REFERENCES_MAX: Final = 64
"""How many references deep a schema is read; one that refers to itself is a tree without end."""


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


def declared_labels(schema: Any) -> dict[Path, Labels]:
    """The labels of a schema by the path of the value that they hold for; the empty path is the whole value."""
    found: dict[Path, Labels] = {}
    for path, labels in _walk(schema, schema, (), ()):
        found[path] = found.get(path, NO_LABELS) | labels
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


def _walk(schema: Any, root: Any, path: Path, seen: tuple[str, ...]) -> Iterator[tuple[Path, Labels]]:
    if not isinstance(schema, dict):
        return
    labels = _own(schema)
    if labels:
        yield path, labels
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference not in seen and len(seen) < _REFERENCES_MAX:
        yield from _walk(_resolved(root, reference), root, path, (*seen, reference))
    for key in ("allOf", "anyOf", "oneOf", "then", "else", "if"):
        listed = schema.get(key)
        for part in listed if isinstance(listed, list) else [listed]:
            yield from _walk(part, root, path, seen)
    for name, part in _object(schema.get("properties")).items():
        yield from _walk(part, root, (*path, str(name)), seen)
    for part in (*_object(schema.get("patternProperties")).values(), schema.get("additionalProperties")):
        yield from _walk(part, root, (*path, ITEM), seen)
    for part in (schema.get("items"), schema.get("contains"), *_listed(schema.get("prefixItems"))):
        yield from _walk(part, root, (*path, ITEM), seen)


def _own(schema: dict[str, Any]) -> Labels:
    written = schema.get(CLASS)
    classes = written if isinstance(written, list) else [written] if written is not None else []
    return Labels(frozenset(str(name) for name in classes), schema.get(UNTRUSTED) is True)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _resolved(root: Any, reference: str) -> Any:
    """The part of the schema that a local reference names; None for any other reference."""
    if not reference.startswith("#"):
        return None
    at = root
    for key in reference[1:].split("/")[1:]:
        name = key.replace("~1", "/").replace("~0", "~")
        at = at.get(name) if isinstance(at, dict) else None
    return at
