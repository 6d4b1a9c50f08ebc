"""`call`: functions of the document, of Python and of catalogues; protocols stand in `protocols.py`.

Source: Open Workflow DSL 1.0.x, "Call", "Catalog"; ruling R25.
"""

from __future__ import annotations

from typing import Any

from segue.core.plan import ActNode, Check, FunctionNode, Node, SetNode, Signature, UndoNode
from segue.dsl.compiler.arguments import (
    arguments_of,
    check_arguments,
    checker,
    handler_arguments,
    lint_connection,
    undo_arguments,
    undo_key,
)
from segue.dsl.compiler.build import Build, CompileKind, Scope, TaskList, as_object, below
from segue.dsl.compiler.flow import Entry
from segue.dsl.compiler.human import human_node
from segue.dsl.compiler.mapping import map_node
from segue.dsl.compiler.programs import NOTHING, combine
from segue.dsl.compiler.protocols import compile_protocol
from segue.dsl.compiler.resolving import find_function
from segue.dsl.compiler.tasks import compile_task
from segue.dsl.document import Document
from segue.dsl.environment import PythonFunction
from segue.dsl.functions import FunctionDocument
from segue.dsl.schema import DEFS, PROTOCOLS
from segue.dsl.structure import check_structure


def _call(build: Build, task: dict[str, Any], pointer: str, scope: Scope, common: dict[str, Any]) -> Node:
    called = task["call"]
    if not isinstance(called, str) or not build.is_sound(below(pointer, "call")):
        return _stand_in(common)
    if called in PROTOCOLS:
        at = below(pointer, "with")
        return compile_protocol(build, called, as_object(task.get("with")), at, scope, common)
    return _call_function(build, called, task, pointer, scope, common)


def _stand_in(common: dict[str, Any]) -> Node:
    return SetNode(value=NOTHING, **common)


def _call_function(
    build: Build, called: str, task: dict[str, Any], pointer: str, scope: Scope, common: dict[str, Any]
) -> Node:
    local = build.component("functions", called)
    if isinstance(local, dict):
        return _call_local(build, called, local, task, pointer, scope, common)
    function = find_function(build, called, below(pointer, "call"))
    if function is not None:
        build.tally.signatures[called] = Signature(function.parameters, function.result)
    if isinstance(function, PythonFunction):
        return _call_python(build, function, task, pointer, scope, common)
    if function is None:
        return _stand_in(common)
    build.tally.pins[called] = function.digest
    if function.core == "map":
        check_arguments(build, function.parameters, task, pointer)
        return map_node(build, as_object(task.get("with")), pointer, scope, common)
    if function.core == "human-task":
        return human_node(build, function, task, pointer, scope, common)
    if function.handler is not None:
        return _call_handler(build, function, task, pointer, scope, common)
    return _call_foreign(build, function, task, pointer, scope, common)


def _call_local(
    build: Build,
    name: str,
    body: dict[str, Any],
    task: dict[str, Any],
    pointer: str,
    scope: Scope,
    common: dict[str, Any],
) -> Node:
    arguments = arguments_of(build, task, pointer, scope)
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
    check = check_arguments(build, function.parameters, task, pointer)
    arguments = combine({"name": function.name, "arguments": arguments_of(build, task, pointer, scope)})
    return ActNode(
        handler="function",
        arguments=arguments,
        arguments_check=None if check is None else lambda value: check(value["arguments"]),
        result_check=checker(build, function.result, pointer),
        **common,
    )


def _call_handler(
    build: Build, function: FunctionDocument, task: dict[str, Any], pointer: str, scope: Scope, common: dict[str, Any]
) -> Node:
    assert function.handler is not None
    build.tally.requires.add(function.handler)
    arguments, scheme = handler_arguments(build, function, task, pointer, scope)
    lint_connection(build, as_object(task.get("with")), below(pointer, "with"))
    checked = check_arguments(build, function.parameters, task, pointer)
    return ActNode(
        handler=function.handler,
        arguments=arguments,
        arguments_check=checked,
        result_check=checker(build, function.result, pointer),
        authorization=scheme,
        undo=_undo(build, function, task, pointer, scope, common),
        **common,
    )


def _undo(
    build: Build, function: FunctionDocument, task: dict[str, Any], pointer: str, scope: Scope, common: dict[str, Any]
) -> UndoNode | None:
    made = undo_arguments(build, function, task, pointer, scope)
    if made is None:
        return None
    build.count()
    assert function.handler is not None
    arguments, check = made
    return UndoNode(
        name=f"undo {common['name']}",
        pointer=build.prefix + below(pointer, "with", undo_key(function) or ""),
        section="undo",
        bound=scope.bound,
        definition=common["definition"],
        handler=function.handler,
        arguments=arguments,
        arguments_check=check,
    )


def _call_foreign(
    build: Build, function: FunctionDocument, task: dict[str, Any], pointer: str, scope: Scope, common: dict[str, Any]
) -> Node:
    """Compile a catalogue's task at its call; its findings are summed up there."""
    identity = f"{function.name}:{function.version}"
    arguments = arguments_of(build, task, pointer, scope)
    check_arguments(build, function.parameters, task, pointer)
    if _is_recursive(build, identity, pointer, scope):
        return _stand_in(common)
    body = dict(function.body or {})
    structure = check_structure(body, DEFS["task"])
    if structure.complaints:
        _unusable(build, identity, pointer, [complaint.message for complaint in structure.complaints])
        return _stand_in(common)
    prefix = build.prefix + below(pointer, "call")
    inner = Build(Document(body, identity), build.environment, structure, build.kinds, build.tally, prefix)
    alone = TaskList({function.name: 0}, is_sequence=False)
    entry = Entry(function.name, body, "")
    node = compile_task(inner, entry, scope.apart().function(identity).within(alone, 0), "body")
    _unusable(build, identity, pointer, [finding.message for finding in inner.findings if finding.is_error])
    check = checker(build, function.result, pointer)
    return FunctionNode(arguments=arguments, body=node, result_check=check and _naming(check, identity), **common)


def _naming(check: Check, identity: str) -> Check:
    """The same check, with complaints that name the function: its own tasks did nothing wrong by themselves."""

    def named(result: Any) -> str | None:
        complaint = check(result)
        return complaint and f"The result of the function {identity} does not fit its schema: {complaint}"

    return named


def _unusable(build: Build, identity: str, pointer: str, reasons: list[str]) -> None:
    if reasons:
        message = f"the function {identity} cannot be used: {'; '.join(reasons[:3])}"
        build.error("invalid-function", below(pointer, "call"), message, "use another version of it")


KINDS: dict[str, CompileKind] = {"call": _call}
