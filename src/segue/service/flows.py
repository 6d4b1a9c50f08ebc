"""What published workflows send out: for policies at the second door, and for people who ask."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

from segue.connectors import Connection, MemoryConnections, OperationsCache
from segue.dsl.flows import Leaving, leaving
from segue.service.definitions import Definitions
from segue.service.publishing import facts_of
from segue.types import TaskFailure

_KEPT_MAX: Final = 256


class Flows:
    """Follows each definition once, and again when a connection that it names has changed."""

    def __init__(self, definitions: Definitions, connections: MemoryConnections) -> None:
        self._definitions = definitions
        self._connections = connections
        self._operations = OperationsCache()
        self._kept: OrderedDict[str, tuple[dict[str, Leaving], dict[str, Connection | None]]] = OrderedDict()

    def of(self, digest: str) -> dict[str, Leaving]:
        """What each act of a published definition can send out, by the pointer of its task.

        Raises:
            LookupError, ServiceError: As `Definitions.plan`.
        """
        kept = self._kept.get(digest)
        if kept is not None and all(self._connections.find(name) is used for name, used in kept[1].items()):
            self._kept.move_to_end(digest)
            return kept[0]
        used: dict[str, Connection | None] = {}

        def schema(name: str, operation: str) -> Any:
            used[name] = connection = self._connections.find(name)
            return None if connection is None else self._result_schema(connection, operation)

        found = leaving(self._definitions.plan(digest), schema)
        self._kept[digest] = (found, used)
        if len(self._kept) > _KEPT_MAX:
            self._kept.popitem(last=False)
        return found

    def facts(self, workflow: str, pointer: str) -> dict[str, Any]:
        """The context of an act's request: what its document declares, and the labels of what it can send.

        Args:
            workflow: `namespace/name:version` of the run.
        """
        name, _, version = workflow.rpartition(":")
        namespace, _, short = name.partition("/")
        definition = self._definitions.find(namespace, short, version)
        if definition is None:
            return {}
        declared = facts_of(self._definitions.plan(definition.digest).definition)
        facts: dict[str, Any] = {"risk": declared["risk"], "declares": declared["classes"]}
        act = self.of(definition.digest).get(pointer)
        if act is not None:
            facts["classes"] = sorted(act.labels.classes)
            facts["untrusted"] = act.labels.untrusted
            facts["sources"] = sorted(act.labels.sources)
        return facts

    def _result_schema(self, connection: Connection, operation: str) -> Any:
        document = connection.document
        try:
            known = self._operations.get(document.digest, document.content, document.source)
            return known.get(operation).result_schema()
        except TaskFailure:
            return None  # An operation that does not exist gives nothing; publishing says so.
