"""A document as read: plain data, and the place in the file of every key and value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from segue.dsl.findings import Finding, Severity


class Mark(NamedTuple):
    """Where a key and its value stand, lines and columns from 0.

    Attributes:
        key_line, key_column: Of the key; of the value itself for items of a list.
        line, column: Of the value.
        style: How a text value is written: `'`, `"`, `|`, `>`, or empty for plain text and other values.
    """

    key_line: int
    key_column: int
    line: int
    column: int
    style: str = ""


_START = Mark(0, 0, 0, 0)


@dataclass(frozen=True)
class Document:
    """What `read_document` understood of a file.

    Attributes:
        data: Dicts, lists and scalars of JSON; None when the file could not be read.
        file: Name for messages.
        text: The source.
        marks: JSON Pointer to place. Values reached through an alias have no entry of their own.
        findings: What is wrong with the file as YAML.
    """

    data: Any
    file: str = "<document>"
    text: str = ""
    marks: Mapping[str, Mark] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    @cached_property
    def lines(self) -> list[str]:
        """The source, line by line."""
        return self.text.split("\n")

    def mark(self, pointer: str) -> Mark:
        """The place of a value, or of the nearest value around it that has one."""
        marks = self.marks
        while (found := marks.get(pointer)) is None:
            if not pointer:
                return _START
            pointer = pointer.rpartition("/")[0]
        return found

    def position(self, pointer: str, *, key: bool = False) -> tuple[int, int]:
        """Line and column of a value, or of its key; both from 1."""
        mark = self.mark(pointer)
        return (mark.key_line + 1, mark.key_column + 1) if key else (mark.line + 1, mark.column + 1)

    def position_in(self, pointer: str, value: str, offset: int) -> tuple[int, int]:
        """Line and column, from 1, of the character at `offset` inside a text value.

        Exact for text written on one line and for literal blocks; elsewhere the start of the value.
        """
        mark = self.mark(pointer)
        start = (mark.line + 1, mark.column + 1)
        if pointer not in self.marks or not 0 <= offset <= len(value):
            return start
        if mark.style in ("|", ">"):
            return self._position_in_block(mark, value, offset) or start
        column = mark.column + (1 if mark.style else 0)
        line = self.lines[mark.line] if mark.line < len(self.lines) else ""
        if line[column : column + offset] != value[:offset]:
            return start
        return mark.line + 1, column + offset + 1

    def _position_in_block(self, mark: Mark, value: str, offset: int) -> tuple[int, int] | None:
        before = value[:offset]
        row = before.count("\n")
        written = value.split("\n")[row]
        number = mark.line + 1 + row
        if number >= len(self.lines) or not self.lines[number].endswith(written):
            return None
        indent = len(self.lines[number]) - len(written)
        return number + 1, indent + offset - (before.rfind("\n") + 1) + 1

    def finding(
        self, rule: str, severity: Severity, message: str, remedy: str = "", *, pointer: str = "", key: bool = False
    ) -> Finding:
        """A finding at this pointer's value, or at its key."""
        line, column = self.position(pointer, key=key)
        return Finding(rule, severity, message, remedy, self.file, line, column, pointer)


def escape(key: str) -> str:
    """A key as a token of a JSON Pointer (RFC 6901)."""
    if "~" in key or "/" in key:
        return key.replace("~", "~0").replace("/", "~1")
    return key
