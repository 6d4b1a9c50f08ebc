"""Acts with consequences for a person that can be reached without a person's decision.

Stricter than asking somebody: a human task counts only where a person must decide it whenever it is reached. Not
where a review may leave it out, where a deadline decides in silence, or where an agent may. So `call: decision`, in
which a model decides what it is sure of, does not count.
"""

from __future__ import annotations

from typing import Any

from segue.core.plan import HumanNode, Plan
from segue.dsl.compiler.ways import Way, Ways


def undecided(plan: Plan) -> dict[str, Way]:
    """For each act that a document marks as having consequences: a way to it on which no person decides.

    By the pointer of the act; acts that a person decides about on every way are not in it.

    Source: decision 0120.
    """
    ways = Ways(lambda node: node.index in plan.consequences, _must_be_decided_by_a_person)
    found: dict[str, Way] = {}
    for node, way in ways.walk(plan.root.tasks).items():
        # A function of the document stands once and may be called from several places.
        found.setdefault(node.pointer, way)
    return found


def _must_be_decided_by_a_person(node: HumanNode) -> bool:
    definition: Any = node.definition
    said = definition.get("with") if isinstance(definition, dict) else None
    if not isinstance(said, dict) or "review" in said or "deadline" in said:
        return False
    assign = said.get("assign")
    return not (isinstance(assign, dict) and "agent" in assign)
