"""How long a host waits before it asks again."""

from __future__ import annotations

from segue.hosts.embedded.patience import Patience


class Sleeping:
    """A clock that notes how long somebody wanted to sleep."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def now_ms(self) -> int:
        raise AssertionError("the wall clock may be set, so nobody looks at it here")

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


async def test_each_wait_is_longer_up_to_half_a_minute() -> None:
    """An outage of an hour is asked about a hundred times, not thousands."""
    clock = Sleeping()
    patience = Patience(clock)
    for _ in range(8):
        await patience.wait()
    assert clock.slept == [1, 2, 4, 8, 16, 30, 30, 30]


async def test_after_a_success_it_begins_anew() -> None:
    """The next trouble is another one, and may be over at once."""
    clock = Sleeping()
    patience = Patience(clock)
    await patience.wait()
    await patience.wait()
    patience.rest()
    await patience.wait()
    assert clock.slept == [1, 2, 1]
