"""The engine: one process of the simulated host, from its birth to its crash.

The same principle as every host's: an event is applied in memory, written, and only when the write is acknowledged
are its commands let out. Acts that must not simply be repeated have an intent on disk before they begin. A new
process folds what it finds on disk and issues again what is still open.

Everything is a call; there is no thread and no coroutine. A process that died takes no calls any more (`alive`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from segue.core import Plan, RunState, advance, consumes
from segue.hosts.simulated.disk import Disk
from segue.hosts.simulated.records import (
    EventRecord,
    IntentRecord,
    MessageRecord,
    Record,
    decode_event,
    encode_event,
    key_of,
)
from segue.hosts.simulated.time import Time
from segue.types import (
    AttemptFailed,
    AttemptSucceeded,
    AwaitMessages,
    Cancel,
    Command,
    Emit,
    EndRun,
    Event,
    Failure,
    MessageConsumed,
    Perform,
    Recovery,
    RunStarted,
    StartTimer,
    TimerFired,
    failure,
)

Reply = Callable[[Any], None]
"""Takes a result, or a `Failure`."""


class Performer(Protocol):
    """How commands reach the world. Answers come through the reply, later or never."""

    def recovery(self, command: Perform) -> Recovery:
        """What to do when the outcome is unknown."""
        ...

    def perform(self, run_id: str, command: Perform, key: str, recovering: bool, reply: Reply) -> None:
        """Act."""
        ...

    def verify(self, run_id: str, command: Perform, key: str, reply: Reply, absent: Callable[[], None]) -> None:
        """Look the act up; call `absent` when it did not happen."""
        ...

    def ask(self, run_id: str, command: Perform, key: str, reply: Reply, absent: Callable[[], None]) -> None:
        """Ask a person whether it happened."""
        ...

    def cancel(self, run_id: str, command_id: int) -> None:
        """Stop acting; unknown ids are no mistake."""
        ...


class Watcher(Protocol):
    """Who is told what the host lets out."""

    def released(self, run_id: str, command: Command) -> None:
        """A command leaves the host."""
        ...


class Live:
    """A run in memory. `waits` are those that have been let out; `consumed` are messages it took."""

    def __init__(self, started: RunStarted, plan: Plan) -> None:
        self.id = started.run_id
        self.cause = started.cause
        self.plan = plan
        self.state: RunState = None  # type: ignore[assignment]
        self.events = 0
        self.waits: dict[int, AwaitMessages] = {}
        self.consumed: set[tuple[str, str]] = set()


class Engine:
    """One process. `watcher` is told of each command that is let out."""

    def __init__(
        self, plans: Mapping[str, Plan], disk: Disk, time: Time, performer: Performer, watcher: Watcher | None = None
    ) -> None:
        self.runs: dict[str, Live] = {}
        self.alive = True
        self.on_closed: Callable[[str, EndRun], None] = lambda run_id, command: None
        self._plans = plans
        self._disk = disk
        self._time = time
        self._performer = performer
        self._watcher = watcher
        self._messages: dict[tuple[str, str], MessageRecord] = {}
        self._arriving: dict[tuple[str, str], list[Callable[[], None]]] = {}
        self._timers: dict[tuple[str, int], int] = {}
        self._intended: set[tuple[str, int]] = set()
        time.on_jump.append(self._rearm)

    # -- in ----------------------------------------------------------------------------------------

    def start(self, event: RunStarted, then: Callable[[], None]) -> None:
        """Start a run, unless it has been started; `then` is called when it is on disk."""
        if event.run_id in self.runs:
            self._write([], then)
            return
        live = self.runs[event.run_id] = Live(event, self._plans[event.definition])
        self._apply(live, event, then)

    def control(self, run_id: str, event: Event, then: Callable[[], None]) -> bool:
        """Apply an operator's control; False when the run has ended, or is not here."""
        live = self.runs.get(run_id)
        if live is None or live.state.ended is not None:
            return False
        self._apply(live, event, then)
        return True

    def publish(self, event: dict[str, Any], then: Callable[[], None]) -> bool:
        """Take in a CloudEvent; False when its source and id were seen before."""
        key = key_of(event)
        if key in self._messages:
            self._write([], then)
            return False
        if key in self._arriving:
            self._arriving[key].append(then)
            return False
        record = MessageRecord(self._time.wall(), event)
        self._arriving[key] = [then]
        self._write([record], lambda: self._arrived(record))
        return True

    def _arrived(self, record: MessageRecord) -> None:
        waiting = self._arriving.pop(key_of(record.event))
        self._deliver(record)
        for then in waiting:
            then()

    def stop(self) -> None:
        """The process is gone: whatever still refers to it is void."""
        self.alive = False
        self._time.on_jump.remove(self._rearm)

    # -- one event ---------------------------------------------------------------------------------

    def _apply(self, live: Live, event: Event, then: Callable[[], None] | None = None) -> None:
        raw = encode_event(event)
        live.state, commands = advance(live.plan, live.state, decode_event(raw))
        records: list[Record] = [EventRecord(live.id, live.events, raw)]
        live.events += 1
        now = self._time.wall()
        records += [MessageRecord(now, c.event) for c in commands if isinstance(c, Emit)]
        self._write(records, lambda: self._release(live, commands, records, then))

    def _write(self, records: list[Record], then: Callable[[], None]) -> None:
        self._disk.write(records, lambda: then() if self.alive else None)

    def _release(self, live: Live, commands: Any, records: list[Record], then: Callable[[], None] | None) -> None:
        for record in records:
            if isinstance(record, MessageRecord):
                self._deliver(record)
        for command in commands:
            self._let_out(live, command)
        if then is not None:
            then()

    def _let_out(self, live: Live, command: Command) -> None:
        if self._watcher is not None:
            self._watcher.released(live.id, command)
        if isinstance(command, Perform):
            self._perform(live, command)
        elif isinstance(command, StartTimer):
            self._arm(live, command)
        elif isinstance(command, AwaitMessages):
            self._open_wait(live, command)
        elif isinstance(command, Cancel):
            self._timers.pop((live.id, command.id), None)
            live.waits.pop(command.id, None)
            self._performer.cancel(live.id, command.id)
        elif isinstance(command, EndRun):
            self.on_closed(live.id, command)

    # -- acts --------------------------------------------------------------------------------------

    def _perform(self, live: Live, command: Perform, *, recovering: bool = False) -> None:
        if command.id not in live.state.open:
            return
        if self._performer.recovery(command) == "repeat":
            self._act(live, command, recovering)
            return
        place = (live.id, command.id)
        if place not in self._intended:
            self._intended.add(place)
            self._write([IntentRecord(*place)], lambda: self._act(live, command, recovering))
            return
        find = self._performer.verify if self._performer.recovery(command) == "verify" else self._performer.ask
        find(
            live.id,
            command,
            _key(live, command),
            lambda answer: self._answer(live, command, answer),
            lambda: self._act(live, command, True),
        )

    def _act(self, live: Live, command: Perform, recovering: bool) -> None:
        if not self.alive or command.id not in live.state.open:
            return
        key = _key(live, command)
        self._performer.perform(live.id, command, key, recovering, lambda answer: self._answer(live, command, answer))

    def _answer(self, live: Live, command: Perform, answer: Any) -> None:
        """An answer came; a second one, or one that nobody waits for any more, is dropped."""
        if not self.alive or command.id not in live.state.open:
            return
        now = self._time.wall()
        if isinstance(answer, Failure):
            self._apply(live, AttemptFailed(now, command.id, answer))
            return
        event: Event = AttemptSucceeded(now, command.id, answer)
        try:
            encode_event(event)
        except (TypeError, ValueError, RecursionError) as error:
            event = AttemptFailed(now, command.id, failure("runtime", f"the result cannot be stored: {error}"))
        self._apply(live, event)

    # -- timers ------------------------------------------------------------------------------------

    def _arm(self, live: Live, command: StartTimer) -> None:
        if command.id in live.state.open:
            self._timers[live.id, command.id] = command.due_ms
            self._tick_later(live.id, command.id, command.due_ms)

    def _tick_later(self, run_id: str, number: int, due_ms: int) -> None:
        self._time.after(due_ms - self._time.wall(), lambda: self._tick(run_id, number))

    def _tick(self, run_id: str, number: int) -> None:
        due_ms = self._timers.get((run_id, number))
        if not self.alive or due_ms is None or due_ms > self._time.wall():
            return  # taken back, or the clock was set back; then `_rearm` has asked for a later call
        del self._timers[run_id, number]
        live = self.runs[run_id]
        if number in live.state.open:
            self._apply(live, TimerFired(self._time.wall(), number))

    def _rearm(self) -> None:
        """The clock was set: every timer counts anew."""
        for (run_id, number), due_ms in self._timers.items():
            self._tick_later(run_id, number, due_ms)

    # -- messages ----------------------------------------------------------------------------------

    def _deliver(self, record: MessageRecord) -> None:
        """A message is on disk: offer it to every wait that has been let out."""
        self._messages[key_of(record.event)] = record
        for live in list(self.runs.values()):
            if live.waits:
                self._offer(live, record, tuple(live.waits))

    def _open_wait(self, live: Live, command: AwaitMessages) -> None:
        """Offer what came before, oldest first (ruling R22); then wait."""
        if command.id not in live.state.open:
            return
        live.waits[command.id] = command
        for record in list(self._messages.values()):
            if record.arrived_at >= command.since_ms and command.id in live.state.open:
                self._offer(live, record, (command.id,))

    def _offer(self, live: Live, record: MessageRecord, ids: tuple[int, ...]) -> None:
        key = key_of(record.event)
        if key in live.consumed or live.state.ended is not None:
            return
        event = MessageConsumed(self._time.wall(), record.event, ids)
        if consumes(live.plan, live.state, event):
            live.consumed.add(key)
            self._apply(live, event)

    # -- recovery ----------------------------------------------------------------------------------

    def load(self) -> None:
        """Fold what is on disk."""
        for record in self._disk.durable:
            if isinstance(record, EventRecord):
                self._fold(record)
            elif isinstance(record, IntentRecord):
                self._intended.add((record.run_id, record.command_id))
            else:
                self._messages[key_of(record.event)] = record

    def go_on(self) -> None:
        """Issue again what is still open."""
        for live in list(self.runs.values()):
            self._issue_again(live)

    def _fold(self, record: EventRecord) -> None:
        event = decode_event(record.raw)
        if isinstance(event, RunStarted):
            self.runs[record.run_id] = Live(event, self._plans[event.definition])
        live = self.runs[record.run_id]
        live.events += 1
        if isinstance(event, MessageConsumed):
            live.consumed.add(key_of(event.event))
        live.state, _ = advance(live.plan, live.state, event)

    def _issue_again(self, live: Live) -> None:
        if live.state.ended is not None:
            self.on_closed(live.id, EndRun(live.state.ended, live.state.output, live.state.failure))
        for command in list(live.state.open.values()):
            if isinstance(command, Perform):
                self._perform(live, command, recovering=True)
            elif isinstance(command, StartTimer):
                self._arm(live, command)
            elif isinstance(command, AwaitMessages):
                self._open_wait(live, command)


def _key(live: Live, command: Perform) -> str:
    return f"{live.id}:{command.effect}"
