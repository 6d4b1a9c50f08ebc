"""`set`, `switch`, `raise`, `emit`. Law: they end in the turn in which they begin, and write nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segue.core.environment import EMPTY, evaluate, iso
from segue.core.machines.base import Machine
from segue.core.plan import EmitNode, RaiseNode, SetNode, SwitchNode
from segue.core.state import Frame
from segue.types import Emit, Failure, TaskFailure, fail

if TYPE_CHECKING:
    from segue.core.turn import Turn


class Set(Machine):
    """Its template's value replaces the data."""

    def start(self, turn: Turn, frame: Frame) -> None:
        node = frame.node
        assert isinstance(node, SetNode)
        value = evaluate(turn, node.value, frame.input, frame)
        turn.require_fits(value, "the value")
        turn.complete(frame, value)


class Switch(Machine):
    """The first case that holds says what follows; the default counts only when none does."""

    def start(self, turn: Turn, frame: Frame) -> None:
        node = frame.node
        assert isinstance(node, SwitchNode)
        chosen = None
        for case in node.cases:
            when = case.when
            if when is None:
                chosen = case
                continue
            # `is_true` without its calls.
            seen, reads = frame.input, when.reads
            held = evaluate(turn, when, seen, frame) if reads else when.run(seen, EMPTY, turn.now)
            if held is not None and held is not False:
                chosen = case
                break
        if turn.trace is not None:
            name = None if chosen is None else chosen.name
            turn.observe("decided", frame, {"case": name, "saw": frame.input})
        turn.complete(frame, frame.input, node.then if chosen is None else chosen.then)


class Raise(Machine):
    """Fails with the document's error; `instance` is always the raising task."""

    def start(self, turn: Turn, frame: Frame) -> None:
        node = frame.node
        assert isinstance(node, RaiseNode)
        error = evaluate(turn, node.error, frame.input, frame)
        for key in ("type", "title", "detail"):
            value = error.get(key)
            if not isinstance(value, str) and (value is not None or key == "type"):
                raise fail("expression", f"the error's {key} must be text, not {type(value).__name__}")
        raise TaskFailure(
            Failure(
                type=error["type"],
                status=error["status"],
                title=error.get("title"),
                detail=error.get("detail"),
                instance=node.pointer,
            )
        )


class EmitEvent(Machine):
    """Publishes a CloudEvent whose id follows from the run and the task, so a replay emits the same (R19)."""

    def start(self, turn: Turn, frame: Frame) -> None:
        node = frame.node
        assert isinstance(node, EmitNode)
        given: dict[str, Any] = evaluate(turn, node.event, frame.input, frame)
        if not isinstance(given.get("type"), str) or not given["type"]:
            raise fail("expression", "the event's type must be text and not empty")
        plan = turn.plan
        event = {
            "specversion": "1.0",
            "id": f"{turn.state.run_id}-{frame.id}",
            "source": f"/{plan.namespace}/{plan.name}/{plan.version}",
            "time": iso(turn.now),
            **{name: value for name, value in given.items() if value is not None},
        }
        if "data" in event:
            event.setdefault("datacontenttype", "application/json")
        turn.require_fits(event, "the event")
        turn.commands.append(Emit(frame.id, event))
        turn.complete(frame, event)
