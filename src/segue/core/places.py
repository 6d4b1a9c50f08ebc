"""Where in the loops around it an act was done, so that what is over can be told from what is to come.

Theory. An act is called by its task, the iterations around it and the backward jumps of each list around it
(`machines/act.py`). Put in the order in which the loops stand in the document, outermost first, these numbers only
grow while a run goes on: each begins anew only when one further out has grown. Two things take them back: a `try`
that starts its list again, and a person who does. So of each task one place is enough to say which of its acts may
be forgotten, and that an act is asked for which was forgotten (decision 0141).
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from segue.core.machines.act import base_of, node_of, split
from segue.core.plan import Plan
from segue.core.state import RunState


class Place(NamedTuple):
    """`task`: what an act's name begins with, and the tasks around it that count. `at`: their numbers; it sorts."""

    task: str
    at: str


def place_of(plan: Plan, state: RunState, name: str) -> Place | None:
    """The place of an act; None where the name is not one of this plan."""
    node = node_of(plan, state, name)
    found = _REST.fullmatch(split(name)[1])
    if node is None or found is None:
        return None
    iterations = [int(number) for number in _NUMBER.findall(found[1])]
    laps = {base: int(number) for base, number in _LAPS.findall(found[2])}
    around, numbers = [], []
    for other in plan.around(node):
        if other.kind not in _COUNTING:
            continue
        base = base_of(state, other)
        around.append(base)
        if other.kind in _ITERATING:
            if not iterations:
                return None
            numbers.append(iterations.pop(0))
        numbers.append(laps.pop(base, 0))
    if iterations or laps:
        return None
    numbers.append(int(found[3] or 0))
    return Place(f"{split(name)[0]}/{'.'.join(around)}", "".join(map(_sortable, numbers)))


def _sortable(number: int) -> str:
    digits = str(number)
    return chr(_LENGTHS + len(digits)) + digits


_ITERATING: Final = frozenset({"for", "listen"})
_COUNTING: Final = frozenset({"do", "try", "extended"}) | _ITERATING
_REST: Final = re.compile(r"((?:\[\d+\])*)((?:~[^\[~^]+\.\d+)*)(?:\^(\d+))?")
_NUMBER: Final = re.compile(r"\d+")
_LAPS: Final = re.compile(r"~([^\[~^]+)\.(\d+)")
_LENGTHS: Final = ord("a") - 1
"""Before its digits, a letter that says how many they are: so texts sort as the numbers do."""
