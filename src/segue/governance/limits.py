"""Operational limits: how much workflows may do by themselves; the rest is for people.

A limit is about acts on a connection, of an operation, of a handler or of a workflow. It bounds how many there are in
an hour, and the amount that a single act may carry. What exceeds it is refused like anything else at the second door,
so its task is caught by the document or held for a person. What cannot be measured is refused too.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from segue.governance.switches import named_by
from segue.types import Perform

HOUR_MS: Final = 3_600_000


class ActLimit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One limit. What is left out of the first four does not restrict which acts it is about.

    Attributes:
        name: What refusals call it.
        per_hour: Acts let through in any hour; None for any number.
        amount: Where in the act's arguments the amount stands, with dots, such as `body.amount`.
        amount_max: Largest amount of one act; None for any.
    """

    name: str
    workflow: str = ""
    connection: str = ""
    operation: str = ""
    handler: str = ""
    per_hour: int | None = None
    amount: str = ""
    amount_max: float | None = None


class ActLimits:
    """Counts acts, in memory; `prime` says what the ledger knows of the last hour."""

    def __init__(
        self, limits: Iterable[ActLimit] = (), now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    ) -> None:
        self._limits = tuple(limits)
        self._now_ms = now_ms
        self._times: dict[str, deque[int]] = {limit.name: deque() for limit in self._limits}

    @property
    def any(self) -> bool:
        """There are limits."""
        return bool(self._limits)

    def prime(self, acts: Iterable[tuple[int, str, str, str]]) -> None:
        """Count what was done before this process, oldest first: time, workflow, connection, handler.

        The ledger knows no operations: an act counts for every limit that it may have been about, so a restart never
        lets more through.
        """
        for at, workflow, connection, handler in acts:
            for limit in self._limits:
                known = ((limit.workflow, workflow), (limit.connection, connection), (limit.handler, handler))
                if all(wanted in ("", given) for wanted, given in known):
                    self._times[limit.name].append(at)

    def exceeded(self, workflow: str, command: Perform, *, begun: bool) -> str:
        """Why this act is for people, or empty text; then it is counted, unless it had begun before."""
        now = self._now_ms()
        concerned = [limit for limit in self._limits if _concerns(limit, workflow, command)]
        for limit in concerned:
            if reason := self._reason(limit, command, now, begun):
                return f"limit {limit.name!r}: {reason}; this one is for a person"
        if not begun:
            for limit in concerned:
                self._times[limit.name].append(now)
        return ""

    def _reason(self, limit: ActLimit, command: Perform, now: int, begun: bool) -> str:
        if limit.amount_max is not None:
            amount = _at(command.arguments, limit.amount)
            if isinstance(amount, bool) or not isinstance(amount, int | float):
                return f"there is no amount at {limit.amount!r}"
            # Written this way round, so that what is no number compares as too much.
            if not abs(amount) <= limit.amount_max:
                return f"the amount {amount} is above {limit.amount_max:g}"
        times = self._times[limit.name]
        while times and times[0] <= now - HOUR_MS:
            times.popleft()
        if limit.per_hour is not None and not begun and len(times) >= limit.per_hour:
            return f"{limit.per_hour} in the last hour are all there may be"
        return ""


def _concerns(limit: ActLimit, workflow: str, command: Perform) -> bool:
    kind, name = named_by(command)
    given = (
        (limit.workflow, workflow),
        (limit.connection, name if kind == "connection" else None),
        (limit.operation, _at(command.arguments, "operation")),
        (limit.handler, command.handler),
    )
    return all(wanted in ("", found) for wanted, found in given)


def _at(arguments: Any, path: str) -> Any:
    found = arguments
    for key in path.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    return found
