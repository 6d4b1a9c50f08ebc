"""People who sign in with a browser and decide tasks on pages."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from pathlib import Path
from typing import Any

import httpx
from tests.integration.api_support import BASE, FIRST, YAML, choose_own, client_of
from tests.integration.service_support import document

from segue.service import Service, Settings, open_service

V1 = "/api/v1"
PASSWORD = "correct horse battery"
"""Of ann; the others have none."""
PEOPLE = {"ann": ["approver"], "bob": ["approver"], "cem": ["approver"], "rita": ["approver"], "vera": ["viewer"]}
PAY = document(
    """
    - ask:
        call: human-task
        with:
          title: '${ .title }'
          description: '${ .text }'
          assign: {role: approver}
          requester: rita
          form:
            type: object
            required: [amount]
            properties:
              amount: {type: number, title: Amount, minimum: 0}
              note: {type: string, maxLength: 500}
              ship: {type: object, required: [city], properties: {city: {type: string}}}
          data: '${ .data }'
          context: '${ .context }'
          outcomes: [approve, reject, send-back]
          approvals: '${ .approvals }'
          send_back: {person: rita}
          authority: {amount_of: amount, limits: {approver: 1000}}
    - done:
        set: {outcome: '${ .outcome }', data: '${ .data }', by: '${ .by }', comment: '${ .comment }'}
    """,
    name="pay",
)


class Desk:
    """A server with people and a workflow that asks them."""

    def __init__(self, service: Service, owner: httpx.AsyncClient) -> None:
        self.service, self.owner = service, owner

    def browser(self, **headers: str) -> httpx.AsyncClient:
        """A browser of somebody who has not signed in."""
        return httpx.AsyncClient(transport=self.owner._transport, base_url=BASE, headers=headers)

    async def signed_in(self, name: str) -> httpx.AsyncClient:
        """A browser of somebody who has; without a password, since checking one is made to take long."""
        record = self.service.sessions._roster.find("person", name)
        assert record is not None
        session = await self.service.sessions._begin(record, time.time_ns() // 1_000_000)
        browser = self.browser()
        browser.cookies.set("segue_session", session.token)
        return browser

    async def ask_for(self, data: Any = None, **more: Any) -> int:
        """Start a run; the number of its task."""
        given = {"title": "Pay?", "text": "Look.", "data": {"amount": 50} if data is None else data}
        given |= {"context": None, "approvals": 1, **more}
        run = (await self.owner.post(f"{V1}/runs", json={"workflow": "demo/pay", "input": given})).json()["id"]
        return int((await self.owner.get(f"{V1}/tasks", params={"run": run})).json()["items"][0]["id"])

    async def task(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = (await self.owner.get(f"{V1}/tasks/{number}")).json()
        return found

    async def output(self, number: int) -> Any:
        """What the run of this task came to."""
        assert self.service.host is not None
        return (await self.service.host.wait_closed((await self.task(number))["run"])).output


@asynccontextmanager
async def desk(folder: Path, **settings: Any) -> AsyncIterator[Desk]:
    made = Settings(guesses_per_minute=0, requests_per_minute=0, **settings)
    async with open_service(folder, made, local=None) as service, client_of(service, made) as owner:
        for name, roles in PEOPLE.items():
            body = {"id": name, "roles": roles} | ({"password": FIRST} if name == "ann" else {})
            assert (await owner.post(f"{V1}/identities", json=body)).status_code == 201
        await choose_own(owner, "ann", PASSWORD)
        assert (await owner.post(f"{V1}/workflows", content=PAY, headers=YAML)).status_code == 201
        yield Desk(service, owner)


def fields_of_page(text: str, action: str) -> dict[str, list[str]]:
    """What a browser posts of the form with this action when nobody touches it, without any button."""
    (form,) = [part for part in re.findall(r"<form\b.*?</form>", text, re.DOTALL) if f'action="{action}"' in part]
    found: dict[str, list[str]] = {}

    def add(name: str, value: str) -> None:
        found.setdefault(unescape(name), []).append(unescape(value))

    for tag in re.findall(r"<input\b[^>]*>", form):
        attributes = dict(re.findall(r'([a-z]+)="([^"]*)"', tag))
        if attributes.get("type") == "checkbox" and " checked" not in tag:
            continue
        if "name" in attributes:
            add(attributes["name"], attributes.get("value", ""))
    for tag, inner in re.findall(r"<textarea\b([^>]*)>(.*?)</textarea>", form, re.DOTALL):
        add(re.search(r'name="([^"]*)"', tag)[1], inner.removeprefix("\n").replace("\n", "\r\n"))  # type: ignore[index]
    for tag, inner in re.findall(r"<select\b([^>]*)>(.*?)</select>", form, re.DOTALL):
        chosen = re.search(r'<option value="([^"]*)" selected>', inner) or re.search(
            r'<option value="([^"]*)"', inner
        )
        add(re.search(r'name="([^"]*)"', tag)[1], chosen[1] if chosen else "")  # type: ignore[index]
    return found


async def press(browser: httpx.AsyncClient, task: int, outcome: str, **typed: str) -> httpx.Response:
    """Open a task, type into its fields, and press the button of an outcome."""
    page = await browser.get(f"/desk/tasks/{task}")
    assert page.status_code == 200, page.text
    action = f"/desk/tasks/{task}/decide"
    fields: dict[str, Any] = {**fields_of_page(page.text, action), "outcome": outcome, **typed}
    return await browser.post(action, data=fields)
