"""Drawing on the terminal: headings, one progress bar, tables. Plain lines where there is no terminal."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

console = Console(highlight=False, record=True, width=None if sys.stdout.isatty() else 110)


def heading(text: str) -> None:
    """A new part of the story."""
    console.print(f"\n[bold]{text}[/bold]")


def say(text: str) -> None:
    """One line of it; a long one is left to the terminal, so that commands can be copied."""
    console.print(text, soft_wrap=True)


def save_picture(file: Path) -> None:
    """Everything told so far, as an SVG of the terminal."""
    picture = console.export_svg(title="make run")
    # Fonts from the network have no place in a page that must also open without one.
    file.write_text(re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL))


def progress() -> Progress:
    """A bar that counts runs."""
    return Progress(
        TextColumn("  {task.description}"),
        BarColumn(bar_width=40),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not sys.stdout.isatty(),
        transient=False,
    )


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A small table; the first column is text, the others are numbers."""
    drawn = Table(title=title, title_justify="left", title_style="bold", show_edge=False, pad_edge=False)
    for place, column in enumerate(columns):
        drawn.add_column(column, justify="left" if place == 0 else "right")
    for row in rows:
        drawn.add_row(*(str(cell) for cell in row))
    console.print()
    console.print(drawn)
