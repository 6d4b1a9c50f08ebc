"""Labels between definitions that start each other and tell each other events."""

from __future__ import annotations

import pytest

from segue.dsl import Environment, PythonFunction, compile_plan, read_document
from segue.dsl.flows import Between, Labels, Leaving
from segue.dsl.flows.tasks import Walk

PERSONAL = "input: {schema: {document: {properties: {mail: {x-data-class: personal}}}}}"


def between(*texts: str) -> dict[str, dict[str, Leaving]]:
    """What each act of each document can send out, by the names of the documents."""
    environment = Environment(functions={"f": PythonFunction("f")})
    plans = []
    for text in texts:
        name, _, rest = text.partition("\n")
        head = f"document: {{dsl: '1.0.3', namespace: n, name: {name}, version: 1.0.0}}\n"
        plans.append(compile_plan(read_document(head + rest), environment))
    found = Between(plans, lambda connection, operation: ())
    return {plan.name: found.flow(plan).leaving for plan in plans}


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
