"""The labels of everything that data enters a run by: its input, the results of its acts, events, people.

Most of them stand on schemas. What comes from another run of this place has the labels that it has there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from segue.core.plan import ActNode, EmitNode, FunctionNode, HumanNode, ListenNode, Node, Plan, Program, place_of
from segue.dsl.compiler.shapes import Constant
from segue.dsl.flows.labels import NO_LABELS, Labels, declared_labels, is_vouched_for, labels_at, without_detected
from segue.dsl.flows.places import NOWHERE, Places, as_read, together, within
from segue.dsl.flows.traced import INPUT_SOURCE, ITEM, NOTHING, Path, Traced, join, seen_from_outside

OperationSchema = Callable[[str, str], Iterable[Any]]
"""`(connection, operation) -> the JSON Schemas of its answers`; their labels hold for what the system gives."""

WORKFLOW: Final = "workflow"
"""The handler of `run.workflow`."""

PYTHON: Final = "function"
"""The handler of Python functions."""

EVENT: Final = "event"
"""The source of what came by an event."""

_COMPUTED_BY_OTHERS: Final = frozenset({"connector", "http", "openapi", "notify"})
"""Handlers whose answer is a system's own data, so that a schema with labels says all about it."""


@dataclass(frozen=True, slots=True)
class Target:
    """Which workflow a task starts. None: that is computed. The version may be `latest`."""

    namespace: str | None
    name: str | None
    version: str | None

    def means(self, plan: Plan) -> bool:
        """It may be this one."""
        versions = (None, "latest", plan.version)
        return self.may_be(plan.namespace, plan.name) and self.version in versions

    def may_be(self, namespace: str, name: str) -> bool:
        """It may be some version of this workflow."""
        return self.namespace in (None, namespace) and self.name in (None, name)

    def __str__(self) -> str:
        return f"{self.namespace or '…'}/{self.name or '…'}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes back from the workflows that a task may start.

    Attributes:
        places: Of what those runs put into their output themselves.
        anything: Of all that they hold; a failure may quote it.
        outputs: What their outputs are made of, in terms of their input. None: not known, so it may be all of it.
    """

    places: Places = field(default_factory=dict)
    anything: Labels = NO_LABELS
    outputs: tuple[Traced, ...] | None = None


@dataclass(frozen=True, slots=True)
class Arriving:
    """What reaches the runs of a definition from other runs.

    Attributes:
        input: From those that start it.
        events: From those that emit events of these types, with their envelopes; of any type where none is given.
        answer: From what a task starts.
    """

    input: Places = field(default_factory=dict)
    events: Callable[[tuple[str, ...]], Places] = field(default=lambda types: NOWHERE)
    answer: Callable[[ActNode], Answer] = field(default=lambda node: Answer())


ALONE: Final = Arriving()
"""Nothing does."""


class Sources:
    """The sources of one plan.

    Args:
        clean: Personal data was looked for in the input, and there is none.
    """

    def __init__(self, plan: Plan, operation_schema: OperationSchema, *, clean: bool = False) -> None:
        self.plan = plan
        document = plan.definition if isinstance(plan.definition, dict) else {}
        given = input_schema_of(plan)
        self.own: dict[str, Places] = {
            INPUT_SOURCE: declared_labels(without_detected(given) if clean else given),
            "output": declared_labels(self._schema(document.get("output"))),
        }
        """Declared by the definition and its connections, whatever other runs give it."""
        self._names: dict[str, frozenset[str]] = {INPUT_SOURCE: frozenset({INPUT_SOURCE})}
        for node in plan.nodes:
            self._add(node, operation_schema)
        self._all: dict[str, Places] = self.own
        self.arriving = ALONE
        self.hear(ALONE)

    def _add(self, node: Node, operation_schema: OperationSchema) -> None:
        definition = node.definition if isinstance(node.definition, dict) else {}
        # A check of the result speaks of the raw result only where no transform stands between.
        declared: Places = declared_labels(self._schema(definition.get("output"))) if node.output_as is None else {}
        use, operation = target_of(node)
        if use is not None:
            self._names[node.pointer] = frozenset({use})
            if operation is not None:
                schemas = operation_schema(use, operation)
                declared = together((declared, *(declared_labels(schema) for schema in schemas)))
        if isinstance(node, HumanNode):
            # The labels of a form hold for what people enter in it.
            form = declared_labels(_given(definition).get("form"))
            declared = together((declared, within(form, "data")))
        if isinstance(node, ListenNode):
            self._names[node.pointer] = frozenset({EVENT})
        if declared:
            self.own[node.pointer] = declared
        for part in ("input", "output"):
            if described := declared_labels(self._schema(definition.get(part))):
                self.own[f"{node.pointer}/{part}"] = described
        if isinstance(node, ActNode | FunctionNode | HumanNode):
            self._sign(node, definition.get("call"))

    def _sign(self, node: ActNode | FunctionNode | HumanNode, called: Any) -> None:
        """What the function that a task calls says of its arguments and its result."""
        signature = self.plan.signatures.get(called) if isinstance(called, str) else None
        if signature is None:
            return
        given: Places = declared_labels(signature.parameters)
        if isinstance(node, ActNode) and node.handler == PYTHON:
            given = within(given, "arguments")
        result = declared_labels(signature.result)
        for source, places in ((given_of(node), given), (result_of(node), result)):
            if places:
                self.own[source] = together((self.own.get(source, NOWHERE), places))

    def _schema(self, holder: Any) -> Any:
        return _schema_of(self.plan, holder)

    def hear(self, arriving: Arriving) -> None:
        """Take in what reaches it from other runs."""
        self.arriving = arriving
        more: dict[str, Places] = {INPUT_SOURCE: together((arriving.input, self._scheduled()))}
        for node in self.plan.nodes:
            if isinstance(node, ListenNode):
                holder = node.definition.get("output") if isinstance(node.definition, dict) else None
                events = as_read(arriving.events(node.to.types), node.read)
                more[node.pointer] = _told(events, vouched=is_vouched_for(self._schema(holder)))
            elif isinstance(node, ActNode) and node.handler == WORKFLOW:
                answer = arriving.answer(node)
                more[node.pointer] = answer.places
                more[failure_of(node)] = {(): answer.anything} if answer.anything else NOWHERE
        self._all = {
            source: together((self.own.get(source, NOWHERE), more.get(source, NOWHERE)))
            for source in {**self.own, **more}
        }

    def _scheduled(self) -> Places:
        """Of the events that start it."""
        schedule = self.plan.schedule
        if schedule is None or schedule.on is None:
            return NOWHERE
        self._names[INPUT_SOURCE] = frozenset({INPUT_SOURCE, EVENT})
        vouched = is_vouched_for(input_schema_of(self.plan))
        return _told(as_read(self.arriving.events(schedule.on.types), schedule.read), vouched=vouched)

    def is_as(self, other: Sources) -> bool:
        """The same labels stand in the same places."""
        return self._all == other._all and self._names == other._names

    def declared(self, source: str) -> Places:
        """The labels of a source."""
        return self._all.get(source, NOWHERE)

    def declared_here(self, source: str) -> Places:
        """The same, without what was in the input of the run already."""
        return self.own.get(source, NOWHERE) if source == INPUT_SOURCE else self.declared(source)

    def names(self, source: str) -> frozenset[str]:
        """The connections behind a source; `input` or `event`."""
        return self._names.get(source, frozenset())

    def names_here(self, source: str) -> frozenset[str]:
        """The same for somebody who gave the input."""
        return frozenset() if source == INPUT_SOURCE else self.names(source)

    def classes(self) -> frozenset[str]:
        """Every class that may hold anywhere."""
        found = (labels.classes for declared in self._all.values() for labels in declared.values())
        return frozenset[str]().union(*found)

    def anything_here(self) -> Labels:
        """Of everything that a run of it holds, besides what it was given."""
        found = NO_LABELS
        for source in self._all:
            found |= Labels(sources=self.names_here(source))
            for labels in self.declared_here(source).values():
                found |= labels
        return found

    def labels(self, source: str, path: Path) -> Labels:
        """What holds at a place of a source."""
        return labels_at(self.declared(source), path) | Labels(sources=self.names(source))

    def returned(self, node: ActNode, given: Traced) -> Traced:
        """What of its arguments an act may give back.

        All of it, unless a system's schema says what comes back, or what it starts is known.
        """
        if node.handler == WORKFLOW:
            outputs = self.arriving.answer(node).outputs
            if outputs is not None:
                return join(*(seen_from_outside(output, given.at("input")) for output in outputs))
        if node.handler in _COMPUTED_BY_OTHERS and node.pointer in self.own:
            return NOTHING
        return given.derived()


def _told(events: Places, *, vouched: bool) -> Places:
    """Of an array of events. Anybody who may send events may have sent one of these."""
    strange: Places = {(): Labels(untrusted=True)}
    return together((within(events, ITEM), NOWHERE if vouched else within(strange, ITEM)))


def failure_of(node: Node) -> str:
    """The source of what the failure of a started run says."""
    return f"{node.pointer}/failure"


def input_schema_of(plan: Plan) -> Any:
    """The schema of a workflow's input."""
    return _schema_of(plan, plan.definition.get("input")) if isinstance(plan.definition, dict) else None


