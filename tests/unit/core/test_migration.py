"""Migration: a live run under another plan, or every reason why not."""

from __future__ import annotations

from typing import Any

import pytest

from segue.core import Plan, advance, examine, snapshot
from segue.hosts.simulated.auditor import same_state
from segue.types import RunMigrated

from .plans import Run, act, attempt, do, fork, listen, loop, one, plan, put, retry, undo, variable, wait


def version(*tasks: Any, digest: str) -> Plan:
    made = plan(*tasks)
    made.digest = digest
    return made


def acquainted(*plans: Plan) -> dict[str, Plan]:
    known = {made.digest: made for made in plans}
    for made in plans:
        made.others = known.__getitem__
    return known


class Moving(Run):
    """A run that can be taken to another plan."""

    def to(self, other: Plan, mapping: dict[str, str] | None = None) -> Moving:
        found = examine(self.plan, other, self.state, mapping or {})
        assert found.obstacles == [], found.obstacles
        self.feed(RunMigrated(self.now, other.digest, found.nodes))
        self.plan = other
        return self

    def obstacles(self, other: Plan, mapping: dict[str, str] | None = None) -> list[tuple[str, str]]:
        return [(o.pointer, o.message) for o in examine(self.plan, other, self.state, mapping or {}).obstacles]


def test_an_open_act_goes_on_and_its_result_reaches_the_counterpart() -> None:
    """What is behind it is that of the new version."""
    old = version(act("a"), put("b", "old"), digest="1")
    new = version(put("first", 0), act("a"), put("b", "new"), digest="2")
    acquainted(old, new)
    run = Moving(old)
    run.to(new).ok("a", 1)
    assert run.output == "new"
    assert run.cancelled == []


def test_replay_goes_over_the_migration() -> None:
    """Whoever reads the history has only the newest plan in hand, and it knows the others."""
    old = version(act("a"), act("b"), digest="1")
    new = version(act("z"), act("a"), act("b"), digest="2")
    acquainted(old, new)
    run = Moving(old).ok("a", 1)
    run.to(new).ok("b", 2)
    state = None
    commands = []
    for event in run.history:
        state, given = advance(new, state, event)
        commands += given
    assert state is not None
    assert same_state(state, run.state)
    assert commands == run.commands


def test_an_act_keeps_its_name_and_a_new_one_gets_none_that_was_used() -> None:
    """The name is the effect key: an act that happened must not happen again, nor answer for another one."""
    old = version(attempt("t", act("a"), act("b"), retry=retry(delay=10)), act("c"), digest="1")
    new = version(attempt("t", act("new"), act("a"), act("b"), retry=retry(delay=10)), act("c"), digest="2")
    acquainted(old, new)
    run = Moving(old).ok("a")
    names = {p.name: p.effect for p in run.commands if hasattr(p, "effect")}
    run.to(new).fails("b").fire()
    assert run.acting == ["new"]
    assert run.performs[0].effect not in names.values()
    run.ok("new")
    assert run.performs[0].effect == names["a"]
    run.ok("a")
    assert run.performs[0].effect == names["b"]


def test_timers_and_waits_go_on() -> None:
    """A clock that runs keeps its time; an event that comes reaches the counterpart."""
    old = version(wait("w", 500), listen("l", one("paid")), digest="1")
    new = version(put("p", 1), wait("w", 9_000), listen("l", one("paid")), put("q", "done"), digest="2")
    acquainted(old, new)
    run = Moving(old)
    due = run.timers
    run.to(new)
    assert run.timers == due
    run.fire()
    other = version(listen("l", one("paid")), put("q", "again"), digest="3")
    acquainted(new, other)
    run.to(other).message("paid", 1)
    assert run.output == "again"


def test_branches_are_joined_in_the_order_of_the_new_version() -> None:
    """Outputs and contexts go with their branches."""
    old = version(fork("f", act("a"), act("b")), digest="1")
    new = version(fork("f", act("b"), act("a")), digest="2")
    acquainted(old, new)
    run = Moving(old).ok("a", "A")
    assert run.to(new).ok("b", "B").output == ["B", "A"]


