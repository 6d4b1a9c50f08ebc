"""Who is told of what somebody wants and others decide about: those whose decision would count, and nobody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from segue.governance import Guard, Resource
from segue.service.access import connection_of, workflow_of
from segue.store.notices import UntoldWish
from segue.types import Identity

_ACTIONS: Final = {
    "publication": "publication.approve",
    "adjustment": "adjustment.approve",
    "consent": "consent.decide",
    "account": "identity.approve",
}


class WishAudience:
    """Knows it in one data folder.

    Args:
        owner_of: Whom a connection belongs to: `person:ann`, `group:sales`, None for nobody.
    """

    def __init__(self, guard: Guard, owner_of: Callable[[str], str | None]) -> None:
        self._guard = guard
        self._owner_of = owner_of

    def audience(self, wish: UntoldWish) -> dict[str, Any]:
        """Who might decide, as tasks have it. Empty for a publication that waits for owners only."""
        if wish.role:
            return {"roles": [wish.role]}
        kind, _, name = (self._owner_of(wish.connection) or "").partition(":")
        return {"people" if kind == "person" else "groups": [name]} if name else {}

    def may_decide(self, wish: UntoldWish, identity: Identity) -> bool:
        """The rules let this one decide it."""
        context: dict[str, Any] = {"own": identity.name == wish.wanted_by}
        if wish.kind == "consent":
            resource, context = connection_of(None, wish.connection), {}
        elif wish.kind == "account":
            resource = Resource("Identity", wish.place)
            context["own"] = context["own"] or identity.name == wish.place.replace("/", ":", 1)
        else:
            resource = workflow_of(None, wish.place)
        return self._guard.verdict(identity, _ACTIONS[wish.kind], resource, context).allowed

    @staticmethod
    def title(wish: UntoldWish) -> str:
        """What it is, in words that hold no data."""
        if wish.kind == "publication":
            return f"{wish.place}:{wish.more}"
        if wish.kind == "consent":
            return f"{wish.place} wants to {wish.more} {wish.connection}"
        return wish.place if wish.kind == "adjustment" else f"{wish.more} {wish.place}"
