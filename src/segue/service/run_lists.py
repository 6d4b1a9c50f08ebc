"""Which runs to list."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from segue.service.paging import ms_of
from segue.service.workflows import parse_workflow
from segue.store import RunFilter as StoredFilter

RunStatusName = Literal["pending", "running", "waiting", "suspended", "cancelled", "faulted", "completed"]


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs to list; what is None does not restrict.

    Attributes:
        workflow: `namespace/name`.
        parent: Only runs that this run started.
        since, until: Started at this time or later, and before this time. A time without a zone is UTC.
    """

    workflow: str | None = None
    status: RunStatusName | None = None
    parent: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def stored_filter(wanted: RunFilter, parent: int | None) -> StoredFilter:
    """As the store knows it; `parent` by its number."""
    namespace, name = (None, None) if wanted.workflow is None else parse_workflow(wanted.workflow)
    return StoredFilter(
        status=None if wanted.status is None else [wanted.status],
        namespace=namespace,
        name=name,
        parent=parent,
        started_from=ms_of(wanted.since),
        started_to=ms_of(wanted.until),
    )
