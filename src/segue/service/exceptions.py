"""Use cases of the exception inbox: list, read, decide; one by one and by cause."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, get_args
from urllib.parse import quote

import msgspec

from segue.core import advance
from segue.service import answers
from segue.service.access import UseCases, governed, of, signed
from segue.service.definitions import Definitions
from segue.service.effects import view as effect_view
from segue.service.errors import ServiceError
from segue.service.inbox import (
    Choice,
    EffectView,
    ExceptionDetail,
    ExceptionGroup,
    ExceptionKind,
    ExceptionState,
    ExceptionView,
    GroupDecision,
    Refused,
    Resolution,
)
from segue.service.masking import Masking
from segue.service.masks import refuse_masks
from segue.service.observe import Observation, iso, observe
from segue.service.paging import PAGE_MAX, place_of
from segue.service.past import Past, read_past
from segue.service.portions import ANSWER_BYTES_MAX, Portion, in_short, told_apart
from segue.service.shapes import Page, WorkflowRef
from segue.service.workflows import parse_workflow
from segue.store import Store, codec
from segue.store.effects import EffectFilter, list_effects
from segue.store.incidents import (
    IncidentFilter,
    IncidentRecord,
    find_incident,
    find_incidents,
    group_incidents,
    list_incidents,
)
from segue.types import FailureReleased, Perform, RunCancelled, TaskRestarted, TaskSkipped

if TYPE_CHECKING:
    from segue.hosts import EmbeddedHost

REASON_MAX: Final = 1000
_OUTSIDE_MAX: Final = 200
_REFUSED_MAX: Final = 100
_AT_ONCE: Final = 100
_NEEDS_OUTPUT: Final = ("skip", "happened")


class Exceptions(UseCases):
    """The inbox of one data folder. `host` is None where no host runs: then it is read and nothing else."""

    def __init__(self, store: Store, definitions: Definitions, host: EmbeddedHost | None, masking: Masking) -> None:
        self._store = store
        self._definitions = definitions
        self._host = host
        self._masking = masking

    # -- reading -----------------------------------------------------------------------------------

    @governed("exception.list")
    async def page(
        self,
        *,
        state: ExceptionState | None = "open",
        kind: ExceptionKind | None = None,
        workflow: str | None = None,
        group: str | None = None,
        run: str | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> Page[ExceptionView]:
        """Failures, newest first.

        Args:
            state: None lists open and closed ones.
            limit: 1 to `PAGE_MAX`.
            after: `next` of the page before.

        Raises:
            ServiceError: `run-unknown`, or `request-malformed` where `after` or the workflow is none.
        """
        limit = min(limit, PAGE_MAX)
        wanted = await self._wanted(state, kind, workflow, group, run)
        before = place_of(after)
        found = await self._store.read(lambda c: list_incidents(c, wanted, limit=limit + 1, before=before))
        more = str(found[limit - 1].id) if len(found) > limit else None
        lens_of = self._masking.lenses()
        items = [answers.incident(lens_of(r.digest), view(r)) for r in found[:limit]]
        return Page(items=[_in_short(item) for item in items], next=more)

    @governed("exception.list")
    async def groups(
        self, *, state: ExceptionState | None = "open", workflow: str | None = None, limit: int = 50
    ) -> list[ExceptionGroup]:
        """Failures by cause, the most frequent cause first.

        Raises:
            ServiceError: `request-malformed` where the workflow is none.
        """
        wanted = await self._wanted(state, None, workflow, None, None)
        groups = await self._store.read(lambda c: group_incidents(c, wanted, limit=min(limit, PAGE_MAX)))
        examples = await self._store.read(lambda c: find_incidents(c, [group.newest for group in groups]))
        lens_of = self._masking.lenses()
        return [
            ExceptionGroup(
                group=group.fingerprint,
                count=group.count,
                first_at=iso(group.first_at),
                last_at=iso(group.last_at),
                example=group.newest,
                workflow=f"{examples[group.newest].namespace}/{examples[group.newest].name}",
                pointer=examples[group.newest].pointer,
                error=_in_short(
                    answers.incident(lens_of(examples[group.newest].digest), view(examples[group.newest]))
                ).error,
            )
            for group in groups
        ]

    @governed("exception.read", on=of("Exception"))
    async def get(self, number: int) -> ExceptionDetail:
        """One failure with its payload, the run's position, and what the run did outside.

        Raises:
            ServiceError: `exception-unknown`.
        """
        record = await self._record(number)
        run = await self._store.run(record.run_id)
        assert run is not None, "an incident goes with its run"
        past = await self._past(record)
        wanted = EffectFilter(run=record.run)
        outside = await self._store.read(lambda c: list_effects(c, wanted, limit=_OUTSIDE_MAX))
        seen, payload, sent = await asyncio.to_thread(_told, record, past)
        live = [] if seen is None else [t.view() for t in seen.tasks.values() if t.ended_at is None]
        lens = self._masking.lens(record.digest) if past is None else self._masking.lens_over(past)
        covers, portion = lens.covers.task(record.pointer), Portion()
        about = f"/runs/{record.run_id}/tasks/{record.task}" if record.task else None
        # What was sent is told nowhere else, and whoever decides whether it happened has to know it.
        shown_sent = portion.value(sent, None, bytes_max=ANSWER_BYTES_MAX // 2)
        shown_payload = portion.value(payload, about)
        kept = [effect_view(entry) for entry in outside]
        # The newest first: what the run did last matters most to whoever decides.
        kept = [
            msgspec.structs.replace(e, receipt=portion.value(e.receipt, f"/effects/{quote(e.key, safe='')}"))
            for e in kept
        ]
        return ExceptionDetail(
            **msgspec.structs.asdict(answers.incident(lens, view(record))),
            payload=told_apart(lens.value(shown_payload, covers.raw)),
            sent=told_apart(lens.value(shown_sent, covers.sent)),
            run_status=run.status,
            position=[answers.task(lens, task) for task in live],
            outside=[_apart(answers.effect(lens, entry)) for entry in reversed(kept)],
            note=_note(record, past),
        )

    async def _past(self, record: IncidentRecord) -> Past | None:
        try:
            return await read_past(self._store, self._definitions, record.run_id)
        except Exception:
            if record.kind != "quarantined":
                raise
            return None  # Its definition may be what cannot be read.

    # -- deciding ----------------------------------------------------------------------------------

    @governed("exception.decide", on=of("Exception"))
    async def decide(
        self,
        number: int,
        action: Choice,
        *,
        reason: str,
        by: str = "",
        input: Any = msgspec.UNSET,
        output: Any = msgspec.UNSET,
    ) -> ExceptionView:
        """Decide about a failure; it is on disk when this returns.

        Args:
            reason: Why; kept in the inbox, and in the history of a run that goes on.
            by: Who, as the client says.
            input: With `retry`: what the task starts with instead of its payload.
            output: With `skip` and `happened`: the task's output, as the next task gets it.

        Raises:
            ServiceError: `exception-unknown`, `exception-closed`, `choice-refused` or `server-needed`.
        """
        record = await self._record(number)
        if record.state == "closed":
            raise ServiceError("exception-closed", f"Exception {number} was resolved before: {record.action}.")
        _check(action, reason, input, output)
        refuse_masks(input=input, output=output)
        if action not in choices(record):
            allowed = ", ".join(choices(record))
            raise ServiceError("choice-refused", f"{action!r} is not among the choices: {allowed}.")
        try:
            taken = await self._carry_out(record, action, reason, by, input, output)
        except (TypeError, ValueError) as error:
            raise ServiceError("choice-refused", f"{error}.") from None
        if not taken:
            raise ServiceError("exception-closed", f"Exception {number} was resolved meanwhile, or not for long.")
        return answers.incident(self._masking.lens(record.digest), view(await self._record(number)))

    @governed("exception.decide")
    async def decide_group(
        self,
        group: str,
        action: Choice,
        *,
        reason: str,
        by: str = "",
        output: Any = msgspec.UNSET,
        dry_run: bool = True,
    ) -> GroupDecision:
        """Decide about all open failures with the same cause in the same way; each keeps its own payload.

        Args:
            dry_run: Only count.

        Raises:
            ServiceError: `exception-unknown` where no failure of this group is open, `choice-refused`, or
                `server-needed`.
        """
        _check(action, reason, msgspec.UNSET, output)
        refuse_masks(output=output)
        wanted = IncidentFilter(state="open", fingerprint=group)
        matched = await self._store.read(lambda c: [r.id for r in list_incidents(c, wanted, limit=-1)])
        if not matched:
            raise ServiceError("exception-unknown", f"No open exception belongs to the group {group!r}.")
        if dry_run:
            return GroupDecision(group=group, action=action, dry_run=True, matched=len(matched))
        self._driving()
        refused: list[Refused] = []

        async def one(number: int) -> None:
            try:
                await self.decide(number, action, reason=reason, by=by, output=output)
            except ServiceError as error:
                refused.append(Refused(id=number, why=error.detail))

        # Oldest first, many at once: they share commits, and no round takes all the memory.
        matched.reverse()
        for start in range(0, len(matched), _AT_ONCE):
            await asyncio.gather(*(one(number) for number in matched[start : start + _AT_ONCE]))
        return GroupDecision(
            group=group,
            action=action,
            dry_run=False,
            matched=len(matched),
            done=len(matched) - len(refused),
            refused=refused[:_REFUSED_MAX],
        )

    async def _carry_out(
        self, record: IncidentRecord, action: Choice, reason: str, by: str, input: Any, output: Any
    ) -> bool:
        from segue.hosts import Outcome

        host = self._driving()
        by = signed(by)
        why = {"by": by, "reason": reason}
        if record.kind == "quarantined":
            if action == "retry":
                return await host.revive(record.run_id, **why)
            return await host.control(record.run_id, RunCancelled(0, **why))
        outcome = None
        if action in ("happened", "repeat"):
            outcome = Outcome(action == "happened", None if output is msgspec.UNSET else output)
        if record.kind == "unknown":
            assert record.effect is not None, "an unknown act has a key"
            await host.settle(record.effect, outcome, **why)
            return True
        event: TaskRestarted | TaskSkipped | FailureReleased
        if action in ("retry", "repeat"):
            event = TaskRestarted(0, record.task, input=input, by=by, reason=reason)
        elif action == "give-up":
            event = FailureReleased(0, record.task, by, reason)
        else:
            event = TaskSkipped(0, record.task, output, by, reason, happened=action == "happened")
        return await host.control(record.run_id, event, outcome=outcome)

    # -- helpers -----------------------------------------------------------------------------------

    def _driving(self) -> EmbeddedHost:
        if self._host is None:
            raise ServiceError("server-needed", "This changes runs, and no host runs here.")
        return self._host

    async def _record(self, number: int) -> IncidentRecord:
        record = await self._store.read(lambda c: find_incident(c, number))
        if record is None:
            raise ServiceError("exception-unknown", f"There is no exception {number}.")
        return record

    async def _wanted(
        self,
        state: ExceptionState | None,
        kind: ExceptionKind | None,
        workflow: str | None,
        group: str | None,
        run: str | None,
    ) -> IncidentFilter:
        namespace, name = (None, None) if workflow is None else parse_workflow(workflow)
        seq = None
        if run is not None:
            known = await self._store.run(run)
            if known is None:
                raise ServiceError("run-unknown", f"There is no run {run!r}.")
            seq = known.seq
        is_overdue = state == "overdue"
        if state == "overdue":
            state = "open"
        return IncidentFilter(
            state=state, overdue=is_overdue, kind=kind, namespace=namespace, name=name, fingerprint=group, run=seq
        )


def view(record: IncidentRecord) -> ExceptionView:
    """A failure as it is told."""
    resolved = None
    if record.closed_at is not None:
        resolved = Resolution(
            action=record.action or "", by=record.by or "", reason=record.reason or "", at=iso(record.closed_at)
        )
    return ExceptionView(
        id=record.id,
        run=record.run_id,
        workflow=WorkflowRef(
            namespace=record.namespace, name=record.name, version=record.version, digest=record.digest
        ),
        kind=record.kind,
        state="overdue" if record.state == "open" and record.overdue is not None else record.state,
        at=iso(record.at),
        pointer=record.pointer,
        task=record.task or None,
        error=record.failure.as_data(),
        outcome_unknown=record.failure.outcome_unknown,
        group=record.fingerprint,
        owner=record.owner,
        deadline=None if record.deadline is None else iso(record.deadline),
        overdue=None if record.overdue is None else iso(record.overdue),
        effect=record.effect,
        choices=choices(record),
        resolution=resolved,
    )


def choices(record: IncidentRecord) -> list[Choice]:
    """What can be decided about a failure."""
    if record.state == "closed":
        return []
    if record.kind == "quarantined":
        return ["retry", "give-up"]
    if record.kind == "unknown":
        return ["happened", "repeat", "give-up"]
    # Where an act may have happened, starting it again without saying so would only ask again.
    first: list[Choice] = ["happened", "repeat"] if record.failure.outcome_unknown else ["retry"]
    return [*first, "skip", "give-up"]


def _check(action: Choice, reason: str, input: Any, output: Any) -> None:
    if action not in get_args(Choice):
        raise ServiceError("choice-refused", f"{action!r} is no choice: {', '.join(get_args(Choice))}.")
    if not reason.strip() or len(reason) > REASON_MAX:
        raise ServiceError("choice-refused", f"A decision needs a reason, of 1 to {REASON_MAX} characters.")
    if (output is msgspec.UNSET) == (action in _NEEDS_OUTPUT):
        lacks = action in _NEEDS_OUTPUT
        wanted = "needs an output, which the next task gets" if lacks else "takes no output"
        raise ServiceError("choice-refused", f"{action!r} {wanted}.")
    if input is not msgspec.UNSET and action != "retry":
        raise ServiceError("choice-refused", f"{action!r} takes no input; only `retry` does.")


def _in_short(found: ExceptionView) -> ExceptionView:
    """For lists: an error may quote much, and the exception alone says all of it."""
    short = in_short(found.error)
    return found if short is None or short is found.error else msgspec.structs.replace(found, error=short)


def _apart(found: EffectView) -> EffectView:
    return msgspec.structs.replace(found, receipt=told_apart(found.receipt))


def _told(record: IncidentRecord, past: Past | None) -> tuple[Observation | None, Any, Any]:
    try:
        if past is None:
            return None, None, None
        return observe(past.plan, past.events, past.beginning()), *_payload(past, record)
    except Exception:
        if record.kind != "quarantined":
            raise
        return None, None, None  # The bug that stopped the run stops its reading too.


def _note(record: IncidentRecord, past: Past | None) -> str | None:
    """What is not known any more, because the run has gone on for so long."""
    if past is None or not record.event or record.event > past.before:
        return None
    return (
        f"It happened at event {record.event}, and {past.left()}: what was sent, and the input of a task that is no"
        " longer under way, are not known any more."
    )


def _payload(past: Past, record: IncidentRecord) -> tuple[Any, Any]:
    """Raw input of the task, and the arguments of its act, as they were when it failed."""
    state = past.beginning()
    raw = sent = None
    about: int | None = record.task or None
    if about is not None and state is not None and about in state.frames:
        raw = state.frames[about].raw
        command = state.open.get(about)
        sent = codec.settled(command.arguments) if isinstance(command, Perform) else None
    for event in past.until(record.event) if record.event else past.events:
        state, commands = advance(past.plan, state, event)
        if about is None:
            frame = next((f for f in state.frames.values() if f.node.pointer == record.pointer), None)
        else:
            frame = state.frames.get(about)
        if frame is not None:
            raw = frame.raw
        for command in commands:
            if isinstance(command, Perform) and (
                command.id == about or (about is None and command.pointer == record.pointer)
            ):
                sent = codec.settled(command.arguments)
    return raw, sent
