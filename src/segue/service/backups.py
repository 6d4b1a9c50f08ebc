"""Use case: back up a data folder while it works, and make a data folder from a backup."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

import segue
from segue.governance import KEYS_NAME
from segue.service.access import UseCases, governed
from segue.service.audit import mark_restored
from segue.service.errors import ServiceError
from segue.service.observe import iso
from segue.service.shapes import Shape
from segue.store import BACKUPS_NAME, Manifest, Store, back_up, restore
from segue.store.chain import Head, read_head
from segue.store.folder import DATABASE_NAME

RESTORED_NAME: Final = "restored.json"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class NewBackup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to make. `name` is the file's name in the folder `backups`; a time where it is left out."""

    name: str | None = None


class Restored(msgspec.Struct, frozen=True):
    """That a folder was made from a backup, until its chain tells of it. `seq`: newest record of the chain then."""

    at: int
    file: str
    seq: int
    sha256: str
    segue: str


class BackupView(Shape, frozen=True, kw_only=True):
    """A backup, as its manifest tells it.

    Attributes:
        file: Where it lies.
        made_at: The moment that it shows.
        segue: Release that made it. format: version of its tables.
        newest_run, newest_event: The largest numbers in it of a run and of an event, in their order of arrival.
        verified: A manifest with a checksum belongs to it.
        sealed: Its values are encrypted. Where not, whoever gets the file reads secrets of one-time codes in it, and
            hashes of passwords, besides everything else. None where that is not known.
    """

    file: str
    made_at: str | None = None
    segue: str | None = None
    format: int | None = None
    newest_run: int | None = None
    newest_event: int | None = None
    bytes: int
    sha256: str | None = None
    verified: bool = True
    sealed: bool | None = None


class Backups(UseCases):
    """Backups that a server makes of the folder it works with."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @governed("backup.make")
    async def make(self, wanted: NewBackup) -> BackupView:
        """Make a backup in the folder `backups` of the data folder; a server writes nowhere else.

        Raises:
            ServiceError: `backup-refused`.
        """
        name = wanted.name or time.strftime("segue-%Y%m%dT%H%M%SZ.db", time.gmtime())
        if not _NAME.fullmatch(name):
            raise ServiceError(
                "backup-refused",
                f"{name!r} is no name for a backup.",
                remedy="Use up to 100 letters, digits and ._- beginning with a letter or digit; it is no path.",
            )
        sealed = (self._store.folder / KEYS_NAME).exists()
        self._store.note("backup.make", f"backup:{name}", data={"sealed": sealed})
        await self._store.commit.wait_durable()
        folder = self._store.folder
        return await asyncio.to_thread(backup_of_folder, folder, folder / BACKUPS_NAME / name)


def backup_of_folder(folder: Path, target: Path) -> BackupView:
    """Make a backup, whether or not a server works with the folder. It does not wait for the server, nor it for this.

    Raises:
        HostError: There is nothing to back up, the file exists, or it cannot be written.
    """
    sealed = (folder / KEYS_NAME).exists()
    made = _view(target, back_up(folder, target, release=segue.__version__))
    return msgspec.structs.replace(made, sealed=sealed)


def restore_folder(source: Path, folder: Path, *, force: bool = False, need_manifest: bool = True) -> BackupView:
    """Make a data folder from a backup; see `segue.store.restore`.

    Raises:
        HostError: The backup does not verify, or the folder is in use or not empty.
    """
    manifest = restore(source, folder, force=force, need_manifest=need_manifest)
    head = _head(folder)
    mark_restored(folder, head)
    # Its chain can be written with the folder's keys only, which whoever restores need not have: told when it opens.
    restored = Restored(
        at=time.time_ns() // 1_000_000,
        file=source.name,
        seq=head.seq,
        sha256="" if manifest is None else manifest.sha256,
        segue=segue.__version__,
    )
    (folder / RESTORED_NAME).write_bytes(msgspec.json.encode(restored))
    if manifest is None:
        return BackupView(file=str(source), bytes=source.stat().st_size, verified=False)
    return _view(source, manifest)


async def note_restored(store: Store) -> None:
    """Let the chain of a folder that was restored tell of it, at its first opening."""
    path = store.folder / RESTORED_NAME
    try:
        restored = msgspec.json.decode(path.read_bytes(), type=Restored)
    except FileNotFoundError:
        return
    except (OSError, msgspec.DecodeError):
        restored = Restored(0, "unreadable", 0, "", "")
    store.note("backup.restore", f"backup:{restored.file}", data=msgspec.to_builtins(restored))
    await store.write([])
    path.unlink(missing_ok=True)


def _view(file: Path, manifest: Manifest) -> BackupView:
    return BackupView(
        file=str(file),
        made_at=iso(manifest.made_at),
        segue=manifest.segue,
        format=manifest.format,
        newest_run=manifest.newest_run,
        newest_event=manifest.newest_event,
        bytes=manifest.bytes,
        sha256=manifest.sha256,
    )


def _head(folder: Path) -> Head:
    """The end of the audit chain; a backup of a release without one has none."""
    # Opened for writing, which reading a fresh file in WAL mode needs; nothing is written.
    with closing(sqlite3.connect(folder / DATABASE_NAME)) as connection:
        try:
            return read_head(connection)
        except sqlite3.OperationalError:
            return Head()
