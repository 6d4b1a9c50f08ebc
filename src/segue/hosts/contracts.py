"""What a host asks of the rooms around it, and what it answers them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from segue.core import Plan, RunState
from segue.core.adjustable import settled
from segue.store import Rules
from segue.types import ApprovalWanted, EffectContext, Failure, Perform, RunStatus
from segue.types.causes import UNTOLD


class Clock(Protocol):
    """The only clock of a host, so that tests and simulations can own time."""

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch, UTC. May jump in either direction."""
        ...

    def sleep(self, seconds: float) -> Awaitable[None]:
        """To be awaited: done when about this much time has passed."""
        ...


class PlanSource(Protocol):
    """Where compiled definitions come from. Asked often: keep what was compiled."""

    def plan(self, digest: str) -> Plan:
        """The plan of a published definition.

        Raises:
            LookupError: There is none with this digest.
        """
        ...

    def resolve(self, namespace: str, name: str, version: str) -> str:
        """The digest of the definition of this name and version; `latest` is the newest published one.

        Raises:
            LookupError: There is none.
        """
        ...


class InlineHandler(Protocol):
    """What a handler may offer beside `Handler`, for acts that cost less than a switch of tasks."""

    def perform_now(self, command: Perform, context: EffectContext) -> Any:
        """Act at once, on the event loop, and return the result; `NotImplemented` asks for `perform` instead.

        Called only for acts whose recovery is `repeat`. Must not wait for anything.

        Raises:
            TaskFailure: The act failed.
        """
        ...


class Door(Protocol):
    """Asked before each act, on the event loop, for every act there is: it must answer in microseconds."""

    def may_start(self, workflow: str) -> bool:
        """A run of this workflow (`namespace/name`) may start by itself now. Asked again while it may not."""
        ...

    def ask(
        self,
        run: str,
        workflow: str,
        command: Perform,
        cause: Mapping[str, Any] = UNTOLD,
        *,
        begun: bool = False,
    ) -> Failure | ApprovalWanted | str:
        """May this be done?

        Args:
            run: Id of the run.
            workflow: `namespace/name:version` of its definition.
            cause: Of the run; tells the way by which data came to it (`segue.types.causes`).
            begun: It is under way, and is asked about once more. Then nobody is asked for an approval any more.

        Returns:
            The failure of the task where it may not; who must approve it first, where what the command carries does
            not suffice; otherwise what is recorded of the permission, or empty text.
        """
        ...


class OpenDoor:
    """Nobody is asked: a host without governance."""

    def may_start(self, workflow: str) -> bool:
        """It may."""
        return True

    def ask(
        self,
        run: str,
        workflow: str,
        command: Perform,
        cause: Mapping[str, Any] = UNTOLD,
        *,
        begun: bool = False,
    ) -> Failure | ApprovalWanted | str:
        """It may."""
        return ""


class TargetedHandler(Protocol):
    """What a handler may offer beside `Handler`, so that a target that hangs takes no places from others."""

    def target(self, command: Perform) -> str:
        """What the command acts on: a connection, a host, a function. Short, without secrets; must not raise.

        Acts on one target share places with each other first (`hosts/embedded/turns.py`). A handler that does not
        offer it has one target.
        """
        ...


@dataclass(frozen=True, slots=True)
class FailurePolicy:
    """What a definition says about its failures, its pace, and the histories of its runs.

    Attributes:
        hold: A task whose failure nobody catches waits for a person; None leaves it to the host's settings.
        owner: Who answers for them.
        deadline_ms: How long one may stay open, in milliseconds; None sets no deadline.
        ladder: Who answers for one after its deadline, and after each further one.
        history_max: How many events of a run are kept before the oldest are folded; 0 keeps all of them, None
            leaves it to the host's settings.
        attended: Somebody can come. Where nobody can, an undo that fails is left standing.
        concurrency: How many of its runs may be under way, all versions together; None for any number.
        subject: Whom or what a run with this input is about; None: nobody, or it cannot be told.
    """

    hold: bool | None = None
    owner: str | None = None
    deadline_ms: int | None = None
    ladder: tuple[str, ...] = ()
    history_max: int | None = None
    attended: bool = True
    concurrency: int | None = None
    subject: Callable[[Any], str | None] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a person found out about an act whose outcome was unknown.

    Attributes:
        happened: It did; `receipt` is what the system made of it. Otherwise it did not, and may go out again.
    """

    happened: bool
    receipt: Any = None

    @property
    def state(self) -> Literal["done", "failed"]:
        """What the ledger says then."""
        return "done" if self.happened else "failed"

    @property
    def action(self) -> Literal["happened", "repeat"]:
        """What the inbox says then."""
        return "happened" if self.happened else "repeat"


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a fork begins with where the first events of the past that it copies are gone.

    Attributes:
        state: What they led to, made the new run's own (`segue.core.copied`). It is consumed.
        events: How many they were.
        consumed: Source and id of CloudEvents that were taken, and when.
        cause: As in `RunStarted`.
    """

    state: RunState
    events: int
    consumed: Sequence[tuple[str, str, int]]
    cause: dict[str, Any]


