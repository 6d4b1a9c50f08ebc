"""What leaves a run by each of its acts, and what is known of it; and what may stand in each of its values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from segue.core.plan import ActNode, Node, Plan
from segue.dsl.flows.covers import NO_COVERS, Cover, Covers, TaskCovers, cover_of
from segue.dsl.flows.labels import NO_LABELS, Labels
from segue.dsl.flows.sources import ALONE, WORKFLOW, Arriving, OperationSchema, Sources, started_by, target_of
from segue.dsl.flows.tasks import INPUT, Walk
from segue.dsl.flows.traced import Origin, Path, Traced, join

_OTHERS: Final = {"human": "human-task"}


@dataclass(frozen=True, slots=True)
class Leaving:
    """What an act sends out.

    Attributes:
        pointer: The task.
        handler: Who performs it; `emit` for an event, `human-task` for people.
        connection, operation: As the document names them; None where it does not, or computes the name. The operation
            of `workflow` is what it starts.
        labels: Of everything it is given.
        arguments: For each argument (by its path) that comes from labelled data: where that comes from.
    """

    pointer: str
    handler: str
    connection: str | None
    operation: str | None
    labels: Labels
    arguments: Mapping[Path, Mapping[Origin, Labels]]


class Flow:
    """Where the data of one plan goes: what a finished walk says, told when it is asked for."""

    def __init__(self, walk: Walk, sources: Sources) -> None:
        self._walk = walk
        self._sources = sources

    @cached_property
    def leaving(self) -> dict[str, Leaving]:
        """For each act, by pointer, what it sends out."""
        return _leaving(self._walk, self._sources)

    @cached_property
    def covers(self) -> Covers:
        """The data classes of every value that a run of it may have."""
        return _covers(self._walk, self._sources)

    def labels(self, pointer: str) -> Labels | None:
        """Of everything that the act at this pointer is given; None where there is none."""
        nodes = self._walk.plan.nodes
        given = [found for index, found in self._walk.given.items() if nodes[index].pointer == pointer]
        total = NO_LABELS
        for origin in frozenset[Origin]().union(*(found.origins() for found in given)):
            total |= self._sources.labels(origin.source, origin.path)
        return total if given else None

    def is_as(self, other: Flow) -> bool:
        """It says the same as another one."""
        return self._walk is other._walk and self._sources.is_as(other._sources)


def followed(plan: Plan, operation_schema: OperationSchema | None = None, arriving: Arriving = ALONE) -> Flow:
    """Follow the data of a plan.

    Args:
        arriving: What reaches it from other runs.

    Source: design section 7 (labels); decisions 0090, 0111 and 0133.
    """
    sources = Sources(plan, operation_schema or (lambda connection, operation: ()))
    sources.hear(arriving)
    return Flow(Walk(plan, sources.returned, sources.own).run(), sources)


def leaving(plan: Plan, operation_schema: OperationSchema | None = None) -> dict[str, Leaving]:
    """For each act of the plan, by pointer, what it sends out."""
    return followed(plan, operation_schema).leaving


def _covers(walk: Walk, sources: Sources) -> Covers:
    classes = sources.classes()
    if not classes:
        return NO_COVERS

    def cover(value: Traced) -> Cover:
        return cover_of(value, sources.declared)

    tasks = {
        pointer: TaskCovers(
            cover(seen.raw), cover(seen.input), cover(seen.sent), cover(seen.result), cover(seen.output)
        )
        for pointer, seen in walk.seen.items()
    }
    output = join(walk.output, Traced(frozenset({Origin("output")})))
    return Covers(classes, cover(INPUT), cover(output), cover(walk.context), tasks)


def _leaving(walk: Walk, sources: Sources) -> dict[str, Leaving]:
    found: dict[str, Leaving] = {}
    known: dict[Origin, Labels] = {}
    for index, given in walk.given.items():
        node = walk.plan.nodes[index]
        arguments: dict[Path, dict[Origin, Labels]] = {}
        total = NO_LABELS
        for path, origins in given.leaves():
            for origin in sorted(origins):
                labels = known.get(origin)
                if labels is None:
                    labels = known[origin] = sources.labels(origin.source, origin.path)
                total |= labels
                if labels:
                    arguments.setdefault(path, {})[origin] = labels
        use, operation = target_of(node)
        if isinstance(node, ActNode) and node.handler == WORKFLOW:
            target = started_by(node)
            operation = f"{target.namespace}/{target.name}" if target.namespace and target.name else None
        made = Leaving(node.pointer, _handler(node), use, operation, total, arguments)
        # A function of the document stands once and may be called from several places.
        told = found.get(node.pointer)
        found[node.pointer] = made if told is None else _both(told, made)
    return found


def _handler(node: Node) -> str:
    return node.handler if isinstance(node, ActNode) else _OTHERS.get(node.kind, node.kind)


def _both(one: Leaving, other: Leaving) -> Leaving:
    paths = {**one.arguments, **other.arguments}
    arguments = {path: {**one.arguments.get(path, {}), **other.arguments.get(path, {})} for path in paths}
    return replace(one, labels=one.labels | other.labels, arguments=arguments)
