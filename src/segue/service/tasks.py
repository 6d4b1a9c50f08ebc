"""Use cases of human tasks: queues, one page with everything, claim and hand over, decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from segue.core import Tasking
from segue.governance import Resource
from segue.people import (
    OWNER,
    Granted,
    Profile,
    Refused,
    audience_of,
    authority_at,
    figures_of,
    hash_code,
    is_absent,
    permission,
)
from segue.people.figures import Decided
from segue.service import answers
from segue.service.access import UseCases, governed, of, open_to_all
from segue.service.asked import (
    FiguresView,
    HumanTaskDetail,
    HumanTaskKindName,
    HumanTaskView,
    LabelView,
    NewDecision,
    Priority,
    QueueView,
    WorkloadView,
)
from segue.service.definitions import Definitions
from segue.service.directory import Directory, identity_of
from segue.service.errors import ServiceError
from segue.service.masking import UNKNOWN_PLACE, Masking
from segue.service.masks import refuse_masks
from segue.service.observe import iso
from segue.service.paging import PAGE_MAX, place_of
from segue.service.shapes import Page
from segue.service.showing import Showing, requesters_of, seen_of, view
from segue.service.workflows import parse_workflow
from segue.store import HostError, Store, human_tasks, notices
from segue.store.human_tasks import PRIORITIES, HumanTaskFilter, HumanTaskRecord
from segue.store.urgency import Urgency
from segue.types import DecisionMade, Identity, TaskAssigned, acting_as

if TYPE_CHECKING:
    from segue.hosts import EmbeddedHost

COMMENT_MAX: Final = 4000
_ABOVE_MAX: Final = 64
RESUBMIT: Final = "resubmit"
_KINDS: Final = {"person": "people", "role": "roles", "group": "groups", "agent": "agents"}


class Standing(NamedTuple):
    """What somebody may do about a task that waits.

    Attributes:
        view: The task as they may see it.
        because: Why it is before them.
        can: Outcomes that they can give it.
        deadline, deadline_outcome: When it gets which outcome without them.
    """

    view: HumanTaskView
    because: str
    can: list[str]
    deadline: str | None = None
    deadline_outcome: str | None = None


class Tasks(UseCases):
    """The human tasks of one data folder. `host` is None where no host runs: then they are only listed."""

    def __init__(
        self,
        store: Store,
        definitions: Definitions,
        directory: Directory,
        host: EmbeddedHost | None,
        masking: Masking,
    ) -> None:
        self._store = store
        self._directory = directory
        self._host = host
        self._masking = masking
        self._showing = Showing(store, definitions, masking)
        self._redeeming: set[str] = set()

    # -- lists -------------------------------------------------------------------------------------

    @governed("task.list")
    async def page(
        self,
        *,
        state: str | None = "open",
        mine: bool = False,
        queue: str | None = None,
        owner: str | None = None,
        workflow: str | None = None,
        run: str | None = None,
        priority: Priority | None = None,
        overdue: bool = False,
        kind: HumanTaskKindName | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> Page[HumanTaskView]:
        """Tasks, newest first.

        Args:
            state: `open`, `closed`, or None for both.
            mine: Those that whoever asks has claimed, or that are offered to them, also as a deputy.
            queue: Offered to this role, group, person or agent, such as `role:approver`.
            owner: Claimed by this person; empty for nobody.
            kind: Only tasks, or only approvals of acts.

        Raises:
            ServiceError: `run-unknown` or `request-malformed`.
        """
        limit = min(limit, PAGE_MAX)
        now = self._now()
        seq = None if run is None else await self._seq(run)
        namespace, name = (None, None) if workflow is None else parse_workflow(workflow)
        wanted = HumanTaskFilter(
            open=None if state is None else state == "open",
            audience=None if queue is None else [_queue(queue)],
            owner=owner,
            mine=await self._mine(now) if mine else None,
            namespace=namespace,
            name=name,
            run=seq,
            overdue_at=now if overdue else None,
            priority=None if priority is None else PRIORITIES.index(priority),
            kind=kind,
        )
        before = place_of(after)
        found = await self._store.read(
            lambda c: human_tasks.list_human_tasks(c, wanted, limit=limit + 1, before=before)
        )
        more = str(found[limit - 1].id) if len(found) > limit else None
        lens_of = self._masking.lenses()
        return Page(items=[answers.human_task(lens_of(r.digest), view(r, now)) for r in found[:limit]], next=more)

    @governed("task.list")
    async def queues(self) -> list[QueueView]:
        """Of every role, group and person with open tasks: how many, how many overdue, how old the oldest is."""
        rows = await self._store.read(lambda c: human_tasks.queues(c, self._now()))
        return [QueueView(kind=k, name=n, open=o, overdue=late, oldest_at=iso(at)) for k, n, o, late, at in rows]

    @governed("task.list")
    async def workload(self) -> list[WorkloadView]:
        """Who has how many open tasks, and who of them is away."""
        now = self._now()
        rows = await self._store.read(lambda c: human_tasks.workload(c, now))
        profiles = await self._directory.all()
        return [_load(profiles.get(person), person, n, late, now) for person, n, late in rows]

    @governed("task.list")
    async def figures(self, *, days: int = 90) -> list[FiguresView]:
        """How often proposals were overruled and how long people took, by place and model, over the last days."""
        since = self._now() - days * 86_400_000
        closed = await self._store.read(lambda c: human_tasks.closed_since(c, since))
        return [_figures(found) for found in figures_of(_decided(record) for record in closed)]

    @governed("label.list")
    async def labels(
        self, *, model: str | None = None, version: str | None = None, limit: int = 50, after: str | None = None
    ) -> Page[LabelView]:
        """What people's decisions say about models' answers, in the order of their tasks."""
        limit = min(limit, PAGE_MAX)
        place = place_of(after) or 0
        found = await self._store.read(lambda c: notices.labels(c, model, version, limit=limit + 1, after=place))
        more = str(found[limit - 1].task) if len(found) > limit else None
        made = [
            LabelView(**{**msgspec.structs.asdict(label), "agreed": bool(label.agreed), "at": iso(label.at)})
            for label in found[:limit]
        ]
        places = await self._store.read(lambda c: human_tasks.places_of(c, [label.task for label in made]))
        lens_of = self._masking.lenses()
        shown = []
        for one in made:
            digest, pointer = places.get(one.task, UNKNOWN_PLACE)
            shown.append(answers.label(lens_of(digest), one, pointer))
        return Page(items=shown, next=more)

    @open_to_all("tells whoever asks what may wait for themselves; the list of what waits calls it, and no edge")
    async def of_mine(self, kind: HumanTaskKindName, *, after: Urgency | None, limit: int) -> list[Urgency]:
        """Open tasks that are before whoever acts and that nobody else has claimed, the most urgent first."""
        identity = self.guard.who()
        if identity is None:
            return []
        now = self._now()
        mine = None if OWNER in identity.roles else await self._mine(now)
        wanted = HumanTaskFilter(open=True, kind=kind, mine=mine, free_for=_name(identity))
        found = await self._store.read(lambda c: human_tasks.most_urgent(c, wanted, limit=limit, after=after))
        return [record.urgency for record in found]

    @open_to_all("tells whoever asks what they may decide; the list of what waits calls it, and no edge")
    async def standing(self, number: int) -> Standing | None:
        """What whoever acts may do about an open task; None where it is nothing, or not any more."""
        record = await self._record(number)
        identity = self.guard.who()
        action = "task.resubmit" if record.state == "sent-back" else "task.decide"
        resource = Resource("HumanTask", str(record.id))
        if identity is None or not self.guard.verdict(identity, action, resource).allowed:
            return None
        shown = answers.human_task(self._masking.lens(record.digest), view(record, self._now()))
        if self._host is None:
            return Standing(shown, "claimed" if record.owner else "", [])
        try:
            task = await self._host.asked(record.run_id, record.task)
        except HostError:
            return None  # Its run cannot be read now, so nobody can decide it.
        if task is None or any(vote["by"] == _name(identity) for vote in task.votes if task.phase != "sent-back"):
            return None
        granted = await self._permission(record, task, identity, resubmits=task.phase == "sent-back")
        if isinstance(granted, Refused):
            return None
        deadline = task.request.get("deadline")
        return Standing(
            shown,
            "claimed" if record.owner else granted.because[0],
            [RESUBMIT] if task.phase == "sent-back" else list(task.request["outcomes"]),
            None if deadline is None else iso(record.offered_at + deadline["after_ms"]),
            None if deadline is None else deadline["outcome"],
        )

    # -- one task ----------------------------------------------------------------------------------

    @governed("task.read", on=of("HumanTask"))
    async def get(self, number: int) -> HumanTaskDetail:
        """Everything that a person needs to decide, on one page. Reading decides nothing.

        Raises:
            ServiceError: `human-task-unknown`.
        """
        record = await self._record(number)
        return await self._detail(record, self.guard.who())

    @governed("task.claim", on=of("HumanTask"))
    async def claim(self, number: int) -> HumanTaskView:
        """Take a task, so that nobody else works on it.

        Raises:
            ServiceError: `human-task-unknown`, `human-task-closed`, `not-yours`, `choice-refused` or `server-needed`.
        """
        record, task, identity = await self._open(number)
        await self._require_member(record, task, identity)
        return await self._assign(record, TaskAssigned(0, record.task, "claim", _name(identity), by=_name(identity)))

    @governed("task.claim", on=of("HumanTask"))
    async def release(self, number: int, *, reason: str = "") -> HumanTaskView:
        """Put a task back that one has claimed.

        Raises:
            ServiceError: As `claim`.
        """
        record, task, identity = await self._open(number)
        self._require_owner(task, identity)
        return await self._assign(record, TaskAssigned(0, record.task, "release", by=_name(identity), reason=reason))

    @governed("task.claim", on=of("HumanTask"))
    async def delegate(self, number: int, to: str, *, reason: str = "") -> HumanTaskView:
        """Hand a task to another person, who still needs the role and the limit to decide it.

        Raises:
            ServiceError: As `claim`; `choice-refused` where the other one requested it.
        """
        record, task, identity = await self._open(number)
        if task.owner != _name(identity):
            await self._require_member(record, task, identity)
            self._require_owner(task, identity)
        if to in await self._requesters(record, task):
            raise ServiceError("choice-refused", f"{to} requested it, and the requester never decides.")
        event = TaskAssigned(0, record.task, "delegate", to, by=_name(identity), reason=reason)
        return await self._assign(record, event)

    @governed("task.assign", on=of("HumanTask"))
    async def reassign(self, number: int, audience: Mapping[str, Any], *, reason: str) -> HumanTaskView:
        """Offer a task to other people instead.

        Args:
            audience: `person`, `role`, `group`, `agent`: a name or a list of names each.

        Raises:
            ServiceError: `human-task-unknown`, `human-task-closed`, `choice-refused` or `server-needed`.
        """
        record, _, identity = await self._open(number)
        made = _audience(audience)
        event = TaskAssigned(0, record.task, "reassign", audience=made, by=_name(identity), reason=reason)
        return await self._assign(record, event)

    @governed("task.decide", on=of("HumanTask"))
    async def decide(self, number: int, decision: NewDecision) -> HumanTaskView:
        """Decide a task, or give one of the voices that it needs; it is on disk when this returns.

        The first decision that counts is the result. Everybody else is told that they did not decide.

        Args:
            decision: `seen` is the digest of the page on which it was decided (`HumanTaskDetail.seen`).

        Raises:
            ServiceError: `human-task-unknown`, `human-task-closed`, `human-task-changed`, `not-yours`,
                `choice-refused` or `server-needed`.
        """
        record, task, identity = await self._open(number)
        return await self._decide(record, task, identity, decision, "session")

    @governed("task.resubmit", on=of("HumanTask"))
    async def resubmit(self, number: int, decision: NewDecision) -> HumanTaskView:
        """Give a task that was sent back to the people who sent it back, with corrected data.

        Raises:
            ServiceError: As `decide`.
        """
        record, task, identity = await self._open(number)
        corrected = msgspec.structs.replace(decision, outcome=RESUBMIT)
        return await self._decide(record, task, identity, corrected, "session")

    # -- by code -----------------------------------------------------------------------------------

    @open_to_all("a one-time code stands for the person whom it was sent to, and for one task")
    async def get_by_code(self, code: str) -> HumanTaskDetail:
        """The page of the task that a code is for. Reading spends nothing.

        Raises:
            ServiceError: `code-refused`.
        """
        record, identity = await self._redeemed(code)
        return await self._detail(record, identity)

    @open_to_all("a one-time code stands for the person whom it was sent to, and for one task")
    async def decide_by_code(self, code: str, decision: NewDecision) -> HumanTaskView:
        """Decide the task that a code is for, as the person whom it was sent to; the code is spent then.

        Raises:
            ServiceError: `code-refused`, and as `decide`.
        """
        hashed = hash_code(code)
        if hashed in self._redeeming:
            raise ServiceError("code-refused", "The code is being used at this moment.")
        self._redeeming.add(hashed)
        try:
            record, identity = await self._redeemed(code)
            with acting_as(identity):
                admitted = await self._admitted(record.id)
                done = await self._decide(record, admitted, identity, decision, "code")
            await self._store.write([notices.use_code(hashed, self._now())])
            return done
        finally:
            self._redeeming.discard(hashed)

    async def _redeemed(self, code: str) -> tuple[HumanTaskRecord, Identity]:
        found = await self._store.read(lambda c: notices.find_code(c, hash_code(code)))
        if found is None or found.used_at is not None or found.expires_at <= self._now():
            # One answer for all: who guesses learns nothing.
            raise ServiceError("code-refused", "The code is unknown, was used, or has expired.")
        profile = (await self._directory.all()).get(found.person)
        if profile is None:
            raise ServiceError("code-refused", "The code is unknown, was used, or has expired.")
        return await self._record(found.task), identity_of(profile, self.guard.workspace)

    @governed("task.decide", on=of("HumanTask"))
    async def _admitted(self, number: int) -> Tasking:
        """The task, for somebody whom a code speaks for; the guard is asked as for everybody."""
        return await self._asked(await self._record(number))

    # -- helpers -----------------------------------------------------------------------------------

    async def _decide(
        self, record: HumanTaskRecord, task: Tasking, identity: Identity, decision: NewDecision, via: str
    ) -> HumanTaskView:
        if len(decision.comment) > COMMENT_MAX:
            raise ServiceError("choice-refused", f"A comment has at most {COMMENT_MAX} characters.")
        refuse_masks(data=decision.data, comment=decision.comment)
        entered = task.entry if decision.data is msgspec.UNSET else decision.data
        resubmits = decision.outcome == RESUBMIT
        granted = await self._permission(record, task, identity, entered=entered, resubmits=resubmits)
        if isinstance(granted, Refused):
            raise ServiceError("not-yours", f"Task {record.id}: {granted.why}.")
        policy = self.guard.policies.version

        def meant(now: Tasking) -> None:
            if decision.seen != seen_of(now, policy):
                raise ServiceError("human-task-changed", f"Task {record.id} is not as it was when it was read.")

        meant(task)
        event = DecisionMade(
            0,
            record.task,
            decision.outcome,
            decision.data,
            by=_name(identity),
            comment=decision.comment,
            seen=decision.seen,
            policy=policy,
            via=via,
            allowed=granted.because,
        )
        # And once more when it would count: others decide meanwhile, and what they enter is not what was approved.
        return await self._attend(record, event, meant)

    async def _assign(self, record: HumanTaskRecord, event: TaskAssigned) -> HumanTaskView:
        return await self._attend(record, event)

    async def _attend(
        self,
        record: HumanTaskRecord,
        event: DecisionMade | TaskAssigned,
        meant: Callable[[Tasking], None] | None = None,
    ) -> HumanTaskView:
        try:
            refused = await self._driving().attend(record.run_id, event, meant=meant)
        except (TypeError, ValueError) as error:
            raise ServiceError("choice-refused", f"{error}.") from None
        now = await self._record(record.id) if refused is None else await self._written(record.id)
        if refused is None:
            return answers.human_task(self._masking.lens(now.digest), view(now, self._now()))
        if not now.is_open:
            raise _closed(now)
        raise ServiceError("choice-refused", f"Task {record.id}: {refused}.")

    async def _permission(
        self,
        record: HumanTaskRecord,
        task: Tasking,
        identity: Identity,
        *,
        entered: Any = msgspec.UNSET,
        resubmits: bool = False,
    ) -> Granted | Refused:
        granted = permission(
            identity,
            audience=task.audience,
            owner=task.owner,
            authority={} if resubmits else authority_at(task.request, task.level),
            requesters=() if resubmits or task.phase == "sent-back" else await self._requesters(record, task),
            profiles=await self._directory.all(),
            now_ms=self._now(),
            entered=task.entry if entered is msgspec.UNSET else entered,
        )
        return granted if isinstance(granted, Refused) else self._sees_it(record, identity) or granted

    def _sees_it(self, record: HumanTaskRecord, identity: Identity) -> Refused | None:
        """Nobody approves an act of which a part is hidden from them, and nobody but a person does."""
        if record.kind != "approval":
            return None
        if identity.kind != "person":
            return Refused(f"an act is approved by a person, and {identity.name} is none")
        lens = self._masking.lens(record.digest, by=identity)
        hidden = ", ".join(sorted(lens.covers.task(record.pointer).sent.all() & lens.hidden))
        return Refused(f"what would go out is hidden from {identity.id} in part ({hidden})") if hidden else None

    async def _requesters(self, record: HumanTaskRecord, task: Tasking) -> frozenset[str]:
        """Also who started the run that started this one, or the one that it was forked from."""
        found = requesters_of(record.cause, task)
        cause = record.cause
        for _ in range(_ABOVE_MAX):
            above = await self._store.run(cause["run"]) if isinstance(cause.get("run"), str) else None
            if above is None:
                break
            cause = above.cause or {}
            found |= requesters_of(cause, None)
            if record.kind == "approval":  # An act: also where the holder of the folder started it.
                found |= requesters_of({"by": cause.get("as")}, None)
        return found

    async def _require_member(self, record: HumanTaskRecord, task: Tasking, identity: Identity) -> None:
        """Whoever may decide may claim and hand on; nobody else."""
        granted = await self._permission(record, task, identity)
        if isinstance(granted, Refused):
            raise ServiceError("not-yours", f"Task {record.id}: {granted.why}.")

    @staticmethod
    def _require_owner(task: Tasking, identity: Identity) -> None:
        if task.owner not in ("", _name(identity)) and "owner" not in identity.roles:
            raise ServiceError("not-yours", f"{task.owner} has claimed it, and alone can release it or hand it on.")

    async def _detail(self, record: HumanTaskRecord, identity: Identity | None) -> HumanTaskDetail:
        live = await self._host.asked(record.run_id, record.task) if self._host and record.is_open else None
        if live is None and self._host and record.is_open:
            record = await self._written(record.id)
        policy = self.guard.policies.version
        page = await self._showing.page(record, live, policy, self._now(), identity)
        if live is None or identity is None:
            return page
        granted = await self._permission(record, live, identity, resubmits=live.phase == "sent-back")
        why = granted.why if isinstance(granted, Refused) else _hindrance(live, _name(identity))
        return msgspec.structs.replace(page, may_decide=why is None, why_not=why)

    async def _open(self, number: int) -> tuple[HumanTaskRecord, Tasking, Identity]:
        record = await self._record(number)
        identity = self.guard.who()
        assert identity is not None, "the guard lets nobody through who has no name"
        return record, await self._asked(record), identity

    async def _asked(self, record: HumanTaskRecord) -> Tasking:
        task = await self._driving().asked(record.run_id, record.task)
        if task is None:
            raise _closed(await self._written(record.id))
        return task

    async def _written(self, number: int) -> HumanTaskRecord:
        """The row of a task that is not before people any more, once it is on disk what became of it."""
        await self._store.write([])
        return await self._record(number)

    async def _mine(self, now: int) -> tuple[str, list[tuple[str, str]]]:
        identity = self.guard.who()
        if identity is None:
            return "", []
        groups = audience_of(identity, await self._directory.all(), now)
        wanted = [("people", name) if kind == "manager" else (kind, name) for _, (kind, name) in groups]
        return _name(identity), wanted

    async def _seq(self, run: str) -> int:
        record = await self._store.run(run)
        if record is None:
            raise ServiceError("run-unknown", f"There is no run {run!r}.")
        return record.seq

    async def _record(self, number: int) -> HumanTaskRecord:
        record = await self._store.read(lambda c: human_tasks.find_human_task(c, number))
        if record is None:
            raise ServiceError("human-task-unknown", f"There is no task {number}.")
        return record

    def _driving(self) -> EmbeddedHost:
        if self._host is None:
            raise ServiceError("server-needed", "This changes runs, and no host runs here.")
        return self._host

    def _now(self) -> int:
        return self._directory.now_ms()


def _name(identity: Identity) -> str:
    """How events name them: people by their id alone, as documents do."""
    return identity.id if identity.kind == "person" else identity.name


def _hindrance(task: Tasking, name: str) -> str | None:
    """Why somebody who may decide cannot do so now, as the core would say it; None where they can."""
    if task.owner not in ("", name):
        return f"{task.owner} has claimed it; they can release it or hand it over"
    if task.phase != "sent-back" and any(vote["by"] == name for vote in task.votes):
        return f"{name} has decided already, and another person must"
    return None


def _closed(record: HumanTaskRecord) -> ServiceError:
    how = f"{record.outcome} by {record.by}" if record.by else record.outcome or record.state
    return ServiceError("human-task-closed", f"Task {record.id} is closed: {how}.")


def _queue(text: str) -> tuple[str, str]:
    kind, _, name = text.partition(":")
    if kind not in _KINDS or not name:
        said = ", ".join(f"{kind}:NAME" for kind in _KINDS)
        raise ServiceError("request-malformed", f"{text!r} is no queue; write one of {said}.")
    return _KINDS[kind], name


def _audience(said: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in said.items():
        names = [value] if isinstance(value, str) else value
        if key not in _KINDS or not isinstance(names, list) or not all(isinstance(n, str) and n for n in names):
            raise ServiceError("choice-refused", f"{key!r} must be one of {', '.join(_KINDS)}, with names.")
        if names:
            made[_KINDS[key]] = names
    if not made:
        raise ServiceError("choice-refused", "A task must be offered to somebody: a person, role, group or agent.")
    return made


def _load(profile: Profile | None, person: str, n: int, late: int, now: int) -> WorkloadView:
    away = profile is not None and is_absent(profile, now)
    deputy = profile.absent.deputy if away and profile is not None and profile.absent is not None else None
    return WorkloadView(person=person, open=n, overdue=late, absent=away, deputy=deputy)


def _decided(record: HumanTaskRecord) -> Decided:
    group = (f"{record.namespace}/{record.name}", record.pointer, record.model or "", record.model_version or "")
    overruled = None if record.state == "expired" else record.outcome != "approve" or bool(record.edited)
    return Decided(group, overruled, bool(record.edited), (record.closed_at or 0) - record.offered_at)


def _figures(found: Any) -> FiguresView:
    workflow, pointer, model, version = found.group
    return FiguresView(
        workflow=workflow,
        pointer=pointer,
        model=model or None,
        version=version or None,
        decided=found.decided,
        expired=found.expired,
        overruled=found.overruled,
        edited=found.edited,
        overrule_rate=found.overrule_rate,
        accept_rate=found.accept_rate,
        median_seconds=None if found.median_ms is None else found.median_ms / 1000,
        slowest_seconds=None if found.slowest_ms is None else found.slowest_ms / 1000,
    )
