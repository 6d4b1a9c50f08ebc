"""Bodies become what is kept of a person or a group, whatever case, order and extras a directory sends.

Source: RFC 7643, sections 2.1 to 2.5. That booleans come as text is among the known issues which Microsoft lists for
the provisioning service of Entra ID.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

import msgspec

from segue.service.scim.refusals import ScimRefusal
from segue.service.scim.schemas import TEXT_MAX, Attribute, Kind

_TRUE: Final = {"true": True, "false": False}


def kept_of(body: Any, kind: Kind) -> dict[str, Any]:
    """What is kept of the body of a POST or PUT.

    Raises:
        ScimRefusal: `invalidSyntax` or `invalidValue`, naming the attribute.
    """
    if not isinstance(body, Mapping):
        raise ScimRefusal("invalidSyntax", "The body is no JSON object.")
    given: dict[str, Any] = {}
    for name, value in body.items():
        attribute = None if kind.drops(name) else kind.attribute(name)
        # What nobody here knows is left out, as what is read only is: the answer shows what was kept.
        if attribute is not None and not attribute.read_only:
            given[attribute.name] = value
    return checked(given, kind)


def checked(given: Mapping[str, Any], kind: Kind) -> dict[str, Any]:
    """Values of the right type and size, without empty ones.

    Raises:
        ScimRefusal: `invalidValue`, naming the attribute.
    """
    kept: dict[str, Any] = {}
    for attribute in (*kind.attributes, kind.attribute("externalId")):
        assert attribute is not None
        value = given.get(attribute.name)
        if attribute.read_only or value is None:
            continue
        found = value_of(attribute, value)
        if found not in ("", [], {}):
            kept[attribute.name] = found
    missing = [attribute.name for attribute in kind.attributes if attribute.required and not kept.get(attribute.name)]
    if missing:
        raise ScimRefusal("invalidValue", f"{missing[0]} is missing.")
    return kept


def value_of(attribute: Attribute, value: Any) -> Any:
    """A value as this attribute keeps it.

    Raises:
        ScimRefusal: `invalidValue`.
    """
    if not attribute.multi:
        return _single(attribute, value)
    items = value if isinstance(value, list) else [value]
    if len(items) > attribute.max:
        raise ScimRefusal("invalidValue", f"{attribute.name} has more than {attribute.max} values.")
    found = (_single(attribute, item) for item in items if item is not None)
    return [item for item in found if item.get("value")]


def _single(attribute: Attribute, value: Any) -> Any:
    if attribute.type == "complex":
        if attribute.multi and isinstance(value, str):
            value = {"value": value}
        if not isinstance(value, Mapping):
            raise _wrong(attribute, "an object")
        return _complex(attribute, value)
    if attribute.type == "boolean":
        # Entra ID writes "False" where the standard has false.
        known = _TRUE.get(value.lower(), value) if isinstance(value, str) else value
        if not isinstance(known, bool):
            raise _wrong(attribute, "true or false")
        return known
    if not isinstance(value, str):
        raise _wrong(attribute, "text")
    if len(value) > TEXT_MAX:
        raise ScimRefusal("invalidValue", f"{attribute.name} has more than {TEXT_MAX} characters.")
    if any(ord(character) < 32 for character in value):
        raise _wrong(attribute, "text of one line")
    return value.strip()


def _complex(attribute: Attribute, value: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, part in value.items():
        sub = attribute.sub(name)
        if sub is not None and not sub.read_only and part is not None:
            found = _single(sub, part)
            if found != "":
                kept[sub.name] = found
    return kept


def _wrong(attribute: Attribute, what: str) -> ScimRefusal:
    return ScimRefusal("invalidValue", f"{attribute.name} must be {what}.")


def version_of(resource: Mapping[str, Any]) -> str:
    """The entity tag of a resource: whatever changes in what is shown changes it (RFC 7644, section 3.14)."""
    return f'W/"{sha256(msgspec.json.encode(resource, order="deterministic")).hexdigest()[:16]}"'
