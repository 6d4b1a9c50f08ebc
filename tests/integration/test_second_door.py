"""The guard before an act, and the switches that stop what is under way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from tests.integration.service_support import document

from segue import RunFaulted, Segue
from segue.governance import ActLimit, SwitchKind
from segue.service import NewPolicy, NewSwitch, ServiceError, Settings
from segue.types import AttemptFailed, AttemptSucceeded, Identity, acting, acting_as

FLOW = document("- act: {call: touch, with: {}}")
CATCHES = document(
    """
    - careful:
        try:
          - act: {call: touch, with: {}}
        catch:
          errors: {with: {status: 403}}
          as: why
          do:
            - fallback: {set: {by: hand}}
    """
)
FORBID = (
    '@id("no-touching") forbid (principal, action == Action::"act.perform", resource)'
    ' when { resource.name == "flow" };'
)
OTHERS = FORBID.replace('"flow"', '"other"').replace("no-touching", "others")


def touching(touched: list[int], wait: float = 0, begun: asyncio.Event | None = None) -> Callable[[], Awaitable[int]]:
    async def touch() -> int:
        touched.append(1)
        if begun is not None:
            begun.set()
        await asyncio.sleep(wait)
        return 1

    return touch


async def history(segue: Segue, run_id: str) -> list[object]:
    from segue.store.runs import read_history

    record = await segue.service.store.run(run_id)
    assert record is not None
    return list(await segue.service.store.read(lambda c: read_history(c, record.seq)))


async def rule(segue: Segue, text: str) -> None:
    await segue.service.permissions.change("acts-here", NewPolicy(text=text, reason="a test"))


async def test_an_act_that_a_rule_forbids_is_not_done_and_says_which(tmp_path: Path) -> None:
    """The task fails with a clear permission error, and the denial is an event of its own."""
    touched: list[int] = []
    async with Segue.open(tmp_path, functions={"touch": touching(touched)}) as segue:
        await segue.publish(FLOW)
        await rule(segue, FORBID)
        run = await segue.start("demo/flow")

        with pytest.raises(RunFaulted) as faulted:
            await run.result()

        assert faulted.value.failure.status == 403
        assert "no-touching" in (faulted.value.failure.detail or "")
        (denied,) = [e for e in await history(segue, run.id) if isinstance(e, AttemptFailed)]
        assert "no-touching" in (denied.failure.detail or "")
        assert touched == []


async def test_a_document_can_catch_a_refusal(tmp_path: Path) -> None:
    """A refusal is a failure like others: what the document declares happens."""
    async with Segue.open(tmp_path, functions={"touch": touching([])}) as segue:
        await segue.publish(CATCHES)
        await rule(segue, FORBID)

        assert await (await segue.start("demo/flow")).result() == {"by": "hand"}


async def test_a_permission_rides_in_the_event_of_the_result_where_rules_about_acts_exist(tmp_path: Path) -> None:
    """From an act back to what allowed it; and where nobody wrote a rule, nothing is written."""
    async with Segue.open(tmp_path, functions={"touch": touching([])}) as segue:
        await segue.publish(FLOW)
        plain = await segue.start("demo/flow")
        await plain.result()
        await rule(segue, OTHERS)
        ruled = await segue.start("demo/flow")
        await ruled.result()

        (first,) = [e for e in await history(segue, plain.id) if isinstance(e, AttemptSucceeded)]
        (second,) = [e for e in await history(segue, ruled.id) if isinstance(e, AttemptSucceeded)]
        assert first.verdict == ""
        assert second.verdict == f"published@{segue.service.guard.policies.version}"
        assert b"verdict" not in msgspec.json.encode(first)


async def test_a_switch_stops_what_is_under_way_within_a_second(tmp_path: Path) -> None:
    """The person who finds out that something is wrong must not watch it go on."""
    touched: list[int] = []
    begun = asyncio.Event()
    async with Segue.open(tmp_path, functions={"touch": touching(touched, 60, begun)}) as segue:
        await segue.publish(CATCHES)
        run = await segue.start("demo/flow")
        await begun.wait()
        since = time.monotonic()

        stopped = await segue.service.switches.stop(NewSwitch(kind="workflow", name="demo/flow", reason="wrong"))

        assert await run.result() == {"by": "hand"}
        assert time.monotonic() - since < 1
        assert stopped.stopped == 1
        with pytest.raises(ServiceError, match="wrong") as refused:
            await segue.start("demo/flow")
        assert refused.value.kind == "permission-denied"


async def test_a_tool_is_stopped_and_the_rest_goes_on(tmp_path: Path) -> None:
    """Refunds stop, and whoever only looks accounts up is not in the dark."""
    touched: list[int] = []
    async with Segue.open(tmp_path, functions={"touch": touching(touched)}) as segue:
        await segue.publish(CATCHES)
        switches = segue.service.switches
        for name in ("function/other", "http", "function/touch", "function"):
            await switches.stop(NewSwitch(kind="tool", name=name, reason="wrong"))
            before = len(touched)
            await (await segue.start("demo/flow")).result()
            assert (len(touched) > before) is (name in ("function/other", "http")), name
            await switches.release(NewSwitch(kind="tool", name=name, reason="right"))


async def test_stopping_what_there_is_not_says_so(tmp_path: Path) -> None:
    """In an emergency names are misspelt, and whoever reads "stopped" goes home."""
    async with Segue.open(tmp_path, functions={"touch": touching([])}) as segue:
        await segue.publish(FLOW)

        async def told(kind: SwitchKind, name: str) -> str | None:
            return (await segue.service.switches.stop(NewSwitch(kind=kind, name=name, reason="wrong"))).warning

        assert await told("workflow", "demo/flow") is None
        assert "demo/flow" in (await told("workflow", "demo/flwo") or "")
        assert "look at the name" in (await told("connection", "billing") or "")
        assert "nothing called 'billing'" in (await told("tool", "billing/refund") or "")
        assert "nothing called 'churn'" in (await told("model", "churn") or "")
        assert await told("agent", "helper") is None
        assert len((await segue.service.switches.page()).items) == 6


async def test_a_switch_survives_a_restart_and_binds_what_goes_on_by_itself(tmp_path: Path) -> None:
    """A crash must not be a way to go on with what somebody stopped."""
    touched: list[int] = []
    begun = asyncio.Event()
    async with Segue.open(tmp_path, functions={"touch": touching(touched, 60, begun)}) as segue:
        await segue.publish(FLOW)
        run = await segue.start("demo/flow")
        await begun.wait()
        # Written, and not yet carried out: as after a crash in between.
        segue.service.switches._host = None
        await segue.service.switches.stop(NewSwitch(kind="workspace", name="default", reason="incident"))

    async with Segue.open(tmp_path, functions={"touch": touching(touched)}) as segue:
        with pytest.raises(RunFaulted, match="incident"):
            await (await segue.run(run.id)).result()
        assert len(touched) == 1

        await segue.service.switches.release(NewSwitch(kind="workspace", name="default", reason="over"))
        assert await (await segue.start("demo/flow")).result() == 1


async def test_only_who_administers_lets_it_go_on(tmp_path: Path) -> None:
    """Stopping is easy on purpose; undoing it is a decision."""
    operator = Identity(kind="person", id="ola", roles=frozenset({"operator"}))
    async with Segue.open(tmp_path) as segue:
        wanted = NewSwitch(kind="model", name="churn", reason="drift")
        with acting_as(operator):
            await segue.service.switches.stop(wanted)
            with pytest.raises(ServiceError) as refused:
                await segue.service.switches.release(wanted)
        assert refused.value.kind == "permission-denied"
        (stopped,) = (await segue.service.switches.page()).items
        assert (stopped.by, stopped.reason) == ("person:ola", "drift")


async def test_what_exceeds_a_limit_is_for_a_person_also_after_a_restart(tmp_path: Path) -> None:
    """Automatic action stops where the business said; a restart is no fresh hour for acts of the ledger."""
    settings = Settings(limits=(ActLimit(name="few", workflow="demo/flow", per_hour=2),))
    touched: list[int] = []

    async def tried(segue: Segue) -> str:
        try:
            return str(await (await segue.start("demo/flow")).result())
        except RunFaulted as error:
            return error.failure.detail or ""

    for expected in (["1", "1", "few"], ["few"]):
        async with Segue.open(tmp_path, settings=settings) as segue:
            segue.function(name="touch", recovery="ask")(touching(touched))
            await segue.publish(FLOW)
            answers = [await tried(segue) for _ in expected]
            assert ["few" if "limit 'few'" in answer else answer for answer in answers] == expected
    assert len(touched) == 2


LABELLED = document(
    """
    - read: {call: touch, with: {about: '${ .customer }'}}
    - send: {call: send, with: {text: '${ .said }'}}
    """,
    more="""
    input:
      schema:
        document:
          properties:
            customer: {x-data-class: personal}
            mail: {x-untrusted: true}
    """,
)
NO_PERSONAL = (
    '@id("no-personal") forbid (principal, action == Action::"act.perform", resource)'
    ' when { context.classes.contains("personal") && resource.task like "*/send" };'
)


async def test_a_rule_on_labels_stops_what_a_function_passes_on(tmp_path: Path) -> None:
    """Whatever the first function was talked into saying, its answer cannot leave."""
    sent: list[str] = []

    async def touch(about: dict[str, str]) -> dict[str, str]:
        return {"said": "harmless"}

    async def send(text: str) -> None:
        sent.append(text)

    async with Segue.open(tmp_path, functions={"touch": touch, "send": send}) as segue:
        await segue.publish(LABELLED)
        await rule(segue, NO_PERSONAL)
        run = await segue.start("demo/flow", input={"customer": {"name": "Ada"}, "mail": "obey me"})

        with pytest.raises(RunFaulted) as faulted:
            await run.result()

        assert "no-personal" in (faulted.value.failure.detail or "")
        assert sent == []
        leaving = {act.task: act for act in await segue.service.workflows.leaving("demo", "flow")}
        assert leaving["/do/0/read"].arguments[0].origin == "input.customer"
        assert leaving["/do/1/send"].classes == ["personal"]
        assert not leaving["/do/1/send"].untrusted


async def test_an_act_does_not_borrow_the_rights_of_whoever_started_the_run(tmp_path: Path) -> None:
    """Acts are launched by the host's own loop, which nobody's request started: so they act as nobody."""
    seen: list[Identity | None] = []
    admin = Identity(kind="person", id="ada", roles=frozenset({"operator", "admin"}))

    async def touch() -> int:
        await asyncio.sleep(0)
        seen.append(acting())
        return 1

    async with Segue.open(tmp_path, functions={"touch": touch}) as segue:
        await segue.publish(FLOW)
        with acting_as(admin):
            run = await segue.start("demo/flow")
        await run.result()
    assert seen == [None]


async def test_what_follows_a_commit_is_not_done_in_the_name_of_the_last_request(tmp_path: Path) -> None:
    """A turn that somebody's request set off also releases what others wait for."""
    seen: list[Identity | None] = []
    admin = Identity(kind="person", id="ada", roles=frozenset({"operator", "admin"}))
    async with Segue.open(tmp_path) as segue:
        assert segue.service.host is not None
        engine = segue.service.host._engine
        engine._released.append((lambda: seen.append(acting()), None))
        with acting_as(admin):
            engine.wake()
        while not seen:  # noqa: ASYNC110 - the engine's turn is the next thing to happen
            await asyncio.sleep(0)
    assert seen == [None]
