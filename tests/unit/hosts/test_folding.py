"""Which snapshots a run has, and when its oldest events may go."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from segue.hosts.embedded.folding import arrange


@given(
    keeps=st.integers(2, 60),
    steps=st.lists(st.integers(1, 25), min_size=1, max_size=60),
)
def test_what_is_kept_is_bounded_and_can_always_be_told(keeps: int, steps: list[int]) -> None:
    """Never more than the limit and an interval; never more than three snapshots and the beginning that goes."""
    places: list[int] = []
    base = event = 0
    for step in steps:
        event += step
        old = base
        stay, base, dropped = arrange(places, old, event, keeps)
        assert stay[-1] == event, "the newest one is what the host goes on from"
        assert base == 0 or base in stay, "what is kept begins at a snapshot"
        assert old == 0 or old in stay, "until its events are folded, the old beginning stays"
        assert set(stay) | set(dropped) == {*places, event}
        assert event - base <= max(keeps, keeps - keeps // 2 + max(steps))
        places = [place for place in stay if place >= base]
        assert len(places) <= 3


@given(steps=st.lists(st.integers(1, 25), min_size=1, max_size=30))
def test_without_a_limit_only_the_newest_is_kept(steps: list[int]) -> None:
    """Nothing is folded, so nothing begins anywhere else than at the first event."""
    places: list[int] = []
    event = base = 0
    for step in steps:
        event += step
        places, base, _ = arrange(places, base, event, 0)
        assert (places, base) == ([event], 0)
