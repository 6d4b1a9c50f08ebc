"""When a schedule is due next."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from segue.core.plan import Schedule
from segue.hosts.embedded.scheduler import _next_due

MINUTE = 60_000


@pytest.mark.parametrize(
    ("now", "due"),
    [(0, 10), (9, 10), (10, 20), (25, 30), (1000, 1010)],
)
def test_every_keeps_its_beat_and_leaves_out_what_was_missed(now: int, due: int) -> None:
    """A host that was down does not shift the beat and does not make up for each miss."""
    assert _next_due(Schedule(every_ms=10 * MINUTE), 0, now * MINUTE) == due * MINUTE


def at(text: str, zone: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


@pytest.mark.parametrize(
    ("after", "due"),
    [
        ("2026-03-28T12:00", "2026-03-29T03:00"),  # 02:30 does not exist that night
        ("2026-03-29T03:00", "2026-03-30T02:30"),
        ("2026-10-24T12:00", "2026-10-25T02:30"),  # 02:30 exists twice; the job runs once
        ("2026-10-25T02:30", "2026-10-26T02:30"),
    ],
)
def test_cron_follows_the_wall_clock_of_its_zone_through_summer_time(after: str, due: str) -> None:
    """A nightly job runs once each night, also in the nights that have an hour less or more."""
    berlin = "Europe/Berlin"
    schedule = Schedule(cron="30 2 * * *", zone=berlin)
    assert _next_due(schedule, 0, at(after, berlin)) == at(due, berlin)


def test_after_and_on_have_no_due_time_of_their_own() -> None:
    """The end of a run, or an event, decides."""
    assert _next_due(Schedule(after_ms=5), 0, 0) is None
