"""What a person should know about their own account: told by mail or chat, where they have an address.

Sent beside the request that caused it, once: nobody waits for a mail server, and a process that dies sends none. What
happened is in the audit chain whether or not anybody could be told, and so is what became of the message.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from segue.service.directory import Directory
from segue.service.telling import chat_of, mail_of
from segue.store import Store
from segue.types import SYSTEM, EffectContext, Handler, Perform, SecretSource, TaskFailure, acting_as, whereabouts

_log = logging.getLogger("segue.service")
_WAIT_SECONDS: Final = 5.0
"""So long whoever closes the folder waits for messages that are under way."""


class Personal:
    """Messages to the people of one data folder.

    Args:
        handlers: Where `notify` is; what it cannot send is noted.
    """

    def __init__(
        self, store: Store, directory: Directory, handlers: Mapping[str, Handler], secrets: SecretSource
    ) -> None:
        self._store = store
        self._directory = directory
        self._handlers = handlers
        self._secrets = secrets
        self._under_way: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Send as long as the block lasts."""
        try:
            yield
        finally:
            if self._under_way:
                await asyncio.wait(self._under_way, timeout=_WAIT_SECONDS)
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    def tell(self, person: str, subject: str, text: str) -> None:
        """Tell somebody something, later."""
        task = asyncio.create_task(self._send(person, subject, text), name="segue-personal")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _send(self, person: str, subject: str, text: str) -> None:
        try:
            verdict, reason = await self._sent(person, subject, text)
        except Exception:
            _log.error("person %r could not be told about their account: %s", person, whereabouts())
            verdict, reason = "failed", "see the log"
        with acting_as(SYSTEM):
            self._store.note("notice.account", f"person:{person}", verdict=verdict, reason=reason)
        await self._store.write([])

    async def _sent(self, person: str, subject: str, text: str) -> tuple[str, str]:
        profile = (await self._directory.all()).get(person)
        if profile is None or not (profile.email or profile.chat):
            return "unsent", "there is no address"
        by_mail = bool(profile.email)
        arguments = mail_of(profile.email, subject, text) if profile.email else chat_of(profile.chat or "", text)
        key = f"account:{person}:{self._directory.now_ms()}"
        command = Perform(0, "notify", arguments, "notice", "", key)
        context = EffectContext("", "segue/accounts", key, self._secrets)
        try:
            await self._handlers["notify"].perform(command, context)
        except TaskFailure as error:
            failure = error.failure
            return "failed", failure.detail or failure.title or failure.type
        return "sent", "by mail" if by_mail else "by chat"
