"""Use case of operational limits: how much of each is used. What counts survives the process."""

from __future__ import annotations

import itertools
import sqlite3
from typing import Final

from segue.governance import DAY_MS, ActLimits, Taken
from segue.service.access import UseCases, governed
from segue.service.directory import now_ms
from segue.service.shapes import Shape
from segue.store import Store
from segue.store.limits import drop_taken, put_taken, taken_since

_DROPPED_EACH: Final = 1000
"""What counts no more is forgotten each time that so many acts were counted."""


class ActLimitView(Shape, frozen=True, kw_only=True):
    """A limit on what workflows do by themselves, and how much of it is used.

    Attributes:
        about: What it is about: `workflow`, `connection`, `operation`, `handler`, where it names them.
        exceeded: What becomes of an act that exceeds it: `fail`, or `approval:ROLE`.
        hour, day: Acts of the last hour and the last 24. sum_hour, sum_day: What their amounts add up to.
        amount_max and so on: What it allows; null for anything.
    """

    name: str
    about: dict[str, str]
    exceeded: str
    amount: str
    amount_max: float | None
    hour: int
    per_hour: int | None
    day: int
    per_day: int | None
    sum_hour: float
    sum_per_hour: float | None
    sum_day: float
    sum_per_day: float | None


class ActLimitsUsed(UseCases):
    """The limits of one data folder."""

    def __init__(self, limits: ActLimits) -> None:
        self._limits = limits

    @governed("limit.list")
    async def all(self) -> list[ActLimitView]:
        """Every limit, as the settings have them."""
        keys = ("workflow", "connection", "operation", "handler")
        return [
            ActLimitView(
                name=used.limit.name,
                about={key: said for key in keys if (said := getattr(used.limit, key))},
                exceeded=used.limit.exceeded,
                amount=used.limit.amount,
                amount_max=used.limit.amount_max,
                hour=used.hour,
                per_hour=used.limit.per_hour,
                day=used.day,
                per_day=used.limit.per_day,
                sum_hour=used.sum_hour,
                sum_per_hour=used.limit.sum_per_hour,
                sum_day=used.sum_day,
                sum_per_day=used.limit.sum_per_day,
            )
            for used in self._limits.used()
        ]


def count_on(limits: ActLimits, store: Store, reader: sqlite3.Connection) -> None:
    """Go on with what was counted before, and let what is counted from now on be on disk with what it leads to."""
    if not limits.any:
        return
    since = now_ms() - DAY_MS
    limits.prime(Taken(*row) for row in taken_since(reader, since))
    count = itertools.count()

    def keep(taken: Taken) -> None:
        # In the batch that is being gathered: the act's intent, and its result, come into this one or a later one.
        statements = store.commit.pending.statements
        if next(count) % _DROPPED_EACH == 0:
            statements.append(drop_taken(taken.at - DAY_MS))
        statements.append(put_taken(taken.limit, taken.key, taken.at, taken.amount))

    limits.keep = keep
