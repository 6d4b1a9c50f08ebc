"""Flows: where the values that leave a run come from, found by reading the plan once, before anything runs.

An expression says which paths it reads, so a value can be followed from the input, an event or the result of an
act, through templates and tasks, to the arguments of the acts that send it out. Labels (data class, untrusted)
stand on schemas and travel along; nothing is computed for them while a run goes on.
Open `traced.py` first, then `tasks.py`; `between.py` follows several definitions that start each other or tell each
other events. Decisions 0090 and 0133 say what this promises and what not.
"""

from segue.dsl.flows.between import Between, Hop, gives, listens_to, targets_of
from segue.dsl.flows.covers import CLEAR, NO_COVERS, Cover, Covers, TaskCovers, both, merged
from segue.dsl.flows.decided import undecided
from segue.dsl.flows.labels import NO_LABELS, Labels, declared_labels, detected_places
from segue.dsl.flows.leaving import Flow, Leaving, followed, leaving
from segue.dsl.flows.remembered import Walks
from segue.dsl.flows.sources import WORKFLOW, OperationSchema, Target, input_schema_of, started_by, target_of, type_of
from segue.dsl.flows.traced import ITEM, Origin, Traced

__all__ = [
    "CLEAR",
    "ITEM",
    "NO_COVERS",
    "NO_LABELS",
    "WORKFLOW",
    "Between",
    "Cover",
    "Covers",
    "Flow",
    "Hop",
    "Labels",
    "Leaving",
    "OperationSchema",
    "Origin",
    "Target",
    "TaskCovers",
    "Traced",
    "Walks",
    "both",
    "declared_labels",
    "detected_places",
    "followed",
    "gives",
    "input_schema_of",
    "leaving",
    "listens_to",
    "merged",
    "started_by",
    "target_of",
    "targets_of",
    "type_of",
    "undecided",
]
