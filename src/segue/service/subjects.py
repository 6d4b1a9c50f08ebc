"""Use cases of data subjects: export, hold, erase."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any, Final

import msgspec

from segue.governance import KeyRing, KeysRefused
from segue.service import answers
from segue.service.access import UseCases, governed
from segue.service.definitions import Definitions
from segue.service.errors import ServiceError
from segue.service.keys import required_ring
from segue.service.masking import Masking
from segue.service.observe import observe
from segue.service.past import read_past
from segue.service.shapes import Shape
from segue.store import ErasedData, RunFilter, Store
from segue.store.erasure import erase_runs, runs_about
from segue.store.records import delete_meta, put_meta
from segue.store.snapshots import read_kept
from segue.types import CLOSED

_REASON_MAX: Final = 1000


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
        ring = required_ring(self._ring)
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


def _require_reason(reason: str) -> None:
    if not reason.strip() or len(reason) > _REASON_MAX:
        raise ServiceError("choice-refused", f"This needs a reason, of 1 to {_REASON_MAX} characters.")
