"""Escalation: an exception whose deadline passes is overdue, is told of, and gets another owner.

The deadline stands in the exception's row, so it survives whatever happens to the process; in memory there is one
timer for the next of them. When it passes, an event is published, which a workflow may wait for to tell somebody, and
the row gets the next owner of the ladder, as long as there is one. The event comes first: after a crash between the
two it is published again under the same id, which drops the double.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any, Final

from segue.hosts.contracts import FailurePolicy
from segue.hosts.embedded.engine import Engine
from segue.hosts.embedded.own import spawn
from segue.hosts.embedded.plans import Plans
from segue.store import HostError, Store, incidents

_log = logging.getLogger("segue.hosts")

OVERDUE: Final = "io.segue.exception.overdue.v1"
SOURCE: Final = "/segue/exceptions"
_AT_ONCE: Final = 200
_RETRY_MS: Final = 1000


class Escalation:
    """Keeps the deadlines of one data folder's exceptions."""

    def __init__(self, engine: Engine, store: Store, plans: Plans) -> None:
        self._engine = engine
        self._store = store
        self._plans = plans
        self._next: int | None = None
        self._task: asyncio.Task[None] | None = None
        self._again = False

    async def open(self) -> None:
        """Begin to keep deadlines; those that passed while nobody did are past now."""
        await self._rearm()

    async def close(self) -> None:
        """Keep none any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def expect(self, due_ms: int) -> None:
        """An exception will be overdue then."""
        if self._next is None or due_ms < self._next:
            self._next = due_ms
            self._engine.timekeeper.at(due_ms, self._look)

    def _look(self) -> None:
        if self._engine.is_stopped:
            return
        if self._task is not None and not self._task.done():
            self._again = True
            return
        self._task = spawn(self._escalate(), "segue-escalation")

    async def _escalate(self) -> None:
        try:
            while True:
                self._again = False
                # What came in with this very deadline may be about to be written.
                await self._engine.wait_committed()
                now = self._engine.clock.now_ms()
                due = await self._store.read(partial(incidents.due, now=now, limit=_AT_ONCE))
                for record in due:
                    await self._pass_on(record, now)
                if len(due) < _AT_ONCE and not self._again:
                    break
            await self._rearm()
        except HostError as error:
            _log.warning("deadlines of exceptions are looked at again soon: %s", error)
            self._next = None
            self.expect(self._engine.clock.now_ms() + _RETRY_MS)

    async def _pass_on(self, record: incidents.DueRecord, now: int) -> None:
        policy = self._policy(record.digest)
        ladder, level = policy.ladder, record.level
        owner = ladder[level] if level < len(ladder) else record.owner
        more = level + 1 < len(ladder) and policy.deadline_ms is not None
        again = now + policy.deadline_ms if more and policy.deadline_ms is not None else None
        await self._engine.postman.publish([_event(record, owner, level + 1, now)])
        pending = self._engine.commit.pending
        pending.statements.append(incidents.escalate(record.id, owner, level + 1, again, now))
        told = {"level": level + 1, "owner": owner, "from": record.owner, "deadline": record.deadline}
        pending.note("exception.escalate", f"exception:{record.id}", at=now, data={**told, "run": record.run_id})
        self._engine.wake()
        await self._engine.wait_committed()

    def _policy(self, digest: str) -> FailurePolicy:
        try:
            return self._engine.policy(self._plans.plan(digest))
        except Exception:  # A plan that cannot be compiled any more may be why the exception is there.
            return FailurePolicy()

    async def _rearm(self) -> None:
        self._next = None
        due_ms = await self._store.read(incidents.next_due)
        if due_ms is not None:
            self.expect(due_ms)


def _event(record: incidents.DueRecord, owner: str | None, level: int, now: int) -> dict[str, Any]:
    data = {
        "exception": record.id,
        "run": record.run_id,
        "workflow": f"{record.namespace}/{record.name}",
        "kind": record.kind,
        "pointer": record.pointer,
        "error": record.failure.as_data(),
        "deadline": record.deadline,
        "level": level,
        "owner": owner,
        "previousOwner": record.owner,
    }
    return {
        "specversion": "1.0",
        "id": f"{record.id}-{level}",
        "source": SOURCE,
        "type": OVERDUE,
        "subject": str(record.id),
        "datacontenttype": "application/json",
        "data": data,
    }
