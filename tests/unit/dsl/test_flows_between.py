"""Labels between definitions that start each other and tell each other events."""

from __future__ import annotations

import pytest

from segue.core import Plan
from segue.dsl import Environment, PythonFunction, compile_plan, read_document
from segue.dsl.flows import Between, Hop, Labels, Leaving
from segue.dsl.flows.tasks import Walk

PERSONAL = "input: {schema: {document: {properties: {mail: {x-data-class: personal}}}}}"


def between(*texts: str) -> dict[str, dict[str, Leaving]]:
    """What each act of each document can send out, by the names of the documents."""
    found, plans = together(*texts)
    return {name: found.flow(plan).leaving for name, plan in plans.items()}


def together(*texts: str) -> tuple[Between, dict[str, Plan]]:
    """The documents followed together, and their plans by name."""
    environment = Environment(functions={"f": PythonFunction("f")})
    plans = []
    for text in texts:
        name, _, rest = text.partition("\n")
        head = f"document: {{dsl: '1.0.3', namespace: n, name: {name}, version: 1.0.0}}\n"
        plans.append(compile_plan(read_document(head + rest), environment))
    return Between(plans, lambda connection, operation: ()), {plan.name: plan for plan in plans}


def starting(name: str, given: str = "{a: '${ . }'}") -> str:
    return f"{{run: {{workflow: {{namespace: n, name: {name}, version: latest, input: {given}}}}}}}"


def test_a_failure_of_a_child_may_quote_all_that_it_held() -> None:
    """Also what it never put into its output."""
    parent = f"""parent
do:
- try:
    try: [{{ask: {starting("child")}}}]
    catch: {{do: [{{tell: {{call: f, with: {{why: '${{ $error.detail }}'}}}}}}]}}
"""
    child = """child
do:
- look: {call: f, with: {}, output: {schema: {document: {x-data-class: health}}}}
- none: {set: {a: 1}}
"""
    acts = between(parent, child)["parent"]
    assert acts["/do/0/try/catch/do/0/tell"].labels.classes == {"health"}


def test_a_helper_that_many_call_does_not_mix_up_what_they_give_it() -> None:
    """Else one careful caller would have everybody's data masked."""
    helper = "helper\ndo: [{tell: {set: '${ {same: .a, more: 1} }'}}]"
    send = "- send: {call: f, with: {v: '${ .same }'}}"
    careful = f"careful\n{PERSONAL}\ndo:\n- ask: {starting('helper')}\n{send}"
    plain = f"plain\ndo:\n- ask: {starting('helper')}\n{send}"
    acts = between(helper, careful, plain)
    assert acts["careful"]["/do/1/send"].labels.classes == {"personal"}
    assert acts["plain"]["/do/1/send"].labels == Labels(sources=frozenset({"input"}))


def test_only_the_labelled_part_is_labelled_on_the_other_side() -> None:
    """A class that sticks to everything is switched off by everybody."""
    tells = (
        f"tells\n{PERSONAL}\ndo: [{{t: {{emit: {{event: {{with: {{source: /x, type: a.b, data: '${{ . }}'}}}}}}}}}}]"
    )
    hears = """hears
schedule: {on: {one: {with: {type: a.b}}}}
input: {schema: {document: {x-untrusted: false}}}
do:
- one: {call: f, with: {v: '${ $workflow.input[0].mail }'}}
- two: {call: f, with: {v: '${ $workflow.input[0].name }'}}
"""
    acts = between(tells, hears)["hears"]
    assert acts["/do/0/one"].labels.classes == {"personal"}
    assert not acts["/do/1/two"].labels
    assert acts["/do/1/two"].labels.sources >= {"event", "input"}


def test_a_long_chain_is_walked_once_from_its_inner_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the stack nor the time may grow faster than what somebody publishes."""
    walks = 0
    run = Walk.run

    def counted(self: Walk) -> Walk:
        nonlocal walks
        walks += 1
        return run(self)

    monkeypatch.setattr(Walk, "run", counted)
    chain = [f"w{n}\n{PERSONAL if n == 0 else ''}\ndo:\n- next: {starting(f'w{n + 1}')}" for n in range(150)]
    acts = between(*chain, "w150\ndo: [{send: {call: f, with: {v: '${ . }'}}}]")
    assert acts["w150"]["/do/0/send"].labels.classes == {"personal"}
    assert walks == 151


def test_workflows_that_start_each_other_in_circles_come_to_an_end() -> None:
    """Each turn may nest what it passes on once more."""
    turn = "one\ndo: [{again: " + starting("two", "{a: '${ . }', b: '${ [.] }', c: {d: '${ . }'}}") + "}]"
    back = f"""two
do:
- look: {{call: f, with: {{}}, output: {{schema: {{document: {{x-data-class: x}}}}}}}}
- back: {starting("one")}
"""
    acts = between(turn, back)
    assert acts["one"]["/do/0/again"].labels.classes == {"x"}


SEND = "send\ndo: [{tell: {call: f, with: {v: '${ .a }'}}}]"
PASS = "pass\ndo: [{on: " + starting("send", "{a: '${ .a }'}") + "}]"
CAREFUL = f"careful\n{PERSONAL}\n" + "do: [{ask: " + starting("pass", "{a: '${ .mail }'}") + "}]"
PLAIN = f"plain\ndo: [{{ask: {starting('pass')}}}]"


def classes(found: Between, plans: dict[str, Plan], *hops: tuple[str, str]) -> frozenset[str]:
    given = found.given_by([Hop(plans[name], pointer, clean=False) for name, pointer in hops], plans["send"])
    assert given is not None
    return found.flow(plans["send"], given=given).leaving["/do/0/tell"].labels.classes


def test_a_run_has_the_labels_of_those_that_led_to_it_and_of_no_others() -> None:
    """Else one careful caller would have everybody's acts stopped."""
    found, plans = together(SEND, PASS, CAREFUL, PLAIN)
    assert found.flow(plans["send"]).leaving["/do/0/tell"].labels.classes == {"personal"}
    assert classes(found, plans, ("careful", "/do/0/ask"), ("pass", "/do/0/on")) == {"personal"}
    assert classes(found, plans, ("plain", "/do/0/ask"), ("pass", "/do/0/on")) == set()
    assert classes(found, plans) == set()
    # Followed anew it is the same: nothing of another run sticks.
    assert found.flow(plans["send"]).leaving["/do/0/tell"].labels.classes == {"personal"}


def test_a_workflow_that_starts_itself_keeps_what_it_was_given() -> None:
    """However often it did: the way to it has the task once."""
    on, last = starting("again", "{b: '${ .mail // .b }'}"), starting("send", "{a: '${ $workflow.input.b }'}")
    again = f"again\n{PERSONAL}\ndo: [{{on: {on}}}, {{last: {last}}}]"
    found, plans = together(SEND, again)
    hops = (("again", "/do/0/on"), ("again", "/do/1/last"))
    assert classes(found, plans, *hops) == {"personal"}
    assert classes(found, plans, hops[1]) == set()


def test_a_way_through_what_is_not_known_tells_nothing() -> None:
    """A task that is not there may have given anything."""
    found, plans = together(SEND, PASS)
    assert found.given_by([Hop(plans["pass"], "/do/7/on", clean=False)], plans["send"]) is None
    _, others = together(PLAIN)
    assert found.given_by([Hop(others["plain"], "/do/0/ask", clean=False)], plans["send"]) is None
