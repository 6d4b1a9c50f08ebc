"""Figures: how long people take, and how often they overrule what a model or a form proposed."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median
from typing import NamedTuple


class Decided(NamedTuple):
    """One closed task, as figures need it.

    Attributes:
        group: What it is counted under: workflow, pointer, model, model's version.
        overruled: It was not approved as it was proposed. None where nothing was decided: it expired.
        edited: Its data was changed.
        took_ms: From the offer to the end.
    """

    group: tuple[str, str, str, str]
    overruled: bool | None
    edited: bool
    took_ms: int


class Figures(NamedTuple):
    """What is known of one group. Rates are shares of what was decided; None where nothing was."""

    group: tuple[str, str, str, str]
    decided: int
    expired: int
    overruled: int
    edited: int
    overrule_rate: float | None
    accept_rate: float | None
    median_ms: int | None
    slowest_ms: int | None


def figures_of(tasks: Iterable[Decided]) -> list[Figures]:
    """Figures by group, the group with most decisions first."""
    groups: dict[tuple[str, str, str, str], list[Decided]] = {}
    for task in tasks:
        groups.setdefault(task.group, []).append(task)
    made = [_figures(group, members) for group, members in groups.items()]
    return sorted(made, key=lambda figures: (-figures.decided, figures.group))


def _figures(group: tuple[str, str, str, str], tasks: list[Decided]) -> Figures:
    decided = [task for task in tasks if task.overruled is not None]
    overruled = sum(bool(task.overruled) for task in decided)
    times = [task.took_ms for task in decided]
    n = len(decided)
    return Figures(
        group,
        decided=n,
        expired=len(tasks) - n,
        overruled=overruled,
        edited=sum(task.edited for task in decided),
        overrule_rate=overruled / n if n else None,
        accept_rate=(n - overruled) / n if n else None,
        median_ms=int(median(times)) if times else None,
        slowest_ms=max(times, default=None),
    )
