"""Notices: everybody whom it concerns, nobody else, when they may be disturbed, once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.people import Absence, Profile, Quiet, Told, next_waking, notices_of, text_of

HOUR = 3_600_000


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


NOON = at("2026-03-04T12:00:00")  # a Wednesday


def told(
    change: str = "offered", owner: str = "", requesters: tuple[str, ...] = (), urgent: bool = False, **audience: Any
) -> Told:
    return Told(change, owner, audience, frozenset(requesters), urgent)


def whom(said: Told, *profiles: Profile, now: int = NOON) -> list[tuple[str, str]]:
    return [(n.person, n.channel) for n in notices_of(said, {p.id: p for p in profiles}, now)]


ANN = Profile(id="ann", email="ann@example.com", roles=frozenset({"approver"}), manager="max")
BOB = Profile(id="bob", roles=frozenset({"approver"}), groups=frozenset({"sales"}))
MAX = Profile(id="max", channels=("chat",), chat="https://chat.example.com/max")


def test_members_are_told_by_their_own_channels() -> None:
    """E-mail only for those who have an address; the app is always a record."""
    assert whom(told(roles=["approver"]), ANN, BOB, MAX) == [("ann", "app"), ("ann", "email"), ("bob", "app")]


def test_who_has_claimed_it_is_told_alone() -> None:
    """Others need not know that ann is late."""
    assert whom(told("reminded", owner="ann", roles=["approver"]), ANN, BOB) == [("ann", "app"), ("ann", "email")]


def test_the_requester_is_not_asked_but_told_what_comes_back() -> None:
    """They cannot decide, so asking them is noise."""
    assert whom(told(requesters=("bob",), people=["bob"]), BOB) == []
    assert whom(told("sent-back", requesters=("bob",), people=["bob"]), BOB) == [("bob", "app")]


def test_a_manager_is_told_where_the_ladder_came_to_them() -> None:
    """And not before."""
    assert whom(told("escalated", people=["ann"], manager=True), ANN, MAX)[2:] == [("max", "app"), ("max", "chat")]
    assert ("max", "app") not in whom(told(people=["ann"]), ANN, MAX)


def test_the_deputy_is_told_instead_of_who_is_away() -> None:
    """Mail to somebody on holiday helps nobody."""
    away = Profile(id="ann", absent=Absence(since=datetime(2020, 1, 1, tzinfo=UTC), deputy="bob"))
    assert whom(told(people=["ann"]), away, BOB) == [("bob", "app")]


def test_the_holder_of_the_folder_is_not_told_of_everything() -> None:
    """It is a power, not a duty."""
    assert whom(told(roles=["approver"]), Profile(id="eve", roles=frozenset({"owner"}))) == []


def test_somebody_without_a_profile_has_it_in_the_app() -> None:
    """A name in a document is enough."""
    assert whom(told(people=["zoe"])) == [("zoe", "app")]


NIGHT = Quiet(since="19:00", until="07:00", days=(6, 7), zone="Europe/Berlin")


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-03-04T12:00:00", "2026-03-04T12:00:00"),
        ("2026-03-04T18:30:00", "2026-03-05T06:00:00"),
        ("2026-03-05T02:00:00", "2026-03-05T06:00:00"),
        ("2026-03-06T20:00:00", "2026-03-09T06:00:00"),
        ("2026-03-07T12:00:00", "2026-03-09T06:00:00"),
        # The night in which clocks go forward ends an hour sooner in UTC.
        ("2026-03-28T12:00:00", "2026-03-30T05:00:00"),
    ],
)
def test_quiet_hours_move_a_notice_to_the_next_waking_hour(now: str, expected: str) -> None:
    """Over nights, weekends and the change of clocks."""
    assert next_waking(Profile(id="ann", quiet=NIGHT), at(now)) == at(expected)


def test_digests_leave_together_and_urgent_things_at_once() -> None:
    """Ten tasks in an hour are one mail, unless one of them burns."""
    ann = Profile(id="ann", email="a@example.com", digest_minutes=60, quiet=NIGHT)
    due = [n.due_ms for n in notices_of(told(people=["ann"]), {"ann": ann}, NOON + 60_000) if n.channel == "email"]
    assert due == [NOON + HOUR]
    night = at("2026-03-05T02:00:00")
    urgent = [n.due_ms for n in notices_of(told(people=["ann"], urgent=True), {"ann": ann}, night)]
    assert urgent == [night, night]


CLOCKS = st.builds("{:02d}:{:02d}".format, st.integers(0, 23), st.integers(0, 59))
DAYS = st.sets(st.integers(1, 7), max_size=6).map(lambda days: tuple(sorted(days)))
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns"])


@given(CLOCKS, CLOCKS, DAYS, ZONES, st.integers(0, 400 * 24 * HOUR))
def test_waking_never_lies_in_the_past_nor_in_quiet_hours(
    since: str, until: str, days: Any, zone: str, after: int
) -> None:
    """Law: whatever the hours are, the next waking moment is one, and is found at once."""
    profile = Profile(id="x", quiet=Quiet(since=since, until=until, days=days, zone=zone))
    woken = next_waking(profile, NOON + after)
    assert NOON + after <= woken
    assert next_waking(profile, woken) == woken


def test_a_notice_says_nothing_of_the_data() -> None:
    """Mail is read by many; a subject cannot smuggle a header."""
    subject, text = text_of("offered", "Pay\r\nBcc: x@example.com", number=7, due=None, link="https://x/?code=c")
    assert "\n" not in subject
    assert "segue tasks show 7" in text
    assert "decides nothing by being opened" in text
