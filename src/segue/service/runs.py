"""Use cases of runs: start, list, read, control, follow."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from segue.core import RunState, replay
from segue.service import answers
from segue.service.access import UseCases, governed, of, signed, workflow_of
from segue.service.definitions import Definitions
from segue.service.detecting import Detecting
from segue.service.errors import ServiceError
from segue.service.following import Followers
from segue.service.lifecycle import lifecycle_of
from segue.service.masking import Masking
from segue.service.masks import refuse_masks
from segue.service.paging import PAGE_MAX, place_of
from segue.service.past import Past, read_past
from segue.service.portions import ANSWER_BYTES_MAX, Portion, Sizes, cut, told_apart
from segue.service.recorded import NO_LIMITS, Limits, recorded
from segue.service.run_lists import RunFilter, stored_filter
from segue.service.run_views import LongRuns, erased, shown, summary_of, told, within
from segue.service.shapes import (
    Held,
    HistoryPage,
    Page,
    Queued,
    RunDetail,
    RunReport,
    RunSummary,
    TaskDetail,
    TaskView,
)
from segue.service.starting import keyed_ids, require_input
from segue.service.workflows import Workflows, parse_workflow
from segue.store import ErasedData, RunRecord, Store
from segue.store.incidents import first_held
from segue.store.places import queue_place
from segue.store.records import installation_id
from segue.store.runs import find_run
from segue.store.snapshots import read_page
from segue.types import (
    CLOSED,
    Failure,
    RunCancelled,
    RunPaused,
    RunResumed,
    RunStarted,
)
from segue.types.causes import LOOKED

if TYPE_CHECKING:
    from segue.hosts import EmbeddedHost

Action = Literal["pause", "resume", "cancel"]
_CONTROLS: Final[Mapping[str, type[RunPaused | RunResumed | RunCancelled]]] = {
    "pause": RunPaused,
    "resume": RunResumed,
    "cancel": RunCancelled,
}


class Runs(UseCases):
    """Runs of one data folder. `host` is None where no host runs: then runs are read and nothing else."""

    def __init__(
        self,
        store: Store,
        definitions: Definitions,
        workflows: Workflows,
        host: EmbeddedHost | None,
        masking: Masking,
        limits: Limits = NO_LIMITS,
    ) -> None:
        self._store = store
        self._definitions = definitions
        self._workflows = workflows
        self._host = host
        self._masking = masking
        self._limits = limits
        self._keyed = asyncio.Lock()
        self._installation: str | None = None
        self._detecting = Detecting()
        self._long = LongRuns()
        self._followers = Followers(store, definitions, masking)

    @governed("run.start", on=workflow_of)
    async def start(
        self,
        workflow: str,
        version: str = "latest",
        input: Any = None,
        *,
        key: str | None = None,
        cause: Mapping[str, Any] | None = None,
    ) -> tuple[RunSummary, bool]:
        """Start a run; it is on disk when this returns.

        Args:
            workflow: `namespace/name`.
            key: Requests with the same key start one run, also after a restart.
            cause: Who or what starts it.

        Returns:
            The run, and whether it was started now and not before with the same key.

        Raises:
            ServiceError: `workflow-unknown`, `input-refused`, `mask-refused`, `key-reused`, `server-needed`.
        """
        refuse_masks(input=input)
        told = dict(cause or {"kind": "api"})
        if by := signed(""):
            told["by"] = by
        elif who := self.guard.who():
            told["as"] = who.name  # The holder of the folder may name somebody else, and approves nothing here.
        if key is None:
            return await self._begin(workflow, version, input, None, told), True
        async with self._keyed:
            if self._installation is None:
                self._installation = await self._store.read(installation_id)
            run_id, earlier = keyed_ids(key, self.guard.workspace, self._installation)
            known = await self._store.read(lambda c: _first_of(c, (run_id, *earlier)))
            if known is not None:
                await self._require_same(known, workflow, version, input)
                return summary_of(known), False
            return await self._begin(workflow, version, input, run_id, told), True

    @governed("run.list")
    async def page(
        self,
        wanted: RunFilter | None = None,
        *,
        limit: int = 50,
        after: str | None = None,
        results: bool = False,
    ) -> Page[RunSummary]:
        """Runs, newest first.

        Args:
            limit: 1 to `PAGE_MAX`.
            after: `next` of the page before.
            results: Also the output or error of each run.

        Raises:
            ServiceError: `request-malformed` where `after` or the workflow is none; `run-unknown` where the parent
                is none.
        """
        wanted = wanted or RunFilter()
        parent = None if wanted.parent is None else (await self._record(wanted.parent)).seq
        chosen = stored_filter(wanted, parent)
        page = await self._store.runs(chosen, limit=min(limit, PAGE_MAX), before=place_of(after))
        held = await self._held([record.seq for record in page.items if not record.is_closed])
        portion = Portion()
        items = [summary_of(r, portion=portion if results else None, held=held.get(r.seq)) for r in page.items]
        lens_of = self._masking.lenses()
        items = [answers.summary(lens_of(run.workflow.digest), run) if results or run.held else run for run in items]
        return Page(items=items, next=None if page.next is None else str(page.next))

    @governed("run.list")
    async def counts(self, parent: str | None = None) -> dict[str, int]:
        """How many runs there are of each status; with `parent`, of those that this run started.

        Raises:
            ServiceError: `run-unknown` where the parent is none.
        """
        return await self._store.count_runs(None if parent is None else (await self._record(parent)).seq)

    @governed("audit.read")
    async def replay_all(self) -> int:
        """Compute the state of every run anew from what is kept of its history; returns how many could be.

        Left out are those whose data was erased and those whose definition this release cannot compile any more.
        """
        count = 0
        sql = "SELECT id FROM run ORDER BY seq"
        for run_id in await self._store.read(lambda c: [found for (found,) in c.execute(sql)]):
            try:
                past = await self._read(run_id)
                replay(past.first_plan, past.events, state=past.beginning())
                count += 1
            except (ErasedData, ServiceError, ValueError, LookupError):
                continue
        return count

    @governed("run.read", on=of("Run"))
    async def get(self, run_id: str) -> RunDetail:
        """Everything to be said of a run.

        Raises:
            ServiceError: `run-unknown`.
        """
        try:
            past = await self._read(run_id)
        except ErasedData:
            return erased(await self._record(run_id))
        record, seen = past.record, await self._long.observed(past)
        held = await self._held([] if record.is_closed else [record.seq])
        lens, sizes = self._masking.lens_over(past), Sizes()
        portion = Portion(sizes=sizes)
        given = portion.value(seen.state.input, f"/runs/{run_id}/input")
        summary = answers.summary(lens, summary_of(record, held=held.get(record.seq)))
        fields = {name: getattr(summary, name) for name in summary.__struct_fields__}
        # The record may be a moment older or newer than the history: one of them must count, and it is this one.
        fields["status"] = seen.state.status
        fields |= answers.run_fields(lens, seen, shown(seen, run_id, portion))
        history = recorded(past, seen, self._limits, sizes)
        queued = await self._queued(record, seen.state)
        return RunDetail(
            **fields,
            input=told_apart(lens.value(given, lens.covers.input)),
            adjustable=seen.state.adjustable,
            open=seen.open_commands(),
            history=history,
            queued=queued,
        )

    async def _queued(self, record: RunRecord, state: RunState) -> Queued | None:
        found = await self._store.read(lambda c: queue_place(c, record.seq)) if state.queued else None
        return None if found is None else Queued(ahead=found.ahead, under_way=found.under_way)

    @governed("run.read", on=of("Run"))
    async def input(self, run_id: str) -> Any:
        """What a run was started with.

        Raises:
            ServiceError: `run-unknown`.
        """
        try:
            past = await self._read(run_id)
        except ErasedData:
            return erased(await self._record(run_id)).input
        lens = self._masking.lens_over(past)
        return lens.value(past.input, lens.covers.input)

    @governed("run.read", on=of("Run"))
    async def output(self, run_id: str) -> Any:
        """The output of a run; None until it has completed.

        Raises:
            ServiceError: `run-unknown`.
        """
        record = await self._record(run_id)
        lens = self._masking.lens(record.digest)
        return lens.value(record.output, lens.covers.output)

    @governed("run.read", on=of("Run"))
    async def tasks(self, run_id: str, *, limit: int = 200, after: str | None = None) -> Page[TaskView]:
        """Tasks of a run, in the order in which they started.

        Args:
            limit: 1 to `PAGE_MAX`.
            after: `next` of the page before.

        Raises:
            ServiceError: `run-unknown`, or `request-malformed` where `after` is no `next`.
        """
        limit = min(limit, PAGE_MAX)
        number = place_of(after) or 0
        past = await self._read(run_id)
        lens = self._masking.lens_over(past)
        found = [task for task in (await self._long.observed(past)).tasks.values() if task.id > number]
        more = str(found[limit - 1].id) if len(found) > limit else None
        return Page(items=[answers.task(lens, task.view()) for task in found[:limit]], next=more)

    @governed("run.read", on=of("Run"))
    async def task(self, run_id: str, number: int) -> TaskDetail:
        """One task with its data.

        Raises:
            ServiceError: `run-unknown`, `task-unknown`, or `history-folded` where it may have ended before what is
                kept.
        """
        past = await self._read(run_id)
        task = (await self._long.observed(past)).tasks.get(number)
        beginning = past.beginning()
        if task is None and beginning is not None and number < beginning.next_id:
            raise ServiceError("history-folded", f"Task {number} of run {run_id} has ended before: {past.left()}.")
        if task is None:
            raise ServiceError("task-unknown", f"Run {run_id} has started no task with the number {number}.")
        return answers.task_detail(self._masking.lens_over(past), task.detail())

    @governed("run.read", on=of("Run"))
    async def history(self, run_id: str, *, limit: int = 200, after: str | None = None) -> HistoryPage:
        """The events of a run as they are stored, in order, from the first one that is kept.

        A page ends where its events have `ANSWER_BYTES_MAX` bytes as JSON; the one that reaches that is whole.

        Raises:
            ServiceError: `run-unknown`, or `request-malformed` where `after` is no `next`.
        """
        record = await self._record(run_id)
        offset = place_of(after) or 0
        before, found = await self._store.read(
            lambda c: read_page(c, record.seq, offset, limit, bytes_max=ANSWER_BYTES_MAX)
        )
        following = before + len(found)
        _, further = await self._store.read(lambda c: read_page(c, record.seq, following, 1)) if found else (0, [])
        more = str(following) if further else None
        items = [msgspec.to_builtins(event) for event in found]
        items = await self._shown(record, items)
        return HistoryPage(items=items, next=more, first=before + 1, folded=before if offset < before else 0)

    @governed("run.read", on=of("Run"))
    async def lifecycle(self, run_id: str) -> HistoryPage:
        """All lifecycle CloudEvents so far that the kept events tell of, in order.

        Raises:
            ServiceError: `run-unknown`.
        """
        past = await self._read(run_id)
        items = await asyncio.to_thread(lifecycle_of, past.plan, run_id, past.events, past.beginning(), past.before)
        lens = self._masking.lens_over(past)
        items = [answers.lifecycle(lens, event) for event in items]
        return HistoryPage(items=items, first=past.before + 1, folded=past.before)

    @governed("run.control", on=of("Run"))
    async def control(self, run_id: str, action: Action, *, by: str = "", reason: str = "") -> RunSummary:
        """Pause, resume or cancel a run; it is on disk when this returns.

        Raises:
            ServiceError: `run-unknown`, `run-closed` or `server-needed`.
        """
        host = self._driving()
        record = await self._record(run_id)
        if record.status in CLOSED:
            raise ServiceError("run-closed", f"Run {run_id} is {record.status}.")
        # The host sets the time.
        if not await host.control(run_id, _CONTROLS[action](at=0, by=signed(by), reason=reason)):
            raise ServiceError("run-closed", f"Run {run_id} has ended meanwhile.")
        return summary_of(await self._record(run_id))

    @governed("run.read", on=of("Run"))
    async def wait(self, run_id: str) -> RunSummary:
        """Wait until a run has ended.

        Raises:
            ServiceError: `run-unknown` or `server-needed`.
        """
        await self.outcome(run_id)
        return summary_of(await self._record(run_id))

    @governed("run.read", on=of("Run"))
    async def summary(self, run_id: str) -> RunSummary:
        """A run as one line of a list.

        Raises:
            ServiceError: `run-unknown`.
        """
        record = await self._record(run_id)
        held = await self._held([] if record.is_closed else [record.seq])
        return answers.summary(self._masking.lens(record.digest), summary_of(record, held=held.get(record.seq)))

    @governed("run.control", on=of("Run"))
    async def cancel_if_open(self, run_id: str, *, by: str = "", reason: str = "") -> None:
        """Cancel a run, unless it has ended."""
        try:
            await self.control(run_id, "cancel", by=by, reason=reason)
        except ServiceError as error:
            if error.kind != "run-closed":
                raise

    @governed("run.read")
    async def report(self, run: RunSummary, portion: Portion | None = None) -> RunReport:
        """What became of a run.

        Args:
            portion: How much of what it saw and emitted is told; all of it where this is left out.

        Raises:
            ServiceError: `run-unknown`.
        """
        past = await self._read(run.id)
        seen = await self._long.observed(past)
        return RunReport(
            id=run.id,
            workflow=run.workflow,
            status=run.status,
            duration_ms=run.duration_ms or 0,
            folded=past.before,
            **answers.run_fields(self._masking.lens_over(past), seen, within(portion, run.id, told(seen))),
        )

    @governed("run.read", on=of("Run"))
    async def outcome(self, run_id: str) -> tuple[str, Any, Failure | None]:
        """Status, output and failure of a run that has ended, after waiting for its end.

        Raises:
            ServiceError: `run-unknown` or `server-needed`.
        """
        host = self._driving()
        try:
            outcome = await host.wait_closed(run_id)
        except LookupError as error:
            from segue.hosts import UnknownRun  # Only here: a look-up of modules for each run that ends well.

            if not isinstance(error, UnknownRun):
                raise
            raise _unknown(run_id) from None
        if self._masking.sees_all(self.guard.who()):
            return outcome.status, outcome.output, outcome.failure
        lens = self._masking.lens((await self._record(run_id)).digest)
        failed = lens.failure(None if outcome.failure is None else msgspec.to_builtins(outcome.failure))
        shown = None if failed is None else msgspec.convert(failed, Failure)
        return outcome.status, lens.value(outcome.output, lens.covers.output), shown

    @governed("run.follow", on=of("Run"))
    async def follow(self, run_id: str) -> AsyncGenerator[dict[str, Any], None]:
        """Lifecycle CloudEvents of a run: those so far, then each as it comes, until the run ends.

        Raises:
            ServiceError: `run-unknown` or `server-needed`; when called, not while iterating.
        """
        record = await self._record(run_id)
        # Whose eyes it is for is settled here: what iterates later may run as somebody else, or as nobody.
        return self._followers.follow(self._driving(), record, self._masking.lens(record.digest))

    @governed("run.follow")
    def follow_all(self) -> AsyncGenerator[dict[str, Any], None]:
        """Lifecycle CloudEvents of all runs, of what happens from now on."""
        return self._followers.follow_all(self._driving(), self.guard.who())

    # -- helpers -------------------------------------------------------------------------------

    def _driving(self) -> EmbeddedHost:
        if self._host is None:
            raise ServiceError("server-needed", "This changes runs, and no host runs here.")
        return self._host

    async def _held(self, seqs: list[int]) -> dict[int, Held]:
        """Which of these runs hold failures, and the first one of each."""
        if not seqs:
            return {}
        found = await self._store.read(lambda c: first_held(c, seqs))
        return {
            seq: Held(
                exception=number,
                count=count,
                pointer=pointer,
                title=cut(reason.title or reason.detail or reason.type),
            )
            for seq, count, number, pointer, reason in found
        }

    async def _begin(
        self, workflow: str, version: str, given: Any, run_id: str | None, cause: dict[str, Any]
    ) -> RunSummary:
        host = self._driving()
        definition = self._workflows.find(*parse_workflow(workflow), version)
        plan = self._definitions.plan(definition.digest)
        require_input(plan, given)
        if (looked := await self._detecting.look(plan, given)) is not None:
            cause = {**cause, LOOKED: looked}
        try:
            begun = await host.begin(definition.digest, given, run_id=run_id, cause=cause)
        except ValueError as error:
            raise ServiceError("input-refused", f"{error}.") from None
        return summary_of(begun)

    async def _require_same(self, known: RunRecord, workflow: str, version: str, given: Any) -> None:
        """Refuse a key that was used for something else."""
        began = (await self._read(known.id)).input
        same = f"{known.namespace}/{known.name}" == workflow and version in ("latest", known.version)
        if not same or began != given:
            raise ServiceError("key-reused", f"The key started run {known.id} with another workflow or input.")

    async def _record(self, run_id: str) -> RunRecord:
        record = await self._store.run(run_id)
        if record is None:
            raise _unknown(run_id)
        return record

    async def _shown(self, record: RunRecord, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Events as whoever asks may see them. Which task an answer belongs to, only the whole history tells."""
        if self._masking.sees_all(self.guard.who()):
            return items
        _, first = await self._store.read(lambda c: read_page(c, record.seq, 0, 1))
        began = first and isinstance(first[0], RunStarted) and first[0].definition == record.digest
        if began and not self._masking.lens(record.digest).hidden:
            return items
        past = await self._read(record.id)
        lens = self._masking.lens_over(past)
        if not lens.hidden:
            return items
        pointers = {number: task.pointer for number, task in (await self._long.observed(past)).tasks.items()}
        return [answers.history(lens, item, pointers) for item in items]

    async def _read(self, run_id: str) -> Past:
        return await read_past(self._store, self._definitions, run_id)


def _unknown(run_id: str) -> ServiceError:
    return ServiceError("run-unknown", f"There is no run {run_id!r}.")


def _first_of(connection: sqlite3.Connection, ids: Sequence[str]) -> RunRecord | None:
    return next((found for id in ids if (found := find_run(connection, id)) is not None), None)
