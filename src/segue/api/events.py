"""The route that takes CloudEvents in: structured, binary and batched mode of the HTTP binding."""

from __future__ import annotations

import base64
from typing import Any, Final
from urllib.parse import unquote

from fastapi import APIRouter, Request, Response

from segue.api.bodies import decode, media_type
from segue.api.common import Asked
from segue.api.describe import json_answer, json_response, operation
from segue.service import BATCH_MAX, SentEvents, ServiceError

router = APIRouter(tags=["events"])

STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"

_EVENT: Final = {
    "type": "object",
    "required": ["specversion", "id", "source", "type"],
    "properties": {
        "specversion": {"type": "string", "enum": ["1.0"]},
        "id": {"type": "string", "minLength": 1},
        "source": {"type": "string", "minLength": 1},
        "type": {"type": "string", "minLength": 1},
        "data": {},
    },
}


@router.post(
    "/events",
    **operation(
        "sendEvents",
        "Send CloudEvents",
        answers={202: json_answer(SentEvents, "On disk; each source and id counts once.")},
        problems=("event-refused", "mask-refused"),
        body={
            STRUCTURED: {"schema": _EVENT},
            BATCH: {"schema": {"type": "array", "items": _EVENT, "minItems": 1, "maxItems": BATCH_MAX}},
        },
    ),
)
async def send_events(request: Request, service: Asked) -> Response:
    """Binary mode: attributes in `ce-` headers, the body is the data with its own content type."""
    return json_response(await service.events.send(await _events(request)), 202)


async def _events(request: Request) -> list[Any]:
    given = media_type(request)
    content = await request.body()
    if given == BATCH:
        batch = decode(content)
        if not isinstance(batch, list):
            raise ServiceError("event-refused", "A batch is a JSON array of events.")
        return batch
    if given == STRUCTURED:
        return [decode(content)]
    if "ce-specversion" in request.headers:
        return [_binary(request, given, content)]
    raise ServiceError(
        "media-type-refused", f"Got {given or 'no content type'} without `ce-` headers; send {STRUCTURED} or {BATCH}."
    )


def _binary(request: Request, given: str, content: bytes) -> dict[str, Any]:
    # Header values carry other characters percent-encoded (HTTP binding of CloudEvents, section 3.1.3.2).
    event: dict[str, Any] = {
        name.removeprefix("ce-"): unquote(value) for name, value in request.headers.items() if name.startswith("ce-")
    }
    if given:
        event["datacontenttype"] = request.headers["content-type"]
    if not content:
        return event
    if not given or given.endswith(("/json", "+json")):
        event["data"] = decode(content)
    elif given.startswith("text/"):
        event["data"] = content.decode("utf-8", "replace")
    else:
        event["data_base64"] = base64.b64encode(content).decode()
    return event
