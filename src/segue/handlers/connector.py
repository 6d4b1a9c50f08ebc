"""`call: connector`: an operation of a named connection, checked on the way out and on the way in."""

from __future__ import annotations

from typing import Any

from segue.connectors import ITEMS_MAX, Calls, Connection, ConnectionStore, collect
from segue.governance import Redactor
from segue.handlers.acting import act_with_secrets
from segue.types import EffectContext, Perform, Recovery, TaskFailure, fail


class ConnectorHandler:
    """Calls operations of connections.

    Arguments: `use` names the connection, `operation` its operation, `arguments` are the operation's own;
    `all: true` reads a paged list to its end (or to `limit` items) and returns the items.

    Args:
        calls: How connections are called.
        connections: Where they are found.
    """

    def __init__(self, calls: Calls, connections: ConnectionStore) -> None:
        self._calls = calls
        self._connections = connections

    async def perform(self, command: Perform, context: EffectContext) -> Any:
        """Call the operation and return its content."""

        async def act(arguments: dict[str, Any], redactor: Redactor) -> Any:
            connection, operation = self._target(arguments)
            given = _given(arguments)
            read, note, lane = context.secrets.read, redactor.note, context.workflow
            if arguments.get("all"):
                limit = _limit(arguments.get("limit"))
                return await collect(
                    self._calls, connection, operation, given, limit=limit, read_secret=read, note=note, lane=lane
                )
            return await self._calls.call(
                connection,
                operation,
                given,
                key=context.key,
                read_secret=read,
                note=note,
                lane=lane,
                has_undo=context.has_undo,
            )

        return await act_with_secrets(command.arguments, context, act)

    def target(self, command: Perform) -> str:
        """The connection."""
        return str(command.arguments.get("use"))

    def recovery(self, command: Perform) -> Recovery:
        """As the operation's method, its idempotency header and the connection's lookups allow."""
        try:
            connection, name = self._target(command.arguments)
            return self._calls.recovery(connection, self._calls.operations(connection).get(name))
        except TaskFailure:
            return "repeat"  # it cannot have acted: performing it fails the same way

    async def verify(self, command: Perform, context: EffectContext) -> Any:
        """Look for what the operation made under the effect key."""

        async def look(arguments: dict[str, Any], redactor: Redactor) -> Any:
            connection, operation = self._target(arguments)
            return await self._calls.verify(
                connection,
                operation,
                _given(arguments),
                key=context.key,
                read_secret=context.secrets.read,
                note=redactor.note,
                lane=context.workflow,
            )

        return await act_with_secrets(command.arguments, context, look)

    def _target(self, arguments: dict[str, Any]) -> tuple[Connection, str]:
        name, operation = arguments.get("use"), arguments.get("operation")
        if not isinstance(name, str) or not isinstance(operation, str):
            raise fail("validation", "A connector call needs use (a connection) and operation as text.")
        connection = self._connections.find(name)
        if connection is None:
            raise fail("configuration", f"There is no connection {name!r}: add it, or name another.")
        return connection, operation


def _given(arguments: dict[str, Any]) -> dict[str, Any]:
    given = arguments.get("arguments")
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise fail("validation", "The arguments of a connector call must be an object.")
    return given


def _limit(limit: Any) -> int:
    if limit is None:
        return ITEMS_MAX
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= ITEMS_MAX:
        raise fail("validation", f"limit must be a whole number from 1 to {ITEMS_MAX}, not {limit!r}.")
    return limit
