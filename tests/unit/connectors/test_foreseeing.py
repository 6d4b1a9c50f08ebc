"""What is wrong with a call before it is made, where some of its arguments are not known yet."""

from __future__ import annotations

from typing import Any

import pytest

from segue.connectors import Document, Operations, foresee, new_connection

ORDER = {
    "type": "object",
    "required": ["client", "lines"],
    "additionalProperties": False,
    "properties": {
        "client": {"type": "integer"},
        "lines": {"type": "array", "items": {"type": "object", "required": ["part"]}},
        "way": {"oneOf": [{"const": "air"}, {"type": "object", "required": ["ship"]}]},
        "ref": {"type": "string"},
    },
}
DOCUMENT: dict[str, Any] = {
    "openapi": "3.0.3",
    "servers": [{"url": "http://h.test"}],
    "paths": {
        "/orders": {
            "post": {
                "operationId": "order",
                "parameters": [
                    {"name": "Idempotency-Key", "in": "header", "required": True, "schema": {"type": "string"}},
                    {"name": "dry", "in": "query", "schema": {"type": "boolean"}},
                    {"name": "tags", "in": "query", "schema": {"type": "array", "items": {"type": "string"}}},
                ],
                "requestBody": {"required": True, "content": {"application/json": {"schema": ORDER}}},
            },
            "get": {
                "operationId": "list",
                "parameters": [{"name": "page", "in": "query", "required": True, "schema": {"type": "integer"}}],
            },
        }
    },
}
PAGING = {"operation": "list", "kind": "page", "parameter": "page"}
GOOD = {"client": 1, "lines": [{"part": "x"}]}


def found(call: dict[str, Any], **settings: Any) -> list[tuple[str, str]]:
    connection = new_connection("shop", DOCUMENT, **settings)
    told = foresee(
        Operations(Document(DOCUMENT)), connection, call, lambda value: isinstance(value, str) and value == "?"
    )
    return [("/".join(map(str, steps)), message) for steps, message, _ in told]


@pytest.mark.parametrize(
    "arguments",
    [
        {"body": GOOD},
        {"body": "?"},
        "?",
        {"body": GOOD, "dry": "?"},
        {"body": GOOD, "dry": "true"},
        {"body": GOOD, "tags": "one"},
        {"body": {"client": "?", "lines": "?"}},
        {"body": {**GOOD, "lines": [{"part": "?"}, "?"]}},
        {"body": {**GOOD, "way": "?"}},
        {"body": {**GOOD, "way": {"ship": "?"}}},
    ],
)
def test_what_may_fit_is_left_alone(arguments: Any) -> None:
    """An expression may give anything; a finding that may be wrong would refuse a good document."""
    assert found({"operation": "order", "arguments": arguments}) == []


@pytest.mark.parametrize(
    ("arguments", "place", "said"),
    [
        ({}, "arguments", "needs the argument 'body'"),
        ({"body": None}, "arguments", "needs the argument 'body'"),
        ({"body": {"client": "?"}}, "arguments/body", "lines"),
        ({"body": {"client": 1, "lines": [{"piece": "?"}]}}, "arguments/body/lines/0", "part"),
        ({"body": {**GOOD, "clint": "?"}}, "arguments/body", "clint"),
        ({"body": {**GOOD, "client": "one"}}, "arguments/body/client", "integer"),
        ({"body": {"client": "one", "lines": "?"}}, "arguments/body/client", "integer"),
        ({"body": {**GOOD, "way": "sea"}}, "arguments/body/way", ""),
        ({"body": ["?"]}, "arguments/body", "object"),
        ({"body": GOOD, "dry": "maybe"}, "arguments/dry", "boolean"),
        ({"body": GOOD, "tags": 5}, "arguments/tags", "string"),
        ({"body": GOOD, "wet": "?"}, "arguments/wet", "no argument 'wet'"),
    ],
)
def test_what_can_never_fit_is_found(arguments: Any, place: str, said: str) -> None:
    """Whatever the expressions give, the call would fail."""
    ((where, message),) = found({"operation": "order", "arguments": arguments})
    assert where == place
    assert said in message


def test_an_operation_that_is_not_there_is_named_with_those_that_are() -> None:
    """Mostly it is a typing mistake."""
    connection = new_connection("shop", DOCUMENT)
    ((steps, message, remedy),) = foresee(
        Operations(Document(DOCUMENT)), connection, {"operation": "odrer"}, lambda value: False
    )
    assert (steps, remedy) == (("operation",), "it has: list, order")
    assert "'odrer'" in message


def test_an_operation_that_is_not_known_yet_says_nothing() -> None:
    """Nor do its arguments."""
    assert found({"operation": "?", "arguments": {"x": 1}}) == []


def test_what_is_put_in_when_the_call_is_made_is_not_missed() -> None:
    """The effect key goes into its header, and where a lookup will search for it."""
    lookup = {"operation": "order", "reference": "ref", "find": "list", "by": "page"}
    assert found({"operation": "order", "arguments": {"body": GOOD}}, lookups=[lookup]) == []
    ((place, _),) = found({"operation": "order", "arguments": {"body": {"client": 1}}}, lookups=[lookup])
    assert place == "arguments/body"


def test_reading_all_pages_needs_a_connection_that_says_how() -> None:
    """It gives the page numbers itself then."""
    assert found({"operation": "list", "all": True}, paging=[PAGING]) == []
    assert [place for place, _ in found({"operation": "list", "all": True})] == ["all"]
    assert [place for place, _ in found({"operation": "list"})] == [""]
