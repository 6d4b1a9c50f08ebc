"""Snapshots of long runs, and what is left of a history whose beginning was folded.

A run whose history grows gets snapshots: its state after so many events (`core/snapshot.py`), written in the
transaction of the last of them. The newest one and the events after it are what a host needs to go on (`heads`).
When more events are kept than the run may have, the oldest ones go (`fold`): they are then *folded*, and the oldest
snapshot that is left is the beginning of what can be told (`read_kept`).

Events are counted from 1 over the whole life of a run, whatever is folded. `run.folded` says how many are gone. A
fold takes several transactions; in between, some events before the oldest snapshot are still there, and are passed
over. Large values of a state stand in the blobs, under the same hash as in the events that brought them.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import msgspec

from segue.store import blobs, codec
from segue.store.records import Sql, event_seq
from segue.types import AttemptSucceeded, Event, MessageConsumed

FOLDED_AT_ONCE: Final = 2400
"""Events of one transaction of a fold: about ten milliseconds of the writer."""

_LEVEL: Final = 1


class HostPart(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a host remembers of a run beside its state.

    Attributes:
        consumed: Source and id of events that it took and could be offered again, and when it took them.
    """

    consumed: list[tuple[str, str, int]] = []


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state in stored form.

    Attributes:
        event: How many events led to it.
        content: For `core.snapshot.restore`.
        values: Large values that `content` refers to, by hash.
    """

    run: int
    event: int
    content: bytes
    host: HostPart = field(default_factory=HostPart)
    values: Mapping[bytes, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Head:
    """Where a run stands: its newest snapshot (None: it has none), and the events after it.

    Attributes:
        folded: How many of its first events are gone.
        snapshots: After which events it has snapshots, oldest first.
    """

    folded: int
    snapshots: tuple[int, ...]
    snapshot: Snapshot | None
    events: list[Event]


@dataclass(frozen=True, slots=True)
class Kept:
    """What is left of a history: the events, and, where their beginning was folded, the snapshot before the first.

    Attributes:
        before: How many events there were before the first of `events`.
    """

    before: int
    snapshot: Snapshot | None
    events: list[Event]

    @property
    def count(self) -> int:
        """How many events the run has had."""
        return self.before + len(self.events)


# -- writing -----------------------------------------------------------------------------------------


def large_value(value: Any) -> tuple[bytes, bytes] | None:
    """Hash and JSON of a large value of a state; None where JSON does not give it back exactly."""
    try:
        raw = codec.encode(value)
        exact = _pack(codec.decode(raw)) == _pack(value)
    except (TypeError, ValueError, RecursionError, OverflowError, msgspec.MsgspecError):
        return None
    return (sha256(raw).digest(), raw) if exact and len(raw) >= blobs.BLOB_FROM_BYTES else None


def put(
    connection: sqlite3.Connection,
    run: int,
    event: int,
    content: bytes,
    host: bytes,
    large: Mapping[bytes, bytes],
    drop: Sequence[int],
) -> None:
    """Store a snapshot in place of those after the events `drop`. Inside a transaction."""
    refs = codec.encode([blobs.put_large(connection, run, raw).hex() for raw in large.values()]).decode()
    connection.execute(
        "INSERT OR REPLACE INTO snapshot (run, event, data, refs, host)"
        " VALUES (?1, ?2, seal(?3, ?1), ?4, seal(?5, ?1))",
        (run, event, zlib.compress(content, _LEVEL), refs, host.decode()),
    )
    if drop:
        sql = "DELETE FROM snapshot WHERE run = ? AND event IN (SELECT value FROM json_each(?))"
        connection.execute(sql, (run, str(list(drop))))
        for sql, parameters in release_unused(run):
            connection.execute(sql, parameters)


def begin_behind(run: int, event: int) -> Sql:
    """A run comes into being whose events up to this one are not there."""
    return "UPDATE run SET folded = ? WHERE seq = ?", (event, run)


def drop_after(run: int, event: int) -> Sql:
    """Remove the snapshots that only a run which goes on needs: those behind the beginning of what is kept."""
    return "DELETE FROM snapshot WHERE run = ? AND event > ?", (run, event)


def fold(connection: sqlite3.Connection, run: int, until: int) -> list[Sql]:
    """Statements of one transaction that folds some of a run's events, up to number `until`; none: it is done.

    What a folded event says that cannot be seen from the state goes to where it is looked up: the result of an act
    of the ledger becomes its receipt there.

    The newest row of all runs stays, for a later fold: SQLite would give its number out again. What is written twice,
    after a failure that was none, would then remove an event that came in between; and the audit chain, and whoever
    follows the changes, know rows by their numbers.
    """
    folded = read_folded(connection, run)
    limit = min(FOLDED_AT_ONCE, until - folded)
    if limit <= 0:
        return []
    sql = "SELECT id, data FROM history WHERE run = ? ORDER BY id LIMIT ?"
    rows = connection.execute(sql, (run, limit)).fetchall()
    if len(rows) < limit:
        return []  # It has ended meanwhile, and retention takes it away.
    (newest,) = connection.execute("SELECT max(id) FROM history").fetchone()
    if rows[-1][0] == newest:
        rows.pop()
    if not rows:
        return []
    return [
        *_receipts(connection, run, rows),
        *_taken(connection, run, rows),
        ("DELETE FROM history WHERE run = ? AND id <= ?", (run, rows[-1][0])),
        ("UPDATE run SET folded = ? WHERE seq = ?", (folded + len(rows), run)),
        ("DELETE FROM snapshot WHERE run = ? AND event < ?", (run, folded + len(rows))),
        *release_unused(run),
    ]


def _receipts(connection: sqlite3.Connection, run: int, rows: Sequence[tuple[int, Any]]) -> list[Sql]:
    if connection.execute("SELECT 1 FROM effect WHERE run = ? LIMIT 1", (run,)).fetchone() is None:
        return []
    events = [blobs.load_event(connection, data) for _, data in rows]
    answers = {event.id: event.output for event in events if isinstance(event, AttemptSucceeded)}
    sql = (
        "SELECT command FROM effect WHERE run = ? AND command BETWEEN ? AND ? AND state = 'done'"
        " AND coalesce(receipt, 'null') = 'null'"
    )
    wanted = connection.execute(sql, (run, min(answers, default=0), max(answers, default=0))).fetchall()
    sql = "UPDATE effect SET receipt = seal(?1, ?2) WHERE run = ?2 AND command = ?3"
    return [
        (sql, (codec.pack(codec.encode(answers[command])), run, command))
        for (command,) in wanted
        if command in answers
    ]


def _taken(connection: sqlite3.Connection, run: int, rows: Sequence[tuple[int, Any]]) -> list[Sql]:
    """Which events a run about somebody took: erasing takes them too."""
    (subject,) = connection.execute("SELECT subject FROM run WHERE seq = ?", (run,)).fetchone()
    if subject is None:
        return []
    events = [blobs.load_event(connection, data) for _, data in rows]
    taken = [event.event for event in events if isinstance(event, MessageConsumed)]
    numbers = [event_seq(connection, event["source"], event["id"]) for event in taken]
    sql = "INSERT OR IGNORE INTO event_of (run, event) VALUES (?, ?)"
    return [(sql, (run, number)) for number in numbers if number is not None]


def release_unused(run: int) -> list[Sql]:
    """Statements that remove the large values which nothing of this run refers to any more, and nobody else does."""
    used = (
        "SELECT upper(ref.value) FROM history AS h, json_each(CAST(substr(h.data, 2) AS TEXT), '$.refs') AS ref"
        " WHERE h.run = ?1 AND typeof(h.data) = 'blob' AND substr(h.data, 1, 1) = x'72'"
        " UNION ALL SELECT upper(ref.value) FROM snapshot AS s, json_each(s.refs) AS ref WHERE s.run = ?1"
        " UNION ALL SELECT hex(substr(output, 2)) FROM run"
        " WHERE seq = ?1 AND typeof(output) = 'blob' AND substr(output, 1, 1) = x'68'"
    )
    unused = f"SELECT hash FROM blob_use WHERE owner = ?1 AND hex(hash) NOT IN ({used})"  # noqa: S608 - constants
    others = "SELECT 1 FROM blob_use AS o WHERE o.hash = blob.hash AND o.owner <> ?1"
    return [
        (f"DELETE FROM blob WHERE hash IN ({unused}) AND NOT EXISTS ({others})", (run,)),  # noqa: S608
        (f"DELETE FROM blob_use WHERE owner = ?1 AND hash IN ({unused})", (run,)),  # noqa: S608
    ]


# -- reading -----------------------------------------------------------------------------------------


def read_answer(connection: sqlite3.Connection, run: int, command: int) -> Any:
    """What an act of the ledger that was done answered, wherever that stands now."""
    sql = "SELECT receipt FROM effect WHERE run = ? AND command = ?"
    row = connection.execute(sql, (run, command)).fetchone()
    if row is not None and (receipt := codec.load(row[0])) is not None:
        return receipt
    # The newest first: whoever asks has not waited for long, as a rule.
    for (data,) in connection.execute("SELECT data FROM history WHERE run = ? ORDER BY id DESC", (run,)):
        if isinstance(data, bytes) or f'"id":{command},' in data or f'"id":{command}}}' in data:
            event = blobs.load_event(connection, data)
            if isinstance(event, AttemptSucceeded) and event.id == command:
                return event.output
    return None


def read_folded(connection: sqlite3.Connection, run: int) -> int:
    """How many of a run's first events are gone; 0 where there is no such run."""
    row = connection.execute("SELECT folded FROM run WHERE seq = ?", (run,)).fetchone()
    return 0 if row is None else int(row[0])


