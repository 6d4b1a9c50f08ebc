"""`call`: protocols, functions of the document, of Python and of catalogues.

The arguments of an act are normalised here, so that handlers meet one shape: endpoints are always
`{uri, authentication}` with the policy resolved, methods are upper case, defaults are filled in.

Source: Open Workflow DSL 1.0.x, "Call", "Catalog"; ruling R25.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from segue.core.plan import ActNode, Check, FunctionNode, Node, Program, SetNode
from segue.dsl.compiler.authentication import authentication, warn_inline_secret
from segue.dsl.compiler.build import (
    DEFINITION,
    Build,
    CompileKind,
    Place,
    Scope,
    TaskList,
    as_object,
    below,
)
from segue.dsl.compiler.checks import SchemaRefused, schema_check
from segue.dsl.compiler.common import endpoint, portable, resource
from segue.dsl.compiler.flow import Entry
from segue.dsl.compiler.mapping import map_node
from segue.dsl.compiler.programs import NOTHING, combine, mapped, template
from segue.dsl.compiler.tasks import compile_task
from segue.dsl.document import Document
from segue.dsl.environment import PythonFunction
from segue.dsl.expressions import is_wrapped
from segue.dsl.functions import FunctionDocument
from segue.dsl.schema import DEFS, PROTOCOLS
from segue.dsl.structure import check_structure
from segue.types import fail

_WITH_SECRETS: Final = DEFINITION.with_secrets()
_UNBUILT_PROTOCOLS: Final = frozenset({"grpc", "asyncapi", "a2a", "mcp"})
_UNBUILT_FUNCTIONS: Final = frozenset(
    {"agent", "human-task", "decision", "gate", "knowledge", "hold", "release", "bot", "rules"}
)
_SECRET_HEADERS: Final = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key"})


def _call(build: Build, task: dict[str, Any], pointer: str, scope: Scope, common: dict[str, Any]) -> Node:
    called, arguments = task["call"], as_object(task.get("with"))
    at = below(pointer, "with")
    if not isinstance(called, str) or not build.is_sound(below(pointer, "call")):
        return _stand_in(common)
    if called in _UNBUILT_PROTOCOLS:
        _lint_unbuilt(build, called, arguments, at)
        message = f"`call: {called}` is not supported yet"
        build.error("not-yet-supported", below(pointer, "call"), message, f"supported: {', '.join(_BUILT)}")
        return _stand_in(common)
    if called in PROTOCOLS:
        return _BUILT[called](build, arguments, at, scope, common)
    return _call_function(build, called, task, pointer, scope, common)


def _stand_in(common: dict[str, Any]) -> Node:
    return SetNode(value=NOTHING, **common)


def _lint_unbuilt(build: Build, called: str, arguments: dict[str, Any], pointer: str) -> None:
    if called == "a2a" and build.is_sound(pointer) and not {"agentCard", "server"} & set(arguments):
        message = "an A2A call needs the agent's card or its server"
        build.error("missing-key", pointer, message, "give `agentCard` or `server`")


# -- protocols -------------------------------------------------------------------------------------


def _http(build: Build, written: dict[str, Any], pointer: str, scope: Scope, common: dict[str, Any]) -> Node:
    target, scheme = endpoint(build, written.get("endpoint"), below(pointer, "endpoint"), scope)
    build.tally.requires.add("http")
    method = template(build, written.get("method"), below(pointer, "method"), scope, DEFINITION)
    headers = _texts(build, written, "headers", pointer, scope, _WITH_SECRETS)
    _lint_headers(build, written.get("headers"), below(pointer, "headers"))
    parts = {
        "method": mapped(method, _upper),
        "endpoint": target,
        "headers": headers,
        "query": _texts(build, written, "query", pointer, scope, DEFINITION),
        "body": template(build, written.get("body"), below(pointer, "body"), scope, DEFINITION),
        "output": written.get("output", "content"),
        "redirect": written.get("redirect", False),
    }
    return ActNode(handler="http", arguments=combine(parts), authorization=scheme, **common)


def _texts(build: Build, written: dict[str, Any], key: str, pointer: str, scope: Scope, place: Place) -> Program:
    """Headers or query: an object of texts, or one expression that gives one."""
    value, at = written.get(key, {}), below(pointer, key)
    portable(build, value, at)
    if isinstance(value, str) and not is_wrapped(value) and not build.is_loose:
        build.error(
            "wrong-type", at, f"`{key}` must be an object, or one expression", "write ${ ... }, or one key a line"
        )
    return template(build, value, at, scope, place)


def _upper(value: Any) -> Any:
    if isinstance(value, str):
        return value.upper()
    if value is None:
        return None
    raise fail("expression", "an HTTP method must be text")


def _lint_headers(build: Build, headers: Any, pointer: str) -> None:
    for name, value in as_object(headers).items():
        if name.lower() in _SECRET_HEADERS and isinstance(value, str) and not is_wrapped(value):
            warn_inline_secret(build, below(pointer, name), f"header {name!r}")


def _openapi(build: Build, written: dict[str, Any], pointer: str, scope: Scope, common: dict[str, Any]) -> Node:
    build.tally.requires.add("openapi")
    at = below(pointer, "authentication")
    policy, scheme = authentication(build, written.get("authentication"), at, scope)
    parts = {
        "document": resource(build, written.get("document"), below(pointer, "document"), scope),
        "operationId": template(build, written.get("operationId"), below(pointer, "operationId"), scope, DEFINITION),
        "parameters": template(
            build, written.get("parameters", {}), below(pointer, "parameters"), scope, _WITH_SECRETS
        ),
        "authentication": policy,
        "output": written.get("output", "content"),
        "redirect": written.get("redirect", False),
    }
    return ActNode(handler="openapi", arguments=combine(parts), authorization=scheme, **common)


_BUILT: Final[dict[str, CompileKind]] = {"http": _http, "openapi": _openapi}


# -- functions -------------------------------------------------------------------------------------


def _call_function(
    build: Build, called: str, task: dict[str, Any], pointer: str, scope: Scope, common: dict[str, Any]
) -> Node:
    local = build.component("functions", called)
    if isinstance(local, dict):
        return _call_local(build, called, local, task, pointer, scope, common)
    function = _find(build, called, below(pointer, "call"))
    if isinstance(function, PythonFunction):
        return _call_python(build, function, task, pointer, scope, common)
    if function is None:
        return _stand_in(common)
    build.tally.pins[called] = function.digest
    if function.core == "map":
        _check_arguments(build, function.parameters, task, pointer)
        return map_node(build, as_object(task.get("with")), pointer, scope, common)
    if function.handler is not None:
        return _call_handler(build, function, task, pointer, scope, common)
    return _call_foreign(build, function, task, pointer, scope, common)


def _arguments(build: Build, task: dict[str, Any], pointer: str, scope: Scope) -> Program:
    return template(build, task.get("with", {}), below(pointer, "with"), scope, _WITH_SECRETS)


def _call_local(
    build: Build,
    name: str,
    body: dict[str, Any],
    task: dict[str, Any],
    pointer: str,
    scope: Scope,
    common: dict[str, Any],
) -> Node:
    arguments = _arguments(build, task, pointer, scope)
    if _is_recursive(build, name, pointer, scope):
        return _stand_in(common)
    return FunctionNode(arguments=arguments, body=function_body(build, name, body, scope), **common)


def function_body(build: Build, name: str, body: dict[str, Any], scope: Scope) -> Node:
    """Compile the body of a function of the document."""
    entry = Entry(name, body, below("/use/functions", name))
    build.tally.seen.add(entry.pointer)
    alone = TaskList({name: 0}, is_sequence=False)
    return compile_task(build, entry, scope.function(name).within(alone, 0), "body")


def _is_recursive(build: Build, name: str, pointer: str, scope: Scope) -> bool:
    if name not in scope.calls:
        return False
    circle = " → ".join((*scope.calls[scope.calls.index(name) :], name))
    message = f"the function {name!r} calls itself: {circle}"
    build.error(
        "recursive-function", below(pointer, "call"), message, "use a loop: `for`, or a `then` that jumps back"
    )
    return True


def _call_python(
    build: Build, function: PythonFunction, task: dict[str, Any], pointer: str, scope: Scope, common: dict[str, Any]
) -> Node:
    build.tally.requires.add(f"function:{function.name}")
    check = _check_arguments(build, function.parameters, task, pointer)
    arguments = combine({"name": function.name, "arguments": _arguments(build, task, pointer, scope)})
    return ActNode(
        handler="function",
        arguments=arguments,
        arguments_check=None if check is None else lambda value: check(value["arguments"]),
        result_check=_checker(build, function.result, pointer),
        **common,
    )


def _call_handler(
    build: Build, function: FunctionDocument, task: dict[str, Any], pointer: str, scope: Scope, common: dict[str, Any]
) -> Node:
    assert function.handler is not None
    build.tally.requires.add(function.handler)
    arguments = _arguments(build, task, pointer, scope)
    _lint_connection(build, arguments, as_object(task.get("with")), pointer)
    return ActNode(
        handler=function.handler,
        arguments=arguments,
        arguments_check=_check_arguments(build, function.parameters, task, pointer),
        result_check=_checker(build, function.result, pointer),
        **common,
    )


def _lint_connection(build: Build, arguments: Program, written: dict[str, Any], pointer: str) -> None:
    known = build.environment.connections
    for key in ("use", "connection"):
        name = written.get(key)
        if known is not None and isinstance(name, str) and not is_wrapped(name) and name not in known:
            listed = ", ".join(sorted(known)) or "none"
            message = f"there is no connection {name!r} here"
            build.warn("unknown-connection", below(pointer, "with", key), message, f"known: {listed}")


def _call_foreign(
    build: Build, function: FunctionDocument, task: dict[str, Any], pointer: str, scope: Scope, common: dict[str, Any]
) -> Node:
    """Compile a catalogue's task at its call; its findings are summed up there."""
    identity = f"{function.name}:{function.version}"
    arguments = _arguments(build, task, pointer, scope)
    _check_arguments(build, function.parameters, task, pointer)
    if _is_recursive(build, identity, pointer, scope):
        return _stand_in(common)
    body = dict(function.body or {})
    inner = Build(
        Document(body, identity),
        build.environment,
        check_structure(body, DEFS["task"]),
        build.kinds,
        build.tally,
        build.prefix + below(pointer, "call"),
    )
    alone = TaskList({function.name: 0}, is_sequence=False)
    entry = Entry(function.name, body, "")
    node = compile_task(inner, entry, Scope(calls=(*scope.calls, identity), extends=False).within(alone, 0), "body")
    said = [complaint.message for complaint in inner.structure.complaints]
    said += [finding.message for finding in inner.findings if finding.is_error]
    if said:
        message = f"the function {identity} cannot be used: {'; '.join(said[:3])}"
        build.error("invalid-function", below(pointer, "call"), message, "use another version of it")
    return FunctionNode(arguments=arguments, body=node, **common)


