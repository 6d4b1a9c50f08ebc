"""What is asked for does not go together with what there is."""

from __future__ import annotations

from typing import Final

from segue.service.problems.kind import ProblemKind

CONFLICTS: Final[dict[str, ProblemKind]] = {
    "version-taken": ProblemKind(
        409,
        "This version is published with other content",
        "A definition is immutable: the same namespace, name and version exists with another digest.",
        "Raise `document.version` and publish again.",
    ),
    "connection-taken": ProblemKind(
        409,
        "A connection of this name exists",
        "A connection is never overwritten silently.",
        "Choose another name, or remove the other connection first.",
    ),
    "switch-thrown": ProblemKind(
        409,
        "It is stopped already",
        "Something of this kind and name was stopped and not released.",
        "`segue switches` says by whom and why.",
    ),
    "adjustment-decided": ProblemKind(
        409,
        "The change of values is decided",
        "It was approved or refused, nobody decided in time, or it needed no approval; the first decision counts.",
        "Change the values anew, if they should be something else.",
    ),
    "account-change-decided": ProblemKind(
        409,
        "The change of a person is decided",
        "Somebody approved or refused it, a newer wish took its place, or nobody decided in time.",
        "Let whoever wanted it ask again.",
    ),
    "consent-decided": ProblemKind(
        409,
        "The use is decided",
        "Somebody consented or refused, or nobody decided in time; only its owner decides about it now.",
        "Let the owner decide, or publish the document again.",
    ),
    "publication-decided": ProblemKind(
        409,
        "The publication is decided",
        "Somebody approved or refused it, or nobody decided in time; the first decision counts.",
        "Publish the document again, if it should be decided anew.",
    ),
    "identity-taken": ProblemKind(
        409,
        "The name belongs to somebody",
        "A person or account of this name exists, or existed: records name it.",
        "Choose another name.",
    ),
    "scim-taken": ProblemKind(
        409,
        "Somebody else has it",
        "Another provisioned person or group has this name or external id, or had it and was removed here by hand.",
        "Look the other one up with a filter, or let an administrator decide.",
    ),
    "run-closed": ProblemKind(
        409,
        "The run has ended",
        "A run that completed, faulted or was cancelled takes no more controls.",
        "Start a new run.",
    ),
    "run-open": ProblemKind(
        409,
        "A run has not ended",
        "A data subject is erased only when no run about it is under way.",
        "Wait for the runs, or cancel them, and ask again.",
    ),
    "exception-closed": ProblemKind(
        409,
        "The exception is resolved",
        "Somebody decided about it, or it was settled otherwise, or the decision did not hold for long.",
        "`segue exceptions show` says what became of it.",
    ),
    "human-task-closed": ProblemKind(
        409,
        "The task is closed",
        "It was decided, it expired, or its run went on without it; the first decision that counts is the result.",
        "`segue tasks show` tells who decided what.",
    ),
    "human-task-changed": ProblemKind(
        409,
        "The task is not as it was when it was read",
        "Somebody changed its data or gave a voice, or the rules changed, since the page was read.",
        "Read it again, and decide about what it says now.",
    ),
    "place-refused": ProblemKind(
        409,
        "The run cannot be taken there",
        "The task is neither under way nor in a list that is; or a fork cannot begin with it.",
        "Do what the detail says; `segue runs show` shows where the run is.",
    ),
    "key-reused": ProblemKind(
        409,
        "The idempotency key belongs to another request",
        "The same `Idempotency-Key` was used to start a run with another workflow or input.",
        "Use a fresh key for each distinct request.",
    ),
    "backup-refused": ProblemKind(
        409,
        "The backup cannot be made or restored like this",
        "The file exists, does not verify, or the folder to restore to holds data.",
        "Do what the detail says; docs/operations.md tells more.",
    ),
    "data-erased": ProblemKind(
        410,
        "The data was erased",
        "It was about a data subject whose key was destroyed; nobody can read it any more.",
        "`segue runs show` tells what is left of the run.",
    ),
}
