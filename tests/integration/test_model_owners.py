"""Owners of models: whose model it is, what it is for, and who consented to its use."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.api_support import client_of, problem
from tests.integration.cli_support import Cli
from tests.integration.test_waiting import person

from segue.ai import ModelRegistry, Prediction
from segue.service import (
    ConsentDecision,
    NewIdentity,
    NewOwner,
    NewPolicy,
    Service,
    ServiceError,
    Settings,
    open_service,
)
from segue.types import acting_as

PIA, ANN = person("pia", "publisher"), person("ann", "viewer")
SAM = person("sam", "viewer", groups=frozenset({"risk"}))
YES, NO = ConsentDecision(grant=True, reason="fine"), ConsentDecision(grant=False, reason="not for this")
DECISION = (
    "{call: decision, with: {model: churn, version: 1.0.0, input: 1, title: Sure?, threshold: 0, sample: 0,"
    " assign: {role: approver}, deadline: {after: P1D, outcome: reject}}}"
)


def asks(*tasks: str, name: str = "asks", version: str = "1.0.0", **said: Any) -> str:
    metadata = f", metadata: {{segue: {json.dumps(said)}}}" if said else ""
    listed = "".join(f"- t{n}: {task}\n" for n, task in enumerate(tasks))
    return f"document: {{dsl: '1.0.3', namespace: demo, name: {name}, version: '{version}'{metadata}}}\ndo:\n{listed}"


def model(name: str) -> str:
    return f"{{call: model, with: {{name: {name}, input: 1}}}}"


def registry() -> ModelRegistry:
    found = ModelRegistry()
    for name, more in (
        ("churn", {}),
        ("credit", {"risk": "high", "use_cases": ("lending",), "purpose": "credit scores"}),
        ("free", {}),
    ):
        found.register(lambda given: Prediction(given, 0.9), name, **more)  # type: ignore[arg-type]
    return found


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with open_service(tmp_path / "data", Settings(), models=registry()) as opened:
        for who in (PIA, ANN, SAM):
            await opened.accounts.add(NewIdentity(id=who.id, roles=sorted(who.roles), groups=sorted(who.groups)))
        yield opened


async def own(service: Service, owner: str | None = "person:ann", name: str = "churn") -> Any:
    return await service.owning.own_model(name, NewOwner(owner=owner, reason="a test"))


async def refused(kind: str, act: Any) -> ServiceError:
    with pytest.raises(ServiceError) as error:
        await act
    assert error.value.kind == kind, error.value
    return error.value


async def ends(service: Service, name: str = "asks", given: Any = None) -> tuple[str, Any]:
    run, _ = await service.runs.start(f"demo/{name}", input=given)
    for _ in range(300):
        found = await service.runs.get(run.id)
        if found.status in ("completed", "faulted"):
            return found.status, found.error
        await asyncio.sleep(0.02)
    raise AssertionError(found.status)


async def decided(service: Service, who: Any, wanted: ConsentDecision, number: int = 1) -> Any:
    with acting_as(who):
        return await service.owning.decide(number, wanted)


@pytest.mark.parametrize("task", [model("churn"), DECISION, "{do: [{x: " + model("churn") + "}]}"])
async def test_a_new_use_waits_for_the_owner_and_then_runs(service: Service, task: str) -> None:
    """Asked for by itself, in a list, or by a function that asks it: whose model it is counts."""
    await own(service)
    with acting_as(PIA):
        told = await refused("approval-needed", service.workflows.publish(asks(task)))
    assert "person:ann must consent to its use of the model 'churn'" in str(told.detail)
    with acting_as(ANN):
        (waits,) = (await service.waiting.page()).items
    assert (waits.kind, waits.title) == ("consent", "Let demo/asks use model:churn")
    await refused("permission-denied", decided(service, PIA, YES))
    assert (await decided(service, ANN, YES)).access == "use"
    assert (await ends(service))[0] == "completed"
    with acting_as(PIA):  # a later version goes on, and so does what nobody owns
        await service.workflows.publish(asks(task, model("free"), version="1.1.0"))


async def test_what_asked_it_before_goes_on_and_what_is_taken_back_is_refused(service: Service) -> None:
    """Naming an owner stops nothing; taking a consent back stops the next question."""
    await service.workflows.publish(asks(model("churn")))
    assert (await own(service, "group:risk")).kept == ["demo/asks: use"]
    assert (await ends(service))[0] == "completed"
    assert (await decided(service, SAM, NO)).state == "revoked"
    status, error = await ends(service)
    assert status == "faulted"
    assert error["type"].endswith("/authorization")
    assert "group:risk owns the model 'churn'" in json.dumps(error)
    await own(service, None)
    assert (await ends(service))[0] == "completed"


async def test_a_computed_name_is_refused_when_it_is_asked(service: Service) -> None:
    """Nobody gets round an owner by computing a name."""
    await own(service)
    await service.workflows.publish(asks(model("'${ .which }'")))
    assert (await ends(service, given={"which": "free"}))[0] == "completed"
    status, error = await ends(service, given={"which": "churn"})
    assert (status, "person:ann owns the model" in json.dumps(error)) == ("faulted", True)


async def test_owners_are_kept_and_the_register_tells_them(tmp_path: Path) -> None:
    """Whose it is, how risky, what for, and who asks it; over a restart."""
    folder = tmp_path / "data"
    async with open_service(folder, Settings(), models=registry()) as service:
        await service.workflows.publish(asks(model("churn")))
        await own(service)
        await own(service, "group:risk", "credit")
    async with open_service(folder, Settings(), models=registry()) as service:
        found = {m.name: m for m in await service.models.all()}
        assert (found["churn"].owner, found["churn"].used_by) == ("person:ann", ["demo/asks"])
        assert (found["credit"].owner, found["credit"].risk, found["credit"].use_cases) == (
            *("group:risk", "high"),
            ["lending"],
        )
        assert found["free"].owner is None
        assert (await ends(service))[0] == "completed"
        with acting_as(PIA):
            await refused("approval-needed", service.workflows.publish(asks(model("churn"), name="other")))
            await refused("permission-denied", own(service, "person:pia"))
        await refused("model-unknown", own(service, name="gone"))


async def test_a_model_is_used_for_what_its_card_is_for(service: Service) -> None:
    """Refused at publishing with the place, the model and what it is for; whoever publishes."""
    for said in ({}, {"use_case": "recruiting"}):
        told = await refused("definition-refused", service.workflows.publish(asks(model("credit"), **said)))
        (finding,) = [f for f in told.findings if f.rule == "model-use"]
        assert finding.pointer == "/do/0/t0"
        assert "is for lending" in finding.message
    await service.workflows.publish(asks(model("credit"), use_case="lending"))


async def test_rules_see_which_models_a_document_asks(service: Service) -> None:
    """So that a model needs two pairs of eyes, by a rule."""
    rule = (
        '@id("credit-needs-two") @approval("publisher") forbid (principal, action == Action::"workflow.publish",'
        ' resource) when { context.models.contains("credit") };'
    )
    await service.permissions.change("models", NewPolicy(text=rule, reason="a test"))
    with acting_as(PIA):
        await service.workflows.publish(asks(model("free")))
        await refused(
            "approval-needed", service.workflows.publish(asks(model("credit"), name="other", use_case="lending"))
        )


async def test_governed_publishing_asks_for_owner_purpose_and_risk_of_models(tmp_path: Path) -> None:
    """As for the document itself, and a risk is not talked down."""
    down = {"type": "communication", "status": 503}
    said: dict[str, Any] = {
        **dict.fromkeys(("owner", "purpose"), "x"),
        **dict.fromkeys(("error_route", "fallback"), "role:owner"),
        "tests": [{"name": "out of reach", "answers": {"t0": {"error": down}}, "expect": {"error": down}}],
        "risk": "minimal",
        "classes": [],
        "use_case": "lending",
    }
    async with open_service(tmp_path / "data", Settings(publishing="block"), models=registry()) as service:
        told = await refused("definition-refused", service.workflows.publish(asks(model("churn"), **said)))
        assert {f.rule for f in told.findings} == {"unowned-model", "ungoverned-model"}
        await own(service, name="credit")
        told = await refused("definition-refused", service.workflows.publish(asks(model("credit"), **said)))
        assert [f.rule for f in told.findings] == ["model-risk"]
        await service.workflows.publish(asks(model("credit"), **{**said, "risk": "high"}))


async def test_over_http(service: Service) -> None:
    """With who asked it before, and refusals as problems."""
    await service.workflows.publish(asks(model("churn")))
    async with client_of(service) as client:
        body = {"owner": "person:ann", "reason": "hers"}
        found = (await client.post("/api/v1/models/churn/owner", json=body)).json()
        assert found == {"model": "churn", "owner": "person:ann", "kept": ["demo/asks: use"]}
        problem(await client.post("/api/v1/models/gone/owner", json=body), 404, "model-unknown")
        uses = (await client.get("/api/v1/consents", params={"connection": "model:churn"})).json()["items"]
        assert [(u["connection"], u["access"], u["state"]) for u in uses] == [("model:churn", "use", "granted")]
        acts = {r["action"] for r in (await client.get("/api/v1/audit", params={"limit": 50})).json()["items"]}
        assert {"model.own", "consent.grant"} <= acts


def test_on_the_command_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """An unknown model is said to be unknown."""
    segue = Cli(capsys)
    done = segue("models", "own", "churn", "person:ann", "--reason", "hers", "--data", tmp_path / "data")
    assert (done.code, "churn" in done.err) == (2, True)
