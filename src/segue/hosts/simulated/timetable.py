"""What ought to start by itself: the auditor's own view of schedules."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from cronsim import CronSim

from segue.core import Plan
from segue.hosts.simulated.auditor import Shadow
from segue.hosts.simulated.reach import require

LATE_MS: Final = 120_000
"""A host that nobody disturbed answers a due time within this."""


class Timetable:
    """One definition that starts by itself, from its activation on.

    Attributes:
        runs: What it started, in order. dues: The due times that they answer.
        used: Events that started a run, by source and id.
        asked_at: When somebody asked for it, by the clock.
        active_at: Since when it is active, as the host said to whoever was first told that it is.
        before: Events that had come before it was activated; whether those count nobody promises.
        is_over: Somebody has asked for its end.
        released_at: When the guard last let it go on, in true milliseconds.
    """

    def __init__(self, plan: Plan, now_ms: int) -> None:
        assert plan.schedule is not None
        self.schedule = plan.schedule
        self.namespace, self.name = plan.namespace, plan.name
        self.released_at = 0
        self.before: frozenset[tuple[str, str]] = frozenset()
        self.is_over = False
        self._last_at = now_ms
        self.asked_at: set[int] = set()
        self.active_at: int | None = None
        self.runs: list[Shadow] = []
        self.dues: list[int] = []
        self.used: set[str] = set()

    def activated(self, at: int | None) -> None:
        """Somebody was told that it is active, since then; None where somebody else has switched it off meanwhile."""
        require(at is None or at in self.asked_at, f"{self.name!r} is active since {at}, when nobody asked for it")
        self.active_at = at

    def started(self, shadow: Shadow, cause: Mapping[str, Any], at: int, *, furthest: int) -> None:
        """A run that nobody asked for is on disk.

        Args:
            furthest: The latest time that the clock had come to before it was set back.
        """
        if cause["kind"] == "event":
            self._by_events(cause["events"])
        else:
            # What came due while it was stopped is due, though by the time it may go on the clock says less.
            self._by_time(cause["due"], at, latest=max(at, furthest) if self.released_at else at)
        self.runs.append(shadow)

    def check_in_time(self, now_ms: int) -> None:
        """The host was left alone for a while: whatever was due has been answered."""
        if self.schedule.on is not None:
            return
        due, every_ms = self._next(now_ms), self.schedule.every_ms
        if due is not None and every_ms is not None and due <= self._last_at:
            # The newest run made up for what had been missed before it.
            due += ((self._last_at - due) // every_ms + 1) * every_ms
        late = due is not None and now_ms - due > LATE_MS
        require(not late, f"{self.name!r} was due at {due}, and at {now_ms} it has not started")

    def check_events(self, arrived: Mapping[tuple[str, str], Any]) -> None:
        """At rest every event of its kind has started a run; only for schedules that take one event."""
        if self.schedule.on is None:
            return
        types = {matcher.literal for filter_ in self.schedule.on.filters for matcher in filter_.matchers}
        for key, message in arrived.items():
            if message.envelope["type"] in types and key not in self.before:
                require("#".join(key) in self.used, f"{key!r} has arrived, but {self.name!r} was not started for it")

    def _by_events(self, events: list[str]) -> None:
        for event in events:
            require(event not in self.used, f"{self.name!r} was started twice for {event!r}")
            self.used.add(event)

    def _by_time(self, due: int, at: int, *, latest: int) -> None:
        require(due <= latest, f"{self.name!r} started {due - at} ms early")
        require(due not in self.dues, f"the due time {due} of {self.name!r} was answered twice")
        wanted = self._next(at)
        if self.runs and self.schedule.cron is None:
            said = f"{self.name!r} answered {due}, but was due at {wanted}"
            # What was missed while nobody was there, one run makes up for.
            every = self.schedule.every_ms
            is_next = wanted == due
            if every is not None and wanted is not None and not is_next:
                is_next = (due - wanted) % every == 0 and due - every <= self._last_at
            require(is_next, said)
        self.dues.append(due)
        self._last_at = at

    def _next(self, now_ms: int) -> int | None:
        """When it is due next; None when that is not known."""
        schedule = self.schedule
        if schedule.every_ms is not None:
            last_at = self.dues[-1] if self.dues else self.active_at
            return None if last_at is None else last_at + schedule.every_ms
        if schedule.after_ms is not None:
            return self._after(schedule.after_ms)
        if schedule.cron is not None and self.dues:
            after = datetime.fromtimestamp(max(self.dues[-1], self._last_at) / 1000, UTC)
            upcoming: datetime = next(CronSim(schedule.cron, after))
            return int(upcoming.timestamp() * 1000)
        return None

    def _after(self, after_ms: int) -> int | None:
        if not self.runs:
            return None
        state = self.runs[-1].state
        assert state is not None
        return None if state.ended is None else state.last_at + after_ms
