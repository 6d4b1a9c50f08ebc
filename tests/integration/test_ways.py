"""The second door knows runs: what reached one of them, and what was found in its input."""

from __future__ import annotations

import asyncio
import threading
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from tests.integration.service_support import document

from segue import RunFaulted, Segue
from segue.dsl.flows.tasks import Walk
from segue.service import NewPolicy, RunFilter

SEND = document("- tell: {call: touch, with: {v: '${ .v }'}}", name="send")
START = "- ask: {{run: {{workflow: {{namespace: demo, name: send, version: latest, input: {{v: '${{ .v }}'}}}}}}}}"
LABEL = "input: {schema: {document: {properties: {v: {type: string, KEYWORD}}}}}"
CAREFUL = document(START.format(), name="careful", more=LABEL.replace("KEYWORD", "x-data-class: personal"))
PLAIN = document(START.format(), name="plain")
SLOW = CAREFUL.replace("name: careful", "name: slow")
TICKET = document(
    """
    - stay: {listen: {to: {one: {with: {type: go.on}}}}}
    - tell: {call: touch, with: {v: '${ $workflow.input.v }'}}
    """,
    name="ticket",
    more=LABEL.replace("KEYWORD", "x-detect: true"),
)
HANDS = document(START.format(), name="hands", more=LABEL.replace("KEYWORD", "x-detect: true"))
NOTHING_PERSONAL = """
@id("nothing-personal") forbid (principal, action == Action::"act.perform", resource)
when { context.classes.contains("personal") && resource.handler == "function" };
"""
CALM, MAIL = "The door does not close.", "Write to ada@example.org, please."


class Place:
    """A folder in which acts with personal data are forbidden, and what was sent all the same."""

    def __init__(self, segue: Segue, sent: list[str]) -> None:
        self.segue = segue
        self.sent = sent

    async def run(self, workflow: str, text: str) -> bool:
        """It could send; otherwise the rule stopped it."""
        run = await self.segue.start(f"demo/{workflow}", input={"v": text})
        return await self.ended(run)

    async def ended(self, run: Any) -> bool:
        try:
            await run.result()
        except RunFaulted as faulted:
            if "nothing-personal" not in (faulted.failure.detail or ""):
                raise
            return False
        return True


def opened(folder: Path, sent: list[str]) -> AbstractAsyncContextManager[Segue]:
    async def touch(v: str) -> str:
        sent.append(v)
        return v

    return Segue.open(folder, functions={"touch": touch})


async def prepared(segue: Segue, sent: list[str]) -> Place:
    for text in (SEND, CAREFUL, PLAIN, TICKET, HANDS):
        await segue.publish(text)
    await segue.service.permissions.change("ways", NewPolicy(text=NOTHING_PERSONAL, reason="a test"))
    return Place(segue, sent)


async def test_a_run_is_stopped_for_what_its_caller_gave_it_and_for_nothing_else(tmp_path: Path) -> None:
    """One careful caller of a helper must not stop all the others, and no other one may set it free."""
    sent: list[str] = []
    async with opened(tmp_path, sent) as segue:
        place = await prepared(segue, sent)
        assert await place.run("plain", "public")
        assert not await place.run("careful", "private")
        assert await place.run("plain", "again")
        assert await place.run("send", "alone")
        assert sent == ["public", "again", "alone"]


async def test_what_was_found_in_the_input_of_a_run_stops_it_and_what_was_not_does_not(tmp_path: Path) -> None:
    """Its own acts, and those of what it starts."""
    sent: list[str] = []
    async with opened(tmp_path, sent) as segue:
        place = await prepared(segue, sent)
        assert await place.run("hands", CALM)
        assert not await place.run("hands", MAIL)
        assert sent == [CALM]


async def test_what_an_operator_puts_in_counts_as_found_also_after_a_restart(tmp_path: Path) -> None:
    """Nobody looked through it, and the row of the run says so when it is read back."""
    sent: list[str] = []
    async with opened(tmp_path, sent) as segue:
        await prepared(segue, sent)
        calm, put_in, copied = [await segue.start("demo/ticket", input={"v": CALM}) for _ in range(3)]
        steering = segue.service.steering
        given = {"v": MAIL}
        await steering.retry(put_in.id, "/do/0/stay", input=given, reason="a test")
        fork = await steering.fork(copied.id, "/do/0/stay", input=given, reason="a test")
    async with opened(tmp_path, sent) as segue:
        place = Place(segue, sent)
        await segue.send({"specversion": "1.0", "id": "1", "source": "/x", "type": "go.on"})
        ended = {run: await place.ended(await segue.run(run)) for run in (calm.id, copied.id, put_in.id, fork.id)}
        assert ended == {calm.id: True, copied.id: True, put_in.id: False, fork.id: False}
    assert sent == [CALM, CALM]


async def test_runs_of_earlier_releases_do_not_say_what_reached_them(tmp_path: Path) -> None:
    """Then every caller counts, as it did."""
    sent: list[str] = []
    async with opened(tmp_path, sent) as segue:
        await prepared(segue, sent)
        host = segue.service.host
        assert host is not None
        digest = segue.service.workflows.find("demo", "send", "latest").digest
        run_id = await host.start(digest, {"v": "public"}, cause={"kind": "run", "run": "x", "task": "/do/0"})
        assert (await host.wait_closed(run_id)).status == "faulted"
    assert sent == []


async def test_lists_and_reports_of_runs_do_not_show_the_way(tmp_path: Path) -> None:
    """It names workflows and tasks for following data, and would fill the pages of whoever reads lists."""
    sent: list[str] = []
    async with opened(tmp_path, sent) as segue:
        place = await prepared(segue, sent)
        assert await place.run("plain", "public")
        (child,) = (await segue.service.runs.page(RunFilter(workflow="demo/send"))).items
        assert set(child.cause) == {"kind", "run", "task"}


async def test_a_document_is_followed_while_the_loop_goes_on_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who may publish must not stop everybody's work with a document that takes long to follow."""
    sent: list[str] = []
    has_gone_on, begun, walked = threading.Event(), asyncio.Event(), list[str]()
    loop = asyncio.get_running_loop()
    walk = Walk.run

    def slow(self: Walk) -> Walk:
        walked.append(self.plan.name)
        if self.plan.name == "slow":
            loop.call_soon_threadsafe(begun.set)
            assert has_gone_on.wait(20), "the loop stood still while a document was followed"
        return walk(self)

    async with opened(tmp_path, sent) as segue:
        place = await prepared(segue, sent)
        monkeypatch.setattr(Walk, "run", slow)
        publishing = asyncio.ensure_future(segue.publish(SLOW))
        await begun.wait()
        assert await place.run("plain", "public")
        assert not publishing.done()
        has_gone_on.set()
        await publishing
        # What was found out before it counted need not be found out again, by whoever asks or publishes next.
        assert not await place.run("slow", "private")
        await segue.publish(PLAIN.replace("name: plain", "name: other"))
        assert await place.run("other", "public")
        assert not await place.run("slow", "private")
    assert walked.count("slow") == 1
    assert "careful" not in walked
