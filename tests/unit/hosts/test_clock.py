"""The clock that tests move by hand."""

from __future__ import annotations

import asyncio
import time

from segue.hosts import SystemClock, VirtualClock


async def test_sleepers_wake_in_the_order_in_which_they_are_due() -> None:
    """Also those who go to sleep again on the way."""
    clock = VirtualClock(0)
    woke: list[tuple[str, int]] = []

    async def sleeper(name: str, seconds: float) -> None:
        for _ in range(2):
            await clock.sleep(seconds)
            woke.append((name, clock.now_ms()))

    tasks = [asyncio.create_task(sleeper(n, s)) for n, s in (("slow", 3.0), ("quick", 2.0))]
    await asyncio.sleep(0)
    await clock.advance(7000)
    assert woke == [("quick", 2000), ("slow", 3000), ("quick", 4000), ("slow", 6000)]
    assert clock.now_ms() == 7000
    await asyncio.gather(*tasks)


async def test_a_jump_wakes_nobody() -> None:
    """Setting a clock is not the passing of time."""
    clock = VirtualClock(0)
    sleeping = asyncio.ensure_future(clock.sleep(1.0))
    clock.jump(-5000)
    assert clock.now_ms() == -5000
    await clock.advance(999)
    assert not sleeping.done()
    await clock.advance(1)
    assert sleeping.done()


async def test_the_system_clock_tells_the_time_of_day() -> None:
    """In milliseconds since 1970, UTC."""
    clock = SystemClock()
    assert abs(clock.now_ms() - time.time() * 1000) < 1000
    await clock.sleep(0)
