"""Backup and restore: one consistent file beside a writer under full load, and a data folder made from it.

A backup is read in one read transaction, which in WAL mode neither waits for the writer nor makes it wait: the
copy shows the moment at which it began, whatever is committed meanwhile. It is made under another name, brought to
disk, summed up, and only then takes its name; beside it lies a manifest that says what it holds.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from segue.store.errors import BackupRefused
from segue.store.folder import DATABASE_NAME, FolderLock, open_reader
from segue.store.mark import MARK_NAME
from segue.store.migrate import APPLICATION_ID, migrations

MANIFEST_SUFFIX: Final = ".manifest.json"
BACKUPS_NAME: Final = "backups"
"""The folder in a data folder that a server may write backups to."""

_STEP_PAGES: Final = 256
_SYNC_EVERY_PAGES: Final = 4096
_READ_BYTES: Final = 1 << 20
_MANIFEST_BYTES_MAX: Final = 64 * 1024


class Manifest(msgspec.Struct, frozen=True):
    """What a backup holds.

    Attributes:
        segue: Release that made it. format: version of the tables.
        made_at: When the copy began, in milliseconds since the epoch.
        newest_run, newest_event, newest_history: The largest sequence numbers in it.
        bytes, sha256: Size and checksum of the file beside which the manifest lies.
    """

    segue: str
    format: int
    made_at: int
    newest_run: int
    newest_event: int
    newest_history: int
    bytes: int
    sha256: str


def back_up(folder: Path, target: Path, *, release: str) -> Manifest:
    """Copy the file of a data folder, whether or not a process works with it. Takes a while: call it in a thread.

    Args:
        target: A file that does not exist yet; the manifest is written beside it.
        release: For the manifest.

    Raises:
        BackupRefused: There is nothing to back up, the target exists, or it cannot be written.
    """
    source = folder / DATABASE_NAME
    if not source.exists():
        raise BackupRefused(f"there is no {DATABASE_NAME} in {str(folder)!r}: nothing to back up")
    for path in (target, manifest_path(target)):
        if path.exists():
            raise BackupRefused(f"{str(path)!r} exists, and a backup never replaces a file; choose another name")
    made_at = time.time_ns() // 1_000_000
    try:
        with _in_place_of(target) as part:
            _copy(source, part)
            manifest = _describe(part, release, made_at)
            with _in_place_of(manifest_path(target)) as note:
                note.write_bytes(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
    except (OSError, sqlite3.Error) as error:
        raise BackupRefused(f"the backup {str(target)!r} could not be made: {error}") from error
    return manifest


def restore(source: Path, folder: Path, *, force: bool = False, need_manifest: bool = True) -> Manifest | None:
    """Make a data folder from a backup.

    Args:
        force: The folder may hold a data file already. It is kept, under a name that says when it was set aside.
        need_manifest: Refuse a file without its manifest. Otherwise such a file is only checked by SQLite itself.

    Returns:
        The manifest of what was restored, if there was one.

    Raises:
        BackupRefused: The file is missing, damaged, not ours or too new, or the folder is not empty.
        FolderInUse: A process works with the folder.
    """
    manifest = _read_manifest(source, need_manifest)
    lock = FolderLock(folder)
    try:
        if not force:
            _must_be_empty(folder)
        try:
            with _in_place_of(folder / DATABASE_NAME, before=lambda: _set_aside(folder)) as part:
                _copy_checked(source, part, manifest)
                _check(part)
        except (OSError, sqlite3.Error) as error:
            raise BackupRefused(f"{str(source)!r} could not be restored to {str(folder)!r}: {error}") from error
    finally:
        lock.release()
    return manifest


def manifest_path(backup: Path) -> Path:
    """Where the manifest of a backup lies."""
    return backup.with_name(backup.name + MANIFEST_SUFFIX)


# -- backing up ------------------------------------------------------------------------------------


def _copy(source: Path, part: Path) -> None:
    """Copy page by page, inside one read transaction, with pauses that leave the disk to the writer."""
    with _readable(source, part.parent) as path, closing(open_reader(path)) as reader, _new(part) as copy:
        copy.execute("PRAGMA synchronous = OFF")  # Brought to disk below, at a pace of our own.
        # Held over all steps: without it, each commit of the writer would make the copy begin again.
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        pace = _Pace(part)
        reader.backup(copy, pages=_STEP_PAGES, progress=pace)
        reader.execute("COMMIT")
        # So that the copy is one file, which can be read where nothing can be written.
        copy.execute("PRAGMA journal_mode = DELETE")
    _sync(part)


@contextmanager
def _readable(source: Path, aside: Path) -> Iterator[Path]:
    """The file, where SQLite can read it. On a disk that takes no writes it cannot, so it gets a copy of its own."""
    if not os.statvfs(source).f_flag & os.ST_RDONLY:
        yield source
        return
    with tempfile.TemporaryDirectory(dir=aside, prefix=".segue-backup-") as name:
        for path in (source, source.with_name(f"{source.name}-wal")):
            if path.exists():
                shutil.copyfile(path, Path(name) / path.name)
        # Opened for writing once, which takes in a WAL that its process left behind.
        with closing(sqlite3.connect(Path(name) / source.name)) as copy:
            copy.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        yield Path(name) / source.name


def _new(part: Path) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(part, isolation_level=None))


class _Pace:
    """After each step, wait as long as the step took; now and then bring what was copied to disk."""

    def __init__(self, part: Path) -> None:
        self._part = part
        self._synced = 0
        self._since = time.perf_counter()

    def __call__(self, status: int, remaining: int, total: int) -> None:
        copied = total - remaining
        if copied - self._synced >= _SYNC_EVERY_PAGES:
            # Left to the end, gigabytes would go to disk at once, and every commit would wait behind them.
            self._synced = copied
            _sync(self._part)
        time.sleep(time.perf_counter() - self._since)
        self._since = time.perf_counter()


def _describe(part: Path, release: str, made_at: int) -> Manifest:
    with closing(sqlite3.connect(f"{part.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as copy:
        (version,) = copy.execute("PRAGMA user_version").fetchone()
        run, event, history = (
            copy.execute(f"SELECT coalesce(max({key}), 0) FROM {table}").fetchone()[0]  # noqa: S608 - fixed names
            for table, key in (("run", "seq"), ("event", "seq"), ("history", "id"))
        )
    digest, size = _sum(part)
    return Manifest(release, version, made_at, run, event, history, size, digest)


# -- restoring -------------------------------------------------------------------------------------


def _read_manifest(source: Path, needed: bool) -> Manifest | None:
    path = manifest_path(source)
    if not source.is_file():
        raise BackupRefused(f"there is no file {str(source)!r}")
    if not path.exists():
        if needed:
            raise BackupRefused(
                f"{path.name} is missing beside {str(source)!r}, so the backup cannot be verified; copy the manifest"
                " too, or restore without it (--without-manifest)"
            )
        return None
    try:
        with open(path, "rb") as file:
            return msgspec.json.decode(file.read(_MANIFEST_BYTES_MAX), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise BackupRefused(f"the manifest {str(path)!r} cannot be read: {error}") from error


def _must_be_empty(folder: Path) -> None:
    held = [name for name in (DATABASE_NAME, f"{DATABASE_NAME}-wal", MARK_NAME) if (folder / name).exists()]
    if held:
        raise BackupRefused(
            f"{str(folder)!r} holds data already ({', '.join(held)}); restore into an empty folder, or use --force,"
            " which keeps what is there under another name"
        )


def _copy_checked(source: Path, part: Path, manifest: Manifest | None) -> None:
    digest = hashlib.sha256()
    with open(source, "rb") as given, open(part, "wb") as copy:
        while chunk := given.read(_READ_BYTES):
            digest.update(chunk)
            copy.write(chunk)
    if manifest is not None and digest.hexdigest() != manifest.sha256:
        raise BackupRefused(
            f"{str(source)!r} is not the file that its manifest describes (its checksum differs): it is damaged or"
            " was changed; use another backup"
        )


def _check(part: Path) -> None:
    """Is it a whole data file of a release that we know?"""
    with closing(sqlite3.connect(f"{part.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as copy:
        (application,) = copy.execute("PRAGMA application_id").fetchone()
        (version,) = copy.execute("PRAGMA user_version").fetchone()
        if application != APPLICATION_ID:
            raise BackupRefused("the file is no backup of Segue")
        if version > len(migrations()):
            raise BackupRefused(f"a newer release made the backup (format {version}); update Segue first")
        found = [row[0] for row in copy.execute("PRAGMA integrity_check(5)")]
        if found != ["ok"]:
            raise BackupRefused(f"the backup is damaged inside: {'; '.join(found)}; use another backup")


def _set_aside(folder: Path) -> None:
    """Give what is in the folder another name; nothing is deleted."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = folder / f"before-restore-{stamp}-{time.time_ns() % 1_000_000:06d}"
    for name in (DATABASE_NAME, f"{DATABASE_NAME}-wal", f"{DATABASE_NAME}-shm", MARK_NAME):
        path = folder / name
        if path.exists():
            aside.mkdir(mode=0o700, exist_ok=True)
            path.rename(aside / name)


# -- files -----------------------------------------------------------------------------------------


@contextmanager
def _in_place_of(target: Path, before: Callable[[], None] | None = None) -> Iterator[Path]:
    """A file that takes the name of `target` when it is whole and on disk, and vanishes otherwise.

    Args:
        before: Called just before it takes its name.
    """
    part = target.with_name(f"{target.name}.part")
    target.parent.mkdir(parents=True, exist_ok=True)
    part.unlink(missing_ok=True)
    # Only the owner may read what workflows carry.
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        yield part
        _sync(part)
        if before is not None:
            before()
        part.rename(target)
        _sync(target.parent)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sum(path: Path) -> tuple[str, int]:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_READ_BYTES):
            digest.update(chunk)
    return digest.hexdigest(), path.stat().st_size
