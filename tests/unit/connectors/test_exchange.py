"""What an answer means."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from segue.connectors import Answer, is_success, refused, retry_after_ms, shape
from segue.connectors.exchange import read_output
from segue.types import TaskFailure


def _answer(status: int = 200, content: bytes = b"", content_type: str = "", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if content_type:
        named["content-type"] = content_type
    return Answer(status, named, content, "GET", "http://peer.test/a?q=1")


@pytest.mark.parametrize(
    ("content_type", "content", "value"),
    [
        ("application/json", b'{"a":[1,null]}', {"a": [1, None]}),
        ("application/problem+json; charset=utf-8", b"[]", []),
        ("APPLICATION/JSON", b"1", 1),
        ("application/json", b"", None),
        ("text/plain", b"hi", "hi"),
        ("text/plain; charset=latin-1", b"\xe9", "é"),
        ("text/plain; charset=nonsense", "é".encode(), "é"),
        ("application/xml", b"<a/>", "<a/>"),
        ("application/atom+xml", b"<a/>", "<a/>"),
        ("application/yaml", b"a: 1", "a: 1"),
        ("image/png", b"\x89PNG", base64.b64encode(b"\x89PNG").decode()),
        ("", b"\x00", "AA=="),
        ("", b"", None),
    ],
)
def test_content_is_decoded_by_its_type(content_type: str, content: bytes, value: Any) -> None:
    """Ruling R23: JSON, text, and base64 of everything else."""
    assert shape(_answer(content=content, content_type=content_type), "content") == value


def test_raw_is_base64_of_the_bytes_whatever_their_type() -> None:
    """`raw` is for those who decode themselves."""
    assert shape(_answer(content=b"{broken", content_type="application/json"), "raw") == "e2Jyb2tlbg=="


def test_response_shows_both_sides() -> None:
    """Documents read status and headers from it (document reference, section 10.1)."""
    answer = _answer(201, b"1", "application/json", x_a="b")

    assert shape(answer, "response", request_headers={"x": "y"}) == {
        "request": {"method": "GET", "uri": "http://peer.test/a?q=1", "headers": {"x": "y"}},
        "statusCode": 201,
        "headers": {"content-type": "application/json", "x-a": "b"},
        "content": 1,
    }


def test_json_that_is_none_is_a_communication_failure() -> None:
    """Half an answer must not pass as text."""
    with pytest.raises(TaskFailure, match="not JSON") as caught:
        shape(_answer(content=b"{", content_type="application/json"), "content")

    assert caught.value.failure.type.endswith("/communication")


def test_redirect_widens_success_to_399() -> None:
    """The key says what counts as success, not whether redirects are followed."""
    assert [is_success(status, redirect=False) for status in (199, 200, 299, 300, 400)] == [
        False,
        True,
        True,
        False,
        False,
    ]
    assert [is_success(status, redirect=True) for status in (199, 299, 300, 399, 400)] == [
        False,
        True,
        True,
        True,
        False,
    ]


def test_a_refusal_carries_status_excerpt_and_wish_to_wait() -> None:
    """Retry policies read the status and the wait; people read the excerpt."""
    answer = _answer(429, b'{"error": "slow down"}', "application/json", retry_after="2")

    failure = refused(answer).failure

    assert (failure.status, failure.retry_after_ms) == (429, 2000)
    assert failure.detail == 'GET http://peer.test/a answered 429: {"error": "slow down"}'


def test_a_long_or_binary_answer_is_not_poured_into_the_message() -> None:
    """Messages stand in history."""
    long = refused(_answer(500, b"x" * 10_000, "text/plain")).failure.detail or ""
    binary = refused(_answer(500, b"\x00" * 100, "image/png")).failure.detail or ""

    assert len(long) < 500
    assert binary == "GET http://peer.test/a answered 500."


@pytest.mark.parametrize(
    ("text", "wait_ms"),
    [
        ("3", 3000),
        ("0", 0),
        ("-5", 0),
        ("1.5", 1500),
        ("Thu, 01 Jan 1970 00:01:10 GMT", 10_000),
        ("Thu, 01 Jan 1970 00:00:10 GMT", 0),
        ("99999999999", 86_400_000),
        ("inf", None),
        ("nan", None),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_date(text: str, wait_ms: int | None) -> None:
    """Both forms are allowed (RFC 9110, section 10.2.3); nonsense must not stop a run for ever."""
    assert retry_after_ms({"retry-after": text}, now_s=60.0) == wait_ms


def test_an_unknown_output_is_refused() -> None:
    """A misspelled word must not quietly mean `content`."""
    assert read_output(None) == "content"
    with pytest.raises(TaskFailure, match="content, response, raw"):
        read_output("contents")
