"""The embedded host: one process, one data folder."""

from __future__ import annotations

import asyncio
import gc
import re
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Final, Self

from segue.core import Examination, Plan, Tasking
from segue.hosts.clock import SystemClock
from segue.hosts.contracts import (
    Beginning,
    Clock,
    Door,
    HostHealth,
    HostSettings,
    OpenDoor,
    Outcome,
    PlanSource,
    PolicyOf,
    RunOutcome,
    UnknownRun,
    ValuesOf,
    declared_values,
    no_policy,
)
from segue.hosts.embedded.admission import Admission
from segue.hosts.embedded.children import Children
from segue.hosts.embedded.collector import COLLECTOR
from segue.hosts.embedded.desk import Desk
from segue.hosts.embedded.engine import Engine
from segue.hosts.embedded.escalation import Escalation
from segue.hosts.embedded.feed import Feed, Subscription
from segue.hosts.embedded.folding import Folding
from segue.hosts.embedded.incidents import Incidents
from segue.hosts.embedded.operator import Control, Operator
from segue.hosts.embedded.parking import Parking
from segue.hosts.embedded.performer import Performer
from segue.hosts.embedded.plans import Plans
from segue.hosts.embedded.postman import Postman
from segue.hosts.embedded.scheduler import Scheduler
from segue.hosts.embedded.timekeeper import Timekeeper
from segue.hosts.embedded.upkeep import Upkeep
from segue.store import (
    Batch,
    HostError,
    Purged,
    RunFilter,
    RunPage,
    RunRecord,
    ScheduleRecord,
    Store,
    codec,
    records,
    runs,
)
from segue.types import Cipher, DecisionMade, Event, Handler, SecretSource, TaskAssigned, TaskRestarted

_RUN_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,199}")
_RECOVERED_AT_ONCE: Final = 500


