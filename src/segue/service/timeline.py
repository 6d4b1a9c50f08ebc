"""Use cases that tell a story over all workflows: everything about one subject, what led to an effect, what changed.

Nothing is stored for them: runs, histories, the effect ledger, human tasks and the audit chain hold it all.
"""

from __future__ import annotations

import sqlite3
from functools import partial
from typing import Any, Final

from segue.governance import KeyRing
from segue.service import answers
from segue.service.access import UseCases, governed, of
from segue.service.acts import Act, acts_by_key, acts_told
from segue.service.audit import AuditView, audit_view
from segue.service.definitions import Definitions
from segue.service.errors import ServiceError
from segue.service.masking import Masking
from segue.service.observe import iso
from segue.service.paging import place_of
from segue.service.run_views import summary_of
from segue.service.runs import Runs
from segue.service.shapes import Page, RunSummary, Shape
from segue.store import Store
from segue.store.chain import AuditFilter, list_audit
from segue.store.effects import EffectEntry, EffectFilter, list_effects
from segue.store.human_tasks import HumanTaskFilter, HumanTaskRecord, changes_of, list_human_tasks
from segue.store.runs import RunRecord, find_runs
from segue.store.snapshots import read_kept
from segue.types import ApprovalWanted, DecisionMade

RUNS_MAX: Final = 50
_DEPTH_MAX: Final = 64
CHANGES: Final = (
    *("connection.own", "consent.grant", "consent.refuse", "consent.revoke"),
    *(
        "workflow.publish",
        "workflow.adjust",
        "schedule.stop",
        "connection.add",
        "connection.remove",
        "settings.change",
    ),
    *("policy.change", "identity.change", "profile.put", "switch.stop", "switch.release"),
    *("identity.provision", "token.make", "token.revoke", "secret.set", "secret.allow", "secret.remove"),
    *("key.rotate", "subject.erase", "subject.hold", "audit.prune", "run.migrate"),
)
"""Actions that change how the installation behaves."""


class TimelineEntry(Shape, frozen=True, kw_only=True):
    """Something that happened about a subject.

    Attributes:
        kind: `run` (began, ended), `decision` (what a switch chose, and what it saw), `effect`, `person` (a human
            task), `control` (somebody took hold of the run).
        by: Who, as `kind:id`, where it is known.
        record: Its place in the audit chain, where it has one.
    """

    at: str
    kind: str
    what: str
    run: str
    workflow: str
    place: str | None = None
    by: str | None = None
    reason: str | None = None
    detail: Any = None
    record: int | None = None


class TraceStep(Shape, frozen=True, kw_only=True):
    """A link between an effect and whoever is responsible for it. `record`: Its place in the audit chain."""

    at: str
    what: str
    by: str | None = None
    detail: Any = None
    record: int | None = None


class Trace(Shape, frozen=True, kw_only=True):
    """From an effect back to its origin.

    Attributes:
        steps: From the effect backwards: the act, decisions of people before it, its run, the runs that started it.
        origin: Who or what it goes back to, as `kind:id`.
        allowed_by: Verdicts that let it happen, and who published the workflows.
    """

    effect: str
    origin: str
    steps: list[TraceStep]
    allowed_by: list[TraceStep]


