"""Bodies."""

from __future__ import annotations

import base64
from email import message_from_bytes
from email.policy import HTTP
from typing import Any

import pytest

from segue.connectors import encode_body
from segue.types import TaskFailure


@pytest.mark.parametrize(
    ("body", "content_type", "content"),
    [
        ({"a": 1}, None, b'{"a":1}'),
        ("text", None, b'"text"'),
        ([1], "application/vnd.x+json", b"[1]"),
        ("plain", "text/plain", b"plain"),
        (5, "text/plain", b"5"),
        ("<a/>", "application/xml", b"<a/>"),
        ({"a": "b c", "d": [1, 2], "e": None}, "application/x-www-form-urlencoded", b"a=b+c&d=1&d=2"),
        ("a=1", "application/x-www-form-urlencoded", b"a=1"),
        ("aGk=", "application/octet-stream", b"hi"),
    ],
)
def test_a_body_is_written_as_its_type_says(body: Any, content_type: str | None, content: bytes) -> None:
    """JSON unless a content type says otherwise (document reference, section 10.1)."""
    assert encode_body(body, content_type)[0] == content


@pytest.mark.parametrize(
    ("body", "content_type"),
    [({"a": 1}, "text/plain"), (None, "image/png"), ("no base64!", "image/png"), ([1], "application/xml")],
)
def test_a_body_that_cannot_be_written_is_refused(body: Any, content_type: str) -> None:
    """Guessing would send something the author did not mean."""
    with pytest.raises(TaskFailure) as caught:
        encode_body(body, content_type)

    assert caught.value.failure.type.endswith("/validation")


def test_multipart_carries_fields_and_files() -> None:
    """The standard library must read back what was written."""
    file = {"filename": 'a"b\r\n.txt', "content": base64.b64encode(b"\x00\x01").decode()}

    content, content_type = encode_body({"note": "hé", "n": 1, "file": file, "o": {"x": 1}}, "multipart/form-data")

    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    parts = list(message_from_bytes(head + content, policy=HTTP).iter_parts())  # type: ignore[attr-defined]
    names = [part.get_param("name", header="content-disposition") for part in parts]
    assert names == ["note", "n", "file", "o"]
    assert parts[2].get_payload(decode=True) == b"\x00\x01"
    assert parts[3].get_content_type() == "application/json"
    assert b'filename="a%22b%0D%0A.txt"' in content


def test_a_file_cannot_smuggle_headers() -> None:
    """The content type of a file comes from data."""
    file = {"filename": "a", "content": "aGk=", "contentType": "image/png\r\nX-Evil: 1"}

    with pytest.raises(TaskFailure, match="line end"):
        encode_body({"file": file}, "multipart/form-data")
