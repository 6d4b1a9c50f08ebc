"""What waits for approval or consent is reminded of, goes to others, and lapses; it is never approved by that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.api_support import client_of, problem
from tests.integration.test_owning import CRM, flow
from tests.integration.test_waiting import RULES, TRIAGE, person, refused
from tests.integration.wishes_support import age

from segue.governance import ApprovalClock, WishClocks
from segue.service import (
    AdjustmentDecision,
    ConsentDecision,
    NewAdjustment,
    NewIdentity,
    NewOwner,
    NewPolicy,
    PublicationDecision,
    Service,
    ServiceError,
    Settings,
    open_service,
)
from segue.types import Identity, acting_as

HOUR, DAY = 3_600_000, 86_400_000
RITA, PIA = person("rita", "operator", "publisher"), person("pia", "publisher")
ANN, BOB, CID = (person(name, "viewer") for name in ("ann", "bob", "cid"))
ADA = person("ada", "admin", "publisher")
CLOCKS = Settings(wishes=WishClocks(remind="P1D 2", escalate="P2D admin", deadline="P5D"))
YES, NO = ConsentDecision(grant=True, reason="fine"), ConsentDecision(grant=False, reason="no")
APPROVE = PublicationDecision(True, "fine")


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with open_service(tmp_path / "data", CLOCKS) as opened:
        await prepare(opened)
        yield opened


async def prepare(service: Service) -> None:
    """Rita wants things; ann owns the crm, bob stands in for her, and cid for bob."""
    await service.connections.add("crm", CRM)
    await service.owning.own("crm", NewOwner(owner="person:ann", reason="a test"))
    await service.permissions.change("here", NewPolicy(text=RULES, reason="a test"))
    await service.workflows.publish(TRIAGE)
    for who in (RITA, PIA, ANN, BOB, CID, ADA):
        await service.accounts.add(NewIdentity(id=who.id, roles=sorted(who.roles)))


async def away(service: Service, name: str, deputy: str | None) -> None:
    await service.profiles.put(name, {"absent": {"since": "2020-01-01T00:00:00Z", "deputy": deputy}})


async def want(service: Service, by: Identity = RITA) -> None:
    """A publication that pia may approve, a change for an approver, and a consent of ann's."""
    with acting_as(by):
        await refused("approval-needed", service.workflows.publish(flow("list", name="released")))
        wish = NewAdjustment(values={"threshold": 0.5}, reason="a test")
        await refused("approval-needed", service.adjusting.adjust("demo", "triage", wish))


async def told(service: Service, who: Identity, number: int = 0) -> list[tuple[str, str | None]]:
    found: list[Any] = []
    for _ in range(300):
        with acting_as(who):
            found = (await service.profiles.notices()).items
        if len(found) >= number > 0:
            break
        if not number:
            break
        await asyncio.sleep(0.02)
    return [(notice.kind, notice.about) for notice in reversed(found)]


async def records(service: Service, action: str) -> list[Any]:
    return [r for r in (await service.audit.page(limit=200)).items if r.action == action]


async def until(service: Service, action: str, number: int) -> list[Any]:
    for _ in range(300):
        found = await records(service, action)
        if len(found) >= number:
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(f"{len(found)} of {number} records of {action}")


async def settled(service: Service) -> None:
    """The clocks have looked, and had nothing more to do."""
    await asyncio.sleep(1.2)


async def decided(service: Service, who: Identity, number: int = 1, wanted: ConsentDecision = YES) -> Any:
    with acting_as(who):
        return await service.owning.decide(number, wanted)


