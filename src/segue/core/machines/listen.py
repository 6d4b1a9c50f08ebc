"""`listen`. Law: it consumes what its strategy names, each event once, in the order of arrival, and no more.

Correlation keys belong to the run: the first value that a key without `expect` extracts is what it expects from
then on. An event that a filter cannot read (its expression fails) does not match. With `foreach`, events are
handled one at a time; those that arrive meanwhile queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from segue.core.environment import evaluate, is_true
from segue.core.machines.base import Machine
from segue.core.plan import EventFilter, Iterator, ListenNode, Node, Program, Strategy
from segue.core.state import Frame
from segue.types import AwaitMessages, SecretText, TaskFailure, failure

if TYPE_CHECKING:
    from segue.core.turn import Turn

Bindings = dict[str, Any]
_COLLECTED: Final = "what the task has collected"


class Listening(msgspec.Struct):
    """What a listener has consumed.

    Attributes:
        taken: Filters that have their event (`all`). until_taken: the same for an `until` strategy.
        events: What was read from each consumed event; with `foreach`, the iterations' outputs.
        seen: What was read from each consumed event, kept where `foreach` meets an `until` that looks at it.
        queue: Read but not handled yet. busy: an iteration is running. satisfied: nothing more is consumed.
        size: Of `events`, `seen` and `queue` together, as JSON, in runs that measure it.
    """

    taken: set[int] = set()
    until_taken: set[int] = set()
    events: list[Any] = []
    seen: list[Any] = []
    queue: list[Any] = []
    handled: int = 0
    busy: bool = False
    satisfied: bool = False
    size: int = 0


class Listen(Machine):
    """`frame.data` is a `Listening`; the frame's id is the id of its open wait."""

    def start(self, turn: Turn, frame: Frame) -> None:
        node = frame.node
        assert isinstance(node, ListenNode)
        frame.data = Listening()
        turn.give(AwaitMessages(frame.id, node.to.types, turn.state.apart_at or turn.state.started_at))
        if turn.trace is not None:
            turn.observe("waiting", frame)
            if any(f.correlations for f in node.to.filters):
                turn.observe("correlation-started", frame)

    def list_done(self, turn: Turn, frame: Frame, section: str, output: Any, then: int) -> None:
        node = frame.node
        assert isinstance(node, ListenNode)
        assert node.foreach is not None
        listening = frame.data
        listening.busy = False
        made = _iteration_output(turn, frame, node.foreach, output)
        turn.current = frame
        listening.size = turn.added_up(listening.size, made, _COLLECTED)
        listening.events.append(made)
        listening.handled += 1
        self.go_on(turn, frame, node)

    def go_on(self, turn: Turn, frame: Frame, node: ListenNode) -> None:
        """Handle the next queued event, or complete when nothing is left to do."""
        listening: Listening = frame.data
        parent = frame.parent
        assert parent is not None
        if node.foreach is not None and listening.queue and not listening.busy:
            listening.busy = True
            item = listening.queue.pop(0)
            if not isinstance(node.to.until, Program):
                listening.size = max(0, listening.size - turn.added_up(0, item, _COLLECTED))
            place = listening.handled
            names = {node.foreach.item: item, node.foreach.at: place}
            frame.vars = {**(parent.vars or {}), **names}
            frame.iteration = (*parent.iteration, place)
            frame.steps = None
            frame.laps = 0
            if node.foreach.tasks:
                turn.begin(node.foreach.tasks[0], frame, frame.input)
            else:
                self.list_done(turn, frame, "foreach", item, 0)
        elif listening.satisfied and not listening.busy:
            self.unwind(turn, frame)
            turn.current = frame
            turn.complete(frame, listening.events)

    def unwind(self, turn: Turn, frame: Frame, child: Node | None = None) -> None:
        parent = frame.parent
        assert parent is not None
        frame.vars = parent.vars
        frame.iteration = parent.iteration


_MACHINE = Listen()


def match(turn: Turn, frame: Frame, event: dict[str, Any]) -> bool:
    """Would this wait take the event? Changes nothing."""
    node = frame.node
    assert isinstance(node, ListenNode)
    listening: Listening = frame.data
    if isinstance(node.to.until, Strategy) and _find(turn, frame, node.to.until, listening.until_taken, event):
        return True
    return _find(turn, frame, node.to, listening.taken, event) is not None


