"""Telling people of their tasks: against a real mail server and a real chat, once each, over restarts."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from tests.integration.api_support import client_of
from tests.integration.handlers_support import route, serving
from tests.integration.pages_support import fields_of_page
from tests.integration.service_support import document

from segue.service import NewDecision, OutboundSettings, Service, Settings, open_service
from segue.types import Identity, acting_as

OWNER = Identity(kind="person", id="owner", roles=frozenset({"owner"}))
ASK = document(
    """
    - ask:
        call: human-task
        with:
          title: '${ .title }'
          assign: {role: approver}
          priority: '${ .priority // "normal" }'
          reminders: ['${ .remind // "P1D" }']
    """,
    name="ask",
)


BOTH = document(
    "- ask: {call: human-task, with: {title: both, assign: {role: approver}, approvals: 2, reminders: [PT3S]}}",
    name="both",
)


class Mailbox:
    """Keeps what arrives."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        self.envelopes.append(envelope)
        return "250 OK"

    @property
    def messages(self) -> list[EmailMessage]:
        contents = [envelope.content for envelope in self.envelopes]
        return [message_from_bytes(c, policy=default) for c in contents if isinstance(c, bytes)]


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    box = Mailbox()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield box, port
    finally:
        controller.stop()


@asynccontextmanager
async def opened(folder: Path, port: int, **more: Any) -> AsyncIterator[Service]:
    mail = {"host": "127.0.0.1", "port": port, "tls": "none", "sender": "Segue <segue@example.com>"}
    settings = Settings(mail=mail, public_url="https://segue.example.com/", **more)
    async with open_service(folder, settings) as service:
        with acting_as(OWNER):
            await service.workflows.publish(ASK.encode())
        yield service


async def say(service: Service, name: str, **profile: Any) -> None:
    with acting_as(OWNER):
        await service.profiles.put(name, {"roles": ["approver"], "email": f"{name}@example.com", **profile})


async def start(service: Service, title: str = "Pay?", **more: Any) -> int:
    with acting_as(OWNER):
        run, _ = await service.runs.start("demo/ask", input={"title": title, **more})
        return (await service.tasks.page(run=run.id)).items[0].id


async def told(service: Service, task: int, *, times: int, channel: str = "email", state: str = "sent") -> list[Any]:
    """The notices of a task, once there are so many of this kind."""

    async def look() -> list[Any]:
        found: list[Any] = []
        while len(found) < times:
            with acting_as(OWNER):
                page = await service.tasks.get(task)
            found = [n for n in page.notices if n.channel == channel and n.state == state]
            await asyncio.sleep(0.05)
        return found

    return await asyncio.wait_for(look(), 20)


async def test_who_is_asked_gets_one_mail_and_decides_by_its_link(
    tmp_path: Path, mailbox: tuple[Mailbox, int]
) -> None:
    """From the offer to the decision without signing in, and with a record of everything."""
    box, port = mailbox
    async with opened(tmp_path / "data", port) as service:
        await say(service, "ann")
        await say(service, "vera", roles=["viewer"])
        task = await start(service, "Pay 50 to ACME?")
        (notice,) = await told(service, task, times=1)
        (message,) = box.messages
        assert message["To"] == "ann@example.com"
        assert message["Subject"] == "A task is waiting: Pay 50 to ACME?"
        assert notice.receipt == message["Message-ID"]
        link = re.search(r"https://\S+code=\S+", message.get_content())
        assert link is not None
        place = urlsplit(link[0])
        assert (place.netloc, place.path) == ("segue.example.com", "/desk/code")
        assert re.search(rf"https://segue.example.com/desk/tasks/{task}\r?$", message.get_content(), re.MULTILINE)
        code = parse_qs(place.query)["code"][0]
        async with client_of(service) as client:
            client.headers.pop("authorization")
            page = await client.get(place.path, params={"code": code})
            body = {**fields_of_page(page.text, "/desk/code"), "outcome": "approve"}
            answer = await client.post(place.path, data=body)
        assert "Approve: this is decided." in answer.text
        with acting_as(OWNER):
            assert (await service.tasks.get(task)).by == "ann"


async def test_nobody_is_told_twice_whatever_restarts(tmp_path: Path, mailbox: tuple[Mailbox, int]) -> None:
    """Delivered once with a record: a restart finds what was sent."""
    box, port = mailbox
    async with opened(tmp_path / "data", port) as service:
        await say(service, "ann")
        task = await start(service)
        await told(service, task, times=1)
    for _ in range(2):
        async with opened(tmp_path / "data", port) as service:
            await asyncio.sleep(0.7)
    assert len(box.messages) == 1


async def test_what_was_being_sent_when_the_process_died_is_not_sent_again(
    tmp_path: Path, mailbox: tuple[Mailbox, int]
) -> None:
    """Nobody knows whether it arrived; a second mail would be worse than the next reminder."""
    box, port = mailbox
    async with opened(tmp_path / "data", port) as service:
        await say(service, "ann")
        task = await start(service)
        await told(service, task, times=1)
        await service.store.write([("UPDATE notice SET state = 'sending' WHERE channel = 'email'", ())])
    async with opened(tmp_path / "data", port) as service:
        await told(service, task, times=1, state="unknown")
        await asyncio.sleep(0.7)
    assert len(box.messages) == 1


