"""A data folder is opened by one process, of a release that knows it."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from segue.store import FolderInUse, FolderNotUsable, Store
from segue.store.folder import DATABASE_NAME, FolderLock, open_reader, open_writer
from segue.store.migrate import APPLICATION_ID, migrations


def test_a_second_opening_is_refused_with_the_holder(tmp_path: Path) -> None:
    """Two writers on one folder would each believe they are alone."""
    lock = FolderLock(tmp_path)
    with pytest.raises(FolderInUse, match=f"process {os.getpid()}"):
        FolderLock(tmp_path)
    lock.release()
    FolderLock(tmp_path).release()


def test_the_lock_of_a_process_that_died_is_free(tmp_path: Path) -> None:
    """No stale lock file to remove by hand after a power cut."""
    script = (
        f"from pathlib import Path; from segue.store.folder import FolderLock; FolderLock(Path({str(tmp_path)!r}))"
    )
    subprocess.run([sys.executable, "-c", script + "; import os; os._exit(9)"], check=False)
    FolderLock(tmp_path).release()


async def test_a_failed_opening_lets_go_of_the_folder(tmp_path: Path) -> None:
    """Otherwise the next attempt would blame this very process."""
    (tmp_path / DATABASE_NAME).write_bytes(b"this is not a database, not even nearly" * 100)
    for _ in range(2):
        with pytest.raises(FolderNotUsable, match="cannot be opened"):
            Store.open(tmp_path)


def test_the_file_says_whose_it_is_and_which_version(tmp_path: Path) -> None:
    """Tools can tell it from any other SQLite file."""
    connection = open_writer(tmp_path / DATABASE_NAME)
    assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    assert connection.execute("PRAGMA user_version").fetchone() == (len(migrations()),)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    connection.close()
    open_writer(tmp_path / DATABASE_NAME).close()


def test_a_file_of_a_newer_release_is_refused_with_its_reason(tmp_path: Path) -> None:
    """Writing to it could destroy what this release does not know."""
    path = tmp_path / DATABASE_NAME
    connection = open_writer(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(FolderNotUsable, match="newer release"):
        open_writer(path)


def test_another_applications_file_is_left_alone(tmp_path: Path) -> None:
    """A typing error in a path must not alter somebody's data."""
    path = tmp_path / DATABASE_NAME
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE precious (x)")
    connection.close()
    with pytest.raises(FolderNotUsable, match="not a Segue data file"):
        open_writer(path)
    assert sqlite3.connect(path).execute("SELECT name FROM sqlite_schema").fetchall() == [("precious",)]


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    """The message names the folder."""
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderNotUsable, match="file/data"):
        FolderLock(tmp_path / "file" / "data")


def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    """It holds what workflows carry."""
    open_writer(tmp_path / DATABASE_NAME).close()
    assert stat.S_IMODE(os.stat(tmp_path / DATABASE_NAME).st_mode) == 0o600


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    """There is one writer."""
    folder = tmp_path / "with space #?%"
    folder.mkdir()
    open_writer(folder / DATABASE_NAME).close()
    reader = open_reader(folder / DATABASE_NAME)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("DELETE FROM run")
    reader.close()
