"""The schema that editors get: the document's structure, and the arguments of the default catalogue's functions.

A function's own schema describes evaluated arguments. In a document each of them may also be an expression, so here
it may. The last word about a call has the linter, which knows functions of the document and of other catalogues.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any, Final

from segue.dsl.functions import FunctionDocument, default_functions, latest
from segue.dsl.schema import document_schema as structure_schema

_EXPRESSION: Final = {"type": "string", "pattern": r"^\s*\$\{"}


def document_schema() -> dict[str, Any]:
    """The whole schema in one JSON Schema (draft 2020-12), for editors and other tools. The caller owns it.

    It says what the structure of a document is. Names that lead nowhere, expressions and flow are the business of
    `check_document`.
    """
    bundle = structure_schema()
    for name, versions in default_functions().items():
        function = versions[latest(versions)]
        if function.parameters is None:
            continue
        key = f"{re.sub('[^A-Za-z0-9]', '', name)}With"
        bundle["$defs"][key] = _arguments(function, key, bundle["$defs"])
        bundle["$defs"]["callTask"]["allOf"].append(
            {
                "if": {"properties": {"call": {"const": name}}, "required": ["call"]},
                "then": {"properties": {"with": {"$ref": f"#/$defs/{key}"}}},
            }
        )
    return bundle


def _arguments(function: FunctionDocument, key: str, known: dict[str, Any]) -> dict[str, Any]:
    """What may stand in `with` of a call of this function; nothing that depends on values is asked."""
    schema: Mapping[str, Any] = function.parameters or {}
    for name, part in schema.get("$defs", {}).items():
        known[f"{key}{name.title()}"] = _renamed(copy.deepcopy(part), key)
    properties = {name: _or_expression(_renamed(copy.deepcopy(part), key)) for name, part in _said(schema).items()}
    closed = {"additionalProperties": schema["additionalProperties"]} if "additionalProperties" in schema else {}
    for name, part in _said(schema).items():
        if part.get("x-undo"):
            told = {key: part[key] for key in ("title", "description") if key in part}
            of_undo = {other: held for other, held in properties.items() if other != name}
            properties[name] = {**told, "type": "object", "properties": of_undo, **closed}
    return {"title": function.title, "type": "object", "properties": properties, **closed}


def _said(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = schema.get("properties", {})
    return found


def _or_expression(part: Any) -> Any:
    if not isinstance(part, dict) or part.get("x-endpoint"):
        return {key: part[key] for key in ("title", "description") if key in part} if isinstance(part, dict) else part
    told = {key: part.pop(key) for key in ("title", "description") if key in part}
    inner = {key: held for key, held in part.items() if not key.startswith("x-")}
    return {**told, "anyOf": [_loosened(inner), _EXPRESSION]} if inner else told


def _loosened(part: Any) -> Any:
    """The same, where everything inside may be an expression as well."""
    if isinstance(part, dict) and isinstance(part.get("properties"), dict):
        part["properties"] = {name: _or_expression(held) for name, held in part["properties"].items()}
    return part


def _renamed(part: Any, key: str) -> Any:
    if isinstance(part, dict):
        return {
            name: f"#/$defs/{key}{held.rpartition('/')[2].title()}" if name == "$ref" else _renamed(held, key)
            for name, held in part.items()
        }
    return [_renamed(held, key) for held in part] if isinstance(part, list) else part
