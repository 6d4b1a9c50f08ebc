"""An exception that nobody decides in time goes to the next owner, who is told; the log proves it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.integration.service_support import document

from segue.handlers import FunctionRegistry
from segue.service import NoticeView, Service, ServiceError, Settings, open_service
from segue.service.functions import register
from segue.store.human_tasks import delete_of_runs
from segue.store.retention import delete_runs
from segue.types import Identity, acting_as, fail

BREAKS = document("- charge: {call: charge}\n", name="billing")
LADDER = Settings(failures="hold", escalate_after="PT0.3S", escalate_to=("lead", "head"))


def broken() -> None:
    raise fail("validation", "no")


def functions() -> FunctionRegistry:
    registry = FunctionRegistry()
    register(registry, broken, "charge")
    return registry


async def told(service: Service, name: str, number: int = 1) -> list[NoticeView]:
    """What somebody was told in the app, once there is so much."""
    someone = Identity(kind="person", id=name, roles=frozenset({"operator"}))
    for _ in range(200):
        with acting_as(someone):
            found = (await service.profiles.notices()).items
        if len(found) >= number:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"{name} was not told")


async def records(service: Service) -> list[dict[str, Any]]:
    page = await service.audit.page(action="exception.escalate")
    return [record.data for record in page.items]


async def test_each_step_tells_its_owner_and_is_on_record(tmp_path: Path) -> None:
    """The first name is a person, the second a role that two have."""
    async with open_service(tmp_path, LADDER, functions=functions()) as service:
        await service.profiles.put("lead", {})
        for name in ("ann", "ben"):
            await service.profiles.put(name, {"roles": ["head"]})
        await service.workflows.publish(BREAKS)
        await service.runs.start("demo/billing")
        (notice,) = await told(service, "lead")
        (exception,) = (await service.exceptions.page(state="overdue")).items
        assert (notice.kind, notice.exception, notice.task) == ("overdue", exception.id, None)
        assert "demo/billing at /do/0/charge" in notice.title
        for name in ("ann", "ben"):
            assert [n.exception for n in await told(service, name)] == [exception.id]
        assert [(r["from"], r["owner"], r["level"]) for r in reversed(await records(service))] == [
            (None, "lead", 1),
            ("lead", "head", 2),
        ]
        assert (await service.exceptions.get(exception.id)).owner == "head"
        assert (await service.audit.verify()).sound


async def test_what_is_decided_in_time_is_nobody_elses(tmp_path: Path) -> None:
    """A deadline is for what waits."""
    slow = Settings(failures="hold", escalate_after="PT1H", escalate_to=("lead",))
    async with open_service(tmp_path, slow, functions=functions()) as service:
        await service.workflows.publish(BREAKS)
        await service.runs.start("demo/billing")
        for _ in range(100):
            if found := (await service.exceptions.page()).items:
                break
            await asyncio.sleep(0.05)
        assert found[0].deadline is not None
        await service.exceptions.decide(found[0].id, "give-up", reason="no")
        assert await records(service) == []


async def test_notices_go_with_their_run(tmp_path: Path) -> None:
    """What retention removes must not leave names behind."""
    async with open_service(tmp_path, LADDER, functions=functions()) as service:
        await service.profiles.put("lead", {})
        await service.workflows.publish(BREAKS)
        await service.runs.start("demo/billing")
        await told(service, "lead")
        await service.store.write([*delete_of_runs("[1]"), *delete_runs([1])])
        left = await service.store.read(lambda c: c.execute("SELECT count(*) FROM notice").fetchone())
        assert left == (0,)


@pytest.mark.parametrize("wrong", [{"escalate_to": ("a",)}, {"escalate_after": "soon"}])
async def test_a_ladder_that_cannot_be_climbed_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    """At the start, and not in the night of the failure."""
    with pytest.raises(ServiceError, match="escalate_after"):
        async with open_service(tmp_path, Settings(**wrong)):
            pass
