"""What can be said of a call before it is made: from what the document says, and what the system's description says.

The same rules as when it is made (`requests.py`), for arguments of which some are not known yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from segue.connectors.calls import key_header_of, with_reference
from segue.connectors.connections import Connection
from segue.connectors.operations import Body, Operation, Operations
from segue.connectors.requests import read_value
from segue.connectors.schemas import Check, Steps
from segue.types import TaskFailure

Found = tuple[Steps, str, str]
"""Where in the call's own arguments (`operation`, `arguments`, …), what is wrong there, and what to do."""

_KNOWN_NAMES: Final = 20
_KEY: Final = "the effect key"
"""Stands where the key will be put in; compared by identity."""


def foresee(
    operations: Operations, connection: Connection, call: Mapping[str, Any], is_unknown: Callable[[Any], bool]
) -> list[Found]:
    """What is wrong with a call of an operation, whatever its unknown parts turn out to be.

    Args:
        call: `operation`, `arguments` and the rest, as the document has them.
        is_unknown: Whether a value is known only when the call is made.

    Source: decision 0125.
    """
    name = call.get("operation")
    found: list[Found] = []
    paged = bool(call.get("all")) and not is_unknown(call["all"])
    if paged and name in operations.names() and connection.paging_for(name) is None:
        message = f"the connection {connection.name!r} does not say how {name!r} is paged"
        found.append((("all",), message, "leave `all` out, or declare it under `paging` of the connection"))

    def complete(operation: Operation, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return _completed(connection, operation, arguments, is_unknown)

    return [*found, *_compared(operations, repr(connection.name), call, is_unknown, complete, paged=paged)]


def foresee_operation(
    operations: Operations, call: Mapping[str, Any], is_unknown: Callable[[Any], bool]
) -> list[Found]:
    """The same for a call that names a description by its address and no connection.

    Args:
        call: `operation` and `arguments`.
    """

    def complete(operation: Operation, arguments: Mapping[str, Any]) -> dict[str, Any]:
        header = operation.key_header
        return dict(arguments) if header is None else {header: _KEY, **arguments}

    return _compared(operations, "the description", call, is_unknown, complete)


def _compared(
    operations: Operations,
    title: str,
    call: Mapping[str, Any],
    is_unknown: Callable[[Any], bool],
    complete: Callable[[Operation, Mapping[str, Any]], dict[str, Any]],
    *,
    paged: bool = False,
) -> list[Found]:
    name, arguments = call.get("operation"), call.get("arguments")
    if not isinstance(name, str) or is_unknown(name):
        return []
    if name not in operations.names():
        known = ", ".join(sorted(operations.names())[:_KNOWN_NAMES]) or "none"
        return [(("operation",), f"{title} has no operation {name!r}", f"it has: {known}")]
    if is_unknown(arguments) or not isinstance(arguments, dict | None):
        return []
    try:
        operation = operations.get(name)
        given = complete(operation, arguments or {})
        unknown = [steps for steps, value in _leaves(given) if value is _KEY or is_unknown(value)]
        complaints = _Call(operation, given, unknown, paged).complaints()
        above = () if arguments is None else ("arguments",)
        return [((*above, *place), message, remedy) for place, message, remedy in complaints]
    except TaskFailure as failed:
        # The description contradicts itself there; the call will fail.
        return [(("operation",), str(failed), "correct the description, and add the connection again")]


class _Call:
    """A call of an operation with what is known of its arguments."""

    def __init__(self, operation: Operation, given: dict[str, Any], unknown: list[Steps], paged: bool) -> None:
        self._operation, self._given, self._unknown, self._paged = operation, given, unknown, paged

    def complaints(self) -> Iterator[Found]:
        left = dict(self._given)
        for parameter in self._operation.parameters:
            value = self._given.get(parameter.name)
            left.pop(parameter.name, None)
            if value is None:
                if parameter.required and not self._paged:
                    yield self._missing(parameter.name)
            elif (parameter.name,) not in self._unknown:
                yield from self._misfits(parameter.name, parameter.check, read_value(parameter, value))
        body = self._operation.body
        if body is not None:
            yield from self._of_body(body, left)
        for name in left:
            known = [p.name for p in self._operation.parameters] + ([body.name] if body else [])
            remedy = f"it takes: {', '.join(sorted(known)) or 'none'}"
            yield (name,), f"the operation {self._operation.id!r} has no argument {name!r}", remedy

    def _of_body(self, body: Body, left: dict[str, Any]) -> Iterator[Found]:
        value = left.pop(body.name, None)
        if value is None and body.fields:
            fields = {name: left.pop(name) for name in sorted(body.fields) if name in left}
            if fields:
                yield from self._misfits("", body.check, fields)
                return
        if value is None:
            if body.required:
                yield self._missing(body.name)
        elif (body.name,) not in self._unknown:
            yield from self._misfits(body.name, body.check, value)

    def _missing(self, name: str) -> Found:
        message = f"the operation {self._operation.id!r} needs the argument {name!r}"
        return (), message, f"add `{name}` to `arguments`"

    def _misfits(self, name: str, check: Check, value: Any) -> Iterator[Found]:
        above: Steps = (name,) if name else ()
        unknown = [steps[len(above) :] for steps in self._unknown if steps[: len(above)] == above]
        told = f"the argument {name!r}" if name else "the body"
        wrapped = isinstance(value, list) and not isinstance(self._given.get(name), list)
        for place, message in check.foresee(value, unknown):
            at = above if wrapped else above + place
            yield at, f"{told} of {self._operation.id!r} does not fit: {message}", "see `segue connections show`"


def _completed(
    connection: Connection, operation: Operation, arguments: Mapping[str, Any], is_unknown: Callable[[Any], bool]
) -> dict[str, Any]:
    """With what is put in when the call is made: the effect key, as the operation or the connection wants it."""
    header = key_header_of(connection, operation)
    completed = dict(arguments)
    if header is not None and header == operation.key_header:
        completed = {header: _KEY, **completed}
    body = operation.body
    if body is not None and is_unknown(completed.get(body.name)):
        return completed
    return with_reference(connection, operation, completed, _KEY)


def _leaves(value: Any, steps: Steps = ()) -> Iterator[tuple[Steps, Any]]:
    if isinstance(value, dict):
        for key, held in value.items():
            yield from _leaves(held, (*steps, key))
    elif isinstance(value, list):
        for index, held in enumerate(value):
            yield from _leaves(held, (*steps, index))
    else:
        yield steps, value
