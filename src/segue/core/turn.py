"""A turn: everything that one event sets in motion, until the run waits again or ends.

Theory. A run is a tree of frames, one for each task that has started and not ended. Three things happen to a
task: it begins, it completes, it faults; and two reach its parent: a child is done, a child failed. None of these
calls the next one. Each puts it on the agenda, a stack, so that ten thousand iterations need no deeper Python
stack than one, and a fork's first branch runs until it waits before the second begins.

A frame that ends is marked closed. What the agenda still has to begin below it, or below one that is held, is void:
that is how a competing branch that never started is cancelled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from segue.core.bounds import (
    DEPTH_MAX,
    JUMPS_PER_EVENT_MAX,
    added_up,
    jumps_for_ever,
    require_fit_together,
    require_fits,
)
from segue.core.environment import EMPTY, evaluate
from segue.core.machines import MACHINES, approval, undo
from segue.core.plan import Flow, Node, Plan
from segue.core.state import Closing, Deferred, Frame, Moment, RunState, Thread
from segue.types import (
    AwaitMessages,
    Cancel,
    Command,
    EndRun,
    Failure,
    Offer,
    Perform,
    RunStatus,
    StartTimer,
    TaskFailure,
    fail,
    failure,
)

TASKS_PER_EVENT_MAX = 250_000
"""A document that starts more tasks than this without waiting for anything is taken to loop for ever."""

# Plain numbers: looking a member up in its enumeration costs as much as the rest of a comparison ten times over.
_CONTINUE: Final = int(Flow.CONTINUE)
_END: Final = int(Flow.END)
_UNWIND: Final = _END - 1
"""`end`, on its way up: unlike the directive of a task itself, nothing on the way may ignore it."""

_LEAVES = frozenset({"set", "switch", "raise", "emit", "wait", "act", "human", "undo"})
_IMMEDIATE = frozenset({"set", "switch", "raise", "emit"})

Step = tuple[Callable[..., None], Any, Any, Any, Any]


class Turn:
    """One event being applied. Machines act on the run through its methods only."""

    __slots__ = (
        "agenda",
        "commands",
        "current",
        "fuel",
        "jumps",
        "now",
        "output",
        "plan",
        "raw_output",
        "state",
        "trace",
        "willed",
    )

    plan: Plan
    state: RunState

    def __init__(self, plan: Plan, state: RunState, now: int, trace: list[Moment] | None) -> None:
        self.plan = plan
        self.state = state
        self.now = now
        self.trace = trace
        self.commands: list[Command] = []
        self.agenda: list[Step] = []
        self.current: Frame | None = None
        self.fuel = TASKS_PER_EVENT_MAX
        self.jumps = 0
        # A failure that its author or a person wants to go its way; it is held nowhere on it.
        self.willed: Failure | None = None
        self.output: Any = None
        self.raw_output: Any = None

    def run(self) -> None:
        """Work the agenda off."""
        agenda = self.agenda
        while agenda:
            act, a, b, c, d = agenda.pop()
            try:
                act(a, b, c, d)
            except TaskFailure as error:
                assert self.current is not None, "a failure outside any task"
                self.fault(self.current, error.failure)

    # -- what machines ask for -----------------------------------------------------------------

    def begin(self, node: Node, parent: Frame, raw: Any, thread: Thread | None = None) -> None:
        """Let this task start next, below `parent`."""
        self.agenda.append((self._begin, node, parent, raw, thread or parent.thread))

    def resume(self) -> None:
        """Let a paused run go on, with what it did not start."""
        state = self.state
        state.paused = False
        if state.withheld:
            approval.release(self)
        waiting, state.deferred = state.deferred, []
        for task in reversed(waiting):
            self.begin(task.node, task.parent, task.raw, task.thread)

    def start_root(self) -> None:
        """Start the workflow itself."""
        self.agenda.append((self._enter_root, self._root(), None, None, None))

    def _root(self) -> Frame:
        return Frame(self._next_id(), self.plan.root, None, Thread(None), self.state.input, self.now)

    def complete(self, frame: Frame, raw_output: Any, then: int | None = None) -> None:
        """End a task with this raw output; `then` overrides the task's own directive.

        Raises:
            TaskFailure: A transform or a schema check failed; the task has not ended.
        """
        self.current = frame
        node = frame.node
        output = raw_output
        if node.output_as is not None:
            self.raw_output = raw_output
            output = evaluate(self, node.output_as, raw_output, frame)
            self.require_fits(output, "the output")
        if node.output_check is not None:
            _require(node.output_check(output), "output")
        if node.export_as is not None or node.export_check is not None:
            self._export(frame, raw_output, output)
        self.raw_output = self.output = None
        if frame.parent is None:
            if self.state.undos and undo.finish_last(self, frame, output):
                self._stop_work(frame)
                return
            self._end("completed", frame, output=output)
            return
        self._close_one(frame)
        if self.trace is not None:
            self.observe("completed", frame, output)
        self.pass_on(frame, output, node.then if then is None else then)

    def fault(self, frame: Frame, reason: Failure, *, alone: bool = False) -> None:
        """End a task, and everything below it, with a failure that its parent may handle.

        Where the run holds failures and nobody above would catch this one, the task stays instead, and waits for
        a person. A `raise` means what it says: its failure is never held, here or further up. An undo that fails
        waits for a person whatever the run does with its other failures.

        Args:
            alone: Nothing is below it, so nothing needs to be looked for.
        """
        reason = reason.at(frame.node.pointer)
        self.raw_output = self.output = None
        if not alone:
            self.close_below(frame)
        if self._is_to_be_held(frame, reason):
            self._hold(frame, reason)
            return
        if frame.parent is None:
            self._stop_work(frame)
            if not undo.begin_last(self, frame, Closing("faulted", reason)):
                self._end("faulted", frame, reason=reason)
            return
        self._close_one(frame)
        if self.trace is not None:
            self.observe("faulted", frame, reason)
        self.agenda.append((self._child_failed, frame.parent, frame.node, reason, None))

    def _is_to_be_held(self, frame: Frame, reason: Failure) -> bool:
        if frame.node.kind == "undo":
            return reason is not self.willed and not self.state.unattended
        if not self.state.holds:
            return False
        if frame.node.kind == "raise":
            self.willed = reason
        return reason is not self.willed and self._falls_through(frame, reason)

    def require_fits(self, value: Any, what: str) -> None:
        """Refuse a value that is too large for this run to keep.

        Raises:
            TaskFailure: It is.
        """
        state = self.state
        if state.value_max:
            require_fits(value, state.value_max, what, depth_max=DEPTH_MAX if state.bounds_all else 0)

    def require_made_fits(self, value: Any, what: str) -> None:
        """The same for what runs of an earlier release did not measure.

        Raises:
            TaskFailure: It is too large.
        """
        if self.state.bounds_all:
            require_fits(value, self.state.value_max, what)

    def require_fit_together(self, values: Iterable[Any], what: str) -> None:
        """The same for a container of values that the run has already.

        Raises:
            TaskFailure: Together they are too large.
        """
        if self.state.bounds_all:
            require_fit_together(values, self.state.value_max, what)

    def added_up(self, so_far: int, value: Any, what: str) -> int:
        """The size of what a task collects, with one more value; 0 in runs that do not measure it.

        Raises:
            TaskFailure: It is too large by now.
        """
        return added_up(so_far, value, self.state.value_max, what) if self.state.bounds_all else 0

    def close_below(self, frame: Frame) -> None:
        """Cancel every task below this one, and every command and timer they have open."""
        if frame.node.kind in _LEAVES:
            return
        doomed = [other for other in self.state.frames.values() if _is_below(other, frame)]
        for other in reversed(doomed):
            self._close_one(other)
            if self.trace is not None:
                self.observe("cancelled", other)
        if self.state.deferred:
            self.state.deferred = [d for d in self.state.deferred if not d.parent.closed and d.parent is not frame]

    def pass_on(self, frame: Frame, output: Any, then: int) -> None:
        """Tell the parent of a task that has ended that it is done, with this output."""
        node, parent = frame.node, frame.parent
        assert parent is not None
        if node.keep:
            if parent.steps is None:
                parent.steps = {}
            parent.steps[node.name] = output
        self.agenda.append((self._child_done, parent, node, output, then))

    def undone(self, scope: Frame) -> None:
        """All that was to be undone within this task is: a `try` goes on, the run ends."""
        closing = self.state.closing
        if scope.parent is not None:
            MACHINES[scope.node.kind].undone(self, scope)
        else:
            assert closing is not None
            self._end(closing.status, scope, output=closing.output, reason=closing.failure)

    def start_timer(self, frame: Frame, purpose: str, wait_ms: int) -> int:
        """Ask for a timer that answers to this frame's machine; returns its id."""
        timer = self._next_id()
        self.state.timers[timer] = (frame, purpose)
        self.give(StartTimer(timer, self.now + max(0, wait_ms)))
        return timer

    def stop_timer(self, timer: int) -> None:
        """Take back a timer if it has not fired."""
        if timer and self.state.timers.pop(timer, None) is not None:
            self.withdraw(timer)

    def give(self, command: Perform | StartTimer | AwaitMessages | Offer) -> None:
        """Give the host a command that stays open until it is answered or withdrawn."""
        self.state.open[command.id] = command
        self.commands.append(command)

    def withdraw(self, command_id: int) -> None:
        """Cancel an open command."""
        del self.state.open[command_id]
        self.commands.append(Cancel(command_id))

    def observe(self, what: str, frame: Frame, data: Any = None) -> None:
        """Add a moment to the trace. Call only where `trace` is not None."""
        assert self.trace is not None
        node = frame.node
        if node.kind == "extended":
            return
        kind, pointer = ("workflow", "") if frame.parent is None else (node.kind, node.pointer)
        # A loop counts for its children; the loop itself belongs to the iteration around it.
        iteration = () if frame.parent is None else frame.parent.iteration
        place = (pointer, node.name, kind, frame.id, iteration, frame.attempt)
        self.trace.append(Moment(what, self.now, *place, data, frame.raw))

    # -- steps of the agenda -------------------------------------------------------------------

    def _begin(self, node: Node, parent: Frame, raw: Any, thread: Thread) -> None:
        state = self.state
        if parent.closed or parent.id in state.held:
            return
        if state.paused:
            state.deferred.append(Deferred(node, parent, raw, thread))
            return
        number = state.next_id
        state.next_id = number + 1
        frame = Frame(number, node, parent, thread, raw, self.now)
        frame.vars = parent.vars
        frame.attempt = parent.attempt
        frame.iteration = parent.iteration
        self.current = frame
        condition = node.condition
        if condition is not None:
            # `is_true` without its calls: asked for every task.
            held = evaluate(self, condition, raw, frame) if condition.reads else condition.run(raw, EMPTY, self.now)
            if held is None or held is False:
                self._skip(node, parent, frame)
                return
        self.fuel -= 1
        if self.fuel < 0:
            raise fail(
                "runtime",
                f"the workflow started {TASKS_PER_EVENT_MAX} tasks without waiting for anything;"
                " a backward jump probably never ends: give it a condition or a wait",
            )
        self._enter(frame)

    def _skip(self, node: Node, parent: Frame, frame: Frame) -> None:
        """Its condition does not hold."""
        frame.closed = True
        if self.trace is not None:
            self.observe("skipped", frame, frame.raw)
        if node.section == "branch":
            self.agenda.append((self._child_skipped, parent, node, frame.raw, None))
        else:
            self.agenda.append((self._child_done, parent, node, frame.raw, _CONTINUE))

    def _enter_root(self, frame: Frame, *_: Any) -> None:
        self._enter(frame)

    def _enter(self, frame: Frame) -> None:
        """Check and transform the input, then let the machine begin."""
        self.current = frame
        node = frame.node
        raw = frame.raw
        if node.input_check is not None:
            _require(node.input_check(raw), "input")
        frame.input = raw
        if node.input_from is not None:
            made = evaluate(self, node.input_from, raw, frame)
            self.require_made_fits(made, "the input")
            frame.input = made
        if frame.parent is None:
            frame.thread.context = frame.input  # ruling R11
        if self.trace is not None:
            self.observe("started", frame, frame.input)
        kind = node.kind
        if kind not in _IMMEDIATE:
            self.state.frames[frame.id] = frame
            if node.timeout is not None:
                wait_ms = evaluate(self, node.timeout, frame.input, frame)
                frame.timer = self.start_timer(frame, "timeout", wait_ms)
        MACHINES[kind].start(self, frame)

    def _child_done(self, parent: Frame, child: Node, output: Any, then: int) -> None:
        assert not parent.closed, "the end of a child is always the next thing to happen"
        self.current = parent
        section = child.section
        if section == "undo":
            undo.went(self, parent, well=True)
        elif then == _UNWIND or (then == _END and section != "body"):
            MACHINES[parent.node.kind].unwind(self, parent, child)
            self.complete(parent, output, _UNWIND)
        elif section == "branch" or section == "body":
            MACHINES[parent.node.kind].child_done(self, parent, child, output, then)
        else:
            place = child.position + 1 if then == _CONTINUE else then
            if 0 <= place < len(child.siblings):
                if place <= child.position:
                    parent.laps += 1
                    self.jumps += 1
                    if self.jumps > JUMPS_PER_EVENT_MAX and self.state.value_max:
                        raise jumps_for_ever(child.pointer)
                # Not by way of the agenda: it would be taken off again at once.
                self._begin(child.siblings[place], parent, output, parent.thread)
            else:
                MACHINES[parent.node.kind].list_done(self, parent, section, output, then)

    def _child_skipped(self, parent: Frame, child: Node, raw: Any, _: Any) -> None:
        assert not parent.closed, "the end of a child is always the next thing to happen"
        self.current = parent
        MACHINES[parent.node.kind].child_skipped(self, parent, child, raw)

    def _child_failed(self, parent: Frame, child: Node, reason: Failure, _: Any) -> None:
        assert not parent.closed, "the end of a child is always the next thing to happen"
        self.current = parent
        if child.section == "undo":
            undo.went(self, parent, well=False)
        else:
            MACHINES[parent.node.kind].child_failed(self, parent, child, reason)

    # -- helpers -------------------------------------------------------------------------------

    def _next_id(self) -> int:
        number = self.state.next_id
        self.state.next_id = number + 1
        return number

    def _export(self, frame: Frame, raw_output: Any, output: Any) -> None:
        node = frame.node
        context = frame.thread.context
        if node.export_as is not None:
            self.raw_output = raw_output
            self.output = output
            context = evaluate(self, node.export_as, output, frame)
            self.require_fits(context, "the exported context")
        if node.export_check is not None:
            _require(node.export_check(context), "context")
        frame.thread.context = context  # ruling R12: only after its check

    def _falls_through(self, frame: Frame, reason: Failure) -> bool:
        """Nobody above would catch this failure of the task."""
        child, above = frame, frame.parent
        if above is None:
            return False
        while above is not None:
            if MACHINES[above.node.kind].would_handle(self, above, child.node, reason):
                return False
            child, above = above, above.parent
        return True

    def _hold(self, frame: Frame, reason: Failure) -> None:
        self._stop_work(frame)
        self.state.frames[frame.id] = frame
        self.state.held[frame.id] = reason
        if self.trace is not None:
            self.observe("held", frame, reason)

    def end_one(self, frame: Frame) -> None:
        """Close a live task and everything below it, without telling its parent."""
        self.close_below(frame)
        self._close_one(frame)

    def _close_one(self, frame: Frame) -> None:
        frame.closed = True
        state, number = self.state, frame.id
        if state.frames.pop(number, None) is None:
            return
        if state.held:
            state.held.pop(number, None)
        if frame.timer or frame.clock or state.withheld or number in state.open:
            self._stop_work(frame)

    def _stop_work(self, frame: Frame) -> None:
        """Take back what the task itself has open."""
        if frame.timer:
            self.stop_timer(frame.timer)
            frame.timer = 0
        if frame.clock:
            self.stop_timer(frame.clock)
            frame.clock = 0
        if self.state.withheld:
            self.state.withheld.pop(frame.id, None)
        if frame.id in self.state.open and not _is_detached(self.state.open[frame.id]):
            self.withdraw(frame.id)

    def _end(self, status: RunStatus, root: Frame, *, output: Any = None, reason: Failure | None = None) -> None:
        self._close_one(root)
        if self.trace is not None:
            self.observe(status, root, output if reason is None else reason)
        state = self.state
        for number, command in list(state.open.items()):
            # What nobody waits for outlives a run that ended by itself, but not one that was cancelled.
            if status == "cancelled" or not _is_detached(command):
                self.withdraw(number)
        state.timers.clear()
        state.frames.clear()
        state.deferred.clear()
        state.held.clear()
        state.withheld.clear()
        state.approvals.clear()
        state.undos.clear()
        state.closing = None
        state.ended = status
        state.output = output
        state.failure = reason
        self.agenda.clear()
        self.commands.append(EndRun(status, output, reason))

    def cancel_all(self) -> None:
        """Cancel the run and everything in it. One that is being undone as a whole will end anyway."""
        state = self.state
        if state.closing is not None and state.closing.status != "completed":
            self.resume()
            return
        # A queued run has no tasks yet.
        root = next(iter(state.frames.values()), None) or self._root()
        self.close_below(root)
        self._stop_work(root)
        # Whoever cancels a paused run wants it gone, and what it did undone.
        state.paused = False
        if not undo.begin_last(self, root, Closing("cancelled")):
            self._end("cancelled", root)


def _is_below(frame: Frame, ancestor: Frame) -> bool:
    above = frame.parent
    while above is not None:
        if above is ancestor:
            return True
        above = above.parent
    return False


def _is_detached(command: Command) -> bool:
    return bool(getattr(command, "detached", False))


def _require(complaint: str | None, what: str) -> None:
    if complaint is not None:
        raise TaskFailure(failure("validation", f"the {what} does not fit its schema: {complaint}"))
