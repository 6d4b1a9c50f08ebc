"""What random histories do not reach: identity, secrets, large numbers, other releases, damage."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from segue.core import Plan, RunState, advance, snapshot
from segue.core.snapshot import SnapshotRefused, restore, take
from segue.core.state import Frame, Thread
from segue.types import Perform, RunStarted, SecretText, StartTimer

from . import plans


def waiting(context: Any = None) -> tuple[Plan, RunState]:
    chosen = plans.plan(plans.wait("w", 1000))
    state, _ = advance(chosen, None, RunStarted(1, "run", chosen.digest, context, "seed"))
    return chosen, state


def again(plan: Plan, state: RunState) -> RunState:
    return restore(plan, take(plan, state))


@pytest.mark.parametrize("context", [{"a": 1}, [1], "text", "a", 7.5, 1234567, 10**40, None])
def test_threads_that_share_a_context_share_it_afterwards(context: Any) -> None:
    """A fork tells by identity which branch exported something."""
    plan, state = waiting()
    frame = next(iter(state.frames.values()))
    state.frames[90] = Frame(90, frame.node, frame, Thread(context), None, 1)
    state.frames[91] = Frame(91, frame.node, frame, Thread(context), None, 1)
    state.frames[92] = Frame(92, frame.node, frame, state.frames[91].thread, None, 1)
    read = again(plan, state)
    threads = [read.frames[n].thread for n in (90, 91, 92)]
    assert threads[0].context is threads[1].context
    assert threads[0].context == context
    assert type(threads[0].context) is type(context)
    assert threads[0] is not threads[1]
    assert threads[1] is threads[2]


def test_equal_contexts_that_are_two_stay_two() -> None:
    """An export of an equal object is an export."""
    plan, state = waiting()
    frame = next(iter(state.frames.values()))
    state.frames[90] = Frame(90, frame.node, frame, Thread({"a": 1}), None, 1)
    state.frames[91] = Frame(91, frame.node, frame, Thread({"a": 1}), None, 1)
    read = again(plan, state)
    assert read.frames[90].thread.context is not read.frames[91].thread.context


def test_frames_and_nodes_are_the_same_objects() -> None:
    """Parents, timers and the frames by id are one graph."""
    plan, state = waiting()
    read = again(plan, state)
    ((frame, purpose),) = read.timers.values()
    assert purpose == "wait"
    assert read.frames[frame.id] is frame
    assert frame.parent is read.frames[1]
    assert frame.node is plan.nodes[frame.node.index]


def test_a_secret_survives_without_its_value() -> None:
    """Pending arguments mention secrets; only the handler reveals them."""
    plan, state = waiting()
    secret = SecretText.of("crm", "token").joined_after("Bearer ").joined_to("!")
    state.open[50] = Perform(50, "http", {"headers": {"a": secret}, "n": [1.0, 1, -0.0]}, "n", "/p", "e", (1, 2))
    content = take(plan, state)
    command = restore(plan, content).open[50]
    assert command == state.open[50]
    assert isinstance(command, Perform)
    assert command.arguments["headers"]["a"] == secret
    assert [type(n) for n in command.arguments["n"]] == [float, int, float]
    assert command.iteration == (1, 2)


def test_numbers_of_any_size_survive() -> None:
    """Whole numbers pass through a run untouched, however large."""
    plan, state = waiting({"n": [10**40, -(2**63), 2**64 - 1, 2**64, -(10**30), 1e308]})
    assert again(plan, state).input == state.input


@pytest.mark.parametrize("value", [object(), 1j])
def test_what_is_not_json_gives_no_snapshot(value: Any) -> None:
    """No snapshot is better than a wrong one."""
    plan, state = waiting()
    state.open[50] = Perform(50, "h", {"x": value}, "n", "/p", "e")
    with pytest.raises(SnapshotRefused):
        take(plan, state)


def test_a_struct_that_it_does_not_know_gives_no_snapshot() -> None:
    """A machine of a later release, whose memory nobody taught it."""

    class Unknown(msgspec.Struct):
        x: int = 1

    plan, state = waiting()
    next(iter(state.frames.values())).data = Unknown()
    with pytest.raises(SnapshotRefused, match="Unknown"):
        take(plan, state)


def test_a_snapshot_of_another_definition_is_refused() -> None:
    """Its nodes would be other tasks."""
    plan, state = waiting()
    content = take(plan, state)
    plan.digest = "other"
    with pytest.raises(SnapshotRefused, match="another definition"):
        restore(plan, content)


class TimerWithZone(msgspec.Struct):
    """A timer of a later release, which has gained a field."""

    id: int
    due_ms: int
    zone: str = "UTC"


class TimerThatNeedsZone(msgspec.Struct):
    """The same where nobody said what runs did before the field."""

    id: int
    due_ms: int
    zone: str


class TimerWithoutDue(msgspec.Struct):
    """A timer that has lost a field."""

    id: int


def test_what_a_snapshot_lacks_gets_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """The history before it may be gone, so the next release must read it (decision 0046)."""
    plan, state = waiting()
    content = take(plan, state)
    monkeypatch.setitem(snapshot._STRUCTS, StartTimer.__name__, TimerWithZone)
    (timer,) = (command for command in restore(plan, content).open.values() if isinstance(command, TimerWithZone))
    (taken,) = (command for command in state.open.values() if isinstance(command, StartTimer))
    assert timer == TimerWithZone(taken.id, taken.due_ms, "UTC")


@pytest.mark.parametrize("kind", [TimerThatNeedsZone, TimerWithoutDue])
def test_a_snapshot_with_unknown_or_missing_fields_is_refused(
    monkeypatch: pytest.MonkeyPatch, kind: type[msgspec.Struct]
) -> None:
    """Nobody guesses what a field without a default would have held, or drops what a run knew."""
    plan, state = waiting()
    content = take(plan, state)
    monkeypatch.setitem(snapshot._STRUCTS, StartTimer.__name__, kind)
    with pytest.raises(SnapshotRefused, match="another release"):
        restore(plan, content)


@pytest.mark.parametrize("content", [b"", b"\x00", b"not a snapshot", b"\x95\x01"])
def test_damage_is_refused(content: bytes) -> None:
    """And never a half state."""
    plan, _ = waiting()
    with pytest.raises(SnapshotRefused):
        restore(plan, content)
