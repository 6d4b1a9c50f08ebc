"""`fork`. Law: every branch starts from the same data; none outlives the fork; the join is in declaration order.

With `compete` the first branch to complete wins and the others are cancelled; branches that fail do not win, and
the last failure counts when all fail. One that is skipped does not win either, unless all are: then the fork's input
is its output. With `needs` a branch starts when those it names are done, and gets an
object of their outputs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from segue.core.machines.base import Machine
from segue.core.plan import Flow, ForkNode, Node
from segue.core.state import Frame, Thread
from segue.types import Failure

if TYPE_CHECKING:
    from segue.core.turn import Turn


class Join(msgspec.Struct):
    """What a fork knows of its branches. `waits[i]`: how many branches i still waits for.

    `last`: the last failure of a competition.
    """

    outputs: list[Any]
    threads: list[Thread]
    waits: list[int]
    left: int
    last: Failure | None = None


class Fork(Machine):
    """`frame.data` is a `Join`."""

    def start(self, turn: Turn, frame: Frame) -> None:
        node = frame.node
        assert isinstance(node, ForkNode)
        count = len(node.branches)
        if count == 0:
            turn.complete(frame, [])
            return
        context = frame.thread.context
        waits = [len(needs) for needs in node.needs] if node.needs else [0] * count
        # The first to complete ends a competition, so a branch with needs never comes to start in one.
        left = waits.count(0) if node.compete else count
        frame.data = Join([None] * count, [Thread(context) for _ in range(count)], waits, left)
        for place in reversed(range(count)):
            if waits[place] == 0:
                turn.begin(node.branches[place], frame, frame.input, frame.data.threads[place])

    def child_done(self, turn: Turn, frame: Frame, child: Node, output: Any, then: int) -> None:
        node, join = frame.node, frame.data
        assert isinstance(node, ForkNode)
        assert isinstance(join, Join)
        if node.compete:
            self.unwind(turn, frame, child)
            turn.complete(frame, output)
            return
        join.outputs[child.position] = output
        join.left -= 1
        if join.left == 0:
            self._join(turn, frame, join)
        elif node.needs:
            self._release(turn, frame, node, join, child.position)

    def unwind(self, turn: Turn, frame: Frame, child: Node) -> None:
        """The other branches are cancelled, and only what this one exported counts."""
        turn.close_below(frame)
        frame.thread.context = frame.data.threads[child.position].context

    def child_failed(self, turn: Turn, frame: Frame, child: Node, reason: Failure) -> None:
        node, join = frame.node, frame.data
        assert isinstance(node, ForkNode)
        join.left -= 1
        join.last = reason
        if not node.compete or join.left == 0:
            turn.fault(frame, reason)

    def child_skipped(self, turn: Turn, frame: Frame, child: Node, raw: Any) -> None:
        node, join = frame.node, frame.data
        assert isinstance(node, ForkNode)
        if not node.compete:
            self.child_done(turn, frame, child, raw, Flow.CONTINUE)
            return
        join.left -= 1
        if join.left == 0 and join.last is not None:
            turn.fault(frame, join.last)
        elif join.left == 0:
            turn.complete(frame, raw)

    def would_handle(self, turn: Turn, frame: Frame, child: Node, reason: Failure) -> bool:
        node = frame.node
        assert isinstance(node, ForkNode)
        return node.compete and frame.data.left > 1

    def _release(self, turn: Turn, frame: Frame, node: ForkNode, join: Join, done: int) -> None:
        """Start the branches for which `done` was the last thing missing."""
        ready = []
        for place, needs in enumerate(node.needs):
            if done in needs:
                join.waits[place] -= 1
                if join.waits[place] == 0:
                    ready.append(place)
        for place in reversed(ready):
            needed = {node.branches[i].name: join.outputs[i] for i in node.needs[place]}
            turn.require_fit_together(needed.values(), "the object of what the branch needs")
            thread = join.threads[place]
            turn.begin(node.branches[place], frame, needed, thread)

    def _join(self, turn: Turn, frame: Frame, join: Join) -> None:
        """Apply the branches' exports in declaration order, each a whole replacement (ruling R18)."""
        turn.require_fit_together(join.outputs, "the array of the branches' outputs")
        before = frame.thread.context
        for thread in join.threads:
            if thread.context is not before:
                frame.thread.context = thread.context
        turn.complete(frame, join.outputs)
