"""Schemas of API descriptions as checks: made self-contained, brought to one dialect, compiled once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import jsonschema_rs

from segue.connectors.documents import Document
from segue.types import fail

Direction = Literal["request", "response"]
Steps = tuple[str | int, ...]
"""A place in a value: the keys and indices that lead there."""

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_OF_SCHEMAS: Final = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_LISTS: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_SINGLE: Final = frozenset(
    {
        "items",
        "additionalProperties",
        "not",
        "if",
        "then",
        "else",
        "contains",
        "propertyNames",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
# Words that mean nothing to a check, or that would change the base of references.
_DROPPED: Final = frozenset(
    {"$id", "$schema", "example", "examples", "discriminator", "xml", "externalDocs", "nullable", "x-nullable"}
)
_SHOWN_ERRORS: Final = 3
# What an object or a list breaks by its own make, whatever the values in it are.
_OF_THE_OUTSIDE: Final = frozenset(
    {"required", "additionalProperties", "type", "minProperties", "maxProperties", "minItems", "maxItems"}
)
_SHOWN_CHARACTERS: Final = 200
_LABELS: Final = frozenset({"x-data-class", "x-untrusted"})

_BRANCHING: Final = frozenset({"if", "dependentSchemas"})


def self_contained(document: Document, schema: Any, direction: Direction) -> dict[str, Any]:
    """The schema in JSON Schema 2020-12, carrying everything it refers to in `$defs`.

    Fields that only answers carry are not demanded of requests, and the other way round.

    Raises:
        TaskFailure: `configuration`, when a reference leads nowhere.
    """
    return _Conversion(document, direction).run(schema)


class _Conversion:
    def __init__(self, document: Document, direction: Direction) -> None:
        self._document = document
        self._old = document.flavour != "3.1"
        self._absent = "readOnly" if direction == "request" else "writeOnly"
        self._names: dict[str, str] = {}
        self._waiting: list[str] = []

    def run(self, schema: Any) -> dict[str, Any]:
        top = self._convert(schema)
        definitions: dict[str, Any] = {}
        while self._waiting:
            reference = self._waiting.pop()
            definitions[self._names[reference]] = self._convert(self._document.resolve(reference))
        whole: dict[str, Any] = dict(top) if isinstance(top, dict) else {"allOf": [top]}
        if definitions:
            whole["$defs"] = dict(whole.get("$defs", {})) | definitions
        return whole

    def _convert(self, schema: Any) -> Any:
        if not isinstance(schema, dict):
            return schema if isinstance(schema, bool) else True
        reference = schema.get("$ref")
        if isinstance(reference, str) and self._old:
            # Before 3.1 what stands beside a reference is ignored; a label there was still meant.
            labels = {key: value for key, value in schema.items() if key in _LABELS}
            return {"$ref": self._defined(reference), **labels}
        out: dict[str, Any] = {}
        for key, value in schema.items():
            if key in _DROPPED:
                continue
            out[key] = self._keyword(key, value)
        if self._old:
            self._modernise(schema, out)
        self._relax_required(schema, out)
        return out

    def _keyword(self, key: str, value: Any) -> Any:
        if key == "$ref" and isinstance(value, str):
            return self._defined(value)
        if key in _OF_SCHEMAS and isinstance(value, dict):
            return {name: self._convert(item) for name, item in value.items()}
        if key in _LISTS and isinstance(value, list):
            return [self._convert(item) for item in value]
        if key in _SINGLE:
            return self._convert(value)
        return value

    def _defined(self, reference: str) -> str:
        if reference not in self._names:
            last = reference.rsplit("/", 1)[-1].replace("~", "-").replace("%", "-") or "root"
            name = last if last not in self._names.values() else f"{last}-{len(self._names)}"
            self._names[reference] = name
            self._waiting.append(reference)
        return f"#/$defs/{self._names[reference]}"

    def _modernise(self, schema: dict[str, Any], out: dict[str, Any]) -> None:
        for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
            if isinstance(out.get(exclusive), bool) and out.pop(exclusive) and bound in out:
                out[exclusive] = out.pop(bound)
        if out.get("type") == "file":
            del out["type"]
        if schema.get("nullable") is True or schema.get("x-nullable") is True:
            if isinstance(out.get("type"), str):
                out["type"] = [out["type"], "null"]
            if isinstance(out.get("enum"), list) and None not in out["enum"]:
                out["enum"] = [*out["enum"], None]

    def _relax_required(self, schema: dict[str, Any], out: dict[str, Any]) -> None:
        required, properties = out.get("required"), schema.get("properties")
        if isinstance(required, bool):  # a parameter of 2.0 carries its own `required` beside its type
            del out["required"]
        if not isinstance(required, list) or not isinstance(properties, dict):
            return
        kept = [name for name in required if not self._is_absent(properties.get(name))]
        out["required"] = kept

    def _is_absent(self, schema: Any) -> bool:
        return isinstance(schema, dict) and schema.get(self._absent) is True


class Check:
    """A compiled schema.

    Args:
        schema: A self-contained schema.
        what: What is checked, for messages: `argument 'limit'`.
    """

    __slots__ = ("_validator", "schema", "what")

    def __init__(self, schema: dict[str, Any], what: str) -> None:
        self.schema = schema
        self.what = what
        try:
            self._validator = jsonschema_rs.Draft202012Validator({**schema, "$schema": _DIALECT})
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
            raise fail("configuration", f"The schema of {what} cannot be used: {_short(str(error))}.") from None

    def fits(self, value: Any) -> bool:
        """Whether the value is valid."""
        return self._validator.is_valid(value)

    def __call__(self, value: Any) -> None:
        """Pass a valid value.

        Raises:
            TaskFailure: `validation`, naming each place and what is wrong there.
        """
        if self._validator.is_valid(value):
            return
        found: list[str] = []
        for error in self._validator.iter_errors(value):
            place = "".join(f"/{step}" for step in error.instance_path)
            found.append(f"{f'at {place}: ' if place else ''}{_short(error.message)}")
            if len(found) == _SHOWN_ERRORS:
                break
        raise fail(
            "validation", f"{self.what[0].upper()}{self.what[1:]} does not fit its schema: {'; '.join(found)}."
        )

    def foresee(self, value: Any, unknown: Sequence[Steps]) -> list[tuple[Steps, str]]:
        """What is wrong whatever the parts that are not known yet turn out to be: places and messages.

        Args:
            unknown: The places of what is not known; what stands there now means nothing.
        """
        if unknown and _depends_on_values(self.schema):
            return []
        found = []
        for error in self._validator.iter_errors(value):
            place, rule = tuple(error.instance_path), [str(step) for step in error.schema_path]
            if any(place[: len(steps)] == steps for steps in unknown):
                continue
            holds_unknown = any(steps[: len(place)] == place for steps in unknown)
            if holds_unknown and not _OF_THE_OUTSIDE.intersection(rule[-1:]):
                continue
            found.append((place, _short(error.message)))
        return found


def _depends_on_values(schema: Any) -> bool:
    """Which of its rules hold for one value may depend on another one."""
    if isinstance(schema, dict):
        return not _BRANCHING.isdisjoint(schema) or any(map(_depends_on_values, schema.values()))
    return isinstance(schema, list) and any(map(_depends_on_values, schema))


def _short(text: str) -> str:
    line = " ".join(text.split()).rstrip(".")
    return line if len(line) <= _SHOWN_CHARACTERS else line[:_SHOWN_CHARACTERS] + "…"
