"""Durations mean one length of time, or nothing."""

from __future__ import annotations

import pytest

from segue.types.durations import DURATION_MS_MAX, duration_ms, parse_duration_ms

DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("text", "length_ms"),
    [
        ("PT0S", 0),
        ("PT1S", 1_000),
        ("PT0.25S", 250),
        ("PT1.5M", 90_000),
        ("PT1H30M", 5_400_000),
        ("P1D", DAY_MS),
        ("P1DT1H", DAY_MS + 3_600_000),
        ("P2W", 14 * DAY_MS),
        ("P1W2D", 9 * DAY_MS),
        (" PT5S ", 5_000),
        ("PT0,5S", 500),
    ],
)
def test_iso_8601_text_is_read_exactly(text: str, length_ms: int) -> None:
    """A timer that is off by a factor is worse than one that is refused."""
    assert parse_duration_ms(text) == length_ms


def test_a_fraction_of_a_millisecond_is_rounded_up() -> None:
    """A wait may be longer than asked for, never shorter."""
    assert parse_duration_ms("PT0.0001S") == 1


@pytest.mark.parametrize("text", ["P1M", "P1Y", "P1Y2M3DT4H", "P0.5M"])
def test_years_and_months_are_refused_with_a_remedy(text: str) -> None:
    """They have no fixed length, so two readers would wait differently."""
    with pytest.raises(ValueError, match="no fixed length; write days"):
        parse_duration_ms(text)


@pytest.mark.parametrize("text", ["-PT5S", "+PT5S"])
def test_signs_are_refused(text: str) -> None:
    """No timer fires in the past."""
    with pytest.raises(ValueError, match="sign"):
        parse_duration_ms(text)


@pytest.mark.parametrize(
    "text",
    ["", "P", "PT", "P1DT", "5s", "PT5", "pt5s", "PT1S2M", "P1H", "PT٣S", "PT1.S", "PT1e3S", "P1D1D", "PT5S\x00"],
)
def test_anything_else_is_no_duration(text: str) -> None:
    """What is nearly a duration is a mistake to show, not to guess at."""
    with pytest.raises(ValueError, match="no ISO 8601 duration"):
        parse_duration_ms(text)


def test_only_the_last_number_may_have_a_fraction() -> None:
    """ISO 8601 says so, and `P1.5DT1H` is a slip more often than not."""
    with pytest.raises(ValueError, match="last number"):
        parse_duration_ms("P1.5DT1H")


def test_longer_than_a_century_is_refused() -> None:
    """The due date would leave the calendar that hosts can write."""
    assert parse_duration_ms(f"PT{DURATION_MS_MAX // 1000}S") == DURATION_MS_MAX
    with pytest.raises(ValueError, match="century"):
        parse_duration_ms("P40000D")


def test_an_object_adds_its_units_up() -> None:
    """Both forms of a duration mean the same."""
    written = {"days": 1, "hours": 2, "minutes": 3, "seconds": 4, "milliseconds": 5}
    assert duration_ms(written) == DAY_MS + 2 * 3_600_000 + 3 * 60_000 + 4_005


@pytest.mark.parametrize(
    "value", [{}, {"weeks": 1}, {"seconds": -1}, {"seconds": 1.5}, {"seconds": True}, {"seconds": "1"}, 5, None, [1]]
)
def test_other_values_are_no_durations(value: object) -> None:
    """A bare number in particular does not say its unit."""
    with pytest.raises(ValueError):
        duration_ms(value)
