"""Rehearsing: one case of a document's tests, played through the core with its answers in place of the world.

Nothing acts, waits or is kept: acts and people answer what the case says, events are those that it sends, and timers
are due as soon as nothing else can go on. The core is the one that drives real runs, so what a rehearsal does, a run
would have done with the same answers. Rules, limits and who may decide are asked when something really happens, and
not here.
"""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec

from segue.core import Plan, RunState, adjustable, advance, consumes, refuses
from segue.types import (
    ERROR_BASE,
    AttemptFailed,
    AttemptSucceeded,
    AwaitMessages,
    Cancel,
    Command,
    DecisionMade,
    EndRun,
    Event,
    Failure,
    MessageConsumed,
    Offer,
    Perform,
    RunStarted,
    StartTimer,
    TimerFired,
    UpdateOffer,
)

EVENTS_MAX: Final = 1000
"""So many answers, events and timers of one case."""
_BEGIN: Final = "2026-01-05T09:00:00Z"
_CLOSED: Final = ("decided", "expired")

Word = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class CaseError(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A failure: a standard word such as `communication`, or the address of a type; and its status."""

    type: Word
    status: Annotated[int, msgspec.Meta(ge=100, le=599)] = 500
    title: str | None = None
    detail: str | None = None

    @property
    def uri(self) -> str:
        """The type as failures have it."""
        return _uri(self.type)


def _uri(text: str) -> str:
    return text if "/" in text or ":" in text else ERROR_BASE + text


class Answer(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What an act, or a person, answers in a case: exactly one of `output`, `error`, `decide` and `silent`.

    Attributes:
        decide: An outcome that a human task offers; with `data` (left out, it is what the task shows), `comment`,
            and `by`, who decides.
        silent: Nobody decides, so that the clocks of the task go on.
    """

    output: Any = msgspec.UNSET
    error: CaseError | None = None
    decide: str = ""
    data: Any = msgspec.UNSET
    comment: str = ""
    by: str = ""
    silent: bool = False

    def __post_init__(self) -> None:
        said = [self.output is not msgspec.UNSET, self.error is not None, bool(self.decide), self.silent]
        if sum(said) != 1:
            raise ValueError("say exactly one of `output`, `error`, `decide` and `silent`")


class ExpectedError(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The failure that a run ends with."""

    type: Word
    status: int | None = None

    @property
    def uri(self) -> str:
        """The type as failures have it."""
        return _uri(self.type)


class Expected(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What must come out: `output`, or `error`. `acts`, where it is said: names of what was performed and decided."""

    output: Any = msgspec.UNSET
    error: ExpectedError | None = None
    acts: list[str] | None = None

    def __post_init__(self) -> None:
        if (self.output is msgspec.UNSET) == (self.error is None):
            raise ValueError("say exactly one of `output` and `error`")


class Case(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One test of a document.

    Attributes:
        answers: By name or JSON Pointer of a task; a list is used up one by one.
        events: CloudEvents, taken in their order by whatever waits for them.
        adjustable: Adjustable values that differ from their defaults. at: When the run starts.
    """

    name: Word
    input: Any = msgspec.UNSET
    answers: dict[str, Answer | list[Answer]] = {}
    events: list[dict[str, Any]] = []
    adjustable: dict[str, Any] = {}
    at: datetime | None = None
    expect: Expected


class Stuck(Exception):
    """The case cannot be played to its end: it says why, and what to write."""


class Ending(msgspec.Struct, frozen=True):
    """How a rehearsed run ended. `acts`: names of what was performed and decided, in the order of the answers."""

    output: Any = None
    failure: Failure | None = None
    acts: list[str] = []


def rehearse(plan: Plan, case: Case, *, until: float) -> Ending:
    """Play a case.

    Args:
        until: The moment of `time.monotonic` after which it is given up.

    Raises:
        Stuck: Something is asked that the case does not answer, or it goes on for too long.
    """
    return _Rehearsal(plan, case, until).play()


class _Rehearsal:
    def __init__(self, plan: Plan, case: Case, until: float) -> None:
        began = case.at or datetime.fromisoformat(_BEGIN)
        self._plan = plan
        self._until = until
        self._now = int(began.timestamp() * 1000)
        self._given = {key: [one] if isinstance(one, Answer) else list(one) for key, one in case.answers.items()}
        self._lists = {key for key, one in case.answers.items() if not isinstance(one, Answer)}
        self._case = case
        self._acts: list[str] = []
        self._voices = 0
        self._performs: deque[Perform] = deque()
        self._offers: dict[int, Offer] = {}
        self._silent: set[int] = set()
        self._awaits: dict[int, AwaitMessages] = {}
        self._timers: list[tuple[int, int]] = []
        self._cancelled: set[int] = set()
        self._events = deque(case.events)
        self._ended: EndRun | None = None

    def play(self) -> Ending:
        state, commands = advance(self._plan, None, self._start())
        self._take(commands)
        for _ in range(EVENTS_MAX):
            if self._ended is not None:
                return Ending(self._ended.output, self._ended.failure, self._acts)
            if time.monotonic() > self._until:
                raise Stuck("it takes too long; let the case be smaller")
            state, commands = advance(self._plan, state, self._next(state))
            self._take(commands)
        raise Stuck(f"it goes on after {EVENTS_MAX} answers, events and timers; let the case be smaller")

    def _start(self) -> RunStarted:
        unknown = [name for name in self._case.adjustable if name not in self._plan.adjustable]
        if unknown:
            raise Stuck(f"{unknown[0]!r} is no adjustable value of the document")
        for name, value in self._case.adjustable.items():
            if (complaint := self._plan.adjustable[name].check(value)) is not None:
                raise Stuck(f"the adjustable value {name!r} does not fit: {complaint}")
        flags: tuple[str, ...] = ("finishes", "finishes-all", "unattended") if self._plan.undoes else ()
        flags += ("results",) if self._plan.promises else ()
        given = {} if self._case.input is msgspec.UNSET else self._case.input
        values = adjustable.settled(self._plan.adjustable, self._case.adjustable)
        runtime = self._plan.runtime.get("version", "")
        return RunStarted(
            self._now, "rehearsal", self._plan.digest, given, "rehearsal", {"kind": "test"}, flags, runtime, values
        )

    def _take(self, commands: Sequence[Command]) -> None:
        for command in commands:
            match command:
                case Perform():
                    self._performs.append(command)
                case Offer():
                    self._offers[command.id] = command
                case UpdateOffer() if command.state in _CLOSED:
                    self._offers.pop(command.id, None)
                case AwaitMessages():
                    self._awaits[command.id] = command
                case StartTimer():
                    heapq.heappush(self._timers, (command.due_ms, command.id))
                case Cancel():
                    self._forget(command.id)
                case EndRun():
                    self._ended = command
                case _:
                    pass  # Events that go out concern nobody here.

    def _forget(self, number: int) -> None:
        self._cancelled.add(number)
        self._offers.pop(number, None)
        self._awaits.pop(number, None)
        self._performs = deque(one for one in self._performs if one.id != number)

    def _next(self, state: RunState) -> Event:
        if self._performs:
            return self._perform(self._performs.popleft())
        for offer in self._offers.values():
            if offer.id not in self._silent and (decision := self._decide(state, offer)) is not None:
                return decision
        if self._awaits and self._events:
            message = MessageConsumed(self._now, {"specversion": "1.0", **self._events[0]})
            if consumes(self._plan, state, message):
                self._events.popleft()
                return message
        while self._timers:
            due, number = heapq.heappop(self._timers)
            if number not in self._cancelled:
                self._now = max(self._now, due)
                return TimerFired(self._now, number)
        raise Stuck(self._waits())

    def _perform(self, command: Perform) -> Event:
        self._acts.append(command.name)
        answer = self._answer(command.name, command.pointer, "the act", "output: …")
        if answer.error is not None:
            error = answer.error
            failed = Failure(error.uri, error.status, error.title, error.detail)
            return AttemptFailed(self._now, command.id, failed)
        if answer.output is msgspec.UNSET:
            raise Stuck(f"the act {command.name!r} answers with `output` or `error`, and decides nothing")
        return AttemptSucceeded(self._now, command.id, answer.output)

    def _decide(self, state: RunState, offer: Offer) -> Event | None:
        answer = self._answer(offer.name, offer.pointer, "the human task", "decide: OUTCOME")
        if answer.silent:
            self._silent.add(offer.id)
            return None
        if not answer.decide:
            raise Stuck(f"the human task {offer.name!r} is answered with `decide` or `silent`")
        self._voices += 1
        by = answer.by or f"person-{self._voices}"
        self._acts.append(offer.name)
        decision = DecisionMade(self._now, offer.id, answer.decide, answer.data, by, answer.comment)
        if (why := refuses(state, decision)) is not None:
            raise Stuck(f"the decision {answer.decide!r} about {offer.name!r} does not count: {why}")
        return decision

    def _answer(self, name: str, pointer: str, what: str, write: str) -> Answer:
        key = pointer if pointer in self._given else name
        given = self._given.get(key)
        if given is None:
            raise Stuck(f"nothing answers {what} {name!r} at {pointer}; write `answers: {{ {name}: {{ {write} }} }}`")
        if not given:
            raise Stuck(f"{what} {name!r} at {pointer} is asked once more than it has answers")
        return given.pop(0) if key in self._lists else given[0]

    def _waits(self) -> str:
        if self._silent:
            return "it waits for a person for ever: a task is `silent`, and no clock of it is left"
        if self._events:
            return f"it waits for an event, and none takes the next one of the case, {self._events[0].get('type')!r}"
        return "it waits for an event that the case does not send; write it into `events`"
