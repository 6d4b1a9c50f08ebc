"""A flow that a rule forbids is refused when it is published, not when it is about to happen."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.integration.service_support import document

from segue import Segue
from segue.service import NewPolicy, ServiceError

FLOW = document(
    """
    - read: {call: touch, with: {about: '${ .customer.name }'}}
    - send: {call: touch, with: {about: '${ {name: .said, place: $workflow.input.city} }'}}
    """,
    more="""
    input:
      schema:
        document:
          properties:
            customer: {properties: {name: {x-data-class: personal}}}
            city: {type: string}
    """,
)
RULE = """
@id("no-personal") forbid (principal, action == Action::"act.perform", resource)
when { context.classes.contains("personal") && resource.task like "*/send" };
"""


async def touch(about: Any) -> dict[str, Any]:
    return {"said": about}


async def rule(segue: Segue, text: str | None) -> None:
    await segue.service.permissions.change("flows", NewPolicy(text=text, reason="a test"))


async def test_a_forbidden_flow_is_refused_with_its_argument_its_source_and_the_rule(tmp_path: Path) -> None:
    """C120. The author sees what to change, before any data was in danger."""
    async with Segue.open(tmp_path, functions={"touch": touch}) as segue:
        await rule(segue, RULE)
        with pytest.raises(ServiceError) as refused:
            await segue.publish(FLOW)
        assert refused.value.kind == "definition-refused"
        (found,) = refused.value.findings
        assert (found.rule, found.severity, found.pointer) == ("forbidden-flow", "error", "/do/1/send")
        for part in ("'no-personal'", "arguments/about/name", "input.customer.name (personal)"):
            assert part in found.message
        assert "place" not in found.message
        assert found.line == 10
        assert not (await segue.service.workflows.validate(FLOW)).valid

        await rule(segue, None)
        assert (await segue.publish(FLOW)).created


async def test_a_rule_that_warns_lets_it_be_published_and_says_so(tmp_path: Path) -> None:
    """A house that begins with labels wants to know first, and to refuse later."""
    async with Segue.open(tmp_path, functions={"touch": touch}) as segue:
        await rule(segue, RULE.replace('@id("no-personal")', '@id("no-personal") @warn("look at this")'))
        done = await segue.service.workflows.publish(FLOW)
        (warned,) = [f for f in done.warnings if f.rule == "forbidden-flow"]
        assert warned.severity == "warning"
        run = await segue.start("demo/flow", input={"customer": {"name": "Ada"}, "city": "Rome"})
        assert await run.result() == {"said": {"name": "Ada", "place": "Rome"}}


async def test_a_flow_that_somebody_must_approve_is_published_and_waits(tmp_path: Path) -> None:
    """A rule that asks a person is no refusal: the act waits for them, with what it is about to send."""
    async with Segue.open(tmp_path, functions={"touch": touch}) as segue:
        await rule(segue, RULE.replace('@id("no-personal")', '@id("no-personal") @approval("approver")'))
        assert (await segue.publish(FLOW)).created
        run = await segue.start("demo/flow", input={"customer": {"name": "Ada"}, "city": "Rome"})
        for _ in range(1000):
            if waiting := (await segue.service.tasks.page(kind="approval")).items:
                break
            await asyncio.sleep(0.02)
        assert [item.run for item in waiting] == [run.id]


async def test_a_permit_that_needs_clean_data_refuses_what_is_not(tmp_path: Path) -> None:
    """Deny by default works at publishing as it does at the door: no rule has to name the class."""
    allow = """
    @id("published")
    permit (principal is Process, action == Action::"act.perform", resource)
    when { !context.classes.containsAny(["personal"]) || resource.task like "*/read" };
    """
    async with Segue.open(tmp_path, functions={"touch": touch}) as segue:
        await segue.service.permissions.change("acts", NewPolicy(text=allow, reason="a test"))
        with pytest.raises(ServiceError) as refused:
            await segue.publish(FLOW)
        (found,) = refused.value.findings
        assert "no rule permits it" in found.message
        assert found.pointer == "/do/1/send"


async def test_what_a_rule_refuses_whatever_flows_is_left_to_the_door(tmp_path: Path) -> None:
    """A document may be published for the day on which an act is allowed again, and may catch the refusal."""
    always = RULE.replace('context.classes.contains("personal") &&', "")
    async with Segue.open(tmp_path, functions={"touch": touch}) as segue:
        await rule(segue, always + RULE.replace("no-personal", "other").replace("*/send", "*/nowhere"))
        await segue.publish(FLOW)
