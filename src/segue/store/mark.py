"""The mark: how far a data folder has come, written beside its file, so that an older file is noticed.

Theory. A file that is copied back over a newer one looks whole: SQLite cannot tell. Going on with it would repeat
acts that have happened. So the file counts its openings (its generation) and, within one, the ticks of its writer;
once both are on disk, the mark repeats them in a small file beside it. A file that has come less far than its mark
is an older one, and one with another identity a different one. Both are refused, with the way out.

What this cannot notice, and the documentation says so: a whole folder that is put back together with its mark, and
a file that is older by less than the time between two ticks.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from secrets import token_hex
from typing import Final

import msgspec

from segue.store.errors import FolderNotUsable

MARK_NAME: Final = "segue.mark"
_KEY: Final = "position"


class Position(msgspec.Struct, frozen=True):
    """How far a file has come.

    Attributes:
        file: Identity of the file; a restored one gets its own at its first opening.
        generation: How often it was opened for writing.
        tick: How often its writer has counted on since then.
    """

    file: str
    generation: int
    tick: int = 0

    def next_tick(self) -> Position:
        """One tick further."""
        return msgspec.structs.replace(self, tick=self.tick + 1)


class Mark:
    """The file beside the data file. Opened with the folder, before anything is written to the data file."""

    def __init__(self, folder: Path, connection: sqlite3.Connection, *, was_there: bool) -> None:
        """Compare, and count this opening.

        Args:
            connection: The folder's writing connection.
            was_there: The data file existed before this opening.

        Raises:
            FolderNotUsable: The data file is older than the mark, another one, or missing.
        """
        self._path = folder / MARK_NAME
        known = read_position(folder)
        found = _stored(connection) if was_there else None
        if known is not None:
            _compare(folder, known, found)
        # Without a mark nothing is known of the file's past: it gets a new identity, so that files of the same past
        # (the backup that it was restored from) are not taken for it later.
        file = token_hex(8) if known is None or found is None else found.file
        self.position = Position(file, 1 if found is None else found.generation + 1)
        connection.execute(*statement(self.position))
        self.write(self.position)

    def write(self, position: Position) -> None:
        """Repeat what is on disk in the data file. Takes a flush of the disk.

        Raises:
            OSError: The mark cannot be written; the older one stays.
        """
        part = self._path.with_name(f"{MARK_NAME}.part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(descriptor, msgspec.json.encode(position))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        part.rename(self._path)


def read_position(folder: Path) -> Position | None:
    """How far the file of a folder has come, as its mark says; None where there is no mark.

    Raises:
        FolderNotUsable: The mark cannot be read.
    """
    path = folder / MARK_NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=Position)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise FolderNotUsable(
            f"{path} cannot be read ({error}); if the data file beside it is the newest one, remove it"
        ) from error


def check_present(folder: Path, data_file: Path) -> None:
    """A folder that has a mark must have a data file, or somebody took it away.

    Raises:
        FolderNotUsable: It is missing.
    """
    if (folder / MARK_NAME).exists() and not data_file.exists():
        raise FolderNotUsable(
            f"{data_file} is missing, though this folder has had one. Put it back, or restore a backup with"
            f" `segue restore FILE --data {folder} --force`. To begin with an empty folder, remove {MARK_NAME}"
        )


def statement(position: Position) -> tuple[str, tuple[str, str]]:
    """How a position reaches the data file."""
    return "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (_KEY, msgspec.json.encode(position).decode())


def _stored(connection: sqlite3.Connection) -> Position | None:
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (_KEY,)).fetchone()
    return None if row is None else msgspec.json.decode(row[0], type=Position)


def _compare(folder: Path, known: Position, found: Position | None) -> None:
    if found is not None and found.file == known.file:
        if (found.generation, found.tick) >= (known.generation, known.tick):
            return
        what = "is older than the one that was last used here: it was copied back, or part of it (-wal) is missing"
    else:
        what = "is not the one that was last used here"
    raise FolderNotUsable(
        f"the data file in {str(folder)!r} {what}. Going on with it would forget what happened since, and repeat acts"
        f" on other systems. Put the newest file back. Or, if it is lost, restore this one as a backup: move it"
        f" elsewhere and run `segue restore FILE --without-manifest --force --data {folder}`"
    )
