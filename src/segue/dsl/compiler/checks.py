"""Schema checks: JSON Schemas of a document as functions that answer with a complaint.

Remote references are never followed, patterns take time linear in the text, and complaints name places and
rules, never the value: they end up in histories and logs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from itertools import islice
from typing import Any, Final

import jsonschema_rs

from segue.core.plan import Check
from segue.types import SecretText

_MASK: Final = "the value"
_ANY_OBJECT: Final = {"type": "object"}
"""What functions promise that are annotated with no more than `dict`: a look at the type is enough."""
_COMPLAINTS_MAX: Final = 3


class SchemaRefused(ValueError):
    """The schema cannot be used; the message says why."""


def schema_check(schema: Mapping[str, Any] | bool) -> Check:
    """Make a check from a JSON Schema.

    Raises:
        SchemaRefused: It is no valid schema, or refers to another document.
    """
    return _check_of(json.dumps(schema, sort_keys=True))


@lru_cache(maxsize=4096)
def _check_of(schema: str) -> Check:
    parsed = json.loads(schema)
    _build(parsed, None)  # unmasked, so that what is wrong with the schema itself is said in full
    validator = _build(parsed, _MASK)
    any_object = parsed == _ANY_OBJECT

    def check(value: Any) -> str | None:
        if any_object and type(value) is dict:
            return None
        try:
            if validator.is_valid(value):
                return None
        except ValueError:
            value = _without_secrets(value)
            if validator.is_valid(value):
                return None
        return "; ".join(_complaint(error) for error in islice(validator.iter_errors(value), _COMPLAINTS_MAX))

    return check


def _build(schema: Any, mask: str | None) -> Any:
    try:
        return jsonschema_rs.validator_for(
            schema, mask=mask, offline=True, pattern_options=jsonschema_rs.RegexOptions()
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        raise SchemaRefused(str(getattr(error, "message", error)).splitlines()[0]) from None


def _complaint(error: Any) -> str:
    place = "".join(f"/{part}" for part in error.instance_path)
    return f"at {place}: {error.message}" if place else str(error.message)


def _without_secrets(value: Any) -> Any:
    """A secret counts as text; what it says is not known here."""
    if isinstance(value, SecretText):
        return str(value)
    if isinstance(value, dict):
        return {key: _without_secrets(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_without_secrets(held) for held in value]
    return value
