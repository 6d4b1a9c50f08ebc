"""Use cases of data subjects: export, hold, erase."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from segue.governance import KeyRing, KeysRefused
from segue.service.access import UseCases, governed
from segue.service.errors import ServiceError
from segue.service.exporting import Exporting, SubjectExport
from segue.service.forgetting import forget_names
from segue.service.keys import required_ring
from segue.service.shapes import Shape
from segue.store import Store
from segue.store.erasure import About, about, erase, open_runs
from segue.store.records import delete_meta, put_meta, read_meta

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
    """What was erased, or would be: runs about the subject, their events, what models learn from, keys destroyed."""

    dry_run: bool
    runs: int
    events: int
    labels: int
    keys: int


class Subjects(UseCases):
    """Data subjects of one data folder: whom its runs are about, as their documents say.

    Args:
        in_memory: A run about a subject that a host holds, as `EmbeddedHost.about`; none where no host runs.
    """

    def __init__(
        self,
        store: Store,
        ring: KeyRing | None,
        exporting: Exporting,
        in_memory: Callable[[str], str | None] = lambda subject: None,
    ) -> None:
        self._store = store
        self._in_memory = in_memory
        self._ring = ring
        self._exporting = exporting

    @governed("subject.export")
    async def export(self, subject: str | None = None, *, person: str | None = None) -> SubjectExport:
        """Everything that is held about one data subject, as far as whoever asks may see its classes.

        Args:
            person: Also what this person did and was told as a user of Segue, where they are one.

        Raises:
            ServiceError: `subject-unknown`, `identity-unknown`, or `request-malformed` where neither is named.
        """
        if subject is None and person is None:
            raise ServiceError("request-malformed", "Neither a data subject nor a person is named.")
        key = None if subject is None else self._key(subject)
        found = About([], []) if key is None else await self._found(key)
        made = await self._exporting.make(subject, key, found, person)
        named = f"person:{person}" if key is None else f"subject:{key}"
        self._store.note("subject.export", named, data={"runs": len(made.runs), "user": person is not None})
        await self._store.commit.wait_durable()
        return made

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
        found = await self._found(key)
        # Also of a dry run: what it says is what would happen.
        hold = await asyncio.to_thread(ring.hold_on, key)
        if hold is not None or await self._store.read(partial(read_meta, key=f"held:{key}")) is not None:
            why = f" ({hold})" if hold else ""
            raise ServiceError(
                "keys-refused",
                f"A legal hold is on this data subject{why}, so it is not erased.",
                remedy="Lift it first, if that is allowed: `segue subjects hold SUBJECT --lift --reason …`.",
            )
        still = await self._store.read(lambda c: open_runs(c, found.runs))
        if still:
            raise ServiceError(
                "run-open", f"{len(still)} runs about this subject have not ended, such as {still[0]}."
            )
        if wanted.dry_run:
            return Erased(
                dry_run=True, runs=len(found.runs), events=len(found.events), labels=len(found.labels), keys=0
            )
        # From this look to the end of the key nothing is awaited: a run that began meanwhile would be one that nobody
        # can read, or go on with.
        if (begun := self._in_memory(key)) is not None:
            raise ServiceError("run-open", f"Run {begun} about this subject has not ended, or only just now.")
        try:
            keys = ring.destroy(key, wanted.reason)
        except KeysRefused as error:
            raise ServiceError("keys-refused", f"{error}.") from None
        self._store.note(
            "subject.erase", f"subject:{key}", reason=wanted.reason, data={"runs": len(found.runs), "keys": keys}
        )
        await self._store.write([*erase(found), *forget_names(found.runs, wanted.subject)])
        return Erased(
            dry_run=False, runs=len(found.runs), events=len(found.events), labels=len(found.labels), keys=keys
        )

    @governed("subject.hold")
    async def hold(self, wanted: NewHold) -> None:
        """Put a legal hold on a data subject, or lift it: neither erasure nor retention touches it meanwhile.

        Raises:
            ServiceError: `subject-unknown`, `choice-refused` without a reason.
        """
        _require_reason(wanted.reason)
        key = self._key(wanted.subject)
        await self._found(key)
        if self._ring is not None:
            await asyncio.to_thread(self._ring.hold, key, wanted.reason if wanted.on else None)
        self._store.note("subject.hold", f"subject:{key}", verdict="on" if wanted.on else "off", reason=wanted.reason)
        # Retention looks for this row.
        await self._store.write([put_meta(f"held:{key}", "on") if wanted.on else delete_meta(f"held:{key}")])

    def _key(self, subject: str) -> str:
        return subject if self._ring is None else self._ring.blind(subject)

    async def _found(self, key: str) -> About:
        found = await self._store.read(lambda c: about(c, key))
        if not found.runs and not found.labels:
            raise ServiceError("subject-unknown", "No run is about this data subject.")
        return found


def _require_reason(reason: str) -> None:
    if not reason.strip() or len(reason) > _REASON_MAX:
        raise ServiceError("choice-refused", f"This needs a reason, of 1 to {_REASON_MAX} characters.")
