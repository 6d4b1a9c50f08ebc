"""What an older key sealed is sealed with the newest one, in short batches beside the work.

Each batch is one small transaction of the same writer that commits the work, and changes a value only where it still
is what was read. Histories go by the parts that the audit chain tells of, so that what it says of a part is verified
before, and said anew in the transaction that changes it. Records of the chain keep their hashes (`chain.carried`);
what they now hold is said by a record of its own, since nothing else would bind it to what the hash covers.

Hashes of large values stay what they are: they were made with the older key, and only name them.
"""

from __future__ import annotations

import sqlite3
from base64 import b64encode
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple

from segue.store import blobs, chain, codec
from segue.store.records import Sql
from segue.store.sealing import SEALED
from segue.types import Cipher

AUDIT_RESEAL: Final = "audit.reseal"
_AT_ONCE: Final = 500
_MARKS: Final = ("~", "^", '"~', '"^')


class Batch(NamedTuple):
    """One transaction: statements, how many values they seal again, and what the chain says of it."""

    statements: list[Sql]
    values: int
    note: tuple[str, str, dict[str, Any]] | None = None


class Tampered(ValueError):
    """What is there is not what the chain was told; sealing it again would hide that."""


class Resealing:
    """Finds what is left to do. Each method is a query, and gives the next batch, or None where there is none.

    Args:
        old: Ids of the keys whose values are sealed again.
    """

    def __init__(self, cipher: Cipher, old: Sequence[bytes]) -> None:
        self._cipher = cipher
        self._heads = tuple(b64encode(id + b"\0").decode()[:10] for id in old)
        # A value without its mark, and the text of a sealed history event, begin with the id of their key.
        self._starts = tuple(mark + head for mark in _MARKS for head in self._heads)

    def is_old(self, value: Any) -> bool:
        """Whether one of the older keys sealed this."""
        return isinstance(value, str) and value.startswith(self._starts)

    def again(self, value: str, run: int | None) -> str:
        """The same, sealed with the key of today."""
        opened = self._cipher.unseal(value)
        if isinstance(opened, bytes):
            return self._cipher.seal(opened, run, packed=True)
        return self._cipher.seal(opened.encode(), run)

    def tables(self) -> list[str]:
        """Tables whose values are sealed again row by row."""
        return sorted(SEALED)

    def of_table(
        self, connection: sqlite3.Connection, table: str, after: tuple[Any, ...] | None
    ) -> tuple[Batch, tuple[Any, ...]] | None:
        """The next rows of a table: what to do, and the place of the last one."""
        key = _key(connection, table)
        columns = SEALED[table]
        chosen = ", ".join((*key, *columns, _run_of(connection, table)))
        where = "" if after is None else f"WHERE ({', '.join(key)}) > ({', '.join('?' * len(key))})"
        sql = f"SELECT {chosen} FROM main.{table} {where} ORDER BY {', '.join(key)} LIMIT ?"  # noqa: S608
        rows = connection.execute(sql, (*(after or ()), _AT_ONCE)).fetchall()
        if not rows:
            return None
        statements: list[Sql] = []
        same = " AND ".join(f"{name} = ?" for name in key)
        for row in rows:
            place = row[: len(key)]
            for name, value in zip(columns, row[len(key) : -1], strict=True):
                made = self._again(table, name, value, row[-1])
                if made is not None:
                    change = f"UPDATE {table} SET {name} = ? WHERE {same} AND {name} = ?"  # noqa: S608
                    statements.append((change, (made, *place, value)))
        return Batch(statements, len(statements)), rows[-1][: len(key)]

    def of_history(self, connection: sqlite3.Connection, anchor: chain.Anchor) -> Batch | None:
        """One part of the histories; None where nothing of it is old.

        Raises:
            Tampered: It is not what the chain was told.
        """
        sql = (
            "SELECT history.id, data, run FROM main.history CROSS JOIN main.run"
            " ON run.seq = history.run AND run.hidden = 0 WHERE history.id BETWEEN ? AND ? ORDER BY history.id"
        )
        rows = connection.execute(sql, (anchor.first, anchor.last)).fetchall()
        changed = {id: self._again("history", "data", data, run) for id, data, run in rows}
        changed = {id: made for id, made in changed.items() if made is not None}
        if not changed:
            return None
        before = [(id, data) for id, data, _ in rows]
        if len(before) == anchor.told and chain.digest_of(before) != anchor.sha256:
            raise Tampered(f"rows {anchor.first} to {anchor.last} of the histories were changed")
        after = [(id, changed.get(id, data)) for id, data in before]
        told: dict[str, Any] = {"first": anchor.first, "last": anchor.last, "count": anchor.count}
        told["sha256"] = chain.digest_of(after)
        if len(rows) < anchor.count:
            told["left"] = len(rows)
        sql = "UPDATE history SET data = ? WHERE id = ? AND data = ?"
        statements: list[Sql] = [(sql, (changed[id], id, data)) for id, data in before if id in changed]
        return Batch(statements, len(statements), (chain.RESEAL_ACTION, "history", told))

    def of_audit(self, connection: sqlite3.Connection, after: int) -> tuple[Batch, int] | None:
        """The next records of the chain behind a place."""
        rows = chain.audit_after(connection, after, limit=_AT_ONCE)
        if not rows:
            return None
        made = [(row, chain.carried(row, self._cipher)) for row in rows if any(map(self.is_old, row[7:]))]
        if not made:
            return Batch([], 0), rows[-1][0]
        sql = "UPDATE audit SET data = ?, hash = ? WHERE seq = ? AND data = ?"
        statements: list[Sql] = [(sql, (new[7], new[8], old[0], old[7])) for old, new in made]
        changed = {old[0]: new for old, new in made}
        first, last = made[0][0][0], made[-1][0][0]
        covered = [changed.get(row[0], row) for row in rows if first <= row[0] <= last]
        covered = [row for row in covered if self._cipher.unseal(row[8]) != row[8]]
        told = {"first": first, "last": last, "count": len(covered), "sha256": digest_of_records(covered)}
        return Batch(statements, len(made), (AUDIT_RESEAL, "audit", told)), rows[-1][0]

    def left(self, connection: sqlite3.Connection) -> int:
        """Values that one of the older keys sealed and that are still there."""
        count = 0
        for table, columns in [*SEALED.items(), ("audit", ("data", "hash"))]:
            for name in columns:
                for (value,) in connection.execute(f"SELECT {name} FROM main.{table}"):  # noqa: S608
                    count += self.is_old(value) or self._is_old_event(value)
        return count

    def _again(self, table: str, name: str, value: Any, run: int | None) -> str | bytes | None:
        """The new form of a value; None where there is nothing to do."""
        if self.is_old(value):
            return self.again(value, run)
        if not self._is_old_event(value):
            return None
        split = blobs.split_of(value[1:])
        return blobs.FIELDS + codec.encode({"refs": split.refs, "rest": self.again(split.rest, run)})

    def _is_old_event(self, value: Any) -> bool:
        return isinstance(value, bytes) and value[:1] == blobs.FIELDS and self.is_old(blobs.split_of(value[1:]).rest)


