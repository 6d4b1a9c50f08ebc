"""The store: one data folder, opened."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from segue.store import chain, records, runs
from segue.store.batch import Batch, prepare
from segue.store.codec import encode, pack
from segue.store.commit import GroupCommit, MakeWriter
from segue.store.errors import Conflict, FolderNotUsable
from segue.store.folder import DATABASE_NAME, FolderLock, open_writer
from segue.store.mark import Mark, Position, check_present, statement
from segue.store.reading import Readers, Reading
from segue.store.records import Definition, Sql
from segue.store.sealing import seal_profiles
from segue.types import DEFAULT_WORKSPACE, SYSTEM, AuditRecord, Cipher, acting

_SEALED_KEY = "sealed"

Found = TypeVar("Found")


class Store:
    """Everything that lasts. One process has a data folder open at a time.

    Writes go through `commit`, reads through `read`; the methods below are what the use cases need of both.
    Open it on the event loop that will use it.
    """

    def __init__(
        self, folder: Path, commit: GroupCommit, readers: Reading, *, lock: FolderLock | None, mark: Mark | None
    ) -> None:
        self.folder = folder
        self.commit = commit
        self._readers = readers
        self._lock = lock
        self._mark = mark
        self._marked_writes = 0
        self._anchored: int | None = None

    @classmethod
    def open(
        cls,
        folder: str | Path,
        *,
        on_durable: Callable[[Batch], None] = lambda batch: None,
        fault: Callable[[int], None] | None = None,
        cipher: Cipher | None = None,
    ) -> Store:
        """Open a data folder, creating or updating its file where needed.

        Args:
            on_durable: Called on the event loop with each batch once it is on disk.
            fault: Testing seam, see `GroupCommit`.
            cipher: Seals what is stored; it must be given again whenever the folder is opened.

        Raises:
            FolderInUse: Another process has it open.
            FolderNotUsable: It is too new, damaged, foreign, older than it was, or may not be written.
        """
        folder = Path(folder)
        lock = FolderLock(folder)
        try:
            connection, mark = _open_marked(folder)
            _check_cipher(connection, folder, cipher)
            prepare(connection, cipher)
            if cipher is not None:
                seal_profiles(connection)
            commit = GroupCommit(connection, on_durable, fault=fault, cipher=cipher)
        except BaseException:
            lock.release()
            raise
        return cls(folder, commit, Readers(folder / DATABASE_NAME, cipher), lock=lock, mark=mark)

    @classmethod
    def in_memory(
        cls,
        connection: sqlite3.Connection,
        readers: Reading,
        writer: MakeWriter,
        *,
        on_durable: Callable[[Batch], None] = lambda batch: None,
        fault: Callable[[int], None] | None = None,
    ) -> Store:
        """A store without a folder, for simulations: who reads and writes decides how well that goes.

        Args:
            connection: Of `new_memory`; stays open for the next store.
        """
        commit = GroupCommit(connection, on_durable, fault=fault, writer=writer, keeps_open=True)
        return cls(Path("memory"), commit, readers, lock=None, mark=None)

    async def close(self) -> None:
        """Write what is pending, and let go of the folder."""
        position = None
        if self._mark is not None:
            position = self._mark.position.next_tick()
            self.commit.pending.statements.append(statement(position))
        # Readers first: the last connection that closes takes the WAL into the file, and a reader may not.
        self._readers.close()
        await self.commit.close()
        if self._mark is not None and position is not None and self.commit.trouble is None:
            await _write_mark(self._mark, position)
        if self._lock is not None:
            self._lock.release()

    async def tick(self) -> None:
        """Note how far the file has come, in it and beside it, so that an older copy is noticed (see `mark.py`).

        Raises:
            HostError: The file cannot be written, or not yet.
        """
        if self._mark is None or self.commit.writes == self._marked_writes:
            return
        position = self._mark.position = self._mark.position.next_tick()
        self.commit.pending.statements.append(statement(position))
        await self.commit.wait_durable()
        self._marked_writes = self.commit.writes
        await _write_mark(self._mark, position)

    async def read(self, query: Callable[[sqlite3.Connection], Found]) -> Found:
        """Run a query in a thread: `await store.read(lambda c: find_run(c, run_id))`.

        Raises:
            HostError: The file cannot be read.
        """
        return await self._readers.read(query)

    async def write(self, statements: Iterable[Sql]) -> None:
        """Run statements in one transaction, together with whatever else is due, and wait until they are on disk.

        Raises:
            HostError: They could not be written, or not yet.
        """
        self.commit.pending.statements += statements
        await self.commit.wait_durable()

    # -- audit -------------------------------------------------------------------------------------

    def note(
        self,
        action: str,
        resource: str,
        *,
        verdict: str = "done",
        reason: str = "",
        data: dict[str, Any] | None = None,
    ) -> None:
        """Add to the audit chain what whoever acts does now.

        It goes into the batch that is being gathered: call it right before or after adding to that batch what it
        speaks of, with no `await` in between, and both are on disk together or not at all.
        """
        who = acting() or SYSTEM
        self.record(
            principal=who.name,
            action=action,
            resource=resource,
            verdict=verdict,
            reason=reason,
            at=_now_ms(),
            workspace=who.workspace,
            data=data,
        )

    def record(
        self,
        *,
        principal: str,
        action: str,
        resource: str,
        verdict: str,
        reason: str,
        at: int,
        workspace: str = DEFAULT_WORKSPACE,
        data: dict[str, Any] | None = None,
    ) -> None:
        """Add a record to the audit chain; see `segue.types.AuditSink`. It is on disk with the next commit."""
        self.commit.pending.audit.append(
            AuditRecord(
                at=at,
                principal=principal,
                action=action,
                resource=resource,
                verdict=verdict,
                reason=reason,
                workspace=workspace,
                data=data,
            )
        )

    async def anchor(self) -> chain.Head:
        """Let the chain tell of all history that is on disk; returns the end of the chain.

        Raises:
            HostError: The store cannot be read or written.
        """
        if self._anchored is None:
            self._anchored = await self.read(lambda c: chain.last_anchored(c, self.commit.cipher))
        while True:
            last = self._anchored
            found = await self.read(lambda c, last=last: chain.anchor_after(c, last))  # type: ignore[misc]
            if found is None:
                return self.commit.head
            data = {"first": found.first, "last": found.last, "count": found.count, "sha256": found.sha256}
            self.commit.pending.note(chain.HISTORY_ACTION, "history", at=_now_ms(), data=data)
            await self.commit.wait_durable()
            self._anchored = found.last

    # -- definitions -------------------------------------------------------------------------------

    async def publish(self, definition: Definition) -> bool:
        """Store a definition; False when exactly this one was stored before.

        Raises:
            Conflict: The same name and version has other content.
        """
        name = (definition.namespace, definition.name, definition.version)
        known = await self.read(lambda c: records.find_definition_named(c, *name))
        if known is not None:
            if known.digest == definition.digest:
                return False
            raise Conflict(
                f"{name[0]}/{name[1]}:{name[2]} is published already with other content;"
                " a published version never changes: give the document a new version"
            )
        resource = f"workflow:{definition.namespace}/{definition.name}:{definition.version}"
        source = sha256(definition.source.encode()).hexdigest()
        self.note("workflow.publish", resource, data={"digest": definition.digest, "source": source})
        await self.write([records.insert_definition(definition)])
        return True

    async def definition(self, digest: str) -> Definition | None:
        """The definition with this digest."""
        return await self.read(lambda c: records.find_definition(c, digest))

    async def definition_named(self, namespace: str, name: str, version: str) -> Definition | None:
        """The definition of this name and exact version."""
        return await self.read(lambda c: records.find_definition_named(c, namespace, name, version))

    async def definitions(self, *, namespace: str | None = None, name: str | None = None) -> list[Definition]:
        """Definitions by namespace and name, each name's in the order of publishing."""
        return await self.read(lambda c: records.list_definitions(c, namespace=namespace, name=name))

    # -- connections -------------------------------------------------------------------------------

    async def connections(self) -> dict[str, Any]:
        """All connections by name."""
        return await self.read(records.list_connections)

    async def put_connection(self, name: str, data: Any) -> None:
        """Store a connection, a JSON value, over an older one of the same name."""
        raw = encode(data)
        self.note("connection.add", f"connection:{name}", data={"sha256": sha256(raw).hexdigest()})
        await self.write([records.put_connection(name, pack(raw), _now_ms())])

    async def delete_connection(self, name: str) -> None:
        """Remove a connection."""
        self.note("connection.remove", f"connection:{name}")
        await self.write([records.delete_connection(name)])

    # -- runs --------------------------------------------------------------------------------------

    async def run(self, run_id: str) -> runs.RunRecord | None:
        """The run with this id, as of the newest commit."""
        return await self.read(lambda c: runs.find_run(c, run_id))

    async def runs(
        self, wanted: runs.RunFilter | None = None, *, limit: int = 100, before: int | None = None
    ) -> runs.RunPage:
        """A page of runs, newest first; see `list_runs`."""
        chosen = wanted or runs.RunFilter()
        return await self.read(lambda c: runs.list_runs(c, chosen, limit=limit, before=before))

    async def count_runs(self, parent: int | None = None) -> dict[str, int]:
        """How many runs there are of each status; with `parent` (a `seq`), of those that this run started."""
        return await self.read(runs.count_runs if parent is None else lambda c: runs.count_started_by(c, parent))


