"""What a backup of a folder without encryption gives away is said where it is made."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.integration.cli_support import Cli

from segue.service import NewIdentity, Settings, backup_of_folder, init_keys, open_service
from segue.service.backups import NewBackup
from segue.store.permission import IdentityRecord, put_identity

CANARY = "JBSWY3DPEHPK3PXPCANARY"


async def _with_a_second_factor(folder: Path, settings: Settings) -> bool | None:
    async with open_service(folder, settings) as service:
        await service.accounts.add(NewIdentity(id="ann", kind="person", roles=["viewer"]))
        record = IdentityRecord(
            kind="person",
            id="bob",
            workspace="default",
            created_at=1,
            created_by="test",
            totp=CANARY,
        )
        await service.store.write([put_identity(record)])
        made = await service.backups.make(NewBackup(name="one.db"))
        records = (await service.audit.page(action="backup.make", limit=10)).items
        assert {"sealed": made.sealed} in [record.data for record in records]
        return made.sealed


@pytest.mark.parametrize("is_sealed", [False, True])
async def test_a_backup_says_whether_it_holds_second_factors_in_plain(tmp_path: Path, is_sealed: bool) -> None:
    """Who keeps it must know; and what it says is true."""
    folder, key = tmp_path / "data", tmp_path / "key"
    folder.mkdir()
    settings = Settings(key_file=str(key)) if is_sealed else Settings()
    if is_sealed:
        init_keys(folder, key)
    assert await _with_a_second_factor(folder, settings) is is_sealed
    made = backup_of_folder(folder, tmp_path / "two.db")
    assert made.sealed is is_sealed
    for file in (folder / "backups" / "one.db", tmp_path / "two.db"):
        assert (CANARY.encode() in file.read_bytes()) is not is_sealed


def test_the_command_warns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Most backups are made by it."""
    folder = tmp_path / "data"
    folder.mkdir()
    asyncio.run(_with_a_second_factor(folder, Settings()))
    done = Cli(capsys)("backup", tmp_path / "x.db", "--data", folder)
    assert done.code == 0
    assert "one-time" in done.err + done.out
