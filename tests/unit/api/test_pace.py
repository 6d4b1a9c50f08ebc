"""The pace of requests."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from segue.api.pace import Pace


class Clock:
    """Seconds that stand still until they are moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_is_spent_comes_back_evenly() -> None:
    """A minute later everything is there again, and half a minute later half of it."""
    clock = Clock()
    pace = Pace(10, clock)
    assert [pace.wait_s("ann") for _ in range(11)] == [0] * 10 + [6]

    clock.now = 30

    assert [pace.wait_s("ann") for _ in range(6)] == [0] * 5 + [6]


def test_zero_bounds_nobody() -> None:
    """It is the way to say so."""
    pace = Pace(0)

    assert not any(pace.wait_s("ann") for _ in range(1000))


@given(st.integers(1, 500), st.lists(st.floats(0, 20), max_size=60))
def test_no_minute_lets_more_than_twice_the_limit_through(limit: int, pauses: list[float]) -> None:
    """What is full at its beginning, and what comes back in it; and whoever waits as told is let through."""
    clock = Clock()
    pace = Pace(limit, clock)
    through: list[float] = []
    for pause in pauses:
        clock.now += pause
        wait = pace.wait_s("ann")
        if wait:
            clock.now += wait
            assert pace.wait_s("ann") == 0
        through.append(clock.now)

    for start in through:
        assert sum(start <= at < start + 60 for at in through) <= 2 * limit


def test_a_flood_of_names_takes_no_memory() -> None:
    """Addresses cost an attacker nothing."""
    pace = Pace(5)
    for number in range(10_100):
        pace.wait_s(str(number))

    assert len(pace._buckets) == 10_000
