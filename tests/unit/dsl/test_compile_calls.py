"""Calls: functions found, arguments normalised, bodies expanded."""

from __future__ import annotations

from typing import Any

import pytest

from segue.core.plan import FunctionNode
from segue.dsl import DefinitionError, Environment, FunctionDocument, PythonFunction, read_function
from segue.dsl.functions import content_digest, latest
from segue.types import SecretText

from .documents import document_of, findings_of, node_of, only_node, plan_of, value_of

S = SecretText.of("s")
GET = "call: http\nwith: {method: get, endpoint: 'https://x'}"


def test_http_arguments_have_one_shape() -> None:
    """Handlers need not know how a document may be written."""
    assert value_of(only_node(GET).arguments) == {
        "method": "GET",
        "endpoint": {"uri": "https://x", "authentication": None},
        "headers": {},
        "query": {},
        "body": None,
        "output": "content",
        "redirect": False,
    }


@pytest.mark.parametrize(
    ("policy", "resolved", "scheme"),
    [
        ("{basic: {username: u, password: '${ $secrets.s }'}}", {"basic": {"username": "u", "password": S}}, "Basic"),
        ("{bearer: {use: s}}", {"bearer": {"secret": S}}, "Bearer"),
        ("{use: named}", {"digest": {"username": "u", "password": S}}, "Digest"),
        (
            "{oauth2: {authority: 'https://a', grant: password, client: {id: i, secret: '${ $secrets.s }'}}}",
            {"oauth2": {"authority": "https://a", "grant": "password", "client": {"id": "i", "secret": S}}},
            "Bearer",
        ),
    ],
)
def test_authentication_is_resolved(policy: str, resolved: dict[str, Any], scheme: str) -> None:
    """Names are looked up, and secrets stay references."""
    root = "use: {secrets: [s], authentications: {named: {digest: {username: u, password: '${ $secrets.s }'}}}}\n"
    task = f"call: http\nwith:\n  method: get\n  endpoint:\n    uri: https://x\n    authentication: {policy}"
    node = only_node(task, root=root)
    assert value_of(node.arguments)["endpoint"]["authentication"] == resolved
    assert node.authorization == scheme


def test_openapi_arguments_have_one_shape() -> None:
    """The description's address is an endpoint like any other."""
    node = only_node(
        "call: openapi\n"
        "with: {document: {endpoint: 'https://x/o.json'}, operationId: get, parameters: {id: '${ .n }'}}"
    )
    assert node.handler == "openapi"
    assert value_of(node.arguments, {"n": 1}) == {
        "document": {"endpoint": {"uri": "https://x/o.json", "authentication": None}},
        "operationId": "get",
        "parameters": {"id": 1},
        "authentication": None,
        "output": "content",
        "redirect": False,
    }


# -- functions of the document ---------------------------------------------------------------------


def test_a_function_of_the_document_is_expanded_where_it_is_called() -> None:
    """Its arguments are its input; it sees nothing of its caller."""
    plan = plan_of(
        "- a: {call: f, with: {n: '${ .x }'}}\n- b: {call: f, with: {n: 2}}\n",
        root="use: {functions: {f: {do: [{c: {set: {m: '${ .n }'}}}], then: nowhere}}}\n",
    )
    first, second = plan.root.tasks
    assert (first.kind, first.body.section, first.body.pointer) == ("function", "body", "/use/functions/f")
    assert first.body is not second.body
    assert value_of(first.arguments, {"x": 1}) == {"n": 1}


def test_a_function_does_not_see_its_callers_variables() -> None:
    """A function means the same wherever it is called."""
    text = document_of(
        "- a: {for: {in: .}, do: [{b: {call: f}}]}\n",
        root="use: {functions: {f: {set: {x: '${ $item }'}}}}\n",
    )
    assert [finding.rule for finding in findings_of(text)] == ["invalid-expression"]


def test_a_function_without_arguments_gets_an_empty_object() -> None:
    """Its input is always an object of its own, never the caller's data."""
    node = only_node("call: f", root="use: {functions: {f: {set: {x: 1}}}}\n")
    assert value_of(node.arguments, {"x": 1}) == {}


def test_a_local_function_hides_one_of_the_catalogue() -> None:
    """The document is nearer."""
    node = only_node("call: connector", root="use: {functions: {connector: {set: {x: 1}}}}\n")
    assert node.kind == "function"


