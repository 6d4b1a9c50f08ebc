"""Human tasks end to end: service, HTTP and command line over a real data folder."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.api_support import client_of, problem
from tests.integration.service_support import document

from segue.people import hash_code
from segue.service import HumanTaskDetail, NewDecision, Service, ServiceError, Settings, open_service
from segue.store import notices
from segue.types import Identity, acting_as

PAY = document(
    """
    - ask:
        call: human-task
        with:
          title: '${ "Pay \\(.amount)?" }'
          assign: {role: approver, person: bob}
          requester: '${ .by }'
          form: {type: object, required: [amount], properties: {amount: {type: number}}}
          data: {amount: '${ .amount }'}
          context: {related: [{system: erp, id: i-7}]}
          about: {model: risk, version: '3', input: {amount: '${ .amount }'}, value: low, confidence: 0.7}
          outcomes: [approve, edit, reject, send-back]
          authority: {amount_of: amount, limits: {approver: 1000, director: 50000}}
          send_back: {person: '${ .by }'}
    - paid:
        set: {paid: '${ .outcome == "approve" }', amount: '${ .data.amount }', by: '${ .by }'}
    """,
    name="pay",
)


def person(name: str, *roles: str, groups: tuple[str, ...] = (), **more: Any) -> Identity:
    return Identity(kind="person", id=name, roles=frozenset(roles), groups=frozenset(groups), **more)


ANN, ANA = person("ann", "approver"), person("ana", "approver")
BOB = person("bob", "approver")
DORA = person("dora", "approver", "director")
RITA = person("rita", "approver", "operator")
VERA = person("vera", "viewer")
OWNER = person("owner", "owner")


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with open_service(tmp_path / "data", Settings()) as opened:
        with acting_as(OWNER):
            await opened.workflows.publish(PAY.encode())
        yield opened


async def ask_for(service: Service, amount: int = 50, starter: Identity = OWNER, by: str = "rita") -> int:
    """Start a run; gives the number of its task."""
    with acting_as(starter):
        run, _ = await service.runs.start("demo/pay", input={"amount": amount, "by": by})
        page = await service.tasks.page(run=run.id) if starter is OWNER else None
    if page is None:
        with acting_as(OWNER):
            page = await service.tasks.page(run=run.id)
    return page.items[0].id


async def show(service: Service, task: int, who: Identity = ANN) -> HumanTaskDetail:
    with acting_as(who):
        return await service.tasks.get(task)


async def decide(service: Service, task: int, who: Identity, outcome: str = "approve", **more: Any) -> Any:
    seen = more.pop("seen", None) or (await show(service, task, who)).seen
    with acting_as(who):
        return await service.tasks.decide(task, NewDecision(outcome=outcome, seen=seen, **more))


async def refused(kind: str, awaitable: Any) -> ServiceError:
    with pytest.raises(ServiceError) as error:
        await awaitable
    assert error.value.kind == kind, error.value
    return error.value


async def test_a_person_decides_and_the_run_goes_on(service: Service) -> None:
    """The thin line from a document to a decision and on."""
    task = await ask_for(service)
    done = await decide(service, task, ANN, comment="fine")
    assert (done.state, done.outcome, done.by) == ("decided", "approve", "ann")
    assert service.host is not None
    outcome = await service.host.wait_closed(done.run)
    assert outcome.output == {"paid": True, "amount": 50, "by": "ann"}


async def test_the_page_has_everything_and_afterwards_who_saw_what(service: Service) -> None:
    """Who, when, what was seen, what was chosen, under which rules: from the record, for each decision."""
    task = await ask_for(service)
    page = await show(service, task)
    assert page.context == {"related": [{"system": "erp", "id": "i-7"}]}
    assert page.about["value"] == "low"
    assert page.may_decide
    assert page.run_input == {"amount": 50, "by": "rita"}
    assert [choice["outcome"] for choice in page.choices] == ["approve", "edit", "reject", "send-back"]
    await decide(service, task, ANN, "edit", data={"amount": 45}, comment="typo")
    after = await show(service, task)
    (voice,) = after.decisions
    assert (voice.by, voice.seen, voice.policy, voice.via) == ("ann", page.seen, page.policy, "session")
    assert voice.allowed == ["role:approver", "limit:1000"]
    assert (after.data, after.edited, after.choices, after.seen) == ({"amount": 45}, True, [], "")


@pytest.mark.parametrize(
    ("amount", "who", "why"),
    [
        (50, RITA, "never decides"),
        (5000, ANN, "up to 1,000"),
        (50, person("eve", "approver", "director", acts_for=VERA), "task.decide"),
        (50, VERA, "task.decide"),
        (50, Identity(kind="service", id="bot", roles=frozenset({"approver"})), "needs a person"),
    ],
)
async def test_only_named_roles_within_their_limit_decide_and_never_the_requester(
    service: Service, amount: int, who: Identity, why: str
) -> None:
    """Approval authority is defined, and holds."""
    task = await ask_for(service, amount)
    seen = (await show(service, task, OWNER)).seen
    with acting_as(who), pytest.raises(ServiceError, match=why) as error:
        await service.tasks.decide(task, NewDecision(outcome="approve", seen=seen))
    assert error.value.kind in ("not-yours", "permission-denied")
    assert (await show(service, task, OWNER)).state == "offered"


async def test_nobody_edits_their_way_over_a_limit(service: Service) -> None:
    """What is entered counts, not only what was asked."""
    task = await ask_for(service)
    await refused("not-yours", decide(service, task, ANN, "edit", data={"amount": 5000}))
    assert (await decide(service, task, ANN, "edit", data={"amount": 999})).edited


async def test_who_has_the_higher_limit_decides(service: Service) -> None:
    """A limit stops one person, not the work."""
    assert (await decide(service, await ask_for(service, 5000), DORA)).by == "dora"


async def test_who_started_the_run_does_not_decide_in_it(service: Service) -> None:
    """A requester whom the document forgot to name is still the requester."""
    task = await ask_for(service, starter=RITA, by="nobody")
    error = await refused("not-yours", decide(service, task, RITA))
    assert "never decides" in str(error)


async def test_nobody_signed_in_decides_nothing(service: Service) -> None:
    """Deny by default."""
    task = await ask_for(service)
    service.guard.local = None
    with acting_as(None):
        await refused("not-signed-in", service.tasks.decide(task, NewDecision(outcome="approve", seen="x")))


async def test_what_changed_since_it_was_read_is_not_decided(service: Service) -> None:
    """Nobody approves numbers that they have not seen."""
    task = await ask_for(service)
    old = (await show(service, task)).seen
    await decide(service, task, BOB, "send-back", comment="which year?")
    with acting_as(RITA):
        seen = (await service.tasks.get(task)).seen
        await service.tasks.resubmit(task, NewDecision(outcome="", seen=seen, data={"amount": 60}))
    await refused("human-task-changed", decide(service, task, ANN, seen=old))
    assert (await decide(service, task, ANN)).state == "decided"


async def test_what_changes_while_somebody_decides_is_not_decided(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ann approves 50 in the moment in which Bob makes it 900: that was an approval of 900 by two people."""
    two = PAY.replace("name: pay,", "name: pay-two,").replace("about: {", "approvals: 2\n        about: {")
    with acting_as(OWNER):
        await service.workflows.publish(two.encode())
        run, _ = await service.runs.start("demo/pay-two", input={"amount": 50, "by": "rita"})
        task = (await service.tasks.page(run=run.id)).items[0].id
    seen, asked = (await show(service, task)).seen, service.tasks._permission

    async def asked_slowly(*args: Any, **more: Any) -> Any:
        granted = await asked(*args, **more)
        monkeypatch.setattr(service.tasks, "_permission", asked)
        await decide(service, task, BOB, "edit", seen=seen, data={"amount": 900})
        return granted

    monkeypatch.setattr(service.tasks, "_permission", asked_slowly)
    await refused("human-task-changed", decide(service, task, ANN, seen=seen))

    page = await show(service, task)
    assert (page.outcome, page.data, [voice.by for voice in page.decisions]) == (None, {"amount": 900}, ["bob"])
    assert (await decide(service, task, ANN)).state == "decided"


