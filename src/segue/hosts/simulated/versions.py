"""Other versions of plans, for runs that move to them: the same tasks, and one more."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from segue.core.plan import DoNode, ExtendedNode, Node, Plan, SwitchNode, TryNode
from segue.hosts.simulated import building as b

FRESH = "fresh"
"""What names of tasks begin with that the first version does not have."""


def newer(rng: Random, plan: Plan, number: int) -> Plan:
    """The next version: a copy, with a task in front of the others, or with one behind them.

    Args:
        plan: A plan of its own, whose tasks become those of the new version.
    """
    version, digest = f"{number}.0.0", f"{plan.digest}-{number}"
    draw = rng.random()
    if draw < 0.2 or not isinstance(plan.root, DoNode):
        return replace(plan, version=version, digest=digest)
    extra = b.act(f"{FRESH}{number}", number, handler=rng.choice(("read", "keyed", "lookup")))
    extra.pointer = f"/do/{number}/{extra.name}"
    return replace(with_task(plan, extra, front=draw < 0.6), version=version, digest=digest)


def with_task(plan: Plan, extra: Node, *, front: bool) -> Plan:
    """The same tasks with one more at the beginning or the end of the outermost list; jumps lead where they led."""
    root = plan.root
    assert isinstance(root, DoNode)
    tasks = (extra, *root.tasks) if front else (*root.tasks, extra)
    if root.tasks:
        extra.section = root.tasks[0].section
    longer = DoNode(name=root.name, pointer=root.pointer, section="root", tasks=tasks)
    for field in ("input_check", "input_from", "output_as", "output_check", "timeout"):
        setattr(longer, field, getattr(root, field))
    if front:
        for task in root.tasks:
            _shift(task)
    return Plan(plan.namespace, plan.name, plan.version, plan.digest, longer, plan.definition)


def _shift(task: Node) -> None:
    """Its jumps lead one further."""
    node = task
    while isinstance(node, ExtendedNode):
        node = node.inner
    if node.then >= 0:
        node.then += 1
    if isinstance(node, TryNode) and node.catch_then is not None and node.catch_then >= 0:
        node.catch_then += 1
    if isinstance(node, SwitchNode):
        node.cases = tuple(replace(case, then=case.then + (case.then >= 0)) for case in node.cases)
