"""What leaves a run, and what is known of it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from segue.dsl import Environment, PythonFunction, compile_plan, read_document
from segue.dsl.flows import ITEM, Labels, Leaving, Origin, declared_labels, followed, leaving
from segue.dsl.flows.tasks import Walk

HEADER = "document: {dsl: '1.0.3', namespace: n, name: d, version: 1.0.0}\n"
CUSTOMER = """
input:
  schema:
    document:
      type: object
      properties:
        id: {type: string}
        email: {type: string, x-data-class: personal}
        note: {type: string, x-untrusted: true}
"""


def acts_of(text: str, operations: dict[tuple[str, str], Any] | None = None) -> dict[str, Leaving]:
    plan = compile_plan(read_document(HEADER + text), Environment(functions={"f": PythonFunction("f")}))
    return leaving(
        plan, lambda use, operation: [schema] if (schema := (operations or {}).get((use, operation))) else []
    )


def test_an_act_carries_the_class_of_the_field_it_is_given() -> None:
    """The guard decides by what leaves, not by what the run knows."""
    acts = acts_of(
        CUSTOMER + 'do:\n- one: {call: f, with: {to: "${ .email }"}}\n- two: {call: f, with: {key: "${ .id }"}}'
    )
    assert acts["/do/0/one"].labels.classes == {"personal"}
    path = ("arguments", "to")
    assert set(acts["/do/0/one"].arguments[path]) == {Origin("input", ("email",))}


def test_a_field_without_labels_costs_nothing() -> None:
    """Labels that stick to everything are switched off by everybody."""
    acts = acts_of(CUSTOMER + 'do:\n- one: {call: f, with: {key: "${ .id }", more: [1, "${ .id | ascii_upcase }"]}}')
    assert not acts["/do/0/one"].labels
    assert acts["/do/0/one"].arguments == {}


def test_the_whole_object_carries_what_its_fields_carry() -> None:
    """Sending the customer sends the customer's mail."""
    labels = acts_of(CUSTOMER + 'do:\n- one: {call: f, with: {customer: "${ . }"}}')["/do/0/one"].labels
    assert labels == Labels(frozenset({"personal"}), untrusted=True, sources=frozenset({"input"}))


def test_a_computed_value_carries_what_it_was_computed_from() -> None:
    """A greeting is as personal as the name in it."""
    acts = acts_of(CUSTOMER + "do:\n- one: {call: f, with: {text: '${ \"Dear \\(.email | ascii_upcase)\" }'}}")
    assert acts["/do/0/one"].labels.classes == {"personal"}


def test_labels_come_through_functions() -> None:
    """What a model reads labels everything that it says afterwards."""
    text = 'do:\n- one: {call: f, with: {note: "${ .note }"}}\n- two: {call: f, with: {said: "${ .answer }"}}'
    assert acts_of(CUSTOMER + text)["/do/1/two"].labels.untrusted


def test_a_system_that_declares_its_result_is_believed() -> None:
    """A look-up by a personal key gives what the system says it gives."""
    get = {"type": "object", "properties": {"owner": {"x-data-class": "internal"}, "total": {"type": "number"}}}
    text = """do:
- look: {call: connector, with: {use: crm, operation: get, arguments: {email: "${ .email }"}}}
- owner: {call: f, with: {who: "${ $steps.look.owner }"}}
- total: {call: f, with: {sum: "${ $steps.look.total }"}}
"""
    acts = acts_of(CUSTOMER + text, {("crm", "get"): get})
    assert (acts["/do/0/look"].connection, acts["/do/0/look"].operation) == ("crm", "get")
    assert acts["/do/1/owner"].labels.classes == {"internal"}
    assert acts["/do/1/owner"].labels.sources == {"crm"}
    assert not acts["/do/2/total"].labels


def test_a_system_that_says_nothing_gives_back_what_it_was_given() -> None:
    """Silence is no promise: an echo must not launder a label."""
    text = """do:
- look: {call: connector, with: {use: crm, operation: get, arguments: {email: "${ .email }"}}}
- next: {call: f, with: {who: "${ .owner }"}}
"""
    assert acts_of(CUSTOMER + text)["/do/1/next"].labels.classes == {"personal"}


def test_labels_come_through_loops_branches_and_the_context() -> None:
    """The way through a document must not wash them off."""
    text = """do:
- keep: {set: {mail: "${ .email }"}, export: {as: "${ $context + {kept: .mail} }"}}
- each:
    for: {each: entry, in: "${ [1, 2] }"}
    do: [{inner: {set: "${ {value: $context.kept} }"}}]
- both: {fork: {branches: [{left: {set: "${ .value }"}}, {right: {set: {x: 1}}}]}}
- send: {call: f, with: {all: "${ . }"}}
"""
    assert acts_of(CUSTOMER + text)["/do/3/send"].labels.classes == {"personal"}


