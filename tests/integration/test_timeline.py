"""Stories over all workflows: one subject's timeline, an effect's origin, what changed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.integration.service_support import document

from segue.handlers import FunctionRegistry
from segue.service import (
    IdentityChange,
    NewIdentity,
    NewPolicy,
    NewSwitch,
    Service,
    ServiceError,
    Settings,
    init_keys,
    open_service,
)
from segue.service.functions import register
from segue.types import Identity, acting_as

OWNER = Identity(kind="person", id="owner", roles=frozenset({"owner"}))
ANN = Identity(kind="person", id="ann", roles=frozenset({"admin", "publisher", "operator"}))
VIC = Identity(kind="person", id="vic", roles=frozenset({"viewer"}))
NEVER = '@id("n") forbid (principal, action, resource) when { false };'
ABOUT = "version: '1.0.0', metadata: {segue: {subject: '${ .customer }'}}}"
CHARGE = document("- charge: {call: charge, with: {amount: '${ .amount }'}}", name="charge").replace(
    "version: '1.0.0'}", ABOUT
)
RENEW = document(
    """
    - choose:
        switch:
          - large: {when: .amount > 3, then: pay}
          - small: {then: exit}
    - pay:
        run:
          workflow:
            namespace: demo
            name: charge
            version: 1.0.0
            input: {customer: '${ .customer }', amount: '${ .amount }'}
    """,
    name="renew",
).replace("version: '1.0.0'}", ABOUT)


def charge(amount: int) -> dict[str, int]:
    return {"receipt": amount}


@asynccontextmanager
async def opened(folder: Path, recovery: str = "ask", **settings: str) -> AsyncIterator[Service]:
    functions = FunctionRegistry()
    register(functions, charge, "charge", recovery=recovery)
    async with open_service(folder, Settings(**settings), functions=functions) as service:
        with acting_as(ANN):
            await service.workflows.publish(CHARGE)
            await service.workflows.publish(RENEW)
        yield service


async def renew(service: Service, customer: str, amount: int = 5) -> str:
    with acting_as(ANN):
        run, _ = await service.runs.start("demo/renew", input={"customer": customer, "amount": amount})
    await service.runs.wait(run.id)
    return run.id


@pytest.mark.parametrize("is_encrypted", [False, True])
async def test_everything_about_one_subject_is_on_one_timeline(tmp_path: Path, is_encrypted: bool) -> None:
    """C109: over all workflows, and nobody else's; with keys and without."""
    settings = {}
    if is_encrypted:
        init_keys(tmp_path / "data", tmp_path / "kek")
        settings["key_file"] = str(tmp_path / "kek")
    async with opened(tmp_path / "data", **settings) as service:
        run = await renew(service, "c-1")
        other = await renew(service, "c-2")
        with acting_as(ANN):
            page = await service.timeline.about("c-1")
            assert {entry.workflow for entry in page.items} == {"demo/renew:1.0.0", "demo/charge:1.0.0"}
            assert other not in {entry.run for entry in page.items}
            assert [entry.at for entry in page.items] == sorted(entry.at for entry in page.items)
            (decision,) = [entry for entry in page.items if entry.kind == "decision"]
            assert decision.detail == {"case": "large", "saw": {"customer": "c-1", "amount": 5}}
            assert [e.what for e in page.items if e.kind == "effect"] == ["function: done"]
            started = next(e for e in page.items if e.what == "run.start" and e.run == run)
            assert started.by == "person:ann"
            first = await service.timeline.about("c-1", limit=1)
            assert first.next is not None
            rest = await service.timeline.about("c-1", limit=1, after=first.next)
            assert {e.run for e in rest.items}.isdisjoint({e.run for e in first.items})
            with pytest.raises(ServiceError, match="No run is about"):
                await service.timeline.about("c-3")


