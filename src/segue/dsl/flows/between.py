"""Labels between definitions: what a run gives those that it starts, those that it tells events, and its parent.

Who starts or tells whom is known from the plans, as far as the documents say it in plain; what is computed counts as
any of them. Each definition is followed once. What they give each other only grows until nothing new comes, so the
order does not matter, and workflows may start each other in circles.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import NamedTuple, TypeVar

from segue.core.plan import ActNode, EmitNode, ListenNode, Node, Plan
from segue.dsl.flows.labels import NO_LABELS, Labels, detected_places
from segue.dsl.flows.leaving import Flow
from segue.dsl.flows.places import NOWHERE, Places, places_of, together
from segue.dsl.flows.remembered import Walks
from segue.dsl.flows.sources import (
    WORKFLOW,
    Answer,
    Arriving,
    OperationSchema,
    Sources,
    Target,
    input_schema_of,
    started_by,
    type_of,
)
from segue.dsl.flows.tasks import Walk
from segue.dsl.flows.traced import NOTHING, Origin, Traced, join

Name = tuple[str | None, str | None]


class Hop(NamedTuple):
    """A task (by its pointer) of a run of a plan that started another run. `clean`: as in `Between.flow`."""

    plan: Plan
    pointer: str
    clean: bool


Key = TypeVar("Key")


class Between:
    """Definitions followed together.

    Args:
        plans: All definitions that start others or emit events, and all that may be started by them.
        walks: Walks that are known already, and where new ones are kept.

    Once made it does not change, so threads may ask it.
    """

    def __init__(self, plans: Iterable[Plan], operation_schema: OperationSchema, walks: Walks | None = None) -> None:
        self._schema = operation_schema
        self._remembered = Walks() if walks is None else walks
        self.plans = {plan.digest: plan for plan in plans}
        self._named: dict[tuple[str, str], list[Plan]] = defaultdict(list)
        self._callers: dict[str, set[str]] = defaultdict(set)
        self._walks: dict[str, Walk] = {}
        self._sources: dict[str, Sources] = {}
        self._inputs: dict[Name, Places] = {}
        self._events: dict[str | None, Places] = {}
        self._outputs: dict[str, Places] = {}
        self._anything: dict[str, Labels] = {}
        for plan in self.plans.values():
            self._named[plan.namespace, plan.name].append(plan)
            self._sources[plan.digest] = Sources(plan, operation_schema)
        self._settle()

    def flow(self, plan: Plan, *, clean: bool = False, given: Places | None = None) -> Flow:
        """Where the data of a plan goes, with what reaches it from the others.

        Args:
            clean: Of a run in whose input personal data was looked for in vain.
            given: Of a run whose input has these labels from whoever started it; of any run where it is left out.
        """
        known = self._sources.get(plan.digest) if given is None and not clean else None
        if known is not None:
            return Flow(self._walks[plan.digest], known)
        sources = Sources(plan, self._schema, clean=clean)
        sources.hear(self.arriving(plan, given))
        return Flow(self._walk(plan, sources), sources)

    def given_by(self, hops: Iterable[Hop], plan: Plan) -> Places | None:
        """What reaches the input of a run that these tasks led to, one starting the other.

        Each counts as if it could have started any of the others that its document names, so that a workflow which
        starts itself has one hop, however often it did.

        Returns:
            None where a hop is not known here, so that nothing follows from it.
        """
        known = list(hops)
        nodes = [_starting(hop) for hop in known]
        if not all(nodes) or not all(hop.plan.digest in self._sources for hop in known):
            return None
        reached: dict[tuple[str, bool], Places] = {}
        while True:
            before = dict(reached)
            for hop, found in zip(known, nodes, strict=True):
                sources = Sources(hop.plan, self._schema, clean=hop.clean)
                sources.hear(self.arriving(hop.plan, reached.get((hop.plan.digest, hop.clean), NOWHERE)))
                walk = self._walk(hop.plan, sources)
                for node in found:
                    given = walk.given.get(node.index, NOTHING).at("input")
                    places = places_of(given, sources.declared, sources.names)
                    for other in {p.digest: p for p in (plan, *(hop.plan for hop in known))}.values():
                        if started_by(node).may_be(other.namespace, other.name):
                            _grow(reached, (other.digest, False), places)
            if reached == before:
                return reached.get((plan.digest, False), NOWHERE)

    def is_told_apart(self, plan: Plan) -> bool:
        """What reaches its runs depends on who started them, or on what was looked for in their input."""
        return bool(self.arriving(plan).input) or bool(detected_places(input_schema_of(plan)))

    def arriving(self, plan: Plan, given: Places | None = None) -> Arriving:
        """What reaches the runs of a plan.

        Args:
            given: By whoever started the run; by anybody where it is left out.
        """
        if given is not None:
            return Arriving(given, self._told, partial(self._answer, plan))
        names: tuple[Name, ...] = (
            (plan.namespace, plan.name),
            (plan.namespace, None),
            (None, plan.name),
            (None, None),
        )
        given = together(self._inputs.get(name, NOWHERE) for name in names)
        return Arriving(given, self._told, partial(self._answer, plan))

    def starts(self, plan: Plan) -> Iterator[tuple[ActNode, Target, list[Plan]]]:
        """Each task that starts others, and what it may start."""
        for node in plan.nodes:
            if isinstance(node, ActNode) and node.handler == WORKFLOW:
                target = started_by(node)
                yield node, target, self._meant(target)

    def held(self, plans: Iterable[Plan]) -> Labels:
        """The labels of all that runs of these plans hold."""
        found = NO_LABELS
        for plan in plans:
            found |= self._anything.get(plan.digest, NO_LABELS)
        return found

    # -- channels ----------------------------------------------------------------------------------

    def _told(self, types: tuple[str, ...]) -> Places:
        wanted: Iterable[str | None] = (*types, None) if types else self._events
        return together(self._events.get(name, NOWHERE) for name in wanted)

    def _answer(self, plan: Plan, node: ActNode) -> Answer:
        meant = self._meant(started_by(node))
        if not meant:
            return Answer()
        outputs = [self._output(other) for other in meant]
        known = tuple(output for output in outputs if output is not None)
        places = together(self._outputs.get(other.digest, NOWHERE) for other in meant)
        return Answer(places, self.held(meant), known if len(known) == len(outputs) else None)

    def _meant(self, target: Target) -> list[Plan]:
        if target.namespace is not None and target.name is not None:
            found = self._named.get((target.namespace, target.name), [])
        else:
            found = list(self.plans.values())
        return [plan for plan in found if target.means(plan)]

    def _output(self, plan: Plan) -> Traced | None:
        """What the output of its runs is made of; None where that is not known yet, in a circle."""
        walked = self._walks.get(plan.digest)
        return None if walked is None else walked.output

    def _walk(self, plan: Plan, sources: Sources) -> Walk:
        found = self._walks.get(plan.digest)
        return found if found is not None else self._remembered.of(plan, sources)

    # -- until nothing new comes -------------------------------------------------------------------

    def _settle(self) -> None:
        waiting = deque(self.plans)
        queued = set(self.plans)
        started: dict[str, list[str]] = {}
        for plan in self.plans.values():
            meant = {other.digest: None for _, _, found in self.starts(plan) for other in found}
            started[plan.digest] = list(meant)
            for other in meant:
                self._callers[other].add(plan.digest)
        for digest in _innermost_first(started):
            sources = self._sources[digest]
            sources.arriving = self.arriving(self.plans[digest])
            self._walks[digest] = self._remembered.of(self.plans[digest], sources)
        while waiting:
            digest = waiting.popleft()
            queued.discard(digest)
            for reader in self._tell(self.plans[digest]):
                if reader not in queued:
                    queued.add(reader)
                    waiting.append(reader)
        for digest, sources in self._sources.items():
            sources.hear(self.arriving(self.plans[digest]))

    def _tell(self, plan: Plan) -> set[str]:
        """Take in what a definition gives others; which of them hear something new."""
        sources = self._sources[plan.digest]
        walk = self._walks[plan.digest]
        sources.hear(self.arriving(plan))
        readers: set[str] = set()
        for index, given in walk.given.items():
            node = plan.nodes[index]
            if isinstance(node, ActNode) and node.handler == WORKFLOW:
                target = started_by(node)
                places = places_of(given.at("input"), sources.declared, sources.names)
                if _grow(self._inputs, (target.namespace, target.name), places):
                    readers.update(p.digest for p in self.plans.values() if target.may_be(p.namespace, p.name))
            elif isinstance(node, EmitNode):
                name = type_of(node)
                if _grow(self._events, name, places_of(given, sources.declared, sources.names)):
                    readers.update(p.digest for p in self.plans.values() if listens_to(p, name))
        output = join(walk.output, Traced(frozenset({Origin("output")})))
        grown = _grow(self._outputs, plan.digest, places_of(output, sources.declared_here, sources.names_here))
        anything = sources.anything_here() | self._anything.get(plan.digest, NO_LABELS)
        if grown or anything != self._anything.get(plan.digest):
            self._anything[plan.digest] = anything
            readers.update(self._callers[plan.digest])
        return readers


def _grow(channel: dict[Key, Places], key: Key, places: Places) -> bool:
    before = channel.get(key, NOWHERE)
    channel[key] = together((before, places))
    return channel[key] != before


def _innermost_first(started: Mapping[str, list[str]]) -> list[str]:
    """Those that are started before those that start them, as far as they do not go in circles."""
    order: dict[str, None] = {}
    seen: set[str] = set()
    for root in started:
        pending = [(root, False)]
        while pending:
            digest, is_done = pending.pop()
            if is_done:
                order[digest] = None
            elif digest not in seen:
                seen.add(digest)
                pending.append((digest, True))
                pending.extend((other, False) for other in started[digest])
    return list(order)


def _starting(hop: Hop) -> list[ActNode]:
    """The nodes of a task that starts others; a function stands once and may be called from several places."""
    nodes = [node for node in hop.plan.nodes if isinstance(node, ActNode) and node.handler == WORKFLOW]
    return [node for node in nodes if node.pointer == hop.pointer]


def targets_of(plan: Plan) -> Iterator[Target]:
    """What its tasks start."""
    for node in plan.nodes:
        if isinstance(node, ActNode) and node.handler == WORKFLOW:
            yield started_by(node)


def gives(plan: Plan) -> bool:
    """It starts others, or emits events."""
    return any(_gives(node) for node in plan.nodes)


def _gives(node: Node) -> bool:
    return isinstance(node, EmitNode) or (isinstance(node, ActNode) and node.handler == WORKFLOW)


def listens_to(plan: Plan, name: str | None) -> bool:
    """It may take events of this type; of any where that is None."""
    strategies = [node.to for node in plan.nodes if isinstance(node, ListenNode)]
    if plan.schedule is not None and plan.schedule.on is not None:
        strategies.append(plan.schedule.on)
    return any(name is None or not strategy.types or name in strategy.types for strategy in strategies)
