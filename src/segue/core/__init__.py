"""Core: what a run does next, as a pure function of its state and one event.

`plan.py` is the compiled definition, `state.py` what a run remembers, `advance.py` the entrance, `turn.py` the loop,
`machines/` one small machine per kind of task with its law in its docstring, `snapshot.py` a state as bytes,
`migration.py` its way to another plan, `copying.py` to another run. No clock, no I/O, no randomness: time, ids and
the seed of random draws arrive inside events. Open `plan.py` first, then `turn.py`.
"""

from segue.core import adjustable, bounds, snapshot
from segue.core.advance import advance, consumes, refuses, replay
from segue.core.copying import copied
from segue.core.machines.human import Tasking, tasking_of
from segue.core.migration import Examination, Move, Obstacle, examine
from segue.core.plan import Adjustable, Plan
from segue.core.state import Moment, RunState

__all__ = [
    "Adjustable",
    "Examination",
    "Moment",
    "Move",
    "Obstacle",
    "Plan",
    "RunState",
    "Tasking",
    "adjustable",
    "advance",
    "bounds",
    "consumes",
    "copied",
    "examine",
    "refuses",
    "replay",
    "snapshot",
    "tasking_of",
]