def heads(connection: sqlite3.Connection, seqs: Sequence[int], *, skip: Sequence[int] = ()) -> dict[int, Head]:
    """Where those of these runs stand that have snapshots.

    Args:
        skip: Runs whose newest snapshot cannot be used: it is left out, and the one before it counts.
    """
    sql = (
        "SELECT run, event FROM json_each(?) AS wanted CROSS JOIN snapshot ON snapshot.run = wanted.value"
        " ORDER BY run, event"
    )
    events: dict[int, list[int]] = {}
    for run, event in connection.execute(sql, (str(list(seqs)),)):
        events.setdefault(run, []).append(event)
    found: dict[int, Head] = {}
    for run, places in events.items():
        usable = places[:-1] if run in skip else places
        newest = _load(connection, run, usable[-1]) if usable else None
        folded = read_folded(connection, run)
        after = 0 if newest is None else newest.event
        found[run] = Head(folded, tuple(usable), newest, _events(connection, run, after - folded))
    return found


def read_kept(connection: sqlite3.Connection, run: int, *, after: int = 0) -> Kept:
    """What is left of a history.

    Args:
        after: Only events behind this one, as far as they are there; the snapshot is then left out, unless the
            events just behind it are gone.

    Raises:
        ErasedData: It is about a data subject whose key was destroyed.
    """
    folded = read_folded(connection, run)
    if folded <= after:
        return Kept(after, None, _events(connection, run, after - folded))
    sql = "SELECT event FROM snapshot WHERE run = ? AND event >= ? ORDER BY event LIMIT 1"
    row = connection.execute(sql, (run, folded)).fetchone()
    if row is None:
        # Erasing a person takes the snapshots of their runs away; then the events say so.
        _events(connection, run, 0)
        raise ValueError(f"run {run} has {folded} folded events and no snapshot: the file is damaged")
    return Kept(row[0], _load(connection, run, row[0]), _events(connection, run, row[0] - folded))


