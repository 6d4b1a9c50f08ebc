"""A data file made anew with everything in it sealed, and the proof that it says the same.

Nothing is changed in place: pages, free pages and the WAL of a file that held plain text would go on holding it. So
all rows go into a new file, table by table, as they would have been written with keys from the beginning. What stands
in `sealing.SEALED` is sealed, references to large values follow their new hashes, and records of the audit chain stay
linked as they are (`chain.carried`).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec

from segue.store import blobs, chain, codec
from segue.store.folder import open_reader, open_writer
from segue.store.records import put_meta
from segue.store.sealing import BLIND, SEALED
from segue.store.snapshots import read_kept
from segue.types import Cipher

SEALED_KEY: Final = "sealed"
"""Where the data file says which keys it was sealed with."""
_HELD: Final = "held:"
_MADE_ANEW: Final = frozenset({"blob", "blob_use", "meta", "audit"})
_REFERRING: Final = {("history", "data"), ("run", "output"), ("event", "envelope")}
_AT_ONCE: Final = 500


class Differs(ValueError):
    """The new file does not say what the old one says. This is a bug, and the old file stays."""


def is_sealed(path: Path) -> bool:
    """Whether a data file says that it is encrypted."""
    with closing(open_reader(path)) as reader:
        return reader.execute("SELECT 1 FROM meta WHERE key = ?", (SEALED_KEY,)).fetchone() is not None


def held_subjects(connection: sqlite3.Connection) -> list[str]:
    """Data subjects under legal hold, as the data file names them."""
    sql = "SELECT substr(key, ?) FROM meta WHERE key LIKE ? ORDER BY key"
    return [name for (name,) in connection.execute(sql, (len(_HELD) + 1, f"{_HELD}%"))]


def write_sealed(source: Path, target: Path, cipher: Cipher) -> int:
    """Make a sealed file of a plain one that nobody writes; returns how many rows it has.

    Args:
        target: Must not exist. It is on disk when this returns.
    """
    with closing(open_reader(source)) as old, closing(open_writer(target)) as new:
        # Nobody reads it before it is whole, and a crash throws it away.
        new.execute("PRAGMA journal_mode = OFF")
        new.execute("PRAGMA synchronous = OFF")
        old.execute("BEGIN")
        new.execute("BEGIN")
        for run, subject in old.execute("SELECT seq, subject FROM run WHERE subject IS NOT NULL"):
            cipher.assign(run, cipher.blind(subject))
        rows = sum(_copy(old, new, table, cipher) for table in _tables(old))
        _copy_counters(old, new)
        new.execute("COMMIT")
    _sync(target)
    return rows


def compare(plain: Path, sealed: Path, cipher: Cipher) -> int:
    """Read both files as the service does and compare; returns how many histories were found equal.

    Raises:
        Differs: They do not say the same.
    """
    with closing(open_reader(plain)) as old, closing(open_reader(sealed, cipher)) as new:
        for table in _tables(old):
            _compare_counts(old, new, table)
            if table not in _MADE_ANEW:
                _compare_rows(old, new, table)
        runs = [seq for (seq,) in old.execute("SELECT seq FROM run ORDER BY seq")]
        for run in runs:
            if _kept(old, run) != _kept(new, run):
                raise Differs(f"the history of run number {run} reads differently")
        return len(runs)


def _kept(connection: sqlite3.Connection, run: int) -> Any:
    try:
        return read_kept(connection, run)
    except ValueError as error:
        return str(error)  # Damaged before, and damaged in the same way after.


# -- copying ---------------------------------------------------------------------------------------


def _tables(connection: sqlite3.Connection) -> list[str]:
    sql = "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    return [name for (name,) in connection.execute(sql)]


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in connection.execute(f"PRAGMA main.table_info({table})")]


def _key(connection: sqlite3.Connection, table: str) -> list[str]:
    """Columns of the primary key, none where there is none."""
    rows = connection.execute(f"PRAGMA main.table_info({table})")
    return [name for _, name in sorted((row[5], row[1]) for row in rows if row[5])]


def _copy(old: sqlite3.Connection, new: sqlite3.Connection, table: str, cipher: Cipher) -> int:
    if table == "blob":
        return 0  # With the table of who uses them.
    names = _columns(old, table)
    rows = old.execute(f"SELECT {', '.join(names)} FROM {table}")  # noqa: S608 - names of our own
    if table == "blob_use":
        return _copy_large(old, new, rows, cipher)
    made: Iterator[tuple[Any, ...]]
    if table == "audit":
        made = (chain.carried(row, cipher) for row in rows)
    elif table == "meta":
        made = (_meta(row, cipher) for row in rows)
        new.execute(*put_meta(SEALED_KEY, cipher.blind(SEALED_KEY)))
    else:
        made = (_row(table, names, row, cipher) for row in rows)
    into = f"INSERT OR REPLACE INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608
    return new.executemany(into, made).rowcount


def _row(table: str, names: list[str], row: tuple[Any, ...], cipher: Cipher) -> tuple[Any, ...]:
    sealed, blind = SEALED.get(table, ()), BLIND.get(table, ())
    if not sealed and not blind:
        return row
    said = dict(zip(names, row, strict=True))
    run = said.get("seq" if table == "run" else "run")
    # Large values of an event are kept under minus its number (`blobs.py`).
    owner = -said["seq"] if table == "event" else int(run or 0)
    for name in sealed:
        if (table, name) in _REFERRING and isinstance(said[name], bytes):
            said[name] = _referring(said[name], run, owner, cipher)
        else:
            said[name] = _sealed(said[name], run, cipher)
    for name in blind:
        if said[name] is not None:
            said[name] = cipher.blind(said[name])
    if table == "snapshot":
        refs = [cipher.keyed(bytes.fromhex(ref), run).hex() for ref in codec.decode(said["refs"])]
        said["refs"] = codec.encode(refs).decode()
    return tuple(said.values())


def _sealed(value: Any, run: int | None, cipher: Cipher) -> str | None:
    if value is None:
        return None
    if isinstance(value, bytes):
        return cipher.seal(value, run, packed=True)
    return cipher.seal(str(value).encode(), run)


def _referring(value: bytes, run: int | None, owner: int, cipher: Cipher) -> str | bytes:
    """A value that may be, or hold, references to large ones."""
    if value[:1] == blobs.WHOLE:
        return blobs.WHOLE + cipher.keyed(value[1:], owner)
    if value[:1] != blobs.FIELDS:
        return cipher.seal(value, run, packed=True)
    split = blobs.split_of(value[1:])
    refs = {name: cipher.keyed(bytes.fromhex(ref), owner).hex() for name, ref in split.refs.items()}
    rest = cipher.seal(codec.encode(split.rest), owner)
    return blobs.FIELDS + codec.encode({"refs": refs, "rest": rest})


def _copy_large(old: sqlite3.Connection, new: sqlite3.Connection, rows: sqlite3.Cursor, cipher: Cipher) -> int:
    """Each large value once for each key that it is sealed with."""
    count = 0
    for owner, hash in rows:
        keyed = cipher.keyed(hash, owner)
        if new.execute("SELECT 1 FROM blob WHERE hash = ?", (keyed,)).fetchone() is None:
            (data,) = old.execute("SELECT data FROM blob WHERE hash = ?", (hash,)).fetchone()
            new.execute("INSERT INTO blob (hash, data) VALUES (?, ?)", (keyed, _sealed(data, owner, cipher)))
        new.execute("INSERT INTO blob_use (owner, hash) VALUES (?, ?)", (owner, keyed))
        count += 1
    return count


def _meta(row: tuple[str, str], cipher: Cipher) -> tuple[str, str]:
    key, value = row
    return (_HELD + cipher.blind(key.removeprefix(_HELD)), value) if key.startswith(_HELD) else row


def _copy_counters(old: sqlite3.Connection, new: sqlite3.Connection) -> None:
    """Numbers that were given out are not given out again."""
    new.execute("DELETE FROM sqlite_sequence")
    rows = old.execute("SELECT name, seq FROM sqlite_sequence")
    new.executemany("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", rows)


# -- comparing -------------------------------------------------------------------------------------


def _compare_counts(old: sqlite3.Connection, new: sqlite3.Connection, table: str) -> None:
    if table in ("blob", "meta"):
        return  # A large value of two data subjects is two now; and the file says that it is sealed.
    sql = f"SELECT count(*) FROM main.{table}"  # noqa: S608 - names of our own
    (before,), (after,) = old.execute(sql).fetchone(), new.execute(sql).fetchone()
    if before != after:
        raise Differs(f"the table {table} has {after} rows and not {before}")


def _compare_rows(old: sqlite3.Connection, new: sqlite3.Connection, table: str) -> None:
    """Everything but what refers to large values by hash; that is compared by what it stands for."""
    names = _columns(old, table)
    chosen = [n for n in names if n not in BLIND.get(table, ()) and (table, n) not in {*_REFERRING, _REFS}]
    order = ", ".join(_key(old, table) or [n for n in chosen if n not in SEALED.get(table, ())])
    sql = f"SELECT {', '.join(chosen)} FROM {table} ORDER BY {order}"  # noqa: S608 - names of our own
    one, two = old.execute(sql), new.execute(sql)
    while rows := one.fetchmany(_AT_ONCE):
        if rows != two.fetchmany(_AT_ONCE):
            raise Differs(f"the table {table} reads differently")
    for column in ("output", "envelope"):
        if (table, column) in _REFERRING:
            _compare_values(old, new, table, column)


def _compare_values(old: sqlite3.Connection, new: sqlite3.Connection, table: str, column: str) -> None:
    sql = f"SELECT seq, {column} FROM {table} ORDER BY seq"  # noqa: S608 - names of our own
    for (number, plain), (_, sealed) in zip(old.execute(sql), new.execute(sql), strict=True):
        if msgspec.msgpack.encode(blobs.load(old, plain)) != msgspec.msgpack.encode(blobs.load(new, sealed)):
            raise Differs(f"{column} of {table} number {number} reads differently")


_REFS: Final = ("snapshot", "refs")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
