"""Machines: one small machine per kind of task, each with its law in its docstring.

A machine answers four questions about its frames: what starts, what follows a finished list or child, what
follows a failed child, what a timer means. It acts through `Turn` and remembers in the frame, never in itself.
Open `do.py` first (the smallest), then `attempt.py` (the richest).
"""

from segue.core.machines.act import Act
from segue.core.machines.attempt import Try
from segue.core.machines.base import Machine
from segue.core.machines.do import Do
from segue.core.machines.extended import Extended
from segue.core.machines.fork import Fork
from segue.core.machines.function import Function
from segue.core.machines.human import Human
from segue.core.machines.immediate import EmitEvent, Raise, Set, Switch
from segue.core.machines.listen import Listen
from segue.core.machines.loop import For
from segue.core.machines.undo import UndoAct
from segue.core.machines.wait import Wait

MACHINES: dict[str, Machine] = {
    "set": Set(),
    "switch": Switch(),
    "raise": Raise(),
    "emit": EmitEvent(),
    "wait": Wait(),
    "do": Do(),
    "for": For(),
    "fork": Fork(),
    "try": Try(),
    "listen": Listen(),
    "act": Act(),
    "human": Human(),
    "undo": UndoAct(),
    "function": Function(),
    "extended": Extended(),
}

__all__ = ["MACHINES", "Machine"]
