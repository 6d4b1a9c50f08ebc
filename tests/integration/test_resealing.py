"""Rotation to the end: what older keys sealed is sealed anew, nothing else changes, and the older keys can go."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.integration.cli_support import Cli
from tests.integration.service_support import PAID, document
from tests.integration.test_encrypting import filled, told
from tests.integration.test_encryption import CANARY, LONG, opened, showing, story

from segue.service import (
    NewErasure,
    NewRewrite,
    NewSecret,
    ServiceError,
    Settings,
    backup_of_folder,
    encrypt_folder,
    init_keys,
    open_service,
    restore_folder,
)


async def test_after_it_the_older_keys_are_needed_by_nothing(tmp_path: Path) -> None:
    """Twice, on a folder that was plain once: records of all three kinds stand in its chain."""
    data, key = tmp_path / "data", tmp_path / "kek"
    runs = await filled(data)
    await encrypt_folder(data, Settings(), key_file=key, remove_plain=True)
    before = await told(data, key, runs)
    for round in range(2):
        async with opened(data, key) as service:
            await service.keys.rotate()
            await service.secrets.set(NewSecret(name=f"s{round}", value="x"))
            done = await service.keys.rewrite(NewRewrite(destroy_old=True, seconds=60))
            assert (done.complete, done.destroyed) == (True, 1)
            assert done.values > 100
            assert (await service.keys.rewrite(NewRewrite(destroy_old=True))).values == 0
            await service.audit.sign()
            assert (await service.audit.verify()).problems == []
        assert await told(data, key, runs) == before
        assert showing(data) == []
    async with opened(data, key) as service:
        assert [k.kind for k in (await service.keys.list()).items if k.gone_at is None].count("workspace") == 1
        await service.events.send([{**PAID, "source": "/late", "id": "1"}])
        assert (await service.runs.wait(runs[1])).status == "completed"
        await service.subjects.erase(NewErasure(subject=f"{CANARY}-anna", reason="x", dry_run=False))
        assert (await service.runs.get(runs[0])).input == "erased"
        assert (await service.audit.verify()).problems == []


async def test_it_goes_on_from_where_it_stopped_and_beside_work(tmp_path: Path) -> None:
    """The time is up again and again, and runs begin meanwhile."""
    data, key = tmp_path / "data", tmp_path / "kek"
    init_keys(data, key)
    async with opened(data, key) as service:
        anna = await story(service, "anna", text=LONG)
        await service.keys.rotate()
        for number in range(400):
            done = await service.keys.rewrite(NewRewrite(destroy_old=True, seconds=0.02))
            if number < 3:
                await story(service, f"other-{number}", text="x")
            if done.complete:
                break
            await asyncio.sleep(0)
        assert (done.complete, done.destroyed) == (True, 1)
        assert (await service.runs.input(anna))["text"] == LONG
        await service.audit.sign()
        assert (await service.audit.verify()).problems == []


async def test_a_backup_from_before_opens_for_nobody_once_they_are_destroyed(tmp_path: Path) -> None:
    """That is what destroying means; the command says so."""
    data, key = tmp_path / "data", tmp_path / "kek"
    init_keys(data, key)
    async with opened(data, key) as service:
        await story(service, "anna", text="x")
        await service.keys.rotate()
        backup_of_folder(data, tmp_path / "b.db")
        assert (await service.keys.rewrite(NewRewrite())).destroyed == 0
    restore_folder(tmp_path / "b.db", data, force=True)
    async with opened(data, key) as service:
        assert (await service.workflows.page()).items
        await service.keys.rewrite(NewRewrite(destroy_old=True))


@pytest.mark.parametrize("what", ["history", "audit"])
async def test_tampering_is_found_before_and_after(tmp_path: Path, what: str) -> None:
    """Sealing anew must not launder what was changed, and what it made must not be exchanged."""
    data, key = tmp_path / "data", tmp_path / "kek"
    init_keys(data, key)
    async with opened(data, key) as service:
        await service.workflows.publish(document("- one: {set: {a: '${ . }'}}"))
        for number in range(4):
            run, _ = await service.runs.start("demo/flow", input=number)
            await service.runs.wait(run.id)
        await service.audit.sign()
        await service.keys.rotate()
    if what == "history":
        with closing(sqlite3.connect(data / "segue.db")) as file, file:
            sql = "UPDATE history SET data = (SELECT data FROM history WHERE id = 3) WHERE id = 2"
            file.execute(sql)
    async with opened(data, key) as service:
        if what == "history":
            with pytest.raises(ServiceError, match="were changed"):
                await service.keys.rewrite(NewRewrite())
            return
        await service.keys.rewrite(NewRewrite())
        assert (await service.audit.verify()).problems == []
    with closing(sqlite3.connect(data / "segue.db")) as file, file:
        file.execute("UPDATE audit SET data = (SELECT data FROM audit WHERE seq = 4) WHERE seq = 5")
    async with opened(data, key) as service:
        found = (await service.audit.verify()).problems
        assert [problem.kind for problem in found].count("changed") >= 2


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In slices, until nothing is left."""
    cli, key = Cli(capsys), tmp_path / "kek"
    init_keys(tmp_path / "data", key)
    (tmp_path / "data" / "segue.toml").write_text(f'key_file = "{key}"\n')
    assert cli("audit", "sign", "--data", tmp_path / "data").code == 0
    assert cli("keys", "rotate", "--data", tmp_path / "data").code == 0
    kept = cli("keys", "rewrite", "--data", tmp_path / "data")
    assert ("0 keys destroyed" in kept.out, "--destroy-old" in kept.err) == (True, True)
    assert "1 keys destroyed" in cli("keys", "rewrite", "--destroy-old", "--data", tmp_path / "data").out


async def test_without_keys_there_is_nothing_to_do(tmp_path: Path) -> None:
    """And it says so."""
    async with open_service(tmp_path, Settings()) as service:
        with pytest.raises(ServiceError, match="not encrypted"):
            await service.keys.rewrite(NewRewrite())
