"""What most tests need and few are about, made cheaply: empty data folders, and hashes of passwords.

A new data folder plays every migration there is, each flushed by itself; that takes longer than most tests over one.
Here the outcome is copied instead. Whoever is about migrations does without: the tests of the store, the golden
folders, and every server that is a process of its own. For passwords see `test_passwords`.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import argon2
import pytest

from segue.governance import credentials
from segue.store import folder

CHEAPEST = argon2.Parameters(
    type=argon2.Type.ID, version=19, salt_len=16, hash_len=32, time_cost=1, memory_cost=8, parallelism=1
)
_play = folder.migrate
_one_at_a_time = threading.Lock()


@contextmanager
def empty_folders() -> Iterator[None]:
    """New data files are copies of one, as long as this is open."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folder, "migrate", _copy_or_migrate)
        yield


@contextmanager
def passwords() -> Iterator[None]:
    """Passwords cost next to nothing, as long as this is open."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(credentials, "COST", CHEAPEST)
        yield


def _copy_or_migrate(connection: sqlite3.Connection, path: str) -> None:
    (marks,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if marks or version or application:
        _play(connection, path)
        return
    with _one_at_a_time:
        _migrated().backup(connection)
    # As its migration does: no two folders are the same installation.
    connection.execute("UPDATE meta SET value = lower(hex(randomblob(8))) WHERE key = 'installation'")


@cache
def _migrated() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    # As `open_writer` sets it before the first page.
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    _play(connection, ":memory:")
    return connection
