"""Telling people of publications, values, consents and changes of people that wait for them: once each, in time."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

from tests.integration.api_support import client_of
from tests.integration.test_owning import CRM, flow
from tests.integration.test_telling import Mailbox, mailbox  # noqa: F401 - a fixture
from tests.integration.test_waiting import RULES, TRIAGE, person, refused

from segue.service import (
    ConsentDecision,
    IdentityChange,
    NewAdjustment,
    NewIdentity,
    NewOwner,
    NewPolicy,
    Service,
    Settings,
    open_service,
)
from segue.types import Identity, acting_as

RITA = person("rita", "operator", "publisher")
WISH = NewAdjustment(values={"threshold": 0.5}, reason="a test")


async def prepared(service: Service) -> None:
    await service.connections.add("crm", CRM)
    await service.owning.own("crm", NewOwner(owner="group:sales", reason="a test"))
    await service.permissions.change("here", NewPolicy(text=RULES, reason="a test"))
    await service.workflows.publish(TRIAGE)
    for name, role, groups in (
        ("ann", "approver", []),
        ("pia", "publisher", []),
        ("rita", "publisher", []),
        ("sam", "viewer", ["sales"]),
        ("aud", "auditor", ["sales"]),
        ("vera", "viewer", []),
    ):
        await service.accounts.add(NewIdentity(id=name, roles=[role], groups=groups))
        await service.profiles.put(name, {"email": f"{name}@example.com"})


async def wanted(service: Service) -> None:
    with acting_as(RITA):
        await refused("approval-needed", service.workflows.publish(flow("list", name="released")))
        await refused("approval-needed", service.adjusting.adjust("demo", "triage", WISH))


async def told(service: Service, name: str, times: int = 1) -> list[tuple[str, str | None]]:
    who = Identity(kind="person", id=name, roles=frozenset({"viewer"}))
    found: list[Any] = []
    for _ in range(400):
        with acting_as(who):
            found = (await service.profiles.notices()).items
        if len(found) >= times:
            break
        await asyncio.sleep(0.02)
    return sorted((notice.kind, notice.about) for notice in found)


def settings(port: int) -> Settings:
    mail = {"host": "127.0.0.1", "port": port, "tls": "none", "sender": "Segue <segue@example.com>"}
    return Settings(mail=mail, public_url="https://segue.example.com/")


async def until(box: Mailbox, number: int) -> None:
    for _ in range(500):
        if len(box.messages) >= number:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{len(box.messages)} of {number} mails")


async def test_each_who_can_decide_is_told_once_and_nobody_else(
    tmp_path: Path,
    mailbox: tuple[Mailbox, int],  # noqa: F811
) -> None:
    """Whoever wants it is not told, nor who has the role or the group and may not; a restart tells nobody twice."""
    box, port = mailbox
    async with open_service(tmp_path / "data", settings(port)) as service:
        await prepared(service)
        await wanted(service)
        assert await told(service, "pia") == [("publication", "publication:1")]
        assert await told(service, "ann") == [("adjustment", "adjustment:1")]
        assert await told(service, "sam") == [("consent", "consent:1")]
        await until(box, 3)
    async with open_service(tmp_path / "data", settings(port)) as service:
        await asyncio.sleep(1.2)
        for name in ("rita", "aud", "vera"):
            assert await told(service, name, 0) == []
        assert len(await told(service, "sam")) == 1
    mails = {str(m["to"]): (str(m["subject"]), m.get_content()) for m in box.messages}
    assert set(mails) == {"pia@example.com", "ann@example.com", "sam@example.com"}
    assert len(box.messages) == 3
    subject, text = mails["sam@example.com"]
    assert subject == "A use of your connection waits for your consent: demo/released wants to read crm"
    assert "segue waiting" in text
    assert "task-code" not in text


async def test_quiet_hours_hold_and_what_is_decided_meanwhile_is_not_sent(
    tmp_path: Path,
    mailbox: tuple[Mailbox, int],  # noqa: F811
) -> None:
    """As of tasks: nobody is woken, and nobody is told of what is over. What is wanted again is told again."""
    box, port = mailbox
    folder = tmp_path / "data"
    async with open_service(folder, settings(port)) as service:
        await prepared(service)
        quiet = {"since": "00:00", "until": "23:59", "zone": "UTC"}
        await service.profiles.put("sam", {"email": "sam@example.com", "quiet": quiet})
        await wanted(service)
        assert await told(service, "sam") == [("consent", "consent:1")]
        await until(box, 2)
        sam = person("sam", "viewer", groups=frozenset({"sales"}))
        with acting_as(sam):
            await service.owning.decide(1, ConsentDecision(grant=False, reason="no"))
    with sqlite3.connect(folder / "segue.db") as connection:
        connection.execute("UPDATE notice SET due_at = 0 WHERE state = 'due'")
    async with open_service(folder, settings(port)) as service:
        await asyncio.sleep(1.2)
        await service.profiles.put("sam", {"email": "sam@example.com"})
        with acting_as(RITA):
            await refused("approval-needed", service.workflows.publish(flow("list", name="released")))
        assert await told(service, "sam", 2) == [("consent", "consent:1")] * 2
        await until(box, 4)
    with sqlite3.connect(folder / "segue.db") as connection:
        kept = "SELECT state, count(*) FROM notice WHERE channel = 'email' AND person = 'sam' GROUP BY state"
        assert dict(connection.execute(kept).fetchall()) == {"sent": 1, "void": 1}


async def test_administrators_are_told_of_changes_that_wait_for_a_second_one(
    tmp_path: Path,
    mailbox: tuple[Mailbox, int],  # noqa: F811
) -> None:
    """Neither who wants it nor whom it is about gets the notice of a decider."""
    box, port = mailbox
    async with open_service(tmp_path / "data", settings(port)) as service:
        for name in ("adam", "eve", "fay"):
            await service.accounts.add(NewIdentity(id=name, roles=["admin"]))
            await service.profiles.put(name, {"email": f"{name}@example.com"})
        with acting_as(person("adam", "admin")):
            wish = IdentityChange(password="a password of somebody")
            await refused("approval-needed", service.accounts.change("person", "eve", wish))
        assert await told(service, "fay") == [("account", "account:1")]
        await until(box, 2)
        assert await told(service, "adam", 0) == []
        assert await told(service, "eve", 0) == []
        async with client_of(service) as client:
            kept = (await client.get("/api/v1/audit", params={"limit": 100})).json()["items"]
        assert ("notice.account", "person:eve", "sent") in {(r["action"], r["resource"], r["verdict"]) for r in kept}