async def test_a_claim_is_respected_and_can_be_handed_on(service: Service) -> None:
    """Tasks have an owner; claiming, delegating and reassigning are in the record with who did it and why."""
    task = await ask_for(service)
    with acting_as(ANN):
        assert (await service.tasks.claim(task)).owner == "ann"
    with acting_as(BOB):
        await refused("choice-refused", service.tasks.claim(task))
        await refused("not-yours", service.tasks.release(task))
    await refused("choice-refused", decide(service, task, BOB))
    with acting_as(ANN):
        await refused("choice-refused", service.tasks.delegate(task, "rita"))
        await service.tasks.delegate(task, "ana", reason="away")
    with acting_as(RITA):
        await service.tasks.reassign(task, {"person": "bob"}, reason="ana left")
    assert (await show(service, task)).owner is None
    await refused("not-yours", decide(service, task, ANN))
    assert (await decide(service, task, BOB)).by == "bob"
    changes = [(c.change, c.by, c.reason) for c in (await show(service, task)).changes]
    assert changes[1:4] == [("claimed", "ann", ""), ("delegated", "ann", "away"), ("reassigned", "rita", "ana left")]


async def test_a_deputy_decides_while_somebody_is_away(service: Service) -> None:
    """Absence must not stop the work, nor give everybody the right to do it."""
    await say(service, "bob", absent={"since": "2020-01-01T00:00:00Z", "deputy": "sub"})
    with acting_as(OWNER):
        task = await ask_for(service)
        await service.tasks.reassign(task, {"person": "bob"}, reason="only bob")
    sub, other = person("sub", "approver"), person("other", "approver")
    await refused("not-yours", decide(service, task, other))
    await decide(service, task, sub)
    assert "deputy-of:bob" in (await show(service, task)).decisions[0].allowed


