"""From arguments to requests."""

from __future__ import annotations

from typing import Any

import pytest

from segue.connectors import Document, Operations, prepare
from segue.types import TaskFailure

ARRAY = {"type": "array", "items": {"type": "string"}}
OBJECT = {"type": "object"}
LIST, MAP = ["blue", "black"], {"R": 100, "G": 200}


def _operations(raw: dict[str, Any], path: str = "/a", method: str = "get", **top: Any) -> Operations:
    data = {"openapi": "3.1.0", "servers": [{"url": "http://h.test"}], **top}
    data["paths"] = {path: {method: {"operationId": "act", **raw}}}
    if "swagger" in top:
        del data["openapi"]
    return Operations(Document(data))


def _url(parameter: dict[str, Any], value: Any, path: str = "/a") -> str:
    parameter = {"name": "color", "schema": {}, **parameter}
    return prepare(_operations({"parameters": [parameter]}, path).get("act"), {"color": value}).url[13:]


@pytest.mark.parametrize(
    ("style", "explode", "value", "query"),
    [
        ("form", True, "blue", "color=blue"),
        ("form", True, LIST, "color=blue&color=black"),
        ("form", True, MAP, "R=100&G=200"),
        ("form", False, LIST, "color=blue,black"),
        ("form", False, MAP, "color=R,100,G,200"),
        ("spaceDelimited", False, LIST, "color=blue%20black"),
        ("pipeDelimited", False, LIST, "color=blue%7Cblack"),
        ("deepObject", True, MAP, "color[R]=100&color[G]=200"),
        ("form", True, "a&b=c d/é", "color=a%26b%3Dc%20d%2F%C3%A9"),
        ("form", False, ["a,b", "c"], "color=a%2Cb,c"),
        ("form", True, True, "color=true"),
        ("form", True, 1.5, "color=1.5"),
    ],
)
def test_query_styles(style: str, explode: bool, value: Any, query: str) -> None:
    """The table of the OpenAPI specification, section 'Style Examples'."""
    assert _url({"in": "query", "style": style, "explode": explode}, value) == f"/a?{query}"


@pytest.mark.parametrize(
    ("style", "explode", "value", "text"),
    [
        ("simple", False, "blue", "blue"),
        ("simple", False, LIST, "blue,black"),
        ("simple", False, MAP, "R,100,G,200"),
        ("simple", True, MAP, "R=100,G=200"),
        ("label", False, LIST, ".blue,black"),
        ("label", True, LIST, ".blue.black"),
        ("label", True, MAP, ".R=100.G=200"),
        ("matrix", False, "blue", ";color=blue"),
        ("matrix", False, LIST, ";color=blue,black"),
        ("matrix", True, LIST, ";color=blue;color=black"),
        ("matrix", True, MAP, ";R=100;G=200"),
    ],
)
def test_path_styles(style: str, explode: bool, value: Any, text: str) -> None:
    """The same table, for paths."""
    parameter = {"in": "path", "required": True, "style": style, "explode": explode}

    assert _url(parameter, value, "/a/{color}/b") == f"/a/{text}/b"


@pytest.mark.parametrize("value", ["", ".", ".."])
def test_a_path_argument_cannot_address_another_resource(value: str) -> None:
    """`DELETE /accounts/` with an empty id could mean all of them."""
    with pytest.raises(TaskFailure, match="stands in the path"):
        _url({"in": "path", "required": True}, value, "/a/{color}")


def test_slashes_in_a_path_argument_are_encoded() -> None:
    """Data must not choose the resource."""
    assert _url({"in": "path", "required": True}, "../admin?x=1", "/a/{color}") == "/a/..%2Fadmin%3Fx%3D1"


def test_allow_reserved_keeps_reserved_characters() -> None:
    """Some APIs take paths and URLs in their query."""
    assert _url({"in": "query", "allowReserved": True}, "/x/y:z", "/a") == "/a?color=/x/y:z"


def test_a_parameter_with_content_travels_as_json() -> None:
    """`content` takes the place of schema and style."""
    parameter = {"in": "query", "content": {"application/json": {"schema": {"type": "object"}}}}

    assert _url(parameter, {"a": 1}) == "/a?color=%7B%22a%22%3A1%7D"


def test_headers_and_cookies_are_written() -> None:
    """Both are places of parameters."""
    raw = {
        "parameters": [
            {"name": "X-Tags", "in": "header", "schema": ARRAY},
            {"name": "sid", "in": "cookie", "schema": {"type": "string"}},
            {"name": "Accept", "in": "header", "schema": {}},
        ]
    }

    prepared = prepare(_operations(raw).get("act"), {"X-Tags": ["a", "b c"], "sid": "1"})

    assert prepared.headers == {"accept": "*/*", "X-Tags": "a,b c", "cookie": "sid=1"}


def test_text_that_reads_as_the_wanted_type_fits() -> None:
    """Parameters travel as text, and ids often come as text from elsewhere."""
    operation = _operations(
        {
            "parameters": [
                {"name": "n", "in": "query", "schema": {"type": "integer", "minimum": 1}},
                {"name": "b", "in": "query", "schema": {"type": "boolean"}},
                {"name": "s", "in": "query", "schema": ARRAY},
            ]
        }
    ).get("act")

    assert prepare(operation, {"n": "5", "b": "true", "s": "one"}).url.endswith("?n=5&b=true&s=one")
    for bad in ({"n": "five"}, {"n": "0"}, {"n": 1.5}, {"b": "1"}, {"s": [1]}):
        with pytest.raises(TaskFailure, match="does not fit its schema"):
            prepare(operation, bad)


