"""Owners of connections: what is new to them waits for their consent, and what they take back is refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.api_support import api, problem
from tests.integration.cli_support import Cli

from segue.service import (
    ConsentDecision,
    NewOwner,
    NewPolicy,
    PublicationDecision,
    Service,
    ServiceError,
    Settings,
    open_service,
)
from segue.types import Identity, acting_as

ANN = Identity(kind="person", id="ann", roles=frozenset({"viewer"}))
SAM = Identity(kind="person", id="sam", roles=frozenset({"viewer"}), groups=frozenset({"sales"}))
PIA = Identity(kind="person", id="pia", roles=frozenset({"publisher"}))
PAT = Identity(kind="person", id="pat", roles=frozenset({"publisher"}))
ANSWER = {"200": {"description": "", "content": {"application/json": {"schema": {}}}}}
CRM = json.dumps(
    {
        "openapi": "3.1.0",
        "info": {"title": "CRM", "version": "1"},
        "servers": [{"url": "http://127.0.0.1:9"}],
        "paths": {
            "/customers": {
                "get": {"operationId": "list", "responses": ANSWER},
                "post": {"operationId": "add", "responses": ANSWER},
            }
        },
    }
)
YES = ConsentDecision(grant=True, reason="fine")
NO = ConsentDecision(grant=False, reason="not for this")


def flow(*operations: str, name: str = "flow", version: str = "1.0.0", use: str = "crm") -> str:
    tasks = "".join(
        f"- t{n}: {{call: connector, with: {{use: '{use}', operation: {operation}}}}}\n"
        for n, operation in enumerate(operations)
    )
    return f"document: {{dsl: '1.0.3', namespace: demo, name: {name}, version: '{version}'}}\ndo:\n{tasks}"


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with open_service(tmp_path, Settings()) as opened:
        await opened.connections.add("crm", CRM)
        yield opened


async def owned(service: Service, owner: str | None = "person:ann") -> Any:
    return await service.owning.own("crm", NewOwner(owner=owner, reason="a test"))


async def refused(act: Any) -> ServiceError:
    with pytest.raises(ServiceError) as error:
        await act
    return error.value


async def waiting(service: Service) -> list[tuple[str, str]]:
    return [(c.workflow, c.access) for c in (await service.owning.page(state="waiting")).items]


async def ends(service: Service, name: str = "flow", given: Any = None) -> str:
    """Why a run fails: nothing listens there, so one that is let through fails by the network."""
    run, _ = await service.runs.start(f"demo/{name}", input=given)
    _, _, failure = await asyncio.wait_for(service.runs.outcome(run.id), 10)
    assert failure is not None
    return "refused" if "has not consented" in (failure.detail or "") else "let through"


async def test_a_new_use_waits_for_the_owner_and_is_published_by_the_consent(service: Service) -> None:
    """Who looks after the data decides what it is used for, before it is used."""
    await owned(service)
    with acting_as(PIA):
        waits = await refused(service.workflows.publish(flow("list")))
    assert waits.kind == "approval-needed"
    assert "person:ann must consent to its read of the connection 'crm'" in waits.detail
    assert await waiting(service) == [("demo/flow", "read")]
    (consent,) = (await service.owning.page()).items
    with acting_as(SAM):
        error = await refused(service.owning.decide(consent.number, YES))
        assert (error.kind, "person:ann" in error.remedy) == ("permission-denied", True)
    assert (await refused(service.runs.start("demo/flow"))).kind == "workflow-unknown"

    with acting_as(ANN):
        done = await service.owning.decide(consent.number, YES)

    assert (done.state, done.decided_by, done.reason) == ("granted", "person:ann", "fine")
    assert await ends(service) == "let through"
    (publication,) = (await service.publications.page(state="approved")).items
    assert (publication.decided_by, publication.wanted_by) == ("person:ann", "person:pia")
    # The next version uses nothing new.
    with acting_as(PIA):
        assert (await service.workflows.publish(flow("list", version="1.1.0"))).created
        # Writing is something new.
        assert (await refused(service.workflows.publish(flow("add", version="2.0.0")))).kind == "approval-needed"
    assert await waiting(service) == [("demo/flow", "write")]


async def test_a_consent_that_is_taken_back_on_its_way_does_not_count(service: Service) -> None:
    """Memory held the consent, and the disk that it was taken back: acts went out until the next start."""
    await service.workflows.publish(flow("list"))
    await owned(service)
    (consent,) = (await service.owning.page()).items
    for _ in range(20):
        with acting_as(ANN):
            await asyncio.gather(
                service.owning.decide(consent.number, YES), service.owning.decide(consent.number, NO)
            )
        (now,) = (await service.owning.page()).items
        assert await ends(service) == ("let through" if now.state == "granted" else "refused")


async def test_what_is_taken_back_is_refused_from_the_next_act_on(tmp_path: Path) -> None:
    """Also after a restart, and until it is granted again."""
    async with open_service(tmp_path, Settings()) as service:
        await service.connections.add("crm", CRM)
        await owned(service, "group:sales")
        with acting_as(PIA):
            await refused(service.workflows.publish(flow("list")))
        with acting_as(SAM):
            await service.owning.decide(1, YES)
            assert (await service.owning.decide(1, NO)).state == "revoked"
        assert await ends(service) == "refused"
    async with open_service(tmp_path, Settings()) as service:
        assert await ends(service) == "refused"
        with acting_as(SAM):
            await service.owning.decide(1, YES)
        assert await ends(service) == "let through"
    async with open_service(tmp_path, Settings()) as service:
        assert await ends(service) == "let through"
        told = [r.action for r in (await service.timeline.changes()).items]
        assert told[:3] == ["consent.grant", "consent.revoke", "workflow.publish"]
        by = {r.action: r.principal for r in (await service.audit.page(limit=200)).items}
        assert by["workflow.publish"] == "person:pia", "who published it, and not who consented"
        assert by["consent.grant"] == "person:sam"


async def test_a_refusal_ends_what_waited(service: Service) -> None:
    """And publishing it again asks again."""
    await owned(service)
    with acting_as(PIA):
        await refused(service.workflows.publish(flow("list")))
    with acting_as(ANN):
        assert (await service.owning.decide(1, NO)).state == "refused"
    (publication,) = (await service.publications.page(state=None)).items
    assert (publication.state, "not for this" in (publication.reason or "")) == ("refused", True)
    with acting_as(PIA):
        await refused(service.workflows.publish(flow("list")))
    assert await waiting(service) == [("demo/flow", "read")]


async def test_what_used_it_before_it_had_an_owner_goes_on(service: Service) -> None:
    """Naming an owner must not stop a company; the list shows what goes on, and the owner may end it."""
    await service.workflows.publish(flow("list"))
    await service.workflows.publish(flow("list", "add", name="other"))
    assert (await owned(service)).kept == ["demo/flow: read", "demo/other: write"]
    assert await ends(service) == "let through"
    with acting_as(ANN):
        number = next(c.number for c in (await service.owning.page()).items if c.workflow == "demo/flow")
        await service.owning.decide(number, NO)
    assert await ends(service) == "refused"
    assert await ends(service, "other") == "let through"
    await owned(service, None)
    assert await ends(service) == "let through"


async def test_a_name_that_is_computed_is_no_way_around(service: Service) -> None:
    """What publishing cannot see, the act is asked about."""
    await owned(service)
    with acting_as(PIA):
        await service.workflows.publish(flow("list", use="${ .which }"))
    assert await ends(service, given={"which": "crm"}) == "refused"


async def test_whoever_owns_it_and_publishes_has_consented(service: Service) -> None:
    """Nobody asks themselves."""
    await owned(service, "person:pia")
    with acting_as(PIA):
        assert (await service.workflows.publish(flow("list"))).created
    (consent,) = (await service.owning.page()).items
    assert (consent.state, consent.decided_by) == ("granted", "person:pia")


async def test_a_consent_does_not_stand_in_for_an_approval(service: Service) -> None:
    """Both are needed, in any order."""
    rule = '@id("two") @approval("publisher") forbid (principal, action == Action::"workflow.publish", resource);'
    await owned(service)
    await service.permissions.change("two", NewPolicy(text=rule, reason="a test"))
    with acting_as(PIA):
        await refused(service.workflows.publish(flow("list")))
    yes = PublicationDecision(approve=True, reason="read")
    with acting_as(PAT):
        assert (await refused(service.publications.decide(1, yes))).kind == "approval-needed"
    with acting_as(ANN):
        await service.owning.decide(1, YES)
    assert (await refused(service.runs.start("demo/flow"))).kind == "workflow-unknown"
    with acting_as(PAT):
        assert (await service.publications.decide(1, yes)).state == "approved"
    assert await ends(service) == "let through"


async def test_what_waits_for_an_owner_is_not_approved_by_others(service: Service) -> None:
    """Four eyes of publishers are not the owner's."""
    await owned(service)
    with acting_as(PIA):
        await refused(service.workflows.publish(flow("list")))
    with acting_as(PAT):
        error = await refused(service.publications.decide(1, PublicationDecision(approve=True, reason="x")))
    assert error.kind == "approval-needed"