async def say(service: Service, name: str, **profile: Any) -> None:
    with acting_as(OWNER):
        await service.profiles.put(name, profile)


async def test_people_say_how_they_are_reached_but_not_what_they_may(service: Service) -> None:
    """Nobody raises their own limit."""
    with acting_as(ANN):
        await service.profiles.put_own({"email": "ann@example.com"})
        for forbidden in ({"roles": ["director"]}, {"limits": {"amount": 1e9}}, {"manager": "ann"}):
            await refused("choice-refused", service.profiles.put_own(forbidden))
        await refused("permission-denied", service.profiles.put("ann", {"roles": ["director"]}))


async def test_queues_and_figures_count_what_is_there(service: Service) -> None:
    """A head of operations sees where work piles up, and how often models are overruled."""
    first, second, third = [await ask_for(service, amount) for amount in (1, 2, 3)]
    with acting_as(ANN):
        await service.tasks.claim(first)
        assert [q.open for q in await service.tasks.queues() if (q.kind, q.name) == ("roles", "approver")] == [3]
        assert [(w.person, w.open) for w in await service.tasks.workload()] == [("ann", 1)]
        mine = await service.tasks.page(mine=True, limit=2)
        assert [t.id for t in mine.items] == [third, second]
        rest = await service.tasks.page(mine=True, limit=2, after=mine.next)
        assert [t.id for t in rest.items] == [first]
    await decide(service, first, ANN)
    await decide(service, second, ANN, "edit", data={"amount": 9})
    await decide(service, third, ANN, "reject")
    with acting_as(ANN):
        (figures,) = await service.tasks.figures()
        labels = await service.tasks.labels(model="risk", version="3")
    assert (figures.decided, figures.overruled, figures.edited, figures.model) == (3, 2, 1, "risk")
    assert figures.overrule_rate == pytest.approx(2 / 3)
    assert [(label.agreed, label.input, label.decided) for label in labels.items] == [
        (True, {"amount": 1}, {"amount": 1}),
        (False, {"amount": 2}, {"amount": 9}),
        (False, {"amount": 3}, {"amount": 3}),
    ]


