"""Who acts now."""

from __future__ import annotations

import asyncio

from segue.types import LOCAL_OWNER, SYSTEM, Identity, acting, acting_as


def test_nobody_acts_where_no_edge_has_said_so() -> None:
    """A forgotten edge must be seen as nobody, and so be denied, not pass as somebody."""
    assert acting() is None


def test_the_identity_ends_with_its_block_also_when_it_fails() -> None:
    """One request must never act as the one before it."""
    with acting_as(LOCAL_OWNER):
        try:
            with acting_as(SYSTEM):
                raise RuntimeError
        except RuntimeError:
            pass
        assert acting() is LOCAL_OWNER
    assert acting() is None


async def test_requests_at_the_same_time_do_not_see_each_other() -> None:
    """A server handles many at once on one thread."""

    async def request(name: str) -> str | None:
        with acting_as(Identity(kind="person", id=name)):
            await asyncio.sleep(0)
            seen = acting()
            return None if seen is None else seen.name

    assert await asyncio.gather(*map(request, ("ann", "ben"))) == ["person:ann", "person:ben"]
