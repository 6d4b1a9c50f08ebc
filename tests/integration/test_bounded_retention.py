"""Retention beside the work, and by command."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from tests.integration.api_support import YAML, api
from tests.integration.cli_support import Cli, serving
from tests.integration.service_support import PAID, WAITS, document

from segue.service import NewPurge, Settings, load_settings, open_service
from segue.store import DAY_MS
from segue.store.records import Sql

QUICK = document(name="quick")
BRIEF = document(name="brief").replace("version: '1.0.0'", "version: '1.0.0', metadata: {segue: {retention_days: 2}}")


def aged(days: float) -> list[Sql]:
    """As if everything had happened so many days earlier."""
    past = int(days * DAY_MS)
    return [
        ("UPDATE run SET ended_at = ended_at - ? WHERE ended_at IS NOT NULL", (past,)),
        ("UPDATE event SET received_at = received_at - ?", (past,)),
    ]


async def test_closed_runs_go_after_their_days_and_running_ones_stay(tmp_path: Path) -> None:
    """On by default, by the setting or by what the workflow says."""
    async with open_service(tmp_path, Settings()) as service:
        for source in (QUICK, BRIEF, WAITS):
            await service.workflows.publish(source)
        waiting = (await service.runs.start("demo/waits"))[0].id
        for name in ("quick", "brief", "quick", "brief"):
            run, _ = await service.runs.start(f"demo/{name}")
            await service.host.wait_closed(run.id)  # type: ignore[union-attr]
        last, _ = await service.runs.start("demo/waits")
        await service.store.write(aged(3))
        shown = {w.name: (w.days, w.said_by, w.due) for w in (await service.retention.show()).workflows}
        assert shown == {"quick": (90, "setting", 0), "brief": (2, "document", 2), "waits": (90, "setting", 0)}
        assert (await service.retention.run(NewPurge(dry_run=True))).runs == 2
        assert (await service.retention.run(NewPurge())).runs == 2
        await service.store.write(aged(90))
        assert (await service.retention.run(NewPurge())).runs == 2
        left = {run.id for run in (await service.store.runs()).items}
        assert left == {waiting, last.id}
        await service.events.send([PAID])
        assert (await service.host.wait_closed(waiting)).status == "completed"  # type: ignore[union-attr]


async def test_zero_keeps_for_ever(tmp_path: Path) -> None:
    """Some must keep everything, and say so."""
    async with open_service(tmp_path, Settings(retention_days=0, event_retention_days=0)) as service:
        await service.workflows.publish(QUICK)
        for _ in range(2):
            run, _ = await service.runs.start("demo/quick")
            await service.host.wait_closed(run.id)  # type: ignore[union-attr]
        await service.store.write(aged(10_000))
        assert (await service.retention.run(NewPurge())).runs == 0
        shown = await service.retention.show()
        assert (shown.days, shown.event_days) == (None, None)


async def test_the_host_does_it_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to remember."""
    monkeypatch.setattr("segue.hosts.embedded.upkeep._FIRST_PURGE_SECONDS", 0.3)
    async with open_service(tmp_path, Settings()) as service:
        await service.workflows.publish(QUICK)
        for _ in range(5):
            run, _ = await service.runs.start("demo/quick")
            await service.host.wait_closed(run.id)  # type: ignore[union-attr]
        await service.store.write(aged(91))
        async with asyncio.timeout(10):
            while sum((await service.store.count_runs()).values()) > 1:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.05)


async def test_the_api_shows_and_runs_retention(tmp_path: Path) -> None:
    """The same two use cases."""
    async with api(tmp_path) as client:
        await client.post("/api/v1/workflows", content=QUICK, headers=YAML)
        shown = (await client.get("/api/v1/retention")).json()
        assert (shown["days"], shown["eventDays"], shown["shrinks"]) == (90, 30, True)
        done = await client.post("/api/v1/retention/run", json={"dryRun": True})
        nothing = dict.fromkeys(("runs", "events", "history", "acts", "bytes"), 0)
        assert done.json() == {"dryRun": True, **nothing, "complete": True}


def test_the_commands_work_with_a_server_and_without(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An operator cleans up before starting a server, or beside one."""
    cli, data = Cli(capsys), tmp_path / "data"
    (tmp_path / "quick.yaml").write_text(QUICK)
    with serving(data):
        cli("publish", tmp_path / "quick.yaml", "--data", data)
        for _ in range(3):
            cli("runs", "start", "demo/quick", "--wait", "--data", data)
        assert "90 days" in cli("retention", "show", "--data", data).out
    asyncio.run(_age(data))
    assert "2 runs and 0 events would be removed" in cli("retention", "run", "--dry-run", "--data", data).out
    with serving(data):
        assert cli("retention", "run", "--data", data, "--json").json["runs"] == 2
    assert json.loads(cli("runs", "list", "--data", data, "--json").out)["items"]


async def _age(data: Path) -> None:
    async with open_service(data, load_settings(data), drive=False) as service:
        await service.store.write(aged(91))
