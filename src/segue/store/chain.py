"""The audit chain in the store: its head, its rows, and the records that follow from what a batch writes.

The committing thread links records, in the order in which they were added, in the transaction that holds what they
speak of. The head moves only when that transaction is on disk, so a batch that is tried again is linked again.
Hashing and canonical form are in `segue.types.audit`; verifying, signing and exporting in `segue.governance`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import msgspec

from segue.store.codec import decode, encode
from segue.types import AUDIT_GENESIS, AuditRecord, AuditRow, Cipher, audit_hash

_PLACES_MAX: Final = 200_000
"""Records of a time that are looked at to find where they stand, about 50 ms; more are found from the end."""
_SUBJECT: Final = "subject:"
_COLUMNS: Final = "seq, at, workspace, action, resource, principal, verdict, data, hash"
HISTORY_ACTION: Final = "history.append"
RESEAL_ACTION: Final = "history.reseal"
"""Says anew what rows of history hold, after they were sealed, or sealed with another key."""
_ANCHORED_MAX: Final = 20_000
"""History rows that one record covers at most, so that checking one fits into memory."""


EVERYDAY: Final = frozenset({"run.start", "effect.intend", "effect.settle"})
"""Actions that are recorded for each run: they are found by what they are about, and not by their name."""
_RARE: Final = "action NOT IN ('run.start', 'effect.intend', 'effect.settle')"


class Head(msgspec.Struct, frozen=True):
    """The end of the chain: place and hash of its newest record."""

    seq: int = 0
    hash: bytes = AUDIT_GENESIS


class _Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """What `data` of a row holds."""

    principal: str
    reason: str = ""
    data: dict[str, Any] | None = None
    was: str = ""
    """The stored form that the hash covers, where the record was sealed again with another key."""


_told: Final = msgspec.json.Decoder(_Told).decode


class Anchor(msgspec.Struct, frozen=True):
    """What a record says of rows of history: the first and last one, how many, and a digest of what they hold.

    `left`: how many of them were there when they were sealed again; None where all were.
    """

    first: int
    last: int
    count: int
    sha256: str
    left: int | None = None

    @property
    def told(self) -> int:
        """How many rows the digest covers."""
        return self.count if self.left is None else self.left


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which records to list; what is None or empty does not restrict. Times in milliseconds, the end not included."""

    workspace: str | None = None
    action: str | None = None
    resource: str | None = None
    principal: str | None = None
    verdict: str | None = None
    since: int | None = None
    until: int | None = None
    actions: Sequence[str] = ()
    without_verdicts: Sequence[str] = ()


def link(
    head: Head, records: Iterable[AuditRecord], cipher: Cipher | None = None
) -> tuple[list[tuple[Any, ...]], Head]:
    """Rows for these records behind the head, and the head after them. The hash covers what was sealed as sealed."""
    rows: list[tuple[Any, ...]] = []
    seq, previous = head.seq, head.hash
    for r in records:
        seq += 1
        raw = encode(_Told(r.principal, r.reason, r.data))
        if cipher is None or r.action == HISTORY_ACTION:
            who, told = r.principal, raw.decode()
        else:
            who, told = cipher.blind(r.principal), cipher.seal(raw)
        fields = (seq, r.at, r.workspace, r.action, r.resource, who, r.verdict, told)
        previous = audit_hash(previous, fields)
        rows.append((*fields, previous.hex()))
    return rows, Head(seq, previous)


def read_head(connection: sqlite3.Connection, cipher: Cipher | None = None) -> Head:
    """The end of the chain as it is on disk."""
    row = connection.execute("SELECT seq, hash FROM main.audit ORDER BY seq DESC LIMIT 1").fetchone()
    if row is None:
        return Head()
    return Head(row[0], bytes.fromhex(hash_of(row[1], cipher)))


# -- records that were sealed after they were linked ------------------------------------------------


def carried(row: tuple[Any, ...], cipher: Cipher) -> tuple[Any, ...]:
    """A record as it is kept once it is sealed, or sealed with the newest key.

    The chain must not change: checkpoints and copies of it are kept elsewhere. So the record still hashes to what it
    did. What the hash covers is sealed along with it, and so is the hash, by which guesses at what was covered could
    be tried. A sealed hash is how such a record is told from others; a resource that names a data subject stands
    behind it.
    """
    resource, who, stored, hash = row[4], row[5], row[7], row[8]
    hidden, opened = cipher.unseal(hash), cipher.unseal(stored)
    if hidden == hash and opened != stored:
        opened = encode(msgspec.structs.replace(_told(opened), was=stored)).decode()
    elif hidden == hash:
        who = cipher.blind(_told(opened).principal)
        if resource.startswith(_SUBJECT):
            hidden = f"{hash} {resource}"
            resource = _SUBJECT + cipher.blind(resource.removeprefix(_SUBJECT))
    sealed = (cipher.seal(opened.encode()), cipher.seal(hidden.encode()))
    return (*row[:4], resource, who, row[6], *sealed)


