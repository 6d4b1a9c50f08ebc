"""Templates: what of a document is evaluated, and what is not."""

from __future__ import annotations

from typing import Any

import pytest

from segue.dsl import Environment
from segue.types import ERROR_BASE, SecretText

from .documents import document_of, failure_of, findings_of, only_node, plan_of, value_of

LOOSE = "evaluate: {mode: loose}\n"


def set_value(value: str, data: Any = None, *, root: str = "", **variables: Any) -> Any:
    return value_of(only_node(f"set: {value}", root=root).value, data, variables)


def test_only_wholly_wrapped_text_is_evaluated() -> None:
    """In strict mode a text means what it says unless it says `${ }` from end to end."""
    given = set_value("{a: '${ .n + 1 }', b: .n, c: ' ${ .n } ', d: 3, e: [.n, '${ .n }'], f: null}", {"n": 1})
    assert given == {"a": 2, "b": ".n", "c": 1, "d": 3, "e": [".n", 1], "f": None}


def test_depth_and_order_are_kept() -> None:
    """The output reads like the template."""
    given = set_value("{z: {y: [{x: '${ .n }'}]}, a: '${ .n }', m: 1}", {"n": 1})
    assert list(given) == ["z", "a", "m"]
    assert given["z"] == {"y": [{"x": 1}]}


def test_a_whole_expression_may_give_any_type() -> None:
    """`set` with one expression replaces the data by its result."""
    assert set_value("'${ [.n, .n] }'", {"n": 1}) == [1, 1]


def test_text_that_is_no_expression_is_itself() -> None:
    """A string for `set` that is not wrapped is a literal."""
    assert set_value(".n", {"n": 1}) == ".n"


def test_data_is_never_evaluated() -> None:
    """A stranger's text that looks like an expression stays text."""
    assert set_value("{a: '${ .text }'}", {"text": "${ 1 + 1 }"}) == {"a": "${ 1 + 1 }"}


def test_no_result_is_null_and_several_are_a_list() -> None:
    """Ruling R15."""
    assert set_value("{a: '${ empty }', b: '${ 1, 2 }'}") == {"a": None, "b": [1, 2]}


def test_a_template_without_expressions_is_a_constant() -> None:
    """It costs nothing at run time, and reads nothing."""
    program = only_node("set: {a: [1, {b: c}]}").value
    assert program.constant
    assert program.reads == ()


def test_a_program_reads_exactly_what_it_mentions() -> None:
    """The core builds the variables that are read and no others."""
    program = only_node("set: {a: '${ $workflow.id }', b: ['${ $context + $input }'], c: '${ . }'}").value
    assert program.reads == ("context", "input", "workflow")


def test_a_template_gives_a_new_value_each_time() -> None:
    """Two runs must not share what they change."""
    program = only_node("set: {a: '${ .n }', b: ['${ .n }']}").value
    first, second = value_of(program, {"n": 1}), value_of(program, {"n": 2})
    assert first == {"a": 1, "b": [1]}
    assert second == {"a": 2, "b": [2]}


def test_a_failed_expression_is_an_expression_error_with_its_place() -> None:
    """The author needs the place; the log must not get the data."""
    failure = failure_of(only_node("set: {a: '${ .name + 1 }'}").value, {"name": "Ada Lovelace"})
    assert (failure.type, failure.status) == (ERROR_BASE + "expression", 400)
    assert "/do/0/only/set/a" in failure.detail
    assert "Lovelace" not in failure.detail


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("{a: .n}", {"a": 1}),
        ("{a: '${ .n }'}", {"a": 1}),
        ("{a: Hello world}", {"a": "Hello world"}),
        ("{a: '.n + \"x\"'}", {"a": '.n + "x"'}),
        ("{a: 'Hello ${ .n }'}", {"a": "Hello ${ .n }"}),
        ("{a: $secrets.s}", {"a": "$secrets.s"}),
    ],
)
def test_loose_mode_tries_every_text(value: str, expected: Any) -> None:
    """What cannot be compiled, or fails, is the text itself."""
    assert set_value(value, {"n": 1}, root=LOOSE + "use: {secrets: [s]}\n") == expected


def test_a_secret_is_a_reference_and_no_variable() -> None:
    """The core never sees a secret's value, so its history cannot hold one."""
    root = "use: {secrets: [crm]}\n"
    node = only_node("call: http\nwith: {method: get, endpoint: x, headers: {A: '${ $secrets.crm }'}}", root=root)
    assert node.arguments.reads == ()
    assert value_of(node.arguments)["headers"] == {"A": SecretText.of("crm")}