def test_a_loop_and_a_try_go_on_where_they_are() -> None:
    """Iteration, attempt and input stay."""
    old = version(loop("l", [1, 2], attempt("t", act("a", variable("item")), retry=retry(count=1))), digest="1")
    new = version(
        loop("l", [9], attempt("t", act("a", variable("item")), put("p", "new"), retry=retry(count=1))), digest="2"
    )
    acquainted(old, new)
    run = Moving(old).fails("a")
    run.to(new).fire().ok("a")
    assert run.performs[0].arguments == 2
    assert run.ok("a").output == "new"


def test_a_mapping_says_what_has_another_name() -> None:
    """Names change; what they stand for does not."""
    old = version(do("d", act("a")), digest="1")
    new = version(do("steps", act("call")), digest="2")
    acquainted(old, new)
    run = Moving(old)
    assert [pointer for pointer, _ in run.obstacles(new)] == ["/do/0/d", "/do/0/d/do/0/a"]
    run.to(new, {"/do/0/d": "/do/0/steps", "/do/0/d/do/0/a": "/do/0/steps/do/0/call"})
    assert run.ok("call", 1).output == 1


def test_outputs_that_are_read_by_name_go_with_their_tasks() -> None:
    """Under the name that the new version calls them by."""
    reads = variable("steps")
    old = version(act("a", keep=True), act("b"), put("c", reads), digest="1")
    new = version(act("x", keep=True), act("b"), put("c", reads), digest="2")
    acquainted(old, new)
    run = Moving(old).ok("a", 1)
    assert run.to(new, {"/do/0/a": "/do/0/x"}).ok("b").output == {"x": 1}


@pytest.mark.parametrize(
    ("before", "after", "pointer", "says"),
    [
        ((act("a"),), (wait("a", 5),), "/do/0/a", "no task of the kind 'act'"),
        ((act("a"),), (act("a", handler="other"),), "/do/0/a", "goes out through"),
        ((wait("a", 5),), (), "/do/0/a", "no task of the kind 'wait'"),
        ((listen("a", one("x")),), (listen("a", one("y")),), "/do/0/a", "waits for other events"),
        ((fork("f", act("a")),), (fork("f", act("a"), act("b")),), "/do/0/f", "other branches"),
        ((loop("l", [1], act("a")),), (loop("l", [1], act("a"), each="x"),), "/do/0/l", "other names"),
    ],
)
def test_what_cannot_take_over_is_refused(before: Any, after: Any, pointer: str, says: str) -> None:
    """Before anything is changed, with the place and what to do."""
    old, new = version(*before, digest="1"), version(*after, digest="2")
    ((where, message),) = Moving(old).obstacles(new)
    assert where == pointer
    assert says in message


def test_data_that_the_run_has_not_kept_is_told() -> None:
    """The old version read it nowhere, so its output is gone."""
    old = version(act("a"), act("b"), put("c", 1), digest="1")
    new = version(act("a", keep=True), act("b"), put("c", variable("steps")), digest="2")
    ((where, message),) = Moving(old).ok("a").obstacles(new)
    assert where == "/do/0/a"
    assert "$steps.a" in message
    assert Moving(old).obstacles(new) == []


def test_an_undo_that_is_gone_is_told() -> None:
    """What has happened could not be undone any more."""
    old = version(act("a", undo=undo()), act("b"), digest="1")
    new = version(act("a"), act("b"), digest="2")
    ((_, message),) = Moving(old).ok("a").obstacles(new)
    assert "undone" in message
    moved = version(act("z"), act("a", undo=undo()), act("b"), digest="3")
    acquainted(old, moved)
    run = Moving(old).ok("a", "A")
    run.to(moved).fails("b")
    assert run.acting == ["undo a"]


def test_all_that_stands_against_it_is_told_at_once() -> None:
    """A wrong mapping, and every task that has no place."""
    old = version(fork("f", act("a"), wait("w", 5)), digest="1")
    new = version(fork("f", wait("a", 5), act("w")), digest="2")
    found = Moving(old).obstacles(new, {"/nowhere": "/do/0/f"})
    assert {pointer for pointer, _ in found} >= {"/nowhere", "/do/0/f/fork/branches/0/a", "/do/0/f/fork/branches/1/w"}


def test_a_snapshot_behind_a_migration_belongs_to_the_new_plan() -> None:
    """A run may be parked right after it."""
    old, new = version(act("a"), digest="1"), version(put("p", 1), act("a"), digest="2")
    acquainted(old, new)
    run = Moving(old).to(new)
    read = snapshot.restore(new, snapshot.take(new, run.state))
    assert same_state(read, run.state)
