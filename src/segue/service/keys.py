"""Use cases of the keys of a data folder: begin encryption, list, rotate."""

from __future__ import annotations

import asyncio
from pathlib import Path

from segue.governance import (
    KEYS_NAME,
    KeyRing,
    KeysRefused,
    KmsSettings,
    LocalKey,
    WrappedKey,
    new_key_file,
    new_wrapped_key,
    open_ring,
    service_of,
)
from segue.service.access import UseCases, governed
from segue.service.errors import ServiceError
from segue.service.observe import iso
from segue.service.rewriting import KeysRewritten, NewRewrite, rewrite
from segue.service.settings import Settings
from segue.service.settling import settle
from segue.service.shapes import Page, Shape
from segue.store import Store
from segue.store.folder import DATABASE_NAME
from segue.store.resealing import Tampered


class KeyInfo(Shape, frozen=True, kw_only=True):
    """A data key; never what it is. kind: workspace, index or subject. gone_at: When it was destroyed."""

    id: str
    kind: str
    made_at: str
    gone_at: str | None
    reason: str | None
    hold: str | None


class KeysRotated(Shape, frozen=True, kw_only=True):
    """What was rotated. wrapped: Data keys that were wrapped anew by another key-encryption key; else 0."""

    keys: int
    wrapped: int


def ring_of(folder: Path, settings: Settings) -> KeyRing | None:
    """The keys of a data folder; None where it is not encrypted.

    Raises:
        ServiceError: `keys-refused`; `folder-busy` while it is being encrypted.
    """
    settle(folder)
    path = folder / KEYS_NAME
    if not path.exists():
        return None
    try:
        service = None if settings.kms is None else service_of(settings.kms)
        return open_ring(path, key_file=key_path(settings), service=service)
    except KeysRefused as error:
        raise ServiceError("keys-refused", f"{error}.") from None


def key_path(settings: Settings) -> Path | None:
    """Where the settings say that the key-encryption key lies."""
    return None if settings.key_file is None else Path(settings.key_file)


def init_keys(folder: Path, key_file: Path | None, kms: KmsSettings | None = None) -> None:
    """Let a new data folder be encrypted from its first opening on.

    Args:
        key_file: Where the key-encryption key is made; keep it away from the data folder and its backups.
        kms: In place of a file: what wraps the key-encryption key.

    Raises:
        ServiceError: `keys-refused`: the folder holds data, or the files cannot be made.
    """
    if (folder / DATABASE_NAME).exists():
        raise ServiceError(
            "keys-refused",
            f"{str(folder)!r} holds data that is not encrypted.",
            remedy="`segue keys encrypt` makes an encrypted folder of it.",
        )
    try:
        if (folder / KEYS_NAME).exists():
            raise KeysRefused(f"{folder / KEYS_NAME} exists: this data folder is encrypted already")
        KeyRing.create(folder / KEYS_NAME, *new_key(key_file, kms))
    except KeysRefused as error:
        raise ServiceError("keys-refused", f"{error}.") from None


def new_key(key_file: Path | None, kms: KmsSettings | None) -> tuple[LocalKey, WrappedKey | None]:
    """A new key-encryption key, in a file or wrapped by a service.

    Raises:
        KeysRefused: It cannot be made.
    """
    if (key_file is None) == (kms is None):
        raise KeysRefused("name either a key file or a service (kms in the settings)")
    if kms is not None:
        return new_wrapped_key(service_of(kms))
    assert key_file is not None
    return new_key_file(key_file), None


class Keys(UseCases):
    """The keys of one data folder; `ring` is None where it is not encrypted."""

    def __init__(self, store: Store, ring: KeyRing | None) -> None:
        self._store = store
        self._ring = ring

    @governed("key.read")
    async def list(self) -> Page[KeyInfo]:
        """All data keys, oldest first.

        Raises:
            ServiceError: `keys-refused` where nothing is encrypted.
        """
        found = await asyncio.to_thread(required_ring(self._ring).list)
        items = [
            KeyInfo(
                id=key.id,
                kind=key.kind,
                made_at=iso(key.made_at),
                gone_at=None if key.gone_at is None else iso(key.gone_at),
                reason=key.reason,
                hold=key.hold,
            )
            for key in found
        ]
        return Page(items=items, next=None)

    @governed("key.rotate")
    async def rewrite(self, wanted: NewRewrite) -> KeysRewritten:
        """Seal with the newest key what older ones of the workspace sealed, in short batches beside the work.

        Raises:
            ServiceError: `keys-refused`: nothing is encrypted, or histories are not what the audit chain was told.
        """
        ring = required_ring(self._ring)
        try:
            return await rewrite(self._store, ring, wanted)
        except Tampered as error:
            raise ServiceError("keys-refused", f"{error}.", remedy="See `segue audit verify`.") from None

    @governed("key.rotate")
    async def rotate(self, *, key_file: Path | None = None, kms: KmsSettings | None = None) -> KeysRotated:
        """Give the workspace a new key for what is written from now on; what is there stays readable.

        Args:
            key_file: Also make a new key-encryption key there, and wrap all data keys with it. The old one is then
                worth nothing.
            kms: The same, and the new key-encryption key is wrapped by this service, with its newest key.

        Raises:
            ServiceError: `keys-refused`; then nothing was rotated.
        """
        ring = required_ring(self._ring)
        wrapped = 0
        try:
            if key_file is not None or kms is not None:
                # Before anything is changed: a service that does not answer leaves everything as it was.
                made = await asyncio.to_thread(new_key, key_file, kms)
                wrapped = await asyncio.to_thread(ring.rewrap, *made)
            await asyncio.to_thread(ring.rotate)
        except KeysRefused as error:
            raise ServiceError("keys-refused", f"{error}.") from None
        self._store.note("key.rotate", "keys", data={"wrapped": wrapped})
        await self._store.commit.wait_durable()
        return KeysRotated(keys=len(ring.list()), wrapped=wrapped)


def required_ring(ring: KeyRing | None) -> KeyRing:
    """The keys of an encrypted folder.

    Raises:
        ServiceError: `keys-refused`: it is not encrypted.
    """
    if ring is None:
        raise ServiceError("keys-refused", "This data folder is not encrypted.")
    return ring
