"""Labels are found wherever a schema may keep them, and never dropped for a schema that is hard to read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from segue.connectors.documents import Document
from segue.connectors.operations import Operations
from segue.dsl import Environment, PythonFunction, compile_plan, read_document
from segue.dsl.flows import ITEM, Leaving, declared_labels, leaving
from segue.dsl.functions import FunctionDocument

HEADER = "document: {dsl: '1.0.3', namespace: n, name: d, version: 1.0.0}\n"
P: dict[str, Any] = {"x-data-class": "personal"}


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"$defs": {"a": {"$anchor": "who", **P}}, "properties": {"x": {"$ref": "#who"}}}, ("x",)),
        ({"$defs": {"a": {"$id": "urn:a", **P}}, "properties": {"x": {"$ref": "urn:a"}}}, ("x",)),
        ({"allOf": [True, {"properties": {"y": P}}], "properties": {"x": {"$ref": "#/allOf/1"}}}, ("x", "y")),
        ({"$defs": {"a b/c": P}, "items": {"$ref": "#/$defs/a%20b~1c"}}, (ITEM,)),
        ({"items": [{}, P]}, (ITEM,)),
        ({"unevaluatedProperties": P}, (ITEM,)),
        ({"additionalItems": P}, (ITEM,)),
        ({"dependentSchemas": {"a": {"properties": {"x": P}}}}, ("x",)),
        ({"propertyNames": P}, ()),
        ({"properties": {"x": {"contentSchema": {"properties": {"y": P}}}}}, ("x",)),
        ({"$defs": {"a": P}, "properties": {"x": {"$ref": "https://example.org/elsewhere"}}}, ("x",)),
        ({"$defs": {"a": P}, "properties": {"x": {"$dynamicRef": "#node"}}}, ("x",)),
    ],
)
def test_a_label_is_found_where_a_schema_keeps_it(schema: dict[str, Any], place: tuple[str, ...]) -> None:
    """Each of these is valid JSON Schema; a label that is overlooked is data in the open."""
    assert declared_labels(schema)[place].classes == {"personal"}


def test_the_labels_of_a_schema_that_refers_to_itself_hold_at_every_depth() -> None:
    """The boss of a boss has a name, too."""
    person = {"properties": {"name": P, "boss": {"$ref": "#/$defs/person"}}}
    found = declared_labels({"$defs": {"person": person}, "$ref": "#/$defs/person"})
    assert found["name",].classes == {"personal"}
    assert found["boss",].classes == {"personal"}


def test_a_schema_that_unfolds_without_end_is_read_within_bounds() -> None:
    """Thirty lines can stand for a billion places; then the whole value has every label."""
    defs: dict[str, Any] = {
        f"d{n}": {"properties": {k: {"$ref": f"#/$defs/d{n + 1}"} for k in "ab"}} for n in range(30)
    }
    found = declared_labels({"$defs": {**defs, "d30": P}, "$ref": "#/$defs/d0"})
    assert found == {(): found[()]}
    assert found[()].classes == {"personal"}


def acts_of(text: str, environment: Environment) -> dict[str, Leaving]:
    return leaving(compile_plan(read_document(HEADER + text), environment))


def test_a_schema_that_is_kept_elsewhere_labels_what_it_describes() -> None:
    """It is the same schema, whether it stands in the document or beside it."""
    kept = b"properties: {mail: {x-data-class: personal}}"
    environment = Environment(functions={"f": PythonFunction("f")}, resolve_resource=lambda endpoint: kept)
    text = """input: {schema: {resource: {endpoint: customer.yaml}}}
do:
- one: {call: f, with: {v: '${ .mail }'}}
- two: {call: f, with: {}, output: {schema: {resource: {endpoint: customer.yaml}}}}
- three: {call: f, with: {v: '${ .mail }', n: '${ .n }'}}
"""
    acts = acts_of(text, environment)
    assert acts["/do/0/one"].labels.classes == {"personal"}
    assert acts["/do/2/three"].arguments.keys() == {("arguments", "v")}


def test_the_schemas_of_a_function_label_its_arguments_and_its_result() -> None:
    """A house that writes a function once wants to say once what it takes and gives."""
    takes, gives = {"properties": {"who": P}}, {"properties": {"score": {"x-data-class": "health"}}}
    body = {"set": {"score": 1, "kept": "${ .who }"}}
    foreign = FunctionDocument("rate", "1.0.0", "d", parameters=takes, result=gives, body=body)

    def resolve(name: str, version: str | None, endpoint: Any) -> FunctionDocument | None:
        return foreign if name == "rate" else None

    python = PythonFunction("rated", takes, gives)
    known = {"f": PythonFunction("f"), "rated": python}
    environment = Environment(functions=known, resolve_function=resolve)
    for called in ("rate", "rated"):
        text = f"""do:
- ask: {{call: {called}, with: {{who: '${{ .x }}', more: '${{ .x }}'}}}}
- score: {{call: f, with: {{v: '${{ $steps.ask.score }}'}}}}
- kept: {{call: f, with: {{v: '${{ $steps.ask.kept }}'}}}}
"""
        acts = acts_of(text, environment)
        assert acts["/do/1/score"].labels.classes >= {"health"}, called
        assert acts["/do/2/kept"].labels.classes == {"personal"}, called
    assert acts["/do/0/ask"].arguments.keys() == {("arguments", "who")}


def answers() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Answers of an operation, and the components that they refer to."""
    content = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Customer"}}}}
    mail = {"type": "object", "properties": {"mail": {"type": "string", **P}}}
    yield {"200": content}, {"schemas": {"Customer": mail}}
    yield {"200": {"description": "none"}, "201": content}, {"schemas": {"Customer": mail}}
    yield {"default": content}, {"schemas": {"Customer": mail}}
    beside = {"properties": {"mail": {"$ref": "#/components/schemas/Text", **P}}}
    yield {"200": content}, {"schemas": {"Customer": beside, "Text": {"type": "string"}}}
    yield (
        {"200": {"$ref": "#/components/responses/One"}},
        {"responses": {"One": content}, "schemas": {"Customer": mail}},
    )
    empty = {"content": {"application/json": {"schema": {"type": "object"}}}}
    yield {"200": empty, "201": content}, {"schemas": {"Customer": mail}}


@pytest.mark.parametrize(("given", "components"), list(answers()))
@pytest.mark.parametrize("version", ["3.0.3", "3.1.0"])
def test_labels_of_components_hold_for_every_answer(given: Any, components: Any, version: str) -> None:
    """API descriptions keep their schemas in one place and refer to them from everywhere."""
    paths = {"/c": {"get": {"operationId": "get", "responses": given}}}
    described = {"openapi": version, "info": {}, "paths": paths, "components": components}
    schemas = Operations(Document(described, "")).get("get").result_schemas()
    found = [declared_labels(schema).get(("mail",)) for schema in schemas]
    assert any(labels is not None and labels.classes == {"personal"} for labels in found)
