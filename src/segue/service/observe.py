"""What happened in a run, read from its history.

Nothing here is stored: the plan and the history say it all, so a display can never disagree with the run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from segue.core import Moment, Plan, RunState, advance
from segue.service.portions import in_short
from segue.service.shapes import Decision, OpenCommand, SkippedTask, TaskDetail, TaskView
from segue.types import AwaitMessages, Command, Emit, Event, Failure, Offer, Perform, RunStatus, StartTimer

_ENDINGS: dict[str, RunStatus] = {"completed": "completed", "faulted": "faulted", "cancelled": "cancelled"}


@lru_cache(maxsize=256)
def iso(at_ms: int) -> str:
    """RFC 3339 text, UTC, with milliseconds."""
    text = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


@dataclass(slots=True)
class Task:
    """One activation of a task while it is being read from history. Times in Unix milliseconds."""

    id: int
    pointer: str
    name: str
    kind: str
    started_at: int
    iteration: tuple[int, ...]
    attempt: int
    status: RunStatus = "running"
    ended_at: int | None = None
    input: Any = None
    output: Any = None
    error: Failure | None = None
    by_hand: bool = False

    def fields(self) -> dict[str, Any]:
        """What `TaskView` and `TaskDetail` share."""
        ended = self.ended_at
        return {
            "id": self.id,
            "pointer": self.pointer,
            "name": self.name,
            "kind": self.kind,
            "status": self.status,
            "started_at": iso(self.started_at),
            "ended_at": None if ended is None else iso(ended),
            "duration_ms": None if ended is None else ended - self.started_at,
            "iteration": list(self.iteration),
            "attempt": self.attempt,
            "error": None if self.error is None else self.error.as_data(),
            "by_hand": self.by_hand,
        }

    def view(self) -> TaskView:
        """Without data."""
        fields = self.fields()
        return TaskView(**fields | {"error": in_short(fields["error"])})

    def detail(self) -> TaskDetail:
        """With the data that went in and came out."""
        return TaskDetail(**self.fields(), input=self.input, output=self.output)


@dataclass(slots=True)
class Observation:
    """A history, told.

    Attributes:
        tasks: In the order in which they started, by number.
        emitted: CloudEvents that the run emitted, in order, each with the number of its task.
    """

    state: RunState
    tasks: dict[int, Task] = field(default_factory=dict)
    skipped: list[SkippedTask] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    emitted: list[Emit] = field(default_factory=list)

    def open_commands(self) -> list[OpenCommand]:
        """What the run waits for, oldest first."""
        return [_open(self.state, command) for command in self.state.open.values()]


def observe(plan: Plan, history: Iterable[Event], state: RunState | None = None) -> Observation:
    """Tell a history.

    Args:
        state: What the events before this part of it led to; it is consumed. Tasks that were live then are told as
            far as the state knows them.

    Raises:
        ValueError: There is no state, and the history is empty.
    """
    seen = None if state is None else Observation(state, _live(state))
    for event in history:
        trace: list[Moment] = []
        state, commands = advance(plan, state, event, trace=trace)
        seen = seen or Observation(state)
        seen.state = state
        for moment in trace:
            _note(seen, moment)
        seen.emitted.extend(command for command in commands if isinstance(command, Emit))
    if seen is None:
        raise ValueError("a history begins with RunStarted; this one is empty")
    _mark_waiting(seen)
    return seen


def _live(state: RunState) -> dict[int, Task]:
    return {
        frame.id: Task(
            id=frame.id,
            pointer=frame.node.pointer,
            name=frame.node.name,
            kind=frame.node.kind,
            started_at=frame.started,
            # A loop counts for its children; the loop itself belongs to the iteration around it.
            iteration=frame.parent.iteration,
            attempt=frame.attempt,
            status="suspended" if frame.id in state.held else "running",
            input=frame.input,
            error=state.held.get(frame.id),
        )
        for frame in state.frames.values()
        if frame.parent is not None and frame.node.kind != "extended"
    }


def _note(seen: Observation, moment: Moment) -> None:
    if moment.kind == "workflow":
        return
    what = moment.what
    if what == "started":
        seen.tasks[moment.id] = _begun(moment)
    elif what == "skipped" and moment.id in seen.tasks:
        _given(seen.tasks[moment.id], moment)
    elif what == "skipped":
        seen.skipped.append(
            SkippedTask(pointer=moment.pointer, name=moment.name, at=iso(moment.at), iteration=list(moment.iteration))
        )
    elif what == "decided":
        seen.decisions.append(
            Decision(
                task=moment.id,
                pointer=moment.pointer,
                name=moment.name,
                at=iso(moment.at),
                case=moment.data["case"],
                saw=moment.data["saw"],
                iteration=list(moment.iteration),
            )
        )
    elif what == "held":
        _hold(seen, moment)
    elif what in _ENDINGS:
        _end(seen, moment)


def _given(task: Task, moment: Moment) -> None:
    """An operator gave a live task its output."""
    task.status = "completed"
    task.ended_at = moment.at
    task.output = moment.data
    task.by_hand = True


def _hold(seen: Observation, moment: Moment) -> None:
    """A task failed and waits for a person. It has not ended."""
    task = seen.tasks.get(moment.id)
    if task is None:
        # Its `if`, its input transform or its input schema failed.
        task = seen.tasks[moment.id] = _begun(moment)
        task.input = None
    task.status = "suspended"
    task.error = moment.data


def _begun(moment: Moment) -> Task:
    return Task(
        id=moment.id,
        pointer=moment.pointer,
        name=moment.name,
        kind=moment.kind,
        started_at=moment.at,
        iteration=moment.iteration,
        attempt=moment.attempt,
        input=moment.data,
    )


def _end(seen: Observation, moment: Moment) -> None:
    task = seen.tasks.get(moment.id)
    if task is None:
        # Its `if`, its input transform or its input schema failed: it ends without having begun.
        task = seen.tasks[moment.id] = _begun(moment)
        task.input = None
    task.status = _ENDINGS[moment.what]
    task.ended_at = moment.at
    if moment.what == "completed":
        task.output = moment.data
    elif isinstance(moment.data, Failure):
        task.error = moment.data


def _mark_waiting(seen: Observation) -> None:
    state = seen.state
    waiting = {frame.id for frame, purpose in state.timers.values() if purpose not in ("timeout", "attempt")}
    waiting |= {number for number, command in state.open.items() if isinstance(command, AwaitMessages | Offer)}
    for number in waiting & seen.tasks.keys():
        seen.tasks[number].status = "waiting"


def _open(state: RunState, command: Command) -> OpenCommand:
    assert isinstance(command, Perform | StartTimer | AwaitMessages | Offer), "nothing else stays open"
    if isinstance(command, Perform):
        return OpenCommand(id=command.id, kind="act", pointer=command.pointer, handler=command.handler)
    if isinstance(command, StartTimer):
        owner = state.timers.get(command.id)
        pointer = "" if owner is None else owner[0].node.pointer
        return OpenCommand(id=command.id, kind="timer", pointer=pointer, due_at=iso(command.due_ms))
    if isinstance(command, Offer):
        return OpenCommand(id=command.id, kind="person", pointer=command.pointer)
    frame = state.frames.get(command.id)
    pointer = "" if frame is None else frame.node.pointer
    return OpenCommand(id=command.id, kind="message", pointer=pointer, types=list(command.types))
