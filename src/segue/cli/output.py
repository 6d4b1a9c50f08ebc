"""Printing: JSON for machines, text and tables for people, problems on standard error."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import msgspec

from segue.service import Finding, ServiceError

_COLOURS = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "dim": "2", "bold": "1"}
STATUS_COLOUR = {
    "completed": "green",
    "faulted": "red",
    "cancelled": "yellow",
    "suspended": "yellow",
    "running": "blue",
    "waiting": "blue",
    "pending": "dim",
    "skipped": "dim",
}
CLEAR = "\r\x1b[K"
"""Takes away what stands on the terminal's line."""


def has_colour(stream: Any = None) -> bool:
    """Colour is for terminals, and for nobody who set NO_COLOR."""
    stream = stream or sys.stdout
    return bool(stream.isatty()) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str, stream: Any = None) -> str:
    """The text in this colour, where colour is shown."""
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if has_colour(stream) else text


def clean(text: Any) -> str:
    """Text that came from data, without the control characters that would command the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in str(text))


def say(text: str = "") -> None:
    """A line of the result."""
    print(text)


def note(text: str) -> None:
    """A line that is not the result."""
    print(text, file=sys.stderr, flush=True)


def print_json(value: Any) -> None:
    """One JSON document, indented on a terminal and on one line elsewhere."""
    content = msgspec.json.encode(value)
    if sys.stdout.isatty():
        content = msgspec.json.format(content, indent=2)
    sys.stdout.write(content.decode() + "\n")
    sys.stdout.flush()


def print_value(value: Any) -> None:
    """A JSON value for people."""
    say(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, empty: str) -> None:
    """A table; widths follow the content. `empty` is said, on standard error, where there are no rows."""
    if not rows:
        note(empty)
        return
    texts = [["" if cell is None else clean(cell).replace("\n", " ") for cell in row] for row in rows]
    widths = [max(len(name), *(len(row[i]) for row in texts)) for i, name in enumerate(columns)]
    say(paint("  ".join(n.upper().ljust(w) for n, w in zip(columns, widths, strict=True)).rstrip(), "dim"))
    for row in texts:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        for i, cell in enumerate(row):
            if columns[i] == "status" and cell in STATUS_COLOUR:
                cells[i] = paint(cell, STATUS_COLOUR[cell]) + " " * (widths[i] - len(cell))
        say("  ".join(cells).rstrip())


def fields(pairs: Sequence[tuple[str, Any]]) -> None:
    """Names and values, one pair a line; pairs without a value are left out."""
    shown = [(name, value) for name, value in pairs if value not in (None, "")]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        say(f"{paint(name.ljust(width), 'dim')}  {clean(value)}")


def finding_line(finding: Finding, stream: Any = None) -> str:
    """A finding with its place, rule and remedy, for this stream; standard error where it is left out."""
    stream = stream or sys.stderr
    place = f"{finding.file}:{finding.line}:{finding.column}" if finding.line else finding.file
    colour = "red" if finding.severity == "error" else "yellow"
    line = f"{paint(clean(place), 'bold', stream)}: {paint(finding.severity, colour, stream)}: "
    line += f"{clean(finding.message)} [{finding.rule}]"
    if finding.pointer:
        line += f"\n    at {clean(finding.pointer)}"
    if finding.remedy:
        line += f"\n    {clean(finding.remedy)}"
    return line


def refuse(error: ServiceError, *, as_json: bool) -> NoReturn:
    """Tell a refusal and end with its exit code."""
    if as_json:
        print_json({"status": "refused", "error": error.as_problem()})
    for finding in error.findings:
        note(finding_line(finding))
    note(f"{paint('error', 'red', sys.stderr)}: {clean(error.detail)}")
    note(f"  {clean(error.remedy)}")
    raise SystemExit(error.exit_code)
