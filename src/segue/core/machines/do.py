"""`do`. Law: children run one after the other; the output is that of the child that ran last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segue.core.machines.base import Machine
from segue.core.plan import DoNode
from segue.core.state import Frame

if TYPE_CHECKING:
    from segue.core.turn import Turn


class Do(Machine):
    """A list, in order. The workflow itself is one."""

    def start(self, turn: Turn, frame: Frame) -> None:
        node = frame.node
        assert isinstance(node, DoNode)
        if node.tasks:
            turn.begin(node.tasks[0], frame, frame.input)
        else:
            turn.complete(frame, frame.input)  # ruling R4
