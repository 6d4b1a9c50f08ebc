"""`call` of a protocol: the arguments in the one shape that handlers meet.

Endpoints are always `{uri, authentication}` with the policy resolved, methods are upper case, defaults are filled in.

Source: Open Workflow DSL 1.0.x, "Call".
"""

from __future__ import annotations

from typing import Any, Final

from segue.core.plan import ActNode, Node, Program, SetNode
from segue.dsl.compiler.arguments import lint_operation
from segue.dsl.compiler.authentication import authentication, warn_inline_secret
from segue.dsl.compiler.build import DEFINITION, Build, CompileKind, Place, Scope, as_object, below
from segue.dsl.compiler.common import endpoint, portable, resource
from segue.dsl.compiler.programs import NOTHING, combine, mapped, template
from segue.dsl.expressions import is_wrapped
from segue.types import fail

_WITH_SECRETS: Final = DEFINITION.with_secrets()
_SECRET_HEADERS: Final = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key"})


def compile_protocol(
    build: Build, called: str, arguments: dict[str, Any], pointer: str, scope: Scope, common: dict[str, Any]
) -> Node:
    """Compile a call of one of the six protocols; `pointer` leads to its arguments."""
    if called in _BUILT:
        return _BUILT[called](build, arguments, pointer, scope, common)
    _lint_unbuilt(build, called, arguments, pointer)
    message = f"`call: {called}` is not supported yet"
    at = pointer.rpartition("/")[0] + "/call"
    build.error("not-yet-supported", at, message, f"supported: {', '.join(_BUILT)}")
    return SetNode(value=NOTHING, **common)


def _lint_unbuilt(build: Build, called: str, arguments: dict[str, Any], pointer: str) -> None:
    if called == "a2a" and build.is_sound(pointer) and not {"agentCard", "server"} & set(arguments):
        message = "an A2A call needs the agent's card or its server"
        build.error("missing-key", pointer, message, "give `agentCard` or `server`")


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
    lint_operation(build, written, pointer)
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
