"""What rules about labels find in a document before it is published: flows that no run of it could carry out.

The labels of an act follow from the document alone, so the second door's answer does too. It is asked with them and
without: where they make the difference, the flow is forbidden, whatever a run's data will be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from segue.core import Plan
from segue.core.plan import ActNode, EmitNode
from segue.dsl import Document
from segue.dsl.flows import WORKFLOW, Labels, Leaving, listens_to, started_by, type_of
from segue.governance import Guard, Resource, Verdict
from segue.governance.door import LABELS
from segue.service.declared import facts_of
from segue.service.definitions import finding_of
from segue.service.errors import Finding
from segue.service.joined import Foreseen
from segue.types import Identity

_ACTION: Final = "act.perform"
_TARGET: Final = frozenset({"resource.connection", "resource.operation", "resource.id"})
_ARGUMENTS_MAX: Final = 5
_REMEDY: Final = (
    "Leave the argument out, send a part of it that the class does not hold for, or let whoever answers for the rule"
    " change it; `segue workflows leaving` shows where everything goes."
)


def reads_labels(guard: Guard) -> bool:
    """There are rules that what is foreseen of acts matters to."""
    return not guard.policies.reads(_ACTION).isdisjoint(LABELS)


def forbidden_flows(guard: Guard, document: Document, foreseen: Foreseen) -> Iterator[Finding]:
    """Acts that a rule refuses for what can reach them, each with the arguments, where they come from, and the rule.

    Those of other workflows count too, where they would get something from this one that they did not get before.
    An act whose connection or operation is computed is left to the door where rules look at those.
    """
    reads, plan = guard.policies.reads(_ACTION), foreseen.plan
    if not reads_labels(guard):
        return
    for act in foreseen.acts.values():
        for rule, severity in _judged(guard, reads, plan, act, Labels()):
            message = f"what {_name_of(plan, act)!r} sends out {_words(act, rule, severity)}"
            yield finding_of(document.finding("forbidden-flow", severity, message, _REMEDY, pointer=act.pointer))
    for other in foreseen.reached:
        for rule, severity in _judged(guard, reads, other.plan, other.act, other.before.labels):
            name = f"{other.plan.namespace}/{other.plan.name}:{other.plan.version}"
            message = (
                f"what this gives {name} would reach {other.act.pointer!r} there, and what that sends out then"
                f" {_words(other.act, rule, severity)}"
            )
            at = _giving(plan, other.plan)
            yield finding_of(document.finding("forbidden-flow", severity, message, _REMEDY, pointer=at))


def unknown_flows(document: Document, foreseen: Foreseen) -> Iterator[Finding]:
    """Labelled data that goes where it is not known yet what becomes of it."""
    acts = foreseen.acts
    for pointer, target, held in foreseen.unknown:
        labels = acts[pointer].labels if pointer in acts else Labels()
        if not labels and not held:
            continue
        if held is not None:
            message = (
                f"which workflow this starts ({target}) is computed: what it is given{_said(labels)} counts as"
                " reaching every workflow that it may be, and what comes back as made of all that these hold"
            )
            remedy = "Write the namespace and the name in plain, or let a `switch` choose between tasks that do."
        else:
            message = (
                f"{target} is not published here, so nothing is known yet of what becomes of what it is given"
                f"{_said(labels)}"
            )
            remedy = "Publish it first; rules about labels are asked for it then."
        yield finding_of(document.finding("unknown-flow", "warning", message, remedy, pointer=pointer))


def _judged(
    guard: Guard, reads: frozenset[str], plan: Plan, act: Leaving, before: Labels
) -> Iterator[tuple[str, Literal["error", "warning"]]]:
    """Rules that refuse an act, or warn of it, for its labels and not for those that it had before."""
    nodes = {node.pointer: index for index, node in enumerate(plan.nodes) if isinstance(node, ActNode)}
    if act.pointer not in nodes or not (act.labels or act.labels.sources):
        return
    if act.handler == "connector" and None in (act.connection, act.operation) and reads & _TARGET:
        return
    laden = _ask(guard, plan, nodes[act.pointer], act, act.labels)
    plain = _ask(guard, plan, nodes[act.pointer], act, before)
    # An act that somebody must approve is not refused: it waits for them when it is about to happen.
    if laden.verdict == "deny":
        stood = set(plain.rules) if plain.verdict == "deny" else set()
        if refusing := set(laden.rules) - stood:
            yield from ((rule, "error") for rule in sorted(refusing))
        elif plain.verdict != "deny":
            yield "", "error"
    yield from ((rule, "warning") for rule in sorted(set(laden.warnings) - set(plain.warnings)))


def _name_of(plan: Plan, act: Leaving) -> str:
    return next(node.name for node in plan.nodes if node.pointer == act.pointer and isinstance(node, ActNode))


def _giving(plan: Plan, other: Plan) -> str:
    """The first task that gives another workflow something: a finding needs a place."""
    for node in plan.nodes:
        if isinstance(node, EmitNode) and listens_to(other, type_of(node)):
            return node.pointer
        starts = started_by(node) if isinstance(node, ActNode) and node.handler == WORKFLOW else None
        if starts is not None and starts.may_be(other.namespace, other.name):
            return node.pointer
    return "/do"


def _words(act: Leaving, rule: str, severity: str) -> str:
    ways = [
        f"`{'/'.join(path) or '.'}` from {origin}{_said(labels)}"
        for path, origins in act.arguments.items()
        for origin, labels in origins.items()
    ]
    ways = ways or [f"what comes from {', '.join(sorted(act.labels.sources))}"]
    more = f" and {len(ways) - _ARGUMENTS_MAX} more" if len(ways) > _ARGUMENTS_MAX else ""
    judged = "is warned of" if severity == "warning" else "is refused"
    by = f"by rule {rule!r}" if rule else "because no rule permits it"
    return f"{judged} {by}: {'; '.join(ways[:_ARGUMENTS_MAX])}{more}"


def _said(labels: Labels) -> str:
    words = [*sorted(labels.classes), *(["untrusted"] if labels.untrusted else [])]
    return f" ({', '.join(words)})" if words else ""


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
