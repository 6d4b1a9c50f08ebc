"""Use case: how long closed runs and events are kept, and removing now what is due.

The setting `retention_days` holds for every workflow that says nothing itself. What the latest version says in
`document.metadata.segue.retention_days` holds for runs of all versions of its workflow. A rule by data class will
stand in `rules_of` too.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from segue.service.access import UseCases, governed
from segue.service.definitions import Definitions
from segue.service.policies import said_days
from segue.service.settings import Settings
from segue.service.shapes import Shape
from segue.store import DAY_MS, Purged, Rules, Store, count_due, purge, space, workflows
from segue.store.retention import Workflow

if TYPE_CHECKING:
    from segue.hosts import EmbeddedHost

_SECONDS: Final = 30.0


class NewPurge(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What to do: `dryRun` only counts."""

    dry_run: bool = False


class WorkflowRetention(Shape, frozen=True, kw_only=True):
    """How long closed runs of a workflow are kept.

    Attributes:
        days: None keeps them for ever.
        said_by: `document` or `setting`.
        due: Closed runs that are to be removed now.
    """

    namespace: str
    name: str
    days: float | None
    said_by: str
    due: int


class RetentionView(Shape, frozen=True, kw_only=True):
    """How long what is kept, and the space that it takes.

    Attributes:
        days: The setting for closed runs; None keeps them for ever. event_days: the same for events.
        events_due: Events that are to be removed now.
        bytes: Size of the data file. free_bytes: free for reuse within it.
        shrinks: Free space is given back to the file system.
    """

    days: float | None
    event_days: float | None
    workflows: list[WorkflowRetention]
    events_due: int
    bytes: int
    free_bytes: int
    shrinks: bool


class PurgeView(Shape, frozen=True, kw_only=True):
    """What was removed, or would be.

    Attributes:
        history: Entries of histories. bytes: given back to the file system.
        complete: Nothing more is due; otherwise ask again.
    """

    dry_run: bool
    runs: int
    events: int
    history: int = 0
    bytes: int = 0
    complete: bool = True


def rules_of(settings: Settings, definitions: Definitions) -> Rules:
    """The rules of a data folder."""

    def of(namespace: str, name: str) -> int | None:
        latest = definitions.find(namespace, name, "latest")
        days = None if latest is None else said_days(definitions.plan(latest.digest).definition)
        return None if days is None else _kept_ms(days)

    events = _kept_ms(settings.event_retention_days) if settings.event_retention_days else None
    return Rules(
        runs=_kept_ms(settings.retention_days) if settings.retention_days else None,
        # Runs that come to wait for an event may still want it for so long.
        events=None if events is None else max(events, settings.early_events_ms),
        of=of,
    )


class Retention(UseCases):
    """Retention of one data folder; `host` is None where none runs."""

    def __init__(self, rules: Rules, settings: Settings, store: Store, host: EmbeddedHost | None) -> None:
        self._rules = rules
        self._settings = settings
        self._store = store
        self._host = host

    @governed("retention.read")
    async def show(self) -> RetentionView:
        """How long what is kept, and what is due."""
        due, events = await self._due()
        size = await self._store.read(space)
        return RetentionView(
            days=self._settings.retention_days or None,
            event_days=self._settings.event_retention_days or None,
            workflows=[self._of(*workflow, count) for workflow, count in due.items()],
            events_due=events,
            bytes=size.bytes,
            free_bytes=size.free_bytes,
            shrinks=size.shrinks,
        )

    @governed("retention.run")
    async def run(self, wanted: NewPurge) -> PurgeView:
        """Remove what is due, for half a minute at most."""
        if wanted.dry_run:
            due, events = await self._due()
            return PurgeView(dry_run=True, runs=sum(due.values()), events=events)
        purged = await self._purge()
        return PurgeView(dry_run=False, **msgspec.structs.asdict(purged))

    async def _purge(self) -> Purged:
        if self._host is not None:
            return await self._host.purge(seconds=_SECONDS)
        return await purge(self._store, self._rules, _now_ms(), seconds=_SECONDS)

    async def _due(self) -> tuple[Mapping[Workflow, int], int]:
        """Closed runs of each workflow, and events, that are to be removed now."""
        kept = {workflow: self._rules.runs_of(workflow) for workflow in await self._store.read(workflows)}
        return await self._store.read(lambda c: count_due(c, kept, self._rules.events, _now_ms()))

    def _of(self, namespace: str, name: str, due: int) -> WorkflowRetention:
        said = self._rules.of(namespace, name)
        kept_ms = self._rules.runs if said is None else said
        return WorkflowRetention(
            namespace=namespace,
            name=name,
            days=None if kept_ms is None else kept_ms / DAY_MS,
            said_by="setting" if said is None else "document",
            due=due,
        )


def _kept_ms(days: float) -> int:
    return int(days * DAY_MS)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
