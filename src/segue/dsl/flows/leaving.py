"""What leaves a run by each of its acts, and what is known of it; and what may stand in each of its values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from segue.core.plan import ActNode, HumanNode, Node, Plan
from segue.dsl.flows.covers import NO_COVERS, Cover, Covers, TaskCovers, cover_of
from segue.dsl.flows.labels import NO_LABELS, Labels, declared_labels, labels_at
from segue.dsl.flows.tasks import INPUT, Walk
from segue.dsl.flows.traced import Origin, Path, Traced, join

OperationSchema = Callable[[str, str], Any]
"""`(connection, operation) -> the JSON Schema of its result`, or None; its labels hold for what the system gives."""

_OTHERS: Final = {"human": "human-task"}
_COMPUTED_BY_OTHERS: Final = frozenset({"connector", "http", "openapi", "notify"})
"""Handlers whose answer is a system's own data, so that a schema with labels says all about it."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """What an act sends out.

    Attributes:
        pointer: The task.
        handler: Who performs it; `emit` for an event, `human-task` for people.
        connection, operation: As the document names them; None where it does not, or computes the name.
        labels: Of everything it is given.
        arguments: For each argument (by its path) that comes from labelled data: where that comes from.
    """

    pointer: str
    handler: str
    connection: str | None
    operation: str | None
    labels: Labels
    arguments: Mapping[Path, Mapping[Origin, Labels]]


@dataclass(frozen=True, slots=True)
class Flow:
    """Where the data of one plan goes.

    Attributes:
        leaving: For each act, by pointer, what it sends out.
        covers: The data classes of every value that a run of it may have.
    """

    leaving: dict[str, Leaving]
    covers: Covers


def followed(plan: Plan, operation_schema: OperationSchema | None = None) -> Flow:
    """Follow the data of a plan.

    Source: design section 7 (labels); decisions 0090 and 0111.
    """
    sources = _Sources(plan, operation_schema or (lambda connection, operation: None))
    walk = Walk(plan, sources.carries).run()
    return Flow(_leaving(plan, walk, sources), _covers(walk, sources))


def leaving(plan: Plan, operation_schema: OperationSchema | None = None) -> dict[str, Leaving]:
    """For each act of the plan, by pointer, what it sends out."""
    return followed(plan, operation_schema).leaving


def _covers(walk: Walk, sources: _Sources) -> Covers:
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


def _leaving(plan: Plan, walk: Walk, sources: _Sources) -> dict[str, Leaving]:
    found: dict[str, Leaving] = {}
    for index, given in walk.given.items():
        node = plan.nodes[index]
        arguments: dict[Path, dict[Origin, Labels]] = {}
        total = NO_LABELS
        for path, origins in given.leaves():
            for origin in sorted(origins):
                labels = sources.labels(origin)
                total |= labels
                if labels:
                    arguments.setdefault(path, {})[origin] = labels
        use, operation = target_of(node)
        made = Leaving(node.pointer, _handler(node), use, operation, total, arguments)
        # A function of the document stands once and may be called from several places.
        known = found.get(node.pointer)
        found[node.pointer] = made if known is None else _both(known, made)
    return found


def _handler(node: Node) -> str:
    return node.handler if isinstance(node, ActNode) else _OTHERS.get(node.kind, node.kind)


def _both(one: Leaving, other: Leaving) -> Leaving:
    paths = {**one.arguments, **other.arguments}
    arguments = {path: {**one.arguments.get(path, {}), **other.arguments.get(path, {})} for path in paths}
    return replace(one, labels=one.labels | other.labels, arguments=arguments)


class _Sources:
    """The labels of everything that data enters a run by."""

    def __init__(self, plan: Plan, operation_schema: OperationSchema) -> None:
        document = plan.definition if isinstance(plan.definition, dict) else {}
        self._declared: dict[str, dict[Path, Labels]] = {
            "input": declared_labels(_schema(document.get("input"))),
            "output": declared_labels(_schema(document.get("output"))),
        }
        self._names: dict[str, str] = {"input": "input"}
        for node in plan.nodes:
            self._add(node, operation_schema)

    def _add(self, node: Node, operation_schema: OperationSchema) -> None:
        definition = node.definition if isinstance(node.definition, dict) else {}
        # A check of the result speaks of the raw result only where no transform stands between.
        declared = declared_labels(_schema(definition.get("output"))) if node.output_as is None else {}
        use, operation = target_of(node)
        if use is not None:
            self._names[node.pointer] = use
            if operation is not None:
                declared = _merged(declared, declared_labels(operation_schema(use, operation)))
        if isinstance(node, HumanNode):
            # The labels of a form hold for what people enter in it.
            form = declared_labels(_given(definition).get("form"))
            declared = _merged(declared, {("data", *path): labels for path, labels in form.items()})
        if declared:
            self._declared[node.pointer] = declared
        for part in ("input", "output"):
            if described := declared_labels(_schema(definition.get(part))):
                self._declared[f"{node.pointer}/{part}"] = described

    def declared(self, source: str) -> Mapping[Path, Labels]:
        return self._declared.get(source, {})

    def classes(self) -> frozenset[str]:
        """Every class that is named anywhere."""
        found = (labels.classes for declared in self._declared.values() for labels in declared.values())
        return frozenset[str]().union(*found)

    def labels(self, origin: Origin) -> Labels:
        known = labels_at(self._declared.get(origin.source, {}), origin.path)
        name = self._names.get(origin.source)
        return known if name is None else known | Labels(sources=frozenset({name}))

    def carries(self, node: ActNode) -> bool:
        """What an act is given may come back in its result, unless a system's schema says what comes back."""
        return node.handler not in _COMPUTED_BY_OTHERS or node.pointer not in self._declared


def _merged(one: dict[Path, Labels], other: dict[Path, Labels]) -> dict[Path, Labels]:
    return {path: one.get(path, NO_LABELS) | other.get(path, NO_LABELS) for path in {**one, **other}}


def _schema(holder: Any) -> Any:
    schema = holder.get("schema") if isinstance(holder, dict) else None
    return schema.get("document") if isinstance(schema, dict) else None


def target_of(node: Node) -> tuple[str | None, str | None]:
    """The connection and the operation that a task names, where the document says them in plain."""
    if not isinstance(node, ActNode) or not isinstance(node.definition, dict):
        return None, None
    given = _given(node.definition)
    use, operation = given.get("use"), given.get("operation")
    return _plain(use), _plain(operation)


def _given(definition: Mapping[str, Any]) -> Mapping[str, Any]:
    given = definition.get("with")
    return given if isinstance(given, dict) else {}


def _plain(value: Any) -> str | None:
    return value if isinstance(value, str) and "${" not in value else None
