"""`try`. Law: a failure of its list is caught, retried or passed on exactly as ruling R17 orders it.

Filter, then `when`, then `exceptWhen`: not caught means passed on. Caught: retry while the policy allows it, with
the same input; then `catch.do`; without `do`, a retry policy that ran out passes the last failure on, and without
a retry policy the failure is swallowed and the output is the input. A failure in `catch.do` is not caught here.
Before `catch.do`, or where the failure is swallowed, what completed in the list is undone (see `undo.py`); what was
being undone when something around it ended that is undone before the list starts again.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from segue.core.environment import evaluate, is_true
from segue.core.machines import undo
from segue.core.machines.base import Machine
from segue.core.plan import Node, Program, Retry, TryNode
from segue.core.state import Attempts, Frame
from segue.types import Failure, TaskFailure, canonical_type, failure

if TYPE_CHECKING:
    from segue.core.turn import Turn

BACKOFF_MS_MAX = 3_600_000
"""The longest base pause between two attempts (ruling R27)."""


class Try(Machine):
    """`frame.attempt` counts attempts from 1; `frame.clock` times a pause or an attempt."""

    def start(self, turn: Turn, frame: Frame) -> None:
        frame.data = Attempts(turn.now)
        frame.attempt = 1
        self._attempt(turn, frame)

    def list_done(self, turn: Turn, frame: Frame, section: str, output: Any, then: int) -> None:
        node = frame.node
        assert isinstance(node, TryNode)
        self._leave(frame)
        turn.complete(frame, output, node.catch_then if section == "catch" else None)

    def unwind(self, turn: Turn, frame: Frame, child: Node) -> None:
        self._leave(frame)

    def child_failed(self, turn: Turn, frame: Frame, child: Node, reason: Failure) -> None:
        if child.section == "catch":
            self._leave(frame)
            turn.fault(frame, reason, alone=True)
        else:
            self._failed(turn, frame, reason)

    def would_handle(self, turn: Turn, frame: Frame, child: Node, reason: Failure) -> bool:
        node = frame.node
        assert isinstance(node, TryNode)
        if child.section == "catch":
            return False
        before = frame.vars
        frame.vars = {**(before or {}), node.catch_as: reason.as_data()}
        try:
            return self._catches(turn, frame, node, reason)
        except TaskFailure:
            return True  # its own conditions fail, which is this task's failure and no longer the child's
        finally:
            frame.vars = before

    def timer(self, turn: Turn, frame: Frame, purpose: str) -> None:
        if purpose == "retry":
            frame.attempt += 1
            if turn.trace is not None:
                turn.observe("retried", frame)
            self._attempt(turn, frame)
            return
        assert purpose == "attempt"
        turn.close_below(frame)
        detail = f"attempt {frame.attempt} of {frame.node.name!r} took longer than the retry policy allows"
        self._failed(turn, frame, failure("timeout", detail, instance=frame.node.pointer))

    def _attempt(self, turn: Turn, frame: Frame) -> None:
        if undo.finish(turn, frame):
            return  # `undone` comes back here.
        node = frame.node
        assert isinstance(node, TryNode)
        frame.steps = None
        frame.laps = 0
        if node.retry is not None:
            allowed_ms = _allowed_ms(turn, frame, node.retry)
            if allowed_ms is not None:
                frame.clock = turn.start_timer(frame, "attempt", allowed_ms)
        if node.tasks:
            turn.begin(node.tasks[0], frame, frame.input)
        else:
            turn.complete(frame, frame.input)

    def _failed(self, turn: Turn, frame: Frame, reason: Failure) -> None:
        node = frame.node
        assert isinstance(node, TryNode)
        turn.stop_timer(frame.clock)
        frame.clock = 0
        frame.vars = {**(frame.vars or {}), node.catch_as: reason.as_data()}
        if not self._catches(turn, frame, node, reason):
            self._leave(frame)
            turn.fault(frame, reason, alone=True)
            return
        pause_ms = None if node.retry is None else self._pause_ms(turn, frame, node.retry, reason)
        if pause_ms is not None:
            self._leave(frame)
            frame.clock = turn.start_timer(frame, "retry", pause_ms)
        elif node.retry is not None and node.catch_tasks is None:
            self._leave(frame)
            turn.fault(frame, reason, alone=True)
        elif not undo.begin(turn, frame):
            self.undone(turn, frame)

    def undone(self, turn: Turn, frame: Frame) -> None:
        """Nothing of the list stands outside that is to be taken back: the failure is caught for good, or the list
        may start again."""
        if frame.data.finishing:
            frame.data.finishing = False
            self._attempt(turn, frame)
            return
        node = frame.node
        assert isinstance(node, TryNode)
        if node.catch_tasks:
            frame.steps = None
            turn.begin(node.catch_tasks[0], frame, frame.input)
        else:
            self._leave(frame)
            turn.complete(frame, frame.input, node.catch_then)

    def _leave(self, frame: Frame) -> None:
        """Take the error variable away again."""
        parent = frame.parent
        assert parent is not None
        frame.vars = parent.vars

    def _catches(self, turn: Turn, frame: Frame, node: TryNode, reason: Failure) -> bool:
        seen = {**reason.as_data(), "type": canonical_type(reason.type)}
        if node.catch_with is not None and any(seen.get(k) != v for k, v in node.catch_with.items()):
            return False
        return _holds(turn, node.when, node.except_when, frame)

    def _pause_ms(self, turn: Turn, frame: Frame, retry: Retry, reason: Failure) -> int | None:
        """Milliseconds until the next attempt, or None when there is none."""
        if retry.count is not None and frame.attempt > retry.count:
            return None
        if not _holds(turn, retry.when, retry.except_when, frame):
            return None
        pause_ms = _backoff_ms(_value(turn, retry.delay, frame), retry.backoff, frame.attempt)
        low, high = _value(turn, retry.jitter_from, frame), _value(turn, retry.jitter_to, frame)
        if high > low:
            pause_ms += low + int(draw(turn.state.seed, frame.id, frame.attempt) * (high - low))
        else:
            pause_ms += low
        # The peer knows best how long it wants to be left alone.
        pause_ms = max(pause_ms, reason.retry_after_ms or 0)
        if retry.duration is not None:
            allowed_ms = evaluate(turn, retry.duration, frame.input, frame)
            if turn.now + pause_ms - frame.data.first_at >= allowed_ms:
                return None
        return pause_ms


def _holds(turn: Turn, when: Program | None, except_when: Program | None, frame: Frame) -> bool:
    if when is not None and not is_true(turn, when, frame.input, frame):
        return False
    return except_when is None or not is_true(turn, except_when, frame.input, frame)


def _allowed_ms(turn: Turn, frame: Frame, retry: Retry) -> int | None:
    """How long the attempt that begins now may take, by its own limit and by what is left of the limit of all."""
    limits = []
    if retry.attempt_duration is not None:
        limits.append(int(evaluate(turn, retry.attempt_duration, frame.input, frame)))
    if retry.duration is not None:
        spent_ms = turn.now - frame.data.first_at
        limits.append(int(evaluate(turn, retry.duration, frame.input, frame)) - spent_ms)
    return min(limits) if limits else None


def _value(turn: Turn, program: Program | None, frame: Frame) -> int:
    return 0 if program is None else int(evaluate(turn, program, frame.input, frame))


def _backoff_ms(delay_ms: int, backoff: str, attempt: int) -> int:
    """The pause before retry number `attempt` (ruling R27): constant d, linear n·d, exponential 2^(n-1)·d."""
    if backoff == "linear":
        delay_ms *= attempt
    elif backoff == "exponential":
        delay_ms *= 2 ** min(attempt - 1, 40)
    else:
        return delay_ms
    return min(delay_ms, BACKOFF_MS_MAX)


def draw(seed: str, name: int | str, attempt: int) -> float:
    """A number in [0, 1) that is the same on every replay of this run."""
    digest = blake2b(f"{seed}:{name}:{attempt}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
