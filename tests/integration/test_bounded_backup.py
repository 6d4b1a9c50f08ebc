"""Backup of a working server, and what a restored folder does."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from tests.conformance.hosts.building import NoSecrets, PlanBook, act, workflow
from tests.integration.api_support import YAML, api, problem
from tests.integration.cli_support import Cli, serving, start
from tests.integration.service_support import PAID, WAITS

from segue.hosts import EmbeddedHost
from segue.store import RunFilter, back_up, restore
from segue.store.folder import DATABASE_NAME, open_writer
from segue.types import EffectContext, Perform, Recovery

WORK = workflow("work", *(act(f"step-{n}", "step") for n in range(5)))


class Step:
    """An act that takes no time."""

    def perform_now(self, command: Perform, context: EffectContext) -> object:
        return {"name": command.name, "text": "x" * 200}

    async def perform(self, command: Perform, context: EffectContext) -> object:
        return self.perform_now(command, context)

    def recovery(self, command: Perform) -> Recovery:
        return "repeat"


def opening(folder: Path):  # type: ignore[no-untyped-def]
    return EmbeddedHost.open(folder, handlers={"step": Step()}, plans=PlanBook(WORK), secrets=NoSecrets())


async def test_a_backup_under_full_load_is_consistent_and_goes_on_where_it_was(tmp_path: Path) -> None:
    """Every run in it is whole: as far as its row says, and able to end."""
    stop = asyncio.Event()
    started = 0  # By the load, not by the loop below.

    async def load(host: EmbeddedHost) -> None:
        nonlocal started
        while not stop.is_set():
            ids = await host.start_many(WORK.digest, range(50))
            started += len(ids)
            await asyncio.gather(*(host.wait_closed(i) for i in ids))

    async with opening(tmp_path / "data") as host:
        busy = [asyncio.create_task(load(host)) for _ in range(4)]
        while started < 2000:
            await asyncio.gather(*(host.wait_closed(i) for i in await host.start_many(WORK.digest, range(10))))
        before = started
        files = [tmp_path / f"kept-{n}.db" for n in range(3)]
        manifests = [await asyncio.to_thread(back_up, tmp_path / "data", file, release="t") for file in files]
        during = started - before
        stop.set()
        await asyncio.gather(*busy)

    assert during > 0, "the host stood still meanwhile, so this shows nothing"
    assert manifests[0].newest_run < manifests[-1].newest_run
    for number, (file, manifest) in enumerate(zip(files, manifests, strict=True)):
        folder = tmp_path / f"restored-{number}"
        restore(file, folder)
        async with opening(folder) as host:
            assert manifest.newest_run >= before * (number == 0)
            async with asyncio.timeout(30):
                for run in (await host.runs(RunFilter(residence="live"), limit=1000)).items:
                    await host.wait_closed(run.id)
            assert await host.store.count_runs() == {"completed": manifest.newest_run}


def test_the_writer_does_not_wait_for_a_backup(tmp_path: Path) -> None:
    """A commit in the middle of the copy comes through at once, and is not in it."""
    (tmp_path / "data").mkdir()
    with closing(open_writer(tmp_path / "data" / DATABASE_NAME)) as writer:
        writer.execute("CREATE TABLE filler (a)")
        writer.executemany("INSERT INTO filler VALUES (randomblob(60000))", [()] * 300)
        made = threading.Thread(
            target=back_up, args=(tmp_path / "data", tmp_path / "kept.db"), kwargs={"release": "t"}
        )
        made.start()
        commits = 0
        while made.is_alive():
            writer.execute("INSERT INTO filler VALUES (1)")
            commits += 1
        made.join()
    assert commits > 5
    with closing(sqlite3.connect(tmp_path / "kept.db")) as kept:
        assert kept.execute("SELECT count(*) FROM filler").fetchone()[0] < 300 + commits
        assert kept.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_the_command_backs_up_a_served_folder_and_restores_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As an operator does it, with a run that waits over it all."""
    cli = Cli(capsys)
    (tmp_path / "waits.yaml").write_text(WAITS)
    data, new = tmp_path / "data", tmp_path / "new"
    with serving(data):
        cli("publish", tmp_path / "waits.yaml", "--data", data)
        run = cli("runs", "start", "demo/waits", "--data", data, "--json").json["id"]
        made = cli("backup", tmp_path / "kept.db", "--data", data, "--json")
        assert (made.code, made.json["newestRun"]) == (0, 1)
        again = cli("backup", tmp_path / "kept.db", "--data", data)
        assert again.code == 2
        assert "never replaces a file" in again.err
        cli("runs", "cancel", run, "--data", data)
        assert cli("restore", tmp_path / "kept.db", "--data", data, "--force").code == 2, "a server works with it"

    assert cli("restore", tmp_path / "kept.db", "--data", data).code == 2, "it holds data"
    assert cli("restore", tmp_path / "kept.db", "--data", new).code == 0
    with serving(new):
        sent = start(["events", "send", json.dumps(PAID), "--data", new])
        assert sent.wait(20) == 0
        tailed = start(["runs", "tail", run, "--data", new])
        assert tailed.wait(20) == 0
        assert cli("runs", "show", run, "--data", new, "--json").json["status"] == "completed"


async def test_the_server_backs_itself_up_into_its_own_folder_only(tmp_path: Path) -> None:
    """Whoever holds a token may ask for a backup, not write files wherever the server can."""
    async with api(tmp_path / "data") as client:
        await client.post("/api/v1/workflows", content=WAITS, headers=YAML)
        made = await client.post("/api/v1/backups", json={"name": "nightly.db"})
        assert made.status_code == 201, made.text
        assert made.json()["file"] == str(tmp_path / "data" / "backups" / "nightly.db")
        assert (await client.post("/api/v1/backups", json={})).status_code == 201
        problem(await client.post("/api/v1/backups", json={"name": "nightly.db"}), 409, "backup-refused")
        for name in ("../escaped.db", "/tmp/escaped.db", "a/b", ".."):
            problem(await client.post("/api/v1/backups", json={"name": name}), 409, "backup-refused")
    assert not (tmp_path / "data" / "escaped.db").exists()
    restore(tmp_path / "data" / "backups" / "nightly.db", tmp_path / "new")
