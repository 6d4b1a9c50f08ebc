"""Printing: JSON for machines, text and tables for people, problems on standard error."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
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
_PAINT = re.compile("(\x1b\\[(?:0|" + "|".join(_COLOURS.values()) + ")m)")
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
    """A line of the result. Whatever of it came from data, only `paint` commands the terminal."""
    print(_obedient(text, sys.stdout))


def who_is_asked(task: dict[str, Any]) -> str:
    """Whom a task is for: who has claimed it, or to whom it is offered."""
    if task["owner"]:
        return str(task["owner"])
    names = [f"{kind[:-1]}:{name}" for kind, held in task["audience"].items() if kind != "manager" for name in held]
    names = [name.replace("peopl:", "") for name in names]
    return ", ".join([*names, *(["their manager"] if task["audience"].get("manager") else [])])


def say_document(text: str) -> None:
    """A document of somebody's: to the letter where it goes into a file or another program."""
    print(_obedient(text, sys.stdout) if sys.stdout.isatty() else text)


def note(text: str) -> None:
    """A line that is not the result; the same holds for it."""
    print(_obedient(text, sys.stderr), file=sys.stderr, flush=True)


def print_json(value: Any) -> None:
    """One JSON document, indented on a terminal and on one line elsewhere."""
    content = msgspec.json.encode(value).decode()
    if sys.stdout.isatty():
        content = _escaped(msgspec.json.format(content, indent=2))
    sys.stdout.write(content + "\n")
    sys.stdout.flush()


def print_value(value: Any) -> None:
    """A JSON value for people."""
    say(_escaped(msgspec.json.format(msgspec.json.encode(value).decode(), indent=2)))


def _obedient(text: str, stream: Any) -> str:
    """The text without what would command the terminal, besides our own colours where they are shown."""
    if text.isprintable():
        return text
    begins = CLEAR if text.startswith(CLEAR) else ""
    parts = _PAINT.split(text.removeprefix(CLEAR))
    ours = has_colour(stream)
    return begins + "".join(part if place % 2 and ours else _plain(part) for place, part in enumerate(parts))


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def _escaped(content: str) -> str:
    """JSON whose texts hold nothing that commands a terminal or turns its lines around: still the same JSON."""
    if content.isprintable():
        return content
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in content)


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


def tell_more(page: Mapping[str, Any]) -> None:
    """Say how to go on where a page is not the last one."""
    if page["next"]:
        note(f"There is more: --after {page['next']}")


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