class Timeline(UseCases):
    """Stories of one data folder. `ring` is None where it is not encrypted."""

    def __init__(
        self, store: Store, definitions: Definitions, runs: Runs, ring: KeyRing | None, masking: Masking
    ) -> None:
        self._store = store
        self._definitions = definitions
        self._masking = masking
        self._runs = runs
        self._ring = ring

    @governed("subject.read")
    async def about(self, subject: str, *, limit: int = 20, after: str | None = None) -> Page[TimelineEntry]:
        """Everything about one subject over all workflows, oldest first within a page of runs.

        Args:
            limit: Runs of a page, newest first; 1 to `RUNS_MAX`.
            after: `next` of the page before.

        Raises:
            ServiceError: `subject-unknown`, or `request-malformed` where `after` is no `next`.
        """
        key = subject if self._ring is None else self._ring.blind(subject)
        limit, before = min(limit, RUNS_MAX), place_of(after)
        found = await self._store.read(lambda c: _runs_about(c, key, limit + 1, before))
        if not found and before is None:
            raise ServiceError("subject-unknown", "No run is about this data subject.")
        entries: list[TimelineEntry] = []
        for record in found[:limit]:
            entries += await self._of_run(record)
        entries.sort(key=lambda entry: entry.at)
        return Page(items=entries, next=str(found[limit - 1].seq) if len(found) > limit else None)

    @governed("effect.read", on=of("Effect"))
    async def trace(self, key: str) -> Trace:
        """From an effect back to the person, schedule or event that it goes back to, and to what allowed it.

        Raises:
            ServiceError: `effect-unknown`.
        """
        acts = await acts_by_key(self._store, self._definitions, key)
        attempts = [act.entry for act in acts]
        if not attempts:
            raise ServiceError("effect-unknown", f"Neither the ledger nor a history holds an act {key!r}.")
        steps = [_attempt(entry) for entry in reversed(attempts)]
        steps += await self._audited(f"effect:{key}")
        (record,) = await self._store.read(lambda c: find_runs(c, [attempts[0].run]))
        steps += await self._people(record, before=attempts[-1].intended_at)
        allowed = [_verdict(act) for act in reversed(acts) if act.verdict]
        allowed += await self._approvals(record, {attempt.command for attempt in attempts})
        origin = "system"
        for _ in range(_DEPTH_MAX):
            summary = summary_of(record)
            started = await self._started(record)
            origin = started.principal if started is not None else str(summary.cause.get("by", "system"))
            steps.append(
                TraceStep(
                    at=summary.started_at,
                    what=f"run {record.id} of {_workflow(record)} began",
                    by=origin,
                    detail=summary.cause,
                    record=None if started is None else started.seq,
                )
            )
            allowed += await self._allowed(record, started)
            above = await self._above(summary, record)
            if above is None:
                break
            record = above
        return Trace(effect=key, origin=origin, steps=steps, allowed_by=allowed)

    @governed("audit.read")
    async def changes(self, *, limit: int = 50, after: str | None = None) -> Page[AuditView]:
        """What changed how the installation behaves, newest first: definitions, connections, policies, people, keys.

        Raises:
            ServiceError: `request-malformed` where `after` is no `next`.
        """
        before = place_of(after)
        wanted = AuditFilter(actions=CHANGES, without_verdicts=("allow", "deny", "needs-approval"))
        found = await self._store.read(lambda c: list_audit(c, wanted, limit=limit + 1, before=before))
        items = [audit_view(row, self._store.commit.cipher, self._masking) for row in found[:limit]]
        return Page(items=items, next=str(items[-1].seq) if len(found) > limit else None)

    # -- helpers -----------------------------------------------------------------------------------

    async def _of_run(self, record: RunRecord) -> list[TimelineEntry]:
        tell = partial(_entry, record)
        entries: list[TimelineEntry] = []
        for told in await self._records(AuditFilter(resource=f"run:{record.id}", without_verdicts=("allow",))):
            kind = "run" if told.action == "run.start" else "control"
            entry = tell(told.at, kind, told.action, by=told.principal, reason=told.reason or None, record=told.seq)
            entries.append(entry)
        if record.ended_at is not None:
            entries.append(tell(iso(record.ended_at), "run", f"run.end: {record.status}"))
        for effect in await self._effects(record):
            through = effect.connection or effect.handler
            what = f"{through}: {effect.state}"
            at = iso(effect.intended_at)
            told_of = {"key": effect.key, "attempt": effect.attempt}
            entries.append(tell(at, "effect", what, place=effect.pointer, detail=told_of))
        for step in await self._people(record, before=None):
            entries.append(tell(step.at, "person", step.what, by=step.by, detail=step.detail))
        detail = await self._runs.get(record.id)
        for decision in detail.decisions:
            saw = {"case": decision.case, "saw": decision.saw}
            what = f"{decision.name}: {decision.case or 'no case'}"
            entries.append(tell(decision.at, "decision", what, place=decision.pointer, detail=saw))
        return entries

    async def _effects(self, record: RunRecord) -> list[EffectEntry]:
        """What the ledger has of a run, and what only its history tells, because it may be repeated."""
        found = await self._store.read(lambda c: list_effects(c, EffectFilter(run=record.seq), limit=500))
        known = {entry.key for entry in found}
        told = await acts_told(self._store, self._definitions, record.id)
        return found + [act.entry for act in told if act.entry.key not in known]

    async def _approvals(self, record: RunRecord, acts: set[int]) -> list[TraceStep]:
        """Who let these acts go out although rules or limits left them to people, newest first."""
        events = (await self._store.read(lambda c: read_kept(c, record.seq))).events
        wanted: dict[int, ApprovalWanted] = {}
        found: list[TraceStep] = []
        for event in events:
            if isinstance(event, ApprovalWanted):
                wanted[event.id] = event  # One act can be asked about again: for another role, or as rules change.
            elif isinstance(event, DecisionMade) and event.id in acts and (asked := wanted.get(event.id)):
                step = TraceStep(
                    at=iso(event.at),
                    what=f"{event.outcome}: {', '.join(asked.rules)} (policy {event.policy})",
                    by=event.by if ":" in event.by else f"person:{event.by}",
                    detail={"allowed": list(event.allowed), "digest": asked.digest, "seen": event.seen},
                )
                found.append(step)
        return found[::-1]

    async def _people(self, record: RunRecord, *, before: int | None) -> list[TraceStep]:
        """What people did about the human tasks of a run, newest first."""

        def query(c: sqlite3.Connection) -> list[tuple[HumanTaskRecord, Any]]:
            tasks = list_human_tasks(c, HumanTaskFilter(run=record.seq), limit=-1)
            return [(task, change) for task in tasks for change in changes_of(c, task.id)]

        lens = self._masking.lens(record.digest)
        found = [item for item in await self._store.read(query) if before is None or item[1].at <= before]
        found.sort(key=lambda item: item[1].at, reverse=True)
        return [
            TraceStep(
                at=iso(change.at),
                what=f"{answers.title(lens, task.title, task.pointer)}: {change.change}",
                by=change.by or None,
                detail={"task": task.pointer, **({"outcome": task.outcome} if change.change == "decided" else {})},
            )
            for task, change in found
        ]

    async def _records(self, wanted: AuditFilter, *, before: int | None = None, limit: int = 200) -> list[AuditView]:
        found = await self._store.read(lambda c: list_audit(c, wanted, limit=limit, before=before))
        return [audit_view(row, self._store.commit.cipher, self._masking) for row in found]

    async def _audited(self, resource: str) -> list[TraceStep]:
        found = await self._records(AuditFilter(resource=resource))
        return [
            TraceStep(at=r.at, what=f"{r.action}: {r.verdict}", by=r.principal, detail=r.data, record=r.seq)
            for r in found
        ]

    async def _started(self, record: RunRecord) -> AuditView | None:
        found = await self._records(AuditFilter(resource=f"run:{record.id}", action="run.start"), limit=1)
        return found[0] if found else None

    async def _allowed(self, record: RunRecord, started: AuditView | None) -> list[TraceStep]:
        """The verdict on the start, and who published what ran.

        The record of the start holds its verdict; those of earlier releases have one of their own before it.
        """
        named = f"workflow:{record.namespace}/{record.name}"
        verdicts = AuditFilter(resource=named, action="run.start", verdict="allow")
        published = AuditFilter(resource=f"{named}:{record.version}", action="workflow.publish")
        steps: list[TraceStep] = []
        found = await self._records(published, limit=1)
        held = started.data.get("allowed") if started is not None and isinstance(started.data, dict) else None
        if started is not None and isinstance(held, dict):
            what = f"run.start {held['on']}: allow"
            steps.append(
                TraceStep(at=started.at, what=what, by=held["by"], detail=held["reason"], record=started.seq)
            )
        else:
            before = None if started is None else started.seq
            found = [*(await self._records(verdicts, before=before, limit=1)), *found]
        return steps + [
            TraceStep(
                at=r.at, what=f"{r.action} {r.resource}: {r.verdict}", by=r.principal, detail=r.reason, record=r.seq
            )
            for r in found
        ]

    async def _above(self, summary: RunSummary, record: RunRecord) -> RunRecord | None:
        if record.parent is not None:
            found = await self._store.read(lambda c: find_runs(c, [record.parent or 0]))
            return found[0] if found else None
        above = summary.cause.get("run")
        return await self._store.run(above) if isinstance(above, str) else None


