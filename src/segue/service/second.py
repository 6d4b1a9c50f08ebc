"""Use cases of the second administrator: changes of people that wait for another pair of eyes.

A rule that asks for approval makes a change wait; what it would do is found by `reach.py`. Approved, it is made as it
was asked for, in the transaction that notes the approval. The holder of the data folder needs nobody.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from segue.governance import Guard, Resource, Verdict
from segue.service.access import UseCases, admit_or_wait, admit_to, governed, open_to_all
from segue.service.deciders import Deciders
from segue.service.errors import ServiceError
from segue.service.observe import iso
from segue.service.paging import place_of
from segue.service.personal import Personal
from segue.service.reach import Effect
from segue.service.roster import Roster, now_ms, somebody
from segue.service.shapes import Page, Shape, Why, WishClockView
from segue.store import Store
from segue.store.account_changes import (
    AccountChangeRecord,
    AccountChangeState,
    decide_account_change,
    find_account_change,
    list_account_changes,
    want_account_change,
)
from segue.store.wishes import Wish, find_wish, give_clock

if TYPE_CHECKING:
    from segue.service.accounts import Accounts
    from segue.service.profiles import Profiles


class AccountDecision(msgspec.Struct, forbid_unknown_fields=True):
    """Let a change of somebody be made or not, and why."""

    approve: bool
    reason: Why


class AccountChangeView(Shape, frozen=True, kw_only=True):
    """A change of somebody that waits for a second administrator, or was decided.

    Attributes:
        what: `add`, `change`, or `profile`. whom: `person/ann`.
        takes_over: How whoever wants it could act as them. changes: Everything that it changes; never a password.
        state: `waiting`, `approved`, `refused`, or `lapsed`: nobody decided in time.
        approver: The role that a rule asks for. clock: While it waits.
    """

    number: int
    what: str
    whom: str
    takes_over: list[str]
    changes: list[str]
    wanted_at: str
    wanted_by: str
    approver: str
    state: str
    decided_at: str | None = None
    decided_by: str | None = None
    reason: str | None = None
    clock: WishClockView | None = None


def ask_for_effect(guard: Guard, action: str, kind: str, name: str, effect: Effect) -> Verdict | None:
    """Ask for a change with this effect: None where it is permitted, the verdict where it must wait.

    Raises:
        ServiceError: `permission-denied` or `not-signed-in`.
    """
    identity = somebody(guard)
    context: dict[str, Any] = {
        "own": (identity.kind, identity.id) == (kind, name),
        "takes_over": bool(effect.takes_over),
    }
    if action == "identity.change":
        context["grants"] = list(effect.grants)
        resource = Resource("Identity", f"{kind}/{name}")
    else:
        resource = Resource("Profile", name)
    verdict = admit_or_wait(guard, action, resource, context)
    if verdict.allowed:
        return None
    if identity.kind != "person":
        raise ServiceError(
            "permission-denied",
            f"{identity.name} is no person, and what a second administrator must approve is asked for by one.",
            remedy="Let somebody who administers ask for it under their own name.",
        )
    return verdict


class AccountWishes:
    """Keeps what waits for a second administrator."""

    def __init__(self, store: Store, personal: Personal, deciders: Deciders) -> None:
        self._store = store
        self._personal = personal
        self._deciders = deciders

    async def wait(
        self, what: str, who: tuple[str, str], effect: Effect, wish: dict[str, Any], verdict: Verdict, by: str
    ) -> ServiceError:
        """Keep a wish, and tell whom it is about; what is to be raised."""
        told = [list(effect.takes_over), list(effect.told)]
        wanted = want_account_change(what, who, told, wish, now_ms(), by, verdict.approver)
        await self._store.write([*wanted, give_clock("account", self._deciders.clock_for("account", verdict))])
        waiting = await self._store.read(lambda c: list_account_changes(c, state="waiting"))
        number = next(r.number for r in waiting if (r.what, r.kind, r.id, r.wanted_by) == (what, *who, by))
        if who[0] == "person" and effect.takes_over:
            self._personal.tell(
                who[1],
                "Somebody wants to change how you sign in to Segue",
                f"{by} wants to change the {' and the '.join(effect.takes_over)} of {who[1]}. Another administrator"
                " must approve it first. If you did not ask for it, tell them, or whoever answers for security.",
            )
        return ServiceError(
            "approval-needed",
            f"This waits as change {number}: {verdict.reason}.",
            remedy=f"Let another administrator run `segue users approve {number} --reason …`; where there is none,"
            " the holder of the data folder makes the change with `segue users`.",
        )


class AccountChanges(UseCases):
    """Changes of people in one data folder that wait for a second administrator."""

    def __init__(
        self, store: Store, roster: Roster, accounts: Accounts, profiles: Profiles, deciders: Deciders
    ) -> None:
        self._store = store
        self._deciders = deciders
        self._roster = roster
        self._accounts = accounts
        self._profiles = profiles
        self.deciding = asyncio.Lock()
        """Held by whoever decides, from looking at what waits until it is on disk."""

    @governed("identity.read")
    async def page(
        self, *, state: AccountChangeState | None = "waiting", limit: int = 50, after: str | None = None
    ) -> Page[AccountChangeView]:
        """Wishes, newest first.

        Raises:
            ServiceError: `request-malformed` where `after` is no `next`.
        """
        before = place_of(after)
        found = await self._store.read(lambda c: list_account_changes(c, state=state, before=before, limit=limit + 1))
        return Page(
            items=[await self._view(record) for record in found[:limit]],
            next=str(found[limit - 1].number) if len(found) > limit else None,
        )

    @open_to_all("asks in its middle, where it is known whose wish it is and whom it is about")
    async def decide(self, number: int, wanted: AccountDecision) -> AccountChangeView:
        """Make a change that waits, or refuse it. The first decision counts.

        Raises:
            ServiceError: `account-change-unknown`, `account-change-decided`; `permission-denied`, also for whoever
                wanted it and whom it is about; or what the change itself refuses.
        """
        admit_to(self.guard, "identity.approve", Resource("Identity"), {"own": False})
        async with self.deciding:
            record = await self._record(number)
            identity = somebody(self.guard)
            own = identity.name in (record.wanted_by, f"{record.kind}:{record.id}")
            admit_to(self.guard, "identity.approve", Resource("Identity", f"{record.kind}/{record.id}"), {"own": own})
            wish = await self._wish(number)
            await self._deciders.require(wish, identity)
            if record.state != "waiting":
                by = "it has lapsed" if record.state == "lapsed" else f"{record.decided_by} has {record.state} it"
                raise ServiceError("account-change-decided", f"Change {number} is over: {by}.")
            self._deciders.require_in_time(wish)
            kept: AccountChangeState = "approved" if wanted.approve else "refused"
            if wanted.approve:
                self._require_still_there(record)
            facts = {"change": number, "wanted_by": record.wanted_by, "effect": record.effect}
            whom = f"identity:{record.kind}/{record.id}"
            self._store.note("identity.second", whom, verdict=kept, reason=wanted.reason, data=facts)
            decided = decide_account_change(number, kept, now_ms(), identity.name, wanted.reason)
            if not wanted.approve:
                await self._store.write([decided])
            elif record.what == "profile":
                await self._profiles.make(record.id, record.wish, record.wanted_by, decided)
            else:
                await self._accounts.make(record, decided)
            return await self._view(await self._record(number))

    def _require_still_there(self, record: AccountChangeRecord) -> None:
        """Nobody approves the wish of somebody who was locked out since."""
        kind, _, name = record.wanted_by.partition(":")
        by = self._roster.find(kind, name)
        if by is None or by.state != "active":
            raise ServiceError(
                "identity-refused", f"{record.wanted_by} may not come in any more.", remedy="Refuse it."
            )

    async def _record(self, number: int) -> AccountChangeRecord:
        record = await self._store.read(lambda c: find_account_change(c, number))
        if record is None:
            raise ServiceError("account-change-unknown", f"There is no change {number} of anybody.")
        return record

    async def _wish(self, number: int) -> Wish:
        wish = await self._store.read(lambda c: find_wish(c, "account", number))
        assert wish is not None, "changes of people are never removed"
        return wish

    async def _view(self, record: AccountChangeRecord) -> AccountChangeView:
        """A wish as it is told: nothing of a password."""
        takes_over, changes = record.effect
        wish = await self._wish(record.number) if record.state == "waiting" else None
        return AccountChangeView(
            number=record.number,
            what=record.what,
            whom=f"{record.kind}/{record.id}",
            takes_over=takes_over,
            changes=changes,
            wanted_at=iso(record.wanted_at),
            wanted_by=record.wanted_by,
            approver=record.approver,
            state="lapsed" if wish is not None and self._deciders.is_over(wish) else record.state,
            decided_at=None if record.decided_at is None else iso(record.decided_at),
            decided_by=record.decided_by,
            reason=record.reason,
            clock=None if wish is None else self._deciders.view(wish),
        )
