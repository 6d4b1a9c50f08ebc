"""What rules about labels find in a document before it is published: flows that no run of it could carry out.

The labels of an act follow from the document alone, so the second door's answer does too. It is asked with them and
without: where they make the difference, the flow is forbidden, whatever a run's data will be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from segue.core import Plan
from segue.core.plan import ActNode
from segue.dsl import Document
from segue.dsl.flows import Labels, Leaving
from segue.governance import Guard, Resource, Verdict
from segue.service.definitions import finding_of
from segue.service.errors import Finding
from segue.service.flows import Flows
from segue.service.publishing import facts_of
from segue.types import Identity

_ACTION: Final = "act.perform"
_LABELS: Final = frozenset({"context", "context.classes", "context.untrusted", "context.sources"})
_TARGET: Final = frozenset({"resource.connection", "resource.operation", "resource.id"})
_ARGUMENTS_MAX: Final = 5
_REMEDY: Final = (
    "Leave the argument out, send a part of it that the class does not hold for, or let whoever answers for the rule"
    " change it; `segue workflows leaving` shows where everything goes."
)


def forbidden_flows(guard: Guard, document: Document, plan: Plan, flows: Flows) -> Iterator[Finding]:
    """Acts that a rule refuses for what can reach them, each with the arguments, where they come from, and the rule.

    An act whose connection or operation is computed is left to the door where rules look at those.
    """
    reads = guard.policies.reads(_ACTION)
    if not reads & _LABELS:
        return
    nodes = {node.pointer: index for index, node in enumerate(plan.nodes) if isinstance(node, ActNode)}
    for pointer, act in flows.of_plan(plan).items():
        if pointer not in nodes or not (act.labels or act.labels.sources):
            continue
        if act.handler == "connector" and None in (act.connection, act.operation) and reads & _TARGET:
            continue
        node = plan.nodes[nodes[pointer]]
        laden = _ask(guard, plan, nodes[pointer], act, act.labels)
        plain = _ask(guard, plan, nodes[pointer], act, Labels())
        if not laden.allowed and (refusing := set(laden.rules) - (set() if plain.allowed else set(plain.rules))):
            for rule in sorted(refusing):
                yield _finding(document, act, node.name, rule, "error")
        elif not laden.allowed and plain.allowed:
            yield _finding(document, act, node.name, "", "error")
        for rule in sorted(set(laden.warnings) - set(plain.warnings)):
            yield _finding(document, act, node.name, rule, "warning")


def _finding(document: Document, act: Leaving, name: str, rule: str, severity: Any) -> Finding:
    ways = [
        f"`{'/'.join(path) or '.'}` from {origin}{_said(labels)}"
        for path, origins in act.arguments.items()
        for origin, labels in origins.items()
    ]
    ways = ways or [f"what comes from {', '.join(sorted(act.labels.sources))}"]
    more = f" and {len(ways) - _ARGUMENTS_MAX} more" if len(ways) > _ARGUMENTS_MAX else ""
    judged = "is warned of" if severity == "warning" else "is refused"
    by = f"by rule {rule!r}" if rule else "because no rule permits it"
    message = f"what {name!r} sends out {judged} {by}: {'; '.join(ways[:_ARGUMENTS_MAX])}{more}"
    return finding_of(document.finding("forbidden-flow", severity, message, _REMEDY, pointer=act.pointer))


def _said(labels: Labels) -> str:
    words = [*sorted(labels.classes), *(["untrusted"] if labels.untrusted else [])]
    return f" ({', '.join(words)})"


def _ask(guard: Guard, plan: Plan, index: int, act: Leaving, labels: Labels) -> Verdict:
    name, facts = f"{plan.namespace}/{plan.name}", facts_of(plan.definition)
    context: dict[str, Any] = {
        "risk": facts["risk"],
        "use_case": facts["use_case"],
        "declares": facts["classes"],
        "classes": sorted(labels.classes),
        "untrusted": labels.untrusted,
        "sources": sorted(labels.sources),
    }
    consequence = plan.consequences.get(index)
    if consequence is not None:
        # Whether a person decides before it is another question (`consequences.py`).
        context |= {"affects": consequence.affects, "adverse": consequence.adverse, "decided_by_person": True}
    attributes: Mapping[str, str] = {
        "namespace": plan.namespace,
        "name": plan.name,
        "handler": act.handler,
        "connection": act.connection or "" if act.handler == "connector" else "",
        "operation": act.operation or "",
        "task": act.pointer,
    }
    process = Identity(kind="workflow", id=name, workspace=guard.workspace)
    return guard.verdict(process, _ACTION, Resource("Act", f"{name}{act.pointer}", dict(attributes)), context)