def test_a_field_of_a_secret_is_a_longer_reference() -> None:
    """Structured secrets are read field by field."""
    root = "use: {secrets: [crm]}\n"
    headers = "{A: '${ \"Bearer \" + $secrets.crm.token }'}"
    node = only_node(f"call: http\nwith: {{method: get, endpoint: x, headers: {headers}}}", root=root)
    assert value_of(node.arguments)["headers"] == {"A": SecretText(("Bearer ", ("crm", "token")))}


def test_steps_are_kept_where_they_are_read() -> None:
    """A run remembers the outputs that somebody reads by name, and no others."""
    plan = plan_of(
        """\
        - a: {set: {x: 1}}
        - b: {set: {x: 1}}
        - c: {do: [{d: {set: {x: '${ $steps.a }'}}}]}
        - e: {set: {x: 1}, if: $steps.c}
        """,
        root="output: {as: $steps.e}\n",
    )
    assert [node.name for node in plan.nodes if node.keep] == ["a", "c", "e"]


def test_steps_of_an_inner_list_hide_those_around_it() -> None:
    """The nearest task of a name is the one that is meant."""
    plan = plan_of("- a: {set: {x: 1}}\n- b: {do: [{a: {set: {x: 2}}}, {c: {set: {x: '${ $steps.a }'}}}]}\n")
    assert [node.pointer for node in plan.nodes if node.keep] == ["/do/1/b/do/0/a"]


@pytest.mark.parametrize(
    ("uri", "data", "expected"),
    [
        ("https://x/{id}", {"id": 7}, "https://x/7"),
        ("https://x/{id}", {"id": "a/b?c=d&e#f"}, "https://x/a%2Fb%3Fc%3Dd%26e%23f"),
        ("https://x/{id}", {"id": ".."}, "https://x/.."),
        ("https://x/{a.b}", {"a.b": 1, "a": {"b": 2}}, "https://x/1"),
        ("https://x/{missing}/y", {"id": 7}, "https://x//y"),
        ("https://x/{id}", {"id": None}, "https://x/"),
        ("https://x/{id}", {"id": True}, "https://x/true"),
        ("https://x/{id}", {"id": 2.0}, "https://x/2"),
        ("https://x/{id}", [1], "https://x/"),
        ("https://x/{a}-{b}", {"a": 1, "b": 2}, "https://x/1-2"),
        ("'${ .url }'", {"url": "https://y"}, "https://y"),
        ("https://x/y", {}, "https://x/y"),
    ],
)
def test_a_uri_takes_names_of_the_data(uri: str, data: Any, expected: str) -> None:
    """Values are encoded, so data cannot add a path or a parameter of its own."""
    node = only_node(f"call: http\nwith:\n  method: get\n  endpoint: {uri}")
    assert value_of(node.arguments, data)["endpoint"]["uri"] == expected


@pytest.mark.parametrize("value", [{"x": 1}, [1], SecretText.of("s")])
def test_what_cannot_stand_in_a_uri_is_an_expression_error(value: Any) -> None:
    """An object has no text of its own, and a secret must not end up in an address."""
    node = only_node("call: http\nwith: {method: get, endpoint: 'https://x/{id}'}")
    assert failure_of(node.arguments, {"id": value}).status == 400


@pytest.mark.parametrize("value", [None, "", 3, {"uri": "x"}])
def test_an_expression_for_an_address_must_give_text(value: Any) -> None:
    """Data never brings its own credentials along."""
    node = only_node("call: http\nwith: {method: get, endpoint: '${ .url }'}")
    assert failure_of(node.arguments, {"url": value}).status == 400


def test_a_duration_may_be_an_expression() -> None:
    """Its value is checked when it is known."""
    node = only_node("wait: '${ .pause }'")
    assert value_of(node.duration, {"pause": "PT2S"}) == 2_000
    assert failure_of(node.duration, {"pause": "soon"}).type == ERROR_BASE + "expression"
    assert failure_of(node.duration, {"pause": 5}).status == 400


def test_code_is_not_a_template() -> None:
    """Template literals of JavaScript look like expressions, and data must never become code."""
    environment = Environment(allow_processes=True)
    task = "run: {script: {language: js, code: 'f(`${x}`)'}}"
    node = only_node(task, root=LOOSE, environment=environment)
    assert value_of(node.arguments, {})["code"] == "f(`${x}`)"


def test_expression_fields_may_be_bare() -> None:
    """`if`, `from`, `as`, `in`, `while`, `when` need no `${ }`."""
    node = only_node("for: {in: .a}\nwhile: $index < 2\ndo: []\nif: .a\ninput: {from: .b}\noutput: {as: '{c: .}'}")
    assert value_of(node.items, {"a": [1]}) == [1]
    assert value_of(node.while_, None, {"index": 1}) is True
    assert value_of(node.input_from, {"b": 2}) == 2
    assert value_of(node.output_as, 3) == {"c": 3}
    assert not findings_of(document_of("- a: {set: {x: 1}, if: '${ .a }'}\n"))
