"""Use cases of the audit chain: list, read, verify, sign, prune, export."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec

from segue.governance import (
    AuditKey,
    ChainCheck,
    Checkpoint,
    Problem,
    PublicKey,
    append_checkpoint,
    read_checkpoints,
)
from segue.service.access import UseCases, governed, open_to_all
from segue.service.errors import ServiceError
from segue.service.masking import Masking
from segue.service.observe import iso
from segue.service.paging import PAGE_MAX, ms_of, place_of
from segue.service.shapes import Page, Shape
from segue.service.standing import Standing, fingerprint_of
from segue.store import HostError, Store
from segue.store.chain import (
    HISTORY_ACTION,
    RESEAL_ACTION,
    Anchor,
    AuditFilter,
    Head,
    anchored_rows,
    as_linked,
    audit_after,
    audit_of,
    digest_of,
    find_audit,
    hash_of,
    list_audit,
    prune_audit,
    record_of,
    resealed,
)
from segue.store.encrypting import held_subjects
from segue.store.erasure import about
from segue.store.records import put_meta, read_meta
from segue.store.resealing import check_records
from segue.store.runs import find_runs
from segue.types import AuditRow, Cipher, Identity

_log = logging.getLogger("segue.audit")

CHECKPOINTS_NAME: Final = "audit.checkpoints"
KEY_NAME: Final = "audit.key"
_SIGN_SECONDS: Final = 5.0
_ROWS: Final = 4000
_OF_TASKS: Final = frozenset({"task.decided", "task.assigned"})
_OF_HISTORY: Final = frozenset({HISTORY_ACTION, RESEAL_ACTION, "history.fold", "retention.purge"})


class AuditView(Shape, frozen=True, kw_only=True):
    """A record of the chain.

    Attributes:
        seq: Its place, from 1.
        principal: `kind:id` of who asked or did it. reason: Why; a person's words or the deciding rules.
        hash: Links it to the record before.
    """

    seq: int
    at: str
    principal: str
    action: str
    resource: str
    verdict: str
    reason: str
    workspace: str
    data: dict[str, Any] | None
    hash: str


class AuditProblem(Shape, frozen=True, kw_only=True):
    """Something that is not as it was written.

    Attributes:
        kind: `changed`, `missing`, `cut-off`, `rewritten`, `signature`, `history`, or `standing`: what is in force is
            not what the chain said of it last.
    """

    kind: str
    first: int
    last: int
    detail: str


class AuditVerification(Shape, frozen=True, kw_only=True):
    """What verifying found.

    Attributes:
        records: Checked. first: The first one there is; those before it were pruned.
        checkpoints: Signed ones that the chain was held against. uncovered: Records behind the newest of them.
        given_up: Checkpoints of records that were lost when an older backup was restored.
        history: Rows of histories that the chain tells of and that are unchanged. removed: Those that are gone, as
            records of retention say.
        standing: People, tokens, sessions, rules, switches, profiles, connections, secrets, consents, owners,
            adjusted values and documents with their pins that were held against what the chain says of each.
        more: Problems beyond those listed.
    """

    sound: bool
    records: int
    first: int | None
    last: int
    checkpoints: int
    uncovered: int
    given_up: int
    history: int
    removed: int
    standing: int
    seconds: float
    key: str
    problems: list[AuditProblem]
    more: int = 0


class AuditSigned(Shape, frozen=True, kw_only=True):
    """A signed checkpoint, and the public key that verifies it, as PEM."""

    seq: int
    hash: str
    at: str
    kind: str
    key: str
    signature: str
    public_key: str


class AuditPruned(Shape, frozen=True, kw_only=True):
    """What was removed, or would be: all records up to this place.

    Attributes:
        held_from: The first record about somebody under legal hold, where that kept more from being removed.
    """

    dry_run: bool
    up_to: int
    records: int
    held_from: int | None = None


class NewAuditVerification(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What to hold the chain against.

    Attributes:
        public_key: PEM of the key that must have signed; the folder's own where it is left out.
        checkpoints: Further ones that were kept elsewhere, as they were signed.
    """

    public_key: str | None = None
    checkpoints: list[Checkpoint] = []


