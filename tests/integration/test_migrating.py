"""Migration of live runs, over a real data folder and over the API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from tests.integration.api_support import client_of, problem
from tests.integration.service_support import PAID, document
from tests.integration.test_steering import Work, waiting

from segue.handlers import FunctionRegistry
from segue.service import Service, ServiceError, Settings, open_service
from segue.service.functions import register

OLD = """
- one:
    call: work
    with: {step: one, got: 1}
- waits:
    listen: {to: {one: {with: {type: order.paid}}}}
- last:
    set: {by: old}
"""
NEW = """
- zero:
    set: {n: 0}
- one:
    call: work
    with: {step: one, got: 1}
- waits:
    listen: {to: {one: {with: {type: order.paid}}}}
- last:
    set: {by: new}
"""
OTHER = NEW.replace("waits:", "payment:")


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with opened(tmp_path) as made:
        await made.workflows.publish(document(OLD, name="steps", version="1.0.0"))
        await made.workflows.publish(document(NEW, name="steps", version="2.0.0"))
        await made.workflows.publish(document(OTHER, name="steps", version="3.0.0"))
        yield made


def opened(folder: Path) -> AbstractAsyncContextManager[Service]:
    functions = FunctionRegistry()
    register(functions, Work().work, "work")
    return open_service(folder / "data", Settings(), functions=functions)


async def at_event(service: Service) -> str:
    run, _ = await service.runs.start("demo/steps", "1.0.0")
    await waiting(service, run.id)
    return run.id


async def test_a_run_goes_on_under_another_version(service: Service) -> None:
    """It ends as that version says; its history says who took it there, and looking back works over it."""
    run_id = await at_event(service)
    tried = await service.migrating.run(run_id, "2.0.0")
    assert (tried.migrated, tried.obstacles) == (False, [])
    assert [(m.before, m.after) for m in tried.position] == [("/do/1/waits", "/do/2/waits")]
    done = await service.migrating.run(run_id, "2.0.0", by="ann", reason="mended", dry_run=False)
    assert done.migrated

    await service.events.send([PAID])
    await service.runs.wait(run_id)
    ended = await service.runs.get(run_id)
    assert (ended.output, ended.workflow.version) == ({"by": "new"}, "2.0.0")
    history = (await service.runs.history(run_id)).items
    (event,) = [e for e in history if e["e"] == "migrated"]
    assert (event["by"], event["reason"]) == ("ann", "mended")
    before = await service.steering.at(run_id, 2)
    assert [c.pointer for c in before.open] == ["/do/1/waits"]
    made = await service.steering.fork(run_id, "/do/1/waits")
    await waiting(service, made.id)


async def test_a_migrated_run_survives_a_restart(tmp_path: Path) -> None:
    """Its history begins under one version and goes on under another."""
    async with opened(tmp_path) as service:
        await service.workflows.publish(document(OLD, name="steps", version="1.0.0"))
        await service.workflows.publish(document(NEW, name="steps", version="2.0.0"))
        run_id = await at_event(service)
        await service.migrating.run(run_id, "2.0.0", reason="mended", dry_run=False)
    async with opened(tmp_path) as service:
        await service.events.send([PAID])
        await service.runs.wait(run_id)
        ended = await service.runs.get(run_id)
        assert (ended.output, ended.workflow.version) == ({"by": "new"}, "2.0.0")


async def test_what_stands_against_it_changes_nothing(service: Service) -> None:
    """Every reason, and what to do; a mapping helps."""
    run_id = await at_event(service)
    refused = await service.migrating.run(run_id, "3.0.0", reason="try", dry_run=False)
    assert not refused.migrated
    assert [o.pointer for o in refused.obstacles] == ["/do/1/waits"]
    assert (await service.runs.get(run_id)).workflow.version == "1.0.0"
    done = await service.migrating.run(
        run_id, "3.0.0", {"/do/1/waits": "/do/2/payment"}, reason="with a mapping", dry_run=False
    )
    assert done.migrated


async def test_all_live_runs_of_a_version_are_migrated_and_the_others_named(service: Service) -> None:
    """A hundred runs are not migrated by hand."""
    runs = [await at_event(service) for _ in range(3)]
    await service.migrating.run(runs[0], "2.0.0", reason="first", dry_run=False)
    tried = await service.migrating.all("demo/steps", "2.0.0")
    assert (tried.matched, tried.migrated, tried.dry_run) == (2, 2, True)
    done = await service.migrating.all("demo/steps", "3.0.0", since="1.0.0", reason="all", dry_run=False)
    assert (done.matched, done.migrated, len(done.refused)) == (2, 0, 2)
    done = await service.migrating.all("demo/steps", "2.0.0", reason="all", dry_run=False)
    assert (done.matched, done.migrated) == (2, 2)


async def test_refusals_say_why(service: Service) -> None:
    """A closed run, no reason, a version that is not there."""
    run_id = await at_event(service)
    for version, reason, kind in (("2.0.0", " ", "choice-refused"), ("9.0.0", "why", "workflow-unknown")):
        with pytest.raises(ServiceError) as caught:
            await service.migrating.run(run_id, version, reason=reason, dry_run=False)
        assert caught.value.kind == kind
    await service.events.send([PAID])
    await service.runs.wait(run_id)
    with pytest.raises(ServiceError) as caught:
        await service.migrating.run(run_id, "2.0.0", reason="late", dry_run=False)
    assert caught.value.kind == "run-closed"


async def test_the_api_migrates(service: Service) -> None:
    """A dry run, the run itself, and all of them."""
    run_id = await at_event(service)
    async with client_of(service) as client:
        tried = await client.post(f"/api/v1/runs/{run_id}/migrate", json={"version": "2.0.0", "dryRun": True})
        assert tried.json()["position"][0]["after"] == "/do/2/waits"
        refused = await client.post(f"/api/v1/runs/{run_id}/migrate", json={"version": "2.0.0", "reason": " "})
        problem(refused, 422, "choice-refused")
        done = await client.post(
            "/api/v1/migrations", json={"workflow": "demo/steps", "version": "2.0.0", "reason": "x"}
        )
        assert done.json()["migrated"] == 1
