"""Real servers and short ways to perform commands, for the handler tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from segue.types import EffectContext, Failure, Handler, Perform, TaskFailure, fail

Answering = Callable[[Request], Awaitable[Response]]


class Secrets:
    """A secret source over a dictionary."""

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        self._values = dict(values or {})

    async def read(self, name: str) -> Any:
        if name not in self._values:
            raise fail("authorization", f"There is no secret {name!r}.")
        return self._values[name]


def command(handler: str, arguments: Any) -> Perform:
    """A command of the first task of a run."""
    return Perform(id=1, handler=handler, arguments=arguments, name="task", pointer="/do/0/task", effect="1")


def context(key: str = "run-1/1", **secrets: Any) -> EffectContext:
    """The context of an act with this key."""
    return EffectContext(run_id="run-1", workflow="test/flow:1.0.0", key=key, secrets=Secrets(secrets))


async def perform(handler: Handler, arguments: Any, *, key: str = "run-1/1", **secrets: Any) -> Any:
    """The result of a command with these arguments."""
    return await handler.perform(command("any", arguments), context(key, **secrets))


async def failure_of(handler: Handler, arguments: Any, *, key: str = "run-1/1", **secrets: Any) -> Failure:
    """The failure of a command with these arguments; an error of the test where it succeeds."""
    try:
        result = await perform(handler, arguments, key=key, **secrets)
    except TaskFailure as failed:
        return failed.failure
    raise AssertionError(f"it succeeded with {result!r}")


def word(failure: Failure) -> str:
    """The last word of a failure's type."""
    return failure.type.rsplit("/", 1)[-1]


@asynccontextmanager
async def serving(*routes: Route) -> AsyncIterator[str]:
    """The base URL of a server with these routes."""
    config = uvicorn.Config(Starlette(routes=list(routes)), port=0, log_level="critical", lifespan="off", http="h11")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - the server has no event for it
        await asyncio.sleep(0.001)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        server.force_exit = True
        await task


def route(path: str, answering: Answering, *methods: str) -> Route:
    """A route for these methods; GET when none is given."""
    return Route(path, answering, methods=list(methods) or ["GET"])
