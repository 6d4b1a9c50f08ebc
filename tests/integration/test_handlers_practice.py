"""Connections to the practice company: four systems, four ways to sign in, four ways to page, and trouble."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import pytest
from tests.integration.handlers_support import command, context, failure_of, perform

from segue.connectors import (
    Calls,
    Connection,
    MemoryConnections,
    Outbound,
    OutboundPolicy,
    TokenCache,
    new_connection,
    probe,
)
from segue.governance import Redactor
from segue.handlers.connector import ConnectorHandler
from segue.sandbox import PracticeCompany
from segue.types import NOT_DONE

SETTINGS: dict[str, dict[str, Any]] = {
    "crm": {
        "authentication": "oauth2=secret:crm.client_id,secret:crm.client_secret",
        "paging": [
            {
                "operation": "listAccounts",
                "kind": "cursor",
                "parameter": "cursor",
                "next": "/nextCursor",
                "items": "/items",
                "size_parameter": "limit",
                "size": 200,
            }
        ],
    },
    "billing": {
        "authentication": "basic=secret:billing.username,secret:billing.password",
        "paging": [
            {
                "operation": "listClients",
                "kind": "page",
                "parameter": "page",
                "items": "/data",
                "size_parameter": "page_size",
                "size": 100,
            }
        ],
    },
    "usage": {
        "authentication": "bearer=secret:usage.token",
        "paging": [
            {"operation": "listCustomers", "kind": "link", "size_parameter": "per_page", "size": 100},
        ],
    },
    "support": {
        "authentication": "apiKey=secret:support.key",
        "paging": [
            {
                "operation": "listRequesters",
                "kind": "offset",
                "parameter": "offset",
                "items": "/requesters",
                "size_parameter": "limit",
                "size": 100,
            }
        ],
        "lookups": [
            {"operation": "startOutreach", "reference": "external_ref", "find": "listOutreach", "by": "external_ref"}
        ],
    },
}


class Office:
    """The company with a connection to each of its systems."""

    def __init__(self, company: PracticeCompany, calls: Calls, connections: list[Connection]) -> None:
        self.company = company
        self.calls = calls
        self.connections = connections
        self.handler = ConnectorHandler(calls, MemoryConnections(*connections))
        self.secrets: dict[str, Any] = {name: system.credentials for name, system in company.systems.items()}

    async def call(
        self, use: str, operation: str, arguments: Any = None, *, key: str = "run-1/1", **more: Any
    ) -> Any:
        call = {"use": use, "operation": operation, "arguments": arguments, **more}
        return await perform(self.handler, call, key=key, **self.secrets)


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    outbound = Outbound(OutboundPolicy(allow_loopback=True))
    async with PracticeCompany(today=date(2026, 1, 15)) as company:
        connections = []
        for name, system in company.systems.items():
            answer = await outbound.send("GET", system.openapi_url)
            settings = {"source": system.openapi_url, "base_url": system.url} | SETTINGS[name]
            connections.append(new_connection(name, answer.content, **settings))
        yield Office(company, Calls(outbound, TokenCache(outbound)), connections)
        await outbound.aclose()


async def test_every_system_lets_us_in(office: Office) -> None:
    """Client credentials, basic, bearer and an API key, all by reference."""

    async def read(name: str) -> Any:
        return office.secrets[name]

    for connection in office.connections:
        report = await probe(office.calls, connection, read_secret=read, note=Redactor().note)
        assert report.ok, report


@pytest.mark.parametrize(
    ("use", "operation", "key", "records"),
    [
        ("crm", "listAccounts", "accountId", 7043),
        ("billing", "listClients", "client_no", 7043),
        ("usage", "listCustomers", "customer_ref", 7043),
        # Some customers never wrote to the support desk.
        ("support", "listRequesters", "email", 7035),
    ],
)
async def test_every_list_is_read_completely_and_once(
    office: Office, use: str, operation: str, key: str, records: int
) -> None:
    """Cursor, page, link and offset."""
    items = await office.call(use, operation, all=True)

    assert (len(items), len({item[key] for item in items})) == (records, records)


async def test_a_list_is_read_through_429_answers_and_ending_tokens(office: Office) -> None:
    """A system under pressure costs time, never rows: no row is lost or read twice."""
    crm = office.company.systems["crm"]
    crm.turn(rate_limit_per_s=15, token_lifetime_s=1)

    items = await office.call("crm", "listAccounts", all=True)

    assert len(items) == len({item["accountId"] for item in items}) == 7043
    seen = crm.stats()["requests_by_operation"]["listAccounts"]
    assert seen["200"] == 36
    assert seen["429"] >= 1


async def test_a_lost_answer_is_looked_up_and_never_acted_upon_twice(office: Office) -> None:
    """The system without idempotency keys: intent, lost answer, lookup by the effect key."""
    [account] = (await office.call("crm", "listAccounts", {"limit": 1}))["items"]
    outreach = {"outreach": {"requester_email": account["email"], "template": "renewal_check_in"}}
    call = {"use": "support", "operation": "startOutreach", "arguments": outreach}
    act, acting = command("connector", call), context("run-5/7", **office.secrets)
    assert office.handler.recovery(act) == "verify"
    assert await office.handler.verify(act, acting) is NOT_DONE

    office.company.systems["support"].turn(drop_after_write=1)
    lost = await failure_of(office.handler, call, key="run-5/7", **office.secrets)
    office.company.systems["support"].turn(drop_after_write=0)

    assert lost.outcome_unknown
    found = await office.handler.verify(act, acting)
    assert found["external_ref"] == "run-5/7"
    assert found["requester_email"].lower() == account["email"].lower()


async def test_the_same_key_raises_one_alert(office: Office) -> None:
    """The system with idempotency keys: sent again after a lost answer, it answers with the first alert."""
    [client] = (await office.call("billing", "listClients", {"page_size": 1}))["data"]
    body = {"client_no": client["client_no"], "severity": "warning", "message": "renewal at risk"}
    office.company.systems["billing"].turn(drop_after_write=1)
    call = {"use": "billing", "operation": "raiseFinanceAlert", "arguments": {"body": body}}
    lost = await failure_of(office.handler, call, key="run-6/1", **office.secrets)
    office.company.systems["billing"].turn(drop_after_write=0)

    again = [await office.call("billing", "raiseFinanceAlert", {"body": body}, key="run-6/1") for _ in range(2)]

    assert not lost.outcome_unknown
    assert again[0] == again[1]
    listed = await office.call("billing", "listFinanceAlerts", {"client_no": client["client_no"]})
    assert listed["total"] == 1


async def test_many_tasks_share_one_token_and_the_pace(office: Office) -> None:
    """Hundreds of runs start at once; the CRM sees one sign-in and its limit is kept."""
    office.company.systems["crm"].turn(rate_limit_per_s=300)
    accounts = (await office.call("crm", "listAccounts", {"limit": 100}))["items"]

    found = await asyncio.gather(
        *(office.call("crm", "getAccount", {"accountId": account["accountId"]}) for account in accounts)
    )

    assert found == accounts
