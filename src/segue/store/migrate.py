"""Numbered migrations: plain SQL files, applied in order, each in one transaction with the version it leads to.

A file `NNNN_title.sql` brings a data folder from version NNNN-1 to NNNN. A released file is never edited.
"""

from __future__ import annotations

import sqlite3
from importlib import resources
from typing import Final

from segue.store.errors import FolderNotUsable

APPLICATION_ID: Final = 0x53454755
"""`SEGU`: how `file` and other tools tell our file from any other SQLite file."""


def migrations() -> list[tuple[int, str]]:
    """Number and text of every migration, in order."""
    folder = resources.files("segue.store").joinpath("migrations")
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    found = [(int(f.name.split("_", 1)[0]), f.read_text(encoding="utf-8")) for f in files]
    assert [number for number, _ in found] == list(range(1, len(found) + 1)), "migrations must be numbered 1, 2, 3, …"
    return found


def migrate(connection: sqlite3.Connection, path: str) -> None:
    """Bring the file to the newest version.

    Raises:
        FolderNotUsable: It is another application's file, or a newer release wrote it.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    known = migrations()
    if application != APPLICATION_ID and (application or version or _has_tables(connection)):
        raise FolderNotUsable(f"{path} is not a Segue data file; choose another data folder")
    if version > len(known):
        raise FolderNotUsable(
            f"{path} was written by a newer release (format {version}; this release knows up to {len(known)});"
            " update Segue, or restore a backup made before the update"
        )
    for number, text in known[version:]:
        _apply(connection, number, text)


def _apply(connection: sqlite3.Connection, number: int, text: str) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in _statements(text):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _statements(text: str) -> list[str]:
    """The statements of a file. `executescript` would commit before it begins, so it cannot be used."""
    found: list[str] = []
    gathered = ""
    for line in text.splitlines(keepends=True):
        gathered += line
        if sqlite3.complete_statement(gathered):
            found.append(gathered)
            gathered = ""
    assert not gathered.strip(), "a migration ends in the middle of a statement"
    return found


def _has_tables(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("SELECT EXISTS (SELECT 1 FROM sqlite_schema)").fetchone()[0])
