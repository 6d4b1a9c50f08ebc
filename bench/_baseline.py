"""The physical limit of this machine: a bare asyncio loop with group commit, and nothing else.

N coroutines append ten rows each to the same kind of SQLite file (WAL, `synchronous=FULL`); a coroutine goes on when
the commit that holds its row has returned. One statement and one flush serve all rows that wait. No core, no
expressions, no state, no recovery: what remains is what the disk, SQLite and asyncio cost.
"""

from __future__ import annotations

import asyncio
import gc
import json
import queue
import sqlite3
import statistics
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from segue.hosts.embedded.collector import COLLECTOR


class Appender:
    """Group commit in its simplest form."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("CREATE TABLE step (id INTEGER PRIMARY KEY, run INTEGER, data TEXT)")
        self._connection.execute("CREATE INDEX step_by_run ON step (run)")
        self._loop = asyncio.get_running_loop()
        self._orders: queue.SimpleQueue[list[tuple[int, str, asyncio.Future[None]]] | None] = queue.SimpleQueue()
        self._rows: list[tuple[int, str, asyncio.Future[None]]] = []
        self._busy = False
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def append(self, run: int, data: str) -> asyncio.Future[None]:
        """Append a row; the future is done when it is on disk."""
        future = self._loop.create_future()
        self._rows.append((run, data, future))
        if not self._busy:
            self._busy = True
            self._loop.call_soon(self._send)
        return future

    def _send(self) -> None:
        rows, self._rows = self._rows, []
        self._orders.put(rows)

    def _work(self) -> None:
        sql = "INSERT INTO step (run, data) SELECT key, value FROM json_each(?)"
        while (rows := self._orders.get()) is not None:
            text = "{" + ",".join(f'"{run}":{data}' for run, data, _ in rows) + "}"
            self._connection.execute(sql, (text,))
            self._loop.call_soon_threadsafe(self._done, rows)

    def _done(self, rows: list[tuple[int, str, asyncio.Future[None]]]) -> None:
        self._busy = bool(self._rows)
        if self._busy:
            self._send()
        for _, _, future in rows:
            future.set_result(None)

    def close(self) -> None:
        """Stop the thread."""
        self._orders.put(None)
        self._thread.join()
        self._connection.close()


async def baseline(folder: Path, *, runs: int, steps: int = 10) -> float:
    """Steps per second of the bare loop with so many runs at once."""
    COLLECTOR.take()  # What is measured beside it has the same.
    gc.freeze()
    appender = Appender(_new_file(folder, f"bare-{runs}"))

    async def one(run: int) -> None:
        for step in range(steps):
            event = {
                "e": "ok",
                "at": time.time_ns() // 1_000_000,
                "id": step,
                "output": {"step": step, "score": 0.75},
            }
            await appender.append(run, json.dumps(event))

    began = time.perf_counter()
    await asyncio.gather(*(one(run) for run in range(runs)))
    took = time.perf_counter() - began
    appender.close()
    COLLECTOR.give_back()
    return runs * steps / took


class Commits:
    """Small commits, one after another, through a connection of their own."""

    def __init__(self, folder: Path) -> None:
        self._connection = sqlite3.connect(_new_file(folder, "single"), isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("CREATE TABLE step (id INTEGER PRIMARY KEY, data TEXT)")

    def ms(self, number: int) -> float:
        """How long so many take, in milliseconds."""
        began = time.perf_counter()
        for _ in range(number):
            self._connection.execute('INSERT INTO step (data) VALUES (\'{"e":"ok","at":1700000000000,"id":1}\')')
        return (time.perf_counter() - began) * 1000

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()


async def beside_commits(
    folder: Path, one: Callable[[], Awaitable[Any]], *, commits: int, times: int
) -> tuple[float, float]:
    """Milliseconds for `one`, and for so many bare commits: medians, and their quotient that of the pairs' quotients.

    The two take turns, because a disk that others use is fast in one moment and slow in the next.
    """
    bare = Commits(folder)
    await one()
    bare.ms(commits)
    pairs = []
    for _ in range(times):
        began = time.perf_counter()
        await one()
        took = (time.perf_counter() - began) * 1000
        pairs.append((took, bare.ms(commits)))
    bare.close()
    ours = statistics.median(pair[0] for pair in pairs)
    return ours, ours / statistics.median(mine / other for mine, other in pairs)


def _new_file(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}-{time.monotonic_ns()}.db"