# -- over HTTP -------------------------------------------------------------------------------------

CODE = "a-code-for-tests-that-nobody-guesses"


async def give_code(service: Service, task: int, name: str, code: str = CODE, *, good_for_ms: int = 60_000) -> None:
    assert service.host is not None
    now = service.host.now_ms()
    await service.store.write([notices.put_code(hash_code(code), task, name, now, now + good_for_ms)])


async def test_of_fifty_requests_at_once_exactly_one_decides(service: Service) -> None:
    """First valid decision wins, exactly once, over real requests; all others are told who decided."""
    task = await ask_for(service)
    codes = [f"{CODE}-{n}" for n in range(50)]
    for n, code in enumerate(codes):
        await say(service, f"person-{n}", roles=["approver"])
        await give_code(service, task, f"person-{n}", code)
    async with client_of(service) as client:
        client.headers.pop("authorization")
        seen = (await client.get("/api/v1/task-code", params={"code": codes[0]})).json()["seen"]
        outcomes = ["approve" if n % 2 else "reject" for n in range(50)]
        bodies = [{"code": c, "outcome": o, "seen": seen} for c, o in zip(codes, outcomes, strict=True)]
        answers = await asyncio.gather(*(client.post("/api/v1/task-code", json=body) for body in bodies))
    won = [n for n, answer in enumerate(answers) if answer.status_code == 200]
    assert len(won) == 1
    # A code is void once its task is closed, so some are refused for that, and some because they came second.
    assert {a.status_code for n, a in enumerate(answers) if n != won[0]} <= {403, 409}
    page = await show(service, task)
    assert (page.by, page.outcome) == (f"person-{won[0]}", outcomes[won[0]])
    assert len(page.decisions) == 1


async def test_looking_decides_nothing_and_spends_nothing(service: Service) -> None:
    """Mail scanners open every link, several times."""
    task = await ask_for(service)
    await say(service, "cem", roles=["approver"])
    await give_code(service, task, "cem")
    async with client_of(service) as client:
        client.headers.pop("authorization")
        for method in ("GET", "HEAD", "OPTIONS", "GET"):
            await client.request(method, "/api/v1/task-code", params={"code": CODE, "outcome": "approve"})
        assert (await show(service, task)).state == "offered"
        page = (await client.get("/api/v1/task-code", params={"code": CODE})).json()
        assert page["mayDecide"]
        said = {"code": CODE, "outcome": "approve", "seen": page["seen"]}
        assert (await client.post("/api/v1/task-code", json=said)).json()["by"] == "cem"
        problem(await client.post("/api/v1/task-code", json=said), 403, "code-refused")
        problem(await client.get("/api/v1/task-code", params={"code": CODE}), 403, "code-refused")
    assert (await show(service, task)).decisions[0].via == "code"


async def test_a_code_is_one_persons_for_one_task_and_not_for_ever(service: Service) -> None:
    """A stolen or old mail opens nothing else, and the rules hold for its holder as for everybody."""
    task, other = await ask_for(service), await ask_for(service, 7)
    await say(service, "rita", roles=["approver"])
    await say(service, "vera", roles=["viewer"])
    await give_code(service, task, "rita")
    await give_code(service, task, "vera", CODE + "-vera")
    await give_code(service, task, "cem", CODE + "-late", good_for_ms=0)
    await give_code(service, other, "gone", CODE + "-gone")
    async with client_of(service) as client:
        client.headers.pop("authorization")
        seen = (await client.get("/api/v1/task-code", params={"code": CODE})).json()["seen"]
        body = {"outcome": "approve", "seen": seen}
        problem(await client.post("/api/v1/task-code", json={**body, "code": CODE}), 403, "not-yours")
        problem(
            await client.post("/api/v1/task-code", json={**body, "code": CODE + "-vera"}), 403, "permission-denied"
        )
        for code in (CODE + "-late", CODE + "-gone", CODE + "-unknown"):
            problem(await client.post("/api/v1/task-code", json={**body, "code": code}), 403, "code-refused")
        problem(await client.post(f"/api/v1/tasks/{task}/decide", json=body), 401, "token-refused")
    files = [path for path in service.store.folder.rglob("*") if path.is_file()]
    assert any(b"task_code" in path.read_bytes() for path in files)
    assert not any(CODE.encode() in path.read_bytes() for path in files)


