"""Use cases of live and past runs beyond pause, resume and cancel: retry from a task, skip, look back, fork."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import msgspec

from segue.core import Moment, Plan, RunState, advance
from segue.core.adjustable import carried
from segue.core.plan import ExtendedNode, Node
from segue.core.state import Frame
from segue.service import answers
from segue.service.access import UseCases, governed, of, signed
from segue.service.definitions import Definitions
from segue.service.errors import ServiceError
from segue.service.forking import (
    beginning_of,
    definition_at,
    first_of,
    last_at,
    moved,
    require_same_place,
    require_standing,
    start_of,
)
from segue.service.inbox import RunMoment
from segue.service.masking import Masking
from segue.service.masks import refuse_masks
from segue.service.observe import iso, observe
from segue.service.past import Past, read_past
from segue.service.portions import Portion, Sizes, told_apart
from segue.service.recorded import NO_LIMITS, Limits, recorded
from segue.service.run_views import newest, shown, summary_of
from segue.service.runs import Runs
from segue.service.shapes import RunSummary
from segue.service.walk import Walk, walk
from segue.service.workflows import Workflows
from segue.store import RunRecord, Store, codec
from segue.types import CLOSED, RunMigrated, RunStarted, TaskRestarted, TaskSkipped, causes

if TYPE_CHECKING:
    from segue.hosts import EmbeddedHost

REASON_MAX: Final = 1000


class Steering(UseCases):
    """Steers the runs of one data folder. `host` is None where no host runs: then it only looks back."""

    def __init__(
        self,
        store: Store,
        definitions: Definitions,
        workflows: Workflows,
        runs: Runs,
        host: EmbeddedHost | None,
        masking: Masking,
        limits: Limits = NO_LIMITS,
    ) -> None:
        self._store = store
        self._definitions = definitions
        self._workflows = workflows
        self._runs = runs
        self._host = host
        self._masking = masking
        self._limits = limits

    @governed("run.steer", on=of("Run"))
    async def retry(
        self, run_id: str, pointer: str, *, input: Any = msgspec.UNSET, by: str = "", reason: str
    ) -> RunSummary:
        """Let a run go back to a task, or start a live one again; it is on disk when this returns.

        What is under way in the task's list is cancelled. Acts that must not simply be repeated and have happened
        are not done again: they give their first answer.

        Args:
            pointer: JSON Pointer of the task.
            input: Its raw input; what it got the last time where this is left out.

        Raises:
            ServiceError: `run-unknown`, `run-closed`, `place-refused`, `choice-refused` or `server-needed`.
        """
        host = self._driving()
        _require_reason(reason)
        refuse_masks(input=input)
        past = await self._open(run_id)
        seen = await asyncio.to_thread(walk, past)
        event = _restart(past, seen, pointer, input)
        event = msgspec.structs.replace(event, by=signed(by), reason=reason)
        await asyncio.to_thread(_require_effect, past, event, pointer)
        await self._intervene(host, past.record, event, pointer)
        return await self._runs.summary(run_id)

    @governed("run.steer", on=of("Run"))
    async def skip(self, run_id: str, pointer: str, output: Any, *, by: str = "", reason: str) -> RunSummary:
        """Give a task that is under way, or waits, its output; the run goes on behind it.

        Raises:
            ServiceError: `run-unknown`, `run-closed`, `place-refused`, `choice-refused` or `server-needed`.
        """
        host = self._driving()
        _require_reason(reason)
        refuse_masks(output=output)
        past = await self._open(run_id)
        seen = await asyncio.to_thread(walk, past)
        live = _live(seen.state, pointer)
        if live is None or live.parent is None:
            raise _not_there(run_id, pointer, seen.state)
        await self._intervene(host, past.record, TaskSkipped(0, live.id, output, signed(by), reason), pointer)
        return await self._runs.summary(run_id)

    @governed("run.read", on=of("Run"))
    async def at(self, run_id: str, number: int) -> RunMoment:
        """A run as it was after one of its events: status, data, and what it waited for.

        Args:
            number: Of the event, from 1.

        Raises:
            ServiceError: `run-unknown`; `event-unknown` where it has not had so many events, `history-folded` where
                it no longer keeps this one, nor the state behind it.
        """
        past = await self._read(run_id)
        past.require(number)
        events = past.until(number)
        seen = await asyncio.to_thread(observe, past.plan, events, past.beginning())
        state = seen.state
        lens, sizes = self._masking.lens_over(past), Sizes()
        portion = Portion(sizes=sizes)
        given = portion.value(state.input, f"/runs/{run_id}/input")
        fields = msgspec.structs.asdict(summary_of(past.record))
        fields |= answers.run_fields(lens, seen, shown(seen, run_id, portion))
        over = state.ended is not None
        details = [task.detail() for task in seen.tasks.values()]
        fields["status"] = state.status
        fields["ended_at"] = iso(state.last_at) if over else None
        fields["duration_ms"] = state.last_at - state.started_at if over else None
        root = next(iter(state.frames.values()), None)
        return RunMoment(
            **fields,
            input=told_apart(lens.value(given, lens.covers.input)),
            adjustable=state.adjustable,
            open=seen.open_commands(),
            event=number,
            of=past.count,
            history=recorded(past, seen, self._limits, sizes),
            event_kind=str(type(events[-1]).__struct_config__.tag) if events else "folded",
            at=iso(events[-1].at if events else state.last_at),
            context=None if root is None else lens.value(codec.settled(root.thread.context), lens.covers.context),
            data=[answers.task_data(lens, task) for task in portion.details(run_id, newest(details))],
        )

    @governed("run.steer", on=of("Run"))
    async def fork(
        self,
        run_id: str,
        pointer: str,
        *,
        input: Any = msgspec.UNSET,
        version: str | None = None,
        by: str = "",
        reason: str = "",
    ) -> RunSummary:
        """Start a run that has this one's past up to a task, and goes on from there; on disk when this returns.

        The events before are copied, or the state that stands for them where they were folded, so what they did
        outside is not done again. What follows is the new run's own
        and goes out under its keys. Times of the copied events are moved, so that clocks under way have as much
        left as they had; an expression that used the time may give another value.

        Args:
            pointer: JSON Pointer of the task; its newest start counts. It must have waited for something.
            input: Its raw input; what it got then where this is left out.
            version: Of the same workflow, to go on with; the run's own where this is left out.

        Raises:
            ServiceError: `run-unknown`, `workflow-unknown`, `place-refused` or `server-needed`; `history-folded`
                where the task began before what is kept, and was over by then.
        """
        host = self._driving()
        refuse_masks(input=input)
        past = await self._read(run_id)
        seen = await asyncio.to_thread(walk, past)
        number, task = start_of(past, seen.moments, pointer)
        digest, first = definition_at(past, number), first_of(past)
        if version is not None:
            digest, first = self._other_version(host, past, number, version)
        by = signed(by)
        told = {"kind": "fork", "run": run_id, "task": pointer, "event": number, "by": by, "reason": reason}
        told |= causes.copied_way(past.record.cause or {})
        if who := self.guard.who():
            told["as"] = who.name
        cause, new_id, history = codec.settled(told), host.new_run_id(), past.until(number)
        if first is not None:
            history = [msgspec.structs.replace(first, run_id=new_id, cause=cause), *history[1:]]
        shift_ms = host.now_ms() - last_at(past, number)
        prefix, other = moved(history, shift_ms), self._definitions.plan(digest)
        was = await asyncio.to_thread(require_same_place, past, number, other, prefix, task)
        require_standing(seen.state, was)
        restart = TaskRestarted(0, task, input=input, by=by, reason=reason)
        beginning = beginning_of(past, new_id, cause, shift_ms)
        return await self._runs.summary(await host.fork(digest, prefix, restart, beginning=beginning))

    def _other_version(
        self, host: EmbeddedHost, past: Past, number: int, version: str
    ) -> tuple[str, RunStarted | None]:
        """The definition that a fork goes on with, and how its history begins then."""
        record, first = past.record, first_of(past)
        digest = self._workflows.find(record.namespace, record.name, version).digest
        remedy = "Fork without another version, and migrate the new run."
        if first is None:
            why = f"Events of run {record.id} were folded, and what stands for them belongs to its own version."
            raise ServiceError("place-refused", why, remedy=remedy)
        if first.definition != digest and any(isinstance(event, RunMigrated) for event in past.until(number)):
            why = f"Run {record.id} had been migrated by then, so its past belongs to two versions."
            raise ServiceError("place-refused", why, remedy=remedy)
        other = self._definitions.plan(digest)
        if first.adjustable or other.adjustable:
            values = carried(other.adjustable, first.adjustable, host.values(digest))
            first = msgspec.structs.replace(first, adjustable=values)
        return digest, msgspec.structs.replace(first, definition=digest)

    # -- helpers -----------------------------------------------------------------------------------

    def _driving(self) -> EmbeddedHost:
        if self._host is None:
            raise ServiceError("server-needed", "This changes runs, and no host runs here.")
        return self._host

    async def _read(self, run_id: str) -> Past:
        return await read_past(self._store, self._definitions, run_id)

    async def _open(self, run_id: str) -> Past:
        past = await self._read(run_id)
        if past.record.status in CLOSED:
            raise ServiceError(
                "run-closed",
                f"Run {run_id} is {past.record.status}.",
                remedy=f"`segue runs fork {run_id} --from POINTER` starts it again from a task.",
            )
        return past

    async def _intervene(
        self, host: EmbeddedHost, record: RunRecord, event: TaskRestarted | TaskSkipped, pointer: str
    ) -> None:
        try:
            taken = await host.control(record.id, event)
        except (TypeError, ValueError) as error:
            raise ServiceError("choice-refused", f"{error}.") from None
        if not taken:
            raise ServiceError("place-refused", f"Run {record.id} has left {pointer!r} meanwhile.")


def _live(state: RunState, pointer: str) -> Frame | None:
    """The live task at this pointer. A wrapper of an extension shares the pointer of the task that it wraps."""
    found = [f for f in state.frames.values() if f.node.pointer == pointer and f.node.kind != "extended"]
    return found[-1] if len(found) == 1 else None


def _restart(past: Past, seen: Walk, pointer: str, input: Any) -> TaskRestarted:
    """The event that takes a run back to a task."""
    live = _live(seen.state, pointer)
    if live is not None and live.parent is not None:
        return TaskRestarted(0, live.id, input=input)
    places = list(_places(past.plan, seen.state, pointer))
    if len(places) != 1:
        raise _not_there(seen.state.run_id, pointer, seen.state)
    parent, node, is_wrapped = places[0]
    if input is msgspec.UNSET:
        earlier = [m.raw for _, m in seen.moments if m.pointer == pointer and m.iteration == parent.iteration]
        if not earlier or is_wrapped:
            why = "its input before the extension around it is not known" if is_wrapped else "it has not been there"
            if past.before and not is_wrapped:
                why += f", or before its history was folded: {past.left()}"
            raise ServiceError(
                "place-refused",
                f"Run {seen.state.run_id} cannot start {pointer!r} with its earlier input: {why}.",
                remedy="Give the input.",
            )
        input = earlier[-1]
    return TaskRestarted(0, parent.id, node=node.index, input=input)


def _places(plan: Plan, state: RunState, pointer: str) -> list[tuple[Frame, Node, bool]]:
    """Live tasks in whose lists the task at this pointer stands, with the node that starts there."""
    above = {child: node for node in plan.nodes for listed in node.children() for child in listed}
    found = []
    for node in plan.nodes:
        if node.pointer != pointer or node.kind == "extended":
            continue
        outer = node
        while isinstance(above.get(outer), ExtendedNode) and outer.section == "body":
            outer = above[outer]
        found += [(f, outer, outer is not node) for f in state.frames.values() if f.node is above.get(outer)]
    return found


def _require_effect(past: Past, event: TaskRestarted, pointer: str) -> None:
    """Try it on a copy: going back is refused where the list was never begun, or was left."""
    seen = walk(past)
    trace: list[Moment] = []
    state, _ = advance(past.plan, seen.state, msgspec.structs.replace(event, at=seen.state.last_at), trace=trace)
    if not trace and not any(deferred.node.pointer == pointer for deferred in state.deferred):
        raise _not_there(seen.state.run_id, pointer, seen.state)


def _not_there(run_id: str, pointer: str, state: RunState) -> ServiceError:
    live = sorted({frame.node.pointer for frame in state.frames.values() if frame.parent is not None})
    return ServiceError(
        "place-refused",
        f"Run {run_id} can not be taken to {pointer!r}: the task is neither under way, nor in a list that is.",
        remedy=f"Under way: {', '.join(live) or 'nothing'}. A fork can start from any earlier task that waited.",
    )


def _require_reason(reason: str) -> None:
    if not reason.strip() or len(reason) > REASON_MAX:
        raise ServiceError("choice-refused", f"This needs a reason, of 1 to {REASON_MAX} characters.")
