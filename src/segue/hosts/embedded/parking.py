"""Parking: runs that only wait leave memory, and come back when something happens to them.

A run can be parked when all it waits for are timers that come due later, events, or runs below it, and nothing has
happened to it for a while. Its timers and waits then stand in indexed rows; its state is dropped, because history
holds it. Waking is reading: the newest snapshot of a run that has one, and the events since; apply them, arm what is
open again. Nothing is written when a run is woken, only when an event is then applied to it.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import zlib
from collections.abc import Callable, Collection, Coroutine, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from segue.core import Plan, RunState, replay
from segue.core.machines.act import split
from segue.core.places import place_of
from segue.core.snapshot import SnapshotRefused, digest_of
from segue.hosts.embedded.engine import WORKFLOW, Engine
from segue.hosts.embedded.folding import restored
from segue.hosts.embedded.live import EFFORTS_MAX, GONE, Effort, LiveRun
from segue.hosts.embedded.own import call_soon, spawn
from segue.hosts.embedded.patience import Patience
from segue.hosts.embedded.plans import Plans
from segue.store import Batch, ErasedData, HostError, RunRecord, Store, effects, records, runs, snapshots
from segue.types import (
    AttemptSucceeded,
    AwaitMessages,
    Event,
    MessageConsumed,
    Perform,
    RunStarted,
    StartTimer,
    whereabouts,
)

_log = logging.getLogger("segue.hosts")

_READ_AT_ONCE: Final = 256
_FOLDED_AT_ONCE: Final = 32

Answer = TypeVar("Answer")


class Found:
    """What the store holds of some runs. Filled in a reading thread.

    Args:
        refused: Runs whose newest snapshot this release cannot read.

    Attributes:
        unreadable: Runs that cannot be read, and why: erased, or damaged. They must not keep those beside them from
            going on.
    """

    def __init__(self, c: sqlite3.Connection, seqs: Sequence[int], refused: Sequence[int] = ()) -> None:
        self.records = [r for r in runs.find_runs(c, seqs) if r.residence in ("live", "parked")]
        self.unreadable: list[tuple[RunRecord, Exception]] = []
        try:
            self._read(c, refused)
        except _UNREADABLE:
            self.unreadable = [(record, why) for record in self.records if (why := _trouble(c, record.seq, refused))]
            if not self.unreadable:
                raise
            gone = {record.seq for record, _ in self.unreadable}
            self.records = [record for record in self.records if record.seq not in gone]
            self._read(c, refused)

    def _read(self, c: sqlite3.Connection, refused: Sequence[int]) -> None:
        chosen = [r.seq for r in self.records]
        self.heads = snapshots.heads(c, chosen, skip=refused)
        whole = [seq for seq in chosen if seq not in self.heads]
        self.histories = runs.read_histories(c, whole)
        self.histories.update((seq, head.events) for seq, head in self.heads.items())
        self.intended: dict[int, set[int]] = {}
        self.effects: dict[int, list[records.EffectRecord]] = {}
        for effect in records.recent_effects_of(c, chosen, limit=EFFORTS_MAX):
            self.effects.setdefault(effect.run, []).append(effect)
            if effect.state == "intent":
                self.intended.setdefault(effect.run, set()).add(effect.command)
        self.forgetful = effects.with_floors(c, chosen)
        self.inbox: dict[int, list[tuple[int, Event]]] = {}
        for number, run, event in records.read_inbox(c, chosen):
            self.inbox.setdefault(run, []).append((number, event))
        self.children: dict[int, dict[int, int]] = {}
        for parent, command, child in runs.open_children(c, chosen):
            self.children.setdefault(parent, {})[command] = child
        self.taken = {r.seq: _taken(c, self.histories[r.seq]) for r in self.records if r.hidden}
        self.above = {r.seq: _above(c, r) for r in self.records if r.parent_command is not None}


_UNREADABLE: Final = (ErasedData, ValueError, zlib.error)
"""What reading a run raises where its rows are erased or no longer what was written. Trouble with the file as a whole
is a `HostError`, and is tried again."""


def _trouble(c: sqlite3.Connection, seq: int, refused: Sequence[int]) -> Exception | None:
    """Why this run cannot be read, read by itself."""
    try:
        snapshots.heads(c, [seq], skip=refused)
        runs.read_histories(c, [seq])
        records.recent_effects_of(c, [seq], limit=EFFORTS_MAX)
        records.read_inbox(c, [seq])
    except ErasedData:
        return ErasedData("it is about a data subject that was erased")
    except _UNREADABLE as error:
        return error
    return None


class Parking:
    """Moves runs out of memory and back."""

    def __init__(self, engine: Engine, store: Store, plans: Plans) -> None:
        self._engine = engine
        self._store = store
        self._plans = plans
        self._candidates: dict[LiveRun, None] = {}
        self._waking: dict[int, asyncio.Future[LiveRun | None]] = {}
        self._wanted: list[int] = []
        self._unread: set[int] = set()
        # For each reading under way: runs that have left memory since it began.
        self._left: dict[object, set[int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin to look for runs to park."""
        self._sweeper = spawn(self._sweep(), "segue-parking")

    async def close(self) -> None:
        """Park and wake nothing any more."""
        tasks = [*self._tasks, *([self._sweeper] if self._sweeper is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- out of memory -----------------------------------------------------------------------------

    def consider(self, run: LiveRun) -> None:
        """This run has begun to wait for something that may take long."""
        # The host's own runs stay: there are few, and events reach them all the time.
        if not run.hidden:
            self._candidates[run] = None

    async def _sweep(self) -> None:
        while True:
            await self._engine.clock.sleep(self._engine.settings.park_sweep_ms / 1000)
            now = self._engine.clock.now_ms()
            for place, run in enumerate(list(self._candidates)):
                if run.gone or run.state.ended is not None:
                    del self._candidates[run]
                elif self._may_leave(run, now):
                    self._park(run)
                if place % 1000 == 999:
                    await asyncio.sleep(0)
            self._engine.postman.save_progress()
            self._engine.commit.flush()

    def _may_leave(self, run: LiveRun, now: int) -> bool:
        settings = self._engine.settings
        state = run.state
        if run.acts or run.searching or run.parking:
            return False
        if now - max(state.last_at, run.woken_at) < settings.park_after_ms:
            return False
        soonest = now + settings.park_timer_min_ms
        for command in state.open.values():
            if isinstance(command, StartTimer):
                if command.due_ms < soonest:
                    return False
            elif isinstance(command, AwaitMessages):
                # One that is still on its way to the disk has yet to look for events that came before it.
                if not self._engine.postman.has_open(run, command.id):
                    return False
            elif isinstance(command, Perform) and command.handler != WORKFLOW:
                return False
        return True

    def _park(self, run: LiveRun) -> None:
        if run.parked:
            # It was woken and nothing came of it: what the store holds is still right.
            self._leave(run)
            return
        timers: dict[int, int] = {}
        waits: dict[int, tuple[str, ...]] = {}
        for command in run.state.open.values():
            if isinstance(command, StartTimer):
                timers[command.id] = command.due_ms
            elif isinstance(command, AwaitMessages):
                waits[command.id] = command.types
                self._engine.postman.expect(command.types or ("",))
        batch = run.parking = self._engine.commit.pending
        batch.park(run.seq, timers=timers, waits=waits)
        batch.held.append((partial(self._parked, run, batch), None))

    def _parked(self, run: LiveRun, batch: Batch) -> None:
        # An event may have called this parking off, and a later batch may park the run again: that one counts, and
        # what the run waits for is not on disk before it.
        if run.parking is batch and not run.gone:
            run.parking = None
            run.parked = True
            self._leave(run)

    def _leave(self, run: LiveRun) -> None:
        self._candidates.pop(run, None)
        timers = [c.due_ms for c in run.state.open.values() if isinstance(c, StartTimer)]
        for due_ms in timers:
            self._engine.timekeeper.expect(run.seq, due_ms)
        self._engine.forget(run)
        self._engine.timekeeper.abandon(len(timers))

    # -- back into memory --------------------------------------------------------------------------

    def wake(self, seq: int) -> asyncio.Future[LiveRun | None]:
        """Bring a run into memory; None when it is closed, set aside, or does not exist.

        Those that are asked for in the same turn of the event loop are read together.
        """
        future = self._waking.get(seq)
        if future is not None:
            return future
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        run = self._engine.runs.get(seq)
        if run is not None:
            future.set_result(run)
            return future
        self._waking[seq] = future
        if not self._wanted:
            call_soon(loop, self._read_wanted)
        self._wanted.append(seq)
        return future

    async def ensure(self, seq: int) -> LiveRun | None:
        """Bring a run into memory and use it at once: it stays there until the caller next waits for something."""
        while True:
            run = await asyncio.shield(self.wake(seq))
            # It may have been parked again between the moment it was read and this one.
            if run is None or not run.gone:
                return run

    def _read_wanted(self) -> None:
        wanted, self._wanted = self._wanted, []
        for start in range(0, len(wanted), _READ_AT_ONCE):
            self._spawn(self._wake(wanted[start : start + _READ_AT_ONCE]))

    async def _wake(self, seqs: Sequence[int]) -> None:
        try:
            await self.load(seqs, recovering=False)
        except HostError as error:
            self._not_woken(seqs, error)
            self._try_again(seqs)
        except asyncio.CancelledError:
            # That it is in no memory now does not mean that it is over: nobody may take what waits for it away.
            self._not_woken(seqs, HostError("the host is being closed; the run goes on after the next start"))
            raise
        finally:
            for seq in seqs:
                future = self._waking.pop(seq)
                if not future.done():
                    future.set_result(self._engine.runs.get(seq))

    def _not_woken(self, seqs: Sequence[int], error: HostError) -> None:
        for seq in seqs:
            if not (future := self._waking[seq]).done():
                future.set_exception(error)
                future.exception()  # Nobody may be listening, so nobody would see it.

    def _try_again(self, seqs: Sequence[int]) -> None:
        """Runs could not be read; timers may have come due in them, so they must not be forgotten."""
        # Whoever else asks for one meanwhile reads it too, and must not add to those who try again.
        if new := [seq for seq in seqs if seq not in self._unread]:
            self._unread.update(new)
            self._spawn(self._keep_trying(new))

    async def _keep_trying(self, seqs: Sequence[int]) -> None:
        patience = Patience(self._engine.clock)
        while seqs:
            # Sleeping, and not by a timer: a clock that is set back would hold it up.
            await patience.wait()
            unread = await asyncio.gather(*(self._is_unread(seq) for seq in seqs))
            seqs = [seq for seq, still in zip(seqs, unread, strict=True) if still]

    async def _is_unread(self, seq: int) -> bool:
        """Read it once more."""
        try:
            await asyncio.shield(self.wake(seq))
        except HostError:
            return True
        # At once: it may be parked again before the others have been read.
        self._unread.discard(seq)
        return False

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = spawn(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def load(self, seqs: Sequence[int], *, recovering: bool) -> None:
        """Read runs and resume them.

        Args:
            recovering: They were in memory when the process ended, so acts may have been performed.
        """
        reading = object()
        left = self._left[reading] = set()
        try:
            await self._load(seqs, left, recovering)
        finally:
            del self._left[reading]
        if again := [seq for seq in seqs if seq in left and seq not in self._engine.runs]:
            # They were in memory meanwhile, so what was read of them is older than what they did there.
            await self._engine.wait_committed()
            await self.load(again, recovering=recovering)

    def gone(self, seq: int) -> None:
        """This run has left memory."""
        for left in self._left.values():
            left.add(seq)

    async def _load(self, seqs: Sequence[int], left: Collection[int], recovering: bool) -> None:
        found = await self._store.read(lambda c: Found(c, seqs))
        for record, why in found.unreadable:
            if record.seq not in self._engine.runs:
                self._set_aside(record, why)
        for place, record in enumerate(found.records):
            # A child that was started meanwhile, or a run that was never gone.
            if record.seq in self._engine.runs or record.seq in left:
                continue
            try:
                self._resume(record, found, recovering)
            except SnapshotRefused as error:
                await self._resume_older(record, error, recovering)
            if place % _FOLDED_AT_ONCE == _FOLDED_AT_ONCE - 1:
                await asyncio.sleep(0)

    async def _resume_older(self, record: RunRecord, error: Exception, recovering: bool) -> None:
        """Go on from the snapshot before the one that cannot be read, or from the first event."""
        _log.warning("the newest snapshot of run %s cannot be read, so its history is: %s", record.id, error)
        found = await self._store.read(lambda c: Found(c, [record.seq], [record.seq]))
        for again in found.records:
            head = found.heads[again.seq]
            if head.snapshot is None and head.folded:
                self._set_aside(again, error)
            elif again.seq not in self._engine.runs:
                try:
                    self._resume(again, found, recovering)
                except SnapshotRefused as older:
                    self._set_aside(again, older)

    def _resume(self, record: RunRecord, found: Found, recovering: bool) -> None:
        history = found.histories[record.seq]
        head = found.heads.get(record.seq)
        run = None
        try:
            plan = self._plans.plan(record.digest)
            run = _unfold(record, plan, history, found.above.get(record.seq, ()))
            run.state = self._fold(plan, history, head)
            run.subject = record.subject
            self._engine.seal_for(run)
        except SnapshotRefused:
            raise
        except Exception as error:
            self._set_aside(record, error)
            return
        if head is not None and head.snapshot is not None:
            run.events += head.snapshot.event
            run.consumed = {(source, id): at for source, id, at in head.snapshot.host.consumed} | run.consumed
        self._engine.folding.follow(run, head)
        run.woken_at = self._engine.clock.now_ms()
        ledger = found.effects.get(record.seq, ())
        run.efforts = _efforts(run.id, ledger, history, whole=head is None)
        run.forgets_efforts = len(ledger) >= EFFORTS_MAX or record.seq in found.forgetful
        run.children = found.children.get(record.seq, {})
        run.taken = found.taken.get(record.seq, [])
        recovering = recovering and record.residence == "live"
        if recovering:
            self._put_right(run, ledger)
        self._engine.resume(run, frozenset(found.intended.get(record.seq, ())), recovering=recovering)
        if run.state.queued:
            self._engine.admission.enter_again(run)
        for number, event in found.inbox.get(record.seq, ()):
            self._engine.children.deliver(run, number, event)

    def _fold(self, plan: Plan, history: Sequence[Event], head: snapshots.Head | None) -> RunState:
        if head is None or head.snapshot is None:
            state = replay(plan, history)
        else:
            digest = digest_of(head.snapshot.content)
            was = plan if digest == plan.digest else self._plans.plan(digest)
            state = replay(plan, history, state=restored(was, head.snapshot))
        if state.ended is not None:
            # Acts that nobody waits for outlive their run; which of them have answered only history knows.
            for event in history:
                if not isinstance(event, RunStarted):
                    state.open.pop(getattr(event, "id", -1), None)
        return state

    def _put_right(self, run: LiveRun, ledger: Sequence[records.EffectRecord]) -> None:
        """See to it that the inbox holds what it must, whatever release wrote the run and whenever it died."""
        if run.state.held:
            self._engine.incidents.rebuild(run)
        for effect in ledger:
            if effect.state == "intent" and effect.command not in run.state.open:
                self._engine.incidents.orphaned(run, effect.command, effect.key, effect.pointer)

    # -- acts of the past --------------------------------------------------------------------------

    async def look_up_effort(self, run: LiveRun, effect: str) -> Effort | None:
        """How the newest attempt at an act ended that is no longer in memory."""
        place = place_of(run.plan, run.state, effect)
        task, at = (split(effect)[0], None) if place is None else place

        def look(c: sqlite3.Connection) -> tuple[list[effects.EffectEntry], bool]:
            found = effects.effects_by_key(c, f"{run.id}:{effect}")
            return found, not found and effects.is_gone(c, run.seq, task, at)

        attempts, gone = await self._read(look)
        if not attempts:
            return Effort(GONE) if gone else None
        newest = attempts[-1]
        return Effort(newest.state, newest.receipt, newest.command if newest.state == "done" else None)

    async def read_receipt(self, run: LiveRun, command: int) -> Any:
        """What an act answered whose answer is no longer in memory."""
        return await self._read(lambda c: snapshots.read_answer(c, run.seq, command))

    async def _read(self, query: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Read, however long the store is in trouble: that is the host's, and no failure of a task."""
        patience = Patience(self._engine.clock)
        while True:
            try:
                return await self._store.read(query)
            except HostError as error:
                _log.warning("an act waits until what came before it can be read: %s", error)
                await patience.wait()

    def _set_aside(self, record: RunRecord, error: Exception) -> None:
        _log.error("run %s cannot be read back and is set aside: %s", record.id, whereabouts(error))
        reason = f"{type(error).__name__}: {error}"
        self._engine.commit.pending.statements.append(records.quarantine_run(record.seq, reason))
        self._engine.incidents.unreadable(record, reason)
        self._engine.admission.leave(record.seq)
        self._engine.wake()


def _unfold(record: RunRecord, plan: Plan, history: Sequence[Event], above: tuple[int, ...]) -> LiveRun:
    run = LiveRun(
        record.seq,
        record.id,
        plan,
        record.digest,
        cause=record.cause or {},
        parent=None if record.parent_command is None else record.parent,
        parent_command=record.parent_command,
        above=above,
        hidden=record.hidden,
    )
    run.events = len(history)
    run.status = record.status
    run.parked = record.residence == "parked"
    run.consumed = consumed_in(history)
    return run


def _efforts(
    run_id: str, effects: Sequence[records.EffectRecord], history: Sequence[Event], *, whole: bool
) -> dict[str, Effort]:
    """How the last attempt at each act of the ledger ended; the receipts stand in history.

    Args:
        whole: This is the whole history. Otherwise receipts may stand in its beginning, and are read when asked for.
    """
    if not effects:
        return {}
    answers = {event.id: event.output for event in history if isinstance(event, AttemptSucceeded)}
    found: dict[str, Effort] = {}
    # By number and not by time: the clock may have been set back between two attempts.
    for e in sorted(effects, key=lambda effect: effect.command):
        receipt = answers.get(e.command, e.receipt)
        is_unread = receipt is None and not whole and e.state == "done"
        found[e.key.removeprefix(f"{run_id}:")] = Effort(e.state, receipt, e.command if is_unread else None)
    return found


def consumed_in(history: Sequence[Event]) -> dict[tuple[str, str], int]:
    """Source and id of the events that a run took, and when."""
    return {(e.event["source"], e.event["id"]): e.at for e in history if isinstance(e, MessageConsumed)}


def _taken(c: sqlite3.Connection, history: Sequence[Event]) -> list[int]:
    keys = [(e.event["source"], e.event["id"]) for e in history if isinstance(e, MessageConsumed)]
    return [seq for key in keys if (seq := records.event_seq(c, *key)) is not None]


def _above(c: sqlite3.Connection, record: RunRecord) -> tuple[int, ...]:
    """The runs that wait for this one, each for the one below it; nobody waits for a detached one."""
    above: list[int] = []
    here = [record]
    while here and here[0].parent is not None and here[0].parent_command is not None:
        above.append(here[0].parent)
        here = runs.find_runs(c, [here[0].parent])
    return tuple(above)