def _find(build: Build, called: str, pointer: str) -> FunctionDocument | PythonFunction | None:
    """Resolve what is no function of the document; complains and gives None when it leads nowhere."""
    environment = build.environment
    if "://" in called:
        return _find_remote(build, called, pointer)
    name, _, rest = called.partition(":")
    version, _, catalog = rest.partition("@")
    if rest and not (version and catalog):
        message = f"{called!r} is no name of a function"
        build.error("unresolved-function", pointer, message, "write `name`, or `name:1.0.0@catalog`")
        return None
    where: Any = None
    if catalog and catalog != "default":
        listed = build.component("catalogs", catalog)
        if not isinstance(listed, dict):
            message = f"there is no catalogue {catalog!r} in `use.catalogs`"
            build.error("unknown-component", pointer, message, "define it there, or use `default`")
            return None
        where = listed.get("endpoint")
    found = environment.resolve_function(name, version or None, where)
    if found is None and not rest:
        registered = environment.functions.get(name)
        if registered is not None:
            return registered
    if found is None:
        _unresolved(build, called, name, where, pointer)
    return found


def _find_remote(build: Build, called: str, pointer: str) -> FunctionDocument | None:
    if not build.environment.allow_remote_functions:
        message = "functions are not called by address here"
        build.error("remote-function", pointer, message, "define it in `use.functions`, or ask an administrator")
        return None
    found = build.environment.resolve_function("", None, called)
    if found is None:
        build.error("unresolved-function", pointer, f"there is no function at {called!r}", "check the address")
    return found


