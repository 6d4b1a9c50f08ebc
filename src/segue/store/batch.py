"""A batch: everything that one commit makes durable.

Theory. Python's sqlite3 gives up the interpreter lock around every step of every statement, and a thread that
wants it back waits for the busy event loop: up to a switch interval for each row it inserts. So a commit must be
one step. A batch is encoded into a handful of JSON texts and written by a single INSERT into a temporary view,
whose trigger spreads the texts over the tables with `json_each`. That statement is its own transaction: it is
parsed, inserted, committed and flushed to disk inside one call without the interpreter lock, and it is undone as
a whole when any of it fails. Decision 0010 has the figures.

A trigger runs every statement it has, also those with nothing to do, and that is most of what a small commit costs.
So there are two views: one for what happens to runs all the time, and one for everything. A batch of nothing but
history needs neither.

What is rare or large goes into `statements`, ordinary SQL that runs in the same transaction; such a batch takes a
few steps more.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from segue.store import snapshots
from segue.store.blobs import put_event, put_value
from segue.store.chain import Head, link
from segue.store.codec import PACK_FROM_BYTES, encode
from segue.store.sealing import equip
from segue.types import DEFAULT_WORKSPACE, SYSTEM, AuditRecord, Cipher, Failure, acting, take_leave

_EVERYDAY: Final = ("runs", "history", "status", "ends", "audit")
_COLUMNS: Final = (
    *_EVERYDAY,
    "events",
    "intents",
    "receipts",
    "parked",
    "timers",
    "waits",
    "unparked",
    "incidents",
    "resolutions",
)

_HISTORY: Final = "INSERT INTO history (run, data) SELECT CAST(key AS INTEGER), value FROM json_each({})"


def _rows(column: str) -> str:
    """The rows of a column, each read once.

    SQLite writes an array out anew each time that `value` is named, and does not look into a query with an offset: so
    it makes each row once, and takes its fields from that.
    """
    return f"(SELECT value FROM json_each(NEW.{column}) LIMIT -1 OFFSET 0)"  # noqa: S608 - a name of ours


_EVERYDAY_INTO_TABLES: Final = f"""
INSERT INTO run (seq, id, digest, namespace, name, version, status, residence, hidden, started_at, parent,
                 parent_command, cause, subject)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, 'live', value->>7, value->>8,
       value->>9, value->>10, value->11, value->>12
FROM {_rows("runs")};

{_HISTORY.format("NEW.history")};

UPDATE run SET status = s.value FROM json_each(NEW.status) AS s WHERE run.seq = CAST(s.key AS INTEGER);

UPDATE run SET status = e.value->>1, ended_at = e.value->>2, output = e.value->3, failure = e.value->>4,
               residence = e.value->>5
FROM {_rows("ends")} AS e WHERE run.seq = e.value->>0;

INSERT INTO audit (seq, at, workspace, action, resource, principal, verdict, data, hash)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7, value->>8
FROM {_rows("audit")};
"""  # noqa: S608 - nothing in it comes from outside

_OTHERS_INTO_TABLES: Final = f"""
INSERT OR IGNORE INTO event (seq, source, id, type, received_at, run, envelope)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->6 FROM {_rows("events")};

INSERT OR REPLACE INTO effect
    (run, command, key, handler, pointer, attempt, state, intended_at, connection, task, place)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, 'intent', value->>6, value->>7, value->>8,
    value->>9
FROM {_rows("intents")};

UPDATE effect SET state = r.value->>2, settled_at = r.value->>3, receipt = r.value->4
FROM {_rows("receipts")} AS r WHERE effect.run = r.value->>0 AND effect.command = r.value->>1;

DELETE FROM timer WHERE run IN (SELECT value FROM json_each(NEW.unparked));
DELETE FROM wait WHERE run IN (SELECT value FROM json_each(NEW.unparked));
UPDATE run SET residence = 'live' FROM json_each(NEW.unparked) AS u
WHERE run.seq = u.value AND run.residence = 'parked';

