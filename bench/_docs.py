"""Writes what was measured into `docs/performance.md`, between markers, so that no figure there is typed by hand.

A block stands between `<!-- bench:NAME -->` and `<!-- /bench:NAME -->`. Blocks of groups that were not measured stay
as they are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench._figures import Figure, amount_text, ratio_text
from bench._goals import Judged
from bench._machine import sentence

DOCUMENT: Final = Path("docs/performance.md")
_ALONE: Final = "peers, alone"


def write(path: Path, figures: Sequence[Figure], goals: Sequence[Judged], machine: dict[str, Any], at: str) -> None:
    """Replace the blocks of everything that was measured.

    Raises:
        SystemExit: A block is missing, so its figures would be lost silently.
    """
    text = path.read_text()
    text = _replaced(
        text, "machine", f"{sentence(machine)}\nOthers used {machine['others']:.0%} of it meanwhile. {at}."
    )
    text = _replaced(text, "goals", _goals(goals))
    for group in dict.fromkeys(figure.group for figure in figures if figure.group != _ALONE):
        rows = [figure for figure in figures if figure.group == group]
        text = _replaced(text, group, _peers(rows, figures) if group == "peers" else _figures(rows))
    path.write_text(text)


def _replaced(text: str, name: str, block: str) -> str:
    pattern = re.compile(rf"(<!-- bench:{re.escape(name)} -->\n).*?(<!-- /bench:{re.escape(name)} -->)", re.DOTALL)
    found, count = pattern.subn(lambda match: f"{match[1]}{block}\n{match[2]}", text)
    if count != 1:
        raise SystemExit(f"{DOCUMENT} has no place for {name}: put <!-- bench:{name} --> and its end there")
    return found


def _goals(goals: Sequence[Judged]) -> str:
    rows = [f"| {goal.says} | {goal.measured or '-'} | {goal.holds} |" for goal in goals]
    return "\n".join(["| goal | measured | holds |", "| --- | --- | --- |", *rows])


def _figures(figures: Sequence[Figure]) -> str:
    head = [
        "| figure | measured: median (range) | beside it, in the same run | ratio |",
        "| --- | --- | --- | ---: |",
    ]
    return "\n".join([*head, *map(_row, figures)])


def _peers(peers: Sequence[Figure], figures: Sequence[Figure]) -> str:
    head = "| engine | 200 runs at once, steps/s: median (range) | share of Segue's right after it | one alone |"
    alone = {figure.what: figure.value for figure in figures if figure.group == _ALONE}
    rows = [
        f"| {f.what} | {f.value:,.0f} ({f.low or f.value:,.0f} to {f.high or f.value:,.0f}) | {ratio_text(f)}"
        f" | {amount_text(alone[f.what], 'ms') if f.what in alone else ''} |"
        for f in peers
    ]
    return "\n".join([head, "| --- | --- | ---: | --- |", *rows])


def _row(figure: Figure) -> str:
    measured = amount_text(figure.value, figure.unit)
    if figure.low is not None and figure.high is not None and figure.low != figure.high:
        low, high = amount_text(figure.low, ""), amount_text(figure.high, "")
        measured += f" ({low.strip()} to {high.strip()})"
    beside = ""
    if figure.beside_value is not None:
        beside = f"{figure.beside}: {amount_text(figure.beside_value, figure.unit)}"
    what = f"{figure.what} ({figure.note})" if figure.note else figure.what
    return f"| {what} | {measured} | {beside} | {ratio_text(figure)} |"
