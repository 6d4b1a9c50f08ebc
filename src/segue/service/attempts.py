"""Failed sign-ins in the audit chain, so that they can be looked up and nobody fills the disk with them.

Of each person, the first failure in five minutes is recorded at once; those that follow are counted, and told in one
record when the five minutes are over, when they succeed or are barred, or when the folder is closed. Names that
nobody has are counted together, and never written: people type passwords where names belong. Beyond a hundred people
in five minutes the rest are counted together too. So strangers cause at most about two hundred records in five
minutes, however often they try, and a process that is killed loses counts of five minutes and no first failure.

Source: decision 0110.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Protocol

from segue.service.roster import Roster, now_ms, one_more
from segue.store import HostError, Store
from segue.store.permission import IdentityRecord

INTERVAL_MS: Final = 5 * 60_000
NAMED_MAX: Final = 100
_LOOK_SECONDS: Final = 15.0
_STRANGERS: Final = ""
"""What names that nobody has are counted under; no person is called so."""
_OTHERS: Final = "*"


class FailedSignIns:
    """Counts them for one data folder."""

    def __init__(self, store: Store, workspace: str) -> None:
        self._store = store
        self._workspace = workspace
        self._since = 0
        self._untold: dict[str, int] = {}

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Tell the counts of each interval as long as the block lasts, and the last ones at its end."""
        async with told_in_time(self._store, self._tell_due, "segue-failed-sign-ins"):
            yield

    def failed(self, name: str | None, *, why: str = "") -> None:
        """Count one.

        Args:
            name: Of a person; None where nobody has the name that was given.
        """
        now = now_ms()
        if now - self._since >= INTERVAL_MS:
            self._tell_all()
            self._since = now
        key = _STRANGERS if name is None else name
        if key and key not in self._untold and len(self._untold) >= NAMED_MAX:
            key = _OTHERS
        first = key not in self._untold
        self._untold[key] = 0 if first else self._untold[key] + 1
        if first:
            self._record(key, 1, why)

    async def wrong(self, record: IdentityRecord, roster: Roster, now: int, *, why: str) -> None:
        """Count a wrong password of a person, here and towards their bar."""
        self.failed(record.id, why=why)
        failures, until = one_more(record.failures, record.barred_until, now)
        if failures == 0:
            self.barred(record.id, until)
        await roster.wrong(record, now)

    def told(self, name: str) -> int:
        """What is untold of this person's failures; whoever asks records it."""
        count = self._untold.get(name, 0)
        if count:
            self._untold[name] = 0
        return count

    def barred(self, name: str, until: int) -> None:
        """A name was barred, after too many failures in a row."""
        data = {"failures": self.told(name), "until": until}
        self._store.record(
            principal="nobody",
            action="login.barred",
            resource=f"person:{name}",
            verdict="done",
            reason="too many wrong passwords in a row",
            at=now_ms(),
            workspace=self._workspace,
            data=data,
        )

    def _record(self, key: str, count: int, why: str = "") -> None:
        people = {_STRANGERS: "names that nobody has", _OTHERS: "further people"}
        self._store.record(
            principal="nobody",
            action="login.password",
            resource="person" if key in people else f"person:{key}",
            verdict="deny",
            reason=people.get(key, why),
            at=now_ms(),
            workspace=self._workspace,
            data={"count": count},
        )

    def _tell_all(self) -> None:
        """What was counted and not told goes into the batch that is being gathered."""
        untold, self._untold = self._untold, {}
        for key, count in untold.items():
            if count:
                self._record(key, count, "further failures within five minutes")

    def _tell_due(self, now: int, *, at_once: bool) -> bool:
        is_due = at_once or bool(self._untold and now - self._since >= INTERVAL_MS)
        if is_due:
            self._tell_all()
        return is_due


class TellDue(Protocol):
    """Something that counts, and adds what it counted to the batch that is being gathered."""

    def __call__(self, now: int, /, *, at_once: bool) -> bool:
        """Tell what is due, or everything `at_once`; whether there was something."""
        ...


@asynccontextmanager
async def told_in_time(store: Store, tell: TellDue, name: str) -> AsyncIterator[None]:
    """Let counts be told when they are due as long as the block lasts, and the last ones at its end."""
    task = asyncio.create_task(_go_on(store, tell), name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        tell(now_ms(), at_once=True)


async def _go_on(store: Store, tell: TellDue) -> None:
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        if tell(now_ms(), at_once=False):
            try:
                await store.write([])
            except HostError:
                pass  # What was added is kept and written later.