UPDATE run SET residence = 'parked' FROM json_each(NEW.parked) AS p WHERE run.seq = p.value;
INSERT OR REPLACE INTO timer (run, command, due_at)
SELECT value->>0, value->>1, value->>2 FROM json_each(NEW.timers);
INSERT OR IGNORE INTO wait (run, command, type)
SELECT value->>0, value->>1, value->>2 FROM json_each(NEW.waits);

UPDATE incident SET state = 'closed', action = r.value->>2, by = r.value->>3, reason = r.value->>4,
                    closed_at = r.value->>5
FROM json_each(NEW.resolutions) AS r
WHERE incident.run = r.value->>0 AND incident.task = r.value->>1 AND incident.kind = 'held'
      AND incident.state = 'open';
INSERT OR IGNORE INTO incident (run, task, kind, state, at, event, namespace, name, pointer, failure, fingerprint,
                                owner, deadline, effect, action, closed_at, by, reason)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7, value->>8, value->>9,
       value->>10, value->>11, value->>12, value->>13, value->>14, value->>15, value->>16, value->>17
FROM json_each(NEW.incidents)
WHERE NOT (value->>18 AND EXISTS (SELECT 1 FROM incident AS i
                                  WHERE i.run = value->>0 AND i.task = value->>1 AND i.kind = 'held'))
