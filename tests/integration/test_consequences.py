"""No automatic rejection of a person: checked when a document is published, and before every act."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from segue import RunFaulted, Segue
from segue.governance import shipped
from segue.service import NewDecision, NewPolicy, ServiceError
from segue.types import Identity, acting_as

ANN = Identity(kind="person", id="ann", roles=frozenset({"approver"}))
ASK = "{call: human-task, with: {title: x, assign: {role: approver}}}"
LATE = "{call: human-task, with: {title: x, assign: {role: approver}, deadline: {after: PT0.05S, outcome: reject}}}"
REJECT = "{call: turn-down, with: {}, metadata: {segue: {affects: person, adverse: true}}}"
WARNS = shipped()["use-cases"].replace(
    '@id("no-automatic-rejection")', '@id("no-automatic-rejection") @warn("we are getting there")'
)


def flow(tasks: str, *, use_case: str = "recruiting", version: str = "1.0.0", name: str = "hire") -> str:
    said = f"metadata: {{segue: {{use_case: {use_case}}}}}" if use_case else "title: x"
    return f"document: {{dsl: '1.0.3', namespace: hr, name: {name}, version: '{version}', {said}}}\ndo:\n{tasks}\n"


DECIDED = flow(f"- ask: {ASK}\n- no: {REJECT}")


def turning(done: list[int]) -> dict[str, Callable[[], Awaitable[int]]]:
    async def turn_down() -> int:
        done.append(1)
        return 1

    return {"turn-down": turn_down}


async def refused(act: Any) -> ServiceError:
    with pytest.raises(ServiceError) as error:
        await act
    return error.value


async def published_anyway(segue: Segue, text: str) -> None:
    """As in an earlier release, or while the rule was out of force."""
    permits = '@id("nothing") permit (principal, action == Action::"run.list", resource) when { false };'
    await segue.service.permissions.change("use-cases", NewPolicy(text=permits, reason="a test"))
    await segue.publish(text.encode())
    await segue.service.permissions.change("use-cases", NewPolicy(text=None, reason="a test"))


async def decide(segue: Segue, outcome: str = "reject", *, iteration: int = 0) -> None:
    for _ in range(200):
        found = (await segue.service.tasks.page()).items
        if len(found) > iteration:
            break
        await asyncio.sleep(0.01)
    task = found[-1 - iteration]
    with acting_as(ANN):
        page = await segue.service.tasks.get(task.id)
        await segue.service.tasks.decide(task.id, NewDecision(outcome=outcome, seen=page.seen))


async def test_a_document_with_a_way_around_the_person_is_not_published(tmp_path: Path) -> None:
    """Whoever wrote it is shown the way, and the rule that minds it."""
    async with Segue.open(tmp_path, functions=turning([])) as segue:
        switch = "- way: {switch: [{low: {when: '${ .low }', then: no}}]}"
        error = await refused(segue.publish(flow(f"{switch}\n- ask: {ASK}\n- no: {REJECT}").encode()))
        (found,) = [f for f in error.findings if f.rule == "undecided-consequence"]
        assert "/do/0/way → /do/2/no" in found.message
        assert "no-automatic-rejection" in found.message
        assert found.pointer == "/do/2/no"
        assert (await segue.publish(DECIDED.encode())).warnings == []


async def test_an_act_that_follows_from_a_persons_decision_is_done(tmp_path: Path) -> None:
    """And says which rules let it through."""
    done: list[int] = []
    async with Segue.open(tmp_path, functions=turning(done)) as segue:
        await segue.publish(DECIDED.encode())
        run = await segue.start("hr/hire")
        await asyncio.sleep(0.05)
        assert done == []
        await decide(segue)
        assert await run.result() == 1
    assert done == [1]


@pytest.mark.parametrize(
    "tasks",
    [
        f"- no: {REJECT}",
        f"- ask: {LATE}\n- no: {REJECT}",
        f"- ask: {ASK[:-1]}, if: '${{ false }}'}}\n- no: {REJECT}",
        f"- no: {REJECT}\n- ask: {ASK}",
    ],
    ids=["nobody", "silence", "skipped", "afterwards"],
)
async def test_the_guard_refuses_what_no_person_decided_however_the_document_came_here(
    tmp_path: Path, tasks: str
) -> None:
    """Dynamic flow, an older release, a rule that came later: none of them is a way around."""
    done: list[int] = []
    async with Segue.open(tmp_path, functions=turning(done)) as segue:
        await published_anyway(segue, flow(tasks))
        run = await segue.start("hr/hire")
        with pytest.raises(RunFaulted) as faulted:
            await run.result()
        assert faulted.value.failure.status == 403
        assert "no-automatic-rejection" in (faulted.value.failure.detail or "")
    assert done == []


async def test_a_task_that_an_operator_skipped_was_not_decided(tmp_path: Path) -> None:
    """Giving the task a value is no way to decide without the authority to."""
    done: list[int] = []
    async with Segue.open(tmp_path, functions=turning(done)) as segue:
        await segue.publish(DECIDED.encode())
        run = await segue.start("hr/hire")
        await segue.service.steering.skip(run.id, "/do/0/ask", {"outcome": "reject"}, reason="quick")
        with pytest.raises(RunFaulted):
            await run.result()
    assert done == []


async def test_a_decision_about_one_is_none_about_the_next(tmp_path: Path) -> None:
    """In a loop over people each of them is decided about."""
    done: list[int] = []
    tasks = (
        "- each: {for: {in: '${ [true, false] }'}, do: ["
        f"{{ask: {ASK[:-1]}, if: '${{ $item }}'}}}}, {{no: {REJECT}}}]}}"
    )
    async with Segue.open(tmp_path, functions=turning(done)) as segue:
        await published_anyway(segue, flow(tasks))
        run = await segue.start("hr/hire")
        await decide(segue)
        with pytest.raises(RunFaulted):
            await run.result()
    assert done == [1]


async def test_what_was_decided_survives_a_restart(tmp_path: Path) -> None:
    """A decision is a part of the run, and not of the process."""
    done: list[int] = []
    tasks = f"- ask: {ASK}\n- w: {{wait: PT0.5S}}\n- no: {REJECT}"
    async with Segue.open(tmp_path, functions=turning(done)) as segue:
        await segue.publish(flow(tasks).encode())
        run = await segue.start("hr/hire")
        await decide(segue)
    async with Segue.open(tmp_path, functions=turning(done)) as segue:
        assert await (await segue.run(run.id)).result() == 1
    assert done == [1]


@pytest.mark.parametrize("way", ["retry", "skip"])
async def test_other_data_wants_another_decision(tmp_path: Path, way: str) -> None:
    """Somebody decided about one person; an operator must not put in another."""
    done: list[int] = []
    other = {"who": "somebody else"}
    tasks = f"- ask: {ASK}\n- w: {{wait: PT1H}}\n- no: {REJECT}"
    async with Segue.open(tmp_path, functions=turning(done)) as segue:
        await segue.publish(flow(tasks).encode())
        run = await segue.start("hr/hire")
        await decide(segue)
        if way == "retry":
            await segue.service.steering.retry(run.id, "/do/2/no", input=other, reason="x")
        else:
            await segue.service.steering.skip(run.id, "/do/1/w", other, reason="x")
        with pytest.raises(RunFaulted):
            await run.result()
    assert done == []


async def test_a_rule_can_warn_instead(tmp_path: Path) -> None:
    """Then it is told at publishing and noted at the act, and nothing is refused."""
    done: list[int] = []
    async with Segue.open(tmp_path, functions=turning(done)) as segue:
        await segue.service.permissions.change("use-cases", NewPolicy(text=WARNS, reason="a start"))
        (warned,) = (await segue.publish(flow(f"- no: {REJECT}").encode())).warnings
        assert (warned.rule, warned.severity) == ("undecided-consequence", "warning")
        assert await (await segue.start("hr/hire")).result() == 1
        records = (await segue.service.audit.page(action="act.perform")).items
        assert "no-automatic-rejection" in records[0].reason
    assert done == [1]


async def test_a_rule_can_ask_a_person_about_the_act_instead(tmp_path: Path) -> None:
    """Where the document has nobody decide, the act itself waits for somebody."""
    asks = WARNS.replace('@warn("we are getting there")', '@approval("approver")')
    done: list[int] = []
    async with Segue.open(tmp_path, functions=turning(done)) as segue:
        await segue.service.permissions.change("use-cases", NewPolicy(text=asks, reason="a test"))
        assert (await segue.publish(flow(f"- no: {REJECT}").encode())).warnings == []
        run = await segue.start("hr/hire")
        await asyncio.sleep(0.05)
        assert done == []
        await decide(segue, "approve")
        assert await run.result() == 1
    assert done == [1]


async def test_a_rule_can_read_what_was_decided_and_by_whom(tmp_path: Path) -> None:
    """Turning somebody down although a person said yes is no decision of that person."""
    rule = (
        '@id("as-decided") forbid (principal, action == Action::"act.perform", resource)'
        ' when { context.adverse && context.decision != "reject" };'
    )
    done: list[int] = []
    async with Segue.open(tmp_path, functions=turning(done)) as segue:
        await segue.publish(DECIDED.encode())
        await segue.service.permissions.change("as-decided", NewPolicy(text=rule, reason="a test"))
        for outcome, ends in (("approve", False), ("reject", True)):
            run = await segue.start("hr/hire")
            await decide(segue, outcome)
            if ends:
                assert await run.result() == 1
            else:
                with pytest.raises(RunFaulted, match="as-decided"):
                    await run.result()
    assert done == [1]


async def test_what_it_is_for_must_be_said_and_may_be_prohibited(tmp_path: Path) -> None:
    """Before anybody is affected."""
    async with Segue.open(tmp_path, functions=turning([])) as segue:
        error = await refused(segue.publish(flow(f"- ask: {ASK}\n- no: {REJECT}", use_case="").encode()))
        assert "use-case-declared" in error.detail
        error = await refused(segue.publish(flow("- a: {set: {x: 1}}", use_case="social-scoring").encode()))
        assert "prohibited-use-case" in error.detail