async def test_who_can_decide_is_reminded_then_others_are_asked_and_then_it_lapses(service: Service) -> None:
    """The whole life of three wishes that nobody decides about, with a record of each step."""
    await want(service)
    assert await told(service, PIA, 1) == [("publication", "publication:1")]
    await until(service, "wish.asked", 3)
    await age(service, DAY + HOUR)
    assert (await told(service, PIA, 2))[1:] == [("wish-reminded", "publication:1")]
    assert (await told(service, ANN, 2))[1:] == [("wish-reminded", "consent:1")]
    await age(service, DAY)
    await until(service, "wish.escalated", 3)
    shown = await service.publications.get(1)
    assert shown.clock is not None
    assert (shown.clock.asked, shown.clock.reminded) == (["role:publisher", "role:admin"], 2)
    assert shown.clock.escalated_to == ["admin"]
    assert ("wish-escalated", "consent:1") in await told(service, ADA, 3)
    await age(service, 3 * DAY)
    await until(service, "wish.lapsed", 3)
    ended = {about for kind, about in await told(service, RITA, 5) if kind == "wish-lapsed"}
    assert ended == {"publication:1", "adjustment:1", "consent:1"}
    shown = await service.publications.get(1)
    assert (shown.state, shown.decided_by, shown.clock) == ("lapsed", "system:segue", None)
    with acting_as(PIA):
        await refused("publication-decided", service.publications.decide(1, APPROVE))
        assert (await service.waiting.page()).items == []
    assert [c.state for c in (await service.owning.page()).items] == ["lapsed"]
    assert [a.state for a in (await service.adjusting.page(state="lapsed")).items] == ["lapsed"]
    assert (await service.wishes.page()).items == []
    with pytest.raises(ServiceError):
        service.workflows.find("demo", "released")
    assert (await service.audit.verify()).sound


async def test_what_has_lapsed_can_be_wanted_again_with_a_clock_of_its_own(service: Service) -> None:
    """Nobody is locked out of asking, and the second time everybody is told anew."""
    await want(service)
    await until(service, "wish.asked", 3)
    await age(service, 6 * DAY)
    await until(service, "wish.lapsed", 3)
    await want(service)
    assert (await told(service, ANN, 2))[1:] == [("consent", "consent:1")]
    await decided(service, ANN)
    with acting_as(PIA):
        assert (await service.publications.decide(2, APPROVE)).state == "approved"
    assert [w.kind for w in (await service.wishes.page()).items] == ["adjustment"]


async def test_a_late_decision_is_refused_before_the_clock_has_come_to_it(tmp_path: Path) -> None:
    """Where no server runs the deadline holds all the same."""
    folder = tmp_path / "data"
    async with open_service(folder, CLOCKS) as service:
        await prepare(service)
        await want(service)
        await until(service, "wish.asked", 3)
    async with open_service(folder, CLOCKS, drive=False) as service:
        await age(service, 6 * DAY)
        with acting_as(person("ann2", "approver")):
            late = AdjustmentDecision(True, "late")
            await refused("adjustment-decided", service.adjusting.decide(1, late))
        with acting_as(PIA):
            assert "lapsed" in str((await refused_with(service.publications.decide(1, APPROVE))).detail)
            assert (await service.waiting.page()).items == []


async def refused_with(act: Any) -> ServiceError:
    with pytest.raises(ServiceError) as error:
        await act
    return error.value


async def test_the_deputy_of_an_owner_who_is_away_consents_and_takes_back_nothing(service: Service) -> None:
    """What waits goes on while the owner is away; what she decided stays hers."""
    await away(service, "ann", "bob")
    await want(service)
    assert await told(service, BOB, 1) == [("consent", "consent:1")]
    assert await told(service, ANN) == []
    with acting_as(BOB):
        assert [(w.kind, w.because) for w in (await service.waiting.page()).items] == [("consent", "deputy-of:ann")]
    assert (await decided(service, BOB)).decided_by == "person:bob"
    assert (await refused_with(decided(service, BOB, wanted=NO))).kind == "consent-decided"
    assert (await decided(service, ANN, wanted=NO)).state == "revoked"


async def test_nobody_stands_in_for_their_own_wish_nor_once_the_owner_is_back(service: Service) -> None:
    """Four eyes, and a deputy for as long as she is away."""
    await away(service, "ann", "rita")
    await want(service)
    assert await told(service, ANN, 1) == [("consent", "consent:1")]  # her deputy decides nothing here
    assert (await refused_with(decided(service, RITA))).kind == "permission-denied"
    await away(service, "ann", "bob")
    await service.profiles.put("ann", {})
    assert (await refused_with(decided(service, BOB))).kind == "permission-denied"


@pytest.mark.parametrize("last", ["cid", "ann", None])
async def test_a_deputy_of_a_deputy_decides_nothing_and_somebody_hears_of_it(
    service: Service, last: str | None
) -> None:
    """Authority is not handed on, not in a circle either; what nobody present can decide is told to who is away."""
    await away(service, "ann", "bob")
    await away(service, "bob", last)
    await want(service)
    assert await told(service, ANN, 1) == [("consent", "consent:1")]
    assert (await refused_with(decided(service, CID))).kind == "permission-denied"
    assert (await decided(service, BOB)).state == "granted"


