"""Schemas of API descriptions."""

from __future__ import annotations

from typing import Any

import pytest

from segue.connectors import Document
from segue.connectors.schemas import Check, self_contained
from segue.types import TaskFailure


def _check(schema: Any, version: str = "3.0.3", direction: Any = "request", **components: Any) -> Check:
    key = "swagger" if version == "2.0" else "openapi"
    document = Document({key: version, "components": {"schemas": components}})
    return Check(self_contained(document, schema, direction), "the value")


def test_null_is_allowed_where_3_0_says_nullable() -> None:
    """3.0 has a word of its own for it; 3.1 does not know that word."""
    assert _check({"type": "string", "nullable": True}).fits(None)
    assert _check({"type": "string", "enum": ["a"], "nullable": True}).fits(None)
    assert not _check({"type": "string"}).fits(None)
    assert not _check({"type": "string", "nullable": True}, "3.1.0").fits(None)


def test_exclusive_bounds_of_3_0_are_booleans() -> None:
    """Left as they are they would be an invalid schema, or no bound."""
    check = _check(
        {"type": "number", "minimum": 0, "exclusiveMinimum": True, "maximum": 9, "exclusiveMaximum": False}
    )

    assert [check.fits(value) for value in (0, 1, 9, 10)] == [False, True, True, False]
    assert not _check({"type": "number", "exclusiveMinimum": 0}, "3.1.0").fits(0)


def test_words_beside_a_reference_count_from_3_1_on() -> None:
    """3.0 says that they are ignored, 3.1 that they apply."""
    schema = {"$ref": "#/components/schemas/Name", "maxLength": 2}

    assert _check(schema, "3.0.3", Name={"type": "string"}).fits("long")
    assert not _check(schema, "3.1.0", Name={"type": "string"}).fits("long")


def test_schemas_may_refer_to_themselves() -> None:
    """Trees are common in APIs."""
    node = {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Node"}, "n": {"type": "integer"}}}
    check = _check({"$ref": "#/components/schemas/Node"}, Node=node)

    assert check.fits({"n": 1, "next": {"n": 2, "next": {}}})
    assert not check.fits({"next": {"next": {"n": "x"}}})


def test_two_targets_of_the_same_last_name_are_kept_apart() -> None:
    """References may lead anywhere in the document."""
    document = Document({"openapi": "3.0.0", "a": {"X": {"type": "string"}}, "b": {"X": {"type": "integer"}}})
    schema = {"properties": {"a": {"$ref": "#/a/X"}, "b": {"$ref": "#/b/X"}}}
    check = Check(self_contained(document, schema, "request"), "the value")

    assert check.fits({"a": "s", "b": 1})
    assert not check.fits({"a": 1, "b": 1})


def test_data_inside_schemas_is_left_alone() -> None:
    """An enum value that looks like a reference is a value."""
    check = _check({"enum": [{"$ref": "#/nowhere"}], "default": {"example": 1}})

    assert check.fits({"$ref": "#/nowhere"})


def test_read_only_fields_are_not_demanded_of_requests() -> None:
    """The server fills them in; the other way round for write-only ones."""
    schema = {
        "type": "object",
        "required": ["id", "password", "name"],
        "properties": {"id": {"readOnly": True}, "password": {"writeOnly": True}, "name": {}},
    }

    assert _check(schema, direction="request").fits({"name": 1, "password": 1})
    assert _check(schema, direction="response").fits({"name": 1, "id": 1})
    assert not _check(schema, direction="request").fits({"id": 1, "name": 1})


def test_a_finding_names_its_place() -> None:
    """`validation` must say where, or nobody finds it in a large body."""
    check = _check({"properties": {"items": {"type": "array", "items": {"type": "integer"}}}})

    with pytest.raises(
        TaskFailure, match=r"The value does not fit its schema: at /items/1: \"x\" is not of type"
    ) as caught:
        check({"items": [1, "x"]})

    assert caught.value.failure.status == 400


def test_an_unusable_schema_is_the_documents_fault() -> None:
    """The author of the workflow can do nothing about it, and must be told so."""
    with pytest.raises(TaskFailure, match="cannot be used") as caught:
        _check({"type": "strong"})

    assert caught.value.failure.type.endswith("/configuration")
