"""Use cases of live and past runs beyond pause, resume and cancel: retry from a task, skip, look back, fork."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from segue.core import Moment, Plan, RunState, advance
from segue.core.adjustable import carried
from segue.core.machines.undo import was_undone_since
from segue.core.plan import ExtendedNode, Node
from segue.core.state import Frame
from segue.service import answers
from segue.service.access import UseCases, governed, of, signed
from segue.service.definitions import Definitions
from segue.service.errors import ServiceError
from segue.service.inbox import RunMoment
from segue.service.masking import Masking
from segue.service.masks import refuse_masks
from segue.service.observe import iso, observe
from segue.service.past import Past, read_past
from segue.service.portions import Portion, Sizes, told_apart
from segue.service.recorded import NO_LIMITS, Limits, recorded
from segue.service.runs import Runs, newest, shown, summary_of
from segue.service.shapes import RunSummary
from segue.service.workflows import Workflows
from segue.store import RunRecord, Store, codec
from segue.types import CLOSED, Event, RunMigrated, RunStarted, TaskRestarted, TaskSkipped

if TYPE_CHECKING:
    from segue.hosts import EmbeddedHost

REASON_MAX: Final = 1000


@dataclass(slots=True)
class _Walk:
    """A history, walked: the state it leads to, and what each event did to tasks."""

    state: RunState
    moments: list[tuple[int, Moment]] = field(default_factory=list)


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
        walk = await asyncio.to_thread(_walk, past)
        event = _restart(past, walk, pointer, input)
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
        walk = await asyncio.to_thread(_walk, past)
        live = _live(walk.state, pointer)
        if live is None or live.parent is None:
            raise _not_there(run_id, pointer, walk.state)
        await self._intervene(host, past.record, TaskSkipped(0, live.id, output, signed(by), reason), pointer)
        return await self._runs.summary(run_id)

    @governed("run.read", on=of("Run"))
    async def at(self, run_id: str, number: int) -> RunMoment:
        """A run as it was after one of its events: status, data, and what it waited for.

        Args:
            number: Of the event, from 1.

        Raises:
            ServiceError: `run-unknown`; `event-unknown` where it has not had so many events, `history-folded` where
                it no longer keeps this one.
        """
        past = await self._read(run_id)
        past.require(number)
        events = past.until(number)
        seen = await asyncio.to_thread(observe, past.plan, events, past.beginning())
        state, event = seen.state, events[-1]
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
            event_kind=str(type(event).__struct_config__.tag),
            at=iso(event.at),
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

        The events before are copied, so what they did outside is not done again. What follows is the new run's own
        and goes out under its keys. Times of the copied events are moved, so that clocks under way have as much
        left as they had; an expression that used the time may give another value.

        Args:
            pointer: JSON Pointer of the task; its newest start counts. It must have waited for something.
            input: Its raw input; what it got then where this is left out.
            version: Of the same workflow, to go on with; the run's own where this is left out.

        Raises:
            ServiceError: `run-unknown`, `workflow-unknown`, `place-refused`, `history-folded` or `server-needed`.
        """
        host = self._driving()
        refuse_masks(input=input)
        past = await self._read(run_id)
        _require_whole(past)
        record, history = past.record, past.events
        walk = await asyncio.to_thread(_walk, past)
        begun = [(n, m) for n, m in walk.moments if m.what == "started" and m.pointer == pointer]
        if not begun:
            raise ServiceError("place-refused", f"Run {run_id} has not been at {pointer!r}.")
        number, moment = begun[-1]
        first = history[0]
        assert isinstance(first, RunStarted), "a history begins with RunStarted"
        digest, began = _definitions_of(history[:number])
        if version is not None:
            digest = self._workflows.find(record.namespace, record.name, version).digest
            if began != digest and any(isinstance(event, RunMigrated) for event in history[:number]):
                raise ServiceError(
                    "place-refused",
                    f"Run {run_id} had been migrated by then, so its past belongs to two versions.",
                    remedy="Fork without another version, and migrate the new run.",
                )
            began = digest
        other = self._definitions.plan(digest)
        if version is not None and (first.adjustable or other.adjustable):
            values = carried(other.adjustable, first.adjustable, host.values(digest))
            first = msgspec.structs.replace(first, adjustable=values)
        by = signed(by)
        cause = {"kind": "fork", "run": run_id, "task": pointer, "event": number, "by": by, "reason": reason}
        if who := self.guard.who():
            cause["as"] = who.name
        first = msgspec.structs.replace(first, run_id=host.new_run_id(), definition=began, cause=codec.settled(cause))
        prefix = _moved([first, *history[1:number]], host.now_ms())
        was = await asyncio.to_thread(_require_same_place, past.plan, history[:number], other, prefix, moment)
        _require_standing(walk.state, was)
        restart = TaskRestarted(0, moment.id, input=input, by=by, reason=reason)
        return await self._runs.summary(await host.fork(digest, prefix, restart))

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


def _walk(past: Past) -> _Walk:
    return _walked(past.plan, past.events, past.beginning(), past.before)


