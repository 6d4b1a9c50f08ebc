"""Generated requests: whatever comes, the answer is one that the OpenAPI document describes."""

from __future__ import annotations

import asyncio
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
from tests.integration.service_support import TOKEN, WAITS, document

from segue.api import create_app, openapi_document
from segue.service import Settings, open_service

pytestmark = pytest.mark.full
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


class Background(threading.Thread):
    """A server in a thread of its own, with its own event loop."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.folder = folder
        self.ready = threading.Event()
        self.url = ""
        self.server: uvicorn.Server | None = None

    def run(self) -> None:
        asyncio.run(self.main())

    async def main(self) -> None:
        async with open_service(self.folder, Settings()) as service:
            await service.workflows.publish(document())
            await service.workflows.publish(WAITS)
            await service.runs.start("demo/waits")
            app, _ = create_app(service, token=TOKEN, settings=Settings())
            config = uvicorn.Config(app, port=0, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
            self.server = uvicorn.Server(config)
            task = asyncio.create_task(self.server.serve())
            while not self.server.started:  # noqa: ASYNC110 - uvicorn offers nothing to wait for
                await asyncio.sleep(0.01)
            port = self.server.servers[0].sockets[0].getsockname()[1]
            self.url = f"http://127.0.0.1:{port}"
            self.ready.set()
            await task


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running server."""
    thread = Background(tmp_path_factory.mktemp("fuzzed"))
    thread.start()
    assert thread.ready.wait(30)
    yield thread.url
    assert thread.server is not None
    thread.server.should_exit = True
    thread.join(30)


# Streams have no end to wait for; their refusals are in the table of the routes.
schema = schemathesis.openapi.from_dict(openapi_document()).exclude(path_regex="/stream$")


@schema.parametrize()
@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_no_request_makes_the_server_fail_or_answer_what_it_does_not_describe(case: Case, server: str) -> None:
    """Clients are generated from the document: an answer outside it breaks them."""
    response = case.call(base_url=server, headers=HEADERS, timeout=20)

    assert response.status_code < 500, response.text
    checks = [status_code_conformance, content_type_conformance, response_schema_conformance, unsupported_method]
    case.validate_response(response, checks=checks)
