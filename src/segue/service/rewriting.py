"""Rotation to the end: what older keys sealed gets the newest one, beside the work; then the older ones can go."""

from __future__ import annotations

import asyncio
import time
from typing import Final

import msgspec

from segue.governance import KeyRing
from segue.service.shapes import Shape
from segue.store import Store
from segue.store.chain import anchors
from segue.store.resealing import Batch, Resealing

_REST: Final = 1.0
"""After a batch the writer is left alone for so many times as long as the batch took."""
_REASON: Final = "everything was sealed with a newer key"


class NewRewrite(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What to do.

    Attributes:
        destroy_old: Destroy the older keys once nothing here needs them; older backups can then be read by nobody.
        seconds: Stop after about so long; call again to go on.
    """

    destroy_old: bool = False
    seconds: float = 20.0


class KeysRewritten(Shape, frozen=True, kw_only=True):
    """What was done. complete: Nothing is left; otherwise the time was up. destroyed: older keys."""

    values: int
    destroyed: int
    complete: bool


class _TimeIsUp(Exception):
    """It is to stop here."""


async def rewrite(store: Store, ring: KeyRing, wanted: NewRewrite) -> KeysRewritten:
    """Seal again, in batches, whatever an older key of the workspace sealed.

    Raises:
        Tampered: Histories are not what the chain was told.
        HostError: The store cannot be read or written; what was done so far stays done.
    """
    old = await asyncio.to_thread(ring.older)
    if not old:
        return KeysRewritten(values=0, destroyed=0, complete=True)
    work = _Work(store, Resealing(ring, old), time.monotonic() + wanted.seconds)
    try:
        await work.histories()
        await work.tables()
        await work.audit()
    except _TimeIsUp:
        return KeysRewritten(values=work.values, destroyed=0, complete=False)
    left = await store.read(work.resealing.left)
    if left or not wanted.destroy_old:
        # Written meanwhile, or by a run in memory that still had the older key in hand: the next call finds it.
        return KeysRewritten(values=work.values, destroyed=0, complete=not left)
    await asyncio.to_thread(ring.retire, old, _REASON)
    store.note("key.destroy", "keys", data={"keys": [id.hex() for id in old]})
    await store.commit.wait_durable()
    return KeysRewritten(values=work.values, destroyed=len(old), complete=True)


class _Work:
    def __init__(self, store: Store, resealing: Resealing, until: float) -> None:
        self.values = 0
        self.resealing = resealing
        self._store = store
        self._until = until

    async def histories(self) -> None:
        """Part by part as the chain tells of them; what it tells of nothing yet is told of first."""
        await self._store.anchor()
        cipher = self._store.commit.cipher
        for anchor in await self._store.read(lambda c: anchors(c, cipher)):
            batch = await self._store.read(
                lambda c, anchor=anchor: self.resealing.of_history(c, anchor)  # type: ignore[misc]
            )
            if batch is not None:
                await self._write(batch)

    async def tables(self) -> None:
        """Everything else row by row; also histories of runs that the chain does not tell of."""
        for table in self.resealing.tables():
            place: tuple[object, ...] | None = None
            while True:
                found = await self._store.read(
                    lambda c, table=table, place=place: self.resealing.of_table(c, table, place)  # type: ignore[misc]
                )
                if found is None:
                    break
                batch, place = found
                await self._write(batch)

    async def audit(self) -> None:
        """Records of the chain."""
        place = 0
        while True:
            found = await self._store.read(
                lambda c, place=place: self.resealing.of_audit(c, place)  # type: ignore[misc]
            )
            if found is None:
                return
            batch, place = found
            await self._write(batch)

    async def _write(self, batch: Batch) -> None:
        """One transaction, and then a rest."""
        if time.monotonic() > self._until:
            raise _TimeIsUp
        if not batch.statements:
            return
        began = time.perf_counter()
        if batch.note is not None:
            action, resource, told = batch.note
            self._store.note(action, resource, data=told)
        await self._store.write(batch.statements)
        self.values += batch.values
        await asyncio.sleep((time.perf_counter() - began) * _REST)
