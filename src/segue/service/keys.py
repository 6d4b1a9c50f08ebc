"""Use cases of keys and data subjects: begin encryption, rotate, hold, export, erase."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any, Final

import msgspec

from segue.governance import KEYS_NAME, KeyRing, KeysRefused, find_key, new_key_file
from segue.service import answers
from segue.service.access import UseCases, governed
from segue.service.definitions import Definitions
from segue.service.errors import ServiceError
from segue.service.masking import Masking
from segue.service.observe import iso, observe
from segue.service.past import read_past
from segue.service.settings import Settings
from segue.service.shapes import Page, Shape
from segue.store import ErasedData, RunFilter, Store
from segue.store.erasure import erase_runs, runs_about
from segue.store.folder import DATABASE_NAME
from segue.store.records import delete_meta, put_meta
from segue.store.snapshots import read_kept
from segue.types import CLOSED

_REASON_MAX: Final = 1000


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


class NewErasure(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What to erase. `dry_run` only counts."""

    subject: str
    reason: str
    dry_run: bool = True


class NewHold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A legal hold on a data subject. `on`: False lifts it."""

    subject: str
    reason: str
    on: bool = True


class Erased(Shape, frozen=True, kw_only=True):
    """What was erased, or would be: runs about the subject, events that reached them, and keys destroyed."""

    dry_run: bool
    runs: int
    events: int
    keys: int


class SubjectExport(Shape, frozen=True, kw_only=True):
    """Everything held about one data subject: each run with its record and its history."""

    subject: str
    runs: list[dict[str, Any]]


def ring_of(folder: Path, settings: Settings) -> KeyRing | None:
    """The keys of a data folder; None where it is not encrypted.

    Raises:
        ServiceError: `keys-refused`.
    """
    path = folder / KEYS_NAME
    if not path.exists():
        return None
    try:
        return KeyRing(path, find_key(None if settings.key_file is None else Path(settings.key_file)))
    except KeysRefused as error:
        raise ServiceError("keys-refused", f"{error}.") from None


def init_keys(folder: Path, key_file: Path) -> None:
    """Let a new data folder be encrypted from its first opening on.

    Args:
        key_file: Where the key-encryption key is made; keep it away from the data folder and its backups.

    Raises:
        ServiceError: `keys-refused`: the folder holds data, or the files cannot be made.
    """
    if (folder / DATABASE_NAME).exists():
        raise ServiceError("keys-refused", f"{str(folder)!r} holds data that is not encrypted.")
    try:
        if (folder / KEYS_NAME).exists():
            raise KeysRefused(f"{folder / KEYS_NAME} exists: this data folder is encrypted already")
        KeyRing.create(folder / KEYS_NAME, new_key_file(key_file))
    except KeysRefused as error:
        raise ServiceError("keys-refused", f"{error}.") from None


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
        found = await asyncio.to_thread(_required(self._ring).list)
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
    async def rotate(self, *, key_file: Path | None = None) -> KeysRotated:
        """Give the workspace a new key for what is written from now on; what is there stays readable.

        Args:
            key_file: Also make a new key-encryption key there, and wrap all data keys with it. The old one is then
                worth nothing.

        Raises:
            ServiceError: `keys-refused`.
        """
        ring = _required(self._ring)
        wrapped = 0
        try:
            await asyncio.to_thread(ring.rotate)
            if key_file is not None:
                wrapped = ring.rewrap(await asyncio.to_thread(new_key_file, key_file))
        except KeysRefused as error:
            raise ServiceError("keys-refused", f"{error}.") from None
        self._store.note("key.rotate", "keys", data={"wrapped": wrapped})
        await self._store.commit.wait_durable()
        return KeysRotated(keys=len(ring.list()), wrapped=wrapped)


class Subjects(UseCases):
    """Data subjects of one data folder: whom its runs are about, as their documents say."""

    def __init__(self, store: Store, ring: KeyRing | None, definitions: Definitions, masking: Masking) -> None:
        self._store = store
        self._ring = ring
        self._definitions = definitions
        self._masking = masking

    @governed("subject.export")
    async def export(self, subject: str) -> SubjectExport:
        """Everything that is held about one data subject, as far as whoever asks may see its classes.

        Raises:
            ServiceError: `subject-unknown`.
        """
        key = self._key(subject)
        seqs = await self._seqs(subject)
        runs = [await self._of_run(seq) for seq in seqs]
        self._store.note("subject.export", f"subject:{key}", data={"runs": len(runs)})
        await self._store.commit.wait_durable()
        return SubjectExport(subject=subject, runs=runs)

    @governed("subject.erase")
    async def erase(self, wanted: NewErasure) -> Erased:
        """Destroy the keys of a data subject. Histories and the audit chain stay, and still verify.

        Raises:
            ServiceError: `subject-unknown`, `choice-refused` without a reason, `keys-refused` where nothing is
                encrypted or a legal hold is on the subject, `run-open` while a run about it has not ended.
        """
        ring = _required(self._ring)
        _require_reason(wanted.reason)
        key = self._key(wanted.subject)
        seqs = await self._seqs(wanted.subject)
        page = await self._store.runs(RunFilter(subject=key), limit=1000)
        still = [run.id for run in page.items if run.status not in CLOSED]
        if still:
            raise ServiceError(
                "run-open", f"{len(still)} runs about this subject have not ended, such as {still[0]}."
            )
        found = await self._store.read(lambda c: runs_about(c, seqs))
        if wanted.dry_run:
            return Erased(dry_run=True, runs=len(seqs), events=len(found.events), keys=0)
        try:
            keys = await asyncio.to_thread(ring.destroy, key, wanted.reason)
        except KeysRefused as error:
            raise ServiceError("keys-refused", f"{error}.") from None
        self._store.note(
            "subject.erase", f"subject:{key}", reason=wanted.reason, data={"runs": len(seqs), "keys": keys}
        )
        await self._store.write(erase_runs(found))
        return Erased(dry_run=False, runs=len(seqs), events=len(found.events), keys=keys)

    @governed("subject.hold")
    async def hold(self, wanted: NewHold) -> None:
        """Put a legal hold on a data subject, or lift it: neither erasure nor retention touches it meanwhile.

        Raises:
            ServiceError: `subject-unknown`, `choice-refused` without a reason.
        """
        _require_reason(wanted.reason)
        key = self._key(wanted.subject)
        await self._seqs(wanted.subject)
        if self._ring is not None:
            await asyncio.to_thread(self._ring.hold, key, wanted.reason if wanted.on else None)
        self._store.note("subject.hold", f"subject:{key}", verdict="on" if wanted.on else "off", reason=wanted.reason)
        # Retention looks for this row.
        await self._store.write([put_meta(f"held:{key}", "on") if wanted.on else delete_meta(f"held:{key}")])

    async def _of_run(self, seq: int) -> dict[str, Any]:
        told = await self._store.read(lambda c: _told(c, seq))
        lens = self._masking.lens(told["digest"])
        if self._masking.sees_all(self.guard.who()) or told["history"] == "erased":
            return answers.record(lens, told)
        past = await read_past(self._store, self._definitions, told["id"])
        lens = self._masking.lens_over(past)
        if lens.hidden:
            seen = await asyncio.to_thread(observe, past.plan, past.events, past.beginning())
            pointers = {number: task.pointer for number, task in seen.tasks.items()}
            told["history"] = [answers.history(lens, event, pointers) for event in told["history"]]
        return answers.record(lens, told)

    def _key(self, subject: str) -> str:
        return subject if self._ring is None else self._ring.blind(subject)

    async def _seqs(self, subject: str) -> list[int]:
        key = self._key(subject)
        sql = "SELECT seq FROM run WHERE subject = ? ORDER BY seq"
        found = await self._store.read(lambda c: [seq for (seq,) in c.execute(sql, (key,))])
        if not found:
            raise ServiceError("subject-unknown", "No run is about this data subject.")
        return found


def _told(connection: sqlite3.Connection, seq: int) -> dict[str, Any]:
    from segue.store.runs import find_runs

    (record,) = find_runs(connection, [seq])
    told: dict[str, Any] = msgspec.to_builtins(record)
    try:
        told["history"] = [msgspec.to_builtins(event) for event in read_kept(connection, seq).events]
    except ErasedData:
        told["history"] = "erased"
    return told


def _required(ring: KeyRing | None) -> KeyRing:
    if ring is None:
        raise ServiceError("keys-refused", "This data folder is not encrypted.")
    return ring


def _require_reason(reason: str) -> None:
    if not reason.strip() or len(reason) > _REASON_MAX:
        raise ServiceError("choice-refused", f"This needs a reason, of 1 to {_REASON_MAX} characters.")
