"""Events: facts that happened to a run. History is a list of them and the only source of its state.

Every event carries `at`, the time at which it was recorded, in milliseconds since the Unix epoch, UTC;
the core knows no other clock. Events are written as JSON objects whose key `e` names the kind.
"""

from __future__ import annotations

from typing import Any

import msgspec

from segue.types.failures import Failure

Json = Any
"""A JSON value: None, bool, int, float, str, list or dict with string keys."""


class RunStarted(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="run-started", omit_defaults=True):
    """A run came into being.

    Attributes:
        run_id: The run's id; unique in the store.
        definition: Digest of the definition that the run is pinned to.
        input: The raw workflow input.
        seed: Source of every random draw of this run.
        cause: Who or what started it: `{"kind": "person" | "schedule" | "event" | "run" | "api", ...}`; `by`: who, as
            they are named; `as`: the identity of a holder of the data folder, who may name anybody.
        flags: Semantic changes of the core that this history was written under, and `hold`: a task whose failure
            nobody catches waits for a person instead of faulting the run; `unattended`: nobody can come, so an
            undo that fails is left standing; `results`: what functions of catalogues answer that are themselves
            tasks is checked; `queued`: nothing begins before `RunAdmitted`;
            `values-max=N`: it has bounds, and keeps no value of more than N bytes; `value-max=N`: the same of an
            earlier release, which did not measure everything.
        runtime: Version of Segue that started it, for `$runtime.version`; a later release replays the same.
        adjustable: The adjustable values of its workflow as they were then, all that its document declares.
    """

    at: int
    run_id: str
    definition: str
    input: Json = None
    seed: str = ""
    cause: dict[str, Json] = {}
    flags: tuple[str, ...] = ()
    runtime: str = ""
    adjustable: dict[str, Json] = {}


class RunAdmitted(msgspec.Struct, frozen=True, tag_field="e", tag="admitted", omit_defaults=True):
    """A queued run got its turn: its workflow may have another run under way."""

    at: int


class AttemptSucceeded(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="ok", omit_defaults=True):
    """The command `id` was performed; `output` is its result.

    `verdict` names the rules that allowed it and the version of the policies; empty where only its publication did.
    """

    at: int
    id: int
    output: Json = None
    verdict: str = ""


class AttemptFailed(msgspec.Struct, frozen=True, tag_field="e", tag="failed", omit_defaults=True):
    """The command `id` could not be performed."""

    at: int
    id: int
    failure: Failure


class ApprovalWanted(msgspec.Struct, frozen=True, tag_field="e", tag="approval-wanted", omit_defaults=True):
    """The act `id` may go out only when somebody with a role approves it. It waits for them.

    Attributes:
        role: Who may approve.
        rules: The rules that want it, and what they say.
        policy: Version of the rules that were asked. reason: Their answer, in a sentence.
        digest: Of the act with its arguments. An approval counts for this and nothing else.
        labels: What it can send out: `classes`, `untrusted`, `sources`; and what its document declares.
        amount: What it is about, where a limit says so; people have limits of their own.
        clocks: What the clock does while it waits: `reminders_ms`, `ladder`, `deadline`, as a human task has them.
    """

    at: int
    id: int
    role: str
    rules: dict[str, str]
    policy: str
    reason: str
    digest: str
    labels: dict[str, Json] = {}
    amount: float | None = None
    clocks: dict[str, Json] = {}


class TimerFired(msgspec.Struct, frozen=True, tag_field="e", tag="timer", omit_defaults=True):
    """The timer `id` came due."""

    at: int
    id: int


class MessageConsumed(msgspec.Struct, frozen=True, tag_field="e", tag="message", omit_defaults=True):
    """A CloudEvent reached the run and at least one of its listeners took it.

    Attributes:
        event: The whole envelope, attributes and `data`.
        ids: The waits it is offered to; empty for all open ones.
    """

    at: int
    event: dict[str, Json]
    ids: tuple[int, ...] = ()


class RunPaused(msgspec.Struct, frozen=True, tag_field="e", tag="paused", omit_defaults=True):
    """An operator stopped the run from starting anything new; what is under way may finish."""

    at: int
    by: str = ""
    reason: str = ""