async def test_a_program_called_as_the_deputy_stands_in_for_nobody(service: Service) -> None:
    """Names of accounts and of people are two things."""
    await away(service, "ann", "bob")
    await want(service)
    robot = Identity(kind="service", id="bob", roles=frozenset({"viewer"}))
    assert (await refused_with(decided(service, robot))).kind == "permission-denied"


async def test_a_rung_gives_no_right_that_the_rules_do_not_and_none_to_the_author(service: Service) -> None:
    """The clock widens whom it waits for; the rules and four eyes hold on every rung."""
    author = person("rita", "operator", "publisher", "admin")
    plain = person("pam", "admin")
    await want(service, author)
    await until(service, "wish.asked", 3)
    assert (await refused_with(decided(service, ADA))).kind == "permission-denied"  # her rung has not come
    await age(service, 2 * DAY + HOUR)
    await until(service, "wish.escalated", 3)
    assert (await refused_with(decided(service, author))).kind == "permission-denied"
    with acting_as(plain):  # no administrator may approve publications
        await refused("permission-denied", service.publications.decide(1, APPROVE))
    assert (await decided(service, ADA)).state == "granted"
    with acting_as(author):
        await refused("permission-denied", service.publications.decide(1, APPROVE))
    with acting_as(ADA):
        assert (await service.publications.decide(1, APPROVE)).state == "approved"


async def test_a_rule_says_its_own_clock(service: Service) -> None:
    """As for acts: the rule beats the settings, and a deadline that names an outcome is refused."""
    rule = '@id("release") @approval("publisher") @deadline("PT2H") @remind("PT1H 1")\n'
    body = 'forbid (principal, action == Action::"workflow.publish", resource) when { resource.name == "released" };'
    await service.permissions.change("here", NewPolicy(text=rule + body, reason="a test"))
    for wrong in ("PT2H timeout", "PT2H approve"):
        bad = rule.replace("PT2H", wrong) + body
        await refused("policy-refused", service.permissions.change("here", NewPolicy(text=bad, reason="a test")))
    with acting_as(RITA):
        await refused("approval-needed", service.workflows.publish(flow(name="released").replace("do:", "do: []")))
    assert await told(service, PIA, 1) == [("publication", "publication:1")]
    await age(service, 2 * HOUR + 1)
    await until(service, "wish.lapsed", 1)


async def test_a_publication_lapses_with_the_consent_that_it_waits_for(tmp_path: Path) -> None:
    """What waits for an owner only waits no longer than the owner was asked."""
    clocks = WishClocks(publication=ApprovalClock(deadline="PT1H"), consent=ApprovalClock(deadline="P2D"))
    async with open_service(tmp_path / "data", Settings(wishes=clocks)) as service:
        await prepare(service)
        with acting_as(RITA):
            await refused("approval-needed", service.workflows.publish(flow("list")))
        await until(service, "wish.asked", 2)
        await age(service, DAY)
        await settled(service)
        assert (await service.publications.get(1)).state == "waiting"
        await age(service, DAY + HOUR)
        await until(service, "wish.lapsed", 1)
        for _ in range(100):
            if (await service.publications.get(1)).state != "waiting":
                break
            await asyncio.sleep(0.02)
        assert (await service.publications.get(1)).state == "lapsed"


async def test_two_servers_one_after_another_tell_nobody_twice(tmp_path: Path) -> None:
    """The clock goes on where it was; what came due in between is told once."""
    folder = tmp_path / "data"
    async with open_service(folder, CLOCKS) as service:
        await prepare(service)
        await want(service)
        await until(service, "wish.asked", 3)
        await age(service, DAY + HOUR)
        await told(service, PIA, 2)
    for _ in range(2):
        async with open_service(folder, CLOCKS) as service:
            await settled(service)
            assert len(await told(service, PIA)) == 2
            assert len(await records(service, "wish.reminded")) == 3
            assert len(await records(service, "wish.asked")) == 3


async def test_each_workspace_has_clocks_of_its_own(tmp_path: Path) -> None:
    """What lapses in one waits in the other."""
    later = Settings(wishes=WishClocks(deadline="P30D"), workspace="b")
    async with (
        open_service(tmp_path / "a", CLOCKS) as one,
        open_service(tmp_path / "b", later) as other,
    ):
        for service in (one, other):
            await prepare(service)
            by = RITA if service is one else Identity(**{**as_kwargs(RITA), "workspace": "b"})
            await want(service, by)
            await until(service, "wish.asked", 3)
            await age(service, 6 * DAY)
        await until(one, "wish.lapsed", 3)
        await until(other, "wish.reminded", 3)
        assert len((await other.wishes.page()).items) == 3
        assert await records(other, "wish.lapsed") == []


