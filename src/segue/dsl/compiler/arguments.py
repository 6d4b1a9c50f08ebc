"""Arguments of functions: compiled, and compared with the function's schema as far as can be done before a run."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from segue.core.plan import Check, Program
from segue.dsl.compiler.build import DEFINITION, UNDO, Build, Place, Scope, as_object, below, listed
from segue.dsl.compiler.checks import SchemaRefused, schema_check
from segue.dsl.compiler.common import endpoint
from segue.dsl.compiler.programs import combine, template
from segue.dsl.expressions import is_wrapped
from segue.dsl.functions import FunctionDocument
from segue.dsl.schema import DEFS
from segue.dsl.structure import check_structure, how_to_add

_OPENAPI: Final[dict[Any, str]] = {"operation": "operationId", "arguments": "parameters"}
"""What the parts of a call are named where it names no connection."""
_WITH_SECRETS: Final = DEFINITION.with_secrets()
_UNDO_WITH_SECRETS: Final = UNDO.with_secrets()


def arguments_of(build: Build, task: dict[str, Any], pointer: str, scope: Scope) -> Program:
    """Compile `with`."""
    return template(build, task.get("with", {}), below(pointer, "with"), scope, _WITH_SECRETS)


def handler_arguments(
    build: Build, function: FunctionDocument, task: dict[str, Any], pointer: str, scope: Scope
) -> tuple[Program, str | None]:
    """Arguments of a built-in function: those it calls endpoints are normalised as in `call: http`."""
    written = {key: value for key, value in as_object(task.get("with")).items() if key != undo_key(function)}
    return _handed_over(build, function, written, below(pointer, "with"), scope, _WITH_SECRETS)


def undo_key(function: FunctionDocument) -> str | None:
    """The argument under which a built-in function takes what undoes it; None where it changes nothing."""
    properties = (function.parameters or {}).get("properties", {})
    return next((key for key, schema in properties.items() if schema.get("x-undo")), None)


def undo_arguments(
    build: Build, function: FunctionDocument, task: dict[str, Any], pointer: str, scope: Scope
) -> tuple[Program, Check | None] | None:
    """Arguments of what undoes a call, which is another call of the same function; None where it has none."""
    key, written = undo_key(function), as_object(task.get("with"))
    at = below(pointer, "with", key or "")
    if key is None or key not in written or not build.is_sound(at):
        return None
    given = written[key]
    if not isinstance(given, dict):
        return None  # `wrong-arguments` says so
    used = written.get("use")
    if "use" not in given and isinstance(used, str):
        if _is_dynamic(build, used):
            message = "`undo` needs `use` where that of the call is an expression: it sees other data"
            build.error("wrong-arguments", at, message, "write the connection's name into `undo`")
        given = {"use": used, **given}
    parameters = dict(function.parameters or {})
    parameters["properties"] = {name: held for name, held in parameters["properties"].items() if name != key}
    check = _check_written(build, parameters, f"undo of {task['call']}", given, at, at)
    lint_connection(build, given, at)
    return _handed_over(build, function, given, at, scope, _UNDO_WITH_SECRETS)[0], check


def _handed_over(
    build: Build, function: FunctionDocument, written: dict[str, Any], at: str, scope: Scope, place: Place
) -> tuple[Program, str | None]:
    properties = (function.parameters or {}).get("properties", {})
    parts: dict[str, Any] = {}
    scheme = None
    for key, value in written.items():
        if properties.get(key, {}).get("x-endpoint"):
            _check_endpoint(build, value, below(at, key))
            parts[key], scheme = endpoint(build, value, below(at, key), scope)
        else:
            parts[key] = template(build, value, below(at, key), scope, place)
    return combine(parts), scheme


def lint_connection(build: Build, written: dict[str, Any], at: str) -> None:
    """What the connection that a call names says of the call, as far as it is written in the document."""
    known, name = build.environment.connections, written.get("use")
    if known is None or not isinstance(name, str) or _is_dynamic(build, name) or not build.is_sound(at):
        return
    if name not in known:
        message = f"there is no connection {name!r} here"
        remedy = f"known: {listed(sorted(known))}; add it with `segue connections add` before a run needs it"
        build.warn("unknown-connection", below(at, "use"), message, remedy)
    elif build.environment.check_call is not None:
        for steps, message, remedy in build.environment.check_call(name, written, partial(_is_expression, build)):
            if steps == ("operation",):
                build.error("unknown-operation", below(at, *steps), message, remedy)
            else:
                build.error("wrong-arguments", below(at, *steps), message, remedy)


def lint_operation(build: Build, written: dict[str, Any], at: str) -> None:
    """What the description says of a call of `openapi`, where that is at hand."""
    check, resource = build.environment.check_operation, as_object(written.get("document")).get("endpoint")
    address = as_object(resource).get("uri") if isinstance(resource, dict) else resource
    if check is None or not isinstance(address, str) or _is_dynamic(build, address) or "{" in address:
        return
    if not build.is_sound(at):
        return
    call = {"operation": written.get("operationId"), "arguments": written.get("parameters")}
    found = check(address, call, partial(_is_expression, build))
    if found is None:
        message = "the description is read when the call is made, so nobody has compared this call with it"
        remedy = "`segue connections add NAME --openapi ADDRESS` keeps a copy, with which calls are compared"
        build.warn("unchecked-call", below(at, "document"), message, remedy)
        return
    for steps, message, remedy in found:
        rule = "unknown-operation" if tuple(steps) == ("operation",) else "wrong-arguments"
        build.error(rule, below(at, *(_OPENAPI.get(step, step) for step in steps[:1]), *steps[1:]), message, remedy)


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
    at = below(pointer, "with")
    anchor = at if "with" in task else pointer
    return _check_written(build, schema, task["call"], task.get("with", {}), at, anchor)


def _check_written(
    build: Build, schema: Mapping[str, Any] | None, called: str, written: Any, at: str, anchor: str
) -> Check | None:
    check = checker(build, schema, anchor)
    if schema is None or check is None or not isinstance(written, dict) or not build.is_sound(at):
        return check
    properties = schema.get("properties", {})
    under = "" if anchor == at else "with"
    for key in schema.get("required", ()):
        if key not in written:
            message = f"{called!r} needs the argument {key!r}"
            build.error("wrong-arguments", anchor, message, how_to_add(key, properties.get(key, {}), under=under))
    for key, value in written.items():
        if schema.get("additionalProperties") is False and key not in properties:
            message = f"{called!r} has no argument {key!r}"
            build.error("wrong-arguments", below(at, key), message, f"it takes {', '.join(properties)}", key=True)
        elif key in properties and not properties[key].get("x-endpoint") and not _is_dynamic(build, value):
            complaint = checker(build, _alone(schema, properties[key]), anchor)
            said = complaint(value) if complaint else None
            if said:
                build.error("wrong-arguments", below(at, key), f"the argument {key!r} does not fit: {said}")
    return check


def _alone(schema: Mapping[str, Any], part: Mapping[str, Any]) -> Mapping[str, Any]:
    """A property's schema with what it may refer to."""
    return {**part, "$defs": schema["$defs"]} if "$defs" in schema else part


def _is_expression(build: Build, value: Any) -> bool:
    return isinstance(value, str) and (build.is_loose or is_wrapped(value))


def _is_dynamic(build: Build, value: Any) -> bool:
    if isinstance(value, str):
        return _is_expression(build, value)
    if isinstance(value, dict):
        return any(_is_dynamic(build, held) for held in value.values())
    return isinstance(value, list) and any(_is_dynamic(build, held) for held in value)