def hash_of(stored: str, cipher: Cipher | None) -> str:
    """The hash of a record, in hexadecimal, from its column."""
    return stored if cipher is None else str(cipher.unseal(stored)).partition(" ")[0]


def as_linked(row: tuple[Any, ...], cipher: Cipher | None) -> tuple[Any, ...]:
    """A record in the form that its hash covers."""
    if cipher is None or (hidden := cipher.unseal(row[8])) == row[8]:
        return row
    opened = cipher.unseal(row[7])
    told = _told(opened)
    hash, _, resource = hidden.partition(" ")
    if told.was:
        return (*row[:7], told.was, hash)
    return (*row[:4], resource or row[4], told.principal, row[6], opened, hash)


def resealed(connection: sqlite3.Connection, cipher: Cipher | None) -> dict[int, int]:
    """Where the newest word on rows of history stands that were sealed again, by the first of these rows."""
    if cipher is None:
        return {}
    rows = audit_rows(connection, AuditFilter(action=RESEAL_ACTION))
    return {(record_of(row, cipher).data or {}).get("first", 0): row.seq for row in rows}


def anchors(connection: sqlite3.Connection, cipher: Cipher | None) -> list[Anchor]:
    """The newest word of the chain on each part of the histories, in their order."""
    found: dict[int, Anchor] = {}
    for row in audit_rows(connection, AuditFilter(actions=(HISTORY_ACTION, RESEAL_ACTION))):
        anchor = msgspec.convert(record_of(row, cipher).data, Anchor)
        found[anchor.first] = anchor
    return [found[first] for first in sorted(found)]


def said_again(connection: sqlite3.Connection, anchor: Anchor) -> dict[str, Any] | None:
    """What to record of rows that were sealed again; None where none of them are left."""
    rows = anchored_rows(connection, anchor)
    if not rows:
        return None
    told = {"first": anchor.first, "last": anchor.last, "count": anchor.count, "sha256": digest_of(rows)}
    return told if len(rows) == anchor.count else {**told, "left": len(rows)}


def record_of(row: AuditRow, cipher: Cipher | None = None) -> AuditRecord:
    """What a row says."""
    told = _told(row.data if cipher is None else cipher.unseal(row.data))
    return AuditRecord(
        at=row.at,
        principal=told.principal,
        action=row.action,
        resource=row.resource,
        verdict=row.verdict,
        reason=told.reason,
        workspace=row.workspace,
        data=told.data,
    )


def list_audit(
    connection: sqlite3.Connection, wanted: AuditFilter, *, limit: int, before: int | None = None
) -> list[AuditRow]:
    """Rows of the chain, newest first; `before` is the `seq` of the last one seen."""
    where, parameters = _where(wanted, before, _places(connection, wanted))
    sql = f"SELECT {_COLUMNS} FROM main.audit {where} ORDER BY seq DESC LIMIT ?"  # noqa: S608
    return [AuditRow(*row) for row in connection.execute(sql, (*parameters, limit))]


def audit_rows(connection: sqlite3.Connection, wanted: AuditFilter) -> Iterator[AuditRow]:
    """All of these rows, oldest first, as they are read: there may be more than fit into memory."""
    where, parameters = _where(wanted, None, _places(connection, wanted))
    sql = f"SELECT {_COLUMNS} FROM main.audit {where} ORDER BY seq"  # noqa: S608
    return (AuditRow(*row) for row in connection.execute(sql, parameters))


def _places(connection: sqlite3.Connection, wanted: AuditFilter) -> tuple[int, int] | None:
    """The first and the last place of records of the time that is asked for; None where they restrict little.

    Left to itself SQLite reads from one end of the chain until it gets there. Clocks may be set back, so places
    within these two may be of other times.
    """
    if wanted.since is None and wanted.until is None:
        return None
    since, until = wanted.since or 0, 2**62 if wanted.until is None else wanted.until
    within = "SELECT seq FROM main.audit INDEXED BY audit_by_time WHERE at >= ? AND at < ? LIMIT ?"
    sql = f"SELECT min(seq), max(seq), count(*) FROM ({within})"  # noqa: S608 - a constant
    first, last, count = connection.execute(sql, (since, until, _PLACES_MAX)).fetchone()
    if count == _PLACES_MAX:
        return None
    return (first, last) if count else (1, 0)


