"""Lifecycle CloudEvents of all runs, posted to one address: at least once, and those of a run in their order.

The place in the histories up to which the receiver has said yes is kept with the data, one place for each address. A
batch goes out again until it is accepted, also after a restart; ids say which events came twice. What happened before
the address was set is not told.

Source: CloudEvents 1.0, HTTP protocol binding, batched content mode.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from segue.service import answers
from segue.service.definitions import Definitions
from segue.service.lifecycle import Lifecycle
from segue.service.masking import Lens, Masking
from segue.service.past import first_plan_of, state_of
from segue.store import ErasedData, HostError, Kept, RunRecord, Store
from segue.store.records import put_meta, read_meta
from segue.store.runs import find_runs
from segue.store.snapshots import read_folded, read_kept, read_page
from segue.types import Event, Identity, TaskFailure, whereabouts

if TYPE_CHECKING:
    from segue.connectors import Outbound

_log = logging.getLogger("segue.webhook")

LOOK_SECONDS: Final = 0.5
PAUSES_SECONDS: Final = (1.0, 2.0, 5.0, 15.0, 60.0)
"""How long to wait after one failure in a row, two, three …; the last one holds for all further ones."""
RECEIVER: Final = "lifecycle-webhook"
"""What the receiver is called in rules: `Link::"lifecycle-webhook"`."""
_ROWS: Final = 200
_FOLLOWED_MAX: Final = 1000
_MEDIA: Final = "application/cloudevents-batch+json"


class _Refused(Exception):
    """The receiver did not accept a batch."""


@dataclass(slots=True)
class _Followed:
    """A run whose state is kept at hand, as of its event number `seen`."""

    lifecycle: Lifecycle
    seen: int


@dataclass(frozen=True, slots=True)
class _News:
    """What a run has in a page of the histories.

    Attributes:
        seen: How many of its events lie before the page.
        kept: What is left of its history, where its state is not at hand; otherwise its events of the page.
    """

    record: RunRecord
    seen: int
    kept: Kept | list[Event]


class LifecycleWebhook:
    """Posts what happens to runs.

    Args:
        outbound: The guarded client: the outbound policy of the settings decides what it reaches.
    """

    def __init__(
        self, url: str, store: Store, definitions: Definitions, outbound: Outbound, masking: Masking
    ) -> None:
        self._url = url
        self._key = f"lifecycle-sent:{url}"
        self._store = store
        self._definitions = definitions
        self._outbound = outbound
        self._masking = masking
        self._seen_writes = -1
        self._followed: dict[int, _Followed] = {}

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Post as long as the block lasts."""
        if await self._store.read(lambda c: read_meta(c, self._key)) is None:
            newest = await self._store.read(lambda c: c.execute("SELECT max(id) FROM history").fetchone()[0])
            await self._store.write([put_meta(self._key, str(newest or 0))])
        task = asyncio.create_task(self._go_on(), name="segue-lifecycle-webhook")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _go_on(self) -> None:
        failed = 0
        while True:
            try:
                await self.look()
                failed = 0
            except (HostError, TaskFailure, _Refused) as error:
                _log.warning("lifecycle events go out later: %s", error)
                failed += 1
            except Exception:
                _log.error("lifecycle events could not be posted: %s", whereabouts())
                failed += 1
            pause = PAUSES_SECONDS[min(failed, len(PAUSES_SECONDS)) - 1] if failed else LOOK_SECONDS
            await asyncio.sleep(pause)

    async def look(self) -> None:
        """Post everything that the receiver has not accepted yet.

        Raises:
            TaskFailure: It cannot be reached, or the outbound policy forbids it.
            HostError: The store cannot be read or written.
        """
        writes = self._store.commit.writes
        if writes == self._seen_writes:
            return
        while True:
            after = int(await self._store.read(lambda c: read_meta(c, self._key)) or 0)
            at_hand = {run: followed.seen for run, followed in self._followed.items()}
            newest, news = await self._store.read(lambda c: _page(c, after, at_hand))  # noqa: B023 - awaited here
            if newest == after:
                break
            try:
                if batch := [event for of_run in news for event in self._told(of_run)]:
                    await self._post(batch)
            except BaseException:
                # What is at hand is further than what was accepted.
                self._followed.clear()
                raise
            await self._store.write([put_meta(self._key, str(newest))])
        self._seen_writes = writes

    def _told(self, news: _News) -> list[dict[str, Any]]:
        run = news.record
        try:
            if isinstance(news.kept, Kept):
                events = news.kept.events
                followed = self._follow(run, news.kept)
            else:
                events = news.kept
                followed = self._followed[run.seq]
            told: list[dict[str, Any]] = []
            lens = self._lens(run)
            for event in events:
                caused = followed.lifecycle.apply(event)
                followed.seen += 1
                if followed.seen > news.seen:
                    told += [answers.lifecycle(lens, cloud_event) for cloud_event in caused]
        except Exception:
            # One run that cannot be read must not keep all others from being told.
            _log.error("what happened to run %s is left out: %s", run.id, whereabouts())
            self._followed.pop(run.seq, None)
            return []
        self._followed.pop(run.seq, None)
        if not followed.lifecycle.closed:
            self._followed[run.seq] = followed
            if len(self._followed) > _FOLLOWED_MAX:
                self._followed.pop(next(iter(self._followed)))
        return told

    def _lens(self, run: RunRecord) -> Lens:
        """Whoever receives is nobody of ours: rules can let the link `lifecycle-webhook` see more."""
        link = Identity(kind="connection", id=RECEIVER, workspace=self._masking.workspace)
        return self._masking.lens(run.digest, by=link)

    def _follow(self, run: RunRecord, kept: Kept) -> _Followed:
        plan = self._definitions.plan(run.digest)
        if kept.snapshot is None:
            return _Followed(Lifecycle(plan, run.id), 0)
        state = state_of(run.id, first_plan_of(self._definitions, plan, kept), kept.snapshot)
        return _Followed(Lifecycle(plan, run.id, state, kept.before), kept.before)

    async def _post(self, batch: list[dict[str, Any]]) -> None:
        answer = await self._outbound.send(
            "POST",
            self._url,
            headers={"content-type": _MEDIA},
            content=msgspec.json.encode(batch),
            repeatable=True,
        )
        if not 200 <= answer.status < 300:
            raise _Refused(f"the receiver answers with the status {answer.status}")