class NewAuditPrune(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What to remove: records older than `before`, up to a signed checkpoint. `dry_run` only counts."""

    before: datetime
    dry_run: bool = True
    reason: str = ""


class Audit(UseCases):
    """The audit chain of one data folder.

    Args:
        key_file: Where the signing key lies; made where it is missing.
    """

    def __init__(self, store: Store, masking: Masking, *, key_file: Path | None = None) -> None:
        self._store = store
        self._masking = masking
        self._cipher = store.commit.cipher
        self._key_file = key_file or store.folder / KEY_NAME
        self._path = store.folder / CHECKPOINTS_NAME
        self._key: AuditKey | None = None
        self._signed = -1
        self._signing = asyncio.Lock()

    @governed("audit.read")
    async def page(
        self,
        *,
        action: str | None = None,
        resource: str | None = None,
        principal: str | None = None,
        verdict: str | None = None,
        workspace: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> Page[AuditView]:
        """Records, newest first. All filters must hold.

        Raises:
            ServiceError: `request-malformed` where `after` is no `next`.
        """
        if principal is not None and self._cipher is not None:
            principal = self._cipher.blind(principal)
        wanted = AuditFilter(workspace, action, resource, principal, verdict, ms_of(since), ms_of(until))
        before, limit = place_of(after), min(limit, PAGE_MAX)
        found = await self._store.read(lambda c: list_audit(c, wanted, limit=limit + 1, before=before))
        items = [audit_view(row, self._cipher, self._masking) for row in found[:limit]]
        return Page(items=items, next=str(items[-1].seq) if len(found) > limit else None)

    @governed("audit.read")
    async def get(self, seq: int) -> AuditView:
        """One record.

        Raises:
            ServiceError: `audit-unknown`.
        """
        found = await self._store.read(lambda c: find_audit(c, seq))
        if found is None:
            raise ServiceError("audit-unknown", f"The chain has no record {seq}.")
        return audit_view(found, self._cipher, self._masking)

    @governed("audit.read")
    async def verify(
        self, *, public_key: bytes | None = None, checkpoints: Sequence[Checkpoint] = ()
    ) -> AuditVerification:
        """Check the whole chain, the histories it tells of, and every signed checkpoint.

        Args:
            public_key: PEM of the key that must have signed; the folder's own where it is left out.
            checkpoints: Further ones that were kept elsewhere; the folder's own are always held against it.

        Raises:
            ServiceError: `audit-key-refused`.
        """
        began = time.perf_counter()
        key = self._public(public_key)
        own, complaints = await asyncio.to_thread(read_checkpoints, self._path)
        check = ChainCheck([*own, *checkpoints], key)
        check.problems += [Problem("signature", 0, 0, complaint) for complaint in complaints]
        again = await self._store.read(lambda c: resealed(c, self._cipher))
        histories = _Histories(check.problems, self._cipher, again)
        standing = Standing(
            lambda row: record_of(AuditRow(*row), self._cipher).data or {}, partial(fingerprint_of, self._cipher)
        )
        seq = first = 0
        while True:
            rows = await self._store.read(lambda c, seq=seq: _checked(c, seq, check, histories, standing))  # type: ignore[misc]
            if not rows:
                break
            first, seq = first or rows[0], rows[1]
        await self._store.read(lambda c: check_records(c, self._cipher, check.changed_since))
        check.finish()
        histories.finish()
        whole = not check.problems
        check.problems += await self._store.read(lambda c: _out_of_place(c, seq, standing, whole=whole))
        problems = [AuditProblem(**msgspec.structs.asdict(problem)) for problem in check.problems]
        return AuditVerification(
            sound=not problems,
            records=check.records,
            first=first or None,
            last=seq,
            checkpoints=len(check.checkpoints),
            uncovered=check.uncovered,
            given_up=len(check.given_up),
            history=histories.sound,
            removed=histories.removed,
            standing=standing.compared,
            seconds=round(time.perf_counter() - began, 3),
            key=key.name,
            problems=problems,
            more=check.more,
        )

    @governed("audit.sign")
    async def sign(self) -> AuditSigned:
        """Let the chain tell of all history there is, and sign where it ends.

        Raises:
            ServiceError: `audit-key-refused`.
            HostError: The store cannot be written.
        """
        made = await self._sign()
        return AuditSigned(
            seq=made.seq,
            hash=made.hash,
            at=iso(made.at),
            kind=made.kind,
            key=made.key,
            signature=made.signature,
            public_key=self._private().public.pem(),
        )

    @open_to_all("opening a folder does it, before anybody acts")
    async def note_settings(self, settings: bytes) -> None:
        """Note in the chain that the folder is opened with other settings than the last time."""
        digest = sha256(settings).hexdigest()
        if await self._store.read(lambda c: read_meta(c, "settings")) != digest:
            self._store.note("settings.change", "settings", data={"sha256": digest})
            await self._store.write([put_meta("settings", digest)])

    @governed("audit.read")
    def public_key(self) -> str:
        """The key that verifies checkpoints, as PEM.

        Raises:
            ServiceError: `audit-key-refused`.
        """
        return self._private().public.pem()

    @governed("audit.prune")
    async def prune(self, before: datetime, *, dry_run: bool = False, reason: str = "") -> AuditPruned:
        """Remove records up to the newest signed checkpoint that is older than `before`; its hash is kept.

        A chain goes from its beginning only, so it stays from the first record on about somebody under legal hold.

        Raises:
            ServiceError: `audit-key-refused`.
            HostError: The store cannot be written.
        """
        found, _ = await asyncio.to_thread(read_checkpoints, self._path)
        limit_ms, key = ms_of(before) or 0, self._private().public
        older = [c for c in found if c.at < limit_ms and key.verifies(c)]
        first = await self._store.read(lambda c: audit_after(c, 0, limit=1))
        start = first[0][0] - 1 if first else 0
        held = await self._store.read(_first_held)
        free = [c for c in older if held is None or c.seq < held]
        held = held if len(free) < len(older) else None
        boundary = max((c for c in free if c.seq > start), key=lambda c: c.seq, default=None)
        if boundary is None:
            return AuditPruned(dry_run=dry_run, up_to=start, records=0, held_from=held)
        if not dry_run:
            kept = self._private().sign(boundary.seq, bytes.fromhex(boundary.hash), _now_ms(), "pruned")
            # Before the records go: a chain that begins late is only excused by a checkpoint that says so.
            await asyncio.to_thread(append_checkpoint, self._path, kept)
            told = {"records": boundary.seq - start, "up_to": boundary.seq, "hash": boundary.hash}
            self._store.note("audit.prune", "audit", reason=reason, data=told)
            await self._store.write([prune_audit(boundary.seq, after=start)])
        return AuditPruned(dry_run=dry_run, up_to=boundary.seq, records=boundary.seq - start, held_from=held)

    @governed("audit.read")
    async def following(self, *, after: int = 0, limit: int = PAGE_MAX) -> Page[AuditView]:
        """Records behind a place, oldest first: for whoever keeps a copy. `next` is the place to go on behind."""
        rows = await self._store.read(lambda c: audit_after(c, after, limit=limit))
        items = [audit_view(AuditRow(*row), self._cipher, self._masking) for row in rows]
        return Page(items=items, next=str(items[-1].seq) if len(items) == limit else None)

    @open_to_all("whoever opens a folder keeps its chain, and nobody asked for it")
    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Sign the end of the chain every few seconds while something happens, and once more at the end."""
        keeping = asyncio.create_task(self._keep(), name="segue-audit")
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            with suppress(HostError, ServiceError, OSError):
                await self._sign_if_moved()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_SIGN_SECONDS)
            try:
                await self._sign_if_moved()
            except HostError:
                pass  # The commit says so itself, to everybody who asks.
            except Exception as error:
                _log.warning("the audit chain is not signed; it is tried again: %s", error)

    async def _sign_if_moved(self) -> None:
        # Signing says nothing in the chain, so an idle folder stays idle.
        if self._store.commit.head.seq != self._signed:
            await self._sign()

    async def _sign(self) -> Checkpoint:
        async with self._signing:
            head = await self._store.anchor()
            made = self._private().sign(head.seq, head.hash, _now_ms())
            await asyncio.to_thread(append_checkpoint, self._path, made)
            self._signed = head.seq
            return made

    def _private(self) -> AuditKey:
        if self._key is None:
            try:
                self._key = AuditKey.load(self._key_file)
            except (OSError, ValueError) as error:
                raise ServiceError("audit-key-refused", f"{error}.") from None
        return self._key

    def _public(self, text: bytes | None) -> PublicKey:
        if text is None:
            return self._private().public
        try:
            return PublicKey.parse(text)
        except ValueError as error:
            raise ServiceError("audit-key-refused", f"The public key cannot be used: {error}.") from None


