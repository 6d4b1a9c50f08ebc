"""The clocks of what somebody wants and others decide about, kept as long as a folder is open.

Each step is one transaction: how far the clock has come, the notices of whoever is to be told, and a record of the
audit chain. A process that dies has taken the whole step or nothing of it, so nobody is reminded twice or not at all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import msgspec

from segue.people import Profile, Told, Turn, agenda_of, notices_of, turn_of
from segue.service.deciders import Deciders
from segue.service.directory import Directory
from segue.service.wishes import title_of
from segue.store import HostError, Store, wishes
from segue.store.records import Sql
from segue.store.wishes import Clock, Wish, WishKind
from segue.types import SYSTEM, acting_as, whereabouts

_log = logging.getLogger("segue.service")

LOOK_SECONDS: Final = 0.5
REASON: Final = "nobody decided in time"
_NOUNS: Final[dict[WishKind, str]] = {
    "publication": "publication of",
    "adjustment": "change of values of",
    "consent": "use:",
    "account": "change of a person:",
}


class Lapsing(msgspec.Struct, frozen=True):
    """How wishes of a kind lapse.

    Attributes:
        deciding: Held by whoever decides about one, from looking at it until it is on disk.
        after: What follows when one has lapsed.
    """

    deciding: asyncio.Lock
    after: Callable[[Wish, str], Awaitable[None]] | None = None


class WishKeeper:
    """Keeps the clocks of one data folder."""

    def __init__(
        self, store: Store, directory: Directory, deciders: Deciders, lapsing: Mapping[WishKind, Lapsing]
    ) -> None:
        self._store = store
        self._directory = directory
        self._deciders = deciders
        self._lapsing = lapsing
        self._seen_writes = -1
        self._soonest: int | None = None

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Keep them as long as the block lasts."""
        task = asyncio.create_task(self._go_on(), name="segue-wishes")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _go_on(self) -> None:
        while True:
            try:
                with acting_as(SYSTEM):
                    await self.look()
            except HostError as error:
                _log.warning("clocks of what waits for approval go on later: %s", error)
            except Exception:
                _log.error("clocks of what waits for approval could not go on: %s", whereabouts())
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Let everything happen that is due."""
        writes, now = self._store.commit.writes, self._directory.now_ms()
        if writes != self._seen_writes:
            self._soonest = await self._store.read(wishes.next_step)
        self._seen_writes = writes
        if self._soonest is None or self._soonest > now:
            return
        self._seen_writes = -1
        await self._store.write(wishes.stop_decided(now))
        for kind in wishes.KINDS:
            for wish in await self._store.read(partial(wishes.list_wishes, kind=kind, due=now)):
                try:
                    await self._go_on_with(wish)
                except HostError:
                    raise
                except Exception:
                    # One that cannot go on must not hold up the others.
                    _log.error("the clock of %s could not go on: %s", wish.about, whereabouts())

    async def _go_on_with(self, wish: Wish) -> None:
        now, clock = self._directory.now_ms(), self._deciders.clock_of(wish)
        began = self._deciders.began_at(wish)
        turn = turn_of(agenda_of(clock), wish.clock.steps, now if began is None else began, now)
        to = Clock(clock, now if began is None else began, turn.steps, turn.next_at)
        moved = msgspec.structs.replace(wish, clock=to)
        if turn.lapsed:
            await self._lapse(moved, now)
        else:
            await self._tell(moved, turn, now)

    async def _tell(self, wish: Wish, turn: Turn, now: int) -> None:
        new = await self._deciders.told(wish, turn.roles) if turn.roles else []
        rest = await self._deciders.told(wish) if turn.asked or turn.reminded else []
        told = dict.fromkeys(rest, wish.kind if turn.asked else "wish-reminded")
        told |= dict.fromkeys(new, "wish-escalated")
        kind, _, author = wish.wanted_by.partition(":")
        if kind == "person" and not told and (turn.asked or turn.reminded) and self._deciders.asked(wish):
            told = {author: "wish-stuck"}  # else it would wait in silence, and lapse
        profiles = await self._directory.all()
        statements: list[Sql] = [wishes.advance_clock(wish, wish.clock)]
        for person, kind in told.items():
            statements += self._notices(wish, kind, person, profiles, now)
        for happened, word in ((turn.asked, "asked"), (turn.reminded, "reminded"), (turn.roles, "escalated")):
            if happened:
                data: dict[str, Any] = {"told": sorted(new if word == "escalated" else rest)}
                data |= {"roles": list(turn.roles)} if word == "escalated" else {}
                self._store.note(f"wish.{word}", wish.about, reason=title_of(wish), data=data)
        await self._store.write(statements)

    async def _lapse(self, wish: Wish, now: int) -> None:
        lapsing = self._lapsing[wish.kind]
        async with lapsing.deciding:
            waits = await self._store.read(partial(wishes.find_waiting, kind=wish.kind, number=wish.number))
            if waits is None or waits.wanted_at != wish.wanted_at:
                return
            statements = [
                wishes.lapse(wish, SYSTEM.name, now, REASON),
                wishes.advance_clock(wish, msgspec.structs.replace(wish.clock, next_at=None)),
            ]
            kind, _, author = wish.wanted_by.partition(":")
            if kind == "person":
                statements += self._notices(wish, "wish-lapsed", author, await self._directory.all(), now)
            data = {"wanted_by": wish.wanted_by, "asked": self._deciders.asked(wish)}
            self._store.note("wish.lapsed", wish.about, verdict="lapsed", reason=title_of(wish), data=data)
            await self._store.write(statements)
        if lapsing.after is not None:
            await lapsing.after(wish, REASON)

    def _notices(self, wish: Wish, kind: str, person: str, profiles: Mapping[str, Profile], now: int) -> list[Sql]:
        """By each of their channels. That they are told is settled, so nobody's absence counts any more."""
        found = profiles.get(person, Profile(id=person, channels=("app",)))
        there = {person: msgspec.structs.replace(found, absent=None)}
        told = Told(kind, person, {}, frozenset(), False)
        title = title_of(wish) if kind == wish.kind else f"{_NOUNS[wish.kind]} {title_of(wish)}"
        return [
            wishes.make_wish_notice(wish, kind, title, notice.person, notice.channel, now, notice.due_ms)
            for notice in notices_of(told, there, now)
        ]
