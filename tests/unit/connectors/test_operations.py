"""Operations of API descriptions."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from tests.integration.handlers_support import word

from segue.connectors import Document, Operations, OperationsCache
from segue.types import TaskFailure

DOCUMENT: dict[str, Any] = {
    "openapi": "3.0.3",
    "servers": [{"url": "http://h.test"}],
    "paths": {
        "/a/{id}": {
            "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}],
            "post": {
                "operationId": "act",
                "parameters": [{"name": "idempotency-key", "in": "header", "schema": {"type": "string"}}],
                "requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}},
                "responses": {
                    "200": {"description": "", "content": {"application/json": {"schema": {"type": "integer"}}}},
                    "4XX": {"description": "", "content": {"application/problem+json": {"schema": {}}}},
                    "default": {"description": "", "content": {"text/plain": {}}},
                },
            },
        }
    },
}


def _act(data: dict[str, Any]) -> Any:
    operation = Operations(Document(data)).get("act")
    operation.response_check(200)
    return operation.arguments_schema(), operation.result_schema(), operation.accept


def test_an_operation_says_what_it_takes_and_answers() -> None:
    """Forms and checks are made from it."""
    arguments, result, accept = _act(DOCUMENT)

    assert list(arguments["properties"]) == ["id", "body"]
    assert (arguments["required"], result) == (["id"], {"type": "integer"})
    assert accept.startswith("application/json")


def test_answers_are_found_by_status_then_range_then_default() -> None:
    """As OpenAPI says."""
    operation = Operations(Document(DOCUMENT)).get("act")

    assert operation.response_check(200) is not None
    assert operation.response_check(404) is not None
    assert operation.response_check(500) is None
    assert operation.response_check(200) is operation.response_check(200)


def test_the_idempotency_header_is_found_in_any_case() -> None:
    """Header names have no case."""
    assert Operations(Document(DOCUMENT)).get("act").key_header == "idempotency-key"


def _replaced(value: Any, junk: Any) -> Iterator[Any]:
    """The same JSON value with one inner value after another replaced."""
    if isinstance(value, dict):
        for key in value:
            yield {**value, key: junk}
            for inner in _replaced(value[key], junk):
                yield {**value, key: inner}
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield [*value[:place], junk, *value[place + 1 :]]
            for inner in _replaced(item, junk):
                yield [*value[:place], inner, *value[place + 1 :]]


@pytest.mark.parametrize("junk", [None, 5, "text", [], [5], {}, {"$ref": "#/nowhere"}, True])
def test_a_malformed_description_never_breaks_anything_but_itself(junk: Any) -> None:
    """Descriptions come from other people: whatever is wrong with one is a configuration failure."""
    documents = [{**DOCUMENT, "paths": paths} for paths in _replaced(copy.deepcopy(DOCUMENT["paths"]), junk)]
    documents += [{**DOCUMENT, key: junk} for key in ("paths", "servers")]

    kinds = {_outcome(document) for document in documents}

    assert kinds <= {"read", "configuration"}
    assert len(documents) > 20


def _outcome(document: dict[str, Any]) -> str:
    try:
        _act(document)
    except TaskFailure as failed:
        return word(failed.failure)
    return "read"


def test_a_document_is_read_once_and_the_least_used_forgotten() -> None:
    """Reading a large description for each call would cost more than the call."""
    cache = OperationsCache(documents_max=2)
    first = cache.get("d1", DOCUMENT, "")
    cache.get("d2", DOCUMENT, "")

    assert cache.get("d1", DOCUMENT, "") is first
    cache.get("d3", DOCUMENT, "")
    assert cache.get("d1", DOCUMENT, "") is first
    assert cache.get("d1", DOCUMENT, "http://other.test") is not first