async def _write_mark(mark: Mark, position: Position) -> None:
    try:
        await asyncio.to_thread(mark.write, position)
    except OSError:
        pass  # The older mark stays, which is still true: the file has come at least as far.


def _check_cipher(connection: sqlite3.Connection, folder: Path, cipher: Cipher | None) -> None:
    """A folder is encrypted from its first opening, or never: half of it in plain text would protect nothing."""
    known = records.read_meta(connection, _SEALED_KEY)
    mine = None if cipher is None else cipher.blind(_SEALED_KEY)
    if known == mine:
        return
    sql = "SELECT NOT EXISTS (SELECT 1 FROM audit) AND NOT EXISTS (SELECT 1 FROM definition)"
    if known is None and mine is not None and connection.execute(sql).fetchone()[0]:
        connection.execute(*records.put_meta(_SEALED_KEY, mine))
        return
    connection.close()
    what = "is encrypted, and its keys are missing" if mine is None else "was made without, or with other, keys"
    raise FolderNotUsable(
        f"data folder {str(folder)!r} {what}; put its own segue.keys beside segue.db and give its key-encryption key"
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _open_marked(folder: Path) -> tuple[sqlite3.Connection, Mark]:
    """The writing connection, once the file is known to be the newest one."""
    path = folder / DATABASE_NAME
    check_present(folder, path)
    was_there = path.exists()
    connection = open_writer(path)
    try:
        return connection, Mark(folder, connection, was_there=was_there)
    except (OSError, sqlite3.Error) as error:
        connection.close()
        raise FolderNotUsable(
            f"data folder {str(folder)!r} cannot be written: {error}; check permissions and disk space"
        ) from error
    except FolderNotUsable:
        connection.close()
        raise
