"""The lifecycle of a run as CloudEvents, read from its history.

Sixteen types: eight of workflows, eight of tasks. Ids follow from the run, the number of the history's event and the
place among what it causes: the same history gives the same events, also where its beginning was folded, and whoever
sees one twice can tell. Data goes by reference.

Source: section 15 of the document reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final
from urllib.parse import quote

from segue.core import Moment, Plan, RunState, advance
from segue.service.observe import iso
from segue.types import Event, Failure

PREFIX: Final = "io.serverlessworkflow."

WORKFLOW_WORDS: Final = (
    "started",
    "suspended",
    "resumed",
    "correlation-started",
    "correlation-completed",
    "cancelled",
    "faulted",
    "completed",
)
TASK_WORDS: Final = (
    "created",
    "started",
    "suspended",
    "resumed",
    "retried",
    "cancelled",
    "faulted",
    "completed",
)
LIFECYCLE_TYPES: Final = tuple(
    [f"{PREFIX}workflow.{word}.v1" for word in WORKFLOW_WORDS] + [f"{PREFIX}task.{word}.v1" for word in TASK_WORDS]
)

_STAMP: Final = {
    "created": "createdAt",
    "started": "startedAt",
    "suspended": "suspendedAt",
    "resumed": "resumedAt",
    "retried": "retriedAt",
    "cancelled": "cancelledAt",
    "faulted": "faultedAt",
    "completed": "completedAt",
    "correlation-started": "startedAt",
    "correlation-completed": "completedAt",
}


class Lifecycle:
    """Follows one run: takes its events in order and gives the CloudEvents that each one causes.

    Args:
        plan: What the run is pinned to.
        run_id: The run; part of every id.
        state: What the events before the first one to be applied led to, where those are no longer kept; it is
            consumed. before: How many they were.
    """

    def __init__(self, plan: Plan, run_id: str, state: RunState | None = None, before: int = 0) -> None:
        self._plan = plan
        self._run_id = run_id
        self._state = state
        self._applied = before
        self._count = 0
        self._open: dict[int, Moment] = {} if state is None else _live(state)

    @property
    def closed(self) -> bool:
        """Nothing follows any more."""
        return self._state is not None and self._state.closed

    def apply(self, event: Event) -> list[dict[str, Any]]:
        """The CloudEvents that this event of the history causes."""
        trace: list[Moment] = []
        self._applied += 1
        self._count = 0
        self._state, _ = advance(self._plan, self._state, event, trace=trace)
        return [cloud_event for moment in trace for cloud_event in self._of(moment)]

    def _of(self, moment: Moment) -> Iterator[dict[str, Any]]:
        what = moment.what
        if what.startswith("correlation-"):
            keys = {"correlationKeys": moment.data} if what.endswith("completed") and moment.data else {}
            yield self._workflow(what, moment.at, keys)
        elif moment.kind == "workflow":
            yield from self._of_run(moment)
        elif what == "started":
            self._open[moment.id] = moment
            yield self._task("created", moment)
            yield self._task("started", moment)
        elif what == "held":
            if moment.id not in self._open:
                self._open[moment.id] = moment
                yield self._task("created", moment)
            yield self._task("suspended", moment, self._ending("faulted", moment))
        elif what == "skipped" and self._open.pop(moment.id, None) is not None:
            yield self._task("completed", moment, self._ending("completed", moment))
        elif what in ("completed", "faulted", "cancelled", "retried"):
            if what != "retried" and self._open.pop(moment.id, None) is None:
                # Its `if` or its input failed: it ends without having started.
                yield self._task("created", moment)
            yield self._task(what, moment, self._ending(what, moment))

    def _of_run(self, moment: Moment) -> Iterator[dict[str, Any]]:
        what = moment.what
        if what == "started":
            names = ("namespace", "name", "version")
            yield self._workflow(what, moment.at, {"definition": {n: getattr(self._plan, n) for n in names}})
        elif what in ("suspended", "resumed"):
            yield self._workflow(what, moment.at, {})
            for task in self._open.values():
                yield self._task(what, task, at=moment.at)
        elif what in ("completed", "faulted", "cancelled"):
            yield self._workflow(what, moment.at, self._ending(what, moment))

    def _ending(self, what: str, moment: Moment) -> dict[str, Any]:
        if what == "faulted" and isinstance(moment.data, Failure):
            return {"error": moment.data.as_data()}
        if what == "completed":
            run = f"/api/v1/runs/{quote(self._run_id)}"
            task = "/output" if moment.kind == "workflow" else f"/tasks/{moment.id}"
            return {"outputUri": run + task}
        return {}

    def _workflow(self, word: str, at: int, more: dict[str, Any]) -> dict[str, Any]:
        name = f"{self._plan.name}-{self._run_id}.{self._plan.namespace}"
        return self._event(f"workflow.{word}", at, {"name": name, _STAMP[word]: iso(at), **more})

    def _task(
        self, word: str, moment: Moment, more: dict[str, Any] | None = None, *, at: int | None = None
    ) -> dict[str, Any]:
        at = moment.at if at is None else at
        workflow = f"{self._plan.name}-{self._run_id}.{self._plan.namespace}"
        data: dict[str, Any] = {"workflow": workflow, "task": moment.pointer, _STAMP[word]: iso(at), **(more or {})}
        if moment.iteration:
            data["iteration"] = list(moment.iteration)
        return self._event(f"task.{word}", at, data)

    def _event(self, word: str, at: int, data: dict[str, Any]) -> dict[str, Any]:
        self._count += 1
        plan = self._plan
        return {
            "specversion": "1.0",
            "id": f"{self._run_id}-lifecycle-{self._applied}.{self._count}",
            "source": f"/{plan.namespace}/{plan.name}/{plan.version}",
            "type": f"{PREFIX}{word}.v1",
            "subject": self._run_id,
            "time": iso(at),
            "datacontenttype": "application/json",
            "data": data,
        }


def _live(state: RunState) -> dict[int, Moment]:
    """Tasks that have started and not ended, as they were told when they started."""
    return {
        frame.id: Moment(
            "started", frame.started, frame.node.pointer, frame.node.name, frame.node.kind, frame.id, around.iteration
        )
        for frame in state.frames.values()
        if (around := frame.parent) is not None and frame.node.kind != "extended"
    }


def lifecycle_of(
    plan: Plan, run_id: str, history: Iterable[Event], state: RunState | None = None, before: int = 0
) -> list[dict[str, Any]]:
    """The lifecycle CloudEvents that these events cause, in order; see `Lifecycle`."""
    follower = Lifecycle(plan, run_id, state, before)
    return [cloud_event for event in history for cloud_event in follower.apply(event)]