class EmbeddedHost:
    """Runs workflows durably in this process.

    Open it with `async with EmbeddedHost.open(folder, …) as host`. All its methods belong to the event loop that
    opened it.
    """

    has_upkeep: ClassVar[bool] = True
    """It keeps a data folder."""

    def __init__(self, store: Store, engine: Engine, plans: Plans) -> None:
        self.store = store
        self._engine = engine
        self._plans = plans
        self._upkeep = Upkeep(engine, store)
        self._operator = Operator(engine, store, plans)
        self._starting: dict[str, asyncio.Future[None]] = {}
        self._has_collector = False
        self._closed = False

    @classmethod
    def open(
        cls,
        folder: str | Path,
        *,
        handlers: Mapping[str, Handler],
        plans: PlanSource | Callable[[Store], PlanSource],
        secrets: SecretSource,
        clock: Clock | None = None,
        settings: HostSettings | None = None,
        policy: PolicyOf = no_policy,
        values: ValuesOf = declared_values,
        door: Door | None = None,
        fault: Callable[[int], None] | None = None,
        cipher: Cipher | None = None,
    ) -> _Opening:
        """Open a data folder, go on with what it holds, and take work.

        Args:
            handlers: By the name that documents' acts give. `workflow` is the host's own.
            plans: Where compiled definitions come from, or what makes that of the opened store.
            policy: What definitions say about their failures.
            values: What their adjustable values are now; the defaults where it is left out.
            door: Asked before each act; every act is let through where it is left out.
            cipher: Seals what is stored.
            fault: Testing seam: called before each write with its number; may raise to make the write fail.

        Raises:
            FolderInUse: Another process has the folder open.
            FolderNotUsable: It is too new, damaged, foreign, or may not be written.
        """
        make_engine = partial(Engine, clock or SystemClock(), settings or HostSettings(), policy, values=values)
        return _Opening(
            lambda: cls.assemble(
                make_engine(),
                lambda on_durable: Store.open(folder, on_durable=on_durable, fault=fault, cipher=cipher),
                handlers=handlers,
                plans=plans,
                secrets=secrets,
                door=door,
            )
        )

    @classmethod
    async def assemble(
        cls,
        engine: Engine,
        open_store: Callable[[Callable[[Batch], None]], Store],
        *,
        handlers: Mapping[str, Handler],
        plans: PlanSource | Callable[[Store], PlanSource],
        secrets: SecretSource,
        door: Door | None = None,
    ) -> Self:
        """Make a host of an engine and a store, and go on with what the store holds."""
        clock, settings = engine.clock, engine.settings
        store = open_store(engine.durable)
        source = Plans(plans(store) if callable(plans) else plans)
        engine.commit = store.commit
        engine.feed = Feed(store, clock)
        door = door or OpenDoor()
        engine.performer = Performer(engine, handlers, secrets, settings, door)
        engine.timekeeper = Timekeeper(engine, store)
        engine.postman = Postman(engine, store)
        engine.children = Children(engine, source, door)
        engine.scheduler = Scheduler(engine, store, source, door)
        engine.admission = Admission(engine, store, source)
        engine.parking = Parking(engine, store, source)
        engine.incidents = Incidents(engine, store)
        engine.escalation = Escalation(engine, store, source)
        engine.folding = Folding(engine, store)
        engine.desk = Desk(engine)
        host = cls(store, engine, source)
        try:
            await host._go_on()
        except GeneratorExit:
            raise  # The event loop is gone, so nothing can be waited for.
        except BaseException:
            await host.close()
            raise
        return host

    async def _go_on(self) -> None:
        """Take up what the last process left."""
        engine = self._engine
        if engine.settings.tune_gc:
            # First: reading many runs back makes much that stays, and the collector would search it again and again.
            COLLECTOR.take()
            self._has_collector = True
        engine.next_seq = await self.store.read(runs.newest_seq) + 1
        engine.next_inbox = await self.store.read(records.newest_inbox) + 1
        await engine.postman.load()
        await engine.incidents.open()
        await engine.admission.load()
        # Before any run goes on: the end of one may be what a schedule waits for.
        await engine.scheduler.open()
        newest = 0
        while seqs := await self.store.read(partial(runs.unfinished, after=newest, limit=_RECOVERED_AT_ONCE)):
            await engine.parking.load(seqs, recovering=True)
            newest = seqs[-1]
        for number, seq, event in await self.store.read(records.read_inbox):
            engine.children.fetch(seq, number, event)
        await engine.timekeeper.open()
        await engine.escalation.open()
        await engine.parking.open()
        engine.admission.open()
        await engine.postman.offer_missed()
        if self.has_upkeep:
            self._upkeep.open()
        if self._has_collector:
            # Not collected before: that would go through everything once more, to find next to nothing.
            gc.freeze()

    def stop_refused(self) -> int:
        """Stop acts under way that the door does not let through any more; how many there were.

        Their tasks fail with the door's reason, so what the document declares for failures happens.
        """
        stopped = self._engine.performer.stop()
        self._engine.wake()
        return stopped

    async def close(self) -> None:
        """Take no more work, let the last commit finish, and let go of the folder.

        Runs that have not ended go on at the next start. Acts under way are stopped; those that must not simply be
        repeated get `drain_seconds` to finish.
        """
        if self._closed:
            return
        self._closed = True
        engine = self._engine
        await engine.performer.close(engine.settings.drain_seconds)
        engine.stop()
        upkeep = (self._upkeep, engine.folding)
        parts = (
            engine.escalation,
            engine.timekeeper,
            engine.scheduler,
            engine.admission,
            engine.parking,
            engine.postman,
            engine.children,
        )
        for part in (*upkeep, *parts):
            await part.close()
        engine.postman.save_progress()
        engine.feed.close()
        await self.store.close()
        if self._has_collector:
            COLLECTOR.give_back()

    # -- runs --------------------------------------------------------------------------------------

    def about(self, subject: str) -> str | None:
        """The id of a run in memory that is about this data subject, given as it is looked up; also one that is only
        on its way to the disk."""
        return next((run.id for run in self._engine.runs.values() if run.subject == subject), None)

    async def start(
        self, digest: str, input: Any = None, *, run_id: str | None = None, cause: Mapping[str, Any] | None = None
    ) -> str:
        """Start a run; returns its id when the start is on disk. See `begin`."""
        return (await self.begin(digest, input, run_id=run_id, cause=cause)).id

    async def begin(
        self, digest: str, input: Any = None, *, run_id: str | None = None, cause: Mapping[str, Any] | None = None
    ) -> RunRecord:
        """Start a run; returns it when the start is on disk: a new run as its start left it, any other as it is now.

        Args:
            run_id: The caller's own id for it: starting it twice starts it once. Letters, digits and `._:@-`.
            cause: Who or what started it; see `RunStarted.cause`.

        Raises:
            LookupError: There is no such definition.
            ValueError: The id or the input is not acceptable.
            HostError: The start could not be stored, or not yet; starting again with the same id is safe.
            DiskLow: The disk is nearly full, so nothing was started.
        """
        self._check_takes_work()
        plan = self._plans.plan(digest)
        settled = codec.settled(input, self._engine.settings.payload_bytes_max)
        because = codec.settled(dict(cause or {}))
        if run_id is None:
            run_id = self._engine.new_id()
        else:
            _check_run_id(run_id)
            if await self._exists(run_id):
                return await self._recorded(run_id)
        begun = self._engine.begin(plan, run_id, digest=digest, input=settled, cause=because).begun()
        await self.store.commit.wait_durable()
        return begun or await self._recorded(run_id)

    async def _recorded(self, run_id: str) -> RunRecord:
        record = await self.store.run(run_id)
        if record is None:
            raise UnknownRun(f"run {run_id!r} was removed while it was looked up")
        return record

    async def start_many(
        self, digest: str, inputs: Iterable[Any], *, cause: Mapping[str, Any] | None = None
    ) -> list[str]:
        """Start a run for each input, in one commit; returns their ids in order.

        Raises:
            LookupError: There is no such definition.
            ValueError: An input is not acceptable; then nothing is started.
            HostError: The starts could not be stored, or not yet.
        """
        self._check_takes_work()
        plan = self._plans.plan(digest)
        because = codec.settled(dict(cause or {}))
        bytes_max = self._engine.settings.payload_bytes_max
        settled = [codec.settled(input, bytes_max) for input in inputs]
        ids = [self._begin_one(plan, digest, input, because) for input in settled]
        await self.store.commit.wait_durable()
        return ids

    def _begin_one(self, plan: Plan, digest: str, input: Any, cause: dict[str, Any]) -> str:
        return self._engine.begin(plan, self._engine.new_id(), digest=digest, input=input, cause=cause).id

    async def _exists(self, run_id: str) -> bool:
        """Is there a run with this id? Callers that ask for the same id at once take turns."""
        while (other := self._starting.get(run_id)) is not None:
            await asyncio.shield(other)
        if run_id in self._engine.by_id:
            await self.store.commit.wait_durable()
            return True
        turn = self._starting[run_id] = asyncio.get_running_loop().create_future()
        try:
            return await self.store.run(run_id) is not None
        finally:
            del self._starting[run_id]
            turn.set_result(None)

    def wait_closed(self, run_id: str) -> Coroutine[Any, Any, RunOutcome]:
        """To be awaited: done when the run has ended.

        Raises:
            UnknownRun: There is none with this id.
            HostError: A bug stopped it, or the host closes.
        """
        return self._engine.feed.wait_closed(run_id, self._engine.by_id.get(run_id))

    async def control(self, run_id: str, event: Control, *, outcome: Outcome | None = None) -> bool:
        """Control a run, or intervene in one of its tasks; returns when that is on disk.

        Args:
            event: Its `at` is replaced by the host's time.
            outcome: For an intervention in a held task: how its acts ended whose outcome is unknown. The ledger is
                put right in the same transaction, so an act that did not happen goes out when the task starts again.

        Returns:
            False when the run had ended before, or is not at the task that the intervention names: it is not under
            way, or, for `FailureReleased` and where an outcome is given, not held. Then nothing was changed.

        Raises:
            UnknownRun: There is none with this id.
            HostError: It could not be stored, or not yet; or the run is set aside and can only be cancelled.
        """
        self._check_open()
        return await self._operator.control(run_id, event, outcome)

    async def attend(
        self,
        run_id: str,
        event: DecisionMade | TaskAssigned,
        *,
        meant: Callable[[Tasking], None] | None = None,
    ) -> str | None:
        """Let somebody decide a human task, or let it change hands; returns when that is on disk.

        Args:
            event: Its `at` is replaced by the host's time.
            meant: Called with the task as it is in the moment in which the event would count, and raises where that
                is not what somebody saw: between looking and deciding others may have changed it.

        Returns:
            None when it counts; otherwise why it changed nothing. Of several at once the first counts.

        Raises:
            UnknownRun: There is none with this id.
            TypeError, ValueError: What was entered is no JSON.
            HostError: It could not be stored, or not yet; or the run is set aside.
        """
        self._check_open()
        return await self._operator.attend(run_id, event, meant)

    async def asked(self, run_id: str, task: int) -> Tasking | None:
        """What a human task holds now; None where it is not before people any more.

        Args:
            task: Id of its offer.

        Raises:
            UnknownRun: There is none with this id.
            HostError: The run cannot be read.
        """
        self._check_open()
        return await self._operator.asked(run_id, task)

    async def revive(self, run_id: str, *, by: str = "", reason: str = "") -> bool:
        """Try a run again that a bug had set aside; False when it is not set aside, or is again at once.

        Raises:
            UnknownRun: There is none with this id.
            HostError: It could not be stored, or not yet.
        """
        self._check_open()
        return await self._operator.revive(run_id, by=by, reason=reason)

    async def settle(self, key: str, outcome: Outcome | None, *, by: str = "", reason: str = "") -> None:
        """Put the ledger right about an act that no task waits for any more.

        Args:
            key: Its effect key.
            outcome: None where nobody will find out: the ledger keeps saying so, and the inbox asks no longer.

        Raises:
            UnknownRun: There is none with such an act.
            ValueError: The receipt is no JSON.
            HostError: It could not be stored, or not yet.
        """
        self._check_open()
        await self._operator.settle(key, outcome, by=by, reason=reason)

    async def migrate(
        self,
        run_id: str,
        digest: str,
        mapping: Mapping[str, str] | None = None,
        *,
        by: str = "",
        reason: str = "",
        dry_run: bool = False,
    ) -> Examination:
        """Let a live run go on under another definition, unless something stands against it.

        Args:
            mapping: Pointers of tasks to their counterparts, where names differ.
            dry_run: Only look.

        Returns:
            What corresponds, and every obstacle; where there is one, nothing was changed.

        Raises:
            UnknownRun: There is none with this id.
            LookupError: There is no such definition.
            HostError: It could not be stored, or not yet.
        """
        self._check_open()
        return await self._operator.migrate(run_id, digest, mapping or {}, by=by, reason=reason, dry_run=dry_run)

    async def fork(
        self, digest: str, prefix: Sequence[Event], restart: TaskRestarted, *, beginning: Beginning | None = None
    ) -> str:
        """Start a run whose history begins with these events; returns its id when it is on disk.

        What the events did outside is not done again. What is under way after them begins anew, under the new run's
        keys.

        Args:
            prefix: A history, beginning with the new run's own `RunStarted`; must leave the run open.
            restart: What happens then. Its `at` is replaced by the host's time.
            beginning: What stands for the events before the prefix, where those are gone; the prefix may be empty.

        Raises:
            LookupError: There is no such definition.
            HostError: The start could not be stored, or not yet.
            DiskLow: The disk is nearly full, so nothing was started.
        """
        self._check_takes_work()
        return await self._operator.fork(digest, prefix, restart, beginning)

    def values(self, digest: str) -> Mapping[str, Any]:
        """The adjustable values that a run of this definition would start with now.

        Raises:
            LookupError: There is no such definition.
        """
        return self._engine.values(self._plans.plan(digest))

    def new_run_id(self) -> str:
        """An id that no run has."""
        return self._engine.new_id()

    def now_ms(self) -> int:
        """The time as this host counts it, in milliseconds since the epoch."""
        return self._engine.clock.now_ms()

    async def run(self, run_id: str) -> RunRecord | None:
        """The run with this id, as of the newest commit."""
        return await self.store.run(run_id)

    async def runs(self, wanted: RunFilter | None = None, *, limit: int = 100, before: int | None = None) -> RunPage:
        """A page of runs, newest first; `before` is the `next` of the page before."""
        return await self.store.runs(wanted, limit=limit, before=before)

    async def history(self, run_id: str, *, offset: int = 0, limit: int | None = None) -> list[Event]:
        """Events of a run, oldest first.

        Raises:
            UnknownRun: There is none with this id.
        """
        record = await self.store.run(run_id)
        if record is None:
            raise UnknownRun(f"there is no run {run_id!r}")
        return await self.store.read(partial(runs.read_history, seq=record.seq, offset=offset, limit=limit))

    def subscribe(self, run_id: str | None = None) -> Subscription:
        """Watch one run, or all: an asynchronous iterator of `RunChange`. Close it when done."""
        return self._engine.feed.subscribe(run_id)

    # -- events and schedules ----------------------------------------------------------------------

    async def publish(self, event: Mapping[str, Any]) -> bool:
        """Take in a CloudEvent; returns when it is on disk, False when its source and id were seen before.

        Raises:
            ValueError: It lacks `id`, `source` or `type`, or is not JSON.
            HostError: It could not be stored, or not yet; publishing it again is safe.
        """
        return (await self.publish_many([event]))[0]

    async def publish_many(self, events: Sequence[Mapping[str, Any]]) -> list[bool]:
        """Take in CloudEvents in one commit, in this order; see `publish`."""
        self._check_takes_work()
        return await self._engine.postman.publish([dict(event) for event in events])

    async def activate(self, digest: str) -> None:
        """Let a definition with a schedule start by itself, in place of other versions of it.

        Raises:
            LookupError: There is no such definition.
            ValueError: It has no schedule.
            HostError: The change could not be stored, or not yet.
        """
        self._check_open()
        await self._engine.scheduler.activate(digest)

    async def deactivate(self, namespace: str, name: str) -> bool:
        """Let a workflow no longer start by itself; False when it did not."""
        self._check_open()
        return await self._engine.scheduler.deactivate(namespace, name)

    def schedules(self) -> list[ScheduleRecord]:
        """Workflows that start by themselves."""
        return self._engine.scheduler.active

    # -- the host itself ---------------------------------------------------------------------------

    async def purge(self, *, seconds: float | None = None) -> Purged:
        """Remove now what retention no longer keeps, as it is done every hour; stops after about `seconds`.

        Raises:
            HostError: The store cannot be read or written.
        """
        return await self._upkeep.purge(seconds=seconds)

    def health(self) -> HostHealth:
        """Whether work is taken, and how much is under way."""
        trouble = self.store.commit.trouble or self._engine.shedding
        performer = self._engine.performer
        return HostHealth(
            accepting=trouble is None and not self._closed,
            trouble=None if trouble is None else str(trouble),
            live_runs=len(self._engine.runs),
            acts=performer.acts,
            waiting_acts=performer.waiting_acts,
        )

    def _check_takes_work(self) -> None:
        self._check_open()
        if self._engine.shedding is not None:
            raise self._engine.shedding

    def _check_open(self) -> None:
        if self._closed:
            raise HostError("the host is closed; open the data folder again")
        if self.store.commit.trouble is not None:
            raise self.store.commit.trouble


class _Opening:
    """What `EmbeddedHost.open` gives: await it, or use it with `async with`."""

    def __init__(self, opened: Callable[[], Any]) -> None:
        self._opened = opened
        self._host: EmbeddedHost | None = None

    def __await__(self) -> Any:
        return self._opened().__await__()

    async def __aenter__(self) -> EmbeddedHost:
        self._host = await self._opened()
        assert self._host is not None
        return self._host

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._host is not None
        await self._host.close()


def _check_run_id(run_id: str) -> None:
    if not _RUN_ID.fullmatch(run_id):
        raise ValueError(
            f"run id {run_id!r} is not acceptable: use up to 200 letters, digits and ._:@- beginning with a"
            " letter or digit"
        )
