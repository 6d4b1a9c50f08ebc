"""What the cause of a run tells of the way by which data came to it."""

from __future__ import annotations

from typing import Any

from segue.types import RunMigrated, RunPaused, TaskRestarted, TaskSkipped
from segue.types.causes import FIRST, HOPS_MAX, Way, changed_by, copied_way, handed_on, hop_of, told, way_of

CLEAN: dict[str, Any] = {"kind": "api", "looked": {"result": "nothing", "door": True}}


def child(cause: dict[str, Any], workflow: str = "n/parent:1.0.0", pointer: str = "/do/0/ask") -> dict[str, Any]:
    return {"kind": "run", **handed_on(cause, workflow, pointer)}


def test_each_run_that_starts_another_adds_a_hop() -> None:
    """In order, with the task; what began without another run has none."""
    assert way_of({"kind": "schedule"}) is FIRST
    inner = child(child({"kind": "api"}), "n/mid:2.0.0-rc.1", "/do/1/a~1b: c")
    way = way_of(inner)
    assert way is not None
    assert [hop_of(hop) for hop in way.hops] == [
        ("n/parent:1.0.0", "/do/0/ask", False),
        ("n/mid:2.0.0-rc.1", "/do/1/a~1b: c", False),
    ]


def test_what_was_looked_through_counts_for_the_run_and_for_what_it_gives() -> None:
    """The one that it starts was not looked through itself."""
    assert way_of(CLEAN) == Way((), clean=True)
    started = way_of(child(CLEAN))
    assert started is not None
    assert not started.clean
    assert hop_of(started.hops[0]) == ("n/parent:1.0.0", "/do/0/ask", True)
    again = way_of(child(child(CLEAN)))
    assert again is not None
    assert len(again.hops) == 2, "the same task of a run that was not looked through is another hop"


def test_a_run_that_starts_itself_for_ever_has_one_hop() -> None:
    """Causes must not grow with each turn."""
    cause: dict[str, Any] = {"kind": "api"}
    for _ in range(100):
        cause = child(cause)
    assert len(cause["through"]) == 1


def test_what_is_not_told_is_not_known() -> None:
    """Earlier releases, ways that are too long, versions that changed: then any caller counts."""
    assert way_of({"kind": "run", "run": "x"}) is None
    assert way_of({"kind": "fork", "run": "x"}) is None
    assert way_of({}) is None
    cause: dict[str, Any] = {"kind": "api"}
    for number in range(HOPS_MAX):
        cause = child(cause, f"n/w{number}:1.0.0")
    assert way_of(cause) is not None
    cause = child(cause, "n/last:1.0.0")
    assert way_of(cause) is None
    assert way_of(child(cause)) is None
    assert way_of(changed_by(child({"kind": "api"}), RunMigrated(0, "d"))) is None


def test_what_an_operator_puts_in_came_by_no_way() -> None:
    """It may be from another run, and nobody looked through it. Starting again with what was there differs."""
    for cause in (CLEAN, child({"kind": "api"})):
        for event in (TaskSkipped(0, 1, "x"), TaskRestarted(0, 1, input="x")):
            changed = changed_by(cause, event)
            assert way_of(changed) is None
            assert changed_by(changed, event) is changed
        for event in (TaskRestarted(0, 1), RunPaused(0)):
            assert changed_by(cause, event) is cause
        assert way_of(cause) is not None


def test_a_copy_has_the_way_and_not_what_was_looked_for() -> None:
    """It may get another input."""
    assert way_of({"kind": "fork", **copied_way(CLEAN)}) == FIRST
    inner = child({"kind": "api"})
    assert way_of({"kind": "fork", **copied_way(inner)}) == way_of(inner)
    assert way_of({"kind": "fork", **copied_way({"kind": "run"})}) is None


def test_people_are_told_who_started_it_and_what_was_found() -> None:
    """The rest is for following data."""
    assert told(child(CLEAN)) == {"kind": "run"}
    assert told(CLEAN) == {"kind": "api", "looked": {"result": "nothing"}}
    assert told(None) == {}
