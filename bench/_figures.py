"""A figure and what stands beside it."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

BARE_LOOP = "bare loop with group commit"


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured, beside what, in the same run.

    Attributes:
        group: The workload it belongs to.
        unit: `/s` where more is better; `ms`, `µs` or `B` where less is.
        beside: The limit or peer; empty where there is none.
        ratio: The median of the rounds' own ratios, so that a disturbance which meets both sides of a round cancels.
        low, high: The range of `value` over the rounds.
        note: A word for the reader, where the figure needs one.
    """

    group: str
    what: str
    value: float
    unit: str
    beside: str = ""
    beside_value: float | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    note: str = ""

    @classmethod
    def compared(
        cls, group: str, what: str, unit: str, beside: str, rounds: Sequence[tuple[float, float]], *, note: str = ""
    ) -> Figure:
        """A figure of several rounds, each our value and the other's."""
        ours, others = [pair[0] for pair in rounds], [pair[1] for pair in rounds]
        return cls(
            group,
            what,
            statistics.median(ours),
            unit,
            beside,
            statistics.median(others),
            statistics.median(mine / other for mine, other in rounds),
            min(ours),
            max(ours),
            note,
        )


@dataclass(frozen=True, slots=True)
class Effort:
    """How much to measure.

    Attributes:
        quick: Only show that everything works; the figures mean little.
        rounds: How often; the median counts.
        folder: On the disk to be measured; emptied afterwards.
        runs: Instead of the group's own number of runs, where it has one.
    """

    quick: bool
    rounds: int
    folder: Path
    runs: int | None = None


def command(measure: Callable[[Effort], list[Figure]], description: str | None) -> None:
    """The command line that all groups share."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="show that it works; the figures mean little")
    parser.add_argument("--rounds", type=int, help="how often; the median counts (default 5, quick 1)")
    parser.add_argument("--folder", help="where to put the files: on the disk to be measured (default: here)")
    parser.add_argument("--runs", type=int, help="how many runs, where the group asks for one large number of them")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder or Path.cwd(), prefix=".bench-") as name:
        effort = Effort(asked.quick, asked.rounds or (1 if asked.quick else 5), Path(name), asked.runs)
        figures = measure(effort)
    if asked.json:
        json.dump([asdict(figure) for figure in figures], sys.stdout)
    else:
        print(table(figures))


def table(figures: Sequence[Figure]) -> str:
    """Figures as text, one line each, a blank line between groups."""
    rows = [("", "figure", "measured", "beside it", "", "ratio")]
    for before, figure in zip((None, *figures), figures, strict=False):
        if before is not None and before.group != figure.group:
            rows.append(("",) * 6)
        other = figure.beside_value
        beside = "" if other is None else amount_text(other, figure.unit)
        group = figure.group if before is None or before.group != figure.group else ""
        what = f"{figure.what} ({figure.note})" if figure.note else figure.what
        rows.append((group, what, amount_text(figure.value, figure.unit), figure.beside, beside, ratio_text(figure)))
    return columns(rows, right=frozenset({2, 4, 5}))


def columns(rows: Sequence[Sequence[str]], *, right: frozenset[int] = frozenset()) -> str:
    """Rows as text, in columns; those in `right` stand at the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = (
        "  ".join(cell.rjust(width) if i in right else cell.ljust(width) for i, (cell, width) in enumerate(pairs))
        for pairs in (list(zip(row, widths, strict=True)) for row in rows)
    )
    return "\n".join(line.rstrip() for line in lines)


def ratio_text(figure: Figure) -> str:
    """A share of the limit for rates below it, otherwise how many times; `1/290` for what is that much less."""
    if figure.ratio is None:
        return ""
    if figure.unit.endswith("/s") and figure.ratio < 1:
        return f"{figure.ratio:.0%}" if figure.ratio >= 0.095 else f"{figure.ratio:.1%}"
    if figure.ratio < 0.1:
        return f"1/{1 / figure.ratio:.0f}"
    return f"x{figure.ratio:.2f}" if figure.ratio < 10 else f"x{figure.ratio:,.0f}"


def amount_text(value: float, unit: str) -> str:
    """A value with as many digits as it deserves."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {unit}"


def from_json(data: Sequence[dict[str, Any]]) -> list[Figure]:
    """Figures as `--json` prints them."""
    return [Figure(**row) for row in data]