def read_page(
    connection: sqlite3.Connection, run: int, after: int, limit: int, *, bytes_max: int | None = None
) -> tuple[int, list[Event]]:
    """Events behind the one with this number, and how many came before the first of them.

    Args:
        bytes_max: No more are read once those that were have so many bytes as JSON; one always is.
    """
    folded = read_folded(connection, run)
    before = max(after, folded)
    if bytes_max is None:
        return before, _events(connection, run, before - folded, limit)
    found: list[Event] = []
    numbers = connection.execute(
        "SELECT id FROM main.history WHERE run = ? ORDER BY id LIMIT ? OFFSET ?", (run, limit, before - folded)
    ).fetchall()
    # Row by row: of large values, a page of rows is more than memory should hold.
    for (number,) in numbers:
        (data,) = connection.execute("SELECT data FROM history WHERE id = ?", (number,)).fetchone()
        found.append(blobs.load_event(connection, data))
        bytes_max -= len(codec.encode(found[-1]))
        if bytes_max <= 0:
            break
    return before, found


def _load(connection: sqlite3.Connection, run: int, event: int) -> Snapshot:
    sql = "SELECT data, refs, host FROM snapshot WHERE run = ? AND event = ?"
    data, refs, host = connection.execute(sql, (run, event)).fetchone()
    try:
        # A snapshot refers to values by what they are; the blobs may be kept under a keyed hash.
        found = [blobs.load_json(connection, bytes.fromhex(ref)) for ref in codec.decode(refs)]
        values = {sha256(raw).digest(): codec.decode(raw) for raw in found}
        return Snapshot(run, event, zlib.decompress(data), _host_part(host), values)
    except (ValueError, zlib.error, msgspec.DecodeError):
        # Whoever restores it will refuse it, and knows better what to do than a query about many runs.
        return Snapshot(run, event, b"")


def _events(connection: sqlite3.Connection, run: int, offset: int, limit: int = -1) -> list[Event]:
    sql = "SELECT data FROM history WHERE run = ? ORDER BY id LIMIT ? OFFSET ?"
    rows = connection.execute(sql, (run, limit, offset)).fetchall()
    return [blobs.load_event(connection, data) for (data,) in rows]


_pack: Final = msgspec.msgpack.Encoder().encode
_host_part: Final = msgspec.json.Decoder(HostPart).decode