def as_kwargs(identity: Identity) -> dict[str, Any]:
    return {name: getattr(identity, name) for name in identity.__struct_fields__}


async def test_wishes_are_told_over_http_to_who_may_see_them(service: Service) -> None:
    """Whom it waits for and until when, page by page; what is one's own is seen by whoever wants it."""
    await want(service)
    await until(service, "wish.asked", 3)
    async with client_of(service) as client:
        first = (await client.get("/api/v1/wishes", params={"limit": 2})).json()
        rest = (await client.get("/api/v1/wishes", params={"limit": 2, "after": first["next"]})).json()
        found = [*first["items"], *rest["items"]]
        assert sorted((w["kind"], w["clock"]["asked"]) for w in found) == [
            ("adjustment", ["role:approver"]),
            ("consent", ["person:ann"]),
            ("publication", ["role:publisher"]),
        ]
        assert all(w["clock"]["lapsesAt"] > w["clock"]["nextAt"] > w["wantedAt"] for w in found)
        assert rest["next"] is None
        problem(await client.get("/api/v1/wishes", params={"after": "no"}), 400, "request-malformed")
        waits = (await client.get("/api/v1/waiting")).json()["items"]
        assert {w["deadlineOutcome"] for w in waits} == {"lapsed"}
    with acting_as(RITA):
        assert len((await service.wishes.page(mine=True)).items) == 3
    with acting_as(PIA):
        assert (await service.wishes.page(mine=True)).items == []
    with acting_as(Identity(kind="person", id="out", roles=frozenset({"viewer"}), workspace="elsewhere")):
        await refused("permission-denied", service.wishes.page())


async def test_who_wants_it_is_told_where_nobody_can_decide(service: Service) -> None:
    """No approver is there at all: it must not wait in silence, and lapse."""
    with acting_as(RITA):
        wish = NewAdjustment(values={"threshold": 0.5}, reason="a test")
        await refused("approval-needed", service.adjusting.adjust("demo", "triage", wish))
    assert await told(service, RITA, 1) == [("wish-stuck", "adjustment:1")]


async def test_a_publication_whose_consent_is_gone_lapses_by_its_own_clock(service: Service) -> None:
    """As after a kill between the two: what waits for nobody any more does not wait for ever."""
    with acting_as(RITA):
        await refused("approval-needed", service.workflows.publish(flow("list")))
    await until(service, "wish.asked", 2)
    await service.store.write([("UPDATE consent SET state = 'lapsed'", ())])
    await age(service, 5 * DAY + 61_000)
    (lapsed,) = await until(service, "wish.lapsed", 1)
    assert lapsed.resource == "publication:1"
    assert ("wish-lapsed", "publication:1") in await told(service, RITA, 1)


async def test_deciding_and_lapsing_at_once_is_one_or_the_other(tmp_path: Path) -> None:
    """What is published was approved, what has lapsed is not published, and the records say the same."""
    number = 24
    rule = '@id("all") @approval("publisher") forbid (principal, action == Action::"workflow.publish", resource);'
    clocks = WishClocks(deadline="PT2S", remind="none")
    async with open_service(tmp_path / "data", Settings(wishes=clocks)) as service:
        await service.permissions.change("here", NewPolicy(text=rule, reason="a test"))
        with acting_as(RITA):
            for n in range(number):
                await refused("approval-needed", service.workflows.publish(TRIAGE.replace("triage", f"w{n}")))
        await until(service, "wish.asked", number)

        async def approve(n: int) -> str:
            await asyncio.sleep(1.0 + n * 0.08)
            try:
                with acting_as(PIA):
                    return (await service.publications.decide(n + 1, APPROVE)).state
            except ServiceError as error:
                return "lapsed" if error.kind == "publication-decided" else error.kind

        said = await asyncio.gather(*map(approve, range(number)))
        lapsed = {record.resource for record in await until(service, "wish.lapsed", said.count("lapsed"))}
        for n, state in enumerate(said):
            assert (await service.publications.get(n + 1)).state == state
            assert (f"publication:{n + 1}" in lapsed) == (state == "lapsed")
            found = [w.name for w in (await service.workflows.page(limit=100)).items]
            assert (f"w{n}" in found) == (state == "approved")
        assert set(said) == {"approved", "lapsed"}
