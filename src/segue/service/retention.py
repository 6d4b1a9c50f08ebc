"""Use case: how long closed runs and events are kept, and removing now what is due.

Who decides, the first that speaks (decision 0049):

    document   `document.metadata.segue.retention_days`; else the shortest of what `retention` says of its own classes
    setting    `retention_days`

What the setting `retention_by_class` says of a class that the document names is a ceiling over both. What the latest
version of a workflow says holds for runs of all its versions.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from segue.service.access import UseCases, governed
from segue.service.definitions import Definitions
from segue.service.policies import said_class_days, said_classes, said_days
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
        said_by: `document`, `setting`, or `class`: the setting for one of its data classes.
        data_classes: Of the data that its runs hold, as its document says.
        due: Closed runs that are to be removed now.
    """

    namespace: str
    name: str
    days: float | None
    said_by: str
    due: int
    data_classes: list[str] = msgspec.field(default_factory=list)


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
        history: Entries of histories. acts: Of runs that live; a dry run does not count them. bytes: given back to
            the file system.
        complete: Nothing more is due; otherwise ask again.
    """

    dry_run: bool
    runs: int
    events: int
    history: int = 0
    acts: int = 0
    bytes: int = 0
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Said:
    """How many days closed runs of a workflow are kept (None: for ever), who says so, and their data classes."""

    days: float | None
    by: str
    data_classes: list[str]


def decide(definition: Any, settings: Settings) -> Said:
    """How long closed runs of this definition are kept.

    Args:
        definition: None where the workflow is not known any more.
    """
    classes = said_classes(definition)
    own = said_days(definition)
    if own is None:
        own = min((days for name, days in said_class_days(definition).items() if name in classes), default=None)
    days, by = (own, "document") if own is not None else (settings.retention_days or None, "setting")
    ceiling = min((settings.retention_by_class[c] for c in classes if c in settings.retention_by_class), default=None)
    if ceiling is not None and (days is None or ceiling < days):
        days, by = float(ceiling), "class"
    return Said(days, by, classes)


def rules_of(settings: Settings, definitions: Definitions) -> Rules:
    """The rules of a data folder."""

    def of(namespace: str, name: str) -> int | None:
        said = decide(definition_of(definitions, namespace, name), settings)
        # The setting itself is the rule for those that say nothing.
        return None if said.by == "setting" or said.days is None else _kept_ms(said.days)

    events = _kept_ms(settings.event_retention_days) if settings.event_retention_days else None
    return Rules(
        runs=_kept_ms(settings.retention_days) if settings.retention_days else None,
        # Runs that come to wait for an event may still want it for so long.
        events=None if events is None else max(events, settings.early_events_ms),
        of=of,
    )


def definition_of(definitions: Definitions, namespace: str, name: str) -> Any:
    """The newest definition of this workflow as data; None without any."""
    latest = definitions.find(namespace, name, "latest")
    return None if latest is None else definitions.plan(latest.digest).definition


class Retention(UseCases):
    """Retention of one data folder; `host` is None where none runs."""

    def __init__(
        self, rules: Rules, settings: Settings, definitions: Definitions, store: Store, host: EmbeddedHost | None
    ) -> None:
        self._rules = rules
        self._definitions = definitions
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
        said = decide(definition_of(self._definitions, namespace, name), self._settings)
        return WorkflowRetention(
            namespace=namespace,
            name=name,
            days=said.days,
            said_by=said.by,
            due=due,
            data_classes=said.data_classes,
        )


def _kept_ms(days: float) -> int:
    return int(days * DAY_MS)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
