"""Lifecycle events posted to a receiver that is real, and not always well."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.integration.service_support import PAID, WAITS, document

from segue import Segue
from segue.service import OutboundSettings, ServiceError, Settings, load_settings, webhook

FLOW = document("- one: {set: {a: 1}}\n- two: {set: {a: 2}}").encode()


class Receiver:
    """Keeps what arrives; `mood` says how the request with this number is answered."""

    def __init__(self) -> None:
        self.arrived: list[dict[str, Any]] = []
        self.media: set[str | None] = set()
        self.requests = 0
        self.mood: Callable[[int], str] = lambda number: "yes"
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["content-length"]))
                receiver.requests += 1
                receiver.media.add(self.headers["content-type"])
                mood = receiver.mood(receiver.requests)
                if mood != "no":
                    receiver.arrived += json.loads(content)
                if mood == "lost":
                    self.close_connection = True
                    return
                self.send_response(204 if mood == "yes" else 503)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Be quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def told(self, run: str) -> list[str]:
        """Ids of the events of a run as they came first."""
        return list(dict.fromkeys(event["id"] for event in self.arrived if event["subject"] == run))


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setattr(webhook, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(webhook, "PAUSES_SECONDS", (0.02,))
    made = Receiver()
    yield made
    made.close()


def settings(receiver: Receiver, *, loopback: bool = True) -> Settings:
    return Settings(lifecycle_webhook=receiver.url, outbound=OutboundSettings(allow_loopback=loopback))


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not happened():  # noqa: ASYNC110 - the receiver is another thread
            await asyncio.sleep(0.02)


async def lifecycle(opened: Segue, run: str) -> list[str]:
    return [event["id"] async for event in await opened.service.runs.follow(run)]


async def test_every_event_arrives_in_order_through_refusals_lost_answers_and_a_restart(
    receiver: Receiver, tmp_path: Path
) -> None:
    """Who acts on these events cannot look for what never came, nor sort what came in disorder."""
    receiver.mood = lambda number: ("no", "lost", "yes")[number % 3]
    async with Segue.open(tmp_path, settings=settings(receiver)) as opened:
        await opened.publish(FLOW)
        await opened.publish(WAITS.encode())
        runs = [(await opened.start("demo/waits")).id, *[(await opened.start("demo/flow")).id for _ in range(5)]]
        await until(lambda: all(receiver.told(run) for run in runs))
        receiver.mood = lambda number: "no"
        runs += [(await opened.start("demo/flow")).id for _ in range(5)]
        refused = receiver.requests
        await until(lambda: receiver.requests > refused + 1)
        assert not receiver.told(runs[-1])

    receiver.mood = lambda number: ("no", "lost", "yes")[number % 3]
    async with Segue.open(tmp_path, settings=settings(receiver)) as opened:
        await opened.send(PAID)
        await (await opened.run(runs[0])).result()
        wanted = {run: await lifecycle(opened, run) for run in runs}
        await until(lambda: all(len(receiver.told(run)) >= len(wanted[run]) for run in runs))

    assert {run: receiver.told(run) for run in runs} == wanted
    assert receiver.media == {"application/cloudevents-batch+json"}


async def test_what_was_accepted_does_not_come_again_and_what_was_before_does_not_come(
    receiver: Receiver, tmp_path: Path
) -> None:
    """The place is kept: neither a restart nor a new address replays the past."""
    async with Segue.open(tmp_path) as opened:
        await opened.publish(FLOW)
        before = (await opened.start("demo/flow")).id
    counts = []
    for _ in range(2):
        async with Segue.open(tmp_path, settings=settings(receiver)) as opened:
            run = (await opened.start("demo/flow")).id
            wanted = await lifecycle(opened, run)
            await until(lambda run=run, wanted=wanted: receiver.told(run) == wanted)  # type: ignore[misc]
            await asyncio.sleep(0.1)
        counts.append(len(receiver.arrived))

    assert counts == [len(wanted), 2 * len(wanted)]
    assert receiver.told(before) == []


async def test_the_outbound_policy_counts(
    receiver: Receiver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A setting must not reach what a workflow may not."""
    async with Segue.open(tmp_path, settings=settings(receiver, loopback=False)) as opened:
        await opened.publish(FLOW)
        await (await opened.start("demo/flow")).result()
        await until(lambda: "outbound policy" in caplog.text)

    assert receiver.requests == 0


@pytest.mark.parametrize("address", ["ftp://example.org", "example.org/hook", "http://", ""])
def test_what_is_no_address_is_refused(address: str) -> None:
    """When the server starts, and not at the first event."""
    with pytest.raises(ServiceError, match="lifecycle_webhook"):
        load_settings(None, environment={"SEGUE_LIFECYCLE_WEBHOOK": address})
