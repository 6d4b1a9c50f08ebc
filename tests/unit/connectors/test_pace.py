"""How fast a connection is used."""

from __future__ import annotations

import pytest

from segue.connectors.pace import Pace


class _Clock:
    """Time that only passes when somebody sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 100.0
        monkeypatch.setattr("segue.connectors.pace.asyncio.sleep", self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def __call__(self) -> float:
        return self.now_s


async def _times(pace: Pace, clock: _Clock, turns: int) -> list[float]:
    taken: list[float] = []
    for _ in range(turns):
        await pace.wait()
        taken.append(round(clock.now_s - 100, 3))
    return taken


async def test_a_burst_passes_and_the_rate_holds_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that allows ten a second must see ten a second, not a sleep before each first call."""
    clock = _Clock(monkeypatch)
    pace = Pace(10, 3, clock)

    assert await _times(pace, clock, 6) == [0, 0, 0, 0.1, 0.2, 0.3]


async def test_the_burst_fills_up_again_and_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour of rest does not earn an hour's worth of requests."""
    clock = _Clock(monkeypatch)
    pace = Pace(10, 2, clock)
    await _times(pace, clock, 2)
    clock.now_s += 3600

    assert await _times(pace, clock, 3) == [3600, 3600, 3600.1]


async def test_no_rate_means_no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most connections have no limit and must not pay for one."""
    clock = _Clock(monkeypatch)

    assert await _times(Pace(None, 1, clock), clock, 3) == [0, 0, 0]


async def test_a_pause_holds_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """One 429 speaks for all tasks that use the connection; a shorter one later does not cut it."""
    clock = _Clock(monkeypatch)
    pace = Pace(None, 1, clock)
    pace.pause(2000)
    pace.pause(500)

    assert pace.paused_ms() == 2000
    assert await _times(pace, clock, 2) == [2, 2]
    assert pace.paused_ms() == 0
