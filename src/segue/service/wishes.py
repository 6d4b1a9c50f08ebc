"""Use case of what somebody wants and others decide about: one list, with whom each waits for and its clock.

`segue waiting` tells what one can decide; this tells what waits for anybody, to who may see it and to who wants it.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any, Final

from segue.governance import Resource
from segue.service.access import UseCases, connection_of, governed, workflow_of
from segue.service.deciders import Deciders
from segue.service.errors import ServiceError
from segue.service.observe import iso
from segue.service.paging import PAGE_MAX
from segue.service.roster import somebody
from segue.service.shapes import Page, Shape, WishClockView
from segue.store import Store
from segue.store.wishes import KINDS, Wish, WishKind, list_wishes

_MARK: Final = re.compile(r"(\d{1,15})\.(publication|adjustment|consent|account)\.(\d{1,15})")
_SEEN_BY: Final[dict[WishKind, str]] = {
    "publication": "publication.list",
    "adjustment": "workflow.read",
    "consent": "connection.list",
    "account": "identity.read",
}
"""Who may do this sees wishes of the kind."""


class WishView(Shape, frozen=True, kw_only=True):
    """Something that somebody wants and others decide about.

    Attributes:
        title: What it is, in words that hold no data.
    """

    kind: WishKind
    number: int
    title: str
    wanted_at: str
    wanted_by: str
    clock: WishClockView


class Wishes(UseCases):
    """Everything of that kind in one data folder."""

    def __init__(self, store: Store, deciders: Deciders) -> None:
        self._store = store
        self._deciders = deciders

    @governed("task.list")
    async def page(
        self, *, kind: WishKind | None = None, mine: bool = False, limit: int = 50, after: str | None = None
    ) -> Page[WishView]:
        """What waits, the oldest first.

        Args:
            mine: Only what one wants oneself.
            after: `next` of the page before.

        Raises:
            ServiceError: `request-malformed` where `after` is no `next`.
        """
        beyond, limit = _place_of(after), min(limit, PAGE_MAX)
        found: list[Wish] = []
        for one in KINDS:
            if kind in (None, one):
                found += await self._store.read(partial(list_wishes, kind=one))
        shown = sorted((w for w in found if _place(w) > beyond and self._is_shown(w, mine)), key=_place)
        return Page(
            items=[self._view(wish) for wish in shown[:limit]],
            next=".".join(map(str, _place(shown[limit - 1]))) if len(shown) > limit else None,
        )

    def _is_shown(self, wish: Wish, mine: bool) -> bool:
        identity = somebody(self.guard)
        if identity.name == wish.wanted_by:
            return True
        if wish.kind == "consent":
            resource = connection_of(None, wish.connection)
        else:
            resource = Resource("Identity", wish.place) if wish.kind == "account" else workflow_of(None, wish.place)
        return not mine and self.guard.verdict(identity, _SEEN_BY[wish.kind], resource).allowed

    def _view(self, wish: Wish) -> WishView:
        return WishView(
            kind=wish.kind,
            number=wish.number,
            title=title_of(wish),
            wanted_at=iso(wish.wanted_at),
            wanted_by=wish.wanted_by,
            clock=self._deciders.view(wish),
        )


def title_of(wish: Wish) -> str:
    """What it is, in words that hold no data."""
    if wish.kind == "publication":
        return f"{wish.place}:{wish.more}"
    if wish.kind == "consent":
        return f"{wish.place} wants to {wish.more} {wish.connection}"
    return wish.place if wish.kind == "adjustment" else f"{wish.more} {wish.place}"


def _place(wish: Wish) -> tuple[int, str, int]:
    return wish.wanted_at, wish.kind, wish.number


def _place_of(after: str | None) -> tuple[Any, ...]:
    if after is None:
        return (-1, "", 0)
    found = _MARK.fullmatch(after)
    if found is None:
        raise ServiceError("request-malformed", f"{after!r} is not the `next` of a page.")
    return int(found[1]), found[2], int(found[3])
