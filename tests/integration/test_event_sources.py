"""Who may send events under which source: nobody sends what a run would emit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.integration.api_support import api
from tests.integration.service_support import document
from tests.integration.test_masking import V1
from tests.integration.test_permissions import account

from segue import Run, Segue
from segue.service import ServiceError

WAIT = "- wait: {listen: {to: {one: {with: {type: x.go}}}}}\n"
TELLS = document(WAIT + "- tell: {emit: {event: {with: {type: x.told, data: {by: run}}}}}", name="tells")
RENAMED = document(
    WAIT + "- tell: {emit: {event: {with: {source: /crm/orders, type: x.told, data: {by: run}}}}}", name="tells"
)
HEARS = document(WAIT + "- hear: {listen: {to: {one: {with: {type: x.told}}}}}", name="hears")
EVENT = {"specversion": "1.0", "id": "1", "source": "/crm/orders", "type": "x.told", "data": {"by": "stranger"}}


GO = {"specversion": "1.0", "id": "go", "source": "/x", "type": "x.go"}


async def emitted(run: Run) -> dict[str, Any]:
    """What a run emitted."""
    await run.result()
    (event,) = (await run.detail()).events
    return event


@pytest.mark.parametrize("text", [TELLS, RENAMED])
async def test_nobody_takes_the_place_of_an_event_that_a_run_will_emit(tmp_path: Path, text: str) -> None:
    """Each source and id counts once: the run's own would be taken for a second one, and be lost."""
    async with Segue.open(tmp_path) as segue:
        await segue.publish(text)
        await segue.publish(HEARS)
        practice = await segue.start("demo/tells")
        await segue.send(GO)
        foreseen = await emitted(practice)
        run, listener = await segue.start("demo/tells"), await segue.start("demo/hears")
        # The number of the task is that of any other run; the run's own stands in every list.
        own = foreseen["id"].replace(practice.id, run.id)
        with pytest.raises(ServiceError) as refused:
            await segue.send({**EVENT, "source": foreseen["source"], "id": own})
        assert refused.value.kind == "event-refused"
        await segue.send({**GO, "id": "again"})
        real = await emitted(run)
        assert (real["source"], real["id"]) == (foreseen["source"], own)
        assert await listener.result() == [{"by": "run"}]


@pytest.mark.parametrize(
    ("source", "id"),
    [
        ("/demo/tells/1.0.0", "x"),
        ("/other/place/2.10.3-rc.1+b", "x"),
        ("/crm/orders", "0123456789ab-0123456789ab-5"),
        ("/crm/orders", "k-" + "a" * 30 + "~3~1-5"),
        ("/segue/exceptions", "1-1"),
    ],
)
async def test_what_is_ours_is_refused_whether_it_exists_or_not(tmp_path: Path, source: str, id: str) -> None:
    """Who knows a key foresees the run; who knows the company foresees the workflow."""
    async with Segue.open(tmp_path) as segue:
        with pytest.raises(ServiceError) as refused:
            await segue.send(EVENT, {**EVENT, "source": source, "id": id})
        assert refused.value.kind == "event-refused"
        assert "Event 1" in refused.value.detail


@pytest.mark.parametrize(
    ("source", "id"), [("/demo/tells", "17"), ("https://crm.example/demo/tells/1.0.0", "17"), ("/a/b/v1", "order-17")]
)
async def test_sources_of_other_systems_are_taken(tmp_path: Path, source: str, id: str) -> None:
    """What only looks alike belongs to them."""
    async with Segue.open(tmp_path) as segue:
        assert (await segue.send({**EVENT, "source": source, "id": id})).accepted == 1


async def test_a_rule_says_who_may_send_under_which_source(tmp_path: Path) -> None:
    """Each source in a batch is asked about, the first and the others."""
    text = (
        '@id("crm-sends") forbid (principal, action == Action::"event.send", resource)'
        ' when { resource.source like "/crm/*" } unless { principal == Account::"crm" };'
    )
    async with api(tmp_path) as client:
        ola, crm = await account(client, "ola", "operator"), await account(client, "crm", "operator")
        put = await client.post(f"{V1}/policies/events-here", json={"text": text, "reason": "a test"})
        assert put.status_code < 300, put.text
        other = {**EVENT, "source": "/shop", "id": "2"}
        kind = {"content-type": "application/cloudevents-batch+json"}

        async def send(who: Any, *events: dict[str, Any]) -> int:
            import json

            return (
                await client.post(f"{V1}/events", content=json.dumps(events), headers={**who, **kind})
            ).status_code

        assert await send(ola, other) == 202
        assert await send(ola, EVENT, other) == 403
        assert await send(ola, other, EVENT) == 403
        assert await send(crm, other, EVENT) == 202
