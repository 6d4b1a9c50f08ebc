"""Lifecycle events of runs as they come, for whoever follows one or all of them."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from segue.service import answers
from segue.service.definitions import Definitions
from segue.service.lifecycle import Lifecycle
from segue.service.masking import Lens, Masking
from segue.service.past import first_plan_of, state_of
from segue.store import RunRecord, Store
from segue.store.snapshots import read_kept
from segue.types import Event, Identity

if TYPE_CHECKING:
    from segue.hosts import EmbeddedHost

_FOLLOWED_MAX: Final = 2000


@dataclass(slots=True)
class Followed:
    """A run among many that are followed. `seen` counts the events of its history that were read."""

    record: RunRecord
    lifecycle: Lifecycle
    seen: int = 0


class Followers:
    """Reads what followers have not seen. Who may follow is settled before."""

    def __init__(self, store: Store, definitions: Definitions, masking: Masking) -> None:
        self._store = store
        self._definitions = definitions
        self._masking = masking

    async def follow(self, host: EmbeddedHost, record: RunRecord, lens: Lens) -> AsyncGenerator[dict[str, Any], None]:
        """Of one run, from its first event until it ends."""
        run = self._followed(record)
        # Subscribed before the first read, so nothing can happen unseen in between.
        with closing(host.subscribe(record.id)) as changes:
            while True:
                for event in await self._news(run):
                    for cloud_event in run.lifecycle.apply(event):
                        yield answers.lifecycle(lens, cloud_event)
                if run.lifecycle.closed or await anext(changes, None) is None:
                    return

    async def follow_all(self, host: EmbeddedHost, reader: Identity | None) -> AsyncGenerator[dict[str, Any], None]:
        """Of all runs, from now on."""
        since_ms = time.time_ns() // 1_000_000
        followed: dict[str, Followed] = {}
        with closing(host.subscribe(None)) as changes:
            async for change in changes:
                run = followed.pop(change.run_id, None) or await self._take_up(change.run_id)
                if run is None:
                    continue
                lens = self._masking.lens(run.record.digest, by=reader)
                for event in await self._news(run):
                    for cloud_event in run.lifecycle.apply(event):
                        # What happened before is read to know where the run stands, and not told.
                        if event.at >= since_ms:
                            yield answers.lifecycle(lens, cloud_event)
                if not run.lifecycle.closed:
                    followed[change.run_id] = run
                    if len(followed) > _FOLLOWED_MAX:
                        followed.pop(next(iter(followed)))

    async def _take_up(self, run_id: str) -> Followed | None:
        record = await self._store.run(run_id)
        if record is None or record.hidden:
            return None
        return self._followed(record)

    def _followed(self, record: RunRecord) -> Followed:
        return Followed(record, Lifecycle(self._definitions.plan(record.digest), record.id))

    async def _news(self, run: Followed) -> list[Event]:
        """The events that a follower has not seen; it begins anew where some of them were folded meanwhile."""
        seen = run.seen
        kept = await self._store.read(lambda c: read_kept(c, run.record.seq, after=seen))
        if kept.snapshot is not None:
            plan = self._definitions.plan(run.record.digest)
            state = state_of(run.record.id, first_plan_of(self._definitions, plan, kept), kept.snapshot)
            run.lifecycle = Lifecycle(plan, run.record.id, state, kept.before)
        run.seen = kept.count
        return kept.events