def _unresolved(build: Build, called: str, name: str, where: Any, pointer: str) -> None:
    if where is None and name in _UNBUILT_FUNCTIONS:
        message = f"the function {name!r} of the default catalogue is not supported yet"
        build.error("not-yet-supported", pointer, message, "it will come; until then define it in `use.functions`")
        return
    known = ", ".join(sorted({*as_object(build.use.get("functions")), *build.environment.functions}))
    remedy = f"known here: {known}" if known else "define it in `use.functions`"
    build.error("unresolved-function", pointer, f"there is no function {called!r}", remedy)


# -- arguments -------------------------------------------------------------------------------------


def _checker(build: Build, schema: Mapping[str, Any] | None, pointer: str) -> Check | None:
    if schema is None:
        return None
    try:
        return schema_check(schema)
    except SchemaRefused as error:
        message = f"the function's own schema cannot be used: {error}"
        build.error("invalid-function", below(pointer, "call"), message, "correct the function")
        return None


def _check_arguments(
    build: Build, schema: Mapping[str, Any] | None, task: dict[str, Any], pointer: str
) -> Check | None:
    """The check of the evaluated arguments; what can be said of them beforehand is said now."""
    check = _checker(build, schema, pointer)
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
        elif key in properties and not _is_dynamic(build, value):
            complaint = _checker(build, _alone(schema, properties[key]), pointer)
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


KINDS: dict[str, CompileKind] = {"call": _call}
