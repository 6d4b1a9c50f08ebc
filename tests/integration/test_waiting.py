"""One list of everything that waits for somebody: theirs, decidable, in order, and nobody else's."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.api_support import client_of, problem
from tests.integration.cli_support import Cli
from tests.integration.service_support import document
from tests.integration.test_owning import CRM

from segue import Segue
from segue.service import (
    AdjustmentDecision,
    ConsentDecision,
    NewAdjustment,
    NewDecision,
    NewOwner,
    NewPolicy,
    PublicationDecision,
    Service,
    ServiceError,
    Settings,
    WaitingView,
)
from segue.types import Identity, acting_as, fail

RULES = """
@id("release") @approval("publisher")
forbid (principal, action == Action::"workflow.publish", resource) when { resource.name == "released" };
@id("low") @approval("approver")
forbid (principal, action == Action::"workflow.adjust", resource);
@id("two-eyes") @approval("approver")
forbid (principal, action == Action::"act.perform", resource) when { resource.name == "pay" };
"""
TRIAGE = """
document:
  dsl: '1.0.3'
  namespace: demo
  name: triage
  version: '1.0.0'
  metadata: {segue: {adjustable: {threshold: {type: number, default: 0.8}}}}
do:
  - a: {set: {threshold: '${ $adjustable.threshold }'}}
"""
BREAKS = """
document:
  dsl: '1.0.3'
  namespace: demo
  name: breaks
  version: '1.0.0'
  metadata: {segue: {failures: hold, owner: ops, escalate_after: PT8H}}
do:
  - charge: {call: charge}
