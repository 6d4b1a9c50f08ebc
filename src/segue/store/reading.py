"""Reading beside the writer: a few threads, each with a connection of its own.

A query never makes the event loop wait for the disk, and never waits for the writer: in WAL mode a reader sees the
newest commit at the moment it begins.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Protocol, TypeVar

from segue.store.errors import HostError
from segue.store.folder import open_reader
from segue.types import Cipher

Found = TypeVar("Found")

_THREADS: Final = 2


class Reading(Protocol):
    """Who runs queries: threads, or a simulated disk."""

    async def read(self, query: Callable[[sqlite3.Connection], Found]) -> Found:
        """Run `query` with a reading connection."""
        ...

    def close(self) -> None:
        """Run none any more."""
        ...


class Readers:
    """Runs queries in threads."""

    def __init__(self, path: Path, cipher: Cipher | None = None) -> None:
        self._path = path
        self._cipher = cipher
        self._local = threading.local()
        self._open: list[sqlite3.Connection] = []
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="segue-read")

    async def read(self, query: Callable[[sqlite3.Connection], Found]) -> Found:
        """Run `query` with a reading connection. It sees one consistent state of the file.

        Raises:
            HostError: The file cannot be read.
        """
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._run, query)

    def _run(self, query: Callable[[sqlite3.Connection], Found]) -> Found:
        try:
            connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
            if connection is None:
                connection = self._local.connection = open_reader(self._path, self._cipher)
                self._open.append(connection)
            connection.execute("BEGIN")
            try:
                return query(connection)
            finally:
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise HostError(f"{self._path} cannot be read ({error}); check the disk, or restore a backup") from error

    def close(self) -> None:
        """Wait for queries under way and close the connections."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        for connection in self._open:
            connection.close()
