"""Encryption at rest, as the store does it: which columns are sealed, and how they are read as if they were not.

Values of the everyday path are sealed by the batch before it is written (`batch.py`): a function of ours called
from within SQLite would wait for the interpreter lock at each row. Rare statements write `seal(?)` or
`seal(?, run)`, which is the value itself where nothing is encrypted. Readers get, for each table with sealed
columns, a temporary view of the same name that opens them, so no query needs to know. Whoever needs the stored form
says `main.TABLE`.

What is not sealed, because it is looked up, ordered or joined: numbers, times, states, names of workflows, tasks and
connections, ids of runs and people, types of events. Source and id of events are blind stand-ins.
"""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from segue.types import Cipher

SEALED: Final[dict[str, tuple[str, ...]]] = {
    "run": ("cause", "output", "failure", "reason"),
    "history": ("data",),
    "event": ("envelope",),
    "inbox": ("data",),
    "effect": ("receipt",),
    "connection": ("data",),
    "definition": ("source",),
    "incident": ("failure", "owner", "by", "reason"),
    "blob": ("data",),
    "snapshot": ("data", "host"),
    "human_task": ("title",),
    "label": ("input", "proposed", "decided"),
    "profile": ("data",),
    "secret": ("data",),
    "identity": ("data",),
    "directory_group": ("data",),
    "credential": ("data",),
    "policy_change": ("text", "reason"),
    "switch": ("reason", "released_reason"),
    "publication": ("source", "reason"),
    "consent": ("reason",),
    "account_change": ("wish", "reason"),
    "adjusted": ("value",),
    "adjustment": ("changes", "reason", "decided_reason"),
    "limit_taken": ("amount",),
}
"""Sealed columns by table; a value that was stored before encryption was on is read as it is."""

BLIND: Final[dict[str, tuple[str, ...]]] = {"run": ("subject",), "event": ("source", "id"), "label": ("subject",)}
"""Columns that hold blind stand-ins; the audit chain has its own rule (`chain.link`)."""


def equip(connection: sqlite3.Connection, cipher: Cipher | None) -> None:
    """Give a connection the functions that statements use."""

    def seal(value: Any, run: int | None = None) -> Any:
        return value if cipher is None or value is None else sealed(cipher, value, run)

    def keyed(digest: bytes, run: int) -> bytes:
        return digest if cipher is None else cipher.keyed(digest, run)

    def blind(text: str) -> str:
        return text if cipher is None else cipher.blind(text)

    connection.create_function("seal", 1, seal)
    connection.create_function("seal", 2, seal)
    connection.create_function("keyed", 2, keyed, deterministic=True)
    connection.create_function("blind", 1, blind, deterministic=True)


def sealed(cipher: Cipher, value: str | bytes, run: int | None = None) -> str:
    """The sealed form of a stored value: text, or bytes that were packed."""
    return cipher.seal(value.encode(), run) if isinstance(value, str) else cipher.seal(value, run, packed=True)


def seal_profiles(connection: sqlite3.Connection) -> None:
    """Seal the profiles that earlier releases wrote in plain text into encrypted folders, leaving nothing of them."""
    plain = "FROM profile WHERE data LIKE '{%'"
    if connection.execute(f"SELECT 1 {plain} LIMIT 1").fetchone() is None:
        return
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("UPDATE profile SET data = seal(data) WHERE data LIKE '{%'")
    connection.execute("PRAGMA secure_delete = OFF")
    # The log of the file holds the page as it was.
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def open_up(connection: sqlite3.Connection, cipher: Cipher | None) -> None:
    """Let a reading connection see sealed columns open. Before it is told to write nothing."""
    equip(connection, cipher)
    if cipher is None:
        return
    connection.create_function("unseal", 1, cipher.unseal, deterministic=True)
    for table, columns in SEALED.items():
        names = [row[1] for row in connection.execute(f"PRAGMA main.table_info({table})")]
        chosen = ", ".join(f"unseal({n}) AS {n}" if n in columns else n for n in names)
        connection.execute(f"CREATE TEMP VIEW {table} AS SELECT {chosen} FROM main.{table}")  # noqa: S608