def offer(turn: Turn, frame: Frame, event: dict[str, Any]) -> bool:
    """Let the wait take the event if it matches; says whether it did."""
    node = frame.node
    assert isinstance(node, ListenNode)
    listening: Listening = frame.data
    strategy = node.to
    if isinstance(strategy.until, Strategy):
        stop = _find(turn, frame, strategy.until, listening.until_taken, event)
        if stop is not None:
            _bind(turn, frame, stop[1])
            listening.until_taken.add(stop[0])
            if _is_complete(strategy.until, listening.until_taken):
                _satisfy(turn, frame, node)
            return True
    found = _find(turn, frame, strategy, listening.taken, event)
    if found is None:
        return False
    _bind(turn, frame, found[1])
    listening.taken.add(found[0])
    value = read_event(event, node.read)
    # Each time, and not at the end: one that waits for an end that never comes must not collect for ever.
    listening.size = turn.added_up(listening.size, value, _COLLECTED)
    (listening.events if node.foreach is None else listening.queue).append(value)
    if node.foreach is not None and isinstance(strategy.until, Program):
        listening.seen.append(value)
    if _stops(turn, frame, node, listening):
        _satisfy(turn, frame, node)
    else:
        _MACHINE.go_on(turn, frame, node)
    return True


def read_event(event: dict[str, Any], read: str) -> Any:
    """The event's data, its whole envelope, or its data as it came."""
    if read == "envelope":
        return event
    if read == "raw" and "data_base64" in event:
        return event["data_base64"]
    data = event.get("data")
    if read == "raw" and not isinstance(data, str):
        return msgspec.json.encode(data).decode()
    return data


def _satisfy(turn: Turn, frame: Frame, node: ListenNode) -> None:
    frame.data.satisfied = True
    turn.withdraw(frame.id)
    if turn.trace is not None and turn.state.correlations:
        turn.observe("correlation-completed", frame, dict(turn.state.correlations))
    _MACHINE.go_on(turn, frame, node)


def _stops(turn: Turn, frame: Frame, node: ListenNode, listening: Listening) -> bool:
    strategy = node.to
    if isinstance(strategy.until, Strategy):
        return False
    if strategy.until is not None:
        so_far = listening.events if node.foreach is None else listening.seen
        return is_true(turn, strategy.until, so_far, frame)
    return _is_complete(strategy, listening.taken)


def _is_complete(strategy: Strategy, taken: set[int]) -> bool:
    return len(taken) >= len(strategy.filters) if strategy.mode == "all" else bool(taken)


def _find(
    turn: Turn, frame: Frame, strategy: Strategy, taken: set[int], event: dict[str, Any]
) -> tuple[int, Bindings] | None:
    """The first filter that takes the event, with the correlation values it would bind."""
    if not strategy.filters and strategy.mode == "any":
        return 0, {}
    for place, event_filter in enumerate(strategy.filters):
        if strategy.mode == "all" and place in taken:
            continue
        try:
            bindings = _fits(turn, frame, event_filter, event)
        except TaskFailure:
            continue
        if bindings is not None:
            return place, bindings
    return None


def _fits(turn: Turn, frame: Frame, event_filter: EventFilter, event: dict[str, Any]) -> Bindings | None:
    for matcher in event_filter.matchers:
        value = event.get(matcher.attribute)
        if matcher.program is not None:
            seen = value if matcher.attribute == "data" else event
            if not is_true(turn, matcher.program, seen, frame):
                return None
        elif value != matcher.literal or type(value) is not type(matcher.literal):
            text = isinstance(value, str) and matcher.pattern is not None and matcher.pattern(value)
            if not text:
                return None
    bindings: Bindings = {}
    for correlation in event_filter.correlations:
        value = _extract(turn, frame, correlation.from_, event)
        if correlation.expect is not None:
            expected = evaluate(turn, correlation.expect, frame.input, frame)
        else:
            expected = turn.state.correlations.get(correlation.key, value)
        if value is None or isinstance(value, SecretText) or value != expected:
            return None
        bindings[correlation.key] = value
    return bindings


def _extract(turn: Turn, frame: Frame, program: Program, event: dict[str, Any]) -> Any:
    """The correlation value. Documents write paths both from the envelope and from the data; both are read."""
    try:
        value = evaluate(turn, program, event, frame)
    except TaskFailure:
        value = None
    return evaluate(turn, program, event.get("data"), frame) if value is None else value


def _bind(turn: Turn, frame: Frame, bindings: Bindings) -> None:
    for key, value in bindings.items():
        turn.state.correlations.setdefault(key, value)


def _iteration_output(turn: Turn, frame: Frame, foreach: Iterator, output: Any) -> Any:
    turn.raw_output = output
    if foreach.output_as is not None:
        output = evaluate(turn, foreach.output_as, output, frame)
        turn.require_made_fits(output, "the iteration's output")
    if foreach.output_check is not None and (complaint := foreach.output_check(output)) is not None:
        raise TaskFailure(failure("validation", f"the iteration's output does not fit its schema: {complaint}"))
    turn.output = output
    context = frame.thread.context
    if foreach.export_as is not None:
        context = evaluate(turn, foreach.export_as, output, frame)
        turn.require_made_fits(context, "the exported context")
    if foreach.export_check is not None and (complaint := foreach.export_check(context)) is not None:
        raise TaskFailure(failure("validation", f"the context does not fit its schema: {complaint}"))
    frame.thread.context = context
    turn.raw_output = turn.output = None
    return output
