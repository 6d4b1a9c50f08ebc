"""Everything that is held about one person, put together for them: as a data subject, and as a user of Segue.

What runs carry is told through the lens of whoever asks (`masking.py`), by the use cases that tell it elsewhere. What
somebody did as a user is told without what it was about: that may be somebody else's. docs/privacy.md has the shape.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from segue.service import answers
from segue.service.accounts import Accounts
from segue.service.audit import Audit, AuditView, audit_view
from segue.service.definitions import Definitions
from segue.service.effects import Effects
from segue.service.exceptions import Exceptions
from segue.service.masking import CLEAR_LENS, Lens, Masking
from segue.service.observe import iso, observe
from segue.service.paging import PAGE_MAX
from segue.service.past import read_past
from segue.service.profiles import Profiles
from segue.service.shapes import Page, Shape
from segue.service.tasks import Tasks
from segue.service.tokens import Tokens
from segue.store import ErasedData, Store
from segue.store.blobs import load
from segue.store.chain import audit_of
from segue.store.erasure import About
from segue.store.personal import acts_of, events_by_number, labels_about
from segue.store.runs import find_runs
from segue.store.snapshots import read_kept

EXPORT_FORMAT: Final = "segue.subject-export/2"
_TIMES: Final = frozenset({"at", "offered_at", "closed_at", "sent_at", "read_at", "decided_at", "released_at"})
_AUDIT_MAX: Final = 10_000

Item = TypeVar("Item")


class SubjectExport(Shape, frozen=True, kw_only=True):
    """Everything held about one person.

    Attributes:
        format: Which shape this is.
        masked: Whoever asked may not see all classes of data, and something is hidden.
        runs: About the subject: each with its record, its history, and in `tasks`, `exceptions`, `effects`, `audit`
            what belongs to it.
        events: CloudEvents that these runs sent, took or were started by.
        labels: What models learn from decisions about the subject; also of runs that are gone.
        audit: Records that name the subject.
        user: What the person is, did and was told as a user; None where no person was asked for.
    """

    format: str
    made_at: str
    masked: bool
    subject: str | None
    person: str | None
    runs: list[dict[str, Any]]
    events: list[dict[str, Any]]
    labels: list[dict[str, Any]]
    audit: list[AuditView]
    user: dict[str, Any] | None


class Exporting:
    """Puts exports together from what the use cases of each room tell."""

    def __init__(
        self,
        store: Store,
        definitions: Definitions,
        masking: Masking,
        *,
        tasks: Tasks,
        exceptions: Exceptions,
        effects: Effects,
        audit: Audit,
        accounts: Accounts,
        tokens: Tokens,
        profiles: Profiles,
    ) -> None:
        self._store = store
        self._definitions = definitions
        self._masking = masking
        self._tasks = tasks
        self._exceptions = exceptions
        self._effects = effects
        self._audit = audit
        self._accounts = accounts
        self._tokens = tokens
        self._profiles = profiles

    async def make(self, subject: str | None, key: str | None, found: About, person: str | None) -> SubjectExport:
        """The export.

        Args:
            key: The subject as it is looked up. found: What is there about it.

        Raises:
            ServiceError: `identity-unknown` where there is no such person.
        """
        user = None if person is None else await self._user(person)
        runs, lens = [], CLEAR_LENS
        for seq in found.runs:
            told, of_run = await self._of_run(seq)
            runs.append(told)
            lens = of_run if of_run.hidden else lens
        return SubjectExport(
            format=EXPORT_FORMAT,
            made_at=iso(time.time_ns() // 1_000_000),
            masked=bool(lens.hidden) or (bool(found.labels) and not self._sees_all()),
            subject=subject,
            person=person,
            runs=runs,
            events=await self._events(found, lens),
            labels=await self._labels(found),
            audit=[] if key is None else await self._records([f"subject:{key}"]),
            user=user,
        )

    # -- as a data subject -------------------------------------------------------------------------

    async def _of_run(self, seq: int) -> tuple[dict[str, Any], Lens]:
        told = await self._store.read(lambda c: _told(c, seq))
        lens, run = self._masking.lens(told["digest"]), told["id"]
        erased = told["history"] == "erased"
        if not self._sees_all() and not erased:
            past = await read_past(self._store, self._definitions, run)
            lens = self._masking.lens_over(past)
            if lens.hidden:
                seen = await asyncio.to_thread(observe, past.plan, past.events, past.beginning())
                pointers = {number: task.pointer for number, task in seen.tasks.items()}
                told["history"] = [answers.history(lens, event, pointers) for event in told["history"]]
        told = answers.record(lens, told)
        tasks = await _all(lambda after: self._tasks.page(state=None, run=run, limit=PAGE_MAX, after=after))
        effects = await _all(lambda after: self._effects.page(run=run, limit=PAGE_MAX, after=after))
        failed = await _all(lambda after: self._exceptions.page(state=None, run=run, limit=PAGE_MAX, after=after))
        told["tasks"] = _plain(tasks if erased else [await self._tasks.get(task.id) for task in tasks])
        told["exceptions"], told["effects"] = _plain(failed), _plain(effects)
        named = [
            *(f"run:{run}", *(f"effect:{act.key}" for act in effects)),
            *(f"humantask:{task.id}" for task in tasks),
            *(f"exception:{failure.id}" for failure in failed),
        ]
        told["audit"] = _plain(await self._records(named))
        return told, lens

    async def _events(self, found: About, lens: Lens) -> list[dict[str, Any]]:
        def query(c: sqlite3.Connection) -> list[dict[str, Any]]:
            rows = events_by_number(c, found.events)
            return [{"receivedAt": iso(at), "event": lens.any(load(c, envelope))} for _, at, envelope in rows]

        return await self._store.read(query)

    async def _labels(self, found: About) -> list[dict[str, Any]]:
        def query(c: sqlite3.Connection) -> list[dict[str, Any]]:
            names = ("task", "model", "version", "input", "proposed", "decided", "outcome", "by", "at")
            made = []
            for row in labels_about(c, found.labels):
                label = dict(zip(names, (*row[:3], *(load(c, value) for value in row[3:6]), *row[6:]), strict=True))
                made.append({**label, "at": None if label["at"] is None else iso(label["at"])})
            return made

        labels = await self._store.read(query)
        if self._sees_all():
            return labels
        # The run whose classes would tell what may be seen may be gone.
        return [{**label, "input": None, "proposed": None, "decided": None} for label in labels]

    async def _records(self, resources: Sequence[str]) -> list[AuditView]:
        cipher = self._store.commit.cipher
        rows = await self._store.read(lambda c: audit_of(c, resources, limit=_AUDIT_MAX))
        return [audit_view(row, cipher) for row in rows]

    # -- as a user ---------------------------------------------------------------------------------

    async def _user(self, person: str) -> dict[str, Any]:
        name = f"person:{person}"
        identity = await self._accounts.get("person", person)
        profiles = [profile for profile in await self._profiles.list() if profile.id == person]
        acts = await self._store.read(lambda c: acts_of(c, (person, name)))
        records = await self._audit.page(principal=name, limit=PAGE_MAX)
        return {
            "identity": msgspec.to_builtins(identity),
            "profile": _plain(profiles)[0] if profiles else None,
            "tokens": _plain(await self._tokens.of("person", person)),
            **{kind: [_timed(row) for row in rows] for kind, rows in acts.items()},
            "named": _plain(await self._records([f"identity:person/{person}", f"profile:{person}"])),
            "audit": _plain(records.items),
            # `segue audit list --principal` goes on from here.
            "auditNext": records.next,
        }

    def _sees_all(self) -> bool:
        return self._masking.sees_all(self._tasks.guard.who())


async def _all(page: Callable[[str | None], Awaitable[Page[Item]]]) -> list[Item]:
    """Every item of a list, page after page."""
    found, after = [], None
    while True:
        one = await page(after)
        found += one.items
        if one.next is None:
            return found
        after = one.next


def _plain(items: Sequence[Any]) -> list[Any]:
    return [msgspec.to_builtins(item) for item in items]


def _timed(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the store as an answer: times are texts, names are written as elsewhere."""
    told = {}
    for name, value in row.items():
        head, *rest = name.split("_")
        told[head + "".join(part.capitalize() for part in rest)] = (
            iso(value) if name in _TIMES and value is not None else value
        )
    return told


def _told(connection: sqlite3.Connection, seq: int) -> dict[str, Any]:
    (record,) = find_runs(connection, [seq])
    told: dict[str, Any] = msgspec.to_builtins(record)
    try:
        told["history"] = [msgspec.to_builtins(event) for event in read_kept(connection, seq).events]
    except ErasedData:
        told["history"] = "erased"
    return told
