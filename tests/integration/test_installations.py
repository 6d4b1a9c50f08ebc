"""Keys of two installations that speak to the same outside system never meet."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.integration.service_support import document

from segue.service import Settings, backup_of_folder, open_service, restore_folder
from segue.service.starting import keyed_ids

HELLO = document("- hello: {set: {a: '${ .n }'}}", name="hello")


async def started(folder: Path, key: str = "order-7", n: int = 1) -> tuple[str, bool]:
    async with open_service(folder, Settings()) as service:
        await service.workflows.publish(HELLO)
        run, new = await service.runs.start("demo/hello", input={"n": n}, key=key)
        await service.runs.wait(run.id)
        return run.id, new


async def test_one_key_is_another_run_in_another_installation(tmp_path: Path) -> None:
    """Both leave the name at `default`, and share an account: the id gives the keys that go out (decision 0151)."""
    first, second = await started(tmp_path / "one"), await started(tmp_path / "two")

    assert (first[1], second[1]) == (True, True)
    assert first[0] != second[0]
    assert await started(tmp_path / "one") == (first[0], False)


async def test_a_restored_backup_is_the_same_installation(tmp_path: Path) -> None:
    """What it had done outside, it must not do again because it came back from yesterday."""
    async with open_service(tmp_path / "one", Settings()):
        backup_of_folder(tmp_path / "one", tmp_path / "backups" / "b.db")
    first, _ = await started(tmp_path / "one")
    restore_folder(tmp_path / "backups" / "b.db", tmp_path / "again")

    assert await started(tmp_path / "again") == (first, True)


async def test_runs_of_earlier_releases_are_found_by_their_keys(tmp_path: Path) -> None:
    """A request that is sent again after the update starts nothing twice."""
    made, _ = await started(tmp_path)
    for earlier in keyed_ids("order-7", "default", "any")[1]:
        with closing(sqlite3.connect(tmp_path / "segue.db")) as file, file:
            assert file.execute("UPDATE run SET id = ? WHERE id = ?", (earlier, made)).rowcount == 1
        made = earlier
        assert await started(tmp_path) == (earlier, False)
