"""Walks that are remembered: a document is followed once, however often what it is followed with is put together."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final, NamedTuple

from segue.core.plan import ActNode, Plan
from segue.dsl.flows.places import Places
from segue.dsl.flows.sources import WORKFLOW, Sources
from segue.dsl.flows.tasks import Walk
from segue.dsl.flows.traced import INPUT_SOURCE

_KEPT_MAX: Final = 512


class _Kept(NamedTuple):
    own: dict[str, Places]
    outputs: tuple[Any, ...]
    walk: Walk


class Walks:
    """The newest walk of each plan, by its digest. Threads may share it: at worst both walk the same plan."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def of(self, plan: Plan, sources: Sources) -> Walk:
        """A walk of the plan; the known one where all that it reads of its sources is as it was.

        That is where labels stand, besides those of the input and the output of the run, and what the outputs of
        started workflows are made of.
        """
        own = {name: places for name, places in sources.own.items() if name not in (INPUT_SOURCE, "output")}
        outputs = _outputs(plan, sources)
        known = self._kept.get(plan.digest)
        if known is not None and _same(known.outputs, outputs) and known.own == own:
            return known.walk
        walk = Walk(plan, sources.returned, sources.own).run()
        walk.let_go()
        self._kept.pop(plan.digest, None)
        self._kept[plan.digest] = _Kept(own, outputs, walk)
        while len(self._kept) > _KEPT_MAX:
            self._kept.pop(next(iter(self._kept)), None)
        return walk


def _outputs(plan: Plan, sources: Sources) -> tuple[Any, ...]:
    nodes = [node for node in plan.nodes if isinstance(node, ActNode) and node.handler == WORKFLOW]
    found: list[Any] = []
    for node in nodes:
        outputs = sources.arriving.answer(node).outputs
        found += [None] if outputs is None else [*outputs, len(outputs)]
    return tuple(found)


def _same(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """The same objects: comparing what outputs are made of may cost as much as following them."""
    if len(one) != len(other):
        return False
    return all(a is b or (type(a) is int and a == b) for a, b in zip(one, other, strict=True))