"""
PAY = document("- pay: {call: pay, with: {amount: 7}}", name="pay")
USES = document("- list: {call: connector, with: {use: crm, operation: list}}", name="uses")
RELEASED = document(name="released")


def asks(name: str = "asks", **more: Any) -> str:
    said = {"title": "Is ${ .who } fine?", "assign": {"role": "approver"}, **more}
    return document(f"- ask: {{call: human-task, with: {json.dumps(said)}}}", name=name)


def person(name: str, *roles: str, **more: Any) -> Identity:
    return Identity(kind="person", id=name, roles=frozenset(roles), **more)


OWNER = person("owner", "owner")
RITA = person("rita", "operator", "publisher")
ANN, BEN = person("ann", "approver"), person("ben", "approver")
PIA = person("pia", "publisher")
SAM = person("sam", "viewer", groups=frozenset({"sales"}))
OLA = person("ola", "operator", groups=frozenset({"ops"}))
VERA = person("vera", "viewer")
EVERYBODY = (RITA, ANN, BEN, PIA, SAM, OLA, VERA)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with Segue.open(tmp_path / "data", settings=Settings()) as segue:

        async def pay(amount: int) -> str:
            return "paid"

        async def charge() -> str:
            raise fail("validation", "no")

        segue.function(name="pay", recovery="ask")(pay)
        segue.function(name="charge")(charge)
        made = segue.service
        await made.connections.add("crm", CRM)
        await made.owning.own("crm", NewOwner(owner="group:sales", reason="a test"))
        await made.permissions.change("here", NewPolicy(text=RULES, reason="a test"))
        for text in (PAY, TRIAGE, BREAKS, asks()):
            await made.workflows.publish(text)
        yield made


async def everything(service: Service) -> None:
    """One thing of each kind, wanted by rita."""
    with acting_as(RITA):
        for text in (RELEASED, USES):
            await refused("approval-needed", service.workflows.publish(text))
        wish = NewAdjustment(values={"threshold": 0.5}, reason="a test")
        await refused("approval-needed", service.adjusting.adjust("demo", "triage", wish))
        for name in ("pay", "breaks", "asks"):
            await service.runs.start(f"demo/{name}")
    await until(service, 6)


async def until(service: Service, number: int) -> None:
    for _ in range(500):
        if len(await mine(service, OWNER)) >= number:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"there are not {number}: {await mine(service, OWNER)}")


async def mine(service: Service, who: Identity, **asked: Any) -> list[WaitingView]:
    with acting_as(who):
        return (await service.waiting.page(**asked)).items


async def kinds(service: Service, who: Identity) -> set[str]:
    return {one.kind for one in await mine(service, who)}


async def refused(kind: str, awaitable: Any) -> ServiceError:
    with pytest.raises(ServiceError) as error:
        await awaitable
    assert error.value.kind == kind, error.value
    return error.value


async def test_everybody_finds_what_they_can_decide_and_nothing_else(service: Service) -> None:
    """Six kinds of waiting, seven people: a name on the list is a promise that the decision would count."""
    await everything(service)
    assert {who.id: await kinds(service, who) for who in EVERYBODY} == {
        "rita": set(),
        "ann": {"task", "approval", "adjustment"},
        "ben": {"task", "approval", "adjustment"},
        "pia": {"publication"},
        "sam": {"consent"},
        "ola": {"exception"},
        "vera": set(),
    }
    assert len(await kinds(service, OWNER)) == 6


async def test_each_thing_says_what_it_is_and_what_one_can_do(service: Service) -> None:
    """Whoever reads the list must know where to begin without opening everything."""
    await everything(service)
    found = {one.kind: one for who in (ANN, PIA, SAM, OLA) for one in await mine(service, who)}
    task, act = found["task"], found["approval"]
    assert (task.title, task.because, task.can) == ("Is ${ .who } fine?", "role:approver", ["approve", "reject"])
    assert (act.title, act.by, act.can) == ("Approve act: pay", "rita", ["approve", "refuse"])
    publication, change = found["publication"], found["adjustment"]
    assert (publication.title, publication.by) == ("Publish demo/released:1.0.0", "person:rita")
    assert (publication.because, publication.can) == ("role:publisher", ["approve", "refuse"])
    assert (change.title, change.workflow) == ("Change threshold of demo/triage", "demo/triage")
    consent, broken = found["consent"], found["exception"]
    assert (consent.title, consent.because) == ("Let demo/uses read crm", "group:sales")
    assert consent.can == ["grant", "refuse"]
    assert (broken.because, broken.can, broken.overdue) == ("group:ops", ["retry", "skip", "give-up"], False)
    assert broken.due is not None
    assert broken.title == "held at /do/0/charge: no"


async def test_what_is_decided_waits_no_longer(service: Service) -> None:
    """The lists are read where they stand, so no second one can lag behind."""
    await everything(service)
    with acting_as(SAM):
        (consent,) = await mine(service, SAM)
        await service.owning.decide(consent.number, ConsentDecision(grant=True, reason="fine"))
    with acting_as(PIA):
        (publication,) = await mine(service, PIA)
        await service.publications.decide(publication.number, PublicationDecision(approve=True, reason="read"))
    for one in await mine(service, ANN):
        with acting_as(ANN):
            if one.kind == "adjustment":
                await service.adjusting.decide(one.number, AdjustmentDecision(approve=True, reason="fine"))
            else:
                seen = (await service.tasks.get(one.number)).seen
                await service.tasks.decide(one.number, NewDecision(outcome="approve", seen=seen))
    with acting_as(OLA):
        (broken,) = await mine(service, OLA)
        await service.exceptions.decide(broken.number, "skip", reason="by hand", output=1)
    for who in (*EVERYBODY, OWNER):
        assert await mine(service, who) == []


async def test_what_somebody_has_in_hand_waits_for_nobody_else(service: Service) -> None:
    """Two people must not work on the same thing; whoever was handed it finds it."""
    with acting_as(RITA):
        await service.runs.start("demo/asks")
    (task,) = await mine(service, ANN)
    with acting_as(ANN):
        await service.tasks.claim(task.number)
    assert [one.because for one in await mine(service, ANN)] == ["claimed"]
    assert await mine(service, BEN) == []
    assert await mine(service, OWNER) == []
    with acting_as(ANN):
        await service.tasks.delegate(task.number, "ben")
    assert await mine(service, ANN) == []
    assert [one.number for one in await mine(service, BEN)] == [task.number]


async def test_one_voice_and_no_more_than_the_limit_allows(service: Service) -> None:
    """What the decision would refuse is not on the list, although the role would do."""
    two = asks("two", approvals=2)
    dear = asks("dear", authority={"amount": 500, "limits": {"approver": 100, "director": 1000}})
    for name, text in (("two", two), ("dear", dear)):
        await service.workflows.publish(text)
        with acting_as(RITA):
            await service.runs.start(f"demo/{name}")
    (first,) = await mine(service, ANN)
    assert first.workflow == "demo/two:1.0.0"
    with acting_as(ANN):
        seen = (await service.tasks.get(first.number)).seen
        await service.tasks.decide(first.number, NewDecision(outcome="approve", seen=seen))
    assert await mine(service, ANN) == []
    assert [one.number for one in await mine(service, BEN)] == [first.number]
    director = person("dora", "approver", "director")
    assert {one.workflow for one in await mine(service, director)} == {"demo/two:1.0.0", "demo/dear:1.0.0"}


async def test_the_list_is_in_the_order_of_urgency_on_every_page(service: Service) -> None:
    """Priority, then what is due first, then what is oldest; pages of any length make the same list."""
    shapes = [
        ("p0", {"priority": "low", "due": "PT1H"}),
        ("p1", {"priority": "urgent"}),
        ("p2", {"due": "PT2H"}),
        ("p3", {"due": "PT1H"}),
        ("p4", {}),
        ("p5", {"priority": "high"}),
    ]
    for name, more in shapes:
        await service.workflows.publish(asks(name, **more))
        with acting_as(RITA):
            await service.runs.start(f"demo/{name}")
    await everything(service)
    await until(service, 12)
    whole = [(one.kind, one.number, one.workflow) for one in await mine(service, OWNER)]
    tasks = [workflow.partition(":")[0] for kind, _, workflow in whole if kind == "task"]
    assert tasks == [f"demo/{name}" for name in ("p1", "p5", "p3", "p2", "p4", "asks", "p0")]
    for limit in (1, 2, 5):
        found, after = [], None
        for _ in itertools.count():
            with acting_as(OWNER):
                page = await service.waiting.page(limit=limit, after=after)
            assert len(page.items) <= limit
            found += [(one.kind, one.number, one.workflow) for one in page.items]
            after = page.next
            if after is None:
                break
        assert found == whole


async def test_one_kind_and_what_is_late(service: Service) -> None:
    """To look for one thing in a long list."""
    await service.workflows.publish(asks("late", due="PT0.01S"))
    with acting_as(RITA):
        await service.runs.start("demo/late")
    await everything(service)
    for kind in ("task", "approval", "publication", "adjustment", "consent", "exception"):
        assert {one.kind for one in await mine(service, OWNER, kind=kind)} == {kind}
    assert [one.workflow for one in await mine(service, OWNER, overdue=True)] == ["demo/late:1.0.0"]


async def test_a_rule_that_takes_the_decision_takes_it_off_the_list(service: Service) -> None:
    """The guard is asked about each thing, not the role's name."""
    await everything(service)
    rule = '@id("no") forbid (principal, action in [Action::"task.decide", Action::"consent.decide"], resource);'
    await service.permissions.change("no", NewPolicy(text=rule, reason="a test"))
    assert await kinds(service, ANN) == {"adjustment"}
    assert await mine(service, SAM) == []


