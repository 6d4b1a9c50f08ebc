"""A backup is whole or is not there; a restore verifies, and destroys nothing."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from segue.store import BackupRefused, FolderInUse, FolderNotUsable, Store, back_up, records, restore
from segue.store.backup import manifest_path
from segue.store.folder import DATABASE_NAME


async def written(folder: Path, value: str) -> None:
    store = Store.open(folder)
    await store.write([records.put_meta("told", value)])
    await store.close()


async def told(folder: Path) -> str | None:
    store = Store.open(folder)
    try:
        return await store.read(lambda c: records.read_meta(c, "told"))
    finally:
        await store.close()


async def backup(tmp_path: Path, value: str = "then") -> Path:
    await written(tmp_path / "data", value)
    back_up(tmp_path / "data", tmp_path / "kept.db", release="1.2.3")
    return tmp_path / "kept.db"


async def test_what_was_backed_up_is_what_is_restored(tmp_path: Path) -> None:
    """The whole point."""
    file = await backup(tmp_path)
    await written(tmp_path / "data", "now")

    manifest = restore(file, tmp_path / "new")

    assert manifest is not None
    assert (manifest.segue, manifest.bytes) == ("1.2.3", file.stat().st_size)
    assert await told(tmp_path / "new") == "then"
    assert await told(tmp_path / "data") == "now"


async def test_a_backup_shows_what_is_committed_and_not_checkpointed_yet(tmp_path: Path) -> None:
    """The newest commits stand in the WAL, not in the file."""
    store = Store.open(tmp_path / "data")
    await store.write([records.put_meta("told", "newest")])
    back_up(tmp_path / "data", tmp_path / "kept.db", release="1")
    await store.close()
    restore(tmp_path / "kept.db", tmp_path / "new")
    assert await told(tmp_path / "new") == "newest"


async def test_a_backup_is_one_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    """It carries what workflows carry, and can be read where nothing can be written."""
    file = await backup(tmp_path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(os.listdir(tmp_path)) == ["data", "kept.db", "kept.db.manifest.json"]
    with closing(sqlite3.connect(f"file:{file}?mode=ro&immutable=1", uri=True)) as c:
        assert c.execute("PRAGMA journal_mode").fetchone() == ("delete",)


async def test_a_backup_replaces_no_file(tmp_path: Path) -> None:
    """Least of all the last good backup."""
    file = await backup(tmp_path)
    before = file.read_bytes()
    with pytest.raises(BackupRefused, match="exists"):
        back_up(tmp_path / "data", file, release="1")
    assert file.read_bytes() == before


def test_a_folder_without_data_has_nothing_to_back_up(tmp_path: Path) -> None:
    """A typing error in a nightly job must not give a green light."""
    with pytest.raises(BackupRefused, match="nothing to back up"):
        back_up(tmp_path, tmp_path / "kept.db", release="1")
    assert list(tmp_path.iterdir()) == []


async def test_one_changed_bit_is_noticed(tmp_path: Path) -> None:
    """SQLite would read most damaged files without a word."""
    file = await backup(tmp_path)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(BackupRefused, match="checksum"):
        restore(file, tmp_path / "new")
    assert not (tmp_path / "new" / DATABASE_NAME).exists()


async def test_a_backup_without_its_manifest_needs_the_word(tmp_path: Path) -> None:
    """It cannot be verified, and whoever restores it should know."""
    file = await backup(tmp_path)
    manifest_path(file).unlink()
    with pytest.raises(BackupRefused, match="--without-manifest"):
        restore(file, tmp_path / "new")
    assert restore(file, tmp_path / "new", need_manifest=False) is None
    assert await told(tmp_path / "new") == "then"


async def test_a_truncated_file_without_a_manifest_is_refused_by_its_inside(tmp_path: Path) -> None:
    """The second line of defence."""
    file = await backup(tmp_path)
    manifest_path(file).unlink()
    os.truncate(file, file.stat().st_size - 8192)
    with pytest.raises(BackupRefused):
        restore(file, tmp_path / "new", need_manifest=False)


@pytest.mark.parametrize("version", [0, 999])
async def test_what_is_no_backup_of_ours_is_refused(tmp_path: Path, version: int) -> None:
    """Another program's file, and one of a newer release."""
    with closing(sqlite3.connect(tmp_path / "other.db")) as c:
        c.execute("CREATE TABLE t (a)")
        c.execute(f"PRAGMA application_id = {0x53454755 if version else 7}")
        c.execute(f"PRAGMA user_version = {version}")
    with pytest.raises(BackupRefused, match="newer release" if version else "no backup of Segue"):
        restore(tmp_path / "other.db", tmp_path / "new", need_manifest=False)


async def test_a_folder_with_data_is_refused(tmp_path: Path) -> None:
    """A restore into the wrong folder must not cost that folder."""
    file = await backup(tmp_path)
    await written(tmp_path / "other", "precious")
    with pytest.raises(BackupRefused, match="--force"):
        restore(file, tmp_path / "other")
    assert await told(tmp_path / "other") == "precious"


async def test_with_force_what_was_there_is_kept_under_another_name(tmp_path: Path) -> None:
    """Nothing is destroyed, not even on request."""
    file = await backup(tmp_path)
    await written(tmp_path / "other", "precious")
    restore(file, tmp_path / "other", force=True)
    assert await told(tmp_path / "other") == "then"
    (aside,) = (tmp_path / "other").glob("before-restore-*")
    assert await told(aside) == "precious"


async def test_a_refused_restore_changes_nothing_even_with_force(tmp_path: Path) -> None:
    """What is there is moved only once the backup has been verified."""
    file = await backup(tmp_path)
    manifest = msgspec.json.decode(manifest_path(file).read_bytes())
    manifest_path(file).write_bytes(msgspec.json.encode({**manifest, "sha256": "0" * 64}))
    await written(tmp_path / "other", "precious")
    with pytest.raises(BackupRefused, match="checksum"):
        restore(file, tmp_path / "other", force=True)
    assert await told(tmp_path / "other") == "precious"
    assert not list((tmp_path / "other").glob("before-restore-*"))


async def test_a_folder_in_use_is_not_restored_to(tmp_path: Path) -> None:
    """The server would go on with a file that has no name any more."""
    file = await backup(tmp_path)
    store = Store.open(tmp_path / "data")
    with pytest.raises(FolderInUse):
        restore(file, tmp_path / "data", force=True)
    await store.close()


async def test_a_restored_older_state_is_accepted_and_the_raw_file_is_not(tmp_path: Path) -> None:
    """Restoring says: I know that this is older. Copying a file back does not."""
    file = await backup(tmp_path)
    await written(tmp_path / "data", "now")
    restore(file, tmp_path / "data", force=True)
    assert await told(tmp_path / "data") == "then"

    shutil.copy(file, tmp_path / "data" / DATABASE_NAME)
    with pytest.raises(FolderNotUsable):
        Store.open(tmp_path / "data")


async def test_the_way_out_of_a_copied_back_file_works(tmp_path: Path) -> None:
    """What a refusal says to do must do it."""
    await written(tmp_path / "data", "old")
    older = shutil.copy(tmp_path / "data" / DATABASE_NAME, tmp_path / "older.db")
    await written(tmp_path / "data", "new")
    shutil.copy(older, tmp_path / "data" / DATABASE_NAME)
    with pytest.raises(FolderNotUsable):
        Store.open(tmp_path / "data")

    (tmp_path / "data" / DATABASE_NAME).rename(tmp_path / "moved.db")
    restore(tmp_path / "moved.db", tmp_path / "data", force=True, need_manifest=False)
    assert await told(tmp_path / "data") == "old"
