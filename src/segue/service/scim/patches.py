"""PATCH: operations on a copy of what is kept; all of them count, or none.

What directories send differs from the letter of the RFC, and is understood where it can mean one thing only:
operators in capitals, names with dots in a value without a path, one value where a list belongs, `remove` of members
that stand in the value, and a replacement of `emails[type eq "work"].value` where there is no such address yet.

Source: RFC 7644, section 3.5.2; the SCIM pages of Entra ID and Okta that docs/scim.md names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from segue.service.scim.filters import Path, equalities, matches, parse_path
from segue.service.scim.refusals import ScimRefusal
from segue.service.scim.resources import checked, value_of
from segue.service.scim.schemas import Attribute, Kind

OPERATIONS_MAX: Final = 1_000
_WORDS: Final = frozenset({"add", "replace", "remove"})
_NOT_TOLD: Final = frozenset({"id", "schemas", "meta"})


def patched(kept: Mapping[str, Any], body: Any, kind: Kind) -> dict[str, Any]:
    """What is kept after all operations of a body.

    Raises:
        ScimRefusal: `invalidSyntax`, `invalidPath`, `noTarget`, `mutability` or `invalidValue`.
    """
    given = {name.lower(): value for name, value in body.items()} if isinstance(body, Mapping) else {}
    operations = given.get("operations")
    if not isinstance(operations, list) or not operations:
        raise ScimRefusal("invalidSyntax", "The body has no list `Operations`.")
    if len(operations) > OPERATIONS_MAX:
        raise ScimRefusal("invalidValue", f"There are more than {OPERATIONS_MAX} operations.")
    resource = _copied(kept)
    for operation in operations:
        _apply(resource, operation, kind)
    return checked(resource, kind)


def _copied(kept: Mapping[str, Any]) -> dict[str, Any]:
    """As deep as resources are: a general copy takes ten times as long for a large group."""
    return {
        name: [dict(item) for item in value]
        if isinstance(value, list)
        else dict(value)
        if isinstance(value, dict)
        else value
        for name, value in kept.items()
    }


def _apply(resource: dict[str, Any], operation: Any, kind: Kind) -> None:
    given = {name.lower(): value for name, value in operation.items()} if isinstance(operation, Mapping) else {}
    word = given.get("op")
    word = word.lower() if isinstance(word, str) else ""
    if word not in _WORDS:
        raise ScimRefusal("invalidSyntax", "Each operation has an `op`: add, replace or remove.")
    path, value = given.get("path"), given.get("value")
    if path is not None and not isinstance(path, str):
        raise ScimRefusal("invalidPath", "A path is text.")
    if path:
        _at(resource, word, path, value, kind)
        return
    if word == "remove":
        raise ScimRefusal("noTarget", "`remove` needs a path.")
    if not isinstance(value, Mapping):
        raise ScimRefusal("invalidValue", "An operation without a path has an object as its value.")
    for name, part in value.items():
        # Said along by some clients; a change of it could not be meant.
        if name.lower() not in _NOT_TOLD:
            _at(resource, word, name, part, kind)


def _at(resource: dict[str, Any], word: str, text: str, value: Any, kind: Kind) -> None:
    if kind.drops(kind.plain(text)):
        return
    path = parse_path(text, kind)
    if path.attribute.read_only:
        raise ScimRefusal("mutability", f"{path.attribute.name} is not for clients to change.")
    # A null takes away, as in a replacement of the whole.
    if value is None:
        word = "remove"
    if path.attribute.multi:
        _several(resource, word, path, value)
    elif path.attribute.subs:
        _parts(resource, word, path, value)
    elif word == "remove":
        resource.pop(path.attribute.name, None)
    else:
        resource[path.attribute.name] = value_of(path.attribute, value)


def _parts(resource: dict[str, Any], word: str, path: Path, value: Any) -> None:
    """A complex attribute that there is once, as `name`."""
    name = path.attribute.name
    if path.sub is None and word == "remove":
        resource.pop(name, None)
        return
    parts = resource.setdefault(name, {})
    if path.sub is None:
        parts.update(value_of(path.attribute, value))
    elif word == "remove":
        parts.pop(path.sub.name, None)
    else:
        parts[path.sub.name] = value_of(path.sub, value)


def _several(resource: dict[str, Any], word: str, path: Path, value: Any) -> None:
    """An attribute with several values, as `members`."""
    attribute = path.attribute
    items: list[dict[str, Any]] = resource.get(attribute.name) or []
    if path.inner is not None or path.sub is not None:
        resource[attribute.name] = _some(items, word, path, value)
    elif word == "remove":
        # Without a value all of them go; Entra ID names in it which ones.
        gone = None if value is None else {item["value"] for item in value_of(attribute, value)}
        resource[attribute.name] = [] if gone is None else [item for item in items if item.get("value") not in gone]
    elif word == "replace":
        resource[attribute.name] = _each_once(value_of(attribute, value))
    else:
        resource[attribute.name] = _each_once([*items, *value_of(attribute, value)])


def _some(items: list[dict[str, Any]], word: str, path: Path, value: Any) -> list[dict[str, Any]]:
    """Those values of an attribute that a path names, removed or changed."""
    chosen = [item for item in items if path.inner is None or matches(path.inner, item)]
    if word == "remove":
        if path.sub is None:
            ids = {id(item) for item in chosen}
            return [item for item in items if id(item) not in ids]
        for item in chosen:
            item.pop(path.sub.name, None)
        return items
    change = _change(path.attribute, path, value)
    if not chosen:
        said = None if path.inner is None else equalities(path.inner)
        if said is None:
            raise ScimRefusal("noTarget", f"No value of {path.attribute.name} fits the path.")
        return [*items, said | change]
    for item in chosen:
        item.update(change)
    return items


def _change(attribute: Attribute, path: Path, value: Any) -> dict[str, Any]:
    if path.sub is not None:
        return {path.sub.name: value_of(path.sub, value)}
    if isinstance(value, list):
        if len(value) != 1:
            raise ScimRefusal("invalidValue", f"One value of {attribute.name} is one object.")
        value = value[0]
    if not isinstance(value, Mapping):
        value = {"value": value}
    parts = ((attribute.sub(name), part) for name, part in value.items())
    return {
        sub.name: value_of(sub, part)
        for sub, part in parts
        if sub is not None and not sub.read_only and part is not None
    }


def _each_once(items: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Values that are not there yet; the newest parts of each count."""
    found: dict[tuple[Any, Any], dict[str, Any]] = {}
    for item in items:
        key = (item.get("value"), item.get("type"))
        found[key] = found.get(key, {}) | item
    return list(found.values())