def _where(wanted: AuditFilter, before: int | None, places: tuple[int, int] | None) -> tuple[str, list[Any]]:
    conditions: list[str] = []
    parameters: list[Any] = []
    asked = wanted.actions or ((wanted.action,) if wanted.action is not None else ())
    if asked and not EVERYDAY.intersection(asked):
        # Written out: SQLite uses a partial index only where it sees the same condition.
        conditions.append(_RARE)
    for column in ("workspace", "action", "resource", "principal", "verdict"):
        value = getattr(wanted, column)
        if value is not None:
            conditions.append(f"{column} = ?")
            parameters.append(value)
    for condition, value in (("at >= ?", wanted.since), ("at < ?", wanted.until), ("seq < ?", before)):
        if value is not None:
            conditions.append(condition)
            parameters.append(value)
    if places is not None:
        conditions.append("seq BETWEEN ? AND ?")
        parameters += places
    if wanted.actions:
        conditions.append(f"action IN ({', '.join('?' * len(wanted.actions))})")
        parameters += wanted.actions
    if wanted.without_verdicts:
        conditions.append(f"verdict NOT IN ({', '.join('?' * len(wanted.without_verdicts))})")
        parameters += wanted.without_verdicts
    return (f"WHERE {' AND '.join(conditions)}" if conditions else ""), parameters


def audit_after(connection: sqlite3.Connection, seq: int, *, limit: int) -> list[tuple[Any, ...]]:
    """Columns of `AuditRow`, oldest first, from the record after `seq`: for reading the whole chain quickly."""
    sql = f"SELECT {_COLUMNS} FROM main.audit WHERE seq > ? ORDER BY seq LIMIT ?"  # noqa: S608
    return connection.execute(sql, (seq, limit)).fetchall()


def audit_of(connection: sqlite3.Connection, resources: Sequence[str], *, limit: int) -> list[AuditRow]:
    """Records about any of these resources, oldest first; the newest ones where there are more."""
    sql = (
        f"SELECT {_COLUMNS} FROM main.audit WHERE resource IN (SELECT value FROM json_each(?))"  # noqa: S608
        " ORDER BY seq DESC LIMIT ?"
    )
    rows = connection.execute(sql, (encode(list(resources)).decode(), limit)).fetchall()
    return [AuditRow(*row) for row in reversed(rows)]


def find_audit(connection: sqlite3.Connection, seq: int) -> AuditRow | None:
    """The record at this place."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM main.audit WHERE seq = ?", (seq,)).fetchone()  # noqa: S608
    return None if row is None else AuditRow(*row)


def prune_audit(up_to: int, *, after: int) -> tuple[str, Sequence[Any]]:
    """Remove records whose place is larger than `after` and at most `up_to`."""
    return "DELETE FROM main.audit WHERE seq > ? AND seq <= ?", (after, up_to)


# -- histories -------------------------------------------------------------------------------------


def anchor_after(connection: sqlite3.Connection, last: int) -> Anchor | None:
    """What there is to say of the rows of history behind the last one that was told of; None without any.

    Rows of the host's own runs are left out: it removes them as it goes.
    """
    rows = connection.execute(_HISTORY, (last + 1, 2**62, _ANCHORED_MAX)).fetchall()
    return None if not rows else Anchor(rows[0][0], rows[-1][0], len(rows), digest_of(rows))


def anchored_rows(connection: sqlite3.Connection, anchor: Anchor) -> list[tuple[int, str | bytes]]:
    """The rows that an anchor covers, as far as they are there."""
    return connection.execute(_HISTORY, (anchor.first, anchor.last, -1)).fetchall()


def digest_of(rows: Iterable[tuple[int, str | bytes]]) -> str:
    """A digest of rows of history: their numbers and what they hold, as it is stored."""
    total = sha256(b"segue.history.v1\0")
    for number, data in rows:
        raw = data.encode() if isinstance(data, str) else data
        total.update(b"%d:%d:" % (number, len(raw)))
        total.update(raw)
    return total.hexdigest()


_HISTORY: Final = (
    "SELECT history.id, data FROM main.history CROSS JOIN main.run ON run.seq = history.run AND run.hidden = 0"
    " WHERE history.id BETWEEN ? AND ? ORDER BY history.id LIMIT ?"
)


def last_anchored(connection: sqlite3.Connection, cipher: Cipher | None = None) -> int:
    """The newest row of history that the chain tells of, 0 without any."""
    sql = f"SELECT data FROM main.audit WHERE action = '{HISTORY_ACTION}' AND {_RARE} ORDER BY seq DESC LIMIT 1"  # noqa: S608
    row = connection.execute(sql).fetchone()
    if row is None:
        return 0
    return int(decode(row[0] if cipher is None else cipher.unseal(row[0]))["data"]["last"])
