"""API descriptions."""

from __future__ import annotations

from typing import Any

import pytest

from segue.connectors import Document, parse_document
from segue.connectors.connections import digest_of
from segue.types import TaskFailure


def test_json_and_yaml_give_the_same_document() -> None:
    """People write YAML, servers publish JSON."""
    yaml = "openapi: 3.0.3\npaths:\n  /a:\n    get:\n      responses:\n        200: {description: ok}\n"
    json = b'{"openapi": "3.0.3", "paths": {"/a": {"get": {"responses": {"200": {"description": "ok"}}}}}}'

    assert parse_document(yaml) == parse_document(json)


def test_yaml_words_that_are_not_json_values_stay_text() -> None:
    """`on`, `no` and dates are names and examples in API descriptions."""
    document = parse_document("swagger: '2.0'\npaths: {}\nx: {on: no, day: 2020-01-02, 'true': true}\n")

    assert document["x"] == {"on": "no", "day": "2020-01-02", "true": True}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("just text", "not an object"),
        ("[1]", "not an object"),
        ("a: [", "neither JSON nor YAML: it breaks off in line"),
        ("a: 1", "OpenAPI 3.0 or 3.1 or Swagger 2.0"),
        ("openapi: 4.0.0", "4.0.0"),
        ("swagger: '1.2'", "1.2"),
        ("!!python/object/apply:os.system ['true']", "neither JSON nor YAML"),
        ("openapi: 3.0.0\nx: " + "[" * 400 + "]" * 400, "nested too deeply"),
    ],
)
def test_what_is_no_api_description_is_refused(text: str, message: str) -> None:
    """The address may be wrong, or lead to an error page."""
    with pytest.raises(TaskFailure, match=message) as caught:
        parse_document(text)

    assert caught.value.failure.type.endswith("/configuration")


def test_aliases_that_unfold_to_too_much_are_refused() -> None:
    """A few lines of YAML can stand for more nodes than memory holds."""
    lines = ["openapi: 3.0.0", "a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]

    with pytest.raises(TaskFailure, match="unfolds to too much"):
        parse_document("\n".join(lines))


def test_the_digest_does_not_depend_on_the_order_of_keys() -> None:
    """A server that writes its keys in another order has not changed its description."""
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": 2})


@pytest.mark.parametrize(
    ("document", "source", "base"),
    [
        ({"openapi": "3.1.0", "servers": [{"url": "https://a.test/v1/"}]}, "", "https://a.test/v1"),
        ({"openapi": "3.0.0", "servers": [{"url": "/api"}]}, "http://h:8/openapi.json", "http://h:8/api"),
        ({"openapi": "3.0.0"}, "http://h:8/docs/openapi.json", "http://h:8"),
        (
            {"openapi": "3.0.0", "servers": [{"url": "https://{r}.a.test", "variables": {"r": {"default": "eu"}}}]},
            "",
            "https://eu.a.test",
        ),
        ({"swagger": "2.0", "host": "a.test", "basePath": "/v2/", "schemes": ["http"]}, "", "http://a.test/v2"),
        ({"swagger": "2.0", "host": "a.test", "schemes": ["http", "https"]}, "", "https://a.test"),
        ({"swagger": "2.0", "basePath": "/v2"}, "http://h:8/swagger.json", "http://h:8/v2"),
        ({"swagger": "2.0", "host": "a.test"}, "http://h:8/swagger.json", "http://a.test"),
    ],
)
def test_the_base_address_follows_the_document(document: dict[str, Any], source: str, base: str) -> None:
    """Relative servers are resolved against where the document came from."""
    assert Document(document, source).base_url({}, {}) == base


def test_a_server_of_the_operation_wins() -> None:
    """OpenAPI lets path and operation override the servers."""
    document = Document({"openapi": "3.0.0", "servers": [{"url": "https://a.test"}]})
    operation = {"servers": [{"url": "https://c.test"}]}

    assert document.base_url({"servers": [{"url": "https://b.test"}]}, operation) == "https://c.test"
    assert document.base_url({"servers": [{"url": "https://b.test"}]}, {}) == "https://b.test"


@pytest.mark.parametrize(
    ("reference", "message"),
    [("other.yaml#/a", "another file"), ("#/nowhere", "not in it"), ("#/loop/a", "circle")],
)
def test_references_that_lead_nowhere_are_explained(reference: str, message: str) -> None:
    """The author of the description must be able to find the place."""
    data = {"openapi": "3.0.0", "loop": {"a": {"$ref": "#/loop/b"}, "b": {"$ref": "#/loop/a"}}}

    with pytest.raises(TaskFailure, match=message):
        Document(data).follow({"$ref": reference})


def test_pointers_unescape_their_steps() -> None:
    """Paths contain slashes, so references to them are escaped."""
    document = Document({"openapi": "3.0.0", "paths": {"/a/{b}": {"x~y": 1}}})

    assert document.resolve("#/paths/~1a~1%7Bb%7D/x~0y") == 1