# -- functions of Python ---------------------------------------------------------------------------

ADD = PythonFunction(
    "add",
    {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}, "additionalProperties": False},
    {"type": "integer"},
)
WITH_ADD = Environment(functions={"add": ADD})


def test_a_python_function_is_an_act_with_checks() -> None:
    """What comes from expressions is checked when it is known."""
    plan = plan_of("- only: {call: add, with: {a: '${ .n }'}}\n", environment=WITH_ADD)
    node = node_of(plan, "only")
    assert (node.handler, plan.requires) == ("function", ("function:add",))
    assert value_of(node.arguments, {"n": 1}) == {"name": "add", "arguments": {"a": 1}}
    assert node.arguments_check({"name": "add", "arguments": {"a": 1}}) is None
    assert node.arguments_check({"name": "add", "arguments": {"a": "x"}}) is not None
    assert node.result_check("x") is not None


@pytest.mark.parametrize("arguments", ["{}", "{a: x}", "{a: 1, b: 2}"])
def test_wrong_arguments_are_found_before_a_run(arguments: str) -> None:
    """As far as they are written in the document."""
    text = document_of(f"- a: {{call: add, with: {arguments}}}\n")
    assert [finding.rule for finding in findings_of(text, WITH_ADD)] == ["wrong-arguments"]


# -- functions of catalogues -----------------------------------------------------------------------


def test_a_built_in_function_is_an_act() -> None:
    """Its arguments are checked by its own schema."""
    node = only_node("call: connector\nwith: {use: crm, operation: get, arguments: {id: '${ .id }'}}")
    assert node.handler == "connector"
    assert value_of(node.arguments, {"id": 1}) == {"use": "crm", "operation": "get", "arguments": {"id": 1}}
    assert node.arguments_check({"use": "crm", "operation": "get"}) is None
    assert node.arguments_check({"use": "crm"}) is not None


def test_a_version_may_be_asked_for() -> None:
    """`name:version@default` is the pinned form of a bare name."""
    assert only_node("call: 'model:1.0.0@default'\nwith: {name: churn, input: {a: 1}}").handler == "model"


def test_an_endpoint_argument_is_normalised() -> None:
    """A webhook's address may be a template and may need a login, as in `call: http`."""
    node = only_node(
        "call: notify\n"
        "with: {channel: webhook, endpoint: {uri: 'https://x/{id}', authentication: {use: p}}, body: 1}",
        root="use: {secrets: [s], authentications: {p: {bearer: {use: s}}}}\n",
    )
    given = value_of(node.arguments, {"id": 5})
    assert given["endpoint"] == {"uri": "https://x/5", "authentication": {"bearer": {"secret": SecretText.of("s")}}}
    assert node.arguments_check(given) is None


def test_map_is_computed_in_the_run() -> None:
    """It becomes a `set`, so it costs no event."""
    node = only_node(
        "call: map\nwith: {value: '${ .order }', fields: {id: .no, tags: [.a, '\"x\"'], n: 3, o: {p: .q}}}"
    )
    assert (node.kind, node.body.kind, node.body.pointer) == ("function", "set", "/do/0/only/call")
    order = {"no": 7, "a": 1, "q": 2}
    assert value_of(node.arguments, {"order": order}) == order
    assert value_of(node.body.value, order) == {"id": 7, "tags": [1, "x"], "n": 3, "o": {"p": 2}}


def test_map_maps_each_element_of_a_list() -> None:
    """The common case is rows."""
    node = only_node("call: map\nwith: {fields: {id: .no}}")
    assert value_of(node.arguments, [{"no": 1}]) == [{"no": 1}]
    assert value_of(node.body.value, [{"no": 1}, {"no": 2}]) == [{"id": 1}, {"id": 2}]


def test_map_reads_the_variables_around_it() -> None:
    """A lookup table is often in the context."""
    node = only_node("call: map\nwith: {fields: {id: '$context.prefix + .no'}}")
    assert value_of(node.body.value, {"no": "7"}, {"context": {"prefix": "x"}}) == {"id": "x7"}


def foreign(body: dict[str, Any], **more: Any) -> Environment:
    function = FunctionDocument("greet", "2.0.0", "d1", body=body, **more)

    def resolve(name: str, version: str | None, endpoint: Any) -> FunctionDocument | None:
        return function if (name, version, endpoint) == ("greet", "2.0.0", "https://cat") else None

    return Environment(resolve_function=resolve)


