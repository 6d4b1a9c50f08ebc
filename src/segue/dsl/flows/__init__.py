"""Flows: where the values that leave a run come from, found by reading the plan once, before anything runs.

An expression says which paths it reads, so a value can be followed from the input, an event or the result of an
act, through templates and tasks, to the arguments of the acts that send it out. Labels (data class, untrusted)
stand on schemas and travel along; nothing is computed for them while a run goes on.
Open `traced.py` first, then `tasks.py`; decision 0090 says what this promises and what not.
"""

from segue.dsl.flows.covers import CLEAR, NO_COVERS, Cover, Covers, TaskCovers, both, merged
from segue.dsl.flows.decided import undecided
from segue.dsl.flows.labels import NO_LABELS, Labels, declared_labels
from segue.dsl.flows.leaving import Flow, Leaving, OperationSchema, followed, leaving, target_of
from segue.dsl.flows.traced import ITEM, Origin, Traced

__all__ = [
    "CLEAR",
    "ITEM",
    "NO_COVERS",
    "NO_LABELS",
    "Cover",
    "Covers",
    "Flow",
    "Labels",
    "Leaving",
    "OperationSchema",
    "Origin",
    "TaskCovers",
    "Traced",
    "both",
    "declared_labels",
    "followed",
    "leaving",
    "merged",
    "target_of",
    "undecided",
]
