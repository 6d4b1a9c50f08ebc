"""Structure: does a document have the form that the schema describes, and if not, what precisely is wrong.

A general JSON Schema validator answers "not valid under any of the given schemas" where a document may take
several forms. This one first decides which form was meant (by a task's keyword, by type, by the keys present)
and then complains about that form only. It understands just the words that `segue.dsl.schema` uses; a test holds
its verdicts against a complete validator's.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from segue.dsl.document import escape
from segue.dsl.schema import DEFS
from segue.dsl.schema.build import LABEL_PATTERN, SEMVER_PATTERN, VARIABLE_PATTERN, Schema

COMPLAINTS_MAX: Final = 1_001
"""One more than anybody wants to see, so that it shows that there were too many."""

_TYPES: Final[dict[str, Callable[[Any], bool]]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    # JSON Schema counts 1.0 as an integer.
    "integer": lambda value: isinstance(value, int | float) and not isinstance(value, bool) and value == int(value),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "null": lambda value: value is None,
}
_TYPE_WORDS: Final = {
    "object": "an object",
    "array": "a list",
    "string": "text",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "null": "null",
}
_PATTERN_WORDS: Final = {
    SEMVER_PATTERN: ("is no semantic version", "write three numbers in quotes, such as '1.0.0'"),
    LABEL_PATTERN: ("is no name of this kind", "use 1 to 63 letters, digits and hyphens, no dots or underscores"),
    VARIABLE_PATTERN: ("cannot be the name of a variable", "use letters, digits and underscores, no digit first"),
}


@dataclass(frozen=True, slots=True)
class Complaint:
    """A structural finding before it has a place in a file."""

    rule: str
    pointer: str
    message: str
    remedy: str = ""
    at_key: bool = False


class _Enough(Exception):
    """The walk stops."""


@dataclass(slots=True)
class Structure:
    """What the walk over one document found.

    Attributes:
        tainted: Pointers of values that do not have their form, and of everything around them. Whoever reads
            the document afterwards leaves the values themselves alone.
    """

    complaints: list[Complaint] = field(default_factory=list)
    tainted: set[str] = field(default_factory=set)

    def add(self, complaint: Complaint) -> None:
        """Note a complaint. A key too many spoils nothing, everything else spoils its value."""
        self.complaints.append(complaint)
        if len(self.complaints) >= COMPLAINTS_MAX:
            raise _Enough
        if complaint.rule != "unknown-key":
            pointer = complaint.pointer
            while pointer not in self.tainted:
                self.tainted.add(pointer)
                pointer = pointer.rpartition("/")[0]


def check_structure(value: Any, schema: Schema, pointer: str = "") -> Structure:
    """Compare a value with a schema of `segue.dsl.schema`.

    Args:
        pointer: Where the value stands in its document.
    """
    found = Structure()
    try:
        _walk(found, schema, value, pointer, _label_of(pointer))
    except _Enough:
        pass  # the findings are cut off at the same number, and nothing is compiled
    return found


def _walk(found: Structure, schema: Schema, value: Any, pointer: str, label: str) -> None:
    while "$ref" in schema:
        schema = DEFS[schema["$ref"].rpartition("/")[2]]
    kind = schema.get("type")
    if kind is not None and not _TYPES[kind](value):
        found.add(_wrong_type(value, (kind,), pointer, label))
        return
    if isinstance(value, dict):
        _walk_object(found, schema, value, pointer, label)
    elif isinstance(value, list):
        _walk_list(found, schema, value, pointer, label)
    else:
        _check_scalar(found, schema, value, pointer, label)


def _walk_object(found: Structure, schema: Schema, value: dict[str, Any], pointer: str, label: str) -> None:
    if schema.get("minProperties") == 1 == schema.get("maxProperties"):
        if len(value) != 1:
            found.add(_not_one_key(schema, value, pointer))
        _walk_values(found, schema, value, pointer)
        return
    if "oneOf" in schema and not _choose(found, schema, value, pointer, label):
        return
    properties = schema.get("properties")
    if properties is not None or schema.get("additionalProperties") is not None:
        _check_keys(found, schema, value, pointer, label)
        _walk_values(found, schema, value, pointer)
    if schema.get("minProperties", 0) > len(value):
        found.add(Complaint("out-of-range", pointer, f"{label} is empty", _allowed(properties or {})))
    for rule in schema.get("allOf", ()):
        _apply(found, rule, value, pointer, label)


def _walk_values(found: Structure, schema: Schema, value: dict[str, Any], pointer: str) -> None:
    properties: dict[str, Schema] = schema.get("properties", {})
    others = schema.get("additionalProperties")
    for key, held in value.items():
        below = properties.get(key) or (others if isinstance(others, dict) else None)
        if below:
            is_task = "x-keyword" in below or below.get("$ref") in ("#/$defs/task", "#/$defs/branchTask")
            _walk(found, below, held, f"{pointer}/{escape(key)}", f"task {key!r}" if is_task else f"`{key}`")


def _check_keys(found: Structure, schema: Schema, value: dict[str, Any], pointer: str, label: str) -> None:
    properties: dict[str, Schema] = schema.get("properties", {})
    if schema.get("additionalProperties") is False:
        for key in value:
            if key not in properties:
                found.add(_unknown_key(key, properties, pointer, label))
    for key in schema.get("required", ()):
        if key not in value:
            remedy = how_to_add(key, properties.get(key, {}))
            found.add(Complaint("missing-key", pointer, f"{label} lacks the key {key!r}", remedy))


def how_to_add(key: str, schema: Mapping[str, Any], *, under: str = "") -> str:
    """The remedy for a key that is missing: what to write, and what it is for.

    Args:
        schema: Of its value. under: The key of an object that is missing too, and that it belongs in.
    """
    written = f"{under}: {{{key}: …}}" if under else f"{key}: …"
    meant = schema.get("description", "")
    kind = f", of the type {schema['type']}" if not meant and isinstance(schema.get("type"), str) else ""
    return f"add `{written}`{kind}{': ' if meant else ''}{meant}"


def _walk_list(found: Structure, schema: Schema, value: list[Any], pointer: str, label: str) -> None:
    if "oneOf" in schema and not _choose(found, schema, value, pointer, label):
        return
    if schema.get("minItems", 0) > len(value):
        found.add(Complaint("out-of-range", pointer, f"{label} is empty", "give at least one entry"))
    items = schema.get("items")
    if items:
        for place, held in enumerate(value):
            _walk(found, items, held, f"{pointer}/{place}", f"entry {place} of {label}")


def _check_scalar(found: Structure, schema: Schema, value: Any, pointer: str, label: str) -> None:
    if "oneOf" in schema:
        _choose(found, schema, value, pointer, label)
        return
    if "enum" in schema and value not in schema["enum"]:
        near = _nearest(value, schema["enum"])
        remedy = f"{near}use one of {', '.join(map(str, schema['enum']))}"
        found.add(Complaint("value-not-allowed", pointer, f"{label} cannot be {_show(value)}", remedy))
    if isinstance(value, str):
        if not value and schema.get("minLength"):
            found.add(
                Complaint("out-of-range", pointer, f"{label} is empty", "write something, or leave the key out")
            )
        pattern = schema.get("pattern")
        if pattern is not None and not _regex(pattern).search(value):
            said, remedy = _PATTERN_WORDS[pattern]
            found.add(Complaint("wrong-form", pointer, f"{label}: {_show(value)} {said}", remedy))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        low, high = schema.get("minimum"), schema.get("maximum")
        if low is not None and value < low:
            found.add(Complaint("out-of-range", pointer, f"{label} is below {low}", f"{low} is the least"))
        if high is not None and value > high:
            found.add(Complaint("out-of-range", pointer, f"{label} is above {high}", f"{high} is the most"))


# -- which form was meant --------------------------------------------------------------------------


def _choose(found: Structure, schema: Schema, value: Any, pointer: str, label: str) -> bool:
    """Find the form that was meant and walk it; False when there is nothing more to say about the value."""
    forms: list[Schema] = [_resolved(form) for form in schema["oneOf"]]
    if all("required" in form and len(form) == 1 for form in forms):
        return _exactly_one(found, [form["required"][0] for form in forms], schema, value, pointer, label)
    if "x-keyword" in forms[0]:
        _walk_task(found, {form["x-keyword"]: form for form in forms}, value, pointer, label)
        return False
    fitting = [form for form in forms if _TYPES[form["type"]](value)]
    if not fitting:
        found.add(_wrong_type(value, [form["type"] for form in forms], pointer, label))
    elif len(fitting) == 1 or not isinstance(value, dict):
        _walk(found, fitting[0], value, pointer, label)
    else:
        _walk(found, max(fitting, key=lambda form: _likeness(form, value)), value, pointer, label)
    return False


def _likeness(form: Schema, value: dict[str, Any]) -> int:
    """How much an object looks like this form: keys that it knows."""
    properties = form.get("properties", {})
    return sum(key in properties for key in value)


def _exactly_one(
    found: Structure, keys: list[str], schema: Schema, value: dict[str, Any], pointer: str, label: str
) -> bool:
    present = [key for key in keys if key in value]
    if len(present) == 1:
        return True
    allowed = schema.get("properties", {})
    unknown = [key for key in value if allowed and key not in allowed]
    for key in unknown:
        found.add(_unknown_key(key, allowed, pointer, label))
    said = f"has {_and(present)} together" if present else f"has none of {', '.join(keys)}"
    found.add(Complaint("choose-one", pointer, f"{label} {said}", f"give exactly one of {', '.join(keys)}"))
    return False


def _walk_task(found: Structure, kinds: dict[str, Schema], value: Any, pointer: str, label: str) -> None:
    if not isinstance(value, dict):
        found.add(_wrong_type(value, ("object",), pointer, label))
        return
    if not label.startswith("task "):
        label = f"task {_label_of(pointer)}"
    present = [kind for kind in kinds if kind in value]
    if present == ["do", "for"]:
        present = ["for"]
    if len(present) != 1:
        found.add(_no_kind(present, value, kinds, pointer, label))
        return
    _walk_object(found, kinds[present[0]], value, pointer, label)


def _no_kind(present: list[str], value: dict[str, Any], kinds: Iterable[str], pointer: str, label: str) -> Complaint:
    if present:
        message = f"{label} is {_and(present)} at once"
        return Complaint("ambiguous-task", pointer, message, "make it several tasks", at_key=True)
    seen = ", ".join(map(repr, value)) or "no keys at all"
    near = next((hint for key in value if (hint := _nearest(key, kinds))), "")
    remedy = f"{near}a task has one of {', '.join(sorted(kinds))}"
    return Complaint("unknown-task-kind", pointer, f"{label} is of no known kind; it has {seen}", remedy, at_key=True)


def _apply(found: Structure, rule: Schema, value: dict[str, Any], pointer: str, label: str) -> None:
    """One member of `allOf`: an exactly-one rule, or the schema that a certain value of a key calls for."""
    if "oneOf" in rule:
        _exactly_one(found, [form["required"][0] for form in rule["oneOf"]], rule, value, pointer, label)
        return
    (key, wanted), *_ = rule["if"]["properties"].items()
    if value.get(key) == wanted["const"]:
        _check_keys(found, rule["then"], value, pointer, label)
        _walk_values(found, rule["then"], value, pointer)


# -- words -----------------------------------------------------------------------------------------


def _wrong_type(value: Any, kinds: Iterable[str], pointer: str, label: str) -> Complaint:
    wanted = " or ".join(dict.fromkeys(_TYPE_WORDS[kind] for kind in kinds))
    remedy = ""
    if "string" in kinds and isinstance(value, int | float):
        remedy = "write it in quotes"
    elif value is None:
        remedy = "give it a value, or leave the key out"
    return Complaint("wrong-type", pointer, f"{label} must be {wanted}, not {_kind_of(value)}", remedy)


def _unknown_key(key: str, properties: Iterable[str], pointer: str, label: str) -> Complaint:
    allowed = sorted(properties)
    remedy = _nearest(key, allowed) + _allowed(allowed)
    below = f"{pointer}/{escape(key)}"
    return Complaint("unknown-key", below, f"{label} has the unknown key {key!r}", remedy, at_key=True)


def _not_one_key(schema: Schema, value: dict[str, Any], pointer: str) -> Complaint:
    keys = ", ".join(map(repr, value)) or "none"
    title = schema["title"]
    message = f"a {title} is an object with exactly one key, its name; this one has {keys}"
    remedy = "indent what belongs to it one level deeper" if value else "write `- name: ...`"
    return Complaint("one-key", pointer, message, remedy)


def _allowed(properties: Iterable[str]) -> str:
    names = ", ".join(sorted(properties))
    return f"allowed: {names}" if names else ""


def _nearest(word: Any, among: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(word), list(among), n=1, cutoff=0.7)
    return f"did you mean {near[0]!r}? " if near else ""


def _and(names: list[str]) -> str:
    return " and ".join(map(repr, names))


def _show(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "…"


def _kind_of(value: Any) -> str:
    for kind in ("null", "boolean", "integer", "number", "string", "array", "object"):
        if _TYPES[kind](value):
            return "a boolean" if kind == "boolean" else _TYPE_WORDS[kind]
    return type(value).__name__


def _label_of(pointer: str) -> str:
    return repr(pointer.rpartition("/")[2].replace("~1", "/").replace("~0", "~")) if pointer else "the document"


def _resolved(schema: Schema) -> Schema:
    while "$ref" in schema:
        schema = DEFS[schema["$ref"].rpartition("/")[2]]
    return schema


@lru_cache(maxsize=64)
def _regex(pattern: str) -> re.Pattern[str]:
    # `$` alone would let a final line break pass.
    return re.compile(pattern.removesuffix("$") + r"\Z")
