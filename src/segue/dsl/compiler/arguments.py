"""Arguments of functions: compiled, and compared with the function's schema as far as can be done before a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from segue.core.plan import Check, Program
from segue.dsl.compiler.build import DEFINITION, Build, Scope, as_object, below
from segue.dsl.compiler.checks import SchemaRefused, schema_check
from segue.dsl.compiler.common import endpoint
from segue.dsl.compiler.programs import combine, template
from segue.dsl.expressions import is_wrapped
from segue.dsl.functions import FunctionDocument
from segue.dsl.schema import DEFS
from segue.dsl.structure import check_structure

_WITH_SECRETS: Final = DEFINITION.with_secrets()


def arguments_of(build: Build, task: dict[str, Any], pointer: str, scope: Scope) -> Program:
    """Compile `with`."""
    return template(build, task.get("with", {}), below(pointer, "with"), scope, _WITH_SECRETS)


def handler_arguments(
    build: Build, function: FunctionDocument, task: dict[str, Any], pointer: str, scope: Scope
) -> tuple[Program, str | None]:
    """Arguments of a built-in function: those it calls endpoints are normalised as in `call: http`."""
    properties = (function.parameters or {}).get("properties", {})
    written, at = as_object(task.get("with")), below(pointer, "with")
    parts: dict[str, Any] = {}
    scheme = None
    for key, value in written.items():
        if properties.get(key, {}).get("x-endpoint"):
            _check_endpoint(build, value, below(at, key))
            parts[key], scheme = endpoint(build, value, below(at, key), scope)
        else:
            parts[key] = template(build, value, below(at, key), scope, _WITH_SECRETS)
    return combine(parts), scheme


def _check_endpoint(build: Build, value: Any, pointer: str) -> None:
    """The document's schema knows nothing of this argument, so its form is looked at here."""
    found = check_structure(value, DEFS["endpoint"], pointer)
    build.structure.tainted.update(found.tainted)
    for complaint in found.complaints:
        build.error(complaint.rule, complaint.pointer, complaint.message, complaint.remedy, key=complaint.at_key)


def checker(build: Build, schema: Mapping[str, Any] | None, pointer: str) -> Check | None:
    """The check of a function's schema; None where it has none."""
    if schema is None:
        return None
    try:
        return schema_check(schema)
    except SchemaRefused as error:
        message = f"the function's own schema cannot be used: {error}"
        build.error("invalid-function", below(pointer, "call"), message, "correct the function")
        return None


def check_arguments(
    build: Build, schema: Mapping[str, Any] | None, task: dict[str, Any], pointer: str
) -> Check | None:
    """The check of the evaluated arguments; what can be said of them beforehand is said now."""
    check = checker(build, schema, pointer)
    at = below(pointer, "with")
    written = task.get("with", {})
    if schema is None or check is None or not isinstance(written, dict) or not build.is_sound(at):
        return check
    anchor = at if "with" in task else pointer
    properties = schema.get("properties", {})
    for key in schema.get("required", ()):
        if key not in written:
            message = f"{task['call']!r} needs the argument {key!r}"
            build.error("wrong-arguments", anchor, message, properties.get(key, {}).get("description", ""))
    for key, value in written.items():
        if schema.get("additionalProperties") is False and key not in properties:
            message = f"{task['call']!r} has no argument {key!r}"
            build.error("wrong-arguments", below(at, key), message, f"it takes {', '.join(properties)}", key=True)
        elif key in properties and not properties[key].get("x-endpoint") and not _is_dynamic(build, value):
            complaint = checker(build, _alone(schema, properties[key]), pointer)
            said = complaint(value) if complaint else None
            if said:
                build.error("wrong-arguments", below(at, key), f"the argument {key!r} does not fit: {said}")
    return check


def _alone(schema: Mapping[str, Any], part: Mapping[str, Any]) -> Mapping[str, Any]:
    """A property's schema with what it may refer to."""
    return {**part, "$defs": schema["$defs"]} if "$defs" in schema else part


def _is_dynamic(build: Build, value: Any) -> bool:
    if isinstance(value, str):
        return build.is_loose or is_wrapped(value)
    if isinstance(value, dict):
        return any(_is_dynamic(build, held) for held in value.values())
    return isinstance(value, list) and any(_is_dynamic(build, held) for held in value)
