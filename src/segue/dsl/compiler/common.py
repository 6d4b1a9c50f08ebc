"""What tasks have in common: conditions, transforms, schema checks, timeouts, durations, endpoints."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import quote

from segue.core.plan import Check, Program, place_of
from segue.dsl.compiler.authentication import authentication
from segue.dsl.compiler.build import (
    CONDITION,
    DEFINITION,
    EXPORT_AS,
    INPUT_FROM,
    OUTPUT_AS,
    Build,
    Place,
    Scope,
    as_object,
    below,
    listed,
)
from segue.dsl.compiler.checks import SchemaRefused, schema_check
from segue.dsl.compiler.programs import NOTHING, combine, constant, expression, mapped, template, transform
from segue.dsl.expressions import is_wrapped
from segue.dsl.expressions.tree import Constant, Identity, Index, Node
from segue.dsl.reading import read_document
from segue.types import fail
from segue.types.durations import UNIT_MS, duration_ms

_TEMPLATE_NAME: Final = re.compile(r"(?<!\$)\{([^{}]+)\}")
_URI_FORBIDDEN: Final = re.compile(r"[\s<>\"\\^`{}|]")


def common_arguments(
    build: Build, name: str, task: dict[str, Any], pointer: str, scope: Scope, section: str
) -> dict[str, Any]:
    """What every node takes. `then` is left to the list that the task stands in."""
    into, out, export = as_object(task.get("input")), as_object(task.get("output")), as_object(task.get("export"))
    at = {key: below(pointer, key) for key in ("input", "output", "export")}
    return {
        "name": name,
        "pointer": build.prefix + pointer,
        "section": section,
        "condition": expression(build, task.get("if"), below(pointer, "if"), scope, CONDITION),
        "input_check": schema(build, into.get("schema"), below(at["input"], "schema")),
        "input_from": transform(build, into.get("from"), below(at["input"], "from"), scope, INPUT_FROM),
        "output_as": transform(build, out.get("as"), below(at["output"], "as"), scope, OUTPUT_AS),
        "output_check": schema(build, out.get("schema"), below(at["output"], "schema")),
        "export_as": transform(build, export.get("as"), below(at["export"], "as"), scope, EXPORT_AS),
        "export_check": schema(build, export.get("schema"), below(at["export"], "schema")),
        "timeout": timeout(build, task.get("timeout"), below(pointer, "timeout"), scope),
        "bound": scope.bound,
        "definition": task,
    }


# -- schemas ---------------------------------------------------------------------------------------


def schema(build: Build, value: Any, pointer: str) -> Check | None:
    """Compile `schema`; None when there is none."""
    if not isinstance(value, dict) or not build.is_sound(pointer):
        return None
    written = value.get("format", "json")
    # A task of no known kind is compiled for its expressions though nobody judged its shape.
    if not isinstance(written, str) or not ("document" in value or isinstance(value.get("resource"), dict)):
        return None
    if written.partition(":")[0] != "json":
        build.error(
            "unknown-schema-format", below(pointer, "format"), f"{written!r} schemas are not known", "use json"
        )
        return None
    if "document" in value:
        return _schema_check(build, value["document"], below(pointer, "document"))
    return _schema_from_elsewhere(build, value["resource"], below(pointer, "resource"))


def _schema_check(build: Build, written: Any, pointer: str) -> Check | None:
    try:
        return schema_check(written)
    except SchemaRefused as error:
        remedy = "write one complete JSON Schema; references to other documents are not followed"
        build.error("invalid-schema", pointer, f"this JSON Schema cannot be used: {error}", remedy)
        return None


def _schema_from_elsewhere(build: Build, resource: dict[str, Any], pointer: str) -> Check | None:
    resolve = build.environment.resolve_resource
    if resolve is None:
        message = "schemas kept elsewhere are not read here"
        build.error("resource-not-resolved", pointer, message, "write the schema into `schema.document`")
        return None
    try:
        read = read_document(resolve(resource.get("endpoint")), file="<schema>")
        said = read.findings[0].message if read.findings else ""
    except (OSError, ValueError) as error:
        said = str(error)
    if said:
        message = f"the schema cannot be read: {said}"
        build.error("resource-not-resolved", pointer, message, "check the endpoint, or write the schema here")
        return None
    build.tally.schemas[place_of(resource.get("endpoint"))] = read.data
    return _schema_check(build, read.data, pointer)


def portable(build: Build, value: Any, pointer: str) -> None:
    """Refuse an expression over several lines where the language's own schema wants it on one."""
    if isinstance(value, str) and is_wrapped(value) and "\n" in value.strip():
        message = "an expression stands on one line here"
        build.error("wrong-form", pointer, message, "write it on one line, or use a folded text `>-`")


# -- durations and timeouts ------------------------------------------------------------------------


def timeout(build: Build, value: Any, pointer: str, scope: Scope, place: Place = DEFINITION) -> Program | None:
    """Compile a timeout, written here or named."""
    if value is None or not build.is_sound(pointer):
        return None
    if isinstance(value, str):
        named = build.component("timeouts", value)
        if named is None:
            unknown_component(build, "timeouts", value, pointer)
            return None
        value, pointer = named, below("/use/timeouts", value)
    return duration(build, as_object(value).get("after"), below(pointer, "after"), scope, place)


