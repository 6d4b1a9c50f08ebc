"""Operational limits: how much workflows may do by themselves; the rest is for people.

A limit is about acts on a connection, of an operation, of a handler or of a workflow. It bounds how many there are in
any hour and any day, what their amounts add up to, and the amount of a single act. What exceeds it fails like
anything else that the second door refuses, or waits for somebody's approval. What cannot be measured exceeds it.

An act counts once, from the moment in which it is let out, however often it is tried, and whatever became of it: that
an attempt failed does not say that it cost nothing. What a person approved counts for no limit that it exceeds, for
a limit is about what happens without people. Checking and counting are one step, so of two acts at once one gets the
rest.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final, NamedTuple

import msgspec

from segue.governance.clocks import NO_CLOCK, ApprovalClock
from segue.governance.switches import named_by
from segue.types import Perform

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
FAIL: Final = "fail"
_APPROVAL: Final = "approval:"
_MICROS: Final = 1_000_000
_ENDLESS: Final = 10**400


class ActLimit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One limit. What is left out of the first four does not restrict which acts it is about.

    Attributes:
        name: What refusals call it.
        per_hour, per_day: Acts let through in any hour, any 24 hours; None for any number.
        amount: Where in the act's arguments the amount stands, with dots, such as `arguments.body.amount`.
        amount_max: Largest amount of one act; None for any.
        sum_per_hour, sum_per_day: What the amounts of any hour, any 24 hours may add up to; None for anything.
        exceeded: `fail`, or `approval:ROLE`: the act waits until somebody with this role approves it.
        remind, escalate, deadline: What the clock does meanwhile; see `ApprovalClock`.
    """

    name: str
    workflow: str = ""
    connection: str = ""
    operation: str = ""
    handler: str = ""
    per_hour: int | None = None
    per_day: int | None = None
    amount: str = ""
    amount_max: float | None = None
    sum_per_hour: float | None = None
    sum_per_day: float | None = None
    exceeded: str = FAIL
    remind: str = ""
    escalate: str = ""
    deadline: str = ""

    @property
    def clock(self) -> ApprovalClock:
        """What the clock does while an act waits because of it."""
        return ApprovalClock(remind=self.remind, escalate=self.escalate, deadline=self.deadline)

    @property
    def approver(self) -> str:
        """The role that may approve what exceeds it; empty where nobody may."""
        return self.exceeded.removeprefix(_APPROVAL) if self.exceeded.startswith(_APPROVAL) else ""

    @property
    def rule(self) -> str:
        """What verdicts name as their rule where it decided."""
        return f"limit:{self.name}"

    @property
    def measures(self) -> bool:
        """Amounts matter."""
        return any(most is not None for most in (self.amount_max, self.sum_per_hour, self.sum_per_day))

    def complaint(self) -> str | None:
        """What is wrong with it."""
        if self.measures and not self.amount:
            return "a limit on amounts must say where the `amount` is"
        if self.exceeded != FAIL and not self.approver:
            return f"`exceeded` is {FAIL!r} or 'approval:ROLE', not {self.exceeded!r}"
        if self.clock != NO_CLOCK and not self.approver:
            return "`remind`, `escalate` and `deadline` are for what waits: `exceeded = 'approval:ROLE'`"
        return self.clock.complaint()

    def text(self) -> str:
        """What it says, for people who decide about what exceeds it."""
        about = ", ".join(
            f"{k} {v}" for k in ("workflow", "connection", "operation", "handler") if (v := self._of(k))
        )
        most = ", ".join(f"{k} {v:g}" for k in _BOUNDS if (v := getattr(self, k)) is not None)
        return f"{about or 'all acts'}: {most or 'nothing'}" + (f" (of {self.amount})" if self.amount else "")

    def _of(self, key: str) -> str:
        found: str = getattr(self, key)
        return found


_BOUNDS: Final = ("per_hour", "per_day", "amount_max", "sum_per_hour", "sum_per_day")


class Exceeded(NamedTuple):
    """An act exceeds a limit. `amount` is what it carries, None where it carries none that can be read."""

    limit: ActLimit
    reason: str
    amount: float | None


class Used(NamedTuple):
    """How much of a limit is used: acts and the sum of their amounts, in the last hour and the last 24."""

    limit: ActLimit
    hour: int
    day: int
    sum_hour: float
    sum_day: float


class Taken(NamedTuple):
    """An act counts for a limit. `key` names the act; see `EffectContext.key`."""

    limit: str
    key: str
    at: int
    amount: float