class RunResumed(msgspec.Struct, frozen=True, tag_field="e", tag="resumed", omit_defaults=True):
    """An operator let a paused run go on."""

    at: int
    by: str = ""
    reason: str = ""


class RunCancelled(msgspec.Struct, frozen=True, tag_field="e", tag="cancelled", omit_defaults=True):
    """An operator, or the parent run, ended the run and everything below it."""

    at: int
    by: str = ""
    reason: str = ""


class TaskRestarted(msgspec.Struct, frozen=True, tag_field="e", tag="restarted", omit_defaults=True):
    """An operator let a task start again: one that failed, one that is under way, or an earlier one.

    Attributes:
        id: The live task that starts again; with `node`, the live task whose list it stands in.
        node: Index in the plan of the task to go back to. What is under way in that list is cancelled.
        input: Its new raw input. Left out, a task that starts again keeps its own.
        apart: What happened before belongs to another run, which the history was copied from: this one undoes
            nothing of it, and takes no events that came before.
    """

    at: int
    id: int
    node: int | None = None
    input: Json | msgspec.UnsetType = msgspec.UNSET
    by: str = ""
    reason: str = ""
    apart: bool = False


class TaskSkipped(msgspec.Struct, frozen=True, tag_field="e", tag="skipped", omit_defaults=True):
    """An operator gave a live task its output, and the run goes on behind it.

    Attributes:
        happened: The task's act did happen, with this result; so it can be undone.
    """

    at: int
    id: int
    output: Json = None
    by: str = ""
    reason: str = ""
    happened: bool = False


class RunMigrated(msgspec.Struct, frozen=True, tag_field="e", tag="migrated", omit_defaults=True):
    """An operator let the run go on under another version of its definition.

    Attributes:
        definition: Digest of that version.
        nodes: Index of each task in the old plan, and that of its counterpart in the new one.
        adjustable: The values that it has from then on. Left out, neither version declares any.
    """

    at: int
    definition: str
    nodes: tuple[tuple[int, int], ...] = ()
    by: str = ""
    reason: str = ""
    adjustable: dict[str, Json] | msgspec.UnsetType = msgspec.UNSET


class FailureReleased(msgspec.Struct, frozen=True, tag_field="e", tag="released", omit_defaults=True):
    """An operator gave up on a held task: its failure goes the way that the document gives it."""

    at: int
    id: int
    by: str = ""
    reason: str = ""


class DecisionMade(msgspec.Struct, frozen=True, tag_field="e", tag="decision", omit_defaults=True):
    """Somebody decided about the human task `id`, or gave one of the voices that it needs.

    Attributes:
        outcome: One of those that the task offers.
        data: What was entered in the form. Left out, it is what the task showed.
        by: Who: the id of a person or an agent.
        seen: Digest of what they were shown.
        policy: Version of the rules under which they were allowed to.
        via: How they were known: `session`, `token`, `code`.
        allowed: Why they were allowed to: names of the roles, groups and limits that counted.
    """

    at: int
    id: int
    outcome: str
    data: Json | msgspec.UnsetType = msgspec.UNSET
    by: str = ""
    comment: str = ""
    seen: str = ""
    policy: str = ""
    via: str = ""
    allowed: tuple[str, ...] = ()


class TaskAssigned(msgspec.Struct, frozen=True, tag_field="e", tag="assigned", omit_defaults=True):
    """The human task `id` got another owner, or is offered to others.

    Attributes:
        action: `claim`, `release`, `delegate` or `reassign`.
        owner: Who works on it from now on; empty for nobody in particular.
        audience: With `reassign`: who may decide from now on, as `Offer.audience`.
    """

    at: int
    id: int
    action: str
    owner: str = ""
    audience: dict[str, Json] = {}
    by: str = ""
    reason: str = ""


Event = (
    RunStarted
    | RunAdmitted
    | AttemptSucceeded
    | AttemptFailed
    | ApprovalWanted
    | TimerFired
    | MessageConsumed
    | RunPaused
    | RunResumed
    | RunCancelled
    | TaskRestarted
    | TaskSkipped
    | FailureReleased
    | RunMigrated
    | DecisionMade
    | TaskAssigned
)
