"""One request of a document and what its answer means: result, or failure with status and wish to wait."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal

from segue.connectors.content import decode_body, is_json, is_text, media_type
from segue.connectors.outbound import Answer
from segue.types import TaskFailure, fail

Output = Literal["content", "response", "raw"]
_OUTPUTS: Final[tuple[Output, ...]] = ("content", "response", "raw")
_EXCERPT_CHARACTERS: Final = 400
_LONGEST_WAIT_MS: Final = 24 * 3_600_000


def read_output(text: Any) -> Output:
    """The form of a result that a document asks for; `content` when it asks for none.

    Raises:
        TaskFailure: `validation`, when there is no such form.
    """
    for known in _OUTPUTS:
        if text == known:
            return known
    if text is None:
        return "content"
    raise fail("validation", f"output must be one of {', '.join(_OUTPUTS)}, not {text!r}.")


def is_success(status: int, *, redirect: bool) -> bool:
    """Success is 200-299, and with `redirect` also 300-399 (document reference, section 10.1)."""
    return 200 <= status < (400 if redirect else 300)


def shape(answer: Answer, output: Output, *, request_headers: Mapping[str, str] | None = None) -> Any:
    """The task's result from an answer, in the form that `output` names.

    Args:
        request_headers: What the document sent, shown in `response`; credentials added by a policy are not part.
    """
    if output == "raw":
        return base64.b64encode(answer.content).decode()
    content = decode_body(answer.content, answer.headers.get("content-type", ""), origin=answer.url)
    if output == "content":
        return content
    return {
        "request": {"method": answer.method, "uri": answer.url, "headers": dict(request_headers or {})},
        "statusCode": answer.status,
        "headers": answer.headers,
        "content": content,
    }


def refused(answer: Answer) -> TaskFailure:
    """The failure that an unsuccessful answer means."""
    where = f"{answer.method} {answer.url.split('?', 1)[0]}"
    excerpt = _excerpt(answer)
    detail = f"{where} answered {answer.status}" + (f": {excerpt}" if excerpt else ".")
    if answer.status in range(300, 400) and "location" in answer.headers:
        detail += f" It points to {answer.headers['location']}: use that address."
    return fail("communication", detail, status=answer.status, retry_after_ms=retry_after_ms(answer.headers))


def retry_after_ms(headers: Mapping[str, str], *, now_s: float | None = None) -> int | None:
    """How long the peer asks to be left alone, from seconds or an HTTP date; a day at most.

    Args:
        now_s: Seconds since the Unix epoch; the clock when left out.
    """
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        wait_s = float(text)
    except ValueError:
        try:
            due = parsedate_to_datetime(text)
        except ValueError:
            return None
        wait_s = due.timestamp() - (time.time() if now_s is None else now_s)
    if not wait_s < float("inf"):
        return None
    return min(max(0, round(wait_s * 1000)), _LONGEST_WAIT_MS)


def _excerpt(answer: Answer) -> str:
    media = media_type(answer.headers.get("content-type", ""))
    if not (is_json(media) or is_text(media)) or media == "text/html":
        return ""
    text = answer.content.decode("utf-8", errors="replace")
    text = " ".join(text.split())
    return text if len(text) <= _EXCERPT_CHARACTERS else text[:_EXCERPT_CHARACTERS] + "…"
