"""What somebody may not see stands in no answer, whichever way they ask."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.api_support import YAML, client_of
from tests.integration.service_support import document
from tests.integration.test_permissions import account

from segue.service import Service, Settings, open_service

V1 = "/api/v1"
EMAIL, KEY, CITY = "canary-ada@example.org", "canary-secret-7731", "Lisbon"
FLOW = document(
    """
    - keep: {set: {city: '${ .customer.city }', mail: '${ .customer.email }'}}
    - greeting: {set: '${ {text: "Dear \\(.mail)", city} }'}
    """,
    more="""
    input:
      schema:
        document:
          type: object
          properties:
            customer:
              properties:
                email: {type: string, x-data-class: personal}
                city: {type: string}
            key: {x-data-class: secret}
    """,
)
GIVEN = {"customer": {"email": EMAIL, "city": CITY}, "key": KEY}


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with open_service(tmp_path, Settings(), local=None) as opened:
        yield opened


@pytest.fixture
async def owner(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(service) as client:
        yield client


async def started(owner: httpx.AsyncClient, text: str, given: Any, workflow: str = "demo/flow") -> str:
    published = await owner.post(f"{V1}/workflows", content=text, headers=YAML)
    assert published.status_code == 201, published.text
    run = await owner.post(f"{V1}/runs", json={"workflow": workflow, "input": given})
    assert run.status_code == 201, run.text
    return str(run.json()["id"])


async def ended(owner: httpx.AsyncClient, run: str) -> dict[str, Any]:
    async with owner.stream("GET", f"{V1}/runs/{run}/stream") as stream:
        async for _ in stream.aiter_lines():
            pass
    return dict((await owner.get(f"{V1}/runs/{run}")).json())


async def test_a_viewer_sees_masks_and_an_operator_what_they_work_with(owner: httpx.AsyncClient) -> None:
    """The class of a field follows it through the steps, and only it: the city beside it stays."""
    run = await started(owner, FLOW, GIVEN)
    await ended(owner, run)
    viewer, operator = await account(owner, "vic", "viewer"), await account(owner, "ola", "operator")

    seen = (await owner.get(f"{V1}/runs/{run}", headers=viewer)).json()
    assert seen["input"] == {
        "customer": {"email": {"$masked": ["personal"]}, "city": CITY},
        "key": {"$masked": ["secret"]},
    }
    assert seen["output"] == {"text": {"$masked": ["personal"]}, "city": CITY}

    seen = (await owner.get(f"{V1}/runs/{run}", headers=operator)).json()
    assert seen["input"] == {"customer": GIVEN["customer"], "key": {"$masked": ["secret"]}}
    assert seen["output"] == {"text": f"Dear {EMAIL}", "city": CITY}
    assert (await owner.get(f"{V1}/runs/{run}")).json()["input"] == GIVEN
