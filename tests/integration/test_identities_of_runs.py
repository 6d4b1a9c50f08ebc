"""Everything that acts does so as itself, and rules can be asked about each of them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.integration.cli_support import Cli
from tests.integration.service_support import document

from segue import RunFaulted, Segue
from segue.governance import PRINCIPALS
from segue.service import NewDecision, NewPolicy, NewSwitch, PolicyQuestion, ServiceError, Settings, open_service
from segue.types import Identity, acting_as

CHILD = document(name="child")
PARENT = document("- c: {run: {workflow: {namespace: demo, name: child, version: latest}}}", name="parent")
RULES = """
@id("crm-reads-only")
forbid (principal, action == Action::"act.perform", resource)
when { resource.connection == "crm" && resource.operation != "list" };

@id("links-and-agents-start-nothing")
forbid (principal is Link, action == Action::"run.start", resource);

@id("scouts-may-start")
permit (principal is Agent, action == Action::"run.start", resource) when { resource.namespace == "demo" };
"""


async def test_a_run_starts_another_as_itself(tmp_path: Path) -> None:
    """What a workflow may not start, it does not start by way of a child."""
    rule = (
        '@id("no-child") forbid (principal == Process::"demo/parent", action == Action::"act.perform", resource)'
        ' when { resource.handler == "workflow" && resource.operation == "demo/child" };'
    )
    async with Segue.open(tmp_path) as segue:
        await segue.publish(CHILD.encode())
        await segue.publish(PARENT.encode())
        assert await (await segue.start("demo/parent")).result() == {"a": 1}
        await segue.service.permissions.change("no-child", NewPolicy(text=rule, reason="a test"))

        with pytest.raises(RunFaulted, match="no-child") as faulted:
            await (await segue.start("demo/parent")).result()

        assert faulted.value.failure.status == 403
        assert await (await segue.start("demo/child")).result() == {"a": 1}


async def test_a_start_can_wait_for_an_approval(tmp_path: Path) -> None:
    """Like any other act; and then it begins once."""
    rule = (
        '@id("ask-first") @approval("approver") forbid (principal, action == Action::"act.perform", resource)'
        ' when { resource.handler == "workflow" };'
    )
    ann = Identity(kind="person", id="ann", roles=frozenset({"approver"}))
    async with Segue.open(tmp_path) as segue:
        await segue.publish(CHILD.encode())
        await segue.publish(PARENT.encode())
        await segue.service.permissions.change("ask-first", NewPolicy(text=rule, reason="a test"))
        run = await segue.start("demo/parent")
        for _ in range(200):
            if waiting := (await segue.service.tasks.page()).items:
                break
            await asyncio.sleep(0.01)
        assert (await segue.service.runs.counts(run.id)).get("completed", 0) == 0
        with acting_as(ann):
            page = await segue.service.tasks.get(waiting[0].id)
            await segue.service.tasks.decide(page.id, NewDecision(outcome="approve", seen=page.seen, comment="yes"))
        assert await run.result() == {"a": 1}
        assert sum((await segue.service.runs.counts(run.id)).values()) == 1


async def test_a_stopped_workflow_is_not_started_as_a_child(tmp_path: Path) -> None:
    """A switch stops it whoever starts it."""
    async with Segue.open(tmp_path) as segue:
        await segue.publish(CHILD.encode())
        await segue.publish(PARENT.encode())
        await segue.service.switches.stop(NewSwitch(kind="workflow", name="demo/child", reason="wrong"))
        with pytest.raises(RunFaulted, match="stopped"):
            await (await segue.start("demo/parent")).result()


@pytest.mark.parametrize(
    ("who", "action", "attributes", "verdict", "rule"),
    [
        ("workflow:demo/flow", "act.perform", {"connection": "crm", "operation": "add"}, "deny", "crm-reads-only"),
        ("workflow:demo/flow", "act.perform", {"connection": "crm", "operation": "list"}, "allow", "published"),
        ("connection:crm", "run.start", {}, "deny", "links-and-agents-start-nothing"),
        ("agent:scout", "run.start", {}, "allow", "scouts-may-start"),
        ("agent:scout", "run.control", {}, "deny", ""),
        ("workflow:demo/flow", "workflow.publish", {}, "deny", ""),
    ],
)
async def test_the_guard_explains_itself_for_workflows_connections_and_agents(
    tmp_path: Path, who: str, action: str, attributes: dict[str, Any], verdict: str, rule: str
) -> None:
    """Each has an identity of its own, and none of them may do what no rule permits it."""
    async with open_service(tmp_path, Settings()) as service:
        await service.permissions.change("identities", NewPolicy(text=RULES, reason="a test"))
        told = await service.permissions.explain(
            PolicyQuestion(who=who, action=action, what="demo/flow", attributes=attributes)
        )
        assert told.verdict == verdict
        assert (rule in told.rules) == bool(rule)


async def test_a_question_about_what_there_is_not_is_refused(tmp_path: Path) -> None:
    """A misspelt attribute would be answered as if it were empty."""
    async with open_service(tmp_path, Settings()) as service:
        for wrong in ({"attributes": {"conection": "crm"}}, {"context": {"advers": True}}):
            with pytest.raises(ServiceError) as error:
                await service.permissions.explain(PolicyQuestion(who="workflow:a/b", action="act.perform", **wrong))
            assert error.value.kind == "policy-refused"


def test_every_kind_of_identity_is_a_principal_and_only_two_may_all() -> None:
    """The owner of the folder, and Segue itself by the clock: nothing that acts on the world is either of them."""
    assert set(PRINCIPALS.values()) == {"Person", "Account", "Agent", "Process", "Link", "System"}


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also with what the request tells besides."""
    segue = Cli(capsys)
    about = ("workflow:hr/hire", "act.perform", "hr/hire", "--data", tmp_path)
    said = ("--context", "affects=person", "--context", "adverse=true")
    denied = segue("policy", "explain", *about, *said)
    assert (denied.code, "no-automatic-rejection" in denied.out) == (1, True)
    assert segue("policy", "explain", *about, *said, "--context", "decided_by_person=true").code == 0


def test_what_a_rule_was_before_can_be_set_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A change of rules that goes wrong is taken back at once, to the letter, and not typed from memory."""
    segue = Cli(capsys)
    data, file = ("--data", tmp_path / "data"), tmp_path / "rules.cedar"
    first = '@id("no-starts")\nforbid (principal is Agent, action == Action::"run.start", resource);\n'
    for text in (first, first.replace("no-starts", "wrong")):
        file.write_text(text)
        assert segue("policy", "set", "mine", file, "--reason", "a test", *data).code == 0
    file.write_text(segue("policy", "show", "mine", "--at", "1", *data).out)
    assert segue("policy", "set", "mine", file, "--reason", "back", *data).code == 0
    assert segue("policy", "show", "mine", *data).out == first
    assert segue("policy", "show", "mine", "--at", "9", *data).code != 0
