"""Telling people: changes of human tasks, and exceptions that are passed on, become notices; each goes out at most
once, and with a record.

Notices of a change are made in one transaction with the note that they are made. Before a mail leaves, `sending` is
on disk; a process that dies then finds it at the next start and leaves it as `unknown`, because a second mail is
worse than a reminder that comes anyway. A chat gets a key with each notice, so that one is repeated.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import msgspec

from segue.people import (
    CODE_LIFE_MS,
    Profile,
    Told,
    audience_of_owner,
    digest_text,
    hash_code,
    member_of,
    new_code,
    next_waking,
    notices_of,
    text_of,
    text_of_exception,
    text_of_wish,
)
from segue.service import answers
from segue.service.declared import said_of
from segue.service.definitions import Definitions
from segue.service.desk import code_page, inbox_page, task_page
from segue.service.directory import Directory, identity_of
from segue.service.errors import ServiceError
from segue.service.holders import Holders
from segue.service.masking import UNKNOWN_PLACE, Masking
from segue.service.observe import iso
from segue.store import HostError, Store, human_tasks, notices
from segue.store.human_tasks import PRIORITIES
from segue.store.notices import NoticeRecord, UntoldChange, UntoldStep
from segue.store.records import Sql
from segue.store.wishes import void_decided
from segue.types import EffectContext, Failure, Handler, Perform, SecretSource, TaskFailure, whereabouts

_log = logging.getLogger("segue.service")

LOOK_SECONDS: Final = 0.5
_AT_ONCE: Final = 200
_TRIED_AGAIN_MS: Final = 60_000
_GIVEN_UP_MS: Final = 24 * 3_600_000
"""What cannot go out is tried again each minute for a day."""
_URGENT: Final = PRIORITIES.index("urgent")
_OFFERING: Final = frozenset({"offered", "reassigned", "resubmitted", "escalated"})
_ALONE_MAX: Final = 5
"""Up to so many that waited for the end of quiet hours come one by one, each with its link; more come as one."""
_WITH_LINK: Final = frozenset({"offered", "reminded", "escalated", "delegated", "reassigned", "resubmitted"})


class Telling:
    """Makes and sends the notices of one data folder.

    Args:
        handlers: Where `notify` is; what it cannot send (no mail server) is noted as failed.
        public_url: Where the server can be reached from outside, for links; none are sent without it.
    """

    def __init__(
        self,
        store: Store,
        directory: Directory,
        handlers: Mapping[str, Handler],
        secrets: SecretSource,
        public_url: str | None,
        masking: Masking,
        definitions: Definitions,
        holders: Holders,
    ) -> None:
        self._store = store
        self._definitions = definitions
        self._holders = holders
        self._directory = directory
        self._masking = masking
        self._handlers = handlers
        self._secrets = secrets
        self._public_url = None if public_url is None else public_url.rstrip("/")
        self._seen_writes = -1

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Tell people as long as the block lasts."""
        await self._store.write([notices.doubt_mail(), notices.repeat_chat()])
        task = asyncio.create_task(self._go_on(), name="segue-telling")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _go_on(self) -> None:
        while True:
            try:
                await self.look()
            except HostError as error:
                _log.warning("people are told later: %s", error)
            except Exception:
                _log.error("people could not be told: %s", whereabouts())
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Make what notices are missing, and send what is due."""
        writes = self._store.commit.writes
        if writes != self._seen_writes:
            while changes := await self._store.read(partial(notices.untold, limit=_AT_ONCE)):
                await self._make(changes)
            while steps := await self._store.read(partial(notices.untold_steps, limit=_AT_ONCE)):
                await self._make_of_exceptions(steps)
            self._seen_writes = writes
        now = self._directory.now_ms()
        soonest = await self._store.read(notices.next_due)
        if soonest is not None and soonest <= now:
            await self._store.write(void_decided())
            found = await self._store.read(partial(notices.due_notices, now=now, limit=_AT_ONCE))
            profiles = await self._directory.all()
            for together in _gathered(await self._awake(found, profiles, now), profiles):
                await self._send(together, now)

    # -- making ------------------------------------------------------------------------------------

    async def _make(self, changes: Sequence[UntoldChange]) -> None:
        profiles, now = await self._directory.all(), self._directory.now_ms()
        statements: list[Sql] = [notices.mark_told([change.id for change in changes])]
        for change in changes:
            if not change.open:
                continue  # Decided meanwhile: nobody has to do anything.
            # Neither who asked for it nor who has a voice in it can do anything about it now.
            others = change.voices | ({change.requester} if change.requester else set())
            told = Told(change.change, change.owner, change.audience, others, change.priority == _URGENT)
            if profiles and change.change in _OFFERING and await self._is_for_nobody(change, others):
                told = await self._stuck(change, profiles)
                change = msgspec.structs.replace(change, change=told.change)
            statements += [
                notices.make_notice(change, n.person, n.channel, now, n.due_ms)
                for n in notices_of(told, profiles, now)
            ]
        await self._store.write(statements)

    async def _is_for_nobody(self, change: UntoldChange, others: frozenset[str]) -> bool:
        """Nobody there is could decide it, so that it would wait in silence. Agents are no people, and come by."""
        asked = change.audience
        if change.owner or asked.get("agents") or asked.get("manager"):
            return False
        return not await self._holders.decide(asked, requesters=others)

    async def _stuck(self, change: UntoldChange, profiles: Mapping[str, Profile]) -> Told:
        """Who hears of it instead: whoever answers for the workflow, else those who can offer it to others."""
        places = await self._store.read(lambda c: human_tasks.places_of(c, [change.task]))
        digest = places.get(change.task, UNKNOWN_PLACE)[0]
        try:
            owner = said_of(self._definitions.plan(digest).definition).get("owner")
        except (LookupError, ServiceError):
            owner = None
        means = audience_of_owner(owner, profiles) if isinstance(owner, str) else {}
        meant = [p for p in profiles.values() if member_of(identity_of(p, ""), means, {}, 0) is not None]
        people = [p.id for p in meant] or await self._holders.assigning()
        # Names may come from the data of the run, and the chain keeps what it is told.
        asked = {kind: change.audience[kind] for kind in ("roles", "groups") if change.audience.get(kind)}
        facts = {"change": change.change, "asked": asked, "told": people}
        self._store.note("task.undecidable", f"human-task:{change.task}", data=facts)
        return Told("undecidable", "", {"people": people}, frozenset(), change.priority == _URGENT)

    async def _make_of_exceptions(self, steps: Sequence[UntoldStep]) -> None:
        profiles, now = await self._directory.all(), self._directory.now_ms()
        statements: list[Sql] = []
        for step in steps:
            statements.append(notices.mark_step_told(step))
            audience = audience_of_owner(step.owner, profiles) if step.owner else {}
            told = Told("overdue", "", audience, frozenset(), False)
            statements += [
                notices.make_step_notice(step, told.change, n.person, n.channel, now, n.due_ms)
                for n in notices_of(told, profiles, now)
            ]
        await self._store.write(statements)

    # -- sending -----------------------------------------------------------------------------------

    async def _awake(
        self, found: Sequence[NoticeRecord], profiles: Mapping[str, Profile], now: int
    ) -> list[NoticeRecord]:
        """Those that may disturb now; the others wait on.

        Each was made for a waking hour, but it may be later than that: no server ran, or none took the mail.
        """
        free: list[NoticeRecord] = []
        later: list[Sql] = []
        for notice in found:
            profile = profiles.get(notice.person)
            waking = now if profile is None else next_waking(profile, now)
            if waking <= now or await self._is_urgent(notice):
                free.append(notice)
            else:
                later.append(notices.postpone_notices([notice.id], waking, notice.receipt or ""))
        if later:
            await self._store.write(later)
        return free

    async def _is_urgent(self, notice: NoticeRecord) -> bool:
        task = await self._store.read(lambda c: human_tasks.find_human_task(c, notice.task)) if notice.task else None
        return task is not None and task.priority == _URGENT

    async def _send(self, together: Sequence[NoticeRecord], now: int) -> None:
        """Send notices of one person by one channel, as one."""
        first, numbers = together[0], [notice.id for notice in together]
        profile = (await self._directory.all()).get(first.person)
        address = None if profile is None else profile.email if first.channel == "email" else profile.chat
        if profile is None or not address:
            await self._store.write([notices.mark_notices(numbers, "failed", None, "there is no address any more")])
            return
        link, made = self._link(together, now)
        subject, text = _said(await self._readable(together, profile), link, self._public_url)
        await self._store.write([notices.mark_notices(numbers, "sending", None), *made])
        arguments = mail_of(address, subject, text) if first.channel == "email" else chat_of(address, text)
        key = f"notice:{first.id}" + (f"+{len(numbers) - 1}" if len(numbers) > 1 else "")
        command = Perform(first.id, "notify", arguments, "notice", "", key)
        context = EffectContext("", "segue/tasks", key, self._secrets)
        try:
            record = await self._handlers["notify"].perform(command, context)
        except TaskFailure as error:
            await self._store.write([self._after(error.failure, together, now)])
            return
        except Exception as error:
            # Nobody knows how far it came.
            said = f"{type(error).__name__}: {error}"
            await self._store.write([notices.mark_notices(numbers, "unknown", None, said)])
            raise
        await self._store.write([notices.mark_notices(numbers, "sent", self._directory.now_ms(), record["id"])])

    async def _readable(self, together: Sequence[NoticeRecord], profile: Profile) -> list[NoticeRecord]:
        """The notices with their titles as whoever gets them may see them."""
        places = await self._store.read(lambda c: human_tasks.places_of(c, [notice.task for notice in together]))
        shown = []
        for notice in together:
            if notice.about:
                shown.append(notice)  # it names workflows and people, and no data of a run
                continue
            digest, pointer = places.get(notice.task, UNKNOWN_PLACE)
            lens = self._masking.lens(digest, by=identity_of(profile, self._masking.workspace))
            title = answers.title(lens, notice.title, pointer) if lens.hidden else notice.title
            shown.append(msgspec.structs.replace(notice, title=title))
        return shown

    def _after(self, failure: Failure, together: Sequence[NoticeRecord], now: int) -> Sql:
        numbers = [notice.id for notice in together]
        said = failure.detail or failure.title or failure.type
        if failure.outcome_unknown and together[0].channel == "email":
            return notices.mark_notices(numbers, "unknown", None, said)
        passing = failure.type.endswith(("/communication", "/timeout", "/runtime"))
        if passing and now - together[0].made_at < _GIVEN_UP_MS:
            return notices.postpone_notices(numbers, now + _TRIED_AGAIN_MS, said)
        return notices.mark_notices(numbers, "failed", None, said)

    def _link(self, together: Sequence[NoticeRecord], now: int) -> tuple[str | None, list[Sql]]:
        """A link with a code for one task by mail; a chat is read by many, and a digest is about many tasks."""
        first = together[0]
        alone = len(together) == 1 and first.channel == "email" and first.kind in _WITH_LINK
        if self._public_url is None or not alone:
            return None, []
        code = new_code()
        made = notices.put_code(hash_code(code), first.task, first.person, now, now + CODE_LIFE_MS)
        return self._public_url + code_page(code), [made]


def _gathered(found: Sequence[NoticeRecord], profiles: Mapping[str, Profile]) -> list[list[NoticeRecord]]:
    """What goes out as one, by person and channel: all of who wants digests, and what waited for the end of quiet
    hours where that is much; of others each alone."""
    groups: dict[tuple[str, str], list[NoticeRecord]] = {}
    for notice in found:
        groups.setdefault((notice.person, notice.channel), []).append(notice)
    gathered: list[list[NoticeRecord]] = []
    for (person, _), all_of in groups.items():
        profile = profiles.get(person)
        waited = [notice for notice in all_of if notice.due_at > notice.made_at]
        if profile is not None and profile.digest_minutes:
            together = all_of
        elif profile is not None and profile.quiet is not None and len(waited) > _ALONE_MAX:
            together = waited
        else:
            together = []
        gathered += [together] if together else []
        gathered += [[notice] for notice in all_of if notice not in together]
    return gathered


def _said(together: Sequence[NoticeRecord], link: str | None, public_url: str | None) -> tuple[str, str]:
    """Subject and text. Whoever has no link of their own signs in at the page of the task, or at the inbox."""
    inbox = None if public_url is None else public_url + inbox_page()
    if len(together) > 1:
        items = [(notice.kind, notice.title, notice.incident or notice.task) for notice in together]
        return digest_text(items, inbox=inbox)
    (notice,) = together
    due = None if notice.due is None else iso(notice.due)
    if notice.about:
        return text_of_wish(notice.kind, notice.title, inbox=inbox)
    if notice.incident:
        return text_of_exception(notice.title, number=notice.incident, due=due)
    page = None if public_url is None else public_url + task_page(notice.task)
    return text_of(notice.kind, notice.title, number=notice.task, due=due, page=page, link=link)


def mail_of(address: str, subject: str, text: str) -> dict[str, Any]:
    return {"channel": "email", "to": address, "subject": subject, "text": text}


def chat_of(address: str, text: str) -> dict[str, Any]:
    return {"channel": "webhook", "endpoint": {"uri": address}, "body": {"text": text}}