def duration(build: Build, value: Any, pointer: str, scope: Scope, place: Place = DEFINITION) -> Program | None:
    """Compile a duration to a program that gives whole milliseconds. None when the key is absent."""
    if value is None:
        return None
    if not build.is_sound(pointer):
        return NOTHING
    if isinstance(value, str) and is_wrapped(value):
        portable(build, value, pointer)
        return mapped(template(build, value, pointer, scope, place), _evaluated_duration_ms)
    length_ms = constant_duration_ms(build, value, pointer)
    return NOTHING if length_ms is None else constant(length_ms)


def constant_duration_ms(build: Build, value: Any, pointer: str) -> int | None:
    """The milliseconds of a duration without expressions; None after a finding."""
    if not build.is_sound(pointer) or not UNIT_MS.keys() >= as_object(value).keys():
        return None
    try:
        return duration_ms(value)
    except ValueError as error:
        build.error("invalid-duration", pointer, str(error))
        return None


def _evaluated_duration_ms(value: Any) -> int:
    try:
        return duration_ms(value)
    except ValueError as error:
        raise fail("expression", f"an expression must give a duration: {error}") from None


def unknown_component(build: Build, section: str, name: str, pointer: str) -> None:
    """Report a name that leads nowhere."""
    known = listed(sorted(as_object(build.use.get(section))))
    message = f"there is no {name!r} in `use.{section}`"
    build.error("unknown-component", pointer, message, f"define it there; known: {known}")


# -- endpoints -------------------------------------------------------------------------------------


def endpoint(build: Build, value: Any, pointer: str, scope: Scope) -> tuple[Program, str | None]:
    """Compile an endpoint to `{uri, authentication}`, and say which authorization scheme applies."""
    if isinstance(value, dict):
        address = uri(build, value.get("uri"), below(pointer, "uri"), scope)
        policy, scheme = authentication(build, value.get("authentication"), below(pointer, "authentication"), scope)
        return combine({"uri": address, "authentication": policy}), scheme
    return combine({"uri": uri(build, value, pointer, scope), "authentication": None}), None


def resource(build: Build, value: Any, pointer: str, scope: Scope) -> Program:
    """Compile an external resource to `{endpoint: {uri, authentication}}`."""
    inner, _ = endpoint(build, as_object(value).get("endpoint"), below(pointer, "endpoint"), scope)
    return combine({"endpoint": inner})


def uri(build: Build, value: Any, pointer: str, scope: Scope) -> Program:
    """Compile a URI: one expression, a template with `{names}`, or the URI itself."""
    if not isinstance(value, str) or not build.is_sound(pointer):
        return NOTHING
    if is_wrapped(value):
        portable(build, value, pointer)
        return mapped(template(build, value, pointer, scope, DEFINITION), _evaluated_uri)
    if build.is_loose and "{" not in value and "://" not in value:
        return mapped(template(build, value, pointer, scope, DEFINITION), _evaluated_uri)
    if not is_uri(build, value, pointer):
        return NOTHING
    return _uri_template(build, value, pointer) if "{" in value else constant(value)


def is_uri(build: Build, value: str, pointer: str) -> bool:
    """Whether the text can be a URI reference or a template of one; complains if not."""
    if value.startswith("."):
        message = f"{value!r} looks like an expression, but would be taken as an address"
        build.error("bare-expression", pointer, message, f"write ${{ {value} }}")
        return False
    if "${" in value:
        message = "an expression must be the whole address, not a part of it"
        remedy = "use a {name} of the data, or build the address in one expression"
        build.error("invalid-uri", pointer, message, remedy)
        return False
    if _URI_FORBIDDEN.search(_TEMPLATE_NAME.sub("", value)):
        build.error("invalid-uri", pointer, f"{value!r} is no URI", "encode spaces and special signs, such as %20")
        return False
    return True


def _uri_template(build: Build, value: str, pointer: str) -> Program:
    pieces = _TEMPLATE_NAME.split(value)
    where = build.prefix + pointer

    def run(data: Any, variables: Any, now_ms: int) -> str:
        made = pieces.copy()
        held = data if isinstance(data, dict) else {}
        for place in range(1, len(made), 2):
            made[place] = _expanded(held.get(made[place]), made[place], where)
        return "".join(made)

    return Program(run, (), value, shape=[_member(name) for name in pieces[1::2]])


def _member(name: str) -> Node:
    """`.name`, as an expression would read it."""
    return Index(1, 1, Identity(1, 1), Constant(1, 1, name))


def _expanded(value: Any, name: str, where: str) -> str:
    """One value in a URI, percent-encoded so that data can never add a path or a parameter of its own."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str | int | float):
        return quote(str(value), safe="")
    raise fail("expression", f"{{{name}}} at {where} must be text, a number, a boolean or null to stand in a URI")


def _evaluated_uri(value: Any) -> str:
    if isinstance(value, str) and value:
        return value
    raise fail("expression", "an expression for an address must give text that is not empty")
