"""What the service answers with, as structs. Their JSON form is the form of the HTTP API and of `--json`.

Names are written in camelCase in JSON, as in workflow documents. Times are RFC 3339 text in UTC.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar

import msgspec

from segue.service.errors import Finding
from segue.types import RunStatus

Item = TypeVar("Item")
Why = Annotated[str, msgspec.Meta(min_length=1, max_length=1000, pattern=r"\S")]
"""The reason that whoever changes something gives: kept, so it must say something."""


class Shape(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Base of all answers."""


class WishClockView(Shape, frozen=True, kw_only=True):
    """The clock of what somebody wants and others decide about.

    Attributes:
        asked: Whom it waits for, such as `role:publisher` or `group:sales`.
        reminded: How often they were reminded. escalated_to: Roles that may decide besides by now.
        next_at: When there is more to happen. lapses_at: From then on nobody can approve it.
    """

    asked: list[str]
    reminded: int = 0
    escalated_to: list[str] = []
    next_at: str | None = None
    lapses_at: str | None = None


class WorkflowRef(Shape, frozen=True, kw_only=True):
    """Which definition a run is pinned to."""

    namespace: str
    name: str
    version: str
    digest: str


class WorkflowSummary(Shape, frozen=True, kw_only=True):
    """A published definition.

    Attributes:
        scheduled: It starts runs by itself.
        latest: It is what `latest` means for its namespace and name.
    """

    namespace: str
    name: str
    version: str
    digest: str
    published_at: str
    title: str | None = None
    summary: str | None = None
    scheduled: bool = False
    latest: bool = False


class LabelledArgument(Shape, frozen=True, kw_only=True):
    """Labelled data that can reach an argument of an act.

    Attributes:
        argument: Where in the act's arguments, as a JSON Pointer; `[]` for any element.
        origin: Where it comes from: `input.customer.email`, or a task's pointer with the path in its result.
    """

    argument: str
    origin: str
    classes: list[str] = []
    untrusted: bool = False


class LeavingAct(Shape, frozen=True, kw_only=True):
    """What one act of a workflow can send out.

    Attributes:
        task: Pointer of the task.
        classes, untrusted: The labels of everything it can be given.
        sources: Connections that this comes from; `input` for what starts the run.
        arguments: The labelled parts, one by one.
    """

    task: str
    handler: str
    connection: str | None = None
    operation: str | None = None
    classes: list[str] = []
    untrusted: bool = False
    sources: list[str] = []
    arguments: list[LabelledArgument] = []


class WorkflowDetail(WorkflowSummary, frozen=True, kw_only=True):
    """A published definition with its content.

    Attributes:
        document: The definition as data.
        source: The text that was published, with its comments.
        pinned: Which version of each catalogue function it calls.
        requires: Handlers and functions that it needs.
    """

    document: Any = None
    source: str = ""
    pinned: dict[str, str] = {}
    requires: list[str] = []


class Validation(Shape, frozen=True, kw_only=True):
    """What validation says of one document. `valid` means that no finding is an error."""

    file: str
    valid: bool
    findings: list[Finding] = []


class Published(Shape, frozen=True, kw_only=True):
    """Answer to publishing. `created` is False where the same content was published before."""

    workflow: WorkflowSummary
    created: bool
    warnings: list[Finding] = []


class Held(Shape, frozen=True, kw_only=True):
    """A run waits for somebody to decide about a failure.

    Attributes:
        exception: Number of the first one in the inbox. count: How many there are.
        pointer: JSON Pointer of its task.
        title: What failed.
    """

    exception: int
    count: int
    pointer: str
    title: str


class Queued(Shape, frozen=True, kw_only=True):
    """A run waits for its turn, because its workflow limits how many may be under way.

    Attributes:
        ahead: How many of its workflow go before it. under_way: How many have begun.
    """

    ahead: int
    under_way: int


