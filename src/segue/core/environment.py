"""The variables that a program sees: built by name, only those that it reads.

Source: the matrix of expression variables, section 5.1 of the document reference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from segue.core.plan import ActNode, Program
from segue.core.state import Frame

if TYPE_CHECKING:
    from segue.core.turn import Turn

EMPTY: Mapping[str, Any] = MappingProxyType({})


def moment_of(at_ms: int) -> dict[str, Any]:
    """A date descriptor: ISO 8601 text and whole epoch seconds and milliseconds."""
    return {"iso8601": iso(at_ms), "epoch": {"seconds": at_ms // 1000, "milliseconds": at_ms}}


def iso(at_ms: int) -> str:
    """RFC 3339 text, UTC, with milliseconds."""
    text = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def evaluate(turn: Turn, program: Program, data: Any, frame: Frame) -> Any:
    """The program's value on `data`, with the variables visible at `frame`.

    Raises:
        TaskFailure: An expression failure.
    """
    reads = program.reads
    if not reads:
        return program.run(data, EMPTY, turn.now)
    bound = frame.vars
    variables = {}
    for name in reads:
        # A loop may bind a name that the language also uses; the document's own binding wins.
        if bound is not None and name in bound:
            variables[name] = bound[name]
        else:
            resolver = _RESOLVERS.get(name)
            variables[name] = None if resolver is None else resolver(turn, frame)
    return program.run(data, variables, turn.now)


def is_true(turn: Turn, program: Program, data: Any, frame: Frame) -> bool:
    """jq's truth: everything but null and false."""
    value = evaluate(turn, program, data, frame) if program.reads else program.run(data, EMPTY, turn.now)
    return value is not None and value is not False


def _task(turn: Turn, frame: Frame) -> dict[str, Any]:
    node = frame.node
    return {
        "name": node.name,
        "reference": node.pointer,
        "definition": node.definition,
        "input": frame.raw,
        "output": turn.raw_output,
        "startedAt": moment_of(frame.started),
    }


def _workflow(turn: Turn, _: Frame) -> dict[str, Any]:
    return {
        "id": turn.state.run_id,
        "definition": turn.plan.definition,
        "input": turn.state.input,
        "startedAt": moment_of(turn.state.started_at),
    }


def _runtime(turn: Turn, _: Frame) -> Mapping[str, Any]:
    """As it was when the run started, whatever release replays it."""
    version = turn.state.runtime
    return {**turn.plan.runtime, "version": version} if version else turn.plan.runtime


def _authorization(_: Turn, frame: Frame) -> dict[str, Any] | None:
    node = frame.node
    if isinstance(node, ActNode) and node.authorization is not None:
        return {"scheme": node.authorization, "parameter": "[redacted]"}
    return None


def _steps(_: Turn, frame: Frame) -> dict[str, Any]:
    """Outputs by name, of this list and of those around it; the nearest wins."""
    found: dict[str, Any] = {}
    around: Frame | None = frame
    while around is not None:
        if around.steps:
            found = {**around.steps, **found}
        around = around.parent
    return found


_RESOLVERS: dict[str, Callable[[Turn, Frame], Any]] = {
    "context": lambda turn, frame: frame.thread.context,
    "input": lambda turn, frame: frame.input,
    "output": lambda turn, frame: turn.output,
    "task": _task,
    "workflow": _workflow,
    "runtime": _runtime,
    "authorization": _authorization,
    "steps": _steps,
    "adjustable": lambda turn, _: turn.state.adjustable,
}
