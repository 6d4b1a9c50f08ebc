"""Masks in what is sent out: to a webhook that nobody of ours reads, and to people by mail."""

from __future__ import annotations

from pathlib import Path

from tests.integration.service_support import document
from tests.integration.test_lifecycle_webhook import Receiver, receiver, settings, until
from tests.integration.test_telling import OWNER, Mailbox, mailbox, opened

from segue import Segue
from segue.service import NewPolicy
from segue.types import acting_as

__all__ = ["mailbox", "receiver"]

EMAIL = "canary-ada@example.org"
LABELLED = "input: {schema: {document: {properties: {mail: {type: string, x-data-class: personal}}}}}"
FAILS = document(
    "- n: {raise: {error: {type: 'https://x.example/y', status: 400, detail: '${ .mail }'}}}", more=LABELLED
)
ASKS = document(
    """
    - ask:
        call: human-task
        with: {title: '${ "Call \\(.mail)?" }', assign: {role: approver, group: staff}}
    """,
    name="call",
    more=LABELLED,
)
RULE = (
    '@id("hook") permit (principal == Link::"lifecycle-webhook", action == Action::"data.see", resource)'
    ' when { context.class == "personal" };'
)


async def failed(segue: Segue, receiver: Receiver) -> str:
    """What the receiver is told of the end of a run that fails over its data."""
    run = await segue.start("demo/flow", input={"mail": EMAIL})
    await segue.service.runs.wait(run.id)
    await until(lambda: any("faulted" in one["type"] and one["subject"] == run.id for one in receiver.arrived))
    found = [one for one in receiver.arrived if one["subject"] == run.id and "error" in one["data"]]
    assert found
    return str(found)


async def test_a_webhook_gets_masks_until_a_rule_lets_it_see(receiver: Receiver, tmp_path: Path) -> None:
    """What a failure quotes would leave the house with every event."""
    async with Segue.open(tmp_path, settings=settings(receiver)) as segue:
        await segue.publish(FAILS)
        told = await failed(segue, receiver)
        assert EMAIL not in told
        assert "•••• (personal)" in told

        await segue.service.permissions.change("hook", NewPolicy(text=RULE, reason="a test"))
        assert EMAIL in await failed(segue, receiver)


async def test_a_mail_tells_whoever_gets_it_no_more_than_they_may_see(
    mailbox: tuple[Mailbox, int], tmp_path: Path
) -> None:
    """One task, two people: an approver is told whom to call, and a colleague of the group that there is a call."""
    box, port = mailbox
    async with opened(tmp_path, port) as service:
        with acting_as(OWNER):
            for name, said in (("ann", {"roles": ["approver"]}), ("gil", {"groups": ["staff"]})):
                profile = {"name": name, "email": f"{name}@example.org", "channels": ["email"], **said}
                await service.profiles.put(name, profile)
            await service.workflows.publish(ASKS)
            await service.runs.start("demo/call", input={"mail": EMAIL})
            await until(lambda: len(box.messages) == 2)
    by = {str(message["to"]): message.as_string() for message in box.messages}
    assert EMAIL in by["ann@example.org"]
    assert EMAIL not in by["gil@example.org"]
