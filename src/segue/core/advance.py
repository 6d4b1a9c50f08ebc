"""`advance`: the whole life of a run, one event at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from segue.core import intervention, migration
from segue.core.bounds import hold_for_all_values, value_bytes_max_of
from segue.core.machines import MACHINES, approval, human, listen, undo
from segue.core.machines.act import spend
from segue.core.plan import ActNode, ListenNode, Plan
from segue.core.state import Frame, Moment, RunState
from segue.core.turn import Turn
from segue.types import (
    ApprovalWanted,
    AttemptFailed,
    AttemptSucceeded,
    AwaitMessages,
    Command,
    DecisionMade,
    Event,
    FailureReleased,
    MessageConsumed,
    Offer,
    Perform,
    RunAdmitted,
    RunCancelled,
    RunMigrated,
    RunPaused,
    RunResumed,
    RunStarted,
    TaskAssigned,
    TaskFailure,
    TaskRestarted,
    TaskSkipped,
    TimerFired,
    failure,
)

_NOTHING: tuple[Command, ...] = ()


def advance(
    plan: Plan, state: RunState | None, event: Event, *, trace: list[Moment] | None = None
) -> tuple[RunState, Sequence[Command]]:
    """Apply one event to a run and say what the host must do now.

    Deterministic: the same plan and events give the same states and commands, on every machine. An answer to a
    command that is not open, or of another kind than the command, changes nothing and gives no commands. So does
    any event after the end; but the answer to a detached act that outlived its run takes it out of `open`.

    Args:
        plan: The compiled definition that the run is pinned to, or one that knows it (`Plan.others`).
        state: The run so far, None before `RunStarted`. It is consumed: go on with the one returned.
        trace: Where to add what happened to each task, for displays; None costs nothing.

    Returns:
        The new state, and commands in the order in which they were given.

    Raises:
        AssertionError: An invariant broke, which is a bug of the core or a history of another plan.

    Source: design, section 5.
    """
    if state is None:
        assert isinstance(event, RunStarted), f"history must begin with RunStarted, not {type(event).__name__}"
        state = RunState(event.run_id, event.seed, event.input, event.at, event.at)
        state.holds = "hold" in event.flags
        state.unattended = "unattended" in event.flags
        state.finishes = "finishes" in event.flags
        state.finishes_all = "finishes-all" in event.flags
        state.results = "results" in event.flags
        state.value_max = value_bytes_max_of(event.flags)
        state.bounds_all = hold_for_all_values(event.flags)
        state.runtime = event.runtime
        state.adjustable = event.adjustable
        state.queued = "queued" in event.flags
        for said in ("by", "as"):
            takes_hold(state, event.cause.get(said))
        plan = plan.at(event.definition)
        state.definition = plan.digest
        turn = Turn(plan, state, event.at, trace)
        if not state.queued:
            turn.start_root()
    elif state.ended is not None:
        if isinstance(event, AttemptSucceeded | AttemptFailed):
            state.open.pop(event.id, None)
        return state, _NOTHING
    else:
        # A clock that jumps back must not make time run backwards inside a run.
        if event.at > state.last_at:
            state.last_at = event.at
        if state.definition != plan.digest:
            plan = plan.at(state.definition)  # a history that goes on under another version later
        turn = Turn(plan, state, state.last_at, trace)
        if type(event) in _TAKING_HOLD:
            takes_hold(state, event.by)  # type: ignore[union-attr]
        _APPLY[type(event)](turn, event)
    turn.run()
    assert state.ended is not None or state.open or state.deferred or state.paused or state.held or state.queued, (
        "the run waits for nothing"
    )
    return state, turn.commands


def consumes(plan: Plan, state: RunState, event: MessageConsumed) -> bool:
    """Would any open wait of the run take this CloudEvent? If not, it need not be recorded."""
    if state.ended is not None:
        return False
    turn = Turn(plan.at(state.definition), state, max(event.at, state.last_at), None)
    return any(listen.match(turn, state.frames[number], event.event) for number in _waits(state, event))


def refuses(state: RunState, event: DecisionMade | TaskAssigned) -> str | None:
    """Why this event about a human task would change nothing, for whoever made it; None where it counts."""
    if state.ended is not None:
        return "the run has ended"
    return human.refusal(state, event)


def replay(
    plan: Plan, history: Sequence[Event], *, state: RunState | None = None, trace: list[Moment] | None = None
) -> RunState:
    """Fold a history into the state it leads to.

    Args:
        state: What the events before this part of the history led to (`snapshot.restore`); it is consumed.

    Raises:
        ValueError: There is no state, and the history is empty.
    """
    for event in history:
        state, _ = advance(plan, state, event, trace=trace)
    if state is None:
        raise ValueError("a history begins with RunStarted; this one is empty")
    return state


def _admitted(turn: Turn, event: RunAdmitted) -> None:
    state = turn.state
    if state.queued:
        state.queued = False
        state.started_at = turn.now
        turn.start_root()


def _succeeded(turn: Turn, event: AttemptSucceeded) -> None:
    frame = _answered(turn.state, event.id)
    if frame is None:
        return
    turn.current = frame
    node = frame.node
    assert isinstance(node, ActNode)
    if turn.state.approvals:
        spend(turn.state, frame)
    if node.undo is not None:
        undo.note(turn, frame, event.output)
    try:
        if node.result_check is not None and (complaint := node.result_check(event.output)) is not None:
            raise TaskFailure(failure("validation", f"the result does not fit its schema: {complaint}"))
        turn.complete(frame, event.output)
    except TaskFailure as error:
        turn.fault(frame, error.failure)


def _failed(turn: Turn, event: AttemptFailed) -> None:
    frame = _answered(turn.state, event.id)
    if frame is not None:
        turn.fault(frame, event.failure)


def _answered(state: RunState, number: int) -> Frame | None:
    """Close the open act of this id; its frame, if somebody waits for the answer."""
    command = state.open.get(number)
    if not isinstance(command, Perform):
        return None
    del state.open[number]
    # A task may still stand there that did not wait for its act: one that failed, and is held.
    return None if command.detached else state.frames.get(number)


def _fired(turn: Turn, event: TimerFired) -> None:
    owner = turn.state.timers.pop(event.id, None)
    if owner is None:
        return
    del turn.state.open[event.id]
    frame, purpose = owner
    turn.current = frame
    if purpose == "timeout":
        frame.timer = 0
        name = "the workflow" if frame.parent is None else f"task {frame.node.name!r}"
        turn.fault(frame, failure("timeout", f"{name} took longer than its time-out allows"))
        return
    frame.clock = 0
    try:
        if purpose == approval.CLOCK:
            approval.timer(turn, frame)
        else:
            MACHINES[frame.node.kind].timer(turn, frame, purpose)
    except TaskFailure as error:
        turn.fault(frame, error.failure)


def _decided(turn: Turn, event: DecisionMade) -> None:
    frame = _offered(turn.state, event.id)
    if frame is not None:
        decide = approval.decide if event.id in turn.state.withheld else human.decide
        _attend(turn, frame, decide, event)


def _assigned(turn: Turn, event: TaskAssigned) -> None:
    frame = _offered(turn.state, event.id)
    if frame is not None:
        _attend(turn, frame, human.assign, event)


def _attend(turn: Turn, frame: Frame, act: Callable[[Turn, Frame, Any], None], event: Event) -> None:
    turn.current = frame
    try:
        act(turn, frame, event)
    except TaskFailure as error:
        turn.fault(frame, error.failure)


def _offered(state: RunState, number: int) -> Frame | None:
    """The human task of this id, if it is before people."""
    return state.frames.get(number) if isinstance(state.open.get(number), Offer) else None


def _message(turn: Turn, event: MessageConsumed) -> None:
    for number in _waits(turn.state, event):
        frame = turn.state.frames.get(number)
        if frame is None:
            continue
        turn.current = frame
        try:
            listen.offer(turn, frame, event.event)
        except TaskFailure as error:
            turn.fault(frame, error.failure)
        turn.run()


def _waits(state: RunState, event: MessageConsumed) -> list[int]:
    """Ids of the open waits that the event is offered to, oldest first."""
    chosen = [number for number, command in state.open.items() if isinstance(command, AwaitMessages)]
    if event.ids:
        chosen = [number for number in chosen if number in event.ids]
    return [n for n in chosen if n in state.frames and isinstance(state.frames[n].node, ListenNode)]


def _paused(turn: Turn, event: RunPaused) -> None:
    if not turn.state.paused:
        turn.state.paused = True
        _observe_run(turn, "suspended")


def _resumed(turn: Turn, event: RunResumed) -> None:
    if turn.state.paused:
        _observe_run(turn, "resumed")
        turn.resume()


def _cancelled(turn: Turn, event: RunCancelled) -> None:
    turn.cancel_all()


def _started(turn: Turn, event: RunStarted) -> None:
    raise AssertionError("a run starts once")


def takes_hold(state: RunState, by: Any) -> None:
    """Somebody decides what this run does. People are named by their id alone where they decide."""
    name = by.removeprefix("person:") if isinstance(by, str) else ""
    if name and name not in state.hands:
        state.hands = [*state.hands, name]


def _observe_run(turn: Turn, what: str) -> None:
    if turn.trace is not None:
        plan = turn.plan
        turn.trace.append(Moment(what, turn.now, "", plan.root.name, "workflow", 1))


_TAKING_HOLD: frozenset[type] = frozenset({TaskRestarted, TaskSkipped, RunMigrated})
"""Events by which somebody decides what the run's acts are."""

_APPLY: dict[type, Callable[[Turn, Any], None]] = {
    RunStarted: _started,
    RunAdmitted: _admitted,
    AttemptSucceeded: _succeeded,
    AttemptFailed: _failed,
    ApprovalWanted: approval.want,
    TimerFired: _fired,
    MessageConsumed: _message,
    RunPaused: _paused,
    RunResumed: _resumed,
    RunCancelled: _cancelled,
    TaskRestarted: intervention.restart,
    TaskSkipped: intervention.skip,
    FailureReleased: intervention.release,
    RunMigrated: migration.migrate,
    DecisionMade: _decided,
    TaskAssigned: _assigned,
}