def _walked(plan: Plan, history: Sequence[Event], state: RunState | None = None, before: int = 0) -> _Walk:
    moments: list[tuple[int, Moment]] = []
    for number, event in enumerate(history, before + 1):
        trace: list[Moment] = []
        state, _ = advance(plan, state, event, trace=trace)
        moments += [(number, moment) for moment in trace]
    assert state is not None, "a run has a first event"
    return _Walk(state, moments)


def _live(state: RunState, pointer: str) -> Frame | None:
    """The live task at this pointer. A wrapper of an extension shares the pointer of the task that it wraps."""
    found = [f for f in state.frames.values() if f.node.pointer == pointer and f.node.kind != "extended"]
    return found[-1] if len(found) == 1 else None


def _restart(past: Past, walk: _Walk, pointer: str, input: Any) -> TaskRestarted:
    """The event that takes a run back to a task."""
    live = _live(walk.state, pointer)
    if live is not None and live.parent is not None:
        return TaskRestarted(0, live.id, input=input)
    places = list(_places(past.plan, walk.state, pointer))
    if len(places) != 1:
        raise _not_there(walk.state.run_id, pointer, walk.state)
    parent, node, is_wrapped = places[0]
    if input is msgspec.UNSET:
        earlier = [m.raw for _, m in walk.moments if m.pointer == pointer and m.iteration == parent.iteration]
        if not earlier or is_wrapped:
            why = "its input before the extension around it is not known" if is_wrapped else "it has not been there"
            if past.before and not is_wrapped:
                why += f", or before its history was folded: {past.left()}"
            raise ServiceError(
                "place-refused",
                f"Run {walk.state.run_id} cannot start {pointer!r} with its earlier input: {why}.",
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


def _require_whole(past: Past) -> None:
    """Refuse to fork a run that cannot say any more how it began.

    Raises:
        ServiceError: `history-folded`.
    """
    if past.before:
        raise ServiceError(
            "history-folded",
            f"A fork copies a run's events from the first one on, and of run {past.record.id} {past.left()}.",
            remedy="Take the run itself back with `segue runs retry`, or start a new one with the input it needs."
            " A workflow whose runs are to be forked keeps them whole: `history_max_events: 0` in its document.",
        )


def _require_effect(past: Past, event: TaskRestarted, pointer: str) -> None:
    """Try it on a copy: going back is refused where the list was never begun, or was left."""
    walk = _walk(past)
    trace: list[Moment] = []
    state, _ = advance(past.plan, walk.state, msgspec.structs.replace(event, at=walk.state.last_at), trace=trace)
    if not trace and not any(deferred.node.pointer == pointer for deferred in state.deferred):
        raise _not_there(walk.state.run_id, pointer, walk.state)


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


def _definitions_of(history: Sequence[Event]) -> tuple[str, str]:
    """The definition that counts at the end of this history, and the one that it began with."""
    first = history[0]
    assert isinstance(first, RunStarted)
    moved = [event.definition for event in history if isinstance(event, RunMigrated)]
    return (moved or [first.definition])[-1], first.definition


def _moved(events: list[Event], now: int) -> list[Event]:
    """The events as if the last of them happened now."""
    shift = now - events[-1].at
    return [msgspec.structs.replace(event, at=event.at + shift) for event in events]


def _require_same_place(
    plan: Plan, history: Sequence[Event], other: Plan, prefix: Sequence[Event], moment: Moment
) -> RunState:
    """The copied events lead to where the original stood, and the task can start again there; how it stood."""
    was = _walked(plan, history).state
    try:
        now = _walked(other, prefix).state
    except Exception as error:
        raise ServiceError(
            "place-refused", f"These events mean nothing to {other.name}:{other.version} ({type(error).__name__})."
        ) from None
    if _place(was) != _place(now):
        raise ServiceError(
            "place-refused",
            f"{other.name}:{other.version} does not lead these events to where the run was.",
            remedy="Fork without another version, or from an earlier task.",
        )
    if moment.id not in now.frames:
        raise ServiceError(
            "place-refused",
            f"The task at {moment.pointer!r} took no time, so no event of the history stands before it alone.",
            remedy="Fork from the task before it, or the one after it, that called or waited for something.",
        )
    return was


def _require_standing(now: RunState, then: RunState) -> None:
    """What the copied past did outside, and can be undone, has not been undone since."""
    gone = [undo for undo in then.undos.values() if was_undone_since(undo, now, then)]
    if gone:
        pointer = gone[0].node.pointer.removesuffix("/with/undo")
        raise ServiceError(
            "place-refused",
            f"What the run did at {pointer!r} was undone since, so what follows would stand on nothing.",
            remedy=f"Fork from {pointer!r}, or from a task before it.",
        )


def _place(state: RunState) -> tuple[Any, ...]:
    frames = {number: (frame.node.pointer, frame.node.kind) for number, frame in state.frames.items()}
    return frames, {number: type(command) for number, command in state.open.items()}, set(state.held), state.ended
