"""What the service raises where it refuses something, and the findings of documents.

A `ServiceError` names one kind of the table in `problems/`. Interfaces never invent a status or an exit code of
their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from segue.service.problems import PROBLEMS, ProblemKind
from segue.service.problems.kind import (
    EXIT_CANCELLED,
    EXIT_COMPLETED,
    EXIT_CRASHED,
    EXIT_FAULTED,
    EXIT_HELD,
    EXIT_OF_STATUS,
    EXIT_REFUSED,
    PROBLEM_BASE,
)
from segue.store import BackupRefused, DiskLow, ErasedData, FolderInUse, FolderNotUsable, HostError
from segue.types import Failure

__all__ = [
    "EXIT_CANCELLED",
    "EXIT_COMPLETED",
    "EXIT_CRASHED",
    "EXIT_FAULTED",
    "EXIT_HELD",
    "EXIT_OF_STATUS",
    "EXIT_REFUSED",
    "PROBLEMS",
    "PROBLEM_BASE",
    "Finding",
    "ProblemKind",
    "RunFaulted",
    "RunWasCancelled",
    "ServiceError",
    "as_refusal",
    "error_of",
]


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that validation found in a document.

    Attributes:
        severity: `error` refuses the document, `warning` does not.
        remedy: What to do about it.
        line, column: From 1; 0 where the place is unknown.
        pointer: JSON Pointer into the document.
    """

    rule: str
    severity: str
    message: str
    remedy: str = ""
    file: str = ""
    line: int = 0
    column: int = 0
    pointer: str = ""


class ServiceError(Exception):
    """A request that is refused. Whoever asked can act on it.

    Args:
        kind: A key of `PROBLEMS`.
        detail: What happened this time and where; never a secret.
        remedy: What to do next; the kind's own remedy where this is None.
        findings: All findings, where a document is refused.
        wait_s: Seconds after which to try again, where time is all that is lacking; 0 where it is not.
    """

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        remedy: str | None = None,
        findings: Sequence[Finding] = (),
        wait_s: int = 0,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.entry = PROBLEMS[kind]
        self.detail = detail
        self.remedy = remedy or self.entry.remedy
        self.findings = tuple(findings)
        self.wait_s = wait_s

    @property
    def exit_code(self) -> int:
        """What the command line ends with."""
        return self.entry.exit_code

    def __str__(self) -> str:
        """What happened and, where a document is refused, every finding with its place and remedy."""
        lines = [
            f"{f.file}:{f.line}:{f.column}: {f.severity}: {f.message} [{f.rule}]"
            + (f"; {f.remedy}" if f.remedy else "")
            for f in self.findings
        ]
        return "\n  ".join([self.detail, *lines])

    def as_problem(self, instance: str | None = None) -> dict[str, Any]:
        """The problem document of RFC 9457."""
        problem: dict[str, Any] = {
            "type": PROBLEM_BASE + self.kind,
            "title": self.entry.title,
            "status": self.entry.status,
            "detail": self.detail,
            "remedy": self.remedy,
        }
        if instance is not None:
            problem["instance"] = instance
        if self.findings:
            problem["findings"] = msgspec.to_builtins(self.findings)
        return problem


def error_of(problem: dict[str, Any]) -> ServiceError | None:
    """The error that a problem document of our own server stands for; None where it is somebody else's."""
    kind = str(problem.get("type", "")).removeprefix(PROBLEM_BASE)
    if kind not in PROBLEMS:
        return None
    findings = [msgspec.convert(item, Finding) for item in problem.get("findings", ())]
    return ServiceError(kind, str(problem.get("detail", "")), remedy=problem.get("remedy"), findings=findings)


def as_refusal(error: BaseException) -> ServiceError | None:
    """The refusal that an error of the rooms below stands for; None where it is a fault of the program."""
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, FolderInUse):
        return ServiceError("folder-busy", f"{error}.")
    if isinstance(error, FolderNotUsable):
        return ServiceError("folder-unusable", f"{error}.")
    if isinstance(error, BackupRefused):
        return ServiceError("backup-refused", f"{error}.")
    if isinstance(error, DiskLow):
        return ServiceError("disk-low", f"{error}.")
    if isinstance(error, ErasedData):
        return ServiceError("data-erased", f"{error}.")
    if isinstance(error, HostError):
        return ServiceError("not-ready", f"{error}.")
    return None


class RunFaulted(Exception):
    """A run that was waited for ended with a failure."""

    def __init__(self, run_id: str, failure: Failure) -> None:
        super().__init__(f"run {run_id} faulted: {failure.detail or failure.title or failure.type}")
        self.run_id = run_id
        self.failure = failure


class RunWasCancelled(Exception):
    """A run that was waited for was cancelled."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"run {run_id} was cancelled")
        self.run_id = run_id
