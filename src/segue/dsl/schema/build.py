"""Small words to write JSON Schema with."""

from __future__ import annotations

from typing import Any, Final

Schema = dict[str, Any]

_MORE: Final = r"[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*"
SEMVER_PATTERN: Final = rf"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-{_MORE})?(\+{_MORE})?$"
LABEL_PATTERN: Final = r"^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$"
VARIABLE_PATTERN: Final = r"^[A-Za-z_][A-Za-z0-9_]*$"


def ref(name: str, description: str = "") -> Schema:
    """A reference to a definition of the bundle."""
    found: Schema = {"$ref": f"#/$defs/{name}"}
    if description:
        found["description"] = description
    return found


def text(description: str = "", **more: Any) -> Schema:
    """Text."""
    return _described({"type": "string", **more}, description)


def words(*values: str, description: str = "", **more: Any) -> Schema:
    """One of a few words."""
    return _described({"type": "string", "enum": list(values), **more}, description)


def flag(description: str = "", **more: Any) -> Schema:
    """True or false."""
    return _described({"type": "boolean", **more}, description)


def whole(description: str = "", **more: Any) -> Schema:
    """A whole number."""
    return _described({"type": "integer", **more}, description)


def anything(description: str = "") -> Schema:
    """Any value."""
    return _described({}, description)


def free(description: str = "") -> Schema:
    """An object with any keys."""
    return _described({"type": "object"}, description)


def closed(title: str, properties: dict[str, Schema], *, required: tuple[str, ...] = (), **more: Any) -> Schema:
    """An object with these keys and no others."""
    found: Schema = {"title": title, "type": "object", "properties": properties, "additionalProperties": False}
    if required:
        found["required"] = list(required)
    return found | more


def exactly_one(title: str, properties: dict[str, Schema], keys: tuple[str, ...], **more: Any) -> Schema:
    """A closed object of which exactly one of `keys` must be present."""
    return closed(title, properties, oneOf=[{"required": [key]} for key in keys], **more)


def many(items: Schema, description: str = "", **more: Any) -> Schema:
    """A list."""
    return _described({"type": "array", "items": items, **more}, description)


def named(values: Schema, description: str = "", **more: Any) -> Schema:
    """A map from names to values of one kind."""
    return _described({"type": "object", "additionalProperties": values, **more}, description)


def single(values: Schema, title: str) -> Schema:
    """A map of exactly one key."""
    return {
        "title": title,
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": values,
    }


def either(*kinds: Schema, description: str = "", **more: Any) -> Schema:
    """One of several forms, told apart by their type or by their keys."""
    return _described({"oneOf": list(kinds), **more}, description)


def expression(description: str = "") -> Schema:
    """An expression, with or without `${ }`."""
    return text(description, minLength=1)


def _described(schema: Schema, description: str) -> Schema:
    return {"description": description, **schema} if description else schema
