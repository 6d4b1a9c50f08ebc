"""Large values: stored once by content, and referred to from wherever they occur.

A value of `BLOB_FROM_BYTES` or more as JSON becomes a row of its own under the hash of that JSON. What held it keeps
a reference, which in stored form begins with a letter like every packing (`codec.py`):

    h   the whole column is the value: 32 bytes of hash follow.
    r   an event with large fields: JSON follows, `{"refs": {FIELD: hash in hex}, "rest": {the other fields}}`.

So the output of a task, the same value as the run's output and as its parent's result are on disk once. Who uses a
value stands in a table; when the last user is removed, the value goes in the same transaction. No reference can be
forged: data of workflows is always text or packed, never a column that begins with one of these letters.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from hashlib import sha256
from typing import Any, Final

import msgspec

from segue.store.codec import ERASED, decode, decode_event, encode, pack, unpack
from segue.store.errors import ErasedData
from segue.types import Event

BLOB_FROM_BYTES: Final = 32 * 1024

WHOLE: Final = b"h"
FIELDS: Final = b"r"


class _Split(msgspec.Struct, frozen=True):
    refs: dict[str, str]
    rest: Any


_fields_of: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
split_of: Final = msgspec.json.Decoder(_Split).decode


# -- writing -----------------------------------------------------------------------------------------


def put_value(connection: sqlite3.Connection, owner: int, raw: bytes) -> str | bytes:
    """The stored form of a value, large or not; a large one is stored here. Inside a transaction."""
    if len(raw) < BLOB_FROM_BYTES:
        return _sealed(connection, pack(raw), owner)
    return WHOLE + put_large(connection, owner, raw)


def put_event(connection: sqlite3.Connection, owner: int, raw: bytes) -> str | bytes:
    """The stored form of an event of a run; its large fields are stored here. Inside a transaction."""
    if len(raw) < BLOB_FROM_BYTES:
        return _sealed(connection, pack(raw), owner)
    fields = _fields_of(raw)
    large = {name: bytes(value) for name, value in fields.items() if len(bytes(value)) >= BLOB_FROM_BYTES}
    if not large:
        return _sealed(connection, pack(raw), owner)
    refs = {name: put_large(connection, owner, value).hex() for name, value in large.items()}
    rest = encode({name: value for name, value in fields.items() if name not in large})
    stored = _sealed(connection, rest.decode(), owner)
    # References stay readable: statements that tidy up look for them.
    sealed = None if stored == rest.decode() else stored
    return FIELDS + encode(_Split(refs, msgspec.Raw(rest) if sealed is None else sealed))


def _sealed(connection: sqlite3.Connection, stored: str | bytes, owner: int) -> str | bytes:
    found: str | bytes = connection.execute("SELECT seal(?, ?)", (stored, owner)).fetchone()[0]
    return found


def put_large(connection: sqlite3.Connection, owner: int, raw: bytes) -> bytes:
    """Store a large value, whatever its size; what refers to it. Inside a transaction."""
    digest: bytes = connection.execute("SELECT keyed(?, ?)", (sha256(raw).digest(), owner)).fetchone()[0]
    # Looked up first: packing costs more than the look.
    if connection.execute("SELECT 1 FROM blob WHERE hash = ?", (digest,)).fetchone() is None:
        connection.execute("INSERT INTO blob (hash, data) VALUES (?, seal(?, ?))", (digest, pack(raw), owner))
    connection.execute("INSERT OR IGNORE INTO blob_use (owner, hash) VALUES (?, ?)", (owner, digest))
    return digest


# -- reading -----------------------------------------------------------------------------------------


def load(connection: sqlite3.Connection, stored: str | bytes | None) -> Any:
    """The value of a stored column, wherever it lies; None for SQL NULL."""
    if stored is None:
        return None
    if isinstance(stored, bytes) and stored[:1] == WHOLE:
        stored = _get(connection, stored[1:])
    return decode(unpack(stored))


def load_event(connection: sqlite3.Connection, stored: str | bytes) -> Event:
    """The event of a stored column, its large fields included."""
    if isinstance(stored, bytes) and stored[:1] == FIELDS:
        split = split_of(stored[1:])
        rest = split.rest
        if isinstance(rest, str):
            opened = connection.execute("SELECT unseal(?)", (rest,)).fetchone()[0]
            if opened == ERASED:
                raise ErasedData("a history is about a data subject that was erased")
            rest = decode(opened)
        large = {name: msgspec.Raw(load_json(connection, bytes.fromhex(ref))) for name, ref in split.refs.items()}
        raw: str | bytes = encode({**rest, **large})
    else:
        raw = unpack(stored)
        if raw == ERASED:
            raise ErasedData("a history is about a data subject that was erased")
    event: Event = decode_event(raw)
    return event


def load_json(connection: sqlite3.Connection, digest: bytes) -> bytes:
    """The value that this refers to, as JSON.

    Raises:
        ValueError: It is not in the file, so the file is damaged.
    """
    found = unpack(_get(connection, digest))
    return found.encode() if isinstance(found, str) else found


def _get(connection: sqlite3.Connection, digest: bytes) -> str | bytes:
    row = connection.execute("SELECT data FROM blob WHERE hash = ?", (digest,)).fetchone()
    if row is None:
        raise ValueError(f"a stored value refers to {digest.hex()}, which is not in the file: the file is damaged")
    stored: str | bytes = row[0]
    return stored


# -- removing ----------------------------------------------------------------------------------------


def release(owners: Iterable[int]) -> list[tuple[str, tuple[Any, ...]]]:
    """Statements that remove what these owners use and nobody else does."""
    return release_of("SELECT value FROM json_each(?1)", str(list(owners)))


def release_of(owners: str, *parameters: str) -> list[tuple[str, tuple[Any, ...]]]:
    """The same for the owners that a query gives."""
    used_by_others = f"SELECT 1 FROM blob_use AS o WHERE o.hash = blob.hash AND o.owner NOT IN ({owners})"  # noqa: S608
    used = f"SELECT hash FROM blob_use WHERE owner IN ({owners})"  # noqa: S608
    return [
        (f"DELETE FROM blob WHERE hash IN ({used}) AND NOT EXISTS ({used_by_others})", parameters),  # noqa: S608
        (f"DELETE FROM blob_use WHERE owner IN ({owners})", parameters),  # noqa: S608
    ]
