"""Everything that waits for whoever asks, as one list: tasks, approvals of acts, publications, changes of values,
consents, changes of people, and exceptions that are theirs.

There is no list behind it: each kind is read where it stands, in one order, and each thing is told only to somebody
who could decide it now, by the same questions that its decision asks.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec

from segue.governance import Resource
from segue.people import OWNER, audience_of
from segue.service import answers
from segue.service.access import UseCases, connection_of, governed, workflow_of
from segue.service.asked import HumanTaskKindName, Priority
from segue.service.directory import Directory
from segue.service.errors import ServiceError
from segue.service.exceptions import view as exception_view
from segue.service.masking import Masking
from segue.service.observe import iso
from segue.service.ownership import Ownership
from segue.service.paging import PAGE_MAX
from segue.service.second import LAPSES_MS
from segue.service.shapes import Page, Shape
from segue.service.tasks import Tasks
from segue.store import Store, incidents
from segue.store.account_changes import AccountChangeRecord, list_account_changes
from segue.store.adjustments import AdjustmentRecord, list_adjustments
from segue.store.consents import ConsentRecord, list_consents
from segue.store.human_tasks import PRIORITIES
from segue.store.incidents import IncidentRecord
from segue.store.publications import PublicationRecord, list_publications
from segue.store.urgency import NEVER, Urgency, urgency
from segue.types import Identity

if TYPE_CHECKING:
    from segue.service.workflows import Workflows

WaitingKind = Literal["task", "approval", "publication", "adjustment", "consent", "account", "exception"]
_NORMAL: Final = PRIORITIES.index("normal")
_LOOKED_AT_MAX: Final = 1000
"""So many things are looked at for one page; what is not for whoever asks counts too."""


class WaitingView(Shape, frozen=True, kw_only=True):
    """One thing that waits for whoever asks.

    Attributes:
        number: Its number among those of its kind.
        title: What it is about, as far as they may see it.
        since: When it began to wait. by: Who wants it; empty where the clock or a failure does.
        because: Why it is theirs: `person`, `role:approver`, `deputy-of:ann`, `claimed`, `owner` …
        can: What they can decide.
        deadline: When it is decided without them, and deadline_outcome: how.
    """

    kind: WaitingKind
    number: int
    title: str
    workflow: str
    priority: Priority
    since: str
    due: str | None = None
    overdue: bool = False
    by: str = ""
    because: str
    can: list[str]
    deadline: str | None = None
    deadline_outcome: str | None = None


Told = Callable[[], Awaitable[WaitingView | None]]
Row = tuple[Urgency, Told]


class _Asker(msgspec.Struct, frozen=True):
    """Who asks, by which names things are theirs, and when."""

    identity: Identity
    names: dict[str, str]
    now: int

    @property
    def holds(self) -> bool:
        """They hold the data folder: everything is theirs to decide."""
        return OWNER in self.identity.roles


class Waiting(UseCases):
    """What waits in one data folder."""

    def __init__(
        self,
        store: Store,
        directory: Directory,
        tasks: Tasks,
        workflows: Workflows,
        ownership: Ownership,
        masking: Masking,
    ) -> None:
        self._store = store
        self._directory = directory
        self._tasks = tasks
        self._workflows = workflows
        self._ownership = ownership
        self._masking = masking

    @governed("task.list")
    async def page(
        self,
        *,
        kind: WaitingKind | None = None,
        overdue: bool = False,
        limit: int = 50,
        after: str | None = None,
    ) -> Page[WaitingView]:
        """What waits for whoever asks: by priority, then what is due first, then the oldest.

        A page can be shorter than asked for and have a `next`, where much was looked at that is not theirs.

        Args:
            overdue: Only what is late.
            after: `next` of the page before.

        Raises:
            ServiceError: `request-malformed` where `after` is no `next`.
        """
        identity = self.guard.who()
        assert identity is not None, "the guard has let somebody in"
        now, limit = self._directory.now_ms(), min(limit, PAGE_MAX)
        asker = _Asker(identity, _names(audience_of(identity, await self._directory.all(), now)), now)
        place, looked_at = _place_of(after), 0
        found: list[WaitingView] = []
        while looked_at < _LOOKED_AT_MAX:
            rows = await self._rows(asker, kind, place, limit + 1)
            for at, told in rows[:limit]:
                if len(found) == limit:
                    return Page(items=found, next=_next(place))
                looked_at, place = looked_at + 1, at
                one = None if overdue and at.due >= now else await told()
                found += [] if one is None else [one]
            if len(rows) <= limit:
                return Page(items=found, next=None)
        return Page(items=found, next=_next(place))

    async def _rows(self, asker: _Asker, kind: WaitingKind | None, after: Urgency | None, limit: int) -> list[Row]:
        """What may be theirs, the most urgent first; the rest is asked of each."""
        sources: dict[WaitingKind, Callable[[_Asker, Urgency | None, int], Awaitable[list[Row]]]] = {
            "task": partial(self._human_tasks, "task"),
            "approval": partial(self._human_tasks, "approval"),
            "publication": self._publications,
            "adjustment": self._adjustments,
            "consent": self._consents,
            "account": self._account_changes,
            "exception": self._exceptions,
        }
        found: list[Row] = []
        for name, source in sources.items():
            if kind in (None, name):
                found += await source(asker, after, limit)
        # Of a source that has more, nothing beyond its last row is known yet.
        return sorted(found, key=lambda row: row[0])[:limit]

    # -- tasks and approvals -----------------------------------------------------------------------

    async def _human_tasks(
        self, kind: HumanTaskKindName, asker: _Asker, after: Urgency | None, limit: int
    ) -> list[Row]:
        places = await self._tasks.of_mine(kind, after=after, limit=limit)
        return [(place, partial(self._task, kind, place.number)) for place in places]

    async def _task(self, kind: HumanTaskKindName, number: int) -> WaitingView | None:
        standing = await self._tasks.standing(number)
        if standing is None:
            return None
        shown = standing.view
        return WaitingView(
            kind=kind,
            number=number,
            title=shown.title,
            workflow=f"{shown.workflow.namespace}/{shown.workflow.name}:{shown.workflow.version}",
            priority=shown.priority,
            since=shown.offered_at,
            due=shown.due_at,
            overdue=shown.overdue,
            by=shown.requester or "",
            because=standing.because,
            can=standing.can,
            deadline=standing.deadline,
            deadline_outcome=standing.deadline_outcome,
        )

    # -- publications and values -------------------------------------------------------------------

    async def _publications(self, asker: _Asker, after: Urgency | None, limit: int) -> list[Row]:
        records = await self._store.read(lambda c: list_publications(c, state="waiting", limit=-1))
        places = [(_place("publication", record.number, record.wanted_at), record) for record in records]
        return _beyond(places, after, limit, partial(self._publication, asker))

    async def _publication(self, asker: _Asker, record: PublicationRecord) -> WaitingView | None:
        workflow = f"{record.namespace}/{record.name}"
        # Without an approver it waits for owners of connections, who have their consents here.
        because = self._as_approver(asker, "publication.approve", workflow, record.approver, record.wanted_by)
        if because is None or not record.approver:
            return None
        waits = await self._store.read(lambda c: list_consents(c, state="waiting"))
        asked = any((use.namespace, use.name) == (record.namespace, record.name) for use in waits)
        lacks = asked and await self._workflows.lacking(record.source)
        return WaitingView(
            kind="publication",
            number=record.number,
            title=f"Publish {workflow}:{record.version}",
            workflow=f"{workflow}:{record.version}",
            priority="normal",
            since=iso(record.wanted_at),
            by=record.wanted_by,
            because=because,
            can=["refuse"] if lacks else ["approve", "refuse"],
        )

    async def _adjustments(self, asker: _Asker, after: Urgency | None, limit: int) -> list[Row]:
        records = await self._store.read(lambda c: list_adjustments(c, state="waiting", limit=-1))
        places = [(_place("adjustment", record.number, record.at), record) for record in records]
        return _beyond(places, after, limit, partial(self._adjustment, asker))

    async def _adjustment(self, asker: _Asker, record: AdjustmentRecord) -> WaitingView | None:
        workflow = f"{record.namespace}/{record.name}"
        because = self._as_approver(asker, "adjustment.approve", workflow, record.approver, record.by)
        if because is None:
            return None
        return WaitingView(
            kind="adjustment",
            number=record.number,
            title=f"Change {', '.join(change.name for change in record.changes)} of {workflow}",
            workflow=workflow,
            priority="normal",
            since=iso(record.at),
            by=record.by,
            because=because,
            can=["approve", "refuse"],
        )

    def _as_approver(self, asker: _Asker, action: str, workflow: str, role: str, wanted_by: str) -> str | None:
        """Why somebody's wish is for this one to approve; None where it is not."""
        identity = asker.identity
        if role not in identity.roles and not asker.holds:
            return None
        context = {"own": identity.name == wanted_by}
        if not self.guard.verdict(identity, action, workflow_of(None, workflow), context).allowed:
            return None
        return f"role:{role}" if role in identity.roles else OWNER

    # -- consents ----------------------------------------------------------------------------------

    async def _consents(self, asker: _Asker, after: Urgency | None, limit: int) -> list[Row]:
        records = await self._store.read(lambda c: list_consents(c, state="waiting"))
        places = [(_place("consent", record.number, record.wanted_at), record) for record in records]
        return _beyond(places, after, limit, partial(self._consent, asker))

    async def _consent(self, asker: _Asker, record: ConsentRecord) -> WaitingView | None:
        resource = connection_of(None, record.connection)
        owns = self._ownership.is_owner(asker.identity, record.connection)
        if not owns or not self.guard.verdict(asker.identity, "consent.decide", resource).allowed:
            return None
        owner = self._ownership.consents.owner_of(record.connection) or ""
        kind, _, name = owner.partition(":")
        because = "person" if owner == asker.identity.name else OWNER
        if kind == "group" and name in asker.identity.groups:
            because = owner
        return WaitingView(
            kind="consent",
            number=record.number,
            title=f"Let {record.namespace}/{record.name} {record.access} {record.connection}",
            workflow=f"{record.namespace}/{record.name}",
            priority="normal",
            since=iso(record.wanted_at),
            by=record.wanted_by,
            because=because,
            can=["grant", "refuse"],
        )

    # -- changes of people -------------------------------------------------------------------------

    async def _account_changes(self, asker: _Asker, after: Urgency | None, limit: int) -> list[Row]:
        since = asker.now - LAPSES_MS
        records = await self._store.read(lambda c: list_account_changes(c, state="waiting"))
        places = [(_place("account", r.number, r.wanted_at), r) for r in records if r.wanted_at >= since]
        return _beyond(places, after, limit, partial(self._account_change, asker))

    async def _account_change(self, asker: _Asker, record: AccountChangeRecord) -> WaitingView | None:
        identity, whom = asker.identity, f"{record.kind}/{record.id}"
        own = identity.name in (record.wanted_by, f"{record.kind}:{record.id}")
        allowed = self.guard.verdict(identity, "identity.approve", Resource("Identity", whom), {"own": own}).allowed
        if not allowed or identity.kind != "person" or not {record.approver, OWNER} & identity.roles:
            return None
        takes_over, changes = record.effect
        return WaitingView(
            kind="account",
            number=record.number,
            title=f"{record.what} {whom}: {'; '.join(changes or takes_over)}"[:500],
            workflow="",
            priority="normal",
            since=iso(record.wanted_at),
            by=record.wanted_by,
            because=f"role:{record.approver}" if record.approver in identity.roles else OWNER,
            can=["approve", "refuse"],
        )

    # -- exceptions --------------------------------------------------------------------------------

    async def _exceptions(self, asker: _Asker, after: Urgency | None, limit: int) -> list[Row]:
        owners = None if asker.holds else list(asker.names)
        records = await self._store.read(lambda c: incidents.most_urgent(c, owners, limit=limit, after=after))
        return [(record.urgency, partial(self._exception, asker, record)) for record in records]

    async def _exception(self, asker: _Asker, record: IncidentRecord) -> WaitingView | None:
        resource = Resource("Exception", str(record.id))
        if not self.guard.verdict(asker.identity, "exception.decide", resource).allowed:
            return None
        shown = answers.incident(self._masking.lens(record.digest), exception_view(record))
        said = str(shown.error.get("detail") or shown.error.get("title") or shown.error.get("type", ""))
        return WaitingView(
            kind="exception",
            number=record.id,
            title=f"{record.kind} at {record.pointer or '/'}: {said}"[:500],
            workflow=f"{record.namespace}/{record.name}:{record.version}",
            priority="normal",
            since=shown.at,
            due=shown.deadline,
            overdue=shown.state == "overdue" or (record.deadline or NEVER) < asker.now,
            because=asker.names.get(record.owner or "", OWNER),
            can=list(shown.choices),
        )


