"""Values that operations change without a new version, over a real data folder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.api_support import api, problem
from tests.integration.cli_support import Cli

from segue import Segue
from segue.service import (
    AdjustmentDecision,
    NewAdjustment,
    NewPolicy,
    Service,
    ServiceError,
    Settings,
    open_service,
)
from segue.types import Identity, acting_as

OPS = Identity(kind="person", id="ola", roles=frozenset({"operator"}))
OTHER = Identity(kind="person", id="oto", roles=frozenset({"operator", "approver"}))
BUILDER = Identity(kind="person", id="pia", roles=frozenset({"publisher"}))
RULE = """
@id("low-needs-two") @approval("approver")
forbid (principal, action == Action::"workflow.adjust", resource)
when { context.name == "threshold" && context.new_number.lessThan(decimal("0.7")) };
"""
READS = "- a: {set: {threshold: '${ $adjustable.threshold }', name: '${ $workflow.definition.document.version }'}}"
WAITS = "- w: {wait: PT1H}\n  - a: {set: {threshold: '${ $adjustable.threshold }'}}"


def flow(
    *, version: str = "1.0.0", least: float = 0.5, name: str = "triage", tasks: str = READS, more: str = ""
) -> str:
    declared = f"threshold: {{type: number, minimum: {least}, maximum: 0.95, default: 0.8}}{more}"
    return (
        f"document:\n  dsl: '1.0.3'\n  namespace: demo\n  name: {name}\n  version: '{version}'\n"
        f"  metadata:\n    segue:\n      adjustable:\n        {declared}\ndo:\n  {tasks}\n"
    )


def to(value: Any, **more: Any) -> NewAdjustment:
    return NewAdjustment(values={"threshold": value}, reason="a test", **more)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with open_service(tmp_path, Settings()) as opened:
        await opened.workflows.publish(flow())
        yield opened


async def threshold(service: Service, name: str = "demo/triage", version: str = "latest") -> Any:
    """What a run that starts now decides by."""
    run, _ = await service.runs.start(name, version)
    _, output, _ = await service.runs.outcome(run.id)
    return output["threshold"]


async def refused(act: Any) -> ServiceError:
    with pytest.raises(ServiceError) as error:
        await act
    return error.value


async def test_a_run_gets_what_is_set_when_it_starts_and_keeps_it(tmp_path: Path) -> None:
    """A change concerns what starts later, and a run can always say what it decided by."""
    async with open_service(tmp_path, Settings()) as service:
        await service.workflows.publish(flow())
        assert await threshold(service) == 0.8
        await service.workflows.publish(flow(name="slow", tasks=WAITS))
        slow, _ = await service.runs.start("demo/slow")

        made = await service.adjusting.adjust("demo", "triage", to(0.6))
        await service.adjusting.adjust("demo", "slow", to(0.6))

        assert (made.by, made.reason, made.state) == ("person:owner", "a test", "made")
        assert [(c.name, c.old, c.new) for c in made.changes] == [("threshold", 0.8, 0.6)]
        assert await threshold(service) == 0.6
        assert (await service.runs.get(slow.id)).adjustable == {"threshold": 0.8}

    async with open_service(tmp_path, Settings()) as service:
        assert await threshold(service) == 0.6
        assert (await service.runs.get(slow.id)).adjustable == {"threshold": 0.8}
        await service.steering.retry(slow.id, "/do/1/a", input={}, reason="now")
        assert (await service.runs.outcome(slow.id))[1] == {"threshold": 0.8}
        (shown,) = (await service.adjusting.show("demo", "triage")).values
        assert (shown.value, shown.default, shown.adjusted, shown.by) == (0.6, 0.8, True, "person:owner")
        assert shown.read_by == ["/do/0/a/set/threshold"]


async def test_operations_change_values_and_not_ranges(service: Service) -> None:
    """IT holds the range, operations the value: neither role alone has both."""
    with acting_as(OPS):
        await service.adjusting.adjust("demo", "triage", to(0.6))
        assert (
            await refused(service.workflows.publish(flow(version="1.1.0", least=0.1)))
        ).kind == "permission-denied"
    with acting_as(BUILDER):
        assert (await refused(service.adjusting.adjust("demo", "triage", to(0.7)))).kind == "permission-denied"
    assert await threshold(service) == 0.6


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (to(0.4), "0.5"),
        (to("high"), "number"),
        (to(10**400), "0.95"),
        (to(object()), "not a JSON value"),
        (NewAdjustment(values={"treshold": 0.7}, reason="x"), "no adjustable value"),
        (to(0.7, reset=["threshold"]), "both set and reset"),
        (NewAdjustment(reset=["threshold"], reason="x"), "Nothing would change"),
        (NewAdjustment(reason="x"), "Nothing would change"),
    ],
)
async def test_what_the_document_does_not_allow_is_refused_whole(
    service: Service, wanted: NewAdjustment, said: str
) -> None:
    """The range is the promise; the owner of the folder is held to it too."""
    error = await refused(service.adjusting.adjust("demo", "triage", wanted))
    assert error.kind == "adjustment-refused"
    assert said in error.detail
    assert await threshold(service) == 0.8
    assert (await service.adjusting.page()).items == []


async def test_whoever_may_not_is_told_nothing(service: Service) -> None:
    """Neither what there is nor what it may be."""
    nobody = Identity(kind="person", id="nobody")
    with acting_as(nobody):
        for name, wanted in (("triage", to(0.4)), ("none", to(0.7)), ("triage", NewAdjustment(reason="x"))):
            error = await refused(service.adjusting.adjust("demo", name, wanted))
            assert error.kind == "permission-denied"
            assert "0.5" not in error.detail
        assert (await refused(service.adjusting.decide(1, AdjustmentDecision(True, "x")))).kind == "permission-denied"


async def test_a_value_may_ask_for_a_role_of_its_own(service: Service) -> None:
    """Credit limits are not for everybody who keeps runs going."""
    declared = "\n        limit: {type: integer, maximum: 9, default: 1, role: approver}"
    tasks = "- a: {set: {threshold: '${ $adjustable.threshold + $adjustable.limit }'}}"
    await service.workflows.publish(flow(version="1.1.0", more=declared, tasks=tasks))
    wanted = NewAdjustment(values={"limit": 5, "threshold": 0.9}, reason="more")
    with acting_as(OPS):
        error = await refused(service.adjusting.adjust("demo", "triage", wanted))
        assert "approver" in error.detail
    with acting_as(OTHER):
        await service.adjusting.adjust("demo", "triage", wanted)
    assert await threshold(service) == 5.9


async def test_a_rule_can_ask_for_a_second_pair_of_eyes(service: Service) -> None:
    """The rule sees old and new; whoever wanted it does not approve it, and the first decision counts."""
    await service.permissions.change("low", NewPolicy(text=RULE, reason="a test"))
    yes = AdjustmentDecision(approve=True, reason="seen")
    with acting_as(OTHER):
        await service.adjusting.adjust("demo", "triage", to(0.75))
        waits = await refused(service.adjusting.adjust("demo", "triage", to(0.6)))
        assert waits.kind == "approval-needed"
        (waiting,) = (await service.adjusting.page(state="waiting")).items
        assert (waiting.approver, waiting.by) == ("approver", "person:oto")
        assert "adjustment-four-eyes" in (await refused(service.adjusting.decide(waiting.number, yes))).detail
    with acting_as(OPS):
        assert "lacks the role" in (await refused(service.adjusting.decide(waiting.number, yes))).detail
    assert await threshold(service) == 0.75

    done = await service.adjusting.decide(waiting.number, yes)

    assert (done.state, done.decided_by, done.decided_reason) == ("approved", "person:owner", "seen")
    assert await threshold(service) == 0.6
    assert (await refused(service.adjusting.decide(waiting.number, yes))).kind == "adjustment-decided"


async def test_an_approval_is_of_what_was_seen(service: Service) -> None:
    """Somebody approves 0.75 → 0.6; meanwhile it is 0.9, and the step is another one."""
    await service.permissions.change("low", NewPolicy(text=RULE, reason="a test"))
    with acting_as(OPS):
        await refused(service.adjusting.adjust("demo", "triage", to(0.6)))
        await service.adjusting.adjust("demo", "triage", to(0.9))
    (waiting,) = (await service.adjusting.page(state="waiting")).items
    error = await refused(service.adjusting.decide(waiting.number, AdjustmentDecision(True, "yes")))
    assert "changed meanwhile" in error.detail
    refusal = await service.adjusting.decide(waiting.number, AdjustmentDecision(False, "no"))
    assert refusal.state == "refused"
    assert await threshold(service) == 0.9


async def test_values_go_on_with_new_versions_that_allow_them(service: Service) -> None:
    """And one that does not says so, lets go of them for good, and leaves other versions to their defaults."""
    await service.adjusting.adjust("demo", "triage", to(0.6))
    assert (await service.workflows.publish(flow(version="1.1.0"))).warnings == []
    assert await threshold(service) == 0.6

    narrow = flow(version="2.0.0", least=0.7)
    (told,) = (await service.workflows.validate(narrow)).findings
    assert (told.rule, told.severity) == ("adjusted-value-refused", "warning")
    (warned,) = (await service.workflows.publish(narrow)).warnings
    assert warned.pointer == "/document/metadata/segue/adjustable/threshold"
    assert await threshold(service) == 0.8

    await service.workflows.publish(flow(version="3.0.0"))
    assert await threshold(service) == 0.8, "what was let go of came back"
    newest, first = (await service.adjusting.page(workflow="demo/triage")).items
    assert (newest.changes[0].reset, "2.0.0" in newest.reason) == (True, True)
    assert first.changes[0].new == 0.6


async def test_an_older_version_never_gets_what_it_does_not_allow(service: Service) -> None:
    """Whoever starts version 1 gets a value that version 1 was tested with."""
    await service.workflows.publish(flow(version="2.0.0", least=0.1))
    await service.adjusting.adjust("demo", "triage", to(0.2))
    assert await threshold(service) == 0.2
    assert await threshold(service, version="1.0.0") == 0.8


async def test_a_child_takes_the_values_of_its_own_workflow(service: Service) -> None:
    """Its parent's threshold of the same name is another one."""
    tasks = "- a: {run: {workflow: {namespace: demo, name: triage, version: latest}}}"
    parent = flow(name="parent", tasks=tasks + "\n  - b: {set: '${ . + {mine: $adjustable.threshold} }'}")
    await service.workflows.publish(parent)
    await service.adjusting.adjust("demo", "triage", to(0.6))
    await service.adjusting.adjust("demo", "parent", to(0.9))
    run, _ = await service.runs.start("demo/parent")
    _, output, _ = await service.runs.outcome(run.id)
    assert (output["threshold"], output["mine"]) == (0.6, 0.9)


