"""Findings: what is wrong, or doubtful, in a document; and where, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that an author should change.

    Attributes:
        rule: Stable name of the rule that was broken, in kebab case; `docs/document.md` lists them all.
        severity: `error`: the document cannot be published. `warning`: it can, and probably should not.
        message: What is wrong, in one sentence.
        remedy: What to do about it.
        file: As given to `read_document`.
        line, column: Where, both from 1. Zero when the place is unknown.
        pointer: JSON Pointer of the value in question.
    """

    rule: str
    severity: Severity
    message: str
    remedy: str = ""
    file: str = "<document>"
    line: int = 0
    column: int = 0
    pointer: str = ""

    @property
    def is_error(self) -> bool:
        """True when it keeps the document from being published."""
        return self.severity == "error"

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        remedy = f" ({self.remedy})" if self.remedy else ""
        return f"{place}: {self.severity}: {self.message}{remedy} [{self.rule}]"


class DefinitionError(Exception):
    """The document has errors. Carries every finding, warnings included, in document order."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(str(finding) for finding in self.findings if finding.is_error))


def in_document_order(findings: Iterable[Finding]) -> list[Finding]:
    """The findings sorted by place, each once."""
    return sorted(dict.fromkeys(findings), key=lambda f: (f.line, f.column, f.severity, f.rule, f.message))
