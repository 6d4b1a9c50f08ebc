"""Commands: what the core asks its host to do.

A command's `id` is unique in its run and the same on every replay. Commands are never stored: they follow from
history.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from segue.types.failures import Failure

RunStatus = Literal["pending", "running", "waiting", "suspended", "cancelled", "faulted", "completed"]
CLOSED: frozenset[str] = frozenset({"cancelled", "faulted", "completed"})


class Approval(msgspec.Struct, frozen=True, omit_defaults=True):
    """Somebody let an act go out that rules had withheld.

    Attributes:
        effect: The act's name within its run, as `Perform.effect`.
        digest: Of the act as they saw it; it counts for nothing else.
        rules: The rules that it lifts, with their text as it was then.
        by: Who. task: Id of the offer.
    """

    effect: str
    digest: str
    rules: dict[str, str]
    by: str
    at: int
    task: int


class Perform(msgspec.Struct, frozen=True, gc=False, tag_field="c", tag="perform", omit_defaults=True):
    """Act on the world through the handler of this name, and answer with an attempt event.

    Attributes:
        handler: Which handler: `http`, `openapi`, `script`, `shell`, `workflow`, `function`, `connector`, …
        arguments: Evaluated arguments. May hold `SecretText`, which only the handler reveals.
        name: The task's name in the document.
        pointer: JSON Pointer of the task in the document.
        effect: Names the act within its run: the same over all attempts of an enclosing `try`, another one for
            each iteration of a loop and each backward jump. Run id and this are the effect key.
        iteration: Index in each enclosing loop, outermost first.
        attempt: Which try of an enclosing `try` this is, from 1.
        detached: Nobody waits for the answer (`await: false`).
        affects: Whom it has consequences for, as its document says; `adverse`: it goes against them.
        decided_by: Who decided it: people, of the newest human task on the way to it; empty where nobody has.
            decided_at: pointer of that task. decided: its outcome.
        approvals: What people have approved about an act of this name.
    """

    id: int
    handler: str
    arguments: Any
    name: str
    pointer: str
    effect: str
    iteration: tuple[int, ...] = ()
    attempt: int = 1
    detached: bool = False
    affects: str = ""
    adverse: bool = False
    decided_by: str = ""
    decided_at: str = ""
    decided: str = ""
    approvals: tuple[Approval, ...] = ()


class StartTimer(msgspec.Struct, frozen=True, gc=False, tag_field="c", tag="timer", omit_defaults=True):
    """Answer with `TimerFired` when the clock passes `due_ms` (Unix epoch, UTC)."""

    id: int
    due_ms: int


class AwaitMessages(msgspec.Struct, frozen=True, tag_field="c", tag="await", omit_defaults=True):
    """Offer arriving CloudEvents to this wait until it is cancelled.

    Attributes:
        types: Event types that can match; empty when any type may. A hint for indexes: the core decides.
        since_ms: Events that arrived from this time on are offered too, oldest first (ruling R22).
    """

    id: int
    types: tuple[str, ...] = ()
    since_ms: int = 0


class Offer(msgspec.Struct, frozen=True, tag_field="c", tag="offer", omit_defaults=True):
    """Put a human task before people, and answer with their decisions until it is cancelled or decided.

    Attributes:
        request: What is asked, as the compiler settled it (`segue.dsl.compiler.human`): title, form, context,
            outcomes, authority. Holds no secrets.
        audience: Who may decide: `people`, `roles`, `groups`, `agents` (lists of names), `manager` (of the people).
        effect, iteration, attempt, name, pointer: As in `Perform`.
    """

    id: int
    request: dict[str, Any]
    audience: dict[str, Any]
    name: str
    pointer: str
    effect: str
    iteration: tuple[int, ...] = ()
    attempt: int = 1


class UpdateOffer(msgspec.Struct, frozen=True, tag_field="c", tag="update-offer", omit_defaults=True):
    """Bring the row of a human task up to date, in the same transaction as the event that caused it.

    Attributes:
        id: Of the `Offer`.
        change: `claimed`, `released`, `delegated`, `reassigned`, `voted`, `sent-back`, `resubmitted`, `reminded`,
            `escalated`, `decided` or `expired`. After the last two the task is closed.
        state: `offered`, `claimed`, `sent-back` or `decided`, `expired`.
        level: Rung of the ladder of escalation, 0 for the first audience.
        votes: How many voices it has.
        by: Who did it; empty where the clock did.
        outcome, data, edited: Of `decided` and `expired`: the result.
    """

    id: int
    change: str
    state: str
    owner: str
    audience: dict[str, Any]
    level: int = 0
    votes: int = 0
    by: str = ""
    outcome: str = ""
    data: Any = None
    edited: bool = False


class Cancel(msgspec.Struct, frozen=True, tag_field="c", tag="cancel", omit_defaults=True):
    """Stop performing, timing or awaiting `id`; its answer no longer matters."""

    id: int


class Emit(msgspec.Struct, frozen=True, tag_field="c", tag="emit", omit_defaults=True):
    """Publish this CloudEvent, in the same transaction as the history event that caused it."""

    id: int
    event: dict[str, Any]


class EndRun(msgspec.Struct, frozen=True, tag_field="c", tag="end", omit_defaults=True):
    """The run is closed: record its status, and its output or its failure."""

    status: RunStatus
    output: Any = None
    failure: Failure | None = None


Command = Perform | StartTimer | AwaitMessages | Offer | UpdateOffer | Cancel | Emit | EndRun
