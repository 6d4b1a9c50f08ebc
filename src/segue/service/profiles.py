"""Use cases of profiles and of what one is told: how people are reached, who stands in for them, their notices."""

from __future__ import annotations

from typing import Any, Final, get_args

import msgspec

from segue.governance import Resource
from segue.people import Channel, Profile
from segue.service import answers
from segue.service.access import UseCases, admit_to, governed, of, open_to_all
from segue.service.asked import NoticeView
from segue.service.directory import Directory
from segue.service.errors import ServiceError
from segue.service.masking import UNKNOWN_PLACE, Masking
from segue.service.paging import PAGE_MAX, place_of
from segue.service.reach import NO_EFFECT, Reach
from segue.service.roster import Roster, somebody
from segue.service.second import AccountWishes, ask_for_effect
from segue.service.shapes import Page
from segue.service.showing import notice_view
from segue.store import Store, human_tasks, notices
from segue.store.permission import IdentityRecord, put_identity
from segue.store.records import Sql
from segue.types import acting_as

OWN: Final = frozenset({"name", "email", "chat", "channels", "digestMinutes", "quiet", "absent"})
"""What people say of themselves. Roles, groups, limits and the manager decide about others, so others set them."""


class Profiles(UseCases):
    """The people of one data folder."""

    def __init__(
        self,
        store: Store,
        directory: Directory,
        masking: Masking,
        roster: Roster,
        reach: Reach,
        wishes: AccountWishes,
    ) -> None:
        self._store = store
        self._masking = masking
        self._directory = directory
        self._roster = roster
        self._reach = reach
        self._wishes = wishes

    @governed("profile.list")
    async def list(self) -> list[Profile]:
        """Everybody, by id."""
        return list((await self._directory.all()).values())

    @open_to_all("asks in its middle, where it is known whose it is and what it would do")
    async def put(self, name: str, said: dict[str, Any]) -> Profile:
        """Say how somebody is reached and which tasks reach them, in place of what was said before.

        Raises:
            ServiceError: `choice-refused`; `approval-needed` where codes would go to another address, so that a
                second administrator must approve it, and it waits from then on.
        """
        admit_to(self.guard, "profile.put", Resource("Profile", name), silent=True)
        wanted, identity = _profile({**said, "id": name}), somebody(self.guard)
        async with self._roster.changing:
            own = (identity.kind, identity.id) == ("person", name)
            before, record = await self._directory.kept(name), self._roster.find("person", name)
            effect = NO_EFFECT if own else self._reach.of_profile(before, wanted, record)
            waits = ask_for_effect(self.guard, "profile.put", "person", name, effect)
            if waits is not None:
                who = ("person", name)
                raise await self._wishes.wait("profile", who, effect, {"said": said}, waits, identity.name)
            with acting_as(identity):
                return await self._keep(wanted, before, record, identity.name)

    @open_to_all("a second administrator's approval makes it; no edge calls it")
    async def make(self, name: str, wish: dict[str, Any], by: str, decided: Sql) -> None:
        """Keep a profile that a second administrator has approved.

        Raises:
            ServiceError: `choice-refused`.
        """
        async with self._roster.changing:
            before, record = await self._directory.kept(name), self._roster.find("person", name)
            await self._keep(_profile({**wish["said"], "id": name}), before, record, by, decided)

    async def _keep(
        self, wanted: Profile, before: Profile | None, record: IdentityRecord | None, by: str, *more: Sql
    ) -> Profile:
        moved = bool(wanted.email) and (before is None or before.email != wanted.email)
        if record is not None and moved and by not in (*record.known_to, f"person:{record.id}"):
            changed = msgspec.structs.replace(record, known_to=[*record.known_to, by])
            self._roster.hold(changed)
            more = (*more, put_identity(changed))
        return await self._directory.keep(wanted, *more)

    @governed("profile.own")
    async def put_own(self, said: dict[str, Any]) -> Profile:
        """Change how one is reached oneself, and when one is away; what is not named stays.

        Raises:
            ServiceError: `choice-refused`, also for roles, groups, limits and the manager.
        """
        identity = self.guard.who()
        assert identity is not None, "the guard lets nobody through who has no name"
        others = sorted(set(said) - OWN)
        if others:
            raise ServiceError("choice-refused", f"{', '.join(others)}: not for oneself to say.")
        known = (await self._directory.all()).get(identity.id)
        before = msgspec.to_builtins(known) if known is not None else {"id": identity.id, "name": identity.display}
        return await self._directory.keep(_profile({**before, **said}))

    @governed("profile.put", on=of("Profile"))  # Taking an address away lets nobody act as somebody.
    async def remove(self, name: str) -> None:
        """Forget how somebody is reached; their codes are worth nothing then.

        Raises:
            ServiceError: `profile-unknown`.
        """
        if not await self._directory.forget(name):
            raise ServiceError("profile-unknown", f"There is no profile of {name!r}.")

    @governed("notice.read")
    async def notices(self, *, limit: int = 50, after: str | None = None) -> Page[NoticeView]:
        """What one was told in the app, newest first.

        Raises:
            ServiceError: `request-malformed`.
        """
        identity = self.guard.who()
        assert identity is not None, "the guard lets nobody through who has no name"
        limit, before = min(limit, PAGE_MAX), place_of(after)
        found = await self._store.read(
            lambda c: notices.notices_of_person(c, identity.id, limit=limit + 1, before=before)
        )
        more = str(found[limit - 1].id) if len(found) > limit else None
        places = await self._store.read(lambda c: human_tasks.places_of(c, [record.task for record in found]))
        lens_of = self._masking.lenses()
        shown = []
        for record in found[:limit]:
            if record.incident or record.about:
                shown.append(notice_view(record))  # it names a workflow and a place, and no data of the run
                continue
            digest, pointer = places.get(record.task, UNKNOWN_PLACE)
            shown.append(answers.notice(lens_of(digest), notice_view(record), pointer))
        return Page(items=shown, next=more)

    @governed("notice.read")
    async def read(self, number: int) -> None:
        """Note that one has seen a notice, and all before it."""
        identity = self.guard.who()
        assert identity is not None, "the guard lets nobody through who has no name"
        await self._store.write([notices.mark_read(identity.id, number, self._directory.now_ms())])


def _profile(said: dict[str, Any]) -> Profile:
    try:
        return msgspec.convert(said, Profile)
    except (msgspec.ValidationError, ValueError) as error:
        offered = f"; channels are {', '.join(get_args(Channel))}" if "channels" in str(error) else ""
        raise ServiceError("choice-refused", f"The profile does not fit: {error}{offered}.") from None
