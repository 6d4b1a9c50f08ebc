"""One system's SQLite file: opening it, and filling a new one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

# What every system keeps beside its own records. `writes` is the journal of what clients made it do: the
# company's own count, from which /_stats answers.
COMMON_SCHEMA = """
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE writes (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, customer TEXT NOT NULL,
    reference TEXT, at_ms INTEGER NOT NULL, record TEXT NOT NULL
);
CREATE INDEX writes_customer ON writes (kind, customer);
CREATE INDEX writes_reference ON writes (kind, reference);
CREATE TABLE idempotency (
    kind TEXT NOT NULL, key TEXT NOT NULL, request_sha256 BLOB NOT NULL, sequence INTEGER NOT NULL,
    replays INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE TABLE requests (
    operation TEXT NOT NULL, status INTEGER NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (operation, status)
) WITHOUT ROWID;
"""
EDITION = "1"
"""Edition of the files' layout and content; a file of another edition is refused, never migrated."""


class Database:
    """A connection for one thread. Reads need no transaction; writes stand inside `transaction`."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, cached_statements=256)
        # A commit in WAL with NORMAL survives the death of the process, though not a power cut: enough for a
        # company that exists for practice, and it leaves the disk to the system under test.
        self._connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;")
        self.execute = self._connection.execute

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what the block did, or nothing of it."""
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.execute("ROLLBACK")
            raise
        self.execute("COMMIT")

    def one(self, sql: str, *values: Any) -> tuple[Any, ...] | None:
        """The first row, if there is one."""
        row: tuple[Any, ...] | None = self.execute(sql, values).fetchone()
        return row

    def all(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.execute(sql, values).fetchall()

    def setting(self, name: str) -> str:
        row = self.one("SELECT value FROM settings WHERE name = ?", name)
        assert row is not None, f"setting {name!r} is written when the file is made"
        return str(row[0])

    def close(self) -> None:
        self._connection.close()


def create(path: Path, schema: str, today: date, rows: dict[str, Iterator[tuple[Any, ...]]]) -> None:
    """Make a system's file, whole or not at all.

    Args:
        rows: For each table of `schema`, the rows to put in, as wide as the table.
    """
    unfinished = path.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    connection = sqlite3.connect(unfinished, isolation_level=None)
    # Without a journal: a process that dies here leaves only the unfinished file, which the next one deletes.
    connection.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;" + COMMON_SCHEMA + schema)
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO settings VALUES (?, ?)", [("today", str(today)), ("edition", EDITION)])
    for table, values in rows.items():
        width = len(connection.execute(f"SELECT * FROM {table}").description)  # noqa: S608
        connection.executemany(f"INSERT INTO {table} VALUES ({','.join('?' * width)})", values)  # noqa: S608
    connection.execute("COMMIT")
    connection.close()
    unfinished.replace(path)
