"""`call: decision`: a model answers, and a person where it is unsure or the sample says so."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.integration.service_support import document

from segue.ai import ModelRegistry, Prediction
from segue.service import NewDecision, Settings, open_service

SCORED = document(
    """
    - judge:
        call: decision
        with:
          model: churn
          version: 2.0.0
          input: {months: '${ .months }'}
          title: At risk?
          threshold: 0.8
          sample: '${ .sample }'
          assign: {role: approver}
          deadline: {after: P1D, outcome: expired}
    """,
    name="scored",
)


def models() -> ModelRegistry:
    registry = ModelRegistry()

    def churn(input: dict[str, Any]) -> Prediction:
        return Prediction("high", 0.6) if input["months"] < 6 else Prediction("low", 0.9)

    registry.register(churn, "churn", version="2.0.0")
    return registry


@pytest.mark.parametrize(("months", "sample", "asked"), [(3, 0, "below-threshold"), (9, 1, "sampled"), (9, 0, "no")])
async def test_a_person_is_asked_below_the_threshold_and_for_a_share_above(
    tmp_path: Path, months: int, sample: float, asked: str
) -> None:
    """And what nobody looked at says so."""
    async with open_service(tmp_path / "data", Settings(), models=models()) as service:
        await service.workflows.publish(SCORED.encode())
        run, _ = await service.runs.start("demo/scored", input={"months": months, "sample": sample})
        assert service.host is not None
        if asked != "no":
            task = await _first(service)
            page = await service.tasks.get(task)
            assert page.about["version"] == "2.0.0"
            await service.tasks.decide(task, NewDecision(outcome="edit", seen=page.seen, data="medium"))
        output = (await service.host.wait_closed(run.id)).output
        labels = (await service.tasks.labels(model="churn", version="2.0.0")).items
    assert output["asked"] == asked
    assert output["outcome"] == ("unreviewed" if asked == "no" else "approve")
    assert output["value"] == ("low" if asked == "no" else "medium")
    assert [(x.input, x.decided, x.agreed) for x in labels] == (
        [] if asked == "no" else [({"months": months}, "medium", False)]
    )


async def _first(service: Any) -> int:
    async def look() -> int:
        items: list[Any] = []
        while not items:
            items = (await service.tasks.page()).items
            await asyncio.sleep(0.01)
        number: int = items[0].id
        return number

    return await asyncio.wait_for(look(), 10)