def _place(kind: str, number: int, since: int) -> Urgency:
    return urgency(_NORMAL, None, since, kind, number)


def _beyond(
    places: Sequence[tuple[Urgency, Any]],
    after: Urgency | None,
    limit: int,
    told: Callable[[Any], Awaitable[WaitingView | None]],
) -> list[Row]:
    """The first of a short list that come after a place."""
    rest = sorted((place, record) for place, record in places if after is None or place > after)
    return [(place, partial(told, record)) for place, record in rest[:limit]]


def _names(audiences: Sequence[tuple[str, tuple[str, str]]]) -> dict[str, str]:
    """By which names a ladder may mean them, and why."""
    found: dict[str, str] = {}
    for because, (kind, name) in audiences:
        if kind != "manager":
            found.setdefault(name, because)
    return found


def _next(place: Urgency | None) -> str | None:
    return None if place is None else base64.urlsafe_b64encode(msgspec.json.encode(list(place))).decode()


_Place = tuple[int, int, int, Annotated[str, msgspec.Meta(max_length=20)], int]


def _place_of(after: str | None) -> Urgency | None:
    if after is None:
        return None
    try:
        place = msgspec.json.decode(base64.urlsafe_b64decode(after), type=_Place)
        if max(abs(number) for number in place if isinstance(number, int)) < 2**63:
            return Urgency(*place)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        pass
    raise ServiceError("request-malformed", f"{after!r} is not the `next` of a page.")
