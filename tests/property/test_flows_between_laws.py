"""Laws of labels between runs: no class is lost on the way from a parent to a child, back, or through events.

Every text that a schema gives a class is made to say which. Documents made at random start each other, in circles
too, and tell each other events; wherever a text turns up, in whichever run, its class must have been named before:
for any run of the definition, and for this one by the tasks that led to it.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conformance.documents.driver import START_MS, Outcome, _Run
from tests.property.test_flows_laws import DATA

from segue.core import Plan
from segue.core.machines.listen import read_event
from segue.dsl import DefinitionError, Environment, PythonFunction, compile_plan, read_document
from segue.dsl.flows import Between, Flow, Hop
from segue.service.masks import masked
from segue.types import AttemptFailed, AttemptSucceeded, Event, Failure, Perform, failure

pytestmark = pytest.mark.filterwarnings("ignore:The recursion limit will not be reset")

NAMES = ("first", "second", "third", "fourth")
RETURNS: Any = {"a": {"a": "t", "b": ["t"]}, "b": ["t", {"a": "t"}], "c": "t"}
MARK = re.compile(r"canary-([a-z0-9]+)-")
ACTS = ("call", "start", "start", "emit", "set")
RUNS_MAX, ACTS_MAX, DEPTH_MAX = 12, 20, 3


def labelled(classes: str, keys: Any) -> dict[str, Any]:
    """A schema that gives each field a class of its own."""
    return {"document": {"properties": {key: {"x-data-class": f"{classes}{key}"} for key in keys}}}


def marked(value: Any, name: str) -> Any:
    """The value with texts that say their class."""
    if isinstance(value, dict):
        return {key: marked(held, name) for key, held in value.items()}
    if isinstance(value, list):
        return [marked(held, name) for held in value]
    return f"canary-{name}-" if isinstance(value, str) else value


def fields(value: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """An object as its schema labels it."""
    known = schema["document"]["properties"]
    return {key: marked(held, known[key]["x-data-class"]) if key in known else held for key, held in value.items()}


@st.composite
def documents(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    """Four documents: the first starts, the third starts by events, the fourth listens; any may start or tell any."""
    made = {}
    for number, name in enumerate(NAMES):
        head = {"dsl": "1.0.3", "namespace": "n", "name": name, "version": "1.0.0"}
        document: dict[str, Any] = {"document": head, "do": draw(acting(name))}
        if number < 2:
            document["input"] = {"schema": labelled(f"{name}in", "abck" if number == 0 else "ac")}
        read = draw(st.sampled_from(["data", "envelope"]))
        if name == "third":
            document["schedule"] = {"on": {"one": {"with": {"type": "x.y"}}}, "read": read}
        if name == "fourth":
            listen = {"listen": {"to": {"one": {"with": {"type": "x.y"}}}, "read": read}}
            document["do"] = [{"heard": listen}, {"told": {"call": "f", "with": {"a": "${ . }"}}}, *document["do"]]
        if draw(st.booleans()):
            document["output"] = {"as": draw(st.sampled_from(["${ {a: ., k: $context} }", "${ .a? // . }"]))}
        made[name] = document
    return made


@st.composite
def acting(draw: st.DrawFn, document: str) -> list[Any]:
    """Tasks that look things up, start others, tell events, and move what they have about."""
    listed: list[Any] = []
    names: list[str] = []
    for number in range(draw(st.integers(2, 4))):
        reads = [".", ".a?", ".[0]?", "$workflow.input", "$context", "$input.c?", '"of \\(.)"', "[.[]?]"]
        reads += [f"$steps.{name}{part}" for name in names for part in ("", ".a?")]
        read = st.sampled_from(reads)
        template = {key: f"${{ {draw(read)} }}" for key in draw(st.sampled_from(["ab", "c", "ak"]))}
        name = f"t{number}"
        kinds = [{"first": "start"}.get(document, "call")] if number == 0 else ACTS
        said = _act(draw, draw(st.sampled_from(kinds)), f"{document}{number}", template)
        if draw(st.integers(0, 2)) == 0:
            said["export"] = {"as": "${ $context + {k: .} }"}
        if draw(st.integers(0, 3)) == 0:
            said["input"] = {"from": f"${{ {draw(read)} }}"}
        wrapped = draw(st.sampled_from(["", "try", "try", "fork", "for"]))
        inner = {"in": said}
        if wrapped == "try":
            said = {
                "try": [inner],
                "catch": {"as": "e", "do": [{"c": {"call": "f", "with": {"e": "${ $e.detail }"}}}]},
            }
        elif wrapped == "fork":
            said = {"fork": {"branches": [inner, {"by": {"set": {"b": f"${{ {draw(read)} }}"}}}]}}
        elif wrapped == "for":
            said = {"for": {"each": "v", "in": f"${{ [{draw(read)}] }}"}, "do": [inner]}
        listed.append({name: said})
        names.append(name)
    listed.append(
        {"all": {"call": "f", "with": {"a": f"${{ [., $context, {', '.join(f'$steps.{n}' for n in names)}] }}"}}}
    )
    listed.append({"last": {"set": {"a": "${ $context }", "b": "${ $steps.t0 }"}}})
    return listed


def _act(draw: st.DrawFn, kind: str, classes: str, template: dict[str, Any]) -> dict[str, Any]:
    if kind == "set":
        return {"set": template}
    if kind == "call":
        return {"call": "f", "with": template, "output": {"schema": labelled(classes, "abc")}}
    if kind == "start":
        later = NAMES[NAMES.index(classes[:-1]) + 1 : 3] or NAMES[:1]
        # Circles end only when the runs are too deep, so they are rare.
        target = draw(st.sampled_from(later if draw(st.integers(0, 9)) < 9 else NAMES))
        name = target if draw(st.integers(0, 9)) < 9 else f'${{ "{target}" }}'
        version = draw(st.sampled_from(["1.0.0", "latest"]))
        start = {"namespace": "n", "name": name, "version": version, "input": template}
        return {"run": {"workflow": start, "await": draw(st.integers(0, 7)) < 7}}
    event = {"source": "/x", "type": draw(st.sampled_from(["x.y", "x.y", "x.z", '${ "x.y" }'])), "data": template}
    if draw(st.booleans()):
        event["subject"] = "${ $context | tostring }"
    return {"emit": {"event": {"with": event}}}


class World:
    """Runs documents, those that they start, and those that hear their events."""

    def __init__(self, plans: dict[str, Plan]) -> None:
        self.plans = plans
        self.between = Between(plans.values(), lambda connection, operation: ())
        self.flows: dict[str, Flow] = {name: self.between.flow(plan) for name, plan in plans.items()}
        self.narrowed = 0
        self.events: list[dict[str, Any]] = []
        self.runs = 0
        self.turned_up = 0
        self.foreign = 0

    def run(
        self, name: str, given: Any, depth: int, events: list[dict[str, Any]], hops: tuple[Hop, ...] = ()
    ) -> Outcome:
        self.runs += 1
        told = [{"after_ms": 0, "event": event} for event in events]
        run = _Connected(self, name, {"input": given, "events": told}, depth, hops)
        run.to_the_end()
        self._judge(name, run, given, self.flows[name])
        reached = self.between.given_by(hops, self.plans[name])
        assert reached is not None, hops
        own = self.between.flow(self.plans[name], given=reached)
        self._judge(name, run, given, own)
        for pointer, act in own.leaving.items():
            wide = self.flows[name].leaving[pointer].labels
            assert act.labels | wide == wide, (name, pointer, hops)
            self.narrowed += act.labels != wide
        return run.outcome

    def _judge(self, name: str, run: _Connected, given: Any, flow: Flow) -> None:
        for pointer, sent in run.sent:
            for found in self._seen(name, sent):
                act = flow.leaving[pointer]
                assert found in act.labels.classes, (name, pointer, found, sent)
                named = [labels for origins in act.arguments.values() for labels in origins.values()]
                assert any(found in labels.classes for labels in named), (name, pointer, found)
            self._masked(sent, flow.covers.task(pointer).sent, name, pointer)
        self._masked(given, flow.covers.input, name, "input")
        self._masked(run.outcome.output, flow.covers.output, name, "output")
        for moment in run.trace:
            if moment.kind == "workflow" or moment.what not in ("started", "completed"):
                continue
            covers = flow.covers.task(moment.pointer)
            cover = covers.input if moment.what == "started" else covers.output
            self._masked(moment.data, cover, name, moment.pointer)

    def _seen(self, name: str, value: Any) -> set[str]:
        found = set(MARK.findall(json.dumps(value, default=str)))
        self.turned_up += len(found)
        self.foreign += sum(not one.startswith(name) for one in found)
        return found

    def _masked(self, value: Any, cover: Any, name: str, place: str) -> None:
        for found in set(MARK.findall(json.dumps(value, default=str))):
            shown = json.dumps(masked(value, cover, frozenset({found})), default=str)
            assert f"canary-{found}-" not in shown, (name, place, found, value, cover)


class _Connected(_Run):
    def __init__(self, world: World, name: str, given: dict[str, Any], depth: int, hops: tuple[Hop, ...]) -> None:
        super().__init__(world.plans[name], given, Outcome([]))
        self.world = world
        self.depth = depth
        self.hops = hops
        self.sent: list[tuple[str, Any]] = []
        self.labels = {
            node.pointer: node.definition["output"]["schema"]
            for node in self.plan.nodes
            if isinstance(node.definition, dict) and "schema" in (node.definition.get("output") or {})
        }

    def _apply(self, event: Event) -> None:
        before = len(self.outcome.emitted)
        super()._apply(event)
        self.world.events += self.outcome.emitted[before:]

    def _perform(self, command: Perform) -> None:
        if len(self.sent) > ACTS_MAX:
            return
        self.sent.append((command.pointer, command.arguments))
        self._later(self.now - START_MS, "answer", self._answered(command))

    def _answered(self, command: Perform) -> Event:
        if command.handler == "workflow":
            return self._child_of(command)
        labels = self.labels.get(command.pointer)
        answer = RETURNS if labels is None else fields(RETURNS, labels)
        if len(self.sent) % 3 == 2:
            # A failure may quote what the act was given, and what it was answered.
            return AttemptFailed(0, command.id, failure("communication", json.dumps([command.arguments, answer])))
        return AttemptSucceeded(0, command.id, answer)

    def _child_of(self, command: Perform) -> Event:
        if self.depth >= DEPTH_MAX or self.world.runs >= RUNS_MAX:
            return AttemptFailed(0, command.id, failure("runtime", "too deep"))
        wanted = command.arguments
        given = wanted["input"]
        if wanted["name"] == "second" and isinstance(given, dict):
            given = {**given, "c": "canary-secondinc-"} if "c" not in given else given
        hops = (*self.hops, Hop(self.plan, command.pointer, clean=False))
        ended = self.world.run(wanted["name"], given, self.depth + 1, [], hops)
        if command.detached:
            return AttemptSucceeded(0, command.id, None)
        if ended.error is not None:
            return AttemptFailed(0, command.id, Failure(**{**ended.error, "instance": None}))
        return AttemptSucceeded(0, command.id, ended.output)


def judge(made: dict[str, dict[str, Any]]) -> World | None:
    """Run everything; gives what was seen, or None where a document is refused."""
    environment = Environment(functions={"f": PythonFunction("f")})
    try:
        plans = {name: compile_plan(read_document(json.dumps(d)), environment) for name, d in made.items()}
    except DefinitionError:
        return None
    world = World(plans)
    world.run("first", fields(DATA, made["first"]["input"]["schema"]), 0, [])
    while world.events and world.runs < RUNS_MAX:
        event = {"specversion": "1.0", "id": "1", "source": "/x", **world.events.pop(0)}
        if event["type"] == "x.y":
            world.run("third", [read_event(event, made["third"]["schedule"]["read"])], 0, [])
            world.run("fourth", {}, 0, [event])
    return world


MANY = int(os.environ.get("SEGUE_FLOW_DOCUMENTS", "20"))
"""How many sets of documents are made; a few thousand are a campaign."""


def test_no_class_is_lost_between_runs() -> None:
    """A helper that many call must not wash the data of one of them, and neither must an event."""
    seen: list[World] = []

    @settings(max_examples=MANY, deadline=None, suppress_health_check=list(HealthCheck), derandomize=MANY == 20)
    @given(made=documents())
    def kept(made: dict[str, dict[str, Any]]) -> None:
        world = judge(made)
        if world is not None:
            seen.append(world)

    kept()
    # Documents that give each other nothing would prove nothing.
    assert sum(world.foreign > 3 for world in seen) > len(seen) // 2
    assert sum(world.runs > 2 for world in seen) > len(seen) // 3
    # What is known of one run is less than what is known of its definition, or nobody would need it.
    assert sum(world.narrowed > 0 for world in seen) > len(seen) // 10
