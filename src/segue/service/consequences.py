"""What rules about consequences for people find in a document before it is published.

The rules are those of the second door, asked with what the document says: once as if no person had decided, once as
if one had. Where that makes the difference, a person must decide on every way to the act.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from segue.core import Plan
from segue.core.plan import ActNode, Consequence
from segue.dsl import Document
from segue.dsl.flows import undecided
from segue.governance import Guard, Resource, Verdict
from segue.service.declared import facts_of
from segue.service.definitions import finding_of
from segue.service.errors import Finding
from segue.types import Identity

_REMEDY = (
    "Let a `human-task` without `review` and `deadline` stand before it, that no `if` skips; what a model decides"
    " alone is no decision of a person."
)


def undecided_acts(guard: Guard, document: Document, plan: Plan) -> Iterator[Finding]:
    """Acts that rules allow only after a person's decision, and that can be reached without one."""
    if not plan.consequences:
        return
    ways = undecided(plan)
    seen: set[str] = set()
    for index, consequence in plan.consequences.items():
        node = plan.nodes[index]
        assert isinstance(node, ActNode)
        if node.pointer not in ways or node.pointer in seen:
            continue
        seen.add(node.pointer)
        without = _ask(guard, plan, node, consequence, decided=False)
        after = _ask(guard, plan, node, consequence, decided=True)
        # What needs an approval waits for a person by that, at every act.
        denied = set(without.rules) if without.verdict == "deny" else set()
        refusing = denied - (set(after.rules) if after.verdict == "deny" else set())
        said = "goes against a person" if consequence.adverse else "has consequences for a person"
        way = " → ".join(ways[node.pointer])
        for rule in sorted(refusing):
            message = f"{node.name!r} {said}, and on this way no person decides: {way} (rule {rule!r})"
            found = document.finding("undecided-consequence", "error", message, _REMEDY, pointer=node.pointer)
            yield finding_of(found)
        for rule in sorted(set(without.warnings) - set(after.warnings)):
            message = f"{node.name!r} {said}, and on this way no person decides: {way} (rule {rule!r} warns)"
            found = document.finding("undecided-consequence", "warning", message, _REMEDY, pointer=node.pointer)
            yield finding_of(found)


def _ask(guard: Guard, plan: Plan, node: ActNode, consequence: Consequence, *, decided: bool) -> Verdict:
    name = f"{plan.namespace}/{plan.name}"
    facts = facts_of(plan.definition)
    context: dict[str, Any] = {
        "risk": facts["risk"],
        "use_case": facts["use_case"],
        "declares": facts["classes"],
        "affects": consequence.affects,
        "adverse": consequence.adverse,
        "decided_by_person": decided,
        "decider": "somebody" if decided else "",
    }
    attributes = {"namespace": plan.namespace, "name": plan.name, "handler": node.handler, "task": node.pointer}
    process = Identity(kind="workflow", id=name, workspace=guard.workspace)
    return guard.verdict(process, "act.perform", Resource("Act", f"{name}{node.pointer}", attributes), context)
