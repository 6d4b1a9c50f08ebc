"""Acts that have consequences for somebody, and the decision of a person that they follow from.

A document marks tasks whose acts concern a person, and those that go against them. Such an act carries who decided
before it: the newest human task of this run that a person decided, on the way to the act. What a decision in one
iteration of a loop says counts in that iteration only. A deadline that passed, an agent's voice, an operator who
skipped the task: none of them is a person's decision.

Law: an act carries a decision only if one was made in this run, by a person, before the act was given, and not in
another iteration of a loop around it.

Source: decision 0120.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from segue.core.state import Frame

if TYPE_CHECKING:
    from segue.core.turn import Turn

_LOOPS: Final = frozenset({"for", "listen"})


def note(turn: Turn, frame: Frame, outcome: str, votes: list[dict[str, Any]]) -> None:
    """A human task was decided. Kept only where some act of the plan asks for it."""
    if not turn.plan.consequences:
        return
    # Agents and accounts are named with their kind, people by their id alone.
    people = [vote["by"] for vote in votes if vote["outcome"] == outcome and ":" not in vote["by"]]
    if not people:
        return
    loop = next((around.id for around in _loops(frame)), 0)
    where = {"at": frame.node.pointer, "loop": loop, "iteration": list(frame.iteration)}
    others = [one for one in turn.state.decided if {key: one[key] for key in where} != where]
    turn.state.decided = [*others, {**where, "by": ", ".join(dict.fromkeys(people)), "outcome": outcome}]


def carried(turn: Turn, frame: Frame) -> dict[str, Any]:
    """What the act of this task carries besides; nothing where it has no such consequences."""
    found = turn.plan.consequences.get(frame.node.index)
    if found is None:
        return {}
    said = {"affects": found.affects, "adverse": found.adverse}
    decision = next(_decisions(turn, frame), None)
    if decision is None:
        return said
    return {**said, "decided_by": decision["by"], "decided_at": decision["at"], "decided": decision["outcome"]}


def _decisions(turn: Turn, frame: Frame) -> Iterator[dict[str, Any]]:
    """Decisions on the way to this task, newest first."""
    around = {loop.id for loop in _loops(frame)} | {0}
    for one in reversed(turn.state.decided):
        if one["loop"] in around and tuple(one["iteration"]) == frame.iteration[: len(one["iteration"])]:
            yield one


def _loops(frame: Frame) -> Iterator[Frame]:
    """The loops around a task, nearest first."""
    around = frame.parent
    while around is not None:
        if around.node.kind in _LOOPS:
            yield around
        around = around.parent
