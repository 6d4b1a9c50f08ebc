"""What a run starts with, and what it has under another version."""

from __future__ import annotations

from typing import Any

from segue.core import Adjustable, advance, replay, snapshot
from segue.core.adjustable import carried, settled
from segue.types import RunMigrated, RunStarted

from . import plans


def at_most(name: str, most: int, default: int) -> Adjustable:
    return Adjustable(name, {}, default, lambda value: None if value <= most else "too much")


ONE = {"a": at_most("a", 10, 1), "b": at_most("b", 10, 2)}
OTHER = {"a": at_most("a", 5, 3), "c": at_most("c", 10, 4)}


def test_a_run_starts_with_exactly_what_is_declared_and_allowed() -> None:
    """What is set for another version must neither reach it nor leave a hole."""
    assert settled(ONE, {"a": 7, "b": 99, "z": 1}) == {"a": 7, "b": 2}
    assert settled({}, {"a": 7}) == {}


def test_another_version_keeps_what_it_allows_and_takes_the_current_rest() -> None:
    """A run goes on as it began as far as it can."""
    assert carried(OTHER, {"a": 4, "b": 9}, {"a": 5, "c": 8}) == {"a": 4, "c": 8}
    assert carried(OTHER, {"a": 9}, {"a": 5}) == {"a": 5, "c": 4}
    assert carried(OTHER, {"a": 9}, {"a": 9}) == {"a": 3, "c": 4}


def read_plan() -> Any:
    chosen = plans.plan(plans.wait("w", 1000), plans.put("p", plans.variable("adjustable")))
    chosen.adjustable = ONE
    return chosen


def test_what_a_run_has_stands_in_its_history_and_in_its_snapshots() -> None:
    """Replay asks nobody."""
    plan = read_plan()
    started = RunStarted(1, "run", plan.digest, None, "seed", adjustable={"a": 7, "b": 2})
    state, _ = advance(plan, None, started)
    assert state.adjustable == {"a": 7, "b": 2}
    assert snapshot.restore(plan, snapshot.take(plan, state)).adjustable == {"a": 7, "b": 2}
    moved = RunMigrated(2, plan.digest, tuple((n.index, n.index) for n in plan.nodes), adjustable={"a": 9})
    assert replay(plan, [started, moved]).adjustable == {"a": 9}
    kept = RunMigrated(2, plan.digest, tuple((n.index, n.index) for n in plan.nodes))
    assert replay(plan, [started, kept]).adjustable == {"a": 7, "b": 2}