class RunSummary(Shape, frozen=True, kw_only=True):
    """One line of a list of runs. `cause` says who or what started it, `held` what failure or bug waits for somebody.

    `output` and `error` are filled where they were asked for, and in details.
    """

    id: str
    workflow: WorkflowRef
    status: RunStatus
    started_at: str
    ended_at: str | None = None
    duration_ms: int | None = None
    cause: dict[str, Any] = {}
    output: Any = None
    error: dict[str, Any] | None = None
    held: Held | None = None


class TaskView(Shape, frozen=True, kw_only=True):
    """One activation of a task.

    Attributes:
        id: Number of the activation in its run; tasks started later have higher ones.
        pointer: JSON Pointer of the task in the document.
        kind: `set`, `do`, `for`, `act` (call and run), …
        iteration: Index in each enclosing loop, outermost first.
        attempt: Which try of the innermost enclosing `try` it belongs to, from 1.
        error: Why it faulted, or why it waits for a person (`suspended`); a long `detail` is cut in lists.
        by_hand: A person gave it its output.
    """

    id: int
    pointer: str
    name: str
    kind: str
    status: RunStatus
    started_at: str
    ended_at: str | None = None
    duration_ms: int | None = None
    iteration: list[int] = []
    attempt: int = 1
    error: dict[str, Any] | None = None
    by_hand: bool = False


class TaskDetail(TaskView, frozen=True, kw_only=True):
    """One activation of a task with the data that went in and came out."""

    input: Any = None
    output: Any = None


class SkippedTask(Shape, frozen=True, kw_only=True):
    """A task whose `if` was false. It never started."""

    pointer: str
    name: str
    at: str
    iteration: list[int] = []


class Decision(Shape, frozen=True, kw_only=True):
    """What a `switch` chose. `case` is None where no case held; `saw` is the data it looked at.

    `task` is the number of the switch among the tasks of the run.
    """

    task: int
    pointer: str
    name: str
    at: str
    case: str | None = None
    saw: Any = None
    iteration: list[int] = []


class OpenCommand(Shape, frozen=True, kw_only=True):
    """What the run waits for.

    Attributes:
        kind: `act`, `timer`, `message` or `person`.
        due_at: When a timer fires.
        types: Types of events that a message wait can match; empty for any.
    """

    id: int
    kind: str
    pointer: str = ""
    handler: str | None = None
    due_at: str | None = None
    types: list[str] = []


class Recorded(Shape, frozen=True, kw_only=True):
    """How long the history of a run is.

    Attributes:
        events: How many events it has had. folded: how many of the first are no longer kept.
        limit: How many it may keep before the oldest are folded; None for any number.
        notes: What somebody should know of its size.
    """

    events: int
    folded: int = 0
    limit: int | None = None
    notes: list[str] = []


class RunDetail(RunSummary, frozen=True, kw_only=True):
    """Everything to be said of one run: the newest 500 of its tasks, decisions and events, without large values.

    Attributes:
        queued: Where it stands while it is `pending`.
        adjustable: The adjustable values of its workflow that it has, from its start on.
        omitted: How many earlier ones there are that the history still tells of; `listTasks` pages all tasks.
        history: How long its history is, and whether it is whole.
    """

    queued: Queued | None = None
    input: Any = None
    adjustable: dict[str, Any] = {}
    tasks: list[TaskView] = []
    skipped: list[SkippedTask] = []
    decisions: list[Decision] = []
    events: list[dict[str, Any]] = []
    open: list[OpenCommand] = []
    omitted: dict[str, int] = {}
    history: Recorded


class RunReport(Shape, frozen=True, kw_only=True):
    """What became of a document that was run to its end.

    Attributes:
        status: `completed`, `faulted` or `cancelled`.
        events: CloudEvents that the run emitted, in order.
        tasks: Tasks in the order in which they started.
        folded: How many of the run's first events are no longer kept; what they did is not told.
    """

    id: str
    workflow: WorkflowRef
    status: RunStatus
    output: Any = None
    error: dict[str, Any] | None = None
    events: list[dict[str, Any]] = []
    tasks: list[TaskView] = []
    skipped: list[SkippedTask] = []
    decisions: list[Decision] = []
    duration_ms: int = 0
    folded: int = 0


