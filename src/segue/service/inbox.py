"""Shapes of the exception inbox, of the effect ledger and of what is told of a moment in a run's past."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from segue.service.shapes import RunDetail, Shape, TaskDetail, TaskView, WorkflowRef
from segue.types import RunStatus

Choice = Literal["retry", "skip", "give-up", "happened", "repeat"]
ExceptionKind = Literal["held", "faulted", "unknown", "quarantined"]
ExceptionState = Literal["open", "overdue", "closed"]
EffectStateName = Literal["intent", "done", "failed", "unknown"]


class Resolution(Shape, frozen=True, kw_only=True):
    """What resolved an exception: a choice, or `ended`, `cancel`, `verified`, `held`, `faulted`."""

    action: str
    by: str
    reason: str
    at: str


class ExceptionView(Shape, frozen=True, kw_only=True):
    """One failure in the inbox.

    Attributes:
        pointer: JSON Pointer of the task that waits, or that failed; empty where the run as a whole is meant.
        task: Number of that task; None where the run as a whole is meant.
        outcome_unknown: The act may have happened.
        group: The same for failures with the same cause: workflow, place, error type and status.
        state: `overdue` is open, and its deadline has passed.
        owner: Who answers for it now. deadline: Both of the document's metadata. overdue: Since when it is.
        effect: Key of the act that may have happened, where no task waits for it.
        choices: What can be decided.
    """

    id: int
    run: str
    workflow: WorkflowRef
    kind: ExceptionKind
    state: ExceptionState
    at: str
    pointer: str
    task: int | None = None
    error: dict[str, Any]
    outcome_unknown: bool = False
    group: str
    owner: str | None = None
    deadline: str | None = None
    overdue: str | None = None
    effect: str | None = None
    choices: list[Choice] = msgspec.field(default_factory=list)
    resolution: Resolution | None = None


class EffectView(Shape, frozen=True, kw_only=True):
    """One attempt at an act that must not simply be repeated.

    Attributes:
        key: The same over all attempts; goes out as the system's own idempotency mechanism where it has one.
        pointer: JSON Pointer of the task.
        state: `intent` (begun, no outcome yet), `done`, `failed`, or `unknown`: it may have happened.
        receipt: What the system answered. Filled in details, and where a person said it.
    """

    key: str
    run: str
    workflow: str
    pointer: str
    handler: str
    connection: str | None = None
    attempt: int
    state: EffectStateName
    intended_at: str
    settled_at: str | None = None
    receipt: Any = None


class ExceptionDetail(ExceptionView, frozen=True, kw_only=True):
    """One failure with everything that a decision needs.

    Attributes:
        payload: The raw input of the task, which `retry` starts it with again.
        sent: Arguments of the act, where the task is one; secrets by their names.
        run_status: Of its run, now.
        position: Tasks of the run that have started and not ended.
        outside: What the run did outside that must not simply be repeated, oldest first.
        note: What is not known any more, where the run's history was folded since.
    """

    payload: Any = None
    sent: Any = None
    run_status: RunStatus
    position: list[TaskView] = msgspec.field(default_factory=list)
    outside: list[EffectView] = msgspec.field(default_factory=list)
    note: str | None = None


class ExceptionGroup(Shape, frozen=True, kw_only=True):
    """Failures with the same cause. `example` is the newest one's id."""

    group: str
    count: int
    first_at: str
    last_at: str
    example: int
    workflow: str
    pointer: str
    error: dict[str, Any]


class Refused(Shape, frozen=True, kw_only=True):
    """An exception that could not be decided, and why."""

    id: int
    why: str


class GroupDecision(Shape, frozen=True, kw_only=True):
    """What became of a decision about a whole group.

    Attributes:
        dry_run: Nothing was done; `matched` says how many it would have been about.
        done: How many were decided. refused: Others, at most 100.
    """

    group: str
    action: Choice
    dry_run: bool
    matched: int
    done: int = 0
    refused: list[Refused] = msgspec.field(default_factory=list)


class MigrationMove(Shape, frozen=True, kw_only=True):
    """A task under way: its number, and where it stands before and after."""

    task: int
    kind: str
    before: str
    after: str


class MigrationObstacle(Shape, frozen=True, kw_only=True):
    """Something that stands against a migration, and what to do about it."""

    pointer: str
    message: str
    remedy: str


class Migration(Shape, frozen=True, kw_only=True):
    """What became, or would become, of a run under another version.

    Attributes:
        before, after: Versions.
        migrated: It was done; never with `dry_run`, nor where there are obstacles.
        position: Tasks under way, outermost first.
    """

    run: str
    before: str
    after: str
    dry_run: bool
    migrated: bool
    position: list[MigrationMove] = msgspec.field(default_factory=list)
    obstacles: list[MigrationObstacle] = msgspec.field(default_factory=list)


class Migrations(Shape, frozen=True, kw_only=True):
    """What became of many runs. With `dry_run`, `migrated` counts those that could be; `refused` holds 100."""

    workflow: str
    to: str
    dry_run: bool
    matched: int
    migrated: int
    refused: list[Migration] = msgspec.field(default_factory=list)


class RunMoment(RunDetail, frozen=True, kw_only=True):
    """A run as it was after one of its events.

    Attributes:
        event: Its number, from 1. of: How many events there are by now.
        event_kind: What it was; `folded` where only the state behind it is kept. at: When it was recorded.
        context: The run's `$context` then.
        data: Tasks with what went in and came out, in the order in which they started.
    """

    event: int
    of: int
    event_kind: str
    at: str
    context: Any = None
    data: list[TaskDetail] = msgspec.field(default_factory=list)
