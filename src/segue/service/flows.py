"""Where the data of published workflows goes: for policies at the second door, for masks, and for people who ask."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

from segue.connectors import Connection, MemoryConnections, OperationsCache
from segue.core import Plan
from segue.dsl.flows import Covers, Flow, Leaving, followed
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
        self._kept: OrderedDict[str, tuple[Flow, dict[str, Connection | None]]] = OrderedDict()

    def of(self, digest: str) -> dict[str, Leaving]:
        """What each act of a published definition can send out, by the pointer of its task.

        Raises:
            LookupError, ServiceError: As `Definitions.plan`.
        """
        return self._flow(digest).leaving

    def covers(self, digest: str) -> Covers:
        """The data classes of every value that a run of a published definition may have.

        Raises:
            LookupError, ServiceError: As `Definitions.plan`.
        """
        return self._flow(digest).covers

    def of_plan(self, plan: Plan) -> dict[str, Leaving]:
        """What each act of a plan that is not published can send out."""
        return followed(plan, lambda name, operation: self._schema(self._connections.find(name), operation)).leaving

    def _flow(self, digest: str) -> Flow:
        kept = self._kept.get(digest)
        if kept is not None and all(self._connections.find(name) is used for name, used in kept[1].items()):
            self._kept.move_to_end(digest)
            return kept[0]
        used: dict[str, Connection | None] = {}

        def schema(name: str, operation: str) -> Any:
            used[name] = self._connections.find(name)
            return self._schema(used[name], operation)

        found = followed(self._definitions.plan(digest), schema)
        self._kept[digest] = (found, used)
        if len(self._kept) > _KEPT_MAX:
            self._kept.popitem(last=False)
        return found

    def changes(self) -> int:
        """How often what `facts` says may have changed."""
        return self._connections.changes

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
        facts: dict[str, Any] = {name: declared[name] for name in ("risk", "use_case")}
        facts["declares"] = declared["classes"]
        act = self.of(definition.digest).get(pointer)
        if act is not None:
            facts["classes"] = sorted(act.labels.classes)
            facts["untrusted"] = act.labels.untrusted
            facts["sources"] = sorted(act.labels.sources)
        return facts

    def _schema(self, connection: Connection | None, operation: str) -> Any:
        if connection is None:
            return None
        document = connection.document
        try:
            known = self._operations.get(document.digest, document.content, document.source)
            return known.get(operation).result_schema()
        except TaskFailure:
            return None  # An operation that does not exist gives nothing; publishing says so.