def _runs_about(connection: sqlite3.Connection, key: str, limit: int, before: int | None) -> list[RunRecord]:
    sql = "SELECT seq FROM run WHERE subject = ? AND seq < ? ORDER BY seq DESC LIMIT ?"
    seqs = [seq for (seq,) in connection.execute(sql, (key, 2**62 if before is None else before, limit))]
    return sorted(find_runs(connection, seqs), key=lambda record: -record.seq)


def _attempt(entry: EffectEntry) -> TraceStep:
    what = f"attempt {entry.attempt} through {entry.connection or entry.handler} at {entry.pointer}: {entry.state}"
    return TraceStep(at=iso(entry.intended_at), what=what, by=_process(entry))


def _verdict(act: Act) -> TraceStep:
    at = act.entry.settled_at or act.entry.intended_at
    return TraceStep(at=iso(at), what=f"act.perform: {act.verdict}", by=_process(act.entry))


def _process(entry: EffectEntry) -> str:
    return f"workflow:{entry.namespace}/{entry.name}:{entry.version}"


def _entry(of_run: RunRecord, at: str, kind: str, what: str, **more: Any) -> TimelineEntry:
    return TimelineEntry(at=at, kind=kind, what=what, run=of_run.id, workflow=_workflow(of_run), **more)


def _workflow(record: RunRecord) -> str:
    return f"{record.namespace}/{record.name}:{record.version}"
