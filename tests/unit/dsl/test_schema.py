"""The schema that editors get and the walk that finds mistakes agree."""

from __future__ import annotations

import copy
import json
from typing import Any

import jsonschema_rs
import pytest

from segue.dsl import default_functions, document_schema, read_document
from segue.dsl.schema import ROOT
from segue.dsl.structure import check_structure

from .documents import document_of
from .test_rules import FINE, STRUCTURE

VALIDATOR = jsonschema_rs.validator_for(document_schema(), offline=True)
LINTED = frozenset({"missing-key /do/0/a/with", "wrong-type /do/0/a/with/headers"})


def test_the_bundle_is_a_schema_of_its_own() -> None:
    """No reference leads out of it, and it can be written as JSON."""
    schema = document_schema()
    jsonschema_rs.meta.validate(schema)
    assert json.loads(json.dumps(schema)) == schema
    references = [part.split('"')[0] for part in json.dumps(schema).split('"$ref": "')[1:]]
    assert {reference.removeprefix("#/$defs/") for reference in references} <= set(schema["$defs"])


def test_the_caller_owns_the_bundle() -> None:
    """A tool that adds to it changes nobody else's."""
    schema = document_schema()
    untouched = copy.deepcopy(schema)
    schema["$defs"]["task"]["title"] = "changed"
    assert document_schema() == untouched


def test_tasks_have_descriptions() -> None:
    """Editors show them while people type."""
    schema = document_schema()
    for name, definition in schema["$defs"].items():
        if name.endswith("Task") and "x-keyword" in definition:
            assert definition["description"], name


@pytest.mark.parametrize(("tasks", "root"), [row for row in FINE if row[0] != "[]\n"])
def test_what_is_fine_fits_the_schema(tasks: str, root: str) -> None:
    """Completion must not lead into errors, nor errors be shown where there are none."""
    assert VALIDATOR.is_valid(read_document(document_of(tasks, root=root)).data)


@pytest.mark.parametrize("row", STRUCTURE, ids=lambda row: f"{row[0]} {row[1]}")
def test_structural_mistakes_do_not_fit_the_schema(row: tuple[str, str, str, str]) -> None:
    """What the linter calls a wrong structure, an editor underlines."""
    rule, pointer, tasks, root = row
    data = read_document(document_of(tasks, root=root)).data
    structural = bool(check_structure(data, ROOT).complaints)
    assert structural == (not VALIDATOR.is_valid(data))
    assert structural or f"{rule} {pointer}" in LINTED


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"document": None, "do": None},
        {"document": {}, "do": {}},
        {"document": {}, "do": [None, 1, "x", [], {}]},
        {"document": {}, "do": [{"a": None}, {"b": []}, {"c": {"set": None}}]},
        {"do": [{"a": {"fork": {"branches": [{"b": 1}]}}}], "use": [], "schedule": 3},
    ],
)
def test_the_walk_survives_any_value(value: Any) -> None:
    """It is the first thing that sees a stranger's document."""
    assert check_structure(value, ROOT).complaints


def test_the_default_catalogue_describes_itself() -> None:
    """The designer builds its forms from these schemas."""
    functions = default_functions()
    assert {"connector", "map", "model", "notify"} <= set(functions)
    for name, versions in functions.items():
        for version, function in versions.items():
            assert function.title, name
            assert function.description, name
            assert function.parameters is not None, (name, version)
            jsonschema_rs.meta.validate(dict(function.parameters))
            for key, schema in function.parameters.get("properties", {}).items():
                assert schema.get("title"), (name, key)


@pytest.mark.parametrize(
    ("with_", "fits"),
    [
        ("{use: c, operation: a, undo: {operation: b, arguments: {id: '${ .id }'}}}", True),
        ("{use: '${ .c }', operation: a, limit: '${ .n }'}", True),
        ("{use: c, operation: a, undo: {operaton: b}}", False),
        ("{use: c, operation: a, wrong: 1}", False),
        ("{use: 5, operation: a}", False),
    ],
)
def test_editors_know_the_arguments_of_catalogue_functions(with_: str, fits: bool) -> None:
    """Their forms and their undo are completed and underlined like everything else; any may be an expression."""
    text = document_of(f"- a: {{call: connector, with: {with_}}}\n")
    assert VALIDATOR.is_valid(read_document(text).data) == fits