class _Histories:
    """Compares histories with what the chain tells of them."""

    def __init__(self, problems: list[Problem], cipher: Cipher | None, resealed: dict[int, int]) -> None:
        self.sound = 0
        self.removed = 0
        self._explained = 0
        self._problems = problems
        self.cipher = cipher
        self._resealed = resealed

    def check(self, connection: sqlite3.Connection, row: tuple[Any, ...]) -> None:
        """A record that tells of history, or of its removal."""
        told = record_of(AuditRow(*row), self.cipher).data or {}
        if row[3] not in (HISTORY_ACTION, RESEAL_ACTION):
            self._explained += int(told.get("history", 0))
            return
        anchor = msgspec.convert(told, Anchor)
        if self._resealed.get(anchor.first, row[0]) != row[0]:
            return  # A later record says what these rows have held since.
        found = anchored_rows(connection, anchor)
        if len(found) == anchor.told and digest_of(found) == anchor.sha256:
            self.sound += anchor.told
            self.removed += anchor.count - anchor.told
        elif len(found) < anchor.told:
            self.removed += anchor.count - len(found)
        else:
            detail = f"rows {anchor.first} to {anchor.last} of the histories are not what record {row[0]} was told"
            self._problems.append(Problem("history", row[0], row[0], detail))

    def finish(self) -> None:
        """All records were seen."""
        unexplained = self.removed - self._explained
        if unexplained > 0:
            detail = f"{unexplained} rows of histories are gone, and no record of retention says why"
            self._problems.append(Problem("history", 0, 0, detail))


