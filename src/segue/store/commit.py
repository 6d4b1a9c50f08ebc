"""Group commit: one thread that makes batches durable, one after another.

While the thread waits for the disk, the event loop fills the next batch; when the thread is done, that batch goes
at once. So an idle system pays one flush for a step and no artificial delay, and a busy one shares each flush among
everything that happened during the one before.

A batch that cannot be written is neither lost nor torn: the thread keeps it and tries again, nothing that depends on
it is released, and whoever waits for it is told. Only a batch that the database refuses for what it says, which is a
bug, stops the writer for good.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from contextvars import Context
from typing import Final, Protocol

from segue.store.batch import Batch
from segue.store.chain import read_head
from segue.store.errors import HostError
from segue.types import Cipher

_RETRY_SECONDS: Final = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0)
_QUICK_SECONDS: Final = 0.002
_PATIENCE_SECONDS: Final = 1.0
_TAKEN_SECONDS: Final = 0.001
_REFUSALS: Final = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.DataError)


class Writer(Protocol):
    """Who gives batches to the disk: a thread, or a simulated disk."""

    def put(self, batch: Batch) -> None:
        """Write this batch, and then say how that went. One at a time."""
        ...

    async def close(self) -> None:
        """Write nothing any more."""
        ...


Write = Callable[[Batch], None]
Written = Callable[[Batch, Exception | None], None]
MakeWriter = Callable[[Write, Written], Writer]
"""Of what writes a batch, and of what is told on the event loop that it is on disk, or why not."""


class WritingThread:
    """Writes in a thread, so that the event loop does not wait for the disk.

    A thread that is given a batch needs the interpreter lock before it can begin, and a busy loop keeps that until it
    has nothing to do or a switch interval is over: by then there is nothing left to do beside the write. So the loop
    lets go of the lock until the thread has taken the batch, which takes a wake-up (decision 0139).

    But while the disk is quick, a batch of a few rows is written where it stands: then little else is going on, and
    waking the thread and the loop again takes as long as the write. One write that was not quick, and the loop does
    not try again for a while (decision 0128).
    """

    def __init__(self, write: Write, written: Written) -> None:
        self._write = write
        self._written = written
        self._patient_until = 0.0
        self._loop = asyncio.get_running_loop()
        self._orders: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        # Held while a batch that was given has not been taken.
        self._given = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="segue-commit", daemon=True)
        self._thread.start()

    def put(self, batch: Batch) -> None:
        """Write this batch."""
        began = time.monotonic()
        is_small = batch.is_small
        if not is_small or began < self._patient_until:
            # Beside a small one there is little to do, so nothing is gained by waiting.
            self._give(batch, wait=not is_small)
            return
        error = self._try(batch)
        ended = time.monotonic()
        if ended - began > _QUICK_SECONDS:
            self._patient_until = ended + _PATIENCE_SECONDS
        # As from the thread: what follows a commit is the host's own, and nobody's whose request was the last.
        self._loop.call_soon(self._written, batch, error, context=Context())

    def _give(self, batch: Batch, *, wait: bool) -> None:
        """Give a batch to the thread; with `wait`, let go of the interpreter lock until it is taken."""
        self._given.acquire(blocking=False)
        self._orders.put(batch)
        if wait and self._given.acquire(timeout=_TAKEN_SECONDS):
            self._given.release()

    async def close(self) -> None:
        """End the thread."""
        self._orders.put(None)
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        """The thread: write, report, wait for the next batch."""
        while (batch := self._orders.get()) is not None:
            self._given.release()
            error = self._try(batch)
            try:
                self._loop.call_soon_threadsafe(self._written, batch, error)
                # While the thread waits for the next batch it must not keep this one, and all it refers to, alive.
                del batch
            except RuntimeError:
                return  # The loop is gone; whatever was written is on disk, nothing else matters.

    def _try(self, batch: Batch) -> Exception | None:
        try:
            self._write(batch)
        except Exception as raised:
            return raised
        return None


class GroupCommit:
    """Writes batches through one connection. Everything but the writing itself happens on the event loop.

    Args:
        connection: The folder's writing connection, prepared for batches; closed by `close`.
        on_durable: Called on the event loop with each batch once it is on disk.
        fault: Testing seam: called in the thread before each write with its number, counted from 1; what it
            raises is taken as the failure of that write.
        writer: What the batches are given to. keeps_open: `close` leaves the connection open.
        cipher: Seals what is written.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        on_durable: Callable[[Batch], None],
        *,
        fault: Callable[[int], None] | None = None,
        writer: MakeWriter = WritingThread,
        keeps_open: bool = False,
        cipher: Cipher | None = None,
    ) -> None:
        self.pending = Batch()
        self.trouble: HostError | None = None
        self._connection = connection
        self.head = read_head(connection, cipher)
        """The end of the audit chain as it is on disk."""
        self.cipher = cipher
        self._on_durable = on_durable
        self._fault = fault
        self._keeps_open = keeps_open
        self._loop = asyncio.get_running_loop()
        self._writing: Batch | None = None
        self._writes = 0
        self._failures = 0
        self._refused = False
        self._retry: asyncio.TimerHandle | None = None
        self._writer = writer(self._write, self._written)

    @property
    def writes(self) -> int:
        """How often a batch was given to the disk so far; failed attempts count too."""
        return self._writes

    @property
    def is_writing(self) -> bool:
        """A batch is on its way to the disk, or waits to be tried again."""
        return self._writing is not None

    def flush(self) -> None:
        """Send the pending batch on its way, unless one is on its way already or there is nothing to write."""
        if self._writing is None and not self.pending.is_empty:
            self._writing, self.pending = self.pending, Batch()
            self._writer.put(self._writing)

    async def wait_durable(self) -> None:
        """Wait until everything added so far is on disk.

        Raises:
            HostError: It could not be written. It is kept and tried again, so it may become durable later.
        """
        if self.trouble is not None:
            raise self.trouble
        newest = self._writing if self.pending.is_empty else self.pending
        if newest is None:
            return
        future = self._loop.create_future()
        newest.waiters.append(future)
        self.flush()
        await future

    async def drain(self) -> None:
        """Wait until nothing is left to write, or until writing fails."""
        while self.trouble is None and (self._writing is not None or not self.pending.is_empty):
            await self.wait_durable()

    async def close(self) -> None:
        """Write what is pending if that works, stop the thread and close the connection."""
        try:
            await self.drain()
        except HostError:
            pass  # Nothing that depends on it was released; the next start goes on from what is on disk.
        if self._retry is not None:
            self._retry.cancel()
        await self._writer.close()
        if not self._keeps_open:
            self._connection.close()

    def _write(self, batch: Batch) -> None:
        """Called by the writer."""
        self._writes += 1
        if self._fault is not None:
            self._fault(self._writes)
        self.head = batch.write(self._connection, self.head, self.cipher)

    def _written(self, batch: Batch, error: Exception | None) -> None:
        if error is not None:
            self._fail(batch, error)
            return
        self._failures = 0
        self.trouble = None
        self._writing = None
        # The next batch first: the disk should not idle while the loop works on what this one released.
        self.flush()
        for waiter in batch.waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._on_durable(batch)

    def _fail(self, batch: Batch, error: Exception) -> None:
        self._refused = isinstance(error, _REFUSALS) or not isinstance(error, (sqlite3.Error, OSError))
        self.trouble = _describe(error, self._refused)
        for waiter in (*batch.waiters, *self.pending.waiters):
            if not waiter.done():
                waiter.set_exception(self.trouble)
        batch.waiters.clear()
        self.pending.waiters.clear()
        if not self._refused:
            delay = _RETRY_SECONDS[min(self._failures, len(_RETRY_SECONDS) - 1)]
            self._failures += 1
            self._retry = self._loop.call_later(delay, self._writer.put, batch)


def _describe(error: Exception, refused: bool) -> HostError:
    if refused:
        trouble = HostError(
            f"the store refused what the host wrote ({error}): this is a bug. No new work is taken; nothing that"
            " depends on the refused write has happened. Restart to go on from what is on disk, and report this"
        )
    else:
        trouble = HostError(
            f"the store cannot write ({error}). No new work is taken until it can; writing is tried again by itself."
            " Free disk space or repair the disk. What was asked for may still take effect then, so repeat a start"
            " with the same run id only"
        )
    trouble.__cause__ = error
    return trouble
