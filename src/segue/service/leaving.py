"""What somebody had in hand goes back to the others when they may act no more: locked, or removed by a directory.

Only tasks that they had claimed, or that were delegated to them: what is assigned to them by name stays theirs until
somebody reassigns it, or its ladder goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from segue.service.directory import Directory
from segue.service.roster import Roster
from segue.store import HostError, Store, human_tasks
from segue.store.human_tasks import HumanTaskFilter, HumanTaskRecord
from segue.types import SYSTEM, TaskAssigned, whereabouts

if TYPE_CHECKING:
    from segue.core import Tasking
    from segue.hosts import EmbeddedHost

_log = logging.getLogger("segue.service")

_AT_ONCE: Final = 200
AGAIN_SECONDS: Final = 5.0
"""A claim that was under way when its person was locked is on disk by then."""


class Leaving:
    """Puts back what people had in hand who may act no more, in one data folder."""

    def __init__(self, store: Store, roster: Roster, directory: Directory, host: EmbeddedHost) -> None:
        self._store = store
        self._roster = roster
        self._directory = directory
        self._host = host

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Do so as long as the block lasts; first for whoever was locked while no host ran, or before a crash."""
        self._roster.left.set()
        task = asyncio.create_task(self._go_on(), name="segue-leaving")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _go_on(self) -> None:
        while True:
            await self._roster.left.wait()
            while self._roster.left.is_set():
                self._roster.left.clear()
                await self._look()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._roster.left.wait(), AGAIN_SECONDS)
            await self._look()

    async def _look(self) -> None:
        try:
            await self.look()
            return
        except HostError as error:
            _log.warning("tasks of people who left are put back later: %s", error)
        except Exception:
            _log.error("tasks of people who left could not be put back: %s", whereabouts())
        await asyncio.sleep(AGAIN_SECONDS)
        self._roster.left.set()

    async def look(self) -> None:
        """Put everything back that such people have in hand."""
        for name, _, _ in await self._store.read(partial(human_tasks.workload, now=self._directory.now_ms())):
            record = self._roster.find("person", name)
            if record is not None and record.state != "active":
                await self._put_back(name, f"{name} may act no more: {record.reason or record.state}"[:1000])

    async def _put_back(self, name: str, reason: str) -> None:
        wanted, before = HumanTaskFilter(open=True, owner=name), None
        while found := await self._store.read(
            partial(human_tasks.list_human_tasks, wanted=wanted, limit=_AT_ONCE, before=before)
        ):
            for record in found:
                try:
                    await self._offer_again(record, name, reason)
                except HostError as error:
                    # One run that cannot be read must not keep the others in the hands of who left.
                    _log.warning("task %s stays claimed by %s: %s", record.id, name, error)
            before = found[-1].id

    async def _offer_again(self, record: HumanTaskRecord, name: str, reason: str) -> None:
        task = await self._host.asked(record.run_id, record.task)
        if task is None:
            return
        audience = dict(task.audience)
        # Offered to the same people anew, and not just released: so they hear of it.
        event = TaskAssigned(0, record.task, "reassign", audience=audience, by=SYSTEM.name, reason=reason)

        def meant(now: Tasking) -> None:
            if now.owner != name or now.audience != audience:
                raise _Changed

        with suppress(_Changed):
            await self._host.attend(record.run_id, event, meant=meant)


class _Changed(Exception):
    """The clock or somebody came first; the next look finds what is left to do."""