def _first_held(connection: sqlite3.Connection) -> int | None:
    """The place of the first record about a data subject under legal hold, or about a run about one."""
    first = []
    for subject in held_subjects(connection):
        runs = find_runs(connection, about(connection, subject).runs)
        named = [f"subject:{subject}", *(f"run:{run.id}" for run in runs)]
        first += [row.seq for row in audit_of(connection, named, limit=-1)[:1]]
    return min(first, default=None)


def _checked(
    connection: sqlite3.Connection, seq: int, check: ChainCheck, histories: _Histories, standing: Standing
) -> tuple[int, int] | None:
    """Check the next records; the first and the last place, None at the end."""
    rows = audit_after(connection, seq, limit=_ROWS)
    check.feed(as_linked(row, histories.cipher) for row in rows)
    for row in rows:
        if row[3] in _OF_HISTORY:
            histories.check(connection, row)
        standing.feed(row)
    return (rows[0][0], rows[-1][0]) if rows else None


def _out_of_place(connection: sqlite3.Connection, seq: int, standing: Standing, *, whole: bool) -> list[Problem]:
    """What is in force and not what the chain says, at one moment: with the records that came meanwhile."""
    for row in audit_after(connection, seq, limit=-1):
        standing.feed(row)
    return list(standing.problems(connection, whole=whole))


def audit_view(
    row: AuditRow, cipher: Cipher | None = None, masking: Masking | None = None, by: Identity | None = None
) -> AuditView:
    """A record as it is told.

    Args:
        masking: Masks what people wrote when they decided about data that `by`, or whoever acts, may not see.
            Records that are about no run need none.
    """
    record = record_of(row, cipher)
    reason = record.reason
    if masking is not None and row.action in _OF_TASKS and record.data is not None:
        reason = masking.lens_of(str(record.data.get("workflow")), by=by).words(reason)
    return AuditView(
        seq=row.seq,
        at=iso(row.at),
        principal=record.principal,
        action=row.action,
        resource=row.resource,
        verdict=row.verdict,
        reason=reason,
        workspace=row.workspace,
        data=record.data,
        hash=hash_of(row.hash, cipher),
    )


def mark_restored(folder: Path, head: Head, *, key_file: Path | None = None) -> None:
    """Say in the folder's checkpoints that its chain goes on from here, because a backup was restored.

    Raises:
        ServiceError: `audit-key-refused`.
    """
    path = folder / CHECKPOINTS_NAME
    if not path.exists():
        return
    try:
        key = AuditKey.load(key_file or folder / KEY_NAME)
        append_checkpoint(path, key.sign(head.seq, head.hash, _now_ms(), "restored"))
    except (OSError, ValueError) as error:
        raise ServiceError("audit-key-refused", f"{error}.") from None


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
