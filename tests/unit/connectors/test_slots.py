"""How many requests are under way, and whose turn is next."""

from __future__ import annotations

import asyncio

import pytest

from segue.connectors.slots import Slots


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def _queue(slots: Slots, *lanes: str) -> tuple[list[str], list[asyncio.Task[None]]]:
    """Tasks that wait for a slot, and the lanes of those that got one; none gives it back."""
    taken: list[str] = []

    async def one(lane: str) -> None:
        await slots.take(lane)
        taken.append(lane)

    tasks = [asyncio.create_task(one(lane)) for lane in lanes]
    await _settle()
    return taken, tasks


async def test_no_more_than_the_allowed_number_are_under_way() -> None:
    """Some systems fail under parallel load long before a rate limit says so."""
    slots = Slots(lambda: 2)
    taken, tasks = await _queue(slots, "a", "a", "a")

    assert (taken, slots.under_way, slots.waiting) == (["a", "a"], 2, 1)
    slots.give("a")
    await asyncio.gather(*tasks)
    assert len(taken) == 3


async def test_workflows_take_turns() -> None:
    """A workflow with ten thousand runs must not make the single run of another wait for all of them."""
    slots = Slots(lambda: 1)
    await slots.take("big")
    taken, tasks = await _queue(slots, "big", "big", "big", "small")

    for _ in range(4):
        slots.give(taken[-1] if taken else "big")
        await _settle()

    await asyncio.gather(*tasks)
    assert taken.index("small") == 1


async def test_one_workflow_holds_no_more_than_its_share() -> None:
    """With `workflow_concurrency`, room is left for the others even while nobody else asks."""
    slots = Slots(lambda: 3, lane_max=lambda: 2)
    taken, tasks = await _queue(slots, "big", "big", "big", "small")

    assert taken == ["big", "big", "small"]
    slots.give("big")
    await asyncio.gather(*tasks)
    assert taken[-1] == "big"


async def test_who_comes_later_does_not_overtake() -> None:
    """A free slot belongs to those who wait for it."""
    slots = Slots(lambda: 1)
    await slots.take("a")
    taken, tasks = await _queue(slots, "b", "c")
    slots.give("a")
    late, more = await _queue(slots, "d")

    assert (taken, late) == (["b"], [])
    slots.give("b")
    await _settle()
    slots.give("c")
    await asyncio.gather(*tasks, *more)
    assert (taken, late) == (["b", "c"], ["d"])


@pytest.mark.parametrize("moment", ["waiting", "called"])
async def test_a_cancelled_wait_takes_no_slot_along(moment: str) -> None:
    """A cancelled run must not make the connection narrower for ever; not even just as its turn came."""
    slots = Slots(lambda: 1)
    await slots.take("a")
    _, [task] = await _queue(slots, "b")
    if moment == "called":
        slots.give("a")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    if moment == "waiting":
        slots.give("a")

    assert (slots.under_way, slots.waiting) == (0, 0)
    async with asyncio.timeout(1):
        await slots.take("c")


async def test_a_wait_cancelled_in_the_same_moment_is_passed_over() -> None:
    """Many runs are cancelled at once while slots come free: the slot goes to one who still wants it."""
    slots = Slots(lambda: 1)
    await slots.take("a")
    taken, [gone, refused, stays] = await _queue(slots, "b", "c", "d")
    gone.cancel()
    slots.give("a")
    await asyncio.gather(gone, return_exceptions=True)
    assert (taken, slots.under_way) == (["c"], 1)

    stays.cancel()
    slots.refuse(lambda: RuntimeError("down"))
    await asyncio.gather(refused, stays, return_exceptions=True)
    slots.give("c")
    assert (slots.under_way, slots.waiting) == (0, 0)


async def test_waits_can_be_ended_but_for_the_first() -> None:
    """Those who would go first, lanes taking turns, may keep their places."""
    slots = Slots(lambda: 0)
    taken, tasks = await _queue(slots, "a", "a", "b")

    slots.refuse(lambda: RuntimeError("down"), keep=2)
    await _settle()

    assert [task.done() for task in tasks] == [False, True, False]
    slots.refuse(lambda: RuntimeError("down"))
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [str(error) for error in found] == ["down"] * 3
    assert (taken, slots.under_way, slots.waiting) == ([], 0, 0)


async def test_a_lane_may_be_held_to_what_it_leaves_free() -> None:
    """Connections to hosts are shared so: one host that hangs takes half, the next half of the rest."""
    slots = Slots(lambda: 8, lambda: 8 - slots.under_way)
    taken, tasks = await _queue(slots, *["hangs"] * 8, *["too"] * 8, "well")

    assert [taken.count(lane) for lane in ("hangs", "too", "well")] == [4, 2, 1]
    for task in tasks:
        task.cancel()
