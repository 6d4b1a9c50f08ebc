"""The engine: one process of the simulated host, from its birth to its crash.

The same principle as every host's: an event is applied in memory, written, and only when the write is acknowledged
are its commands let out. Acts that must not simply be repeated have an intent on disk before they begin, and look
back at earlier attempts under their name. A new process folds what it finds on disk and issues again what is open.

Everything is a call; there is no thread and no coroutine. A process that died takes no calls any more (`alive`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from segue.core import Plan, RunState, advance, consumes
from segue.hosts.simulated.contracts import Performer, Watcher
from segue.hosts.simulated.disk import Disk
from segue.hosts.simulated.records import (
    EventRecord,
    IntentRecord,
    MessageRecord,
    OutcomeRecord,
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
    RunStarted,
    StartTimer,
    TimerFired,
    failure,
)


class Effort(NamedTuple):
    """How the last attempt at an act ended: `intent` (nothing recorded), `unknown`, `failed`, or `done`."""

    state: str
    receipt: Any = None


class Live:
    """A run in memory. `waits` are those that have been let out; `consumed` are messages it took.

    `receipts` are the results of its acts that were read from disk, by command id.
    """

    def __init__(self, started: RunStarted, plan: Plan) -> None:
        self.id = started.run_id
        self.cause = started.cause
        self.plan = plan
        self.state: RunState = None  # type: ignore[assignment]
        self.events = 0
        self.waits: dict[int, AwaitMessages] = {}
        self.consumed: set[tuple[str, str]] = set()
        self.receipts: dict[int, Any] = {}


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
        self._begun: set[tuple[str, int]] = set()
        self._efforts: dict[tuple[str, str], Effort] = {}
        self._under_way: dict[tuple[str, str], Perform] = {}
        self._queued: dict[tuple[str, str], list[Callable[[], None]]] = {}
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

    def _apply(
        self,
        live: Live,
        event: Event,
        then: Callable[[], None] | None = None,
        *,
        outcome: OutcomeRecord | None = None,
    ) -> None:
        raw = encode_event(event)
        live.state, commands = advance(live.plan, live.state, decode_event(raw))
        records: list[Record] = [EventRecord(live.id, live.events, raw)]
        live.events += 1
        if outcome is not None:
            records.append(outcome)
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
            self._give_up(live, command.id)
        elif isinstance(command, EndRun):
            self.on_closed(live.id, command)

    # -- acts --------------------------------------------------------------------------------------

    def _perform(self, live: Live, command: Perform, *, recovering: bool = False) -> None:
        if not self.alive or command.id not in live.state.open:
            return
        if self._performer.recovery(command) == "repeat":
            self._act(live, command, recovering)
            return
        name = (live.id, command.effect)
        if name in self._under_way:
            # One that nobody waits for may still be on its way; how it ends decides about this one.
            self._queued.setdefault(name, []).append(lambda: self._perform(live, command))
            return
        self._under_way[name] = command
        self._look_back(live, command)

    def _look_back(self, live: Live, command: Perform) -> None:
        """Act, unless an earlier attempt at this act may have happened."""
        place = (live.id, command.id)
        earlier = Effort("intent") if place in self._intended else self._efforts.get((live.id, command.effect))
        recovery = self._performer.recovery(command)
        if earlier is None or (earlier.state == "failed" and recovery == "ask"):
            self._intend(live, command)
        elif earlier.state == "done":
            self._answer(live, command, earlier.receipt)
        else:
            find = self._performer.verify if recovery == "verify" else self._performer.ask
            find(
                live.id,
                command,
                _key(live, command),
                lambda answer: self._answer(live, command, answer, looked=True),
                lambda: self._intend(live, command),
            )

    def _intend(self, live: Live, command: Perform) -> None:
        """Act, once the intent is on disk."""
        place = (live.id, command.id)
        if not self.alive or command.id not in live.state.open:
            return
        recovering = (live.id, command.effect) in self._efforts
        if place in self._intended:
            self._act(live, command, recovering)
            return
        self._intended.add(place)
        self._efforts[live.id, command.effect] = Effort("intent")
        self._write([IntentRecord(*place, command.effect)], lambda: self._act(live, command, recovering))

    def _act(self, live: Live, command: Perform, recovering: bool) -> None:
        if not self.alive or command.id not in live.state.open:
            return
        self._begun.add((live.id, command.id))
        key = _key(live, command)
        self._performer.perform(live.id, command, key, recovering, lambda answer: self._answer(live, command, answer))

    def _answer(self, live: Live, command: Perform, answer: Any, *, looked: bool = False) -> None:
        """An answer came; a second one, or one that nobody waits for any more, is dropped.

        Args:
            looked: It is that of a look-up; when that fails, the act is in doubt as before.
        """
        if not self.alive or command.id not in live.state.open:
            return
        event = _event_of(answer, command.id, self._time.wall())
        effort = _ending(event)
        if looked and effort.state == "failed":
            effort = Effort("unknown")
        outcome = self._settle(live, command, effort)
        self._apply(live, event, outcome=outcome)
        self._leave(live, command)

    def _give_up(self, live: Live, command_id: int) -> None:
        """An act is cancelled: if it had begun, nobody will know whether it happened."""
        command = next((c for (run, _), c in self._under_way.items() if (run, c.id) == (live.id, command_id)), None)
        if command is None:
            return
        begun = (live.id, command_id) in self._begun
        outcome = self._settle(live, command, Effort("unknown" if begun else "failed"))
        if outcome is not None:
            self._write([outcome], lambda: None)
        self._leave(live, command)

    def _settle(self, live: Live, command: Perform, effort: Effort) -> OutcomeRecord | None:
        if (live.id, command.id) not in self._intended:
            return None
        self._efforts[live.id, command.effect] = effort
        return OutcomeRecord(live.id, command.id, command.effect, effort.state)

    def _leave(self, live: Live, command: Perform) -> None:
        """Let go on what waits for the end of this attempt."""
        name = (live.id, command.effect)
        if self._under_way.get(name) is command:
            del self._under_way[name]
            for go_on in self._queued.pop(name, []):
                go_on()

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
                # Its request may have left before the process died.
                self._intended.add((record.run_id, record.command_id))
                self._begun.add((record.run_id, record.command_id))
                self._efforts[record.run_id, record.effect] = Effort("intent")
            elif isinstance(record, OutcomeRecord):
                receipt = self.runs[record.run_id].receipts.get(record.command_id)
                self._efforts[record.run_id, record.effect] = Effort(record.state, receipt)
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
        if isinstance(event, AttemptSucceeded):
            live.receipts[event.id] = event.output
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


def _event_of(answer: Any, command_id: int, now: int) -> AttemptSucceeded | AttemptFailed:
    """An answer as the event that a replay will see; what is not JSON is a failure."""
    if isinstance(answer, Failure):
        return AttemptFailed(now, command_id, answer)
    event = AttemptSucceeded(now, command_id, answer)
    try:
        decoded = decode_event(encode_event(event))
        assert isinstance(decoded, AttemptSucceeded)
        return decoded
    except (TypeError, ValueError, RecursionError) as error:
        reason = failure("runtime", f"the result cannot be stored: {error}", outcome_unknown=True)
        return AttemptFailed(now, command_id, reason)


def _ending(event: AttemptSucceeded | AttemptFailed) -> Effort:
    if isinstance(event, AttemptSucceeded):
        return Effort("done", event.output)
    return Effort("unknown" if event.failure.outcome_unknown else "failed")


def _key(live: Live, command: Perform) -> str:
    return f"{live.id}:{command.effect}"