ORDER BY key;
"""  # noqa: S608 - nothing in it comes from outside
# A task that one batch takes out of the inbox and brings in again was brought in last; one that it brings in and
# takes out comes in closed (see `take_out`).
# A run that is parked and woken in one batch was woken last: `unparked` drops it from `parked` (see `unpark`).


def prepare(connection: sqlite3.Connection, cipher: Cipher | None = None) -> None:
    """Give a writing connection the views that batches are written to. They live in memory, not in the file."""
    equip(connection, cipher)
    for view, columns, statements in (
        ("everyday", _EVERYDAY, _EVERYDAY_INTO_TABLES),
        ("batch", _COLUMNS, _EVERYDAY_INTO_TABLES + _OTHERS_INTO_TABLES),
    ):
        names = ", ".join(f"NULL AS {name}" for name in columns)
        connection.execute(f"CREATE TEMP VIEW {view} AS SELECT {names}")
        connection.execute(f"CREATE TEMP TRIGGER {view}_spread INSTEAD OF INSERT ON {view} BEGIN {statements} END")


def _insert(view: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {view} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608


_WRITE_HISTORY: Final = _HISTORY.format("?")
_WRITE_EVERYDAY: Final = _insert("everyday", _EVERYDAY)
_WRITE: Final = _insert("batch", _COLUMNS)

_FEW: Final = 4
_LARGE_EVENT: Final = (
    "INSERT OR IGNORE INTO event (envelope, seq, source, id, type, received_at, run)"
    " VALUES (?, ?, blind(?), blind(?), ?, ?, ?)"
)


class Batch:
    """What the next commit will hold. Filled on the event loop, written by the committing thread.

    Attributes:
        history: Sequence number of the run, and the event as JSON, in the order in which they happened.
        status: The newest status of each run whose status changed.
        incidents: Failures that come into the inbox (see `incidents.row_of`).
        large: Values too large for the one statement: SQL whose first parameter is the value's stored form, who
            uses it (`blobs.py`), its JSON, and the other parameters.
        resolutions: Held tasks that are held no longer: run, task, action, by, reason, time.
        snapshots: What `snapshots.put` writes.
        held: What the owner may release once the batch is on disk; the store does not look at it.
        waiters: Futures that are resolved once the batch is on disk.
        audit: Records for the audit chain, in order.
    """

    __slots__ = (
        "_brought_in",
        "audit",
        "ends",
        "events",
        "held",
        "history",
        "incidents",
        "intents",
        "large",
        "parked",
        "receipts",
        "resolutions",
        "runs",
        "snapshots",
        "statements",
        "status",
        "timers",
        "unparked",
        "waiters",
        "waits",
    )

    def __init__(self) -> None:
        self.history: list[tuple[int, bytes]] = []
        self.runs: list[tuple[Any, ...]] = []
        self.status: dict[int, str] = {}
        self.ends: list[tuple[Any, ...]] = []
        self.events: list[tuple[Any, ...]] = []
        self.intents: list[tuple[Any, ...]] = []
        self.receipts: list[tuple[Any, ...]] = []
        self.parked: dict[int, None] = {}
        self.timers: list[tuple[int, int, int]] = []
        self.waits: list[tuple[int, int, str]] = []
        self.unparked: dict[int, None] = {}
        self.incidents: list[tuple[Any, ...]] = []
        self._brought_in: dict[tuple[int, int], int] = {}
        self.resolutions: list[tuple[Any, ...]] = []
        self.statements: list[tuple[str, Sequence[Any]]] = []
        self.large: list[tuple[str, int, bytes, tuple[Any, ...]]] = []
        self.snapshots: list[tuple[int, int, bytes, bytes, dict[bytes, bytes], Sequence[int]]] = []
        self.held: list[Any] = []
        self.waiters: list[asyncio.Future[None]] = []
        self.audit: list[AuditRecord] = []

    @property
    def is_empty(self) -> bool:
        """There is nothing to write and nobody waits."""
        return not (
            self.history
            or self.held
            or self.waiters
            or self.statements
            or self.large
            or self.events
            or self.parked
            or self.intents
            or self.receipts
            or self.ends
            or self.status
            or self.runs
            or self.unparked
            or self.incidents
            or self.resolutions
            or self.audit
        )

    @property
    def is_small(self) -> bool:
        """It holds a few rows of everyday work and nothing else, so writing it is one flush and hardly more."""
        return len(self.history) <= _FEW and not (
            self.statements
            or self.large
            or self.snapshots
            or len(self.runs) + len(self.audit) > _FEW
            or len(self.events) + len(self.parked) + len(self.unparked) + len(self.intents) > _FEW
        )

    def start_run(
        self,
        seq: int,
        run_id: str,
        *,
        digest: str,
        namespace: str,
        name: str,
        version: str,
        started_at: int,
        hidden: bool = False,
        parent: int | None = None,
        parent_command: int | None = None,
        cause: Any = None,
        subject: str | None = None,
    ) -> None:
        """A run comes into being. Its history begins in the same batch.

        Args:
            subject: Whom it is about, as it is looked up: a blind stand-in where encryption is on.
        """
        identity = (seq, run_id, digest, namespace, name, version, "running", int(hidden), started_at)
        self.runs.append((*identity, parent, parent_command, cause, subject))
        if not hidden:
            leave = take_leave("run.start")
            self.audit.append(
                AuditRecord(
                    at=started_at,
                    principal=_starter(cause),
                    action="run.start",
                    resource=f"run:{run_id}",
                    verdict="done",
                    data={
                        "workflow": f"{namespace}/{name}:{version}",
                        "cause": cause,
                        **({} if leave is None else {"allowed": leave}),
                    },
                )
            )

    def end_run(
        self,
        seq: int,
        status: str,
        ended_at: int,
        *,
        output: Any = None,
        failure: Failure | None = None,
        lingers: bool = False,
    ) -> None:
        """A run is closed. It `lingers` while an act that nobody waits for is still under way."""
        residence = "live" if lingers else "closed"
        raw = encode(output)
        reason = None if failure is None else encode(failure).decode()
        if len(raw) >= PACK_FROM_BYTES:
            self.large.append(("UPDATE run SET output = ? WHERE seq = ?", seq, raw, (seq,)))
            raw = b"null"
        self.ends.append((seq, status, ended_at, msgspec.Raw(raw), reason, residence))

    def add_event(self, seq: int, envelope: dict[str, Any], *, received_at: int, run: int | None = None) -> None:
        """A CloudEvent was received, or emitted by a run. One that is stored already stays as it is."""
        raw = encode(envelope)
        columns = (seq, envelope["source"], envelope["id"], envelope["type"], received_at, run)
        if len(raw) >= PACK_FROM_BYTES:
            self.large.append((_LARGE_EVENT, -seq, raw, columns))
        else:
            self.events.append((*columns, msgspec.Raw(raw)))

    def intend(
        self,
        run: int,
        command: int,
        *,
        key: str,
        handler: str,
        pointer: str,
        attempt: int,
        at: int,
        connection: str | None = None,
        place: tuple[str, str] | None = None,
    ) -> None:
        """An act that must not simply be repeated is about to begin.

        Args:
            place: The task, and where in its loops it is, as text that sorts; None where nobody can say.
        """
        task, at_place = (None, None) if place is None else place
        self.intents.append((run, command, key, handler, pointer, attempt, at, connection, task, at_place))
        data = {"task": pointer, "attempt": attempt, "handler": handler, "connection": connection}
        self.note("effect.intend", f"effect:{key}", at=at, data=data)

    def settle(self, run: int, command: int, state: str, at: int, receipt: Any = None, *, key: str) -> None:
        """The outcome of an intended act is known: `done`, `failed`, or `unknown` for good."""
        self.receipts.append((run, command, state, at, receipt))
        self.note("effect.settle", f"effect:{key}", at=at, verdict=state)

    def note(
        self,
        action: str,
        resource: str,
        *,
        at: int,
        principal: str = SYSTEM.name,
        verdict: str = "done",
        reason: str = "",
        workspace: str = DEFAULT_WORKSPACE,
        data: dict[str, Any] | None = None,
    ) -> None:
        """Add to the audit chain what the same transaction does."""
        self.audit.append(
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

    def bring_in(self, row: tuple[Any, ...]) -> None:
        """A failure comes into the inbox (`incidents.row_of`)."""
        if row[2] == "held":
            self._brought_in[row[0], row[1]] = len(self.incidents)
        self.incidents.append(row)

    def take_out(self, run: int, task: int, action: str, by: str, reason: str, at: int) -> None:
        """A held task is held no longer."""
        place = self._brought_in.pop((run, task), None)
        if place is None or self.incidents[place][-1]:
            self.resolutions.append((run, task, action, by, reason, at))
        if place is not None:
            row = self.incidents[place]
            self.incidents[place] = (*row[:3], "closed", *row[4:14], action, at, by, reason, row[-1])

    def park(self, run: int, *, timers: dict[int, int], waits: dict[int, tuple[str, ...]]) -> None:
        """A run leaves memory: due times and awaited event types by command id."""
        self.parked[run] = None
        self.timers += [(run, command, due_at) for command, due_at in timers.items()]
        for command, types in waits.items():
            self.waits += [(run, command, name) for name in types or ("",)]

    def unpark(self, run: int) -> None:
        """A parked run goes on, so its timers and waits follow from history again."""
        if self.parked.pop(run, False) is None:
            self.timers = [row for row in self.timers if row[0] != run]
            self.waits = [row for row in self.waits if row[0] != run]
        self.unparked[run] = None

    def keep_snapshot(
        self,
        run: int,
        event: int,
        content: bytes,
        *,
        host: bytes,
        large: dict[bytes, bytes],
        drop: Sequence[int] = (),
    ) -> None:
        """The state of a run after one of its events, which is in this batch.

        Args:
            large: JSON of its large values by hash. drop: Snapshots, by their events, that it replaces.
        """
        self.snapshots.append((run, event, content, host, large, drop))

    def write(self, connection: sqlite3.Connection, head: Head, cipher: Cipher | None = None) -> Head:
        """Write everything in one transaction. Called in the committing thread; may be called again after a failure.

        Args:
            head: End of the audit chain before. cipher: Seals what is written.

        Returns:
            The end of the audit chain with this batch.

        Raises:
            sqlite3.Error: Nothing was written.
        """
        is_large = any(len(raw) >= PACK_FROM_BYTES for _, raw in self.history)
        audit: list[tuple[Any, ...]] = []
        if self.audit:
            audit, head = link(head, self.audit, cipher)
        if not is_large and not self.statements and not self.large and not self.snapshots:
            _execute(connection, self._texts(audit, cipher))
            return head
        connection.execute("BEGIN IMMEDIATE")
        try:
            _execute(connection, self._texts(audit, cipher, with_history=not is_large))
            if is_large:
                rows = ((seq, put_event(connection, seq, raw)) for seq, raw in self.history)
                connection.executemany("INSERT INTO history (run, data) VALUES (?, ?)", rows)
            for sql, owner, raw, more in self.large:
                connection.execute(sql, (put_value(connection, owner, raw), *more))
            for snapshot in self.snapshots:
                snapshots.put(connection, *snapshot)
            for sql, parameters in self.statements:
                # To the end: some pragmas work row by row.
                connection.execute(sql, parameters).fetchall()
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return head

    def _sealed_texts(
        self, audit: list[tuple[Any, ...]], cipher: Cipher, history: str | None
    ) -> tuple[str | None, ...]:
        """The same as `_texts`, with what `sealing.SEALED` names sealed."""
        events = [
            (row[0], cipher.blind(row[1]), cipher.blind(row[2]), *row[3:])
            for row in _seal_at(self.events, cipher, 5, 6)
        ]
        return (
            _text(_seal_at(self.runs, cipher, 0, 11)),
            history,
            _text(self.status),
            _text(_seal_at(self.ends, cipher, 0, 3, 4)),
            _text(audit),
            _text(events),
            _text(self.intents),
            _text(_seal_at(self.receipts, cipher, 0, 4)),
            _text(list(self.parked)),
            _text(self.timers),
            _text(self.waits),
            _text(list(self.unparked)),
            _text(_seal_at(self.incidents, cipher, 0, 9, 11)),
            _text(_seal_at(self.resolutions, cipher, 0, 3, 4)),
        )

    def _texts(
        self, audit: list[tuple[Any, ...]], cipher: Cipher | None, *, with_history: bool = True
    ) -> tuple[str | None, ...]:
        # A JSON object may hold a key twice, and json_each yields both: the run is the key, so that SQLite need
        # not parse each event again to find out whose it is.
        history = None
        if with_history and self.history:
            if cipher is None:
                history = (b"{" + b",".join([b'"%d":%b' % pair for pair in self.history]) + b"}").decode()
            else:
                sealed = cipher.seal_rows(self.history)
                pairs = zip(self.history, sealed, strict=True)
                history = "{" + ",".join([f'"{seq}":"{text}"' for (seq, _), text in pairs]) + "}"
        if cipher is not None:
            return self._sealed_texts(audit, cipher, history)
        return (
            _text(self.runs),
            history,
            _text(self.status),
            _text(self.ends),
            _text(audit),
            _text(self.events),
            _text(self.intents),
            _text(self.receipts),
            _text(list(self.parked)),
            _text(self.timers),
            _text(self.waits),
            _text(list(self.unparked)),
            _text(self.incidents),
            _text(self.resolutions),
        )


def _seal_at(rows: list[tuple[Any, ...]], cipher: Cipher, run: int | None, *places: int) -> list[list[Any]]:
    """Rows with the JSON or text at these places sealed; `run` is the place of the run's number, None without one."""
    found = []
    for row in rows:
        sealed = list(row)
        for place in places:
            value = row[place]
            if value is not None:
                raw = value.encode() if isinstance(value, str) else encode(value)
                sealed[place] = cipher.seal(raw, None if run is None else row[run])
        found.append(sealed)
    return found


def _execute(connection: sqlite3.Connection, texts: tuple[str | None, ...]) -> None:
    """The one statement, in the cheapest of its three forms that holds everything."""
    if any(texts[len(_EVERYDAY) :]):
        connection.execute(_WRITE, texts)
        return
    runs, history, status, ends, audit = everyday = texts[: len(_EVERYDAY)]
    if runs or status or ends or audit:
        connection.execute(_WRITE_EVERYDAY, everyday)
    elif history:
        connection.execute(_WRITE_HISTORY, (history,))


def _starter(cause: Any) -> str:
    """Who started a run, as `kind:id`, as far as its cause says."""
    said = cause if isinstance(cause, dict) else {}
    kind = str(said.get("kind", "system"))
    if kind in ("api", "person") and (asking := acting()) is not None:
        return asking.name
    who = said.get("by")
    if isinstance(who, str) and who:
        return who if ":" in who else f"{kind}:{who}"
    return f"run:{said['run']}" if isinstance(said.get("run"), str) else kind


def _text(rows: Any) -> str | None:
    """JSON text, or None where there is nothing, which json_each takes as no rows at all."""
    return encode(rows).decode() if rows else None
