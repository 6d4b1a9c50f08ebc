"""`call: map`, the one function of the default catalogue that the compiler expands.

`fields` says how each target is made from the value; every text in it is an expression on the value, which for
a list is each of its elements. It becomes a plain `set` in a function body: nothing leaves the run, so it costs
no event.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segue.core.plan import Evaluate, FunctionNode, Node, Program, SetNode
from segue.dsl.compiler.build import DEFINITION, Build, Scope, below
from segue.dsl.compiler.programs import NOTHING, combine, constant, expression, template
from segue.dsl.compiler.shapes import ForEach


def map_node(build: Build, written: dict[str, Any], pointer: str, scope: Scope, common: dict[str, Any]) -> Node:
    """Compile the call; `written` is its `with`."""
    build.count()
    at = below(pointer, "with")
    value = template(build, written.get("value", "${ . }"), below(at, "value"), scope, DEFINITION)
    fields = _fields(build, written.get("fields"), below(at, "fields"), scope)
    body = SetNode(
        value=Program(_for_each(fields.run), fields.reads, "map", shape=ForEach(fields.shape)),
        name=common["name"],
        pointer=build.prefix + below(pointer, "call"),
        section="body",
        bound=scope.bound,
        definition=common["definition"],
    )
    return FunctionNode(arguments=value, body=body, **common)


def _fields(build: Build, value: Any, pointer: str, scope: Scope) -> Program:
    """Objects and lists are templates whose text is an expression, with or without `${ }`."""
    if isinstance(value, str):
        return expression(build, value, pointer, scope, DEFINITION) or NOTHING
    if isinstance(value, dict):
        return combine({key: _fields(build, held, below(pointer, key), scope) for key, held in value.items()})
    if isinstance(value, list):
        items = [_fields(build, held, below(pointer, place), scope) for place, held in enumerate(value)]
        listed = combine({str(place): item for place, item in enumerate(items)})
        shape = list(listed.shape.values()) if isinstance(listed.shape, dict) else listed.shape
        return Program(_values(listed.run), listed.reads, shape=shape)
    return constant(value)


def _values(run: Evaluate) -> Evaluate:
    def listed(data: Any, variables: Mapping[str, Any], now_ms: int) -> list[Any]:
        return list(run(data, variables, now_ms).values())

    return listed


def _for_each(run: Evaluate) -> Evaluate:
    def mapped(data: Any, variables: Mapping[str, Any], now_ms: int) -> Any:
        if isinstance(data, list):
            return [run(item, variables, now_ms) for item in data]
        return run(data, variables, now_ms)

    return mapped