def digest_of_records(rows: Sequence[tuple[Any, ...]]) -> str:
    """A digest of what records hold now: of rows as they are stored."""
    total = sha256(b"segue.audit.reseal.v1\0")
    for row in rows:
        total.update(codec.encode((row[0], row[7], row[8])))
    return total.hexdigest()


def check_records(
    connection: sqlite3.Connection, cipher: Cipher | None, complain: Callable[[int, int, str], None]
) -> None:
    """Compare records that were sealed again with what the chain says of them."""
    if cipher is None:
        return
    newest: dict[int, tuple[int, dict[str, Any]]] = {}
    for row in chain.audit_rows(connection, chain.AuditFilter(action=AUDIT_RESEAL)):
        told = chain.record_of(row, cipher).data or {}
        # A later pass may have sealed more of these records again: it covers them in other parts.
        newest = {
            first: one for first, one in newest.items() if one[1]["last"] < told["first"] or first > told["last"]
        }
        newest[told["first"]] = (row.seq, told)
    for seq, told in newest.values():
        rows = [
            row
            for row in chain.audit_after(connection, told["first"] - 1, limit=told["last"] - told["first"] + 1)
            if row[0] <= told["last"] and cipher.unseal(row[8]) != row[8]
        ]
        if len(rows) >= told["count"] and digest_of_records(rows) != told["sha256"]:
            complain(told["first"], told["last"], f"records were changed after record {seq} told of them")


def _key(connection: sqlite3.Connection, table: str) -> list[str]:
    rows = connection.execute(f"PRAGMA main.table_info({table})")
    return [name for _, name in sorted((row[5], row[1]) for row in rows if row[5])] or ["rowid"]


def _run_of(connection: sqlite3.Connection, table: str) -> str:
    if table == "run":
        return "seq"
    names = {row[1] for row in connection.execute(f"PRAGMA main.table_info({table})")}
    return "run" if "run" in names else "NULL"
