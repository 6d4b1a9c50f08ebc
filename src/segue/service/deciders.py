"""Who decides about what somebody wants: by the role that a rule asks for, as its owner, as the deputy of an owner
who is away, or by a role that the clock has come to. One answer for decisions, the list of what waits, and notices.

Authority is not handed on: the deputy of a deputy decides nothing, and neither a deputy nor whom the clock has asked
decides about what they want themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from segue.governance import Guard, Resource, Verdict, WishClocks
from segue.people import OWNER, Profile, agenda_of, audience_of, is_absent, lapses_after, reminders_sent, roles_asked
from segue.service.access import connection_of, workflow_of
from segue.service.directory import Directory, identity_of
from segue.service.errors import ServiceError
from segue.service.observe import iso
from segue.service.shapes import WishClockView
from segue.store.wishes import Wish, WishKind
from segue.types import Identity

ACTIONS_OF: Final[dict[WishKind, str]] = {
    "publication": "publication.approve",
    "adjustment": "adjustment.approve",
    "consent": "consent.decide",
    "account": "identity.approve",
}
"""What deciding asks the guard for."""
_DECIDED: Final[dict[WishKind, str]] = {
    "publication": "publication-decided",
    "adjustment": "adjustment-decided",
    "consent": "consent-decided",
    "account": "account-change-decided",
}

_AFTER_OWNERS_MS: Final = 60_000


class Deciders:
    """Knows it in one data folder.

    Args:
        owner_of: Whom a connection belongs to: `person:ann`, `group:sales`, None for nobody.
    """

    def __init__(
        self, guard: Guard, owner_of: Callable[[str], str | None], directory: Directory, clocks: WishClocks
    ) -> None:
        self._guard = guard
        self._owner_of = owner_of
        self._directory = directory
        self._clocks = clocks

    # -- who ---------------------------------------------------------------------------------------

    async def because(self, wish: Wish, identity: Identity) -> str | None:
        """Why it is theirs to decide, such as `role:publisher` or `deputy-of:ann`; None where it is not."""
        return self._because(wish, identity, await self._directory.all(), self._directory.now_ms())

    def permits(self, wish: Wish, identity: Identity) -> bool:
        """The rules let them decide it."""
        context: dict[str, Any] = {"own": identity.name == wish.wanted_by}
        if wish.kind == "consent":
            resource, context = connection_of(None, wish.connection), {}
        elif wish.kind == "account":
            resource = Resource("Identity", wish.place)
            context["own"] = context["own"] or identity.name == wish.place.replace("/", ":", 1)
        else:
            resource = workflow_of(None, wish.place)
        return self._guard.verdict(identity, ACTIONS_OF[wish.kind], resource, context).allowed

    async def require(self, wish: Wish, identity: Identity) -> str:
        """Why it is theirs to decide.

        Raises:
            ServiceError: `permission-denied`.
        """
        because = await self.because(wish, identity)
        if because is None:
            raise self._not_theirs(wish, identity)
        return because

    def require_in_time(self, wish: Wish) -> None:
        """Nobody approves what has lapsed, also where its clock has not come to that yet.

        Raises:
            ServiceError: That it is decided.
        """
        if self.is_over(wish):
            said = f"It has lapsed: nobody had decided about it by {iso(self.lapses_at(wish) or 0)}."
            raise ServiceError(_DECIDED[wish.kind], said, remedy="It can be asked for again.")

    def is_over(self, wish: Wish) -> bool:
        """The time in which it could be decided has passed."""
        ends = self.lapses_at(wish)
        return ends is not None and ends <= self._directory.now_ms()

    async def told(self, wish: Wish, roles: tuple[str, ...] = ()) -> list[str]:
        """Ids of the people who are to be told: who might decide, without those whose deputy is there and might too.

        Args:
            roles: Only who got it by one of these, which the clock has come to.
        """
        profiles, now = await self._directory.all(), self._directory.now_ms()
        found: dict[str, Profile] = {}
        for profile in profiles.values():
            # The holder of the folder decides about everything: that is a power, and not a duty.
            mine = msgspec.structs.replace(profile, roles=profile.roles - {OWNER})
            identity = identity_of(mine, self._guard.workspace)
            if identity.name == wish.wanted_by:
                continue
            if roles and not identity.roles & set(roles):
                continue
            if self._because(wish, identity, profiles, now) and self.permits(wish, identity):
                found[profile.id] = profile
        there = {name for name, profile in found.items() if not is_absent(profile, now)}
        away = {name for name in found if name not in there}
        return [name for name in found if name not in away or _deputy(found[name]) not in there]

    def asked(self, wish: Wish) -> list[str]:
        """Whom it waits for, such as `role:publisher` or `group:sales`; first whom the rule or the owner named."""
        first = f"role:{wish.role}" if wish.role else self._owner_of(wish.connection) or ""
        return [*filter(None, [first]), *(f"role:{role}" for role in self._rungs(wish))]

    def _because(self, wish: Wish, identity: Identity, profiles: Mapping[str, Profile], now: int) -> str | None:
        own = identity.name == wish.wanted_by
        if wish.kind == "account" and identity.kind != "person":
            return None
        if wish.role:
            if wish.role in identity.roles:
                return f"role:{wish.role}"
        elif wish.kind == "consent" and (why := self._as_owner(wish, identity, own, profiles, now)):
            return why
        found = next((role for role in self._rungs(wish) if role in identity.roles), None)
        if found is not None and not own and identity.kind == "person":
            return f"role:{found}"
        return OWNER if OWNER in identity.roles else None

    def _as_owner(
        self, wish: Wish, identity: Identity, own: bool, profiles: Mapping[str, Profile], now: int
    ) -> str | None:
        owner = self._owner_of(wish.connection) or ""
        kind, _, name = owner.partition(":")
        if owner == identity.name:
            return "person"
        if kind == "group":
            return owner if name in identity.groups else None
        # A program that is called as a person stands in for nobody.
        if own or kind != "person" or identity.kind != "person":
            return None
        deputy = f"deputy-of:{name}"
        return deputy if any(why == deputy for why, _ in audience_of(identity, profiles, now)) else None

    def _not_theirs(self, wish: Wish, identity: Identity) -> ServiceError:
        whom = ", ".join(self.asked(wish)) or "nobody"
        if wish.kind == "consent":
            said = f"{identity.name} does not own the connection {wish.connection!r}"
            return ServiceError("permission-denied", f"{said}.", remedy=f"It is for {whom} to decide.")
        if not wish.role:
            said = "It waits for the consent of owners of connections, and for nothing else."
            return ServiceError("permission-denied", said)
        what = "is no person with" if wish.kind == "account" else "lacks"
        said = f"{identity.name} {what} the role {wish.role!r}, which a rule asks for."
        return ServiceError("permission-denied", said, remedy=f"Let somebody else decide: {whom}.")

    # -- until when --------------------------------------------------------------------------------

    def clock_for(self, kind: WishKind, verdict: Verdict | None = None) -> dict[str, Any]:
        """The clock of what is wanted now: as the rules say that want the approval, else as the settings do.

        Args:
            verdict: That wants the approval; None where only owners are asked.
        """
        if verdict is None and kind == "publication":
            # It ends with what those owners say, or do not say. Its own clock is there for what nobody owns any more.
            ending = self._clocks.of("consent").get("deadline")
            return {"deadline": {**ending, "after_ms": ending["after_ms"] + _AFTER_OWNERS_MS}} if ending else {}
        rules = self._guard.policies.rules
        return self._clocks.of(kind, [rules[name].clock for name in verdict.rules] if verdict else ())

    def clock_of(self, wish: Wish) -> dict[str, Any]:
        """Its clock: the one that it was given, or what the settings say."""
        if wish.clock.said is not None:
            return wish.clock.said
        return self._clocks.of(wish.kind) if wish.role else self.clock_for(wish.kind)

    def began_at(self, wish: Wish) -> int | None:
        """When its clock began: when people were first asked; of changes of people, when they were wanted."""
        return wish.wanted_at if wish.kind == "account" else wish.clock.began_at

    def lapses_at(self, wish: Wish) -> int | None:
        """When it cannot be approved any more; None for never, or for not yet known."""
        after, began = lapses_after(agenda_of(self.clock_of(wish))), self.began_at(wish)
        return None if after is None or began is None else began + after

    def view(self, wish: Wish) -> WishClockView:
        """Its clock, as it is told."""
        agenda, ends = agenda_of(self.clock_of(wish)), self.lapses_at(wish)
        return WishClockView(
            asked=self.asked(wish),
            reminded=reminders_sent(agenda, wish.clock.steps),
            escalated_to=list(self._rungs(wish)),
            next_at=iso(wish.clock.next_at) if wish.clock.next_at else None,
            lapses_at=None if ends is None else iso(ends),
        )

    def _rungs(self, wish: Wish) -> tuple[str, ...]:
        return roles_asked(agenda_of(self.clock_of(wish)), wish.clock.steps)


def _deputy(profile: Profile) -> str | None:
    return None if profile.absent is None else profile.absent.deputy