async def test_the_routes_answer_and_refuse(service: Service) -> None:
    """Filters, paging, and refusals as problem documents."""
    task = await ask_for(service)
    async with client_of(service) as client:
        listed = (await client.get("/api/v1/tasks", params={"queue": "role:approver", "priority": "normal"})).json()
        assert [t["id"] for t in listed["items"]] == [task]
        assert (await client.get("/api/v1/tasks", params={"queue": "person:zoe"})).json()["items"] == []
        problem(await client.get("/api/v1/tasks", params={"queue": "approver"}), 400, "request-malformed")
        problem(await client.get("/api/v1/tasks/999"), 404, "human-task-unknown")
        seen = (await client.get(f"/api/v1/tasks/{task}")).json()["seen"]
        place = f"/api/v1/tasks/{task}/decide"
        problem(await client.post(place, json={"outcome": "destroy", "seen": seen}), 422, "choice-refused")
        bad = {"outcome": "edit", "seen": seen, "data": {"amount": "much"}}
        assert "does not fit the form" in problem(await client.post(place, json=bad), 422, "choice-refused")["detail"]
        problem(await client.post(place, json={"outcome": "approve"}), 400, "request-malformed")
        problem(await client.get(place), 405, "method-refused")
        done = await client.post(place, json={"outcome": "reject", "seen": seen})
        assert json.loads(done.content)["outcome"] == "reject"
        problem(await client.post(place, json={"outcome": "approve", "seen": seen}), 409, "human-task-closed")


# -- what operators do ------------------------------------------------------------------------------


async def test_a_task_that_starts_again_is_offered_anew(service: Service) -> None:
    """Whoever steers a run takes back what is before people, with everything that hangs on it."""
    task = await ask_for(service)
    run = (await show(service, task)).run
    with acting_as(OWNER):
        await service.steering.retry(run, "/do/0/ask", reason="wrong amount", input={"amount": 60, "by": "rita"})
        page = await service.tasks.page(run=run, state=None)
    assert [(t.state, t.title) for t in page.items] == [("offered", "Pay 60?"), ("withdrawn", "Pay 50?")]
    await refused("human-task-closed", decide(service, task, ANN, seen="x"))
    assert (await decide(service, page.items[0].id, ANN)).state == "decided"


async def test_a_fork_asks_people_itself(service: Service) -> None:
    """A copy of a run waits for its own decision; the original keeps its own."""
    task = await ask_for(service)
    run = (await show(service, task)).run
    with acting_as(OWNER):
        fork = await service.steering.fork(run, "/do/0/ask", reason="what if")
        page = await service.tasks.page(run=fork.id)
    (other,) = page.items
    await decide(service, other.id, ANN, "reject")
    assert (await show(service, task)).state == "offered"


async def test_decisions_stand_in_the_audit_chain(service: Service) -> None:
    """Who, what, seen what, under which rules: written with the event, and nobody can alter it unseen."""
    task = await ask_for(service)
    with acting_as(ANN):
        await service.tasks.claim(task)
    page = await show(service, task)
    await decide(service, task, ANN, comment="fine")
    with acting_as(OWNER):
        found = (await service.audit.page(limit=100)).items
        assert (await service.audit.verify()).sound
    decided, assigned = [r for r in found if r.action in ("task.decided", "task.assigned")]
    assert (decided.principal, decided.verdict, decided.reason) == ("person:ann", "approve", "fine")
    assert decided.data["seen"] == page.seen
    assert (assigned.principal, assigned.verdict) == ("person:ann", "claim")
