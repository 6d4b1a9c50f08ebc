"""Live updates as server-sent events. Each carries one lifecycle CloudEvent."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Header, Request, Response
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from segue.api.common import FOLLOWED, STOPPING, Asked, RunId
from segue.api.describe import operation
from segue.service import ServiceError
from segue.types import acting

router = APIRouter(tags=["streams"])
CloudEvents = AsyncGenerator[dict[str, Any], None]

PING_SECONDS: Final = 15.0
STREAMS_MAX: Final = 20
"""Streams that one identity follows at a time, because what happens is read for each of them; the holder of the
folder as many as they like."""
_STREAM: Final = {
    "description": "Server-sent events; `event` is the type, `data` the CloudEvent.",
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}
LastEventId = Annotated[
    str | None, Header(alias="Last-Event-ID", description="Id of the last event that was received.", max_length=300)
]


@router.get(
    "/runs/{run}/stream",
    **operation("streamRun", "Follow a run", answers={200: _STREAM}, problems=("run-unknown",)),
)
async def stream_run(request: Request, run: RunId, service: Asked, last_event_id: LastEventId = None) -> Response:
    """Starts with everything that happened so far, or after `Last-Event-ID`; ends when the run ends."""
    followed = await service.runs.follow(run)
    return _answer(request, _skip_to(followed, last_event_id))


@router.get("/stream", **operation("streamAll", "Follow all runs", answers={200: _STREAM}))
async def stream_all(request: Request, service: Asked) -> Response:
    """Starts with what happens from now on."""
    return _answer(request, service.runs.follow_all())


async def _skip_to(events: CloudEvents, last: str | None) -> CloudEvents:
    waiting = last is not None
    async with contextlib.aclosing(events):
        async for event in events:
            if waiting:
                waiting = event["id"] != last
            else:
                yield event


class _Stream(StreamingResponse):
    """Gives its place back however it ends, also where nobody was there any more to read its first line."""

    over: Callable[[], None]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.over()


def _answer(request: Request, events: CloudEvents) -> Response:
    reader = acting()
    name = "" if reader is None else reader.name
    followed: Counter[str] = request.scope[FOLLOWED]
    if followed[name] >= STREAMS_MAX and (reader is None or "owner" not in reader.roles):
        detail = f"{name} follows {STREAMS_MAX} streams, and no more than that at a time."
        raise ServiceError("too-many-requests", detail, wait_s=10)

    def over() -> None:
        followed[name] -= 1
        if not followed[name]:
            del followed[name]

    followed[name] += 1
    answer = _stream(request, events)
    answer.over = over
    return answer


def _stream(request: Request, events: CloudEvents) -> _Stream:
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    stopping: asyncio.Event = request.scope[STOPPING]
    return _Stream(_lines(events, stopping, request.scope["still"]), media_type="text/event-stream", headers=headers)


async def _lines(events: CloudEvents, stopping: asyncio.Event, still: Callable[[], bool]) -> AsyncIterator[bytes]:
    # A comment now and then keeps proxies from closing a quiet stream, and finds readers who left.
    yield b": hello\n\n"
    stop = asyncio.ensure_future(stopping.wait())
    step: asyncio.Future[Any] | None = None
    try:
        while not stopping.is_set():
            step = step or asyncio.ensure_future(anext(events, None))
            await asyncio.wait({step, stop}, timeout=PING_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if not still():
                # Signed out, locked or with other roles since: whoever comes again is asked again.
                return
            if not step.done():
                yield b": ping\n\n"
                continue
            event, step = step.result(), None
            if event is None:
                return
            yield _one(event)
    finally:
        stop.cancel()
        if step is not None:
            step.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await step
        # Closed here and now: it holds a subscription.
        await events.aclose()


def _one(event: dict[str, Any]) -> bytes:
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (
        event["id"].encode(),
        event["type"].encode(),
        msgspec.json.encode(event),
    )