def test_missing_and_unknown_arguments_are_named() -> None:
    """A misspelled argument would otherwise be dropped in silence."""
    operation = _operations({"parameters": [{"name": "id", "in": "path", "schema": {}}]}, "/a/{id}").get("act")

    with pytest.raises(TaskFailure, match="needs the argument 'id'"):
        prepare(operation, {})
    with pytest.raises(TaskFailure, match="no argument 'idd'; it has: id"):
        prepare(operation, {"id": 1, "idd": 2})


def test_a_null_argument_is_left_out() -> None:
    """Expressions answer null for what is not there."""
    assert _url({"in": "query"}, None) == "/a"


def test_operation_parameters_win_over_those_of_the_path() -> None:
    """OpenAPI lets an operation say it better."""
    path = {"name": "n", "in": "query", "schema": {"type": "integer"}}
    data = {
        "openapi": "3.0.0",
        "servers": [{"url": "http://h.test"}],
        "paths": {"/a": {"parameters": [path], "get": {"parameters": [{**path, "schema": {"type": "string"}}]}}},
    }

    assert prepare(Operations(Document(data)).get("get /a"), {"n": "x"}).url == "http://h.test/a?n=x"


def _body(media: str, schema: Any = None, required: bool = True) -> dict[str, Any]:
    return {"requestBody": {"required": required, "content": {media: {"schema": schema or {}}}}}


def test_the_body_is_the_argument_body() -> None:
    """Ruling R24."""
    operation = _operations(_body("application/json", {"type": "object", "required": ["a"]}), method="post").get(
        "act"
    )

    prepared = prepare(operation, {"body": {"a": 1}})

    assert (prepared.method, prepared.content) == ("POST", b'{"a":1}')
    assert prepared.headers["content-type"] == "application/json"
    with pytest.raises(TaskFailure, match="needs a body"):
        prepare(operation, {})
    with pytest.raises(TaskFailure, match='"a" is a required property'):
        prepare(operation, {"body": {}})


def test_json_is_preferred_among_media_types() -> None:
    """Arguments are JSON values; the other types lose something."""
    content = {"text/plain": {}, "multipart/form-data": {}, "application/json": {}}
    operation = _operations({"requestBody": {"content": content}}, method="post").get("act")

    assert prepare(operation, {"body": 1}).headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("media", "body", "content"),
    [
        ("application/x-www-form-urlencoded", {"a": "b c"}, b"a=b+c"),
        ("text/plain", "hi", b"hi"),
        ("application/octet-stream", "aGk=", b"hi"),
    ],
)
def test_other_media_types_are_written(media: str, body: Any, content: bytes) -> None:
    """Older systems take forms and files."""
    assert prepare(_operations(_body(media), method="post").get("act"), {"body": body}).content == content


def test_files_of_a_multipart_body_pass_the_schema() -> None:
    """`type: string, format: binary` describes a file, which here is an object with its name."""
    schema = {"type": "object", "properties": {"f": {"type": "string", "format": "binary"}, "n": {"type": "integer"}}}
    operation = _operations(_body("multipart/form-data", schema), method="post").get("act")

    content = prepare(operation, {"body": {"f": {"filename": "a.txt", "content": "aGk="}, "n": 1}}).content

    assert content is not None
    assert b'filename="a.txt"' in content
    with pytest.raises(TaskFailure, match="at /n"):
        prepare(operation, {"body": {"n": "x"}})


def test_swagger_bodies_keep_their_own_name() -> None:
    """Ruling R24, second half."""
    raw = {"parameters": [{"name": "pet", "in": "body", "required": True, "schema": {"type": "object"}}]}
    operation = _operations(raw, method="post", swagger="2.0", host="h.test", schemes=["http"]).get("act")

    assert prepare(operation, {"pet": {"a": 1}}).content == b'{"a":1}'


def test_swagger_form_fields_are_arguments() -> None:
    """In 2.0 each field of a form is a parameter."""
    raw = {
        "consumes": ["application/x-www-form-urlencoded"],
        "parameters": [
            {"name": "a", "in": "formData", "type": "integer", "required": True},
            {"name": "s", "in": "query", "type": "array", "items": {"type": "string"}, "collectionFormat": "pipes"},
        ],
    }
    operation = _operations(raw, method="post", swagger="2.0", host="h.test", schemes=["http"]).get("act")

    prepared = prepare(operation, {"a": 5, "s": ["x", "y"]})

    assert (prepared.url, prepared.content) == ("http://h.test/a?s=x%7Cy", b"a=5")
    with pytest.raises(TaskFailure, match="at /a"):
        prepare(operation, {"a": "x"})


def test_an_unknown_operation_is_answered_with_those_there_are() -> None:
    """The author sees the misspelling at once."""
    with pytest.raises(TaskFailure, match="no operation 'akt'; it has: act"):
        _operations({}).get("akt")
