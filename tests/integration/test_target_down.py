"""A target goes down: its circuit opens, other workflows go on, and queued work drains after it is back."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from tests.integration.service_support import document

from segue.sandbox import PracticeCompany
from segue.service import Service, Settings, open_service
from segue.service.settings import OutboundSettings
from segue.types import fail

QUEUED, OTHERS = 80, 20
TIMEOUT_MS = 10_000
RETRIES = "use: {retries: {patient: {delay: {milliseconds: 20}, when: '${ $error.status >= 500 }'}}}"


class _Secrets:
    """The practice company's credentials."""

    def __init__(self, company: PracticeCompany) -> None:
        self._known: dict[str, Any] = {name: system.credentials for name, system in company.systems.items()}

    async def read(self, name: str) -> Any:
        if name not in self._known:
            raise fail("authorization", f"There is no secret {name!r}.")
        return self._known[name]


def _call(use: str, operation: str, arguments: str) -> str:
    call = f"{{call: connector, with: {{use: {use}, operation: {operation}, arguments: {arguments}}}}}"
    return f"- act: {{try: [{{it: {call}}}], catch: {{retry: patient}}}}"


DOCUMENTS = {
    "tasks": _call("crm", "createTask", "{accountId: '${ .id }', body: {subject: Call}}"),
    "clients": _call("billing", "getClient", "{client_no: '${ .no }'}"),
}


@pytest.fixture
async def company() -> AsyncIterator[PracticeCompany]:
    async with PracticeCompany(today=date(2026, 1, 15)) as opened:
        yield opened


@pytest.fixture
def acts_max() -> int:
    return 1000


@pytest.fixture
async def service(company: PracticeCompany, tmp_path: Path, acts_max: int) -> AsyncIterator[Service]:
    settings = Settings(outbound=OutboundSettings(allow_loopback=True), acts_max=acts_max)
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(open_service(tmp_path / "data", settings, secrets=_Secrets(company)))
        auth = {
            "crm": "oauth2=secret:crm.client_id,secret:crm.client_secret",
            "billing": "basic=secret:billing.username,secret:billing.password",
        }
        for name, credentials in auth.items():
            source = company.systems[name].openapi_url
            await opened.connections.add(
                name,
                await opened.connections.fetch(source),
                source=source,
                auth=credentials,
                base_url=company.systems[name].url,
                wait_within_ms=0,
                timeout_ms=TIMEOUT_MS,
                breaker={"open_ms": 200, "open_ms_max": 800},
            )
        for name, tasks in DOCUMENTS.items():
            await opened.workflows.publish(document(tasks, name=name, more=RETRIES))
        yield opened


async def _circuit(service: Service, name: str) -> str:
    circuit = (await service.connections.get(name)).circuit
    return circuit.state if circuit is not None else "unused"


async def _start(service: Service, workflow: str, inputs: list[dict[str, Any]]) -> list[str]:
    return [(await service.runs.start(f"demo/{workflow}", input=given))[0].id for given in inputs]


async def _statuses(service: Service, runs: list[str]) -> set[str]:
    return {(await service.runs.wait(run)).status for run in runs}


def _records(company: PracticeCompany, name: str, sql: str) -> list[Any]:
    with sqlite3.connect(f"file:{company.directory / name}.sqlite3?mode=ro", uri=True) as database:
        return [row[0] for row in database.execute(sql)]


async def test_a_target_that_is_down_holds_up_nobody_else(service: Service, company: PracticeCompany) -> None:
    """C47. Nothing is lost or doubled either: the CRM's own count says so."""
    crm = company.systems["crm"]
    accounts = _records(company, "crm", f"SELECT account_id FROM accounts LIMIT {QUEUED}")
    clients = _records(company, "billing", f"SELECT client_no FROM clients LIMIT {OTHERS}")
    crm.turn(fail_rate=1)
    queued = await _start(service, "tasks", [{"id": account} for account in accounts])
    async with asyncio.timeout(20):
        while await _circuit(service, "crm") != "open":  # noqa: ASYNC110 - it changes by what the service does
            await asyncio.sleep(0.01)
    met = crm.stats()["requests"]

    others = await _start(service, "clients", [{"no": client} for client in clients])
    assert await _statuses(service, others) == {"completed"}
    assert await _circuit(service, "billing") == "closed"
    await asyncio.sleep(0.5)
    # Without a circuit, 80 runs that retry after 20 ms would have sent two thousand.
    assert crm.stats()["requests"] - met < 20
    assert (await service.runs.counts()).get("faulted", 0) == 0

    crm.turn(fail_rate=0)
    async with asyncio.timeout(30):
        assert await _statuses(service, queued) == {"completed"}
    assert await _circuit(service, "crm") == "closed"
    written = crm.stats()["writes"]["task"]
    assert (written["created"], written["duplicates"]) == (QUEUED, 0)


@pytest.mark.parametrize("acts_max", [40])
async def test_a_target_that_hangs_takes_no_acts_from_others(service: Service, company: PracticeCompany) -> None:
    """Before it times out for the first time nothing speaks against it, and meanwhile others must go on too."""
    accounts = _records(company, "crm", f"SELECT account_id FROM accounts LIMIT {QUEUED}")
    clients = _records(company, "billing", f"SELECT client_no FROM clients LIMIT {OTHERS}")
    alone_s = await _seconds_for(service, clients)
    crm = company.systems["crm"]
    crm.turn(latency_ms=60_000)
    queued = await _start(service, "tasks", [{"id": account} for account in accounts])
    while await _circuit(service, "crm") == "unused":  # noqa: ASYNC110 - it changes by what the service does
        await asyncio.sleep(0.01)

    beside_s = await _seconds_for(service, clients)

    assert beside_s < max(10 * alone_s, 3), "whoever waited for a time-out would have taken longer"
    assert await _circuit(service, "crm") == "closed", "nothing may have spoken against it yet"
    crm.turn(latency_ms=0)
    await asyncio.gather(*(service.runs.cancel_if_open(run) for run in queued[: QUEUED // 2]))
    async with asyncio.timeout(60):
        assert await _statuses(service, queued[QUEUED // 2 :]) == {"completed"}


async def _seconds_for(service: Service, clients: list[Any]) -> float:
    """How long runs take that ask the billing system for these clients."""
    started = time.monotonic()
    async with asyncio.timeout(20):
        others = await _start(service, "clients", [{"no": client} for client in clients])
        assert await _statuses(service, others) == {"completed"}
    return time.monotonic() - started


async def test_cancelled_runs_leave_the_connection_as_wide_as_it_was(
    service: Service, company: PracticeCompany
) -> None:
    """A slot is a lease: hundreds of runs cancelled while they wait or send must give all of theirs back."""
    crm = company.systems["crm"]
    accounts = _records(company, "crm", f"SELECT account_id FROM accounts LIMIT {QUEUED}")
    crm.turn(latency_ms=300)
    queued = await _start(service, "tasks", [{"id": account} for account in accounts])
    await asyncio.sleep(0.2)
    await asyncio.gather(*(service.runs.cancel_if_open(run) for run in queued))
    crm.turn(latency_ms=0)

    again = await _start(service, "tasks", [{"id": account} for account in accounts])
    async with asyncio.timeout(30):
        assert await _statuses(service, again) == {"completed"}
    circuit = (await service.connections.get("crm")).circuit
    assert circuit is not None
    assert (circuit.state, circuit.under_way, circuit.waiting) == ("closed", 0, 0)