@pytest.mark.parametrize("strictness", ["off", "warn", "block"])
async def test_where_documents_must_be_governed_connections_need_owners(tmp_path: Path, strictness: Any) -> None:
    """Every connection has somebody who can be asked, or publishing says so."""
    async with open_service(tmp_path, Settings(publishing=strictness)) as service:
        await service.connections.add("crm", CRM)
        found = (await service.workflows.validate(flow("list"))).findings
        told = [f.severity for f in found if f.rule == "unowned-connection"]
        assert told == {"off": [], "warn": ["warning"], "block": ["error"]}[strictness]
        await owned(service)
        found = (await service.workflows.validate(flow("list"))).findings
        assert not [f for f in found if f.rule == "unowned-connection"]


async def test_over_http(tmp_path: Path) -> None:
    """The routes of an owner."""
    async with api(tmp_path) as client:
        assert (await client.post("/api/v1/connections", json={"name": "crm", "document": CRM})).status_code == 201
        body = {"owner": "group:sales", "reason": "theirs"}
        assert (await client.post("/api/v1/connections/crm/owner", json=body)).json()["kept"] == []
        assert (await client.get("/api/v1/connections/crm")).json()["owner"] == "group:sales"
        problem(await client.post("/api/v1/connections/none/owner", json=body), 404, "connection-unknown")
        wrong = {"owner": "the team", "reason": "x"}
        problem(await client.post("/api/v1/connections/crm/owner", json=wrong), 400, "request-malformed")
        assert (await client.get("/api/v1/consents", params={"connection": "crm"})).json()["items"] == []
        problem(
            await client.post("/api/v1/consents/7/decide", json={"grant": True, "reason": "x"}),
            404,
            "consent-unknown",
        )


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What an administrator and an owner type."""
    segue = Cli(capsys)
    (tmp_path / "crm.json").write_text(CRM)
    (tmp_path / "flow.yaml").write_text(flow("list"))
    data = ("--data", tmp_path / "data")
    assert segue("connections", "add", "crm", "--openapi", tmp_path / "crm.json", *data).code == 0
    assert segue("publish", tmp_path / "flow.yaml", *data).code == 0
    told = segue("connections", "own", "crm", "group:sales", "--reason", "theirs", *data)
    assert (told.out, told.err) == ("crm belongs to group:sales\n", "goes on: demo/flow: read\n")
    assert "group:sales" in segue("connections", "list", *data).out
    assert segue("consents", "revoke", "1", "--reason", "no more", *data).out == "revoked: demo/flow read crm\n"
    assert segue("consents", "grant", "1", "--reason", "well", *data).out == "granted: demo/flow read crm\n"
    assert "demo/flow" in segue("consents", "list", *data).out
    assert segue("connections", "own", "crm", "sales", "--reason", "x", *data).code == 2