class _Window:
    """What was counted within a span that moves with the clock. Sums are whole millionths, so they do not drift."""

    def __init__(self, span_ms: int) -> None:
        self._span_ms = span_ms
        self._taken: deque[Taken] = deque()
        self.micros = 0

    def add(self, taken: Taken) -> None:
        self._taken.append(taken)
        self.micros += _micros(taken.amount)

    def move(self, now: int) -> list[Taken]:
        """Forget what is too old, and say what that was."""
        gone = []
        while self._taken and self._taken[0].at <= now - self._span_ms:
            gone.append(self._taken.popleft())
            self.micros -= _micros(gone[-1].amount)
        return gone

    @property
    def count(self) -> int:
        return len(self._taken)


class _Counter:
    """What counts for one limit."""

    def __init__(self) -> None:
        self.hour, self.day = _Window(HOUR_MS), _Window(DAY_MS)
        self.keys: set[str] = set()

    def add(self, taken: Taken) -> None:
        if taken.key not in self.keys:
            self.keys.add(taken.key)
            self.hour.add(taken)
            self.day.add(taken)

    def move(self, now: int) -> None:
        self.hour.move(now)
        for gone in self.day.move(now):
            self.keys.discard(gone.key)


class ActLimits:
    """Counts acts, in memory. `prime` says what was counted before, `keep` is told what is to survive the process.

    Attributes:
        any: There are limits.
    """

    def __init__(
        self, limits: Iterable[ActLimit] = (), now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    ) -> None:
        self._counters = [(limit, _Counter()) for limit in limits]
        self.any = bool(self._counters)
        self._now_ms = now_ms
        self.keep: Callable[[Taken], None] = lambda taken: None

    def prime(self, taken: Iterable[Taken]) -> None:
        """Count what was counted before this process, oldest first."""
        counters = {limit.name: counter for limit, counter in self._counters}
        for one in taken:
            if one.limit in counters:
                counters[one.limit].add(one)

    def exceeded(self, workflow: str, command: Perform, key: str) -> list[Exceeded]:
        """Why this act is for people; nothing is counted yet.

        Args:
            workflow: `namespace/name`.
            key: Names the act; see `EffectContext.key`.
        """
        found = []
        for limit, counter in self._counters:
            if _concerns(limit, workflow, command):
                amount = _amount(limit, command)
                counter.move(self._now_ms())
                if reason := _reason(limit, counter, amount, is_counted=key in counter.keys):
                    found.append(Exceeded(limit, reason, amount))
        return found

    def take(self, workflow: str, command: Perform, key: str, *, besides: Collection[str] = ()) -> None:
        """The act goes out: it counts for every limit that it is about, `besides` those of these rules."""
        for limit, counter in self._counters:
            if limit.rule in besides or key in counter.keys or not _concerns(limit, workflow, command):
                continue
            taken = Taken(limit.name, key, self._now_ms(), _amount(limit, command) or 0.0)
            counter.add(taken)
            self.keep(taken)

    def used(self) -> list[Used]:
        """How much of each limit is used now."""
        found = []
        for limit, counter in self._counters:
            counter.move(self._now_ms())
            sums = (counter.hour.micros / _MICROS, counter.day.micros / _MICROS)
            found.append(Used(limit, counter.hour.count, counter.day.count, *sums))
        return found


def _reason(limit: ActLimit, counter: _Counter, amount: float | None, *, is_counted: bool) -> str:
    if limit.measures and amount is None:
        return f"there is no amount at {limit.amount!r}"
    size = amount or 0.0
    if limit.amount_max is not None and size > limit.amount_max:
        return f"the amount {size:g} is above {limit.amount_max:g}"
    if is_counted:
        return ""  # It has its place already, and is only tried once more.
    windows = (
        (limit.per_hour, limit.sum_per_hour, counter.hour, "hour"),
        (limit.per_day, limit.sum_per_day, counter.day, "24 hours"),
    )
    for count, most, window, span in windows:
        if count is not None and window.count >= count:
            return f"{count} in the last {span} are all there may be"
        if most is not None and window.micros + _micros(size) > _micros(most):
            total = (window.micros + _micros(size)) / _MICROS
            return f"with {size:g} more, the last {span} would come to {total:g}, above {most:g}"
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


def _amount(limit: ActLimit, command: Perform) -> float | None:
    """The size of what the act carries. Text is no amount, whatever it says, and neither is what is no number."""
    found = _at(command.arguments, limit.amount) if limit.amount else None
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    try:
        size = abs(float(found))
    except OverflowError:
        return None
    return size if math.isfinite(size) else None


def _micros(amount: float) -> int:
    return round(amount * _MICROS) if math.isfinite(amount) else _ENDLESS


def _at(arguments: Any, path: str) -> Any:
    found = arguments
    for key in path.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    return found
