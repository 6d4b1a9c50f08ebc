"""Use case: make an encrypted data folder of a plain one, so that a crash leaves the old or the new one whole.

Everything is made and proven in a folder of its own, `encrypting`, inside the data folder. Then three steps: the old
file gets a second name, the keys take their place, and the new file takes the name of the old one. That last rename
is the moment from which on the folder is encrypted. While `encrypting` is there, whoever opens the folder looks at
which file has the name, and tidies up on that side of the moment (`settling.py`).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from segue.governance import KEY_VARIABLE, KEYS_NAME, KeyRing, KeysRefused, find_key
from segue.service.audit import CHECKPOINTS_NAME, KEY_NAME
from segue.service.errors import ServiceError, as_refusal
from segue.service.keys import key_path, new_key
from segue.service.opening import open_service
from segue.service.service import Service
from segue.service.settings import Settings
from segue.service.settling import ASIDE_NOTE, STAGING, settle, sync
from segue.service.shapes import Shape
from segue.store import FolderInUse, FolderNotUsable
from segue.store.chain import RESEAL_ACTION, anchors, said_again
from segue.store.encrypting import Differs, compare, held_subjects, is_sealed, write_sealed
from segue.store.folder import DATABASE_NAME, FolderLock, open_reader, open_writer
from segue.store.mark import MARK_NAME
from segue.store.migrate import APPLICATION_ID
from segue.store.records import read_meta

_ASIDE: Final = "before-encryption-"
_HELD_BEFORE: Final = "held since before the folder was encrypted"


class Encrypted(Shape, frozen=True, kw_only=True):
    """A data folder that was encrypted.

    Attributes:
        rows: In its data file. runs: Whose histories read the same before and after.
        replayed: Of those, the ones whose state was computed anew from the encrypted history; the others cannot be
            replayed by this release, before or after.
        records: Of the audit chain, which was verified before and after.
        kept: Folder with the old file, which is not encrypted; None where it was removed.
        plain: Further files in the folder that hold data and are not encrypted.
    """

    rows: int
    runs: int
    replayed: int
    records: int
    kept: str | None
    plain: list[str]


async def encrypt_folder(
    folder: Path, settings: Settings, *, key_file: Path | None = None, kms: bool = False, remove_plain: bool = False
) -> Encrypted:
    """Encrypt a data folder that nobody works with.

    Args:
        key_file: Where the key-encryption key lies, or is made where there is none.
        kms: The service that the settings name wraps it instead.
        remove_plain: Remove the old file in the end. Otherwise it stays, in a folder `before-encryption-…`.

    Raises:
        ServiceError: `keys-refused`, saying why the folder stays as it is; `folder-busy`, `folder-unusable`.
    """
    settle(folder)
    _require_plain(folder)
    if KEY_VARIABLE in os.environ and (kms or key_file is not None):
        raise ServiceError("keys-refused", f"{KEY_VARIABLE} is set, and counts for every folder.", remedy="Unset it.")
    position, verified = await _checked(folder, settings)
    try:
        lock = FolderLock(folder)
    except (FolderInUse, FolderNotUsable) as error:
        raise as_refusal(error) or error from None
    try:
        if _position(folder) != position:
            raise ServiceError("keys-refused", "Somebody worked with the folder meanwhile.", remedy="Try again.")
        staging = folder / STAGING
        staging.mkdir(mode=0o700)
        try:
            ring = await asyncio.to_thread(_new_ring, staging, settings, key_file, kms)
            rows, runs = await asyncio.to_thread(_write, folder, ring)
            staged = _staged(folder, settings, key_file)
            replayed = await _proven(staging, staged)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
        aside = _swap(folder)
    except (KeysRefused, Differs) as error:
        raise ServiceError("keys-refused", f"The folder stays as it is: {error}.") from None
    except (OSError, sqlite3.Error) as error:
        raise ServiceError("keys-refused", f"The folder could not be encrypted: {error}.") from None
    finally:
        lock.release()
    if remove_plain:
        shutil.rmtree(aside)
    return Encrypted(
        rows=rows,
        runs=runs,
        replayed=replayed,
        records=verified,
        kept=None if remove_plain else aside.name,
        plain=[str(path.relative_to(folder)) for path in _plain_files(folder) if path.parent != aside],
    )


def remove_plain(folder: Path) -> list[str]:
    """Remove what `encrypt_folder` set aside; returns what was removed.

    Raises:
        ServiceError: `keys-refused` where the folder is not encrypted.
    """
    settle(folder)
    if not (folder / KEYS_NAME).exists() or not is_sealed(folder / DATABASE_NAME):
        raise ServiceError("keys-refused", "This data folder is not encrypted.")
    found = sorted(folder.glob(f"{_ASIDE}*"))
    for path in found:
        shutil.rmtree(path)
    return [path.name for path in found]


# -- before ----------------------------------------------------------------------------------------


def _require_plain(folder: Path) -> None:
    if (folder / KEYS_NAME).exists():
        raise ServiceError("keys-refused", "This data folder is encrypted already.")
    if not (folder / DATABASE_NAME).exists():
        raise ServiceError(
            "keys-refused", f"{str(folder)!r} holds no data.", remedy="Begin with `segue keys init` there."
        )


async def _checked(folder: Path, settings: Settings) -> tuple[str | None, int]:
    """Let the chain tell of all history and verify it: what is wrong before could not be told from an error here."""
    async with open_service(folder, settings, drive=False, signed=False) as service:
        await service.audit.sign()
        found = await service.audit.verify()
        if not found.sound:
            first = found.problems[0].detail
            raise ServiceError(
                "keys-refused",
                f"The audit chain does not verify ({first}), and encrypting would make that hard to tell.",
                remedy="See `segue audit verify`; restore a backup that verifies.",
            )
    return _position(folder), found.records


def _position(folder: Path) -> str | None:
    with closing(open_reader(folder / DATABASE_NAME)) as reader:
        return read_meta(reader, "position")


def _new_ring(staging: Path, settings: Settings, key_file: Path | None, kms: bool) -> KeyRing:
    if kms and settings.kms is None:
        raise KeysRefused("the settings name no service (kms)")
    path = staging / KEYS_NAME
    if kms:
        return KeyRing.create(path, *new_key(None, settings.kms))
    if key_file is not None and not key_file.exists():
        return KeyRing.create(path, *new_key(key_file, None))
    if key_file is not None:
        # Of an attempt that did not end, or one that was made elsewhere.
        return KeyRing.create(path, find_key(key_file, {}))
    return KeyRing.create(path, find_key(key_path(settings)))


# -- making and proving ----------------------------------------------------------------------------


def _write(folder: Path, ring: KeyRing) -> tuple[int, int]:
    plain, staging = folder / DATABASE_NAME, folder / STAGING
    for name in (MARK_NAME, CHECKPOINTS_NAME):
        if (folder / name).exists():
            shutil.copy2(folder / name, staging / name)
    sealed = staging / DATABASE_NAME
    rows = write_sealed(plain, sealed, ring)
    with closing(open_reader(plain)) as reader:
        for subject in held_subjects(reader):
            ring.hold(ring.blind(subject), _HELD_BEFORE)
    return rows, compare(plain, sealed, ring)


def _staged(folder: Path, settings: Settings, key_file: Path | None) -> Settings:
    """Settings by which the new folder is opened where it was made."""
    models = folder / "models"
    return msgspec.structs.replace(
        settings,
        key_file=settings.key_file if key_file is None else str(key_file),
        audit_key_file=settings.audit_key_file or str(folder / KEY_NAME),
        models_folder=settings.models_folder or (str(models) if models.is_dir() else None),
        audit_export=(),
    )


async def _proven(staging: Path, settings: Settings) -> int:
    """Open it as everybody will; returns how many histories could be replayed."""
    async with open_service(staging, settings, drive=False, signed=False) as service:
        await _say_again(service)
        found = await service.audit.verify()
        if not found.sound:
            raise Differs(f"its audit chain does not verify: {found.problems[0].detail}")
        return await service.runs.replay_all()


async def _say_again(service: Service) -> None:
    """The chain tells what the histories hold now that they are sealed."""
    store = service.store
    cipher = store.commit.cipher
    for anchor in await store.read(lambda c: anchors(c, cipher)):
        told = await store.read(lambda c, anchor=anchor: said_again(c, anchor))  # type: ignore[misc]
        if told is not None:
            store.note(RESEAL_ACTION, "history", data=told)
    store.note("key.encrypt", "keys")
    await store.commit.wait_durable()


# -- the swap --------------------------------------------------------------------------------------


def _swap(folder: Path) -> Path:
    """Put the new file in the place of the old one; returns where the old one is kept."""
    plain, staging = folder / DATABASE_NAME, folder / STAGING
    _take_in_wal(plain)
    aside = folder / f"{_ASIDE}{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    (staging / ASIDE_NOTE).write_text(aside.name, encoding="utf-8")
    sync(staging / ASIDE_NOTE)
    sync(staging)
    aside.mkdir(mode=0o700)
    try:
        os.link(plain, aside / DATABASE_NAME)
    except OSError:
        # A file system without hard links.
        shutil.copy2(plain, aside / DATABASE_NAME)
        sync(aside / DATABASE_NAME)
    sync(aside)
    (staging / KEYS_NAME).rename(folder / KEYS_NAME)
    sync(folder)
    (staging / DATABASE_NAME).rename(plain)
    sync(folder)
    shutil.rmtree(staging)
    return aside


def _take_in_wal(path: Path) -> None:
    """No WAL may be left: it belongs to the old file, and would be taken for one of the new."""
    with closing(open_writer(path)) as writer:
        writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    wal = path.with_name(f"{path.name}-wal")
    if wal.exists() and wal.stat().st_size:
        raise KeysRefused("somebody reads the data file; end that, and try again")


def _plain_files(folder: Path) -> Iterator[Path]:
    """Data files of ours below the folder that are not encrypted, such as backups from before."""
    for path in sorted(folder.rglob("*")):
        try:
            with open(path, "rb") as file:
                head = file.read(72)
            if head[68:72] == APPLICATION_ID.to_bytes(4, "big") and not is_sealed(path):
                yield path
        except (OSError, sqlite3.Error):
            continue