class Page(Shape, Generic[Item], frozen=True, kw_only=True):
    """Part of a list. `next` is where to go on: the value of `after` for the following page; None at the end."""

    items: list[Item]
    next: str | None = None


class HistoryPage(Shape, frozen=True, kw_only=True):
    """Part of a history, or of what it causes.

    Attributes:
        next: Where to go on: the value of `after` for the following page; None at the end.
        first: Number of the event that the first item is, or follows from.
        folded: How many events before it were asked for, and are no longer kept.
    """

    items: list[dict[str, Any]]
    next: str | None = None
    first: int = 1
    folded: int = 0


class Sent(Shape, frozen=True, kw_only=True):
    """What became of one event that was sent in."""

    id: str
    source: str
    accepted: bool


class SentEvents(Shape, frozen=True, kw_only=True):
    """What became of events that were sent in. A duplicate has the source and id of one that came before."""

    accepted: int
    duplicates: int
    events: list[Sent] = []


class CircuitView(Shape, frozen=True, kw_only=True):
    """How the circuit breaker of a connection stands in the process that answers.

    Attributes:
        state: `closed`, `open` or `half-open`.
        since: When it came into this state; left out while it was never open.
        last_failure: What the system failed with last, and when.
        retry_at: When an open circuit lets the next request through.
        under_way: Requests under way. waiting: Requests that wait for their turn.
    """

    state: str
    since: str | None = None
    last_failure: str | None = None
    last_failure_at: str | None = None
    retry_at: str | None = None
    under_way: int = 0
    waiting: int = 0


class ConnectionView(Shape, frozen=True, kw_only=True):
    """A connection.

    Attributes:
        auth: Kind of credentials; the credentials themselves are never shown.
        base_url: Where the system is, when that is set; otherwise the document's server counts.
        source: Where the document was read from.
        owner: Whose consent new uses need.
        circuit: How its circuit breaker stands; None while the answering process has not used it.
        warnings: Told when it is added: references to credentials that lead nowhere yet, and how to set them.
    """

    name: str
    kind: str
    auth: str
    circuit: CircuitView | None = None
    warnings: list[str] = []
    base_url: str | None = None
    source: str | None = None
    owner: str | None = None
    title: str | None = None
    operations: int = 0


class OperationView(Shape, frozen=True, kw_only=True):
    """One operation of a connection."""

    operation: str
    method: str
    path: str
    summary: str | None = None
    arguments: Any = None
    result: Any = None


class ConnectionDetail(ConnectionView, frozen=True, kw_only=True):
    """A connection with its operations."""

    described: list[OperationView] = []


class ConnectionTest(Shape, frozen=True, kw_only=True):
    """What a try of the connection gave."""

    name: str
    reachable: bool
    detail: str
    operation: str | None = None
    status: int | None = None
    duration_ms: int | None = None


class ModelView(Shape, frozen=True, kw_only=True):
    """A registered model, as the register has it.

    Attributes:
        kind: `python`, `onnx` or `joblib`.
        owner: Whose consent is needed for new uses: `person:ann`, `group:risk`.
        risk, use_cases: As its card says; no use cases means any.
        used_by: Workflows whose latest version asks this model, as far as their text says so.
    """

    name: str
    version: str
    kind: str
    purpose: str | None = None
    owner: str | None = None
    risk: str | None = None
    use_cases: list[str] = []
    used_by: list[str] = []
    features: list[str] = []
    labels: list[str] = []


class Health(Shape, frozen=True, kw_only=True):
    """Liveness and readiness. It is told without a token, so it tells nothing else."""

    status: str
    version: str
