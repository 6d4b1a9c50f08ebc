"""A data file in memory, which survives the processes that use it.

Reads and writes are those of every data folder: the same tables, the same statements. Only how long they take, and
what a death in the middle of one leaves, is decided here. Writing and reading happen on the event loop, so one seed
gives one order of things.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Final, TypeVar

from segue.store import Batch, HostError, Store, Write, Written, new_memory

Found = TypeVar("Found")


class Storage:
    """The file. `open` gives each process its store.

    Attributes:
        tokens: Texts that nobody has had before, for those who use the file.
        delay_ms: Drawn for each read, twice, and for each write: how long it takes. 0 is the next turn of the loop.
        on_written: Told of each batch when it is in the file, and before its process is.
        dies: Asked before and after each write: does the process die now? Then it must have called `power_off`.
        read_fails: Asked at each read: does it fail?
        operations: How many reads and writes have ended.
    """

    def __init__(
        self,
        seed: int | str = 0,
        *,
        delay_ms: Callable[[], int] = lambda: 0,
        on_written: Callable[[Batch], None] = lambda batch: None,
    ) -> None:
        self.tokens = Tokens(seed)
        self.connection = new_memory()
        self.delay_ms = delay_ms
        self.on_written = on_written
        self.dies: Callable[[], bool] = lambda: False
        self.read_fails: Callable[[], bool] = lambda: False
        self.operations = 0
        self._process = 0
        self._under_way: tuple[Batch, Write] | None = None

    def open(self, on_durable: Callable[[Batch], None], fault: Callable[[int], None] | None = None) -> Store:
        """The store of a new process. Whatever the one before still wants to write is void."""
        self._process += 1
        writer = partial(_Writer, self, self._process)
        return Store.in_memory(self.connection, _Readers(self), writer, on_durable=on_durable, fault=fault)

    def power_off(self, *, keeps: bool) -> None:
        """The process is dead. A write under way reached the file (`keeps`), or did not; never half of it."""
        self._process += 1
        under_way, self._under_way = self._under_way, None
        if under_way is not None and keeps:
            batch, write = under_way
            try:
                write(batch)
            except Exception:
                return  # It would have failed.
            self.on_written(batch)

    def after_a_while(self, act: Callable[[], None]) -> None:
        """Call this when an operation that begins now is done."""
        loop = asyncio.get_running_loop()
        delay_ms = self.delay_ms()
        if delay_ms:
            loop.call_later(delay_ms / 1000, act)
        else:
            loop.call_soon(act)

    def begin(self, batch: Batch, write: Write, written: Written) -> None:
        """A write begins."""
        self._under_way = (batch, write)
        self.after_a_while(partial(self._end, self._process, batch, write, written))

    def is_current(self, process: int) -> bool:
        """Is it the one that has the file open?"""
        return process == self._process

    def _end(self, process: int, batch: Batch, write: Write, written: Written) -> None:
        self.operations += 1
        if process != self._process:
            written(batch, _DEAD)
            return
        if self.dies():
            return
        self._under_way = None
        error: Exception | None = None
        try:
            write(batch)
        except Exception as raised:
            error = raised
        else:
            self.on_written(batch)
        if not self.dies():
            written(batch, error)


_DEAD: Final = OSError("this process is dead")
"""What remains of a dead process gets this for its writes; nobody sees it."""


class Tokens:
    """Texts that nobody else has, in an order that one seed decides."""

    def __init__(self, seed: int | str) -> None:
        self._rng = Random(seed)  # noqa: S311 - dice of a game, not of a lock

    def __call__(self, size: int) -> str:
        """So many bytes, as hexadecimal digits."""
        return self._rng.randbytes(size).hex()


class _Writer:
    """The writer of one process (see `segue.store.commit`)."""

    def __init__(self, storage: Storage, process: int, write: Write, written: Written) -> None:
        self._storage = storage
        self._process = process
        self._write = write
        self._written = written

    def put(self, batch: Batch) -> None:
        """Write this batch, unless the process is dead."""
        if self._storage.is_current(self._process):
            self._storage.begin(batch, self._write, self._written)
        else:
            asyncio.get_running_loop().call_soon(self._written, batch, _DEAD)

    async def close(self) -> None:
        """There is no thread to end."""


class _Readers:
    """The readers of one process (see `segue.store.reading`)."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def read(self, query: Callable[[sqlite3.Connection], Found]) -> Found:
        """Run a query: it takes a while until it begins, and another until its answer is there."""
        await self._wait()
        if self._storage.read_fails():
            raise HostError("the simulated file cannot be read now")
        try:
            found = query(self._storage.connection)
        except sqlite3.Error as error:
            raise HostError(f"the simulated file cannot be read: {error}") from error
        await self._wait()
        return found

    def close(self) -> None:
        """There are no threads to end."""

    async def _wait(self) -> None:
        done = asyncio.get_running_loop().create_future()
        self._storage.after_a_while(lambda: None if done.done() else done.set_result(None))
        await done
        self._storage.operations += 1