async def test_a_publication_that_lacks_a_consent_can_only_be_refused(service: Service) -> None:
    """What one can do is what would succeed."""
    rule = '@id("all") @approval("publisher") forbid (principal, action == Action::"workflow.publish", resource);'
    await service.permissions.change("all", NewPolicy(text=rule, reason="a test"))
    with acting_as(RITA):
        await refused("approval-needed", service.workflows.publish(USES))
    assert [one.can for one in await mine(service, PIA)] == [["refuse"]]
    with acting_as(SAM):
        await service.owning.decide(1, ConsentDecision(grant=True, reason="fine"))
    assert [one.can for one in await mine(service, PIA)] == [["approve", "refuse"]]


async def test_a_deputy_finds_what_waits_for_whoever_is_away(service: Service) -> None:
    """Also exceptions that are somebody's by name."""
    await service.workflows.publish(asks("named", assign={"person": "ann"}))
    with acting_as(RITA):
        await service.runs.start("demo/named")
    absent = {"since": "2020-01-01T00:00:00Z", "deputy": "ben"}
    assert await mine(service, BEN) == []
    await service.profiles.put("ann", {"roles": ["approver"], "absent": absent})
    assert [one.because for one in await mine(service, BEN)] == ["deputy-of:ann"]


async def test_over_http_and_on_the_command_line(service: Service, tmp_path: Path) -> None:
    """One route; a page that is no page is refused."""
    await everything(service)
    async with client_of(service) as client:
        page = (await client.get("/api/v1/waiting", params={"limit": 4})).json()
        rest = (await client.get("/api/v1/waiting", params={"limit": 4, "after": page["next"]})).json()
        assert (len(page["items"]), len(rest["items"]), rest["next"]) == (4, 2, None)
        for after in (
            "x",
            "bnVsbA==",
            "W10=",
            "WzEsMSwxLCJ4IiwxZTQwMF0=",
            "WzEsMSwxLCJ4Iiw5OTk5OTk5OTk5OTk5OTk5OTk5OV0=",
        ):
            problem(await client.get("/api/v1/waiting", params={"after": after}), 400, "request-malformed")
        problem(await client.get("/api/v1/waiting", headers={"authorization": "Bearer x"}), 401, "token-refused")


def test_the_command_line_without_anything_says_so(segue: Cli, tmp_path: Path) -> None:
    """An empty table would look like a fault."""
    (tmp_path / "flow.yaml").write_text(RELEASED)
    data = ("--data", tmp_path / "data")
    segue("publish", tmp_path / "flow.yaml", *data)
    assert "Nothing waits for you." in segue("waiting", *data).err
    assert segue("waiting", "--json", *data).json == {"items": [], "next": None}


@pytest.fixture
def segue(capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys)