def test_nested_loops_are_not_walked_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is walked until nothing new comes; one within another must not multiply that."""
    walks = 0
    walk = Walk._walk

    def counted(self: Walk, *given: Any) -> Any:
        nonlocal walks
        walks += 1
        return walk(self, *given)

    monkeypatch.setattr(Walk, "_walk", counted)
    depth, text = 10, "call: f\nwith: {all: '${ . }', one: '${ $x9 }'}\noutput: {as: '${ {a: .a, b: $x1} }'}\n"
    for level in reversed(range(depth)):
        inner = "".join(f"      {line}\n" for line in text.splitlines())
        text = f"for: {{each: x{level}, in: '${{ .items }}'}}\ndo:\n  - t:\n{inner}"
    indented = "".join(f"    {line}\n" for line in text.splitlines())
    assert len(acts_of(f"do:\n- t:\n{indented}")) == 1
    assert walks < 60


def test_declared_labels_follow_references_and_end() -> None:
    """A schema may refer to itself."""
    schema = {
        "$defs": {
            "person": {"properties": {"name": {"x-data-class": ["personal"]}, "boss": {"$ref": "#/$defs/person"}}}
        },
        "properties": {"people": {"items": {"$ref": "#/$defs/person"}}},
    }
    found = declared_labels(schema)
    assert found[("people", ITEM, "name")].classes == {"personal"}


def test_what_a_caught_failure_says_carries_what_was_in_sight() -> None:
    """An expression that fails quotes what it read, and so does a `raise`; kind and status tell nothing."""
    for inner in (
        "{set: '${ .email | tonumber }'}",
        "{raise: {error: {type: 'x:y', status: 400, detail: '${ .email }'}}}",
    ):
        text = f"""do:
- try:
    try: [{{inner: {inner}}}]
    catch:
      do:
      - tell: {{call: f, with: {{why: '${{ $error.detail }}'}}}}
      - count: {{call: f, with: {{status: '${{ $error.status }}'}}}}
"""
        acts = acts_of(CUSTOMER + text)
        assert acts["/do/0/try/catch/do/0/tell"].labels.classes == {"personal"}
        assert not acts["/do/0/try/catch/do/1/count"].labels


def test_labels_on_what_a_task_gives_hold_also_behind_a_transform() -> None:
    """A schema says of the output what it is, wherever that came from."""
    schema = "schema: {document: {properties: {score: {x-data-class: health}}}}"
    for task in (
        f"{{set: {{score: 1, other: 2}}, output: {{{schema}}}}}",
        f"{{call: f, with: {{}}, output: {{as: '${{ {{score: .x, other: .y}} }}', {schema}}}}}",
    ):
        text = f"do:\n- one: {task}\n- two: {{call: f, with: {{v: '${{ .score }}'}}}}\n"
        text += "- three: {call: f, with: {v: '${ $steps.one.other }'}}"
        acts = acts_of(text)
        assert acts["/do/1/two"].labels.classes == {"health"}
        assert not acts["/do/2/three"].labels


def test_labels_on_events_and_forms_hold_for_what_comes_in_by_them() -> None:
    """A listener's schema speaks of an array of events; a form of what people enter."""
    text = """do:
- wait:
    listen: {to: {one: {with: {type: x.y}}}}
    output: {schema: {document: {items: {x-untrusted: false, properties: {card: {x-data-class: payment}}}}}}
- pay: {call: f, with: {card: '${ .[0].card }', n: '${ .[0].n }'}}
- ask:
    call: human-task
    with:
      title: Who?
      assign: {role: approver}
      form: {type: object, properties: {name: {type: string, x-data-class: personal}}}
- send: {call: f, with: {name: '${ .data.name }'}}
- done: {call: f, with: {outcome: '${ $steps.ask.outcome }'}}
"""
    acts = acts_of(text)
    assert acts["/do/1/pay"].arguments.keys() == {("arguments", "card")}
    assert acts["/do/3/send"].labels.classes == {"personal"}
    assert not acts["/do/4/done"].labels


def test_keys_that_are_kept_are_data_too() -> None:
    """`map_values` changes the values of an object by name, and keeps the names."""
    text = "do:\n- one: {call: f, with: {v: '${ {(.email): 1} | map_values(2) }'}}"
    assert acts_of(CUSTOMER + text)["/do/0/one"].labels.classes == {"personal"}


_NESTED = ", ".join(f"k{n}: '${{ . }}'" for n in range(8))


@pytest.mark.parametrize("value", [f"{{{_NESTED}}}", "'${ . + {k@: .} }'"], ids=["nested", "merged"])
def test_values_that_double_are_followed_in_a_moment(value: str) -> None:
    """Whoever looked at a run of such a document, and must not see everything, stopped the server for good."""
    doubling = "".join(f"- s{n}: {{set: {value.replace('@', str(n))}}}\n" for n in range(30))
    plan = compile_plan(read_document(f"{HEADER}{CUSTOMER}do:\n{doubling}- out: {{set: '${{ . }}'}}"), Environment())
    began = time.process_time()
    flow = followed(plan)
    assert time.process_time() - began < 5
    # What is not told apart any more carries everything: too much, and never too little.
    assert "personal" in flow.covers.tasks["/do/30/out"].output.all()
