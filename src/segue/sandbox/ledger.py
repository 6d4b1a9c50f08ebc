"""The company's own count: every write a client caused, and what came of its idempotency keys.

Proofs of exactly-once stand on these rows, so each is committed before its request is answered, together
with the idempotency key that led to it.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import Any

import msgspec

from segue.sandbox.database import Database
from segue.sandbox.http import Refusal

_NAMED_DUPLICATES = 20


@dataclass(frozen=True, slots=True)
class Write:
    """A row of the journal; `record` is what the client asked for, as the system keeps it."""

    sequence: int
    record: dict[str, Any]
    replayed: bool = False


class Ledger:
    """The journal of one system. Methods that write expect to run inside a transaction."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def write(self, kind: str, customer: str, record: dict[str, Any], *, reference: str | None = None) -> Write:
        """Append a write. `reference` is the client's own name for it, unique or not."""
        cursor = self._db.execute(
            "INSERT INTO writes (kind, customer, reference, at_ms, record) VALUES (?, ?, ?, ?, ?)",
            (kind, customer, reference, time.time_ns() // 1_000_000, msgspec.json.encode(record).decode()),
        )
        assert cursor.lastrowid is not None
        return Write(cursor.lastrowid, record)

    def write_once(
        self, kind: str, customer: str, record: dict[str, Any], *, key: str | None, request: bytes
    ) -> Write:
        """Append a write unless its idempotency key was used: then answer with the earlier one.

        Args:
            request: What the key must stand for every time it is used.

        Raises:
            Refusal: 422, when the key was used for another request.
        """
        if key is None:
            return self.write(kind, customer, record)
        digest = hashlib.sha256(request).digest()
        used = self._db.one(
            "SELECT i.request_sha256, w.sequence, w.record FROM idempotency i JOIN writes w USING (sequence) "
            "WHERE i.kind = ? AND i.key = ?",
            kind,
            key,
        )
        if used is None:
            write = self.write(kind, customer, record, reference=key)
            self._db.execute(
                "INSERT INTO idempotency (kind, key, request_sha256, sequence) VALUES (?, ?, ?, ?)",
                (kind, key, digest, write.sequence),
            )
            return write
        if used[0] != digest:
            raise Refusal(422, "idempotency_key_reused", "This Idempotency-Key was used for another request.")
        self._db.execute("UPDATE idempotency SET replays = replays + 1 WHERE kind = ? AND key = ?", (kind, key))
        return Write(used[1], msgspec.json.decode(used[2]), replayed=True)

    def get(self, kind: str, sequence: int) -> Write | None:
        row = self._db.one("SELECT record FROM writes WHERE sequence = ? AND kind = ?", sequence, kind)
        return None if row is None else Write(sequence, msgspec.json.decode(row[0]))

    def page(
        self,
        kind: str,
        *,
        limit: int,
        after: int = 0,
        offset: int = 0,
        customer: str | None = None,
        reference: str | None = None,
    ) -> list[Write]:
        """Writes in the order they were made, after a sequence number or from an offset."""
        where, values = self._where(kind, customer, reference)
        rows = self._db.all(
            f"SELECT sequence, record FROM writes WHERE {where} AND sequence > ? "  # noqa: S608 - fixed texts
            "ORDER BY sequence LIMIT ? OFFSET ?",
            *values,
            after,
            limit,
            offset,
        )
        return [Write(sequence, msgspec.json.decode(record)) for sequence, record in rows]

    def count(self, kind: str, *, customer: str | None = None, reference: str | None = None) -> int:
        where, values = self._where(kind, customer, reference)
        row = self._db.one(f"SELECT count(*) FROM writes WHERE {where}", *values)  # noqa: S608
        assert row is not None
        return int(row[0])

    def _where(self, kind: str, customer: str | None, reference: str | None) -> tuple[str, list[str]]:
        given = {"kind": kind, "customer": customer, "reference": reference}
        present = {name: value for name, value in given.items() if value is not None}
        return " AND ".join(f"{name} = ?" for name in present), list(present.values())

    def count_request(self, operation: str, status: int) -> None:
        """Count an answer; status 0 stands for a connection closed without one."""
        self._db.execute(
            "INSERT INTO requests VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET number = number + 1",
            (operation, status),
        )

    def statistics(self, kinds: tuple[str, ...], *, after: int = 0) -> dict[str, Any]:
        """What the system counted, from its rows. `after` leaves writes up to that sequence number out."""
        by_operation: dict[str, dict[str, int]] = {}
        for operation, status, number in self._db.all("SELECT * FROM requests ORDER BY operation, status"):
            by_operation.setdefault(operation, {})[str(status)] = number
        last = self._db.one("SELECT seq FROM sqlite_sequence WHERE name = 'writes'")
        return {
            "requests": sum(number for row in by_operation.values() for number in row.values()),
            "requests_by_operation": by_operation,
            "writes": {kind: self._writes(kind, after) for kind in kinds},
            "last_sequence": last[0] if last else 0,
        }

    def _writes(self, kind: str, after: int) -> dict[str, Any]:
        created, customers, references = self._first(
            "SELECT count(*), count(DISTINCT customer), count(DISTINCT reference) FROM writes "
            "WHERE kind = ? AND sequence > ?",
            kind,
            after,
        )
        keys, replays = self._first(
            "SELECT count(*), coalesce(sum(replays), 0) FROM idempotency WHERE kind = ? AND sequence > ?",
            kind,
            after,
        )
        repeated = self._db.all(
            "SELECT customer, count(*) FROM writes WHERE kind = ? AND sequence > ? "
            "GROUP BY customer HAVING count(*) > 1 ORDER BY customer LIMIT ?",
            kind,
            after,
            _NAMED_DUPLICATES,
        )
        return {
            "created": created,
            "customers": customers,
            "duplicates": created - customers,
            "duplicates_by_customer": dict(repeated),
            "distinct_references": references,
            "distinct_idempotency_keys": keys,
            "replays_answered": replays,
        }

    def _first(self, sql: str, *values: Any) -> tuple[Any, ...]:
        row = self._db.one(sql, *values)
        assert row is not None, "an aggregate always has a row"
        return row

    def reset(self) -> None:
        """Forget writes, keys and request counts; sequence numbers go on, so that ids are never reused."""
        with self._db.transaction():
            for table in ("writes", "idempotency", "requests"):
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - fixed names
