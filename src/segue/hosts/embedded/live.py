"""A run in memory."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from segue.core import Plan, RunState
from segue.store import Batch, RunRecord
from segue.types import RunStatus

if TYPE_CHECKING:
    from segue.hosts.embedded.performer import Act


NEVER: Final = sys.maxsize
_NONE: Final[frozenset[int]] = frozenset()

EFFORTS_MAX: Final = 1000
"""Settled acts of a run that are kept in memory; older ones are looked up in the ledger."""


GONE: Final = "gone"
"""Of an act whose attempts, if there were any, have left the ledger with the laps that are over."""


class Effort(NamedTuple):
    """How an attempt at an act ended: `intent` (nothing noted), `unknown`, `failed`, `GONE`, `done` with a receipt.

    `unread`: The receipt stands in the store, as the answer to this command.
    """

    state: str
    receipt: Any = None
    unread: int | None = None


class LiveRun:
    """What the host knows of a run that it has in memory, beside its state.

    Attributes:
        seq: Its number in the store. above: Runs that wait for it, each for the one below it, nearest first.
        workflow: `namespace/name:version`.
        status: The newest status written to the store.
        events: Events in its history, those not on disk yet included.
        acts: Acts under way or waiting for their turn, by command id.
        children: Runs that it waits for: `seq` by command id.
        offers: Human tasks that it has before people, by command id.
        searching: Waits that still look for events which came before them.
        consumed: Source and id of the events it has taken, and when; no event is offered twice.
        hidden: It is the host's own, waiting for the events of a schedule. Such a run takes only events that came
            `after` this one and that are not in `skip`; `taken` are those it took.
        parked: The store holds timers and waits for it, from before it was woken.
        parking: The batch that parks it, while it is on its way; any event before that calls it off.
        efforts: How the last attempt at each act that must not simply be repeated ended, by the act's name.
            All without an outcome, and the newest of the others; `forgets_efforts`: the ledger holds more.
        snapshots: After which events it has snapshots, oldest first; None for none. snapshot_due: When the next one
            is due. base: The event before the oldest one that it keeps, 0 while it keeps all of them.
        woken_at: When it was last read from disk, in milliseconds since the epoch.
        gone: It is no longer in memory; what still refers to it is void.
    """

    __slots__ = (
        "above",
        "acts",
        "after",
        "base",
        "cause",
        "children",
        "consumed",
        "digest",
        "efforts",
        "events",
        "forgets_efforts",
        "gone",
        "hidden",
        "id",
        "offers",
        "parent",
        "parent_command",
        "parked",
        "parking",
        "plan",
        "searching",
        "seq",
        "skip",
        "snapshot_due",
        "snapshots",
        "state",
        "status",
        "subject",
        "taken",
        "woken_at",
        "workflow",
    )

    # Set by the first event, before anybody else sees the run.
    state: RunState

    def __init__(
        self,
        seq: int,
        run_id: str,
        plan: Plan,
        digest: str,
        *,
        cause: dict[str, Any],
        parent: int | None = None,
        parent_command: int | None = None,
        above: tuple[int, ...] = (),
        hidden: bool = False,
    ) -> None:
        self.seq = seq
        self.id = run_id
        self.become(plan, digest)
        self.cause = cause
        self.parent = parent
        self.parent_command = parent_command
        self.above = above
        self.hidden = hidden
        self.subject: str | None = None
        self.status: RunStatus = "running"
        self.events = 0
        self.acts: dict[int, Act] = {}
        self.efforts: dict[str, Effort] = {}
        self.forgets_efforts = False
        self.snapshots: list[int] | None = None
        self.snapshot_due = NEVER
        self.base = 0
        self.children: dict[int, int] = {}
        self.offers: set[int] = set()
        self.searching = 0
        self.consumed: dict[tuple[str, str], int] = {}
        self.after: int = cause.get("after", 0) if hidden else 0
        self.skip: frozenset[int] = frozenset(cause.get("skip", ())) if hidden else _NONE
        self.taken: list[int] = []
        self.parked = False
        self.parking: Batch | None = None
        self.woken_at = 0
        self.gone = False

    def become(self, plan: Plan, digest: str | None = None) -> None:
        """The run goes by this plan from now on."""
        self.plan = plan
        self.digest = plan.digest if digest is None else digest
        self.workflow = f"{plan.namespace}/{plan.name}:{plan.version}"

    def begun(self) -> RunRecord | None:
        """Its row as the first event leaves it, which spares reading it back; None where it is over already.

        Call it before anything else can happen to the run.
        """
        if self.gone or self.state.ended is not None:
            return None
        plan = self.plan
        return RunRecord(
            seq=self.seq,
            id=self.id,
            digest=self.digest,
            namespace=plan.namespace,
            name=plan.name,
            version=plan.version,
            status=self.status,
            residence="live",
            hidden=self.hidden,
            started_at=self.state.started_at,
            ended_at=None,
            parent=self.parent,
            parent_command=self.parent_command,
            cause=self.cause,
            output=None,
            failure=None,
            reason=None,
            subject=self.subject,
        )

    def note_effort(self, name: str, effort: Effort) -> None:
        """An attempt at an act has ended or begun. The oldest settled one may be forgotten for it."""
        efforts = self.efforts
        efforts[name] = effort
        if len(efforts) > EFFORTS_MAX:
            for known, (state, _, _) in efforts.items():
                if state in ("done", "failed"):
                    del efforts[known]
                    self.forgets_efforts = True
                    return