def _page(connection: sqlite3.Connection, after: int, at_hand: Mapping[int, int]) -> tuple[int, list[_News]]:
    """What the next rows of the histories hold, run by run, and the last of these rows."""
    sql = (
        "SELECT run, count(*), max(id) FROM (SELECT id, run FROM history WHERE id > ? ORDER BY id LIMIT ?)"
        " GROUP BY run ORDER BY min(id)"
    )
    rows = connection.execute(sql, (after, _ROWS)).fetchall()
    records = {record.seq: record for record in find_runs(connection, [run for run, _, _ in rows])}
    news = []
    for run, count, _ in rows:
        # A hidden run waits for the events of a schedule: it is the host's own.
        if run in records and not records[run].hidden:
            with suppress(ErasedData):
                news.append(_news(connection, records[run], after, count, at_hand.get(run)))
    return max((newest for _, _, newest in rows), default=after), news


def _news(connection: sqlite3.Connection, record: RunRecord, after: int, count: int, seen: int | None) -> _News:
    if seen is not None:
        before, events = read_page(connection, record.seq, seen, count)
        if before == seen:
            return _News(record, seen, events)
    sql = "SELECT count(*) FROM history WHERE run = ? AND id <= ?"
    (earlier,) = connection.execute(sql, (record.seq, after)).fetchone()
    seen = read_folded(connection, record.seq) + earlier
    kept = read_kept(connection, record.seq)
    return _News(record, seen, Kept(kept.before, kept.snapshot, kept.events[: seen + count - kept.before]))
