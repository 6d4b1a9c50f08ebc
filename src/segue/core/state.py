"""What a run remembers between two events.

What is made for every task is not tracked by the garbage collector (`gc=False`): frames refer to their parents and to
data, never back, so counting references is enough. A machine must keep no frame in a frame's `data`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from segue.core.plan import Node
from segue.types import CLOSED, Approval, Command, Failure, Perform, RunStatus


class Thread(msgspec.Struct, gc=False):
    """Holder of `$context`. A run has one; every branch of a fork has its own (ruling R18)."""

    context: Any


class Frame(msgspec.Struct, gc=False):
    """One activation of a task that has started and not ended.

    Attributes:
        id: Unique in the run; also the id of the command that an acting task gives.
        vars: Variables that its children see (loops, listeners and catches add theirs).
        position, data: Belong to the task's machine.
        timer: Id of its time-out timer, 0 without one. clock: id of its machine's own timer, 0 without.
        steps: Outputs of ended children that some expression reads through `$steps`.
        attempt: Which try of the innermost enclosing `try` this belongs to, from 1.
        iteration: Index in each enclosing loop, outermost first.
        laps: Backward jumps in its list so far, not counting those of earlier attempts or iterations.
        closed: It ended; what still refers to it is void.
    """

    id: int
    node: Node
    parent: Frame | None
    thread: Thread
    raw: Any
    started: int
    input: Any = None
    vars: dict[str, Any] | None = None
    position: int = 0
    data: Any = None
    timer: int = 0
    clock: int = 0
    steps: dict[str, Any] | None = None
    attempt: int = 1
    iteration: tuple[int, ...] = ()
    laps: int = 0
    closed: bool = False


class Deferred(msgspec.Struct):
    """A task that a paused run did not start."""

    node: Node
    parent: Frame
    raw: Any
    thread: Thread


class Attempts(msgspec.Struct):
    """What a `try` remembers.

    Attributes:
        first_at: When the first attempt began. last: what the last one failed with.
        finishing: What an undoing left that was cut off is undone before the list starts.
    """

    first_at: int
    last: Failure | None = None
    finishing: bool = False


class Undo(msgspec.Struct):
    """An act that happened and can be taken back.

    Attributes:
        node: The task that takes it back.
        effect: The act's name within its run.
        within: Names of the `try` tasks in whose lists it stands, innermost first.
        arguments: What takes it back, evaluated when the act's result came; `failure`: why that failed.
        begun: A `try` has begun to undo its list, this act with it.
    """

    node: Node
    effect: str
    within: tuple[str, ...]
    iteration: tuple[int, ...]
    arguments: Any = None
    failure: Failure | None = None
    begun: bool = False


class Closing(msgspec.Struct):
    """How a run will end when all is undone; one that ends well only finishes what was begun, then gives `output`."""

    status: RunStatus
    failure: Failure | None = None
    output: Any = None


class RunState(msgspec.Struct, gc=False):
    """The state of one run: a fold of its history, owned by whoever calls `advance`.

    Attributes:
        open: Commands that have been given and neither answered nor cancelled, by id. After the end only
            detached acts are left in it; the run is done with the world when it is empty.
        frames: Tasks that have started and not ended, by id.
        timers: Which frame a timer belongs to, and what for.
        holds: Failures that nobody catches wait for a person. held: tasks that do, with their failures, by id.
        withheld: Acts that wait for somebody's approval, by id (`machines/approval.py`).
        approvals: What was approved about acts that have not succeeded since.
        hands: Who started it and who took hold of it: they approve none of its acts.
        undos: Acts that happened and can be taken back, by name, in the order in which they first completed.
        undone: How often an act of this name was taken back; done once more, it is another act.
        closing: The run has failed or was cancelled, and what it did is being undone; or it is done, and what a
            `try` had begun to undo is.
        definition: Digest of the definition that it is under now. migrations: How often that has changed.
        names: What names of acts begin with, by index in the plan, where a migration has made it another thing.
        apart_at: When it left the run that its history was copied from; events from before are not its own.
        unattended: Nobody can come, so an undo that fails is left standing instead of held.
        finishes: An undoing that was cut off is finished before its list starts again; older histories replay
            without. finishes_all: also before the run ends well.
        results: What functions answer that are themselves tasks is checked; older histories replay without.
        queued: It has not begun: its workflow has as many runs under way as it may.
        value_max: The largest value that it keeps, as JSON, in bytes; 0 where it has no bounds (`bounds.py`).
        bounds_all: The bounds hold for everything that it makes.
        adjustable: The adjustable values that it began with; `$adjustable`.
        decided: Decisions of people so far, where acts of the plan carry them (`consequences.py`), oldest first.
        correlations: Values of the instance's correlation keys.
        last_at: Time of the newest event applied.
    """

    run_id: str
    seed: str
    input: Any
    started_at: int
    last_at: int
    open: dict[int, Command] = {}
    frames: dict[int, Frame] = {}
    timers: dict[int, tuple[Frame, str]] = {}
    correlations: dict[str, Any] = {}
    deferred: list[Deferred] = []
    next_id: int = 1
    paused: bool = False
    holds: bool = False
    queued: bool = False
    held: dict[int, Failure] = {}
    withheld: dict[int, Any] = {}
    approvals: list[Approval] = []
    hands: list[str] = []
    undos: dict[str, Undo] = {}
    undone: dict[str, int] = {}
    closing: Closing | None = None
    unattended: bool = False
    finishes: bool = False
    finishes_all: bool = False
    results: bool = False
    apart_at: int = 0
    definition: str = ""
    migrations: int = 0
    names: dict[int, str] = {}
    value_max: int = 0
    bounds_all: bool = False
    runtime: str = ""
    adjustable: dict[str, Any] = {}
    decided: list[dict[str, Any]] = []
    ended: RunStatus | None = None
    output: Any = None
    failure: Failure | None = None

    @property
    def closed(self) -> bool:
        """No event changes this run any more."""
        return self.ended is not None

    @property
    def status(self) -> RunStatus:
        """The status phase of the run, as the language names it."""
        if self.ended is not None:
            return self.ended
        if self.paused:
            return "suspended"
        if self.queued:
            return "pending"
        for command in self.open.values():
            if type(command) is Perform:
                return "running"
        return "waiting" if self.open or not self.held else "suspended"


assert {"completed", "faulted", "cancelled"} == CLOSED


class Moment(msgspec.Struct, frozen=True, omit_defaults=True):
    """One observation of a run, for displays and lifecycle events. Never stored: recomputed from history.

    Attributes:
        what: `started`, `completed`, `faulted`, `held`, `cancelled`, `skipped`, `retried`, `decided`, `waiting`,
            `undoing`, `suspended`, `resumed`, `correlation-started`, `correlation-completed`.
        pointer: JSON Pointer of the task; empty for the run itself.
        kind: The task's kind; `workflow` for the run itself.
        data: Input when started, output when completed, failure when faulted, what was seen when decided.
        raw: The task's raw input, before its transform.
    """

    what: str
    at: int
    pointer: str
    name: str
    kind: str
    id: int
    iteration: tuple[int, ...] = ()
    attempt: int = 1
    data: Any = None
    raw: Any = None
