"""One run of a hand-built plan, driven event by event."""

from __future__ import annotations

from typing import Any

from segue.core import Moment, Plan, RunState, advance
from segue.hosts.simulated.building import (
    IDENTITY,
    act,
    all_of,
    any_of,
    attempt,
    broken,
    constant,
    do,
    each,
    emit,
    event_filter,
    extended,
    fork,
    function,
    human,
    listen,
    loop,
    one,
    plan,
    program,
    put,
    retry,
    switch,
    throw,
    undo,
    variable,
    wait,
)
from segue.types import (
    AttemptFailed,
    AttemptSucceeded,
    AwaitMessages,
    Cancel,
    Command,
    Event,
    Failure,
    FailureWord,
    MessageConsumed,
    Perform,
    RunCancelled,
    RunPaused,
    RunResumed,
    RunStarted,
    StartTimer,
    TimerFired,
    failure,
)

__all__ = [
    "IDENTITY",
    "Run",
    "act",
    "all_of",
    "any_of",
    "attempt",
    "broken",
    "constant",
    "do",
    "each",
    "emit",
    "event_filter",
    "extended",
    "fork",
    "function",
    "human",
    "listen",
    "loop",
    "one",
    "plan",
    "program",
    "put",
    "retry",
    "switch",
    "throw",
    "undo",
    "variable",
    "wait",
    "word_of",
]


def word_of(reason: Failure | None) -> str:
    """The last word of a failure's type."""
    assert reason is not None
    return reason.type.rsplit("/", 1)[-1]


class Run:
    """A run and everything it has said. `now` is its clock, in milliseconds; tests move it by hand."""

    def __init__(self, plan: Plan, input: Any = None, *, now: int = 1_000) -> None:
        self.plan = plan
        self.now = now
        self.commands: list[Command] = []
        self.latest: list[Command] = []
        self.trace: list[Moment] = []
        self.history: list[Event] = []
        self.state: RunState = None  # type: ignore[assignment]
        self.feed(RunStarted(now, "run-1", plan.digest, input, "seed"))

    def feed(self, event: Event) -> Run:
        self.history.append(event)
        self.state, commands = advance(self.plan, self.state, event, trace=self.trace)
        self.latest = list(commands)
        self.commands += commands
        return self

    def ok(self, which: str | int, output: Any = None) -> Run:
        return self.feed(AttemptSucceeded(self.now, self.id_of(which), output))

    def fails(self, which: str | int, word: FailureWord = "communication", **more: Any) -> Run:
        return self.feed(AttemptFailed(self.now, self.id_of(which), failure(word, "it broke", **more)))

    def fire(self, number: int | None = None) -> Run:
        """Fire this timer, or the one that is due first."""
        if number is None:
            number = min(self.timers, key=lambda timer: (self.timers[timer], timer))
        due = self.timers.get(number, self.now)
        self.now = max(self.now, due)
        return self.feed(TimerFired(self.now, number))

    def message(self, type_: str, data: Any = None, *, ids: tuple[int, ...] = (), **more: Any) -> Run:
        event = {"specversion": "1.0", "id": "1", "source": "/test", "type": type_, "data": data, **more}
        return self.feed(MessageConsumed(self.now, event, ids))

    def pause(self) -> Run:
        return self.feed(RunPaused(self.now))

    def resume(self) -> Run:
        return self.feed(RunResumed(self.now))

    def cancel(self) -> Run:
        return self.feed(RunCancelled(self.now))

    def id_of(self, which: str | int) -> int:
        """The id of the open act of this name."""
        if isinstance(which, int):
            return which
        return next(p.id for p in self.performs if p.name == which)

    @property
    def performs(self) -> list[Perform]:
        return [c for c in self.state.open.values() if isinstance(c, Perform)]

    @property
    def acting(self) -> list[str]:
        """Names of the open acts, oldest first."""
        return [p.name for p in self.performs]

    @property
    def acted(self) -> list[str]:
        """Names of all acts ever given, in order."""
        return [c.name for c in self.commands if isinstance(c, Perform)]

    @property
    def timers(self) -> dict[int, int]:
        """Open timers and when they are due."""
        return {c.id: c.due_ms for c in self.state.open.values() if isinstance(c, StartTimer)}

    @property
    def waits(self) -> list[int]:
        return [c.id for c in self.state.open.values() if isinstance(c, AwaitMessages)]

    @property
    def cancelled(self) -> list[int]:
        return [c.id for c in self.commands if isinstance(c, Cancel)]

    @property
    def output(self) -> Any:
        assert self.state.ended == "completed", (self.state.ended, self.state.failure)
        return self.state.output

    @property
    def failure(self) -> Failure:
        assert self.state.ended == "faulted", self.state.ended
        assert self.state.failure is not None
        return self.state.failure

    def seen(self, what: str) -> list[str]:
        """Names of the tasks of which the trace says this."""
        return [m.name for m in self.trace if m.what == what and m.kind != "workflow"]