PolicyOf = Callable[[Plan], FailurePolicy]
"""Reads what a definition says. Called for each new run and each failure: keep what was read."""


def no_policy(plan: Plan) -> FailurePolicy:
    """The definition says nothing."""
    return _NO_POLICY


ValuesOf = Callable[[Plan], Mapping[str, Any]]
"""`(plan) -> the adjustable values that a run of it starts with`; every one that it declares, and each fits."""


def declared_values(plan: Plan) -> Mapping[str, Any]:
    """The defaults: nobody has adjusted anything."""
    return settled(plan.adjustable, {})


_NO_POLICY: Final = FailurePolicy()


@dataclass(frozen=True, slots=True)
class HostSettings:
    """How a host behaves. The defaults suit one machine.

    Attributes:
        acts_max: Acts under way at once, over all handlers; more wait their turn, and no target gets them all.
        handler_acts_max: The same for single handlers, by name.
        park_after_ms: A run that only waits leaves memory after this long without an event.
        park_timer_min_ms: It stays while a timer comes due sooner than this.
        park_sweep_ms: How often it is looked for runs that may leave.
        clock_look_ms: How long a clock that was set may stay unnoticed by timers.
        early_events_ms: How long an event is kept for waits that open later (ruling R22).
        child_depth_max: How deep workflows may start workflows that they wait for.
        drain_seconds: How long `close` waits for acts under way that must not simply be repeated.
        hold_failures: In new runs, a task whose failure nobody catches waits for a person instead of faulting the
            run; a definition may decide otherwise (`FailurePolicy`).
        disk_free_min_bytes: Below so much free disk space new work is shed; 0 never sheds.
        retention: How long closed runs and events are kept.
        payload_bytes_max: Largest input, act's result or event, as JSON.
        snapshot_events: A run gets a snapshot about every so many events; it is read back from there.
        history_max_events: A run keeps about so many events; older ones are folded. 0 keeps all of them.
        tune_gc: Let the garbage collector run less often. It is process-wide, so a host embedded in somebody
            else's program should not decide it.
    """

    acts_max: int = 1000
    handler_acts_max: Mapping[str, int] = field(default_factory=dict)
    park_after_ms: int = 2_000
    park_timer_min_ms: int = 5_000
    park_sweep_ms: int = 500
    clock_look_ms: int = 30_000
    early_events_ms: int = 3_600_000
    child_depth_max: int = 50
    drain_seconds: float = 5.0
    hold_failures: bool = False
    disk_free_min_bytes: int = 0
    payload_bytes_max: int = 16 * 1024 * 1024
    retention: Rules = field(default_factory=Rules)
    snapshot_events: int = 1000
    history_max_events: int = 0
    tune_gc: bool = False


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run ended: `output` when completed, `failure` when faulted."""

    run_id: str
    status: RunStatus
    output: Any = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class RunChange:
    """Something about a run became durable.

    Attributes:
        status: Its status now.
        events: How many events its history holds now; a reader asks for those it has not seen.
        at: Milliseconds since the epoch.
    """

    run_id: str
    namespace: str
    name: str
    status: RunStatus
    events: int
    at: int


@dataclass(frozen=True, slots=True)
class HostHealth:
    """What an operator looks at first.

    Attributes:
        accepting: New work is taken.
        trouble: Why it is not.
        live_runs: Runs in memory.
        acts: Acts under way. waiting_acts: Acts that wait for their turn.
    """

    accepting: bool
    trouble: str | None
    live_runs: int
    acts: int
    waiting_acts: int


class UnknownRun(LookupError):
    """There is no run with this id."""
