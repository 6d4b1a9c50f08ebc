"""Shapes of human tasks: what is asked, of whom, and what was decided."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from segue.service.shapes import Shape, TaskDetail, WorkflowRef

HumanTaskStateName = Literal["offered", "claimed", "sent-back", "decided", "expired", "withdrawn"]
HumanTaskKindName = Literal["task", "approval"]
Priority = Literal["low", "normal", "high", "urgent"]


class HumanTaskView(Shape, frozen=True, kw_only=True):
    """One task for people, as lists show it.

    Attributes:
        kind: `task`, or `approval` of an act that a rule or a limit leaves to people.
        pointer: JSON Pointer of the task in its document.
        owner: Who has claimed it.
        audience: Who may decide: `people`, `roles`, `groups`, `agents`, `manager`.
        level: Rung of the ladder of escalation, 0 for who was asked first.
        votes: Voices so far, where several are needed.
        outcome, by, edited: How it was decided.
    """

    id: int
    kind: HumanTaskKindName
    title: str
    state: HumanTaskStateName
    priority: Priority
    run: str
    workflow: WorkflowRef
    pointer: str
    owner: str | None = None
    audience: dict[str, Any]
    requester: str | None = None
    level: int = 0
    votes: int = 0
    offered_at: str
    due_at: str | None = None
    overdue: bool = False
    closed_at: str | None = None
    outcome: str | None = None
    by: str | None = None
    edited: bool = False
    model: str | None = None
    model_version: str | None = None


class Voice(Shape, frozen=True, kw_only=True):
    """A decision, or one of those that an outcome needs.

    Attributes:
        seen: Digest of what they were shown. policy: Version of the rules that let them.
        via: How they were known: `session` (signed in) or `code`.
        allowed: What counted: membership, role, limit.
    """

    outcome: str
    by: str
    at: str
    comment: str = ""
    data: Any = None
    seen: str
    policy: str
    via: str
    allowed: list[str]


class Change(Shape, frozen=True, kw_only=True):
    """Something that happened to a task; `by` is empty where the clock did it."""

    change: str
    at: str
    by: str = ""
    owner: str = ""
    level: int = 0
    reason: str = ""


class NoticeView(Shape, frozen=True, kw_only=True):
    """What somebody was told.

    Attributes:
        task, exception: What it is about: one of the two, or neither.
        about: Otherwise what somebody wants and others decide, such as `consent:3`.
        kind: `offered`, `reminded`, `escalated`, `delegated`, `reassigned`, `sent-back`, `resubmitted`; `overdue` for
            an exception; `publication`, `adjustment`, `consent`, `account`, and of these `wish-reminded`,
            `wish-escalated`, `wish-stuck` (nobody can decide it for now), `wish-lapsed`.
        channel: `app`, `email` or `chat`.
        state: `due`, `sending`, `sent`, `failed`, `void` (no longer needed), or `unknown`: the process died while it
            was sent, so it may have arrived.
        receipt: The name it went out under, or why it did not.
    """

    id: int
    task: int | None = None
    exception: int | None = None
    about: str | None = None
    title: str
    kind: str
    person: str
    channel: str
    state: str
    due_at: str
    sent_at: str | None = None
    read_at: str | None = None
    receipt: str | None = None


class HumanTaskDetail(HumanTaskView, frozen=True, kw_only=True):
    """Everything that a person needs to decide, on one page.

    Attributes:
        form: JSON Schema of `data`. data: What the form holds now.
        context: History, related records and sources, as the document gathered them. suggestion: What is suggested.
        about: The model whose answer is judged: input, value, confidence, reasons, sources.
        choices: Outcomes that can be chosen now, each with its title, and whether it needs a comment or the form.
        authority: Role and limit that a decision needs.
        deadline_at, deadline_outcome: What becomes of it when nobody decides.
        decisions: Voices so far, also those of earlier rounds.
        steps: What the run did before, with its data.
        seen: Digest of all of this; a decision names it.
        may_decide: Whoever asks may. why_not: Otherwise why.
    """

    description: str | None = None
    form: Any = None
    data: Any = None
    context: Any = None
    suggestion: Any = None
    about: Any = None
    choices: list[dict[str, Any]] = msgspec.field(default_factory=list)
    authority: dict[str, Any] = msgspec.field(default_factory=dict)
    deadline_at: str | None = None
    deadline_outcome: str | None = None
    decisions: list[Voice] = msgspec.field(default_factory=list)
    changes: list[Change] = msgspec.field(default_factory=list)
    notices: list[NoticeView] = msgspec.field(default_factory=list)
    run_status: str
    run_input: Any = None
    steps: list[TaskDetail] = msgspec.field(default_factory=list)
    seen: str = ""
    policy: str = ""
    may_decide: bool = False
    why_not: str | None = None


class QueueView(Shape, frozen=True, kw_only=True):
    """Open tasks of one audience. kind: `people`, `roles`, `groups`, `agents` or `manager`."""

    kind: str
    name: str
    open: int
    overdue: int
    oldest_at: str


class WorkloadView(Shape, frozen=True, kw_only=True):
    """What one person has claimed."""

    person: str
    open: int
    overdue: int
    absent: bool = False
    deputy: str | None = None


class FiguresView(Shape, frozen=True, kw_only=True):
    """How tasks at one place were decided.

    Attributes:
        overruled: Not approved as proposed. edited: Of those, how many were approved with other data.
        median_seconds, slowest_seconds: From the offer to the decision.
    """

    workflow: str
    pointer: str
    model: str | None = None
    version: str | None = None
    decided: int
    expired: int
    overruled: int
    edited: int
    overrule_rate: float | None = None
    accept_rate: float | None = None
    median_seconds: float | None = None
    slowest_seconds: float | None = None


class LabelView(Shape, frozen=True, kw_only=True):
    """What a person's decision says about a model's answer.

    Attributes:
        proposed: What the model answered. decided: What the form held at the end.
        agreed: It was approved as it was.
    """

    task: int
    model: str
    version: str
    confidence: float | None = None
    input: Any = None
    proposed: Any = None
    decided: Any = None
    outcome: str
    agreed: bool
    by: str
    at: str


class NewDecision(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody decides; see `Tasks.decide`."""

    outcome: str
    seen: str
    data: Any = msgspec.UNSET
    comment: str = ""