async def test_migration_and_fork_keep_what_the_version_allows(service: Service) -> None:
    """A run goes on as it began, as far as it can; the rest is what counts now."""
    for version, least in (("1.0.0", 0.5), ("2.0.0", 0.7), ("3.0.0", 0.5)):
        await service.workflows.publish(flow(name="slow", version=version, least=least, tasks=WAITS))
    await service.adjusting.adjust("demo", "slow", to(0.6))
    run, _ = await service.runs.start("demo/slow", "1.0.0")
    await service.adjusting.adjust("demo", "slow", to(0.9))

    async def has(run_id: str) -> Any:
        return (await service.runs.get(run_id)).adjustable["threshold"]

    assert await has(run.id) == 0.6
    forked = await service.steering.fork(run.id, "/do/0/w")
    other = await service.steering.fork(run.id, "/do/0/w", version="2.0.0")
    assert (await has(forked.id), await has(other.id)) == (0.6, 0.9)
    await service.migrating.run(run.id, "3.0.0", reason="x", dry_run=False)
    assert await has(run.id) == 0.6
    await service.migrating.run(run.id, "2.0.0", reason="x", dry_run=False)
    assert await has(run.id) == 0.9


async def test_two_changes_at_once_are_one_after_the_other(service: Service) -> None:
    """Each record says what it changed from."""
    values = [0.5 + n / 100 for n in range(1, 11)]
    await asyncio.gather(*(service.adjusting.adjust("demo", "triage", to(value)) for value in values))
    items = list(reversed((await service.adjusting.page()).items))
    steps = [(item.changes[0].old, item.changes[0].new) for item in items]
    assert [old for old, _ in steps] == [0.8, *(new for _, new in steps[:-1])]
    assert await threshold(service) == steps[-1][1]


