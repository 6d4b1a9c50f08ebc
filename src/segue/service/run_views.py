"""Runs as they are shown: a line of a list, a report, details within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final, TypeVar
from weakref import WeakValueDictionary

from segue.service.observe import Observation, iso, observe
from segue.service.past import Past
from segue.service.portions import Portion, in_short
from segue.service.shapes import Held, Recorded, RunDetail, RunSummary, WorkflowRef
from segue.store import RunRecord
from segue.types import acting, causes

SHOWN_MAX: Final = 500
"""Tasks, decisions and events of a run that its details show: the newest."""

_LONG_HISTORY: Final = 1000

_AT_ONCE: Final = 2
"""Long histories that are told at once."""

Item = TypeVar("Item")


class LongRuns:
    """Tells what is kept of runs; of long ones few at a time, and one for each who asks.

    Telling takes some microseconds for each event: of a long history, a tenth of a second and more of one core.
    """

    def __init__(self) -> None:
        self._all = asyncio.Semaphore(_AT_ONCE)
        self._own: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def observed(self, past: Past) -> Observation:
        """What happened to a run; of much of it in a thread."""
        if len(past.events) < _LONG_HISTORY:
            return observe(past.plan, past.events, past.beginning())
        who = acting()
        own = self._own.setdefault("" if who is None else who.name, asyncio.Semaphore(1))
        async with own, self._all:
            return await asyncio.to_thread(observe, past.plan, past.events, past.beginning())


def told(seen: Observation) -> dict[str, Any]:
    """What reports and details of a run share; its events with the tasks that emitted them."""
    state = seen.state
    return {
        "output": state.output,
        "error": None if state.failure is None else state.failure.as_data(),
        "tasks": [task.view() for task in seen.tasks.values()],
        "skipped": seen.skipped,
        "decisions": seen.decisions,
        "events": seen.emitted,
    }


def newest(items: Iterable[Item]) -> list[Item]:
    """The newest of a list that has no bound."""
    return list(items)[-SHOWN_MAX:]


def shown(seen: Observation, run_id: str, portion: Portion) -> dict[str, Any]:
    """What details of a run say: the newest of everything, and of values what there is room for."""
    whole = told(seen)
    names = ("tasks", "skipped", "decisions", "events")
    omitted = {name: len(whole[name]) - SHOWN_MAX for name in names if len(whole[name]) > SHOWN_MAX}
    output = portion.value(whole["output"], f"/runs/{run_id}/output")
    parts = {name: newest(whole[name]) for name in names} | {"omitted": omitted, "output": output}
    return within(portion, run_id, whole | parts)


def within(portion: Portion | None, run_id: str, fields: dict[str, Any]) -> dict[str, Any]:
    """The same, with what there is room for of the values in it."""
    if portion is None:
        return fields
    decisions = portion.decisions(run_id, fields["decisions"])
    return fields | {"decisions": decisions, "events": portion.emitted(run_id, fields["events"])}


def summary_of(record: RunRecord, *, portion: Portion | None = None, held: Held | None = None) -> RunSummary:
    """A run as one line of a list.

    Args:
        portion: Also its output, as far as there is room, or its error.
    """
    ended = record.ended_at
    failed = None if portion is None else record.failure
    return RunSummary(
        id=record.id,
        workflow=WorkflowRef(
            namespace=record.namespace, name=record.name, version=record.version, digest=record.digest
        ),
        status=record.status,
        started_at=iso(record.started_at),
        ended_at=None if ended is None else iso(ended),
        duration_ms=None if ended is None else ended - record.started_at,
        cause=causes.told(record.cause),
        output=None if portion is None else portion.value(record.output, f"/runs/{record.id}/output"),
        error=None if failed is None else in_short(failed.as_data()),
        held=held,
    )


def erased(record: RunRecord) -> RunDetail:
    """What is left of a run about a data subject that was erased: when it ran, and how it ended."""
    summary = summary_of(record)
    fields = {name: getattr(summary, name) for name in summary.__struct_fields__}
    left = Recorded(events=0, folded=0, limit=None)
    return RunDetail(**fields | {"input": "erased", "output": "erased", "history": left})
