"""Where the data of published workflows goes: for policies at the second door, for masks, and for people who ask.

Following a document may take long, so what a publication changes is found out in a thread before it counts
(`Flows.publishing`); whoever asks on the event loop finds it there. Only what nobody could foresee, such as the
first question after a start, is found out when it is asked.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from segue.connectors import Connection, MemoryConnections, OperationsCache
from segue.core import Plan
from segue.dsl.flows import Between, Covers, Flow, Hop, Leaving, Walks
from segue.service.declared import facts_of
from segue.service.definitions import Definitions
from segue.service.joined import Foreseen, Joined, computed, plan_of
from segue.store import Definition
from segue.types import TaskFailure
from segue.types.causes import Way, hop_of

_KEPT_MAX: Final = 256
_REST: Final = 4
"""How much longer than it works it rests, where nobody waits."""


class Flows:
    """Follows each definition once, and again when what it depends on has changed."""

    def __init__(self, definitions: Definitions, connections: MemoryConnections) -> None:
        self._definitions = definitions
        self._connections = connections
        self._operations = OperationsCache()
        self._walks = Walks()
        self._giving: dict[str, bool] = {}
        self._kept: OrderedDict[tuple[str, Way | None], Flow] = OrderedDict()
        self._before: dict[tuple[str, Way | None], Flow] = {}
        self._between: Between | None = None
        self._as_of = -1
        self._publishing = asyncio.Lock()

    def of(self, digest: str) -> dict[str, Leaving]:
        """What each act of a published definition can send out, by the pointer of its task.

        Raises:
            LookupError, ServiceError: As `Definitions.plan`.
        """
        return self._flow(digest).leaving

    def covers(self, digest: str, way: Way | None = None) -> Covers:
        """The data classes of every value that a run of a published definition may have.

        Args:
            way: By which data came to the run; any where it is None.

        Raises:
            LookupError, ServiceError: As `Definitions.plan`.
        """
        return self._flow(digest, way).covers

    async def foresee(self, plan: Plan, *, acts: bool) -> Foreseen:
        """What would follow if this plan were published; found out in a thread.

        Args:
            acts: Also what its acts could send out, and those of others.
        """
        return await asyncio.to_thread(self._joined().foresee, plan, acts=acts)

    @asynccontextmanager
    async def publishing(self, plan: Plan) -> AsyncIterator[None]:
        """A plan is published within: what follows from that is found out before, and counts afterwards at once."""
        async with self._publishing:
            before = self.changes()
            between, flow = await asyncio.to_thread(self._joined().follow, plan)
            yield
            if self.changes() == before + 1 and plan.digest in {d.digest for d in self._definitions.all()}:
                self._take(between)
                self._kept[plan.digest, None] = flow

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Find out beside everything else, as long as the block lasts, what nobody has asked for since the start."""
        task = asyncio.create_task(self._follow_all(), name="segue-flows")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _follow_all(self) -> None:
        joined, before = self._joined(), self.changes()
        between = await asyncio.to_thread(joined.together)
        if self.changes() == before and self._as_of != before:
            self._take(between)
        for definition in joined.newest[:_KEPT_MAX]:
            since = time.monotonic()
            plan = await asyncio.to_thread(plan_of, self._definitions, definition.digest)
            flow = None if plan is None else await asyncio.to_thread(computed, between, plan)
            if flow is not None and self._between is between and self._as_of == self.changes():
                self._kept.setdefault((definition.digest, None), flow)
            # Threads share one interpreter: what runs has most of it.
            await asyncio.sleep(_REST * (time.monotonic() - since))

    def changes(self) -> int:
        """How often what `facts` says may have changed."""
        return self._connections.changes + self._definitions.changes

    def tells_apart(self, workflow: str) -> bool:
        """What `facts` says of runs of this definition depends on their way."""
        definition = self._named(workflow)
        if definition is None:
            return False
        return self._current().is_told_apart(self._definitions.plan(definition.digest))

    def facts(self, workflow: str, pointer: str, way: Way | None = None) -> dict[str, Any]:
        """The context of an act's request: what its document declares, and the labels of what it can send.

        Args:
            workflow: `namespace/name:version` of the run.
            way: By which data came to the run; any where it is None.
        """
        definition = self._named(workflow)
        if definition is None:
            return {}
        declared = facts_of(self._definitions.plan(definition.digest).definition)
        facts: dict[str, Any] = {name: declared[name] for name in ("risk", "use_case")}
        facts["declares"] = declared["classes"]
        labels = self._flow(definition.digest, way).labels(pointer)
        if labels is not None:
            facts["classes"] = sorted(labels.classes)
            facts["untrusted"] = labels.untrusted
            facts["sources"] = sorted(labels.sources)
        return facts

    # -- together ----------------------------------------------------------------------------------

    def _named(self, workflow: str) -> Definition | None:
        name, _, version = workflow.rpartition(":")
        namespace, _, short = name.partition("/")
        return self._definitions.find(namespace, short, version)

    def _flow(self, digest: str, way: Way | None = None) -> Flow:
        between = self._current()
        key = (digest, way)
        found = self._kept.get(key)
        if found is None:
            found = self._follow(between, self._definitions.plan(digest), way)
            # Where nothing that it depends on has changed, what was computed of it stays.
            was = self._before.pop(key, None)
            found = self._kept[key] = was if was is not None and was.is_as(found) else found
            if len(self._kept) > _KEPT_MAX:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
        return found

    def _follow(self, between: Between, plan: Plan, way: Way | None) -> Flow:
        if way is None:
            return between.flow(plan)
        hops = [self._hop(text) for text in way.hops]
        known = [hop for hop in hops if hop is not None]
        given = between.given_by(known, plan) if len(known) == len(hops) else None
        # Of a way that leads through what is not known here, only what was looked for in this run is known.
        return between.flow(plan, clean=way.clean, given=given)

    def _hop(self, text: str) -> Hop | None:
        workflow, pointer, clean = hop_of(text)
        definition = self._named(workflow)
        plan = None if definition is None else plan_of(self._definitions, definition.digest)
        return None if plan is None else Hop(plan, pointer, clean)

    def _current(self) -> Between:
        """Everything that gives others something, followed together as of now."""
        if self._between is None or self._as_of != self.changes():
            return self._take(self._joined().together())
        return self._between

    def _take(self, between: Between) -> Between:
        """This is how it is from now on."""
        self._between, self._as_of = between, self.changes()
        self._before = {**self._before, **self._kept} if len(self._before) < _KEPT_MAX else dict(self._kept)
        self._kept.clear()
        return between

    def _joined(self) -> Joined:
        return Joined(self._definitions, self._schema_of, self._walks, self._giving)

    def _schema_of(self, name: str, operation: str) -> Sequence[Any]:
        connection = self._connections.find(name)
        return [] if connection is None else self._results_of(connection, operation)

    def _results_of(self, connection: Connection, operation: str) -> Sequence[Any]:
        document = connection.document
        try:
            known = self._operations.get(document.digest, document.content, document.source)
            return known.get(operation).result_schemas()
        except TaskFailure:
            return []  # An operation that does not exist gives nothing; publishing says so.
