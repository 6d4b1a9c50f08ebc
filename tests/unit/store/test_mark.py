"""A file that is older than it was is noticed, and nothing else is taken for one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from segue.store import FolderNotUsable, Store, records
from segue.store.folder import DATABASE_NAME
from segue.store.mark import MARK_NAME


async def opened_and_closed(folder: Path, value: str = "x") -> None:
    store = Store.open(folder)
    await store.write([records.put_meta("told", value)])
    await store.close()


def copy_of(folder: Path, name: str = "copy.db") -> Path:
    return Path(shutil.copy(folder / DATABASE_NAME, folder / name))


async def test_opening_again_and_again_is_what_folders_are_for(tmp_path: Path) -> None:
    """The check must not cry wolf."""
    for _ in range(3):
        await opened_and_closed(tmp_path)


async def test_a_copied_back_older_file_is_refused_with_the_way_out(tmp_path: Path) -> None:
    """Going on with it would repeat acts that have happened."""
    await opened_and_closed(tmp_path)
    older = copy_of(tmp_path)
    await opened_and_closed(tmp_path)
    shutil.copy(older, tmp_path / DATABASE_NAME)

    for _ in range(2):
        with pytest.raises(FolderNotUsable, match=r"older than.*segue restore FILE --without-manifest --force"):
            Store.open(tmp_path)


async def test_a_file_older_by_less_than_one_opening_is_noticed(tmp_path: Path) -> None:
    """A copy made while the server ran, put back after it was killed."""
    store = Store.open(tmp_path)
    await store.write([records.put_meta("told", "1")])
    await store.tick()
    older = tmp_path / "older"
    older.mkdir()
    for name in (DATABASE_NAME, f"{DATABASE_NAME}-wal"):
        shutil.copy(tmp_path / name, older / name)
    await store.write([records.put_meta("told", "2")])
    await store.tick()
    store._lock.release()  # As the system does for a process that was killed.
    for name in (DATABASE_NAME, f"{DATABASE_NAME}-wal"):
        shutil.copy(older / name, tmp_path / name)

    with pytest.raises(FolderNotUsable, match="older"):
        Store.open(tmp_path)


async def test_the_file_without_its_wal_is_noticed(tmp_path: Path) -> None:
    """Whoever copies only `segue.db` loses the newest commits without seeing it."""
    (tmp_path / "data").mkdir()
    store = Store.open(tmp_path / "data")
    await store.write([records.put_meta("told", "1")])
    await store.tick()
    (tmp_path / "copied").mkdir()
    for name in (DATABASE_NAME, MARK_NAME):
        shutil.copy(tmp_path / "data" / name, tmp_path / "copied" / name)
    await store.close()

    with pytest.raises(FolderNotUsable):
        Store.open(tmp_path / "copied")


async def test_the_file_of_another_folder_is_refused(tmp_path: Path) -> None:
    """It may be newer by its own count, and still is not this folder's."""
    await opened_and_closed(tmp_path / "one")
    for _ in range(5):
        await opened_and_closed(tmp_path / "two")
    shutil.copy(tmp_path / "two" / DATABASE_NAME, tmp_path / "one" / DATABASE_NAME)

    with pytest.raises(FolderNotUsable, match="not the one that was last used here"):
        Store.open(tmp_path / "one")


async def test_a_missing_file_is_not_taken_for_a_new_folder(tmp_path: Path) -> None:
    """An empty file in its place would look as if nothing had ever run."""
    await opened_and_closed(tmp_path)
    (tmp_path / DATABASE_NAME).unlink()

    with pytest.raises(FolderNotUsable, match="is missing"):
        Store.open(tmp_path)
    assert not (tmp_path / DATABASE_NAME).exists()


async def test_a_whole_folder_may_be_moved(tmp_path: Path) -> None:
    """File and mark agree wherever they lie."""
    await opened_and_closed(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    await opened_and_closed(tmp_path / "b")


async def test_a_mark_that_cannot_be_read_is_no_reason_to_guess(tmp_path: Path) -> None:
    """The operator decides."""
    await opened_and_closed(tmp_path)
    (tmp_path / MARK_NAME).write_text("{")

    with pytest.raises(FolderNotUsable, match="cannot be read"):
        Store.open(tmp_path)


async def test_a_tick_without_news_writes_nothing(tmp_path: Path) -> None:
    """An idle server leaves the disk alone."""
    store = Store.open(tmp_path)
    await store.write([records.put_meta("told", "1")])
    await store.tick()
    writes = store.commit.writes
    await store.tick()
    assert store.commit.writes == writes
    await store.close()
