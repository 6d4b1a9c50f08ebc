"""Where the data of published workflows goes: for policies at the second door, for masks, and for people who ask."""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from segue.connectors import Connection, MemoryConnections, OperationsCache
from segue.core import Plan
from segue.dsl.flows import Between, Covers, Flow, Hop, Labels, Leaving, Target, gives, listens_to, targets_of
from segue.service.definitions import Definitions
from segue.service.errors import ServiceError
from segue.service.publishing import facts_of
from segue.store import Definition
from segue.types import TaskFailure
from segue.types.causes import Way, hop_of

_log = logging.getLogger("segue.service")

_KEPT_MAX: Final = 256
_MAY_GIVE: Final = re.compile(r"\bemit\b|(?<!\$)\bworkflow\b|\\(?:[xuU]|\r?\n)")
"""Documents without any of these words neither start others nor emit events; an escape may write any of them."""
_MAY_HEAR: Final = re.compile(r"\blisten\b|\bschedule\b|\\(?:[xuU]|\r?\n)")


@dataclass(frozen=True, slots=True)
class Reached:
    """What an act of another workflow could send out if a document were published.

    Attributes:
        before: What it can send out now.
    """

    plan: Plan
    act: Leaving
    before: Leaving


class Flows:
    """Follows each definition once, and again when what it depends on has changed."""

    def __init__(self, definitions: Definitions, connections: MemoryConnections) -> None:
        self._definitions = definitions
        self._connections = connections
        self._operations = OperationsCache()
        self._kept: OrderedDict[tuple[str, Way | None], Flow] = OrderedDict()
        self._giving: dict[str, bool] = {}
        self._between: Between | None = None
        self._as_of = -1

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

    def of_plan(self, plan: Plan) -> tuple[dict[str, Leaving], list[Reached]]:
        """What each act of a plan that is not published could send out; and acts of others that it would reach."""
        now = self._current()
        if not gives(plan):
            return now.flow(plan).leaving, []
        then = Between([*self._with_started((*now.plans.values(), plan))], self._schema_of)
        reached = [
            Reached(other, act, before)
            for other in self._hearers(then, plan)
            for act, before in _grown(now.flow(other).leaving, then.flow(other).leaving)
        ]
        return then.flow(plan).leaving, reached

    def unknown(self, plan: Plan) -> Iterator[tuple[str, Target, Labels | None]]:
        """Tasks that start workflows of which it is not known which they are, or which are not published yet.

        Gives:
            The pointer, the target, and the labels of all that these hold; None where nothing of it is published.
        """
        if any(
            target.namespace is None or target.name is None or not self._found(target) for target in targets_of(plan)
        ):
            between = Between([*self._with_started((plan,))], self._schema_of)
            for node, target, meant in between.starts(plan):
                if target.namespace is None or target.name is None:
                    yield node.pointer, target, between.held(meant)
                elif not meant:
                    yield node.pointer, target, None

    def _found(self, target: Target) -> bool:
        return any(target.may_be(d.namespace, d.name) for d in self._definitions.all())

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
        act = self._flow(definition.digest, way).leaving.get(pointer)
        if act is not None:
            facts["classes"] = sorted(act.labels.classes)
            facts["untrusted"] = act.labels.untrusted
            facts["sources"] = sorted(act.labels.sources)
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
            found = self._kept[key] = self._follow(between, self._definitions.plan(digest), way)
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
        plan = None if definition is None else self._plan(definition.digest)
        return None if plan is None else Hop(plan, pointer, clean)

    def _current(self) -> Between:
        """Everything that gives others something, followed together as of now."""
        changes = self.changes()
        if self._between is None or self._as_of != changes:
            plans = [plan for d in self._definitions.all() if (plan := self._giver(d)) is not None]
            self._between = Between([*self._with_started(plans)], self._schema_of)
            self._as_of = changes
            self._kept.clear()
        return self._between

    def _giver(self, definition: Definition) -> Plan | None:
        known = self._giving.get(definition.digest)
        if known is None and not self._says(definition, _MAY_GIVE):
            known = self._giving[definition.digest] = False
        if known is False:
            return None
        plan = self._plan(definition.digest)
        self._giving[definition.digest] = plan is not None and gives(plan)
        return plan if self._giving[definition.digest] else None

    def _says(self, definition: Definition, words: re.Pattern[str]) -> bool:
        """One of the words stands in the document, or in a function of another catalogue that it calls."""
        functions = self._definitions.pins(definition.digest).functions
        texts = (definition.source, *(msgspec.json.encode(one.body).decode() for one in functions.values()))
        return any(words.search(text) for text in texts)

    def _plan(self, digest: str) -> Plan | None:
        try:
            return self._definitions.plan(digest)
        except ServiceError:
            _log.warning("definition %s cannot be compiled here; labels of what it gave others are not known", digest)
            return None

    def _with_started(self, plans: Any) -> Iterator[Plan]:
        """These plans, and all that they may start, and so on."""
        found: dict[str, Plan] = {}
        pending = list(plans)
        while pending:
            plan = pending.pop()
            if plan.digest in found:
                continue
            found[plan.digest] = plan
            for target in targets_of(plan):
                for definition in self._definitions.all():
                    if target.may_be(definition.namespace, definition.name) and definition.digest not in found:
                        started = self._plan(definition.digest)
                        pending.extend([] if started is None else [started])
        yield from found.values()

    def _hearers(self, between: Between, plan: Plan) -> Iterator[Plan]:
        """The newest versions of everything else that may take something in."""
        for namespace, name in self._definitions.names():
            definition = self._definitions.find(namespace, name, "latest")
            if definition is None or definition.digest == plan.digest:
                continue
            if definition.digest in between.plans:
                yield between.plans[definition.digest]
            elif self._says(definition, _MAY_HEAR):
                other = self._plan(definition.digest)
                if other is not None and listens_to(other, None):
                    yield other

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


def _grown(before: dict[str, Leaving], then: dict[str, Leaving]) -> Iterator[tuple[Leaving, Leaving]]:
    """Acts that can send out more than before."""
    for pointer, act in then.items():
        if act.labels | before[pointer].labels != before[pointer].labels:
            yield act, before[pointer]
