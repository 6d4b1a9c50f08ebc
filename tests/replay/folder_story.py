"""The data folder of a release: a few runs in each of the places where an upgrade can find them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

from segue.handlers import FunctionRegistry
from segue.service import Service, Settings, open_service
from segue.service.functions import register

FOLDERS: Final = Path(__file__).parent / "folders"
SETTINGS: Final = Settings(failures="hold", retention_days=0, event_retention_days=0)
"""Nothing is purged: the folders of old releases are old."""

DOCUMENT: Final = """\
document: {dsl: '1.0.3', namespace: golden, name: upgrade, version: 1.0.0}
do:
- first: {call: work, with: {what: '${ .what }', times: '${ .times }'}, export: {as: '${ {first: .} }'}}
- way:
    switch:
    - event: {when: $workflow.input.what == "event", then: paid}
    - clock: {when: '$workflow.input.what == "clock" or $workflow.input.what == "paused"', then: pause}
    - ended: {then: last}
- pause: {wait: PT5S, then: last}
- paid: {listen: {to: {one: {with: {type: order.paid}, correlate: {order: {from: .data.order, expect: '${ 7 }'}}}}}}
- last: {set: {first: '${ $context.first }', before: '${ . }', large: '${ $workflow.input.large | length }'}}
"""
WHATS: Final = ("ended", "event", "clock", "held", "under-way", "paused")
LARGE: Final = "0123456789abcdef" * 3_000


def functions(*, later: bool) -> FunctionRegistry:
    """The function of the story; before the upgrade it fails or hangs where the story wants it."""

    async def work(what: str, times: int) -> Any:
        if not later and what == "held":
            raise RuntimeError("as the story says")
        if not later and what == "under-way":
            await asyncio.Event().wait()
        return {"what": what, "later": later, "times": times}

    registry = FunctionRegistry()
    register(registry, work, "work")
    return registry


async def fill(folder: Path) -> None:
    """Leave a data folder as a release leaves it."""
    async with open_service(folder, SETTINGS, functions=functions(later=False)) as service:
        await service.workflows.publish(DOCUMENT)
        for times, what in enumerate(WHATS):
            given = {"what": what, "times": times, "large": LARGE if what == "event" else ""}
            await service.runs.start("golden/upgrade", input=given, key=what)
        await service.runs.control(await run_named(service, "paused"), "pause", by="eva", reason="upgrade")
        await _until_at_rest(service)


async def run_named(service: Service, what: str) -> str:
    """Id of the run of this kind."""
    given = {"what": what, "times": WHATS.index(what), "large": LARGE if what == "event" else ""}
    run, started = await service.runs.start("golden/upgrade", input=given, key=what)
    assert not started, f"the run {what!r} is gone"
    return run.id


async def _until_at_rest(service: Service) -> None:
    wanted = {
        "ended": "completed",
        "event": "waiting",
        "clock": "waiting",
        "held": "suspended",
        "paused": "suspended",
    }
    for _ in range(500):
        found = {what: (await service.runs.get(await run_named(service, what))).status for what in wanted}
        if found == wanted:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"the runs came to {found}, not {wanted}")