async def test_an_effect_leads_back_to_the_person_who_caused_it(tmp_path: Path) -> None:
    """C128: through the run that acted, the run above it, and the verdicts that allowed both."""
    async with opened(tmp_path) as service:
        run = await renew(service, "c-1")
        with acting_as(ANN):
            (effect,) = (await service.effects.page()).items
            found = await service.timeline.trace(effect.key)
            assert found.origin == "person:ann"
            whats = [step.what for step in found.steps]
            assert whats[0].startswith("attempt 1 through function at /do/0/charge: done")
            assert any(what.startswith(f"run {run} of demo/renew") for what in whats)
            assert whats[-1].startswith(f"run {run}")
            allowed = {(step.what, step.by) for step in found.allowed_by}
            assert ("run.start workflow:demo/renew: allow", "person:ann") in allowed
            assert ("workflow.publish workflow:demo/charge:1.0.0: done", "person:ann") in allowed
            with pytest.raises(ServiceError, match="holds an act"):
                await service.timeline.trace("nothing:0")


async def test_an_act_that_may_be_repeated_leads_back_too(tmp_path: Path) -> None:
    """C109, C128: a system that takes keys is the better one, and a refund through it is no less a refund."""
    rule = """@id("small") permit (principal, action == Action::"act.perform", resource);"""
    async with opened(tmp_path, recovery="repeat") as service:
        with acting_as(OWNER):
            await service.permissions.change("acts", NewPolicy(text=rule, reason="ours"))
        run = await renew(service, "c-1")
        with acting_as(ANN):
            assert (await service.effects.page()).items == []
            about = [e for e in (await service.timeline.about("c-1")).items if e.kind == "effect"]
            assert [(e.what, e.place) for e in about] == [("function: done", "/do/0/charge")]
            key = about[0].detail["key"]
            found = await service.timeline.trace(key)
            (attempt,) = await service.effects.get(key)
            for wrong in (f"{run}:99", "nothing", f"{run}"):
                with pytest.raises(ServiceError, match="holds an act"):
                    await service.timeline.trace(wrong)

    assert (attempt.state, attempt.receipt) == ("done", {"receipt": 5})
    assert found.origin == "person:ann"
    assert found.steps[0].what.startswith("attempt 1 through function at /do/0/charge: done")
    assert any("small" in step.what for step in found.allowed_by)


async def test_changes_of_the_installation_are_listed_together(tmp_path: Path) -> None:
    """C108: who changed what, without the work of the day in between."""
    api = "openapi: 3.0.3\ninfo: {title: t, version: '1'}\nservers: [{url: 'http://127.0.0.1:9'}]\npaths: {}\n"
    async with opened(tmp_path) as service:
        await renew(service, "c-1")
        await service.connections.add("crm", api)
        await service.accounts.add(NewIdentity(id="bob", roles=["viewer"]))
        await service.accounts.change("person", "bob", IdentityChange(roles=["approver"]))
        await service.accounts.change("person", "bob", IdentityChange(state="locked", reason="left"))
        await service.permissions.change("ours", NewPolicy(text=NEVER, reason="try"))
        await service.switches.stop(NewSwitch(kind="connection", name="crm", reason="wrong prices"))
        await service.switches.release(NewSwitch(kind="connection", name="crm", reason="right again"))
        with acting_as(VIC), pytest.raises(ServiceError):
            await service.switches.stop(NewSwitch(kind="connection", name="crm", reason="no"))
        page = await service.timeline.changes()

    roles = next(r.data["roles"] for r in page.items if r.data and "from" in r.data.get("roles", {}))
    assert roles == {"from": ["viewer"], "to": ["approver"]}
    assert {r.reason for r in page.items} == {"", "left", "try", "wrong prices", "right again"}
    assert [(r.action, r.principal) for r in page.items] == [
        ("switch.release", "person:owner"),
        ("switch.stop", "person:owner"),
        ("policy.change", "person:owner"),
        ("identity.change", "person:owner"),
        ("identity.change", "person:owner"),
        ("identity.change", "person:owner"),
        ("connection.add", "person:owner"),
        ("workflow.publish", "person:ann"),
        ("workflow.publish", "person:ann"),
        ("settings.change", "system:segue"),
    ]
