"""The page of a human task: what is asked, what the run did before, what was decided. Told from history."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from typing import Any, Final, get_args

import msgspec

from segue.core import Tasking, advance, tasking_of
from segue.people import authority_at
from segue.service import answers
from segue.service.asked import (
    Change,
    HumanTaskDetail,
    HumanTaskStateName,
    HumanTaskView,
    NoticeView,
    Priority,
    Voice,
)
from segue.service.definitions import Definitions
from segue.service.masking import Masking
from segue.service.observe import iso, observe
from segue.service.past import Past, read_past
from segue.service.portions import Portion, told_apart
from segue.service.shapes import TaskDetail, WorkflowRef
from segue.store import Store, codec, human_tasks, notices
from segue.store.human_tasks import PRIORITIES, HumanTaskRecord
from segue.store.notices import NoticeRecord
from segue.types import DecisionMade, Identity, TaskAssigned

STEPS_MAX: Final = 100
_SHOWN: Final = ("title", "description", "form", "context", "suggestion", "about", "outcomes", "authority")

assert set(PRIORITIES) == set(get_args(Priority))
assert set(get_args(human_tasks.HumanTaskState)) == set(get_args(HumanTaskStateName))


class Showing:
    """Makes the pages of one data folder."""

    def __init__(self, store: Store, definitions: Definitions, masking: Masking) -> None:
        self._store = store
        self._definitions = definitions
        self._masking = masking

    async def page(
        self, record: HumanTaskRecord, live: Tasking | None, policy: str, now: int, reader: Identity | None
    ) -> HumanTaskDetail:
        """Everything about one task, as far as `reader` may see it.

        Args:
            live: What it holds, where it is before people; otherwise history is asked for what it held at last.
        """
        past = await read_past(self._store, self._definitions, record.run_id)
        told = await self._store.read(lambda c: notices.notices_of_task(c, record.id))
        changed = await self._store.read(lambda c: human_tasks.changes_of(c, record.id))
        steps = await asyncio.to_thread(_steps, past, record.event)
        held = live or await asyncio.to_thread(_held, past, record.task)
        history = past.events
        reasons = [(e.at, e.reason) for e in history if isinstance(e, TaskAssigned) and e.id == record.task]
        portion = Portion()
        given = portion.value(past.input, f"/runs/{record.run_id}/input")
        fields = {} if held is None else _asked(held, record, policy)
        page = HumanTaskDetail(
            **msgspec.structs.asdict(view(record, now)),
            **fields,
            decisions=[_voice(e) for e in history if isinstance(e, DecisionMade) and e.id == record.task],
            changes=[_change(c, reasons) for c in changed],
            notices=[notice_view(n) for n in told],
            run_status=past.record.status,
            run_input=given,
            steps=portion.details(record.run_id, steps),
            policy=policy,
        )
        shown = answers.human_page(self._masking.lens_over(past, by=reader), page)
        steps = [
            msgspec.structs.replace(s, input=told_apart(s.input), output=told_apart(s.output)) for s in shown.steps
        ]
        return msgspec.structs.replace(shown, run_input=told_apart(shown.run_input), steps=steps)


def view(record: HumanTaskRecord, now: int) -> HumanTaskView:
    """A task as lists show it."""
    return HumanTaskView(
        id=record.id,
        kind=record.kind,
        title=record.title,
        state=record.state,
        priority=PRIORITIES[record.priority],
        run=record.run_id,
        workflow=WorkflowRef(
            namespace=record.namespace, name=record.name, version=record.version, digest=record.digest
        ),
        pointer=record.pointer,
        owner=record.owner or None,
        audience=record.audience,
        requester=record.requester,
        level=record.level,
        votes=record.votes,
        offered_at=iso(record.offered_at),
        due_at=_iso(record.due_at),
        overdue=record.is_open and record.due_at is not None and record.due_at < now,
        closed_at=_iso(record.closed_at),
        outcome=record.outcome,
        by=record.by or None,
        edited=bool(record.edited),
        model=record.model,
        model_version=record.model_version,
    )


def notice_view(record: NoticeRecord) -> NoticeView:
    """A notice as it is told."""
    return NoticeView(
        id=record.id,
        task=record.task or None,
        exception=record.incident or None,
        about=record.about or None,
        title=record.title,
        kind=record.kind,
        person=record.person,
        channel=record.channel,
        state=record.state,
        due_at=iso(record.due_at),
        sent_at=_iso(record.sent_at),
        read_at=_iso(record.read_at),
        receipt=record.receipt,
    )


def requesters_of(cause: Mapping[str, Any], task: Tasking | None) -> frozenset[str]:
    """Who asked for it: whom the task names, and who started the run with this cause."""
    by = cause.get("by")
    named = {by, by.partition(":")[2] if isinstance(by, str) else None}
    if task is not None:
        named |= {task.request.get("requester"), *task.request.get("requesters", ())}
    return frozenset(name for name in named if isinstance(name, str) and name)


def seen_of(task: Tasking, policy: str) -> str:
    """Digest of what somebody is shown, and of the rules: the same page, the same digest."""
    shown = {key: task.request.get(key) for key in _SHOWN}
    shown |= {"data": task.entry, "votes": task.votes, "phase": task.phase, "policy": policy}
    # Canonical: keys sorted at every depth, so that where it was read back from makes no difference.
    raw = msgspec.json.encode(codec.settled(shown), order="sorted")
    return hashlib.sha256(raw).hexdigest()


def _asked(task: Tasking, record: HumanTaskRecord, policy: str) -> dict[str, Any]:
    request = task.request
    deadline = request.get("deadline")
    choices = (
        [{"outcome": "resubmit", "title": "Resubmit", "form": True, "comment": False, "votes": 1}]
        if task.phase == "sent-back"
        else [{"outcome": name, **said} for name, said in request["outcomes"].items()]
    )
    return {
        "description": request.get("description"),
        "form": request.get("form"),
        "data": task.entry,
        "context": request.get("context"),
        "suggestion": request.get("suggestion"),
        "about": request.get("about"),
        "choices": choices if record.is_open else [],
        "authority": dict(authority_at(request, task.level)),
        "deadline_at": None if deadline is None else iso(record.offered_at + deadline["after_ms"]),
        "deadline_outcome": None if deadline is None else deadline["outcome"],
        "seen": seen_of(task, policy) if record.is_open else "",
    }


def _steps(past: Past, number: int) -> list[TaskDetail]:
    """What the run did before it asked, as far as it is kept."""
    if number <= past.before:
        return []
    seen = observe(past.plan, past.until(number), past.beginning())
    return [task.detail() for task in seen.tasks.values() if task.kind != "do"][-STEPS_MAX:]


def _held(past: Past, number: int) -> Tasking | None:
    """What a task held when it was last before people."""
    state, plan = past.beginning(), past.first_plan
    held: Tasking | None = None
    for event in past.events:
        state, _ = advance(plan, state, event)
        held = tasking_of(state, number) or held
    return held


def _voice(event: DecisionMade) -> Voice:
    return Voice(
        outcome=event.outcome,
        by=event.by,
        at=iso(event.at),
        comment=event.comment,
        data=None if event.data is msgspec.UNSET else event.data,
        seen=event.seen,
        policy=event.policy,
        via=event.via,
        allowed=list(event.allowed),
    )


def _change(record: human_tasks.ChangeRecord, reasons: list[tuple[int, str]]) -> Change:
    reason = next((said for at, said in reasons if at == record.at and record.by), "")
    return Change(
        change=record.change,
        at=iso(record.at),
        by=record.by,
        owner=record.owner,
        level=record.level,
        reason=reason,
    )


def _iso(at: int | None) -> str | None:
    return None if at is None else iso(at)
