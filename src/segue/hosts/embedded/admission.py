"""Admission: how many runs of a workflow may be under way, and whose turn is next.

Theory. A place is a fact about a run, not a counter: its row is written with the run's start and removed with its
end, each in the same transaction, so no crash can leak one. A run beyond the limit comes into being like any other,
but queued: its history says so, it holds no memory once it is parked, it can be listed and cancelled, and the turn
that comes is an event of its own. First come, first served.

A run that waits for a child keeps its place meanwhile. If the child waited for a place that only such parents hold,
nothing would ever move. So a child waits only where that closes no circle: with an edge from each workflow of which
an ancestor holds a place to the workflow whose place the child waits for, the graph stays free of circles. A child
that would close one goes at once, over the limit, and counts. In a graph without circles some workflow is held only
by runs that wait for no place, so it moves on (decision 0056).
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable

from segue.hosts.embedded.engine import Engine
from segue.hosts.embedded.live import LiveRun
from segue.hosts.embedded.own import spawn
from segue.hosts.embedded.patience import Patience
from segue.hosts.embedded.plans import Plans
from segue.store import HostError, Store, places
from segue.types import RunAdmitted, whereabouts

_log = logging.getLogger("segue.hosts")

Workflow = tuple[str, str]


class _Queue:
    """Runs of one workflow, by sequence number. `limit` is what the newest start said."""

    __slots__ = ("limit", "under_way", "waiting")

    def __init__(self) -> None:
        self.limit: int | None = None
        self.under_way: set[int] = set()
        # Each with the workflows of which its ancestors hold places.
        self.waiting: dict[int, tuple[Workflow, ...]] = {}

    @property
    def has_room(self) -> bool:
        return self.limit is None or len(self.under_way) < self.limit


class Admission:
    """Gives runs their turn."""

    def __init__(self, engine: Engine, store: Store, plans: Plans) -> None:
        self._engine = engine
        self._store = store
        self._plans = plans
        self._queues: dict[Workflow, _Queue] = {}
        self._workflow_of: dict[int, Workflow] = {}
        self._edges: Counter[tuple[Workflow, Workflow]] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_open = False

    async def load(self) -> None:
        """Learn what the store knows, before any run goes on."""
        found, above = await self._store.read(lambda c: (places.open_places(c), places.above_waiting(c)))
        limits = {digest: self._limit_of(digest) for digest in {record.digest for record in found}}
        for record in found:
            workflow = (record.namespace, record.name)
            self._workflow_of[record.run] = workflow
            queue = self._queues.setdefault(workflow, _Queue())
            queue.limit = limits[record.digest]
            if record.waiting:
                queue.waiting[record.run] = ()
            else:
                queue.under_way.add(record.run)
        for run, ancestors in above.items():
            if run in self._workflow_of:
                self._wait(run, self._workflow_of[run], self._held_by(ancestors))

    def open(self) -> None:
        """Begin to give turns; runs that were read back have taken their places."""
        self._is_open = True
        for workflow in list(self._queues):
            self._serve(workflow)

    async def close(self) -> None:
        """Give no turns any more."""
        self._is_open = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def enter(self, run: LiveRun, *, limit: int | None, at_once: bool = False) -> bool:
        """A run comes into being. False when it must wait for its turn.

        Args:
            limit: How many of its workflow may be under way; None for any number.
            at_once: It must not wait, but counts.
        """
        workflow = (run.plan.namespace, run.plan.name)
        queue = self._queues.get(workflow)
        if queue is not None and queue.limit != limit:
            queue.limit = limit
            self._serve(workflow)
        if limit is None:
            return True
        if queue is None:
            queue = self._queues[workflow] = _Queue()
            queue.limit = limit
        held = self._held_by(run.above)
        goes = at_once or (queue.has_room and not queue.waiting) or self._closes_circle(held, workflow)
        self._workflow_of[run.seq] = workflow
        if goes:
            queue.under_way.add(run.seq)
        else:
            self._wait(run.seq, workflow, held)
        self._engine.commit.pending.statements.append(places.put_place(run.seq, *workflow, waiting=not goes))
        return goes

    def enter_again(self, run: LiveRun) -> None:
        """A queued run was read back; it waits again where it had lost its place in the queue."""
        if run.seq not in self._workflow_of:
            workflow = (run.plan.namespace, run.plan.name)
            queue = self._queues.setdefault(workflow, _Queue())
            queue.limit = self._engine.policy(run.plan).concurrency
            self._workflow_of[run.seq] = workflow
            self._wait(run.seq, workflow, self._held_by(run.above))
            self._engine.commit.pending.statements.append(places.put_place(run.seq, *workflow, waiting=True))
            self._engine.wake()
            self._serve(workflow)

    def leave(self, seq: int) -> None:
        """A run ended, or was set aside; this is part of the same transaction."""
        workflow = self._workflow_of.pop(seq, None)
        if workflow is None:
            return
        self._engine.commit.pending.statements.append(places.delete_place(seq))
        queue = self._queues[workflow]
        queue.under_way.discard(seq)
        self._wait_no_longer(seq, workflow)
        self._serve(workflow)
        if not queue.under_way and not queue.waiting:
            del self._queues[workflow]

    # -- turns -------------------------------------------------------------------------------------

    def _serve(self, workflow: Workflow) -> None:
        """Give turns while there is room."""
        queue = self._queues[workflow]
        while self._is_open and queue.waiting and queue.has_room:
            seq = next(iter(queue.waiting))
            self._wait_no_longer(seq, workflow)
            queue.under_way.add(seq)
            run = self._engine.runs.get(seq)
            if run is not None:
                self._admit(run)
            else:
                task = spawn(self._wake(seq))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _wake(self, seq: int) -> None:
        """Read the run whose turn it is, however long the store is in trouble."""
        patience = Patience(self._engine.clock)
        while True:
            try:
                run = await self._engine.parking.ensure(seq)
                break
            except HostError:
                _log.error("a run whose turn it is cannot be read yet; it is tried again: %s", whereabouts())
                await patience.wait()
        if run is not None:
            self._admit(run)
        else:
            self.leave(seq)
            self._engine.wake()

    def _admit(self, run: LiveRun) -> None:
        self._engine.commit.pending.statements.append(places.take_turn(run.seq))
        self._engine.apply(run, RunAdmitted(self._engine.clock.now_ms()))

    # -- who waits for whom ------------------------------------------------------------------------

    def _limit_of(self, digest: str) -> int | None:
        try:
            return self._engine.policy(self._plans.plan(digest)).concurrency
        except LookupError:
            return None

    def _held_by(self, runs: Iterable[int]) -> tuple[Workflow, ...]:
        """The workflows of which these runs hold places."""
        return tuple({self._workflow_of[seq] for seq in runs if seq in self._workflow_of})

    def _wait(self, seq: int, workflow: Workflow, held: tuple[Workflow, ...]) -> None:
        self._queues[workflow].waiting[seq] = held
        self._edges.update((above, workflow) for above in held)

    def _wait_no_longer(self, seq: int, workflow: Workflow) -> None:
        for above in self._queues[workflow].waiting.pop(seq, ()):
            edge = (above, workflow)
            self._edges[edge] -= 1
            if not self._edges[edge]:
                del self._edges[edge]

    def _closes_circle(self, held: tuple[Workflow, ...], wanted: Workflow) -> bool:
        """Would runs that hold these places wait, through others, for themselves?"""
        reached, ahead = {wanted}, [wanted]
        while ahead:
            here = ahead.pop()
            for above, below in self._edges:
                if above == here and below not in reached:
                    reached.add(below)
                    ahead.append(below)
        return not reached.isdisjoint(held)