async def test_a_change_stands_in_the_audit_chain_and_the_feed_of_changes(service: Service) -> None:
    """Who let it reject more people last week is asked there."""
    with acting_as(OPS):
        await service.adjusting.adjust("demo", "triage", to(0.6))
    change = (await service.timeline.changes()).items[0]
    assert (change.action, change.resource, change.principal) == (
        "workflow.adjust",
        "workflow:demo/triage",
        "person:ola",
    )
    assert change.data == {"changes": [{"name": "threshold", "old": 0.8, "new": 0.6}]}
    assert (await service.audit.verify()).sound


async def test_over_http(tmp_path: Path) -> None:
    """The same, as a page of operations would."""
    yaml = {"content-type": "application/yaml"}
    async with api(tmp_path) as client:
        assert (await client.post("/api/v1/workflows", content=flow(), headers=yaml)).status_code == 201
        place = "/api/v1/workflows/demo/triage"
        shown = (await client.get(f"{place}/adjustable")).json()
        assert shown["values"][0]["schema"] == {"type": "number", "minimum": 0.5, "maximum": 0.95}
        body = {"values": {"threshold": 0.6}, "reason": "more calls"}
        done = await client.post(f"{place}/adjust", json=body)
        assert done.json()["changes"] == [{"name": "threshold", "old": 0.8, "new": 0.6, "reset": False}]
        problem(await client.post(f"{place}/adjust", json=body), 422, "adjustment-refused")
        problem(await client.post(f"{place}/adjust", json={"values": {}}), 400, "request-malformed")
        problem(await client.get("/api/v1/workflows/demo/none/adjustable"), 404, "workflow-unknown")
        listed = (await client.get("/api/v1/adjustments", params={"workflow": "demo/triage"})).json()
        assert [item["number"] for item in listed["items"]] == [1]
        decided = {"approve": True, "reason": "x"}
        problem(await client.post("/api/v1/adjustments/1/decide", json=decided), 403, "permission-denied")
        problem(await client.post("/api/v1/adjustments/9/decide", json=decided), 404, "adjustment-unknown")


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An operator's three commands."""
    segue = Cli(capsys)
    (tmp_path / "flow.yaml").write_text(flow())
    data = ("--data", tmp_path / "data")
    assert segue("publish", tmp_path / "flow.yaml", *data).code == 0

    done = segue("workflows", "adjust", "demo/triage", "threshold=0.6", "--reason", "more calls", *data)

    assert (done.code, done.out) == (0, "threshold: 0.8 → 0.6\n")
    shown = segue("workflows", "adjustable", "demo/triage", *data).out
    assert "person:owner" in shown
    assert '"minimum":0.5' in shown
    assert segue("workflows", "adjust", "demo/triage", "threshold=2", "--reason", "x", *data).code == 2
    assert segue("workflows", "adjust", "demo/triage", "threshold", "--reason", "x", *data).code == 2
    back = segue("workflows", "adjust", "demo/triage", "--reset", "threshold", "--reason", "calmer", *data)
    assert back.out == "threshold: 0.6 → its default\n"
    assert "calmer" in segue("adjustments", "list", *data).out


async def test_from_a_program(tmp_path: Path) -> None:
    """The embedding program's own call."""
    async with Segue.open(tmp_path) as segue:
        await segue.publish(flow())
        await segue.adjust("demo/triage", threshold=0.6, reason="more calls")
        assert (await (await segue.start("demo/triage")).result())["threshold"] == 0.6
        (value,) = (await segue.adjustable("demo/triage")).values
        assert value.value == 0.6
        await segue.adjust("demo/triage", reset=["threshold"], reason="calmer")
        assert (await (await segue.start("demo/triage")).result())["threshold"] == 0.8
