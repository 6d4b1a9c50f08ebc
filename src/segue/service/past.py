"""The past of a run as far as it is kept: its record, its plan, and what is left of its history.

The beginning of a long history may be folded (`store/snapshots.py`). Whoever tells of the run then begins with the
state in the oldest snapshot; events keep their numbers, and asking for one that is gone is refused with what is left.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from segue.core import Plan, RunState
from segue.core.snapshot import SnapshotRefused, digest_of, restore
from segue.service.definitions import Definitions
from segue.service.errors import ServiceError
from segue.store import Kept, RunRecord, Snapshot, Store
from segue.store.runs import find_run
from segue.store.snapshots import read_kept
from segue.types import Event, Json, RunMigrated, RunStarted


@dataclass(frozen=True, slots=True)
class Past:
    """What can be told of one run.

    Attributes:
        plan: Of the definition that it is pinned to now. first_plan: of the state that `beginning` gives.
    """

    record: RunRecord
    plan: Plan
    first_plan: Plan
    kept: Kept

    @property
    def before(self) -> int:
        """How many events were folded."""
        return self.kept.before

    @property
    def count(self) -> int:
        """How many events the run has had."""
        return self.kept.count

    @property
    def events(self) -> list[Event]:
        """Those that are kept, oldest first."""
        return self.kept.events

    def definitions(self) -> set[str]:
        """Digests of every definition that the kept part of it ran under: more than one after a migration."""
        moved = {e.definition for e in self.events if isinstance(e, RunStarted | RunMigrated)}
        return {self.record.digest, self.first_plan.digest} | moved

    def until(self, number: int) -> list[Event]:
        """The kept events up to this one, by its number from 1."""
        return self.kept.events[: max(0, number - self.kept.before)]

    def beginning(self) -> RunState | None:
        """The state before the first kept event, made anew for each caller; None at the start of the run.

        Raises:
            ServiceError: `history-folded`, where this release cannot read it.
        """
        return None if self.kept.snapshot is None else state_of(self.record.id, self.first_plan, self.kept.snapshot)

    @property
    def input(self) -> Json:
        """What the run was started with."""
        state = self.beginning()
        if state is not None:
            return state.input
        started = self.events[0]
        assert isinstance(started, RunStarted), "a history begins with RunStarted"
        return started.input

    def require(self, number: int) -> None:
        """Refuse an event that the run has not had, or that was folded, unless the state behind it is there.

        Raises:
            ServiceError: `event-unknown` or `history-folded`.
        """
        if not 1 <= number <= self.count:
            raise ServiceError("event-unknown", f"Run {self.record.id} has had {self.count} events, not {number}.")
        if number < self.before or (number == self.before and self.kept.snapshot is None):
            raise ServiceError("history-folded", f"Event {number} of run {self.record.id} was folded: {self.left()}.")

    def left(self) -> str:
        """What is left, for sentences."""
        return f"it keeps its events {self.before + 1} to {self.count}"


def state_of(run_id: str, plan: Plan, found: Snapshot) -> RunState:
    """The state in a snapshot.

    Raises:
        ServiceError: `history-folded`, where this release cannot read it.
    """
    try:
        return restore(plan, found.content, found.values.__getitem__)
    except SnapshotRefused as error:
        raise ServiceError(
            "history-folded",
            f"The beginning of run {run_id} was folded, and what stands for it cannot be read here: {error}.",
            remedy="Read it with the release that wrote it, or a newer one.",
        ) from None


def first_plan_of(definitions: Definitions, plan: Plan, kept: Kept) -> Plan:
    """The plan that the snapshot before the kept events belongs to."""
    if kept.snapshot is None:
        return plan
    try:
        digest = digest_of(kept.snapshot.content)
    except SnapshotRefused:
        return plan
    return plan if digest == plan.digest else definitions.plan(digest)


async def read_past(store: Store, definitions: Definitions, run_id: str) -> Past:
    """Read what is kept of a run, as of one moment.

    Raises:
        ServiceError: `run-unknown`.
    """

    def query(c: sqlite3.Connection) -> tuple[RunRecord, Kept] | None:
        record = find_run(c, run_id)
        return None if record is None else (record, read_kept(c, record.seq))

    found = await store.read(query)
    if found is None:
        raise ServiceError("run-unknown", f"There is no run {run_id!r}.")
    record, kept = found
    plan = definitions.plan(record.digest)
    return Past(record, plan, first_plan_of(definitions, plan, kept), kept)
