"""Failures of tasks and runs, in the shape of RFC 9457 problem details.

A failure is data: it stands in history, reaches `catch` as `$error`, and becomes the error of a run.
`TaskFailure` is the exception that carries one out of a handler.

Source: Open Workflow DSL 1.0.x, "Error"; rulings R2 and R26 of the document reference.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

ERROR_BASE: Final = "https://open-workflow-specification.org/spec/1.0.0/errors/"
_KNOWN_BASES: Final = tuple(
    f"https://{host}{path}"
    for host in ("open-workflow-specification.org", "serverlessworkflow.io")
    for path in ("/spec/1.0.0/errors/", "/dsl/errors/types/")
)

FailureWord = Literal[
    "configuration",
    "validation",
    "expression",
    "authentication",
    "authorization",
    "timeout",
    "communication",
    "runtime",
]

DEFAULT_STATUS: Final[dict[str, int]] = {
    "configuration": 400,
    "validation": 400,
    "expression": 400,
    "authentication": 401,
    "authorization": 403,
    "timeout": 408,
    "communication": 500,
    "runtime": 500,
}


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a task or a run failed.

    Attributes:
        type: URI of the kind of failure.
        status: HTTP-like status, 100 to 599.
        title: One short line that is the same for all failures of this kind.
        detail: What happened this time, and what to do next.
        instance: JSON Pointer of the task that raised it; set by the core.
        retry_after_ms: The peer asked not to be called again sooner than this.
        outcome_unknown: The act may have happened: the answer was lost.
    """

    type: str
    status: int
    title: str | None = None
    detail: str | None = None
    instance: str | None = None
    retry_after_ms: int | None = None
    outcome_unknown: bool = False

    def as_data(self) -> dict[str, Any]:
        """The failure as expressions see it in `$error`."""
        fields = {"type": self.type, "status": self.status, "title": self.title}
        fields |= {"detail": self.detail, "instance": self.instance}
        return {key: value for key, value in fields.items() if value is not None}

    def at(self, instance: str) -> Failure:
        """The same failure, raised by the task at this pointer unless a deeper one is known."""
        return self if self.instance is not None else msgspec.structs.replace(self, instance=instance)


def failure(word: FailureWord, detail: str, *, status: int | None = None, **more: Any) -> Failure:
    """A failure of one of the language's standard kinds."""
    return Failure(
        type=ERROR_BASE + word,
        status=DEFAULT_STATUS[word] if status is None else status,
        title=word.capitalize() + " error",
        detail=detail,
        **more,
    )


def canonical_type(uri: str) -> str:
    """The URI under which a standard error type is compared, whatever its vintage (ruling R2)."""
    for base in _KNOWN_BASES:
        if uri.startswith(base):
            return ERROR_BASE + uri[len(base) :]
    return uri


class TaskFailure(Exception):
    """Carries a `Failure` out of a handler or a program of the plan."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail or failure.title or failure.type)
        self.failure = failure


def fail(word: FailureWord, detail: str, *, status: int | None = None, **more: Any) -> TaskFailure:
    """An exception to raise: `raise fail("validation", "...")`."""
    return TaskFailure(failure(word, detail, status=status, **more))
