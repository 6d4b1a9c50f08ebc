"""Schedules of documents at work: which runs start when, and with what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from tests.conformance.documents.loading import HEADER, Loader
from tests.conformance.hosts.factories import EmbeddedWorld

from segue.dsl import compile_plan, read_document

CASES: list[dict[str, Any]] = yaml.load(
    Path(__file__).with_name("schedules.yaml").read_text(encoding="utf-8"), Loader
)


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[EmbeddedWorld]:
    made = EmbeddedWorld(tmp_path)
    yield made
    await made.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
async def test_a_schedule_starts_what_it_says(case: dict[str, Any], world: EmbeddedWorld) -> None:
    """Each case is a document, the events that arrive, and the runs that must be there in the end."""
    plans = [compile_plan(read_document(text)) for text in (HEADER + case["document"], *case.get("others", []))]
    host = await world.open({}, *plans)
    began = world.clock.now_ms()
    for plan in plans:
        await host.activate(plan.digest)
    for second in range(case["for_s"] + 1):
        for number, entry in enumerate(case.get("events", [])):
            if entry["after_s"] == second:
                envelope = {"specversion": "1.0", "id": f"event-{number}", "source": "/case"}
                await host.publish({**envelope, **entry["event"]})
        await asyncio.sleep(0.02)
        await world.advance(1000)

    found = (await host.runs()).items[::-1]
    seen = [[(run.started_at - began) // 1000, run.status, run.output] for run in found]
    assert seen == case["runs"], f"{case['name']} ({case['source']})"