def _schema_of(plan: Plan, holder: Any) -> Any:
    """The schema of an input or output, wherever it is kept."""
    schema = holder.get("schema") if isinstance(holder, dict) else None
    if not isinstance(schema, dict):
        return None
    if "document" in schema:
        return schema["document"]
    resource = schema.get("resource")
    return plan.schemas.get(place_of(resource.get("endpoint"))) if isinstance(resource, dict) else None


def given_of(node: Node) -> str:
    """The source of what the schema of a function says of its arguments."""
    return f"{node.pointer}/with"


def result_of(node: Node) -> str:
    """The source of what the schema of a function says of its result."""
    return node.pointer if isinstance(node, ActNode | HumanNode) else f"{node.pointer}/result"


def target_of(node: Node) -> tuple[str | None, str | None]:
    """The connection and the operation that a task names, where the document says them in plain."""
    if not isinstance(node, ActNode) or not isinstance(node.definition, dict):
        return None, None
    given = _given(node.definition)
    use, operation = given.get("use"), given.get("operation")
    return _plain(use), _plain(operation)


def started_by(node: ActNode) -> Target:
    """The workflow that a `run.workflow` starts."""
    run = node.definition.get("run") if isinstance(node.definition, dict) else None
    written = run.get("workflow") if isinstance(run, dict) else None
    return Target(*(_said(node.arguments, written, key) for key in ("namespace", "name", "version")))


def type_of(node: EmitNode) -> str | None:
    """The type of the event that a task emits; None where that is computed."""
    emit = node.definition.get("emit") if isinstance(node.definition, dict) else None
    event = emit.get("event") if isinstance(emit, dict) else None
    return _said(node.event, event.get("with") if isinstance(event, dict) else None, "type")


def _said(program: Program, written: Any, key: str) -> str | None:
    """The text under a key of a template, where it stands there in plain."""
    shape = program.shape.get(key) if isinstance(program.shape, dict) else program.shape
    value = written.get(key) if isinstance(written, dict) else None
    return value if isinstance(value, str) and isinstance(shape, Constant) else None


def _given(definition: Mapping[str, Any]) -> Mapping[str, Any]:
    given = definition.get("with")
    return given if isinstance(given, dict) else {}


def _plain(value: Any) -> str | None:
    return value if isinstance(value, str) and "${" not in value else None