async def test_reminders_follow_the_clock_and_stop_with_the_decision(
    tmp_path: Path, mailbox: tuple[Mailbox, int]
) -> None:
    """A reminder is a change like any other: told once, and only while somebody has to do something."""
    box, port = mailbox
    async with opened(tmp_path / "data", port) as service:
        await say(service, "ann")
        task = await start(service, remind="PT1S")
        await told(service, task, times=2)
        assert [m["Subject"] for m in box.messages] == ["A task is waiting: Pay?", "A task is still waiting: Pay?"]
        assert len({m["Message-ID"] for m in box.messages}) == 2


async def test_who_has_a_voice_in_it_is_not_reminded(tmp_path: Path, mailbox: tuple[Mailbox, int]) -> None:
    """Of two people who must approve, one did: asking them again says that nobody noticed."""
    box, port = mailbox
    async with opened(tmp_path / "data", port) as service:
        with acting_as(OWNER):
            await service.workflows.publish(BOTH.encode())
        for name in ("ann", "bob"):
            await say(service, name)
        with acting_as(OWNER):
            run, _ = await service.runs.start("demo/both")
            task = (await service.tasks.page(run=run.id)).items[0].id
        await told(service, task, times=2)
        ann = Identity(kind="person", id="ann", roles=frozenset({"approver"}))
        with acting_as(ann):
            seen = (await service.tasks.get(task)).seen
            await service.tasks.decide(task, NewDecision(outcome="approve", seen=seen))
        reminded = [n.person for n in await told(service, task, times=3) if n.kind == "reminded"]

    assert reminded == ["bob"]
    assert sorted(str(message["To"]) for message in box.messages) == [
        *("ann@example.com", "bob@example.com", "bob@example.com")
    ]


async def test_quiet_hours_hold_mail_back_and_a_decision_makes_it_void(
    tmp_path: Path, mailbox: tuple[Mailbox, int]
) -> None:
    """The record in the app is there at once; the mail would have come in the morning, and is not needed any more."""
    box, port = mailbox
    always = {"since": "00:00", "until": "23:59", "zone": "UTC"}
    async with opened(tmp_path / "data", port) as service:
        await say(service, "ann", quiet=always)
        task = await start(service)
        await told(service, task, times=1, channel="app")
        await told(service, task, times=1, state="due")
        assert box.messages == []
        urgent = await start(service, "Now!", priority="urgent")
        await told(service, urgent, times=1)
        with acting_as(OWNER):
            seen = (await service.tasks.get(task)).seen
            await service.tasks.decide(task, NewDecision(outcome="reject", seen=seen))
        await told(service, task, times=1, state="void")


async def test_a_mail_that_is_late_waits_for_the_end_of_quiet_hours_and_much_comes_as_one(
    tmp_path: Path, mailbox: tuple[Mailbox, int]
) -> None:
    """No server ran, or none took the mail, while its person was awake: that is no reason to wake them."""
    box, port = mailbox
    late = "UPDATE notice SET due_at = made_at WHERE channel = 'email' AND state = 'due'"
    async with opened(tmp_path / "data", port) as service:
        await say(service, "ann", quiet={"since": "00:00", "until": "23:59", "zone": "UTC"})
        tasks = [await start(service, f"No. {number}") for number in range(6)]
        for task in tasks:
            await told(service, task, times=1, state="due")
        await service.store.write([(late, ())])
        urgent = await start(service, "Now!", priority="urgent")
        await told(service, urgent, times=1)
        found = [notice for task in tasks for notice in await told(service, task, times=1, state="due")]
        assert [message["subject"] for message in box.messages] == ["A task is waiting: Now!"]
        assert all(notice.due_at[11:16] == "23:59" for notice in found)

        await say(service, "ann", quiet={"since": "23:58", "until": "23:59", "zone": "UTC"})
        await service.store.write([("UPDATE notice SET due_at = made_at + 1 WHERE state = 'due'", ())])
        for task in tasks:
            await told(service, task, times=1)
        assert [message["subject"] for message in box.messages[1:]] == ["6 tasks"]


async def test_a_chat_is_told_with_a_key_and_without_a_link(tmp_path: Path, mailbox: tuple[Mailbox, int]) -> None:
    """A chat is read by many, so nobody can decide from it."""
    posted: list[tuple[Any, str]] = []

    async def chat(request: Request) -> Response:
        posted.append((await request.json(), request.headers["idempotency-key"]))
        return JSONResponse({})

    _, port = mailbox
    async with serving(route("/hook", chat, "POST")) as url:
        reach = OutboundSettings(allow_loopback=True)
        async with opened(tmp_path / "data", port, outbound=reach) as service:
            await say(service, "ann", chat=f"{url}/hook", channels=["chat"])
            task = await start(service)
            await told(service, task, times=1, channel="chat")
    ((body, key),) = posted
    assert "Pay?" in body["text"]
    assert "code=" not in body["text"]
    assert key.startswith("notice:")


async def test_without_a_mail_server_the_record_says_so(tmp_path: Path) -> None:
    """Nobody wonders why no mail came."""
    async with open_service(tmp_path / "data", Settings()) as service:
        with acting_as(OWNER):
            await service.workflows.publish(ASK.encode())
        await say(service, "ann")
        task = await start(service)
        (notice,) = await told(service, task, times=1, state="failed")
        assert "no mail server" in notice.receipt
