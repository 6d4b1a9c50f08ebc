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
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec

from segue.governance import Resource
from segue.people import OWNER, audience_of
from segue.service import answers
from segue.service.access import UseCases, governed
from segue.service.asked import HumanTaskKindName, Priority
from segue.service.deciders import Deciders
from segue.service.directory import Directory
from segue.service.errors import ServiceError
from segue.service.exceptions import view as exception_view
from segue.service.masking import Masking
from segue.service.observe import iso
from segue.service.paging import PAGE_MAX
from segue.service.shapes import Page, Shape
from segue.service.tasks import Tasks
from segue.store import Store, incidents
from segue.store.account_changes import find_account_change
from segue.store.adjustments import find_adjustment
from segue.store.consents import list_consents
from segue.store.human_tasks import PRIORITIES
from segue.store.incidents import IncidentRecord
from segue.store.publications import find_publication
from segue.store.urgency import NEVER, Urgency, urgency
from segue.store.wishes import Wish, WishKind, list_wishes
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
        deadline: When it is decided without them, and deadline_outcome: how; `lapsed` where nobody can then.
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
        deciders: Deciders,
        masking: Masking,
    ) -> None:
        self._store = store
        self._directory = directory
        self._tasks = tasks
        self._workflows = workflows
        self._deciders = deciders
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
            "publication": partial(self._wishes, "publication"),
            "adjustment": partial(self._wishes, "adjustment"),
            "consent": partial(self._wishes, "consent"),
            "account": partial(self._wishes, "account"),
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

    # -- what somebody wants -----------------------------------------------------------------------

    async def _wishes(self, kind: WishKind, asker: _Asker, after: Urgency | None, limit: int) -> list[Row]:
        found = await self._store.read(partial(list_wishes, kind=kind))
        places = [(urgency(_NORMAL, None, w.wanted_at, kind, w.number), w) for w in found]
        rest = sorted((place, wish) for place, wish in places if after is None or place > after)
        return [(place, partial(self._wish, asker, wish)) for place, wish in rest[:limit]]

    async def _wish(self, asker: _Asker, wish: Wish) -> WaitingView | None:
        # A publication without a role waits for owners of connections, who have their consents here.
        if self._deciders.is_over(wish) or (wish.kind == "publication" and not wish.role):
            return None
        if not self._deciders.permits(wish, asker.identity):
            return None
        because = await self._deciders.because(wish, asker.identity)
        if because is None:
            return None
        title, can = await self._said(wish)
        ends = self._deciders.lapses_at(wish)
        return WaitingView(
            kind=wish.kind,
            number=wish.number,
            title=title,
            workflow=f"{wish.place}:{wish.more}" if wish.kind == "publication" else _workflow_of(wish),
            priority="normal",
            since=iso(wish.wanted_at),
            by=wish.wanted_by,
            because=because,
            can=can,
            deadline=None if ends is None else iso(ends),
            deadline_outcome=None if ends is None else "lapsed",
        )

    async def _said(self, wish: Wish) -> tuple[str, list[str]]:
        """What it is called, and what they can decide."""
        number = wish.number
        if wish.kind == "publication":
            lacks = await self._lacks_consents(wish)
            return f"Publish {wish.place}:{wish.more}", ["refuse"] if lacks else ["approve", "refuse"]
        if wish.kind == "consent":
            return f"Let {wish.place} {wish.more} {wish.connection}", ["grant", "refuse"]
        if wish.kind == "adjustment":
            changed = await self._store.read(lambda c: find_adjustment(c, number))
            names = ", ".join(change.name for change in changed.changes) if changed else ""
            return f"Change {names} of {wish.place}", ["approve", "refuse"]
        record = await self._store.read(lambda c: find_account_change(c, number))
        takes_over, changes = record.effect if record else ([], [])
        return f"{wish.more} {wish.place}: {'; '.join(changes or takes_over)}"[:500], ["approve", "refuse"]

    async def _lacks_consents(self, wish: Wish) -> bool:
        waits = await self._store.read(lambda c: list_consents(c, state="waiting"))
        if not any(f"{use.namespace}/{use.name}" == wish.place for use in waits):
            return False
        record = await self._store.read(lambda c: find_publication(c, wish.number))
        return record is not None and bool(await self._workflows.lacking(record.source))

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


def _workflow_of(wish: Wish) -> str:
    return "" if wish.kind == "account" else wish.place


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
