"""Use cases of the effect ledger: list, read."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec

from segue.service import answers
from segue.service.access import UseCases, governed, of
from segue.service.acts import acts_by_key
from segue.service.definitions import Definitions
from segue.service.errors import ServiceError
from segue.service.inbox import EffectStateName, EffectView
from segue.service.masking import Masking
from segue.service.observe import iso
from segue.service.paging import PAGE_MAX, ms_of
from segue.service.shapes import Page
from segue.store import Store
from segue.store.effects import EffectEntry, EffectFilter, Place, list_effects
from segue.store.snapshots import read_kept
from segue.types import AttemptSucceeded

_SEQ_MAX: Final = 2**62


class Effects(UseCases):
    """What the runs of one data folder did outside that must not simply be repeated."""

    def __init__(self, store: Store, definitions: Definitions, masking: Masking) -> None:
        self._store = store
        self._definitions = definitions
        self._masking = masking

    @governed("effect.list")
    async def page(
        self,
        *,
        run: str | None = None,
        handler: str | None = None,
        connection: str | None = None,
        state: EffectStateName | None = None,
        since: datetime | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> Page[EffectView]:
        """Attempts, newest first.

        Args:
            limit: 1 to `PAGE_MAX`.
            after: `next` of the page before.

        Raises:
            ServiceError: `run-unknown`, or `request-malformed` where `after` is no `next`.
        """
        limit = min(limit, PAGE_MAX)
        seq = None
        if run is not None:
            record = await self._store.run(run)
            if record is None:
                raise ServiceError("run-unknown", f"There is no run {run!r}.")
            seq = record.seq
        wanted = EffectFilter(run=seq, handler=handler, connection=connection, state=state, since=ms_of(since))
        before = _place(after)
        found = await self._store.read(lambda c: list_effects(c, wanted, limit=limit + 1, before=before))
        more = "-".join(map(str, found[limit - 1].place)) if len(found) > limit else None
        items = [view(entry) for entry in found[:limit]]
        lens_of = self._masking.lenses_of()
        return Page(items=[answers.effect(lens_of(item.workflow), item) for item in items], next=more)

    @governed("effect.read", on=of("Effect"))
    async def get(self, key: str) -> list[EffectView]:
        """All attempts at one act, oldest first, with what the system answered; also of acts that only history has.

        Raises:
            ServiceError: `effect-unknown`.
        """
        found = [act.entry for act in await acts_by_key(self._store, self._definitions, key)]
        if not found:
            raise ServiceError("effect-unknown", f"Neither the ledger nor a history holds an act {key!r}.")
        kept = await self._store.read(lambda c: read_kept(c, found[0].run))
        # What was folded has left its answers in the ledger.
        answered = {event.id: event.output for event in kept.events if isinstance(event, AttemptSucceeded)}
        attempts = [msgspec.structs.replace(view(e), receipt=answered.get(e.command, e.receipt)) for e in found]
        lens_of = self._masking.lenses_of()
        return [answers.effect(lens_of(attempt.workflow), attempt) for attempt in attempts]


def view(entry: EffectEntry) -> EffectView:
    """An attempt as it is told."""
    settled: Any = entry.settled_at
    return EffectView(
        key=entry.key,
        run=entry.run_id,
        workflow=f"{entry.namespace}/{entry.name}:{entry.version}",
        pointer=entry.pointer,
        handler=entry.handler,
        connection=entry.connection,
        attempt=entry.attempt,
        state=entry.state,
        intended_at=iso(entry.intended_at),
        settled_at=None if settled is None else iso(settled),
        receipt=entry.receipt,
    )


def _place(after: str | None) -> Place | None:
    if after is None:
        return None
    parts = after.split("-")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and int(part) < _SEQ_MAX for part in parts):
        raise ServiceError("request-malformed", f"{after!r} is not the `next` of a page.")
    at, run, command = map(int, parts)
    return at, run, command
