"""Generated requests: whatever comes, from whomever, the answer is described, and nobody gets what is not theirs."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from tests.integration.api_support import shared_routes
from tests.integration.service_support import TOKEN, WAITS, document
from tests.integration.test_permissions import ONESELF, OPEN

from segue.api import create_app, openapi_document
from segue.service import NewIdentity, NewToken, Service, Settings, open_service
from segue.types import LOCAL_OWNER, acting_as

pytestmark = pytest.mark.full
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
# Quick ones would be answered with 429 soon, which says nothing about the routes behind.
SETTINGS = Settings(requests_per_minute=0, guesses_per_minute=0)


class Background(threading.Thread):
    """A server in a thread of its own, with its own event loop."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.folder = folder
        self.ready = threading.Event()
        self.url = ""
        self.tokens: dict[str, str] = {}
        self.server: uvicorn.Server | None = None

    def run(self) -> None:
        asyncio.run(self.main())

    async def main(self) -> None:
        async with open_service(self.folder, SETTINGS, local=None) as service:
            with acting_as(LOCAL_OWNER):
                await self.prepare(service)
            app, _ = create_app(service, token=TOKEN, settings=SETTINGS, routes=shared_routes())
            config = uvicorn.Config(app, port=0, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
            self.server = uvicorn.Server(config)
            task = asyncio.create_task(self.server.serve())
            while not self.server.started:  # noqa: ASYNC110 - uvicorn offers nothing to wait for
                await asyncio.sleep(0.01)
            port = self.server.servers[0].sockets[0].getsockname()[1]
            self.url = f"http://127.0.0.1:{port}"
            self.ready.set()
            await task

    async def prepare(self, service: Service) -> None:
        """Something to ask for, and somebody to ask as."""
        await service.workflows.publish(document())
        await service.workflows.publish(WAITS)
        await service.runs.start("demo/waits")
        for who, roles in (("admin", ["admin"]), ("nothing", [])):
            name = f"fuzzed-{who}"
            await service.accounts.add(NewIdentity(id=name, kind="service", roles=roles))
            made = await service.tokens.make("service", name, NewToken(label="fuzzed"))
            self.tokens[who] = made.token


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Background]:
    """A running server."""
    thread = Background(tmp_path_factory.mktemp("fuzzed"))
    thread.start()
    assert thread.ready.wait(30)
    yield thread
    assert thread.server is not None
    thread.server.should_exit = True
    thread.join(30)


# Streams have no end to wait for; their refusals are in the table of the routes.
schema = schemathesis.openapi.from_dict(openapi_document()).exclude(path_regex="/stream$")


EXAMPLES = int(os.environ.get("SEGUE_FUZZ_EXAMPLES", "8"))
"""Requests of each operation; `make fuzz EXAMPLES=n` makes more, and others each time."""


# Making a request is dear, sending it is not: each that is made is sent as everybody.
@schema.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, derandomize=EXAMPLES <= 8, suppress_health_check=list(HealthCheck))
def test_no_request_breaks_a_promise_or_gets_anybody_what_is_not_theirs(case: Case, running: Background) -> None:
    """Clients are generated from the document: an answer outside it breaks them. And whatever they send, a stranger
    and an account without roles get nothing by it.
    """
    response = case.call(base_url=running.url, headers=HEADERS, timeout=20)

    assert response.status_code < 500, response.text
    checks = [status_code_conformance, content_type_conformance, response_schema_conformance, unsupported_method]
    case.validate_response(response, checks=checks)
    _assert_only_theirs(case, running)


def _assert_only_theirs(case: Case, running: Background) -> None:
    """As a stranger, as an account without roles, as an administrator."""
    operation = case.operation.definition.raw["operationId"]

    def status(token: str | None) -> int:
        headers = {} if token is None else {"Authorization": f"Bearer {running.tokens[token]}"}
        answer = case.call(base_url=running.url, headers=headers, timeout=20)
        assert answer.status_code < 500, answer.text
        return answer.status_code

    if operation not in OPEN:
        assert status(None) in (400, 401, 403, 405)
    elif operation not in ("getHealth", "getReady", "listProviders"):
        # Open to whoever has a password or a code, and these are none.
        assert status(None) >= 400
    if operation not in OPEN | ONESELF:
        assert status("nothing") >= 400
    status("admin")
