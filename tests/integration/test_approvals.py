"""Acts that rules and limits leave to people: waiting, approved, refused, through the service."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest
from tests.integration.service_support import document

from segue import Segue
from segue.governance import ActLimit
from segue.governance.clocks import ApprovalClock
from segue.service import HumanTaskDetail, NewDecision, NewPolicy, ServiceError, Settings
from segue.types import ApprovalWanted, AttemptSucceeded, Identity, acting_as

PAY = document(
    "- pay: {call: pay, with: {amount: '${ .amount }', to: '${ .customer.name }'}}",
    more="input: {schema: {document: {properties: {customer: {x-data-class: personal}}}}}",
)
PARENT = document(
    """
    - child:
        run: {workflow: {namespace: demo, name: flow, version: 1.0.0, input: {customer: {name: Ada}, amount: 7}}}
    """,
    name="parent",
)
RULE = (
    '@id("two-eyes") @approval("approver") forbid (principal, action == Action::"act.perform", resource)'
    ' when { resource.name == "flow" && context.classes.contains("personal") };'
)
INPUT = {"customer": {"name": "Ada"}, "amount": 70}


def person(name: str, *roles: str, **more: Any) -> Identity:
    return Identity(kind="person", id=name, roles=frozenset(roles), **more)


RITA, OLAF = person("rita", "operator", "approver"), person("olaf", "operator", "approver")
ANN, BOB = person("ann", "approver"), person("bob", "approver", limits={"amount": 100})
OWNER = person("owner", "owner")


class House:
    """A data folder in which payments need two eyes."""

    def __init__(self, segue: Segue, paid: list[Any]) -> None:
        self.segue = segue
        self.service = segue.service
        self.paid = paid
        self.seen = 0

    async def start(self, who: Identity = RITA, input: Any = INPUT, workflow: str = "demo/flow") -> str:
        with acting_as(who):
            return (await self.service.runs.start(workflow, input=input))[0].id

    async def waiting(self) -> int:
        """The number of the next act that waits."""
        for _ in range(1000):
            with acting_as(ANN):
                items = (await self.service.tasks.page(kind="approval")).items
            if items and items[0].id > self.seen:
                self.seen = items[0].id
                return self.seen
            await asyncio.sleep(0.01)
        raise AssertionError("nothing waits")

    async def page(self, number: int, who: Identity = ANN) -> HumanTaskDetail:
        with acting_as(who):
            return await self.service.tasks.get(number)

    async def decide(self, number: int, who: Identity = ANN, outcome: str = "approve", **more: Any) -> Any:
        seen = more.pop("seen", None) or (await self.page(number, who)).seen
        with acting_as(who):
            return await self.service.tasks.decide(number, NewDecision(outcome=outcome, seen=seen, **more))

    async def closed(self, run_id: str) -> Any:
        assert self.service.host is not None
        return await asyncio.wait_for(self.service.host.wait_closed(run_id), 20)

    async def history(self, run_id: str) -> list[Any]:
        assert self.service.host is not None
        return await self.service.host.history(run_id)


class _Opening:
    def __init__(self, folder: Path, paid: list[Any], settings: Settings, recovery: Any) -> None:
        self._opening = Segue.open(folder, settings=settings)
        self._paid = paid
        self._recovery = recovery

    async def __aenter__(self) -> House:
        segue = await self._opening.__aenter__()

        async def pay(amount: Any, to: str) -> str:
            self._paid.append((amount, to))
            return "paid"

        segue.function(name="pay", recovery=self._recovery)(pay)
        return House(segue, self._paid)

    async def __aexit__(self, *args: Any) -> None:
        await self._opening.__aexit__(*args)


def opened(folder: Path, paid: list[Any], settings: Settings | None = None, recovery: str = "ask") -> _Opening:
    return _Opening(folder, paid, settings or Settings(), recovery)


@pytest.fixture
async def house(tmp_path: Path) -> Any:
    async with opened(tmp_path / "data", []) as made:
        await made.segue.publish(PAY)
        await made.segue.publish(PARENT)
        await made.service.permissions.change("here", NewPolicy(text=RULE, reason="a test"))
        yield made


async def refused(kind: str, awaitable: Awaitable[Any]) -> str:
    with pytest.raises(ServiceError) as error:
        await awaitable
    assert error.value.kind == kind, error.value
    return error.value.detail


async def test_an_act_waits_and_is_done_once_when_somebody_approves(house: House) -> None:
    """The thin line from a rule to an approval and on."""
    run = await house.start()
    number = await house.waiting()
    assert house.paid == []

    done = await house.decide(number, comment="checked with Ada")

    assert (done.state, done.outcome, done.by) == ("decided", "approve", "ann")
    assert (await house.closed(run)).output == "paid"
    assert house.paid == [(70, "Ada")]


async def test_the_page_has_what_would_go_out_the_labels_the_rule_and_the_run(house: House) -> None:
    """Nobody can answer for what they were not shown."""
    await house.start()
    page = await house.page(await house.waiting())

    assert page.context["act"]["arguments"]["arguments"] == {"amount": 70, "to": "Ada"}
    assert page.context["labels"]["classes"] == ["personal"]
    assert "forbid" in page.context["rules"]["two-eyes"]
    assert page.audience == {"roles": ["approver"]}
    assert page.run_input == INPUT
    assert [choice["outcome"] for choice in page.choices] == ["approve", "refuse"]


async def test_what_is_refused_fails_with_the_rule_and_the_reason(house: House) -> None:
    """As every act that may not be done."""
    run = await house.start()
    number = await house.waiting()
    await refused("choice-refused", house.decide(number, outcome="refuse"))

    await house.decide(number, outcome="refuse", comment="she called it off")

    failure = (await house.closed(run)).failure
    assert failure.status == 403
    assert all(said in failure.detail for said in ("two-eyes", "ann", "called it off"))
    assert house.paid == []


async def test_who_started_it_never_decides_by_whatever_way(house: House) -> None:
    """Directly, through a run above it, through a fork, or as the holder of the folder."""
    run = await house.start(RITA)
    number = await house.waiting()
    assert "requested it" in await refused("not-yours", house.decide(number, RITA))
    assert (await house.page(number, RITA)).why_not

    await house.start(RITA, workflow="demo/parent")
    assert "requested it" in await refused("not-yours", house.decide(await house.waiting(), RITA))

    with acting_as(OLAF):
        await house.service.steering.fork(run, "/do/0/pay", reason="a try")
    forked = await house.waiting()
    for who in (OLAF, RITA):
        assert "requested it" in await refused("not-yours", house.decide(forked, who))

    await house.start(OWNER)
    assert "requested it" in await refused("not-yours", house.decide(await house.waiting(), OWNER))
    assert house.paid == []
    await house.decide(forked, ANN)


async def test_who_took_hold_of_it_never_decides(house: House) -> None:
    """Whoever restarts the task chooses what it sends."""
    run = await house.start(RITA)
    number = await house.waiting()
    with acting_as(OLAF):
        await house.service.steering.retry(run, "/do/0/pay", input={**INPUT, "amount": 7000}, reason="more")
    again = await house.waiting()
    assert again != number
    assert (await house.page(again)).context["act"]["arguments"]["arguments"]["amount"] == 7000
    await refused("human-task-closed", house.decide(number, ANN, seen="x"))
    assert "requested it" in await refused("not-yours", house.decide(again, OLAF))

    await house.decide(again, ANN)
    await house.closed(run)
    assert house.paid == [(7000, "Ada")]


async def test_nobody_without_the_role_decides_not_even_when_it_is_handed_to_them(house: House) -> None:
    """Handing on gives no rights."""
    await house.start()
    number = await house.waiting()
    await refused("permission-denied", house.decide(number, person("vera", "viewer"), seen="x"))
    with acting_as(OLAF):
        await house.service.tasks.reassign(number, {"person": "gus"}, reason="away")
    assert "needs one of the roles" in str((await house.page(number, person("gus", "viewer"))).why_not)
    assert "not offered" in await refused("not-yours", house.decide(number, ANN))


async def test_nobody_approves_what_is_hidden_from_them(house: House) -> None:
    """An approval of what one has not seen is none; and the page shows no more than they may see."""
    blind = '@id("blind") forbid (principal == Person::"ann", action == Action::"data.see", resource);'
    await house.service.permissions.change("blind", NewPolicy(text=blind, reason="a test"))
    await house.start()
    number = await house.waiting()

    page = await house.page(number, ANN)

    assert page.context["act"]["arguments"]["arguments"]["to"] == {"$masked": ["personal"]}
    assert "hidden from ann" in str(page.why_not)
    assert "hidden from ann" in await refused("not-yours", house.decide(number, ANN))
    assert (await house.page(number, BOB)).may_decide


async def test_the_trail_says_who_approved_what_under_which_rule(house: House) -> None:
    """From the outside effect back to the person who allowed it."""
    run = await house.start()
    await house.decide(await house.waiting())
    await house.closed(run)

    events = await house.history(run)
    (wanted,) = [e for e in events if isinstance(e, ApprovalWanted)]
    (done,) = [e for e in events if isinstance(e, AttemptSucceeded)]
    assert done.verdict == f"two-eyes@{wanted.policy} approved by ann"
    (effect,) = (await house.service.effects.page(run=run)).items
    trace = await house.service.timeline.trace(effect.key)
    assert any(step.by == "ann" and "decided" in step.what for step in trace.steps)
    assert ("person:ann", f"approve: two-eyes (policy {wanted.policy})") in [(s.by, s.what) for s in trace.allowed_by]
    await house.segue.service.store.commit.wait_durable()
    told = [(r.principal, r.action, r.verdict) for r in (await house.service.audit.page(limit=100)).items]
    assert ("workflow:demo/flow", "act.perform", "needs-approval") in told
    assert ("person:ann", "task.decided", "approve") in told


async def test_two_roles_decide_one_after_the_other_and_the_trail_tells_them_apart(house: House) -> None:
    """Two rules that want two people are not lifted by one of them."""
    legal = RULE.replace("two-eyes", "counsel").replace('"approver"', '"counsel"')
    await house.service.permissions.change("legal", NewPolicy(text=legal, reason="a test"))
    run = await house.start()
    number = await house.waiting()
    who = {"approver": ANN, "counsel": person("lea", "approver", "counsel")}
    for _ in range(2):
        for _ in range(200):
            page = await house.page(number)
            if page.state == "offered":
                break
            await asyncio.sleep(0.01)
        await house.decide(number, who.pop(page.audience["roles"][0]))
    await house.closed(run)

    assert house.paid == [(70, "Ada")]
    (effect,) = (await house.service.effects.page(run=run)).items
    trace = await house.service.timeline.trace(effect.key)
    approved = {
        step.by: step.what.partition(" (")[0] for step in trace.allowed_by if step.what.startswith("approve:")
    }
    assert approved == {"person:ann": "approve: two-eyes", "person:lea": "approve: counsel"}


async def test_an_approval_outlives_a_restart_and_a_rule_that_came_meanwhile_counts(tmp_path: Path) -> None:
    """What waits is on disk; what is forbidden by then is not done."""
    paid: list[Any] = []
    async with opened(tmp_path, paid) as house:
        await house.segue.publish(PAY)
        await house.service.permissions.change("here", NewPolicy(text=RULE, reason="a test"))
        first = await house.start()
        await house.waiting()
        second = await house.start(OLAF)
        await house.waiting()
    async with opened(tmp_path, paid) as house:
        with acting_as(ANN):
            numbers = sorted(item.id for item in (await house.service.tasks.page()).items)
        await house.decide(numbers[0])
        assert (await house.closed(first)).output == "paid"
        never = RULE.replace('@approval("approver")', "").replace("two-eyes", "never")
        await house.service.permissions.change("never", NewPolicy(text=never, reason="an incident"))
        await house.decide(numbers[1])
        assert "never" in (await house.closed(second)).failure.detail
    assert paid == [(70, "Ada")]


LIMITS = Settings(
    limits=(
        ActLimit(name="spend", amount="arguments.amount", sum_per_day=100, exceeded="approval:approver"),
        ActLimit(name="single", amount="arguments.amount", amount_max=1000),
    )
)


async def test_what_is_over_a_limit_waits_for_somebody_who_may_decide_so_much(tmp_path: Path) -> None:
    """Automation stops where the business said, and the rest goes to people; also after a restart."""
    paid: list[Any] = []
    async with opened(tmp_path, paid, LIMITS) as house:
        await house.segue.publish(PAY)
        runs = [await house.start(input={**INPUT, "amount": 60}) for _ in range(2)]
        number = await house.waiting()
        assert [amount for amount, _ in paid] == [60]
        assert "would come to 120" in ((await house.page(number)).description or "")
        await house.decide(number, BOB)
        for run in runs:
            await house.closed(run)
        large = await house.start(input={**INPUT, "amount": 500})
        number = await house.waiting()
        assert "up to 100" in await refused("not-yours", house.decide(number, BOB))
        await house.decide(number, ANN)
        await house.closed(large)
        outcome = await house.closed(await house.start(input={**INPUT, "amount": 2000}))
        assert "single" in outcome.failure.detail
    async with opened(tmp_path, paid, LIMITS) as house:
        spend, _ = await house.service.limits.all()
        assert (spend.day, spend.sum_day, spend.sum_per_day) == (1, 60, 100)
        await house.closed(await house.start(input={**INPUT, "amount": 40}))
        await house.start(input={**INPUT, "amount": 1})
        await house.waiting()
    assert [amount for amount, _ in paid] == [60, 60, 500, 40]


async def test_of_many_acts_at_once_only_so_many_get_the_rest(tmp_path: Path) -> None:
    """Twenty runs in one moment, and a limit for three."""
    paid: list[Any] = []
    settings = Settings(limits=(ActLimit(name="spend", amount="arguments.amount", sum_per_hour=30),))
    async with opened(tmp_path, paid, settings, "repeat") as house:
        await house.segue.publish(PAY)
        runs = await asyncio.gather(*(house.start(input={**INPUT, "amount": 10}) for _ in range(20)))
        outcomes = [await house.closed(run) for run in runs]
    assert sum(outcome.status == "completed" for outcome in outcomes) == len(paid) == 3


CLOCKED = RULE.replace("forbid", '@escalate("PT0.2S director") @deadline("PT0.8S") forbid')
DIRECTORS = """
@id("directors")
permit (principal in Role::"director", action in [Action::"read", Action::"approve", Action::"data.see"], resource);
"""
LONG = ApprovalClock(remind="PT0.1S 2", escalate="PT0.2S director", deadline="PT1H")


async def changed(house: House, number: int) -> list[str]:
    return [change.change for change in (await house.page(number, OWNER)).changes]


async def until_changed(house: House, number: int, what: str) -> None:
    for _ in range(500):
        if what in await changed(house, number):
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"never {what}: {await changed(house, number)}")


async def test_an_act_that_nobody_decides_about_is_refused_by_its_deadline(house: House) -> None:
    """A rule says how long, and silence never lets anything out."""
    await house.service.permissions.change("here", NewPolicy(text=CLOCKED, reason="a test"))
    run = await house.start()
    number = await house.waiting()
    page = await house.page(number)
    assert (page.deadline_outcome, page.deadline_at is not None) == ("refuse", True)

    record = await house.closed(run)

    assert record.failure is not None
    assert record.failure.type.endswith("/authorization")
    assert "nobody decided in time what 'two-eyes' leaves to people" in (record.failure.detail or "")
    assert house.paid == []
    assert await changed(house, number) == ["offered", "escalated", "expired"]
    with acting_as(OWNER):
        (noted,) = (await house.service.audit.page(action="task.expired")).items
        assert (noted.verdict, noted.principal) == ("refuse", "system:segue")
        assert (await house.service.audit.verify()).sound


async def test_a_role_of_the_ladder_approves_once_its_rung_is_reached(tmp_path: Path) -> None:
    """The setting counts where the rule says nothing; before its rung a director has no say."""
    only = person("dirk", "director")
    settings = Settings(approvals=LONG)
    async with opened(tmp_path / "data", [], settings) as house:
        await house.segue.publish(PAY)
        await house.service.permissions.change("here", NewPolicy(text=RULE + DIRECTORS, reason="a test"))
        run = await house.start()
        number = await house.waiting()
        assert "not offered" in str((await house.page(number, only)).why_not)
        await until_changed(house, number, "escalated")
        await until_changed(house, number, "reminded")
        page = await house.page(number, only)
        assert (page.may_decide, page.authority["roles"]) == (True, ["approver", "director"])
        await house.decide(number, only)
        assert (await house.closed(run)).output == "paid"
        assert len(house.paid) == 1


async def test_reminders_are_told_once_and_go_on_after_a_restart(tmp_path: Path) -> None:
    """Also what came due while nobody served the folder."""
    settings = Settings(approvals=ApprovalClock(remind="PT0.3S 3", deadline="PT1H"))
    async with opened(tmp_path / "data", [], settings) as house:
        await house.service.profiles.put("ann", {"roles": ["approver"]})
        await house.segue.publish(PAY)
        await house.service.permissions.change("here", NewPolicy(text=RULE, reason="a test"))
        await house.start()
        number = await house.waiting()
        await until_changed(house, number, "reminded")
    async with opened(tmp_path / "data", [], settings) as house:
        for _ in range(500):
            if (await changed(house, number)).count("reminded") == 3:
                break
            await asyncio.sleep(0.01)
        for _ in range(200):
            with acting_as(person("ann", "approver")):
                told = [notice.kind for notice in (await house.service.profiles.notices()).items]
            if len(told) >= 4:
                break
            await asyncio.sleep(0.02)
        assert sorted(told) == ["offered", "reminded", "reminded", "reminded"]
        assert await changed(house, number) == ["offered", "reminded", "reminded", "reminded"]


async def test_what_a_limit_leaves_to_people_has_its_own_deadline(tmp_path: Path) -> None:
    """And its own outcome, which a document can tell from a refusal."""
    limit = ActLimit(
        name="few", workflow="demo/flow", per_hour=1, exceeded="approval:approver", deadline="PT0.2S timeout"
    )
    async with opened(tmp_path / "data", [], Settings(limits=(limit,))) as house:
        await house.segue.publish(PAY)
        assert (await house.closed(await house.start())).output == "paid"
        record = await house.closed(await house.start())
        assert record.failure is not None
        assert record.failure.type.endswith("/timeout")
        assert len(house.paid) == 1


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ('@deadline("P5D approve")', "silence approves nothing"),
        ('@deadline("soon")', "no ISO 8601 duration"),
        ('@deadline("PT0S")', "no time at all"),
        ('@remind("PT1H 0")', "no number from 1"),
        ('@escalate("P1D")', "names no role"),
    ],
)
async def test_a_clock_that_does_not_fit_is_refused_with_the_rule(house: House, said: str, why: str) -> None:
    """Found when an act waits, it would be found too late; and nothing may approve by silence."""
    text = RULE.replace("forbid", f"{said} forbid")
    detail = await refused("policy-refused", house.service.permissions.change("x", NewPolicy(text=text, reason="t")))
    assert why in detail


async def test_a_clock_is_for_what_waits(house: House) -> None:
    """A promise that nobody keeps is refused: a start does not wait for approval, and a plain refusal for nothing."""
    clocked = '@id("p") %s @deadline("P1D") forbid (principal, action == Action::"%s", resource);'
    starting, plain = clocked % ('@approval("publisher")', "run.start"), clocked % ("", "act.perform")
    for text in (starting, plain):
        change = house.service.permissions.change("x", NewPolicy(text=text, reason="t"))
        assert "for what waits" in await refused("policy-refused", change)


@pytest.mark.parametrize("clock", [ApprovalClock(deadline="P5D approve"), ApprovalClock(escalate="P1D")])
def test_settings_that_would_approve_by_silence_are_refused(clock: ApprovalClock) -> None:
    """The same for what counts everywhere."""
    assert clock.complaint() is not None