CATALOGS = "use: {catalogs: {company: {endpoint: 'https://cat'}}}\n"


def test_a_function_of_another_catalogue_is_expanded() -> None:
    """Its pointers lead to the call: its file is not part of the document."""
    environment = foreign({"do": [{"say": {"set": {"text": '${ "Hello " + .name }'}}}]})
    plan = plan_of("- a: {call: 'greet:2.0.0@company', with: {name: Ada}}\n", root=CATALOGS, environment=environment)
    assert [node.pointer for node in plan.nodes] == ["/do", "/do/0/a", "/do/0/a/call", "/do/0/a/call/do/0/say"]
    assert value_of(plan.nodes[3].value, {"name": "Ada"}) == {"text": "Hello Ada"}  # type: ignore[attr-defined]


def test_the_schema_of_its_result_names_the_function() -> None:
    """Its tasks did nothing wrong by themselves; the author chose the function, and can choose another version."""
    result = {"type": "object", "properties": {"text": {"type": "string"}}}
    environment = foreign({"set": {"text": 1}}, result=result)
    plan = plan_of("- a: {call: 'greet:2.0.0@company'}\n", root=CATALOGS, environment=environment)
    node = plan.nodes[1]
    assert isinstance(node, FunctionNode)
    assert plan.promises
    assert node.result_check is not None
    assert node.result_check({"text": "hello"}) is None
    said = node.result_check({"text": 1}) or ""
    assert said.startswith("The result of the function greet:2.0.0 does not fit its schema: at /text: ")


@pytest.mark.parametrize(
    "body",
    [
        {"do": [{"say": {"sett": 1}}]},
        {"set": {"x": "${ .a | }"}},
        {"call": "greet:2.0.0@company"},
        {"call": "http", "with": {"method": "get", "endpoint": {"uri": "x", "authentication": {"use": "p"}}}},
    ],
)
def test_a_broken_function_is_reported_at_its_call(body: dict[str, Any]) -> None:
    """The author of the document can only choose another version."""
    text = document_of("- a: {call: 'greet:2.0.0@company'}\n", root=CATALOGS)
    findings = findings_of(text, foreign(body))
    assert [(finding.rule, finding.pointer) for finding in findings] == [("invalid-function", "/do/0/a/call")]


def test_a_catalogue_function_cannot_call_itself() -> None:
    """Across files as well."""
    function = FunctionDocument("loop", "1.0.0", "d", body={"call": "loop:1.0.0@default"})
    environment = Environment(resolve_function=lambda name, version, endpoint: function if name == "loop" else None)
    text = document_of("- a: {call: 'loop:1.0.0@default'}\n")
    assert [finding.rule for finding in findings_of(text, environment)] == ["invalid-function"]


def test_addresses_are_called_only_where_allowed() -> None:
    """Ruling R25: off by default."""
    function = FunctionDocument("", "", "d", body={"set": {"x": 1}})
    environment = Environment(
        allow_remote_functions=True,
        resolve_function=lambda name, version, endpoint: function if endpoint == "https://x/f.yaml" else None,
    )
    assert only_node("call: https://x/f.yaml", environment=environment).body.kind == "set"


@pytest.mark.parametrize(
    "text", ["title: x\n", "handler: a\nbody: {set: {x: 1}}\n", "handler: a\nfoo: 1\n", "core: nope\n", "["]
)
def test_a_file_that_describes_no_function_is_refused(text: str) -> None:
    """A catalogue is written by people."""
    with pytest.raises(DefinitionError):
        read_function(text, name="f", version="1.0.0")


def test_a_task_is_a_function() -> None:
    """That is all that the language asks of a catalogue's file."""
    assert read_function("set: {x: 1}\n", name="f", version="1.0.0").body == {"set": {"x": 1}}


def test_the_latest_release_is_the_highest() -> None:
    """Ten is more than nine, and a candidate is no release."""
    assert latest(["1.9.0", "1.10.0", "2.0.0-rc.1"]) == "1.10.0"
    assert latest(["2.0.0-rc.1"]) == "2.0.0-rc.1"


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    """It is the content that is pinned, not its layout."""
    assert content_digest({"a": 1, "b": [1.5, None]}) == content_digest({"b": [1.5, None], "a": 1})
    assert content_digest({"a": 1}) != content_digest({"a": 2})
