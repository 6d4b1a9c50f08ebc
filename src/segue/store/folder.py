"""A data folder: its lock, and connections to the SQLite file in it."""

from __future__ import annotations

import os
import sqlite3
from functools import cache
from pathlib import Path
from typing import Final

from segue.store.batch import prepare
from segue.store.errors import FolderInUse, FolderNotUsable
from segue.store.migrate import migrate
from segue.store.sealing import open_up
from segue.types import Cipher

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

DATABASE_NAME: Final = "segue.db"
LOCK_NAME: Final = "segue.lock"
OLDEST_SQLITE: Final = (3, 38, 0)
"""The first SQLite that has the JSON operators of `batch.py` built in."""

_CHECKPOINT_PAGES: Final = 2000
_CONVERTED_BYTES_MAX: Final = 256 << 20
_CACHE_KIB: Final = 32 * 1024


class FolderLock:
    """Holds a data folder for this process, until `release` or the end of the process.

    An advisory lock on an open file: the system lets go of it when the process dies, however it dies, so there
    is never a stale lock to remove by hand.
    """

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise FolderNotUsable(f"data folder {str(folder)!r} cannot be used: {error.strerror}") from error
        try:
            _lock(self._file)
        except OSError as error:
            holder = os.pread(self._file, 32, 0).decode(errors="replace").strip()
            os.close(self._file)
            raise FolderInUse(
                f"data folder {str(folder)!r} is in use by process {holder or 'unknown'};"
                " stop that process, or choose another data folder"
            ) from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Let other processes have the folder."""
        os.close(self._file)


def _lock(file: int) -> None:
    if fcntl is None:  # pragma: no cover - Windows
        raise FolderNotUsable("this system has no file locks that Segue knows; use Linux or macOS")
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def open_writer(path: Path) -> sqlite3.Connection:
    """The one connection that writes. Creates the file and brings it to the newest version.

    Raises:
        FolderNotUsable: The SQLite library is too old, or the file is damaged, foreign or too new.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        wanted = ".".join(map(str, OLDEST_SQLITE))
        raise FolderNotUsable(
            f"SQLite {sqlite3.sqlite_version} is too old: Python must be linked to {wanted} or later"
        )
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        # Only the owner may read what workflows carry.
        os.chmod(path, 0o600)
        # Works only before the first page is written; what was made without it is converted below.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.execute("PRAGMA temp_store = MEMORY")
        # A WAL that once grew large gives its space back.
        connection.execute("PRAGMA journal_size_limit = 67108864")
        migrate(connection, str(path))
        _let_shrink(connection, path)
    except sqlite3.DatabaseError as error:
        raise FolderNotUsable(
            f"{path} cannot be opened: {error}; check permissions and disk space, or restore a backup"
        ) from error
    return connection


def new_memory() -> sqlite3.Connection:
    """An empty data file that lives in memory, prepared for batches, for simulations."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.deserialize(_empty_file())
    connection.execute("PRAGMA temp_store = MEMORY")
    prepare(connection)
    return connection


@cache
def _empty_file() -> bytes:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, ":memory:")
    return connection.serialize()


def _let_shrink(connection: sqlite3.Connection, path: Path) -> None:
    """Convert a file of an earlier release, so that it can give space back; a large one would take too long."""
    (mode,) = connection.execute("PRAGMA auto_vacuum").fetchone()
    if mode == 0 and path.stat().st_size <= _CONVERTED_BYTES_MAX:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("VACUUM")


def open_reader(path: Path, cipher: Cipher | None = None) -> sqlite3.Connection:
    """A connection that only reads; many may be open at once. Without a cipher, what is sealed stays so."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
    )
    open_up(connection, cipher)
    connection.execute("PRAGMA query_only = ON")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB // 4}")
    return connection
