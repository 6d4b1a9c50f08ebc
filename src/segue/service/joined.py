"""Published definitions as of one moment, followed together. Made on the event loop, asked in any thread."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec

from segue.core import Plan
from segue.dsl.flows import (
    Between,
    Flow,
    Labels,
    Leaving,
    OperationSchema,
    Target,
    Walks,
    gives,
    listens_to,
    targets_of,
)
from segue.service.definitions import Definitions
from segue.service.errors import ServiceError
from segue.store import Definition

_log = logging.getLogger("segue.service")

_MAY_GIVE: Final = re.compile(r"\bemit\b|(?<!\$)\bworkflow\b|\\(?:[xuU]|\r?\n)")
"""Documents without any of these words neither start others nor emit events; an escape may write any of them."""
_MAY_HEAR: Final = re.compile(r"\blisten\b|\bschedule\b|\\(?:[xuU]|\r?\n)")


@dataclass(frozen=True, slots=True)
class Reached:
    """What an act of another workflow could send out if a document were published.

    Attributes:
        before: What it can send out now.
    """

    plan: Plan
    act: Leaving
    before: Leaving


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What would follow if a plan were published.

    Attributes:
        acts: What each of its acts could send out, by pointer; empty where nothing was to be said of that.
        reached: Acts of others that would get more than now.
        unknown: Tasks that start workflows of which it is not known which they are, or which are not published: the
            pointer, the target, and the labels of all that these hold; None where nothing of it is published.
    """

    plan: Plan
    acts: dict[str, Leaving]
    reached: list[Reached]
    unknown: list[tuple[str, Target, Labels | None]]


@dataclass(slots=True)
class Joined:
    """The definitions of one moment.

    Args:
        all: Every version of everything. newest: Of each workflow.
        giving: Whether definitions give others anything, by digest; what is found out is put in.
    """

    definitions: Definitions
    schema: OperationSchema
    walks: Walks
    giving: dict[str, bool]
    all: list[Definition] = field(init=False)
    newest: list[Definition] = field(init=False)

    def __post_init__(self) -> None:
        self.all = list(self.definitions.all())
        found = (self.definitions.find(*name, "latest") for name in self.definitions.names())
        self.newest = [definition for definition in found if definition is not None]

    def together(self, *more: Plan) -> Between:
        """Everything that gives others something, with these plans as if they were published."""
        plans = [plan for d in self.all if (plan := self._giver(d)) is not None]
        givers = [plan for plan in more if gives(plan)]
        return Between([*self._with_started((*plans, *givers), more)], self.schema, self.walks)

    def foresee(self, plan: Plan, *, acts: bool) -> Foreseen:
        """What would follow if this plan were published.

        Args:
            acts: Somebody wants to know what its acts could send out.
        """
        unknown = list(self._unknown(plan))
        if not acts and not unknown:
            return Foreseen(plan, {}, [], [])
        then = self.together(plan)
        found = then.flow(plan).leaving
        if not acts or not gives(plan):
            return Foreseen(plan, found, [], unknown)
        now = self.together()
        reached = [
            Reached(other, act, before)
            for other in self._hearers(then, plan)
            for act, before in _grown(now.flow(other).leaving, then.flow(other).leaving)
        ]
        return Foreseen(plan, found, reached, unknown)

    def follow(self, plan: Plan) -> tuple[Between, Flow]:
        """Everything with this plan as if it were published; all that may be asked of that is computed."""
        between = self.together(plan)
        return between, computed(between, plan)

    # -- helpers -----------------------------------------------------------------------------------

    def _unknown(self, plan: Plan) -> Iterator[tuple[str, Target, Labels | None]]:
        if all(target.namespace and target.name and self._found(target) for target in targets_of(plan)):
            return
        between = Between([*self._with_started((plan,))], self.schema, self.walks)
        for node, target, meant in between.starts(plan):
            if target.namespace is None or target.name is None:
                yield node.pointer, target, between.held(meant)
            elif not meant:
                yield node.pointer, target, None

    def _found(self, target: Target) -> bool:
        return any(target.may_be(d.namespace, d.name) for d in self.all)

    def _giver(self, definition: Definition) -> Plan | None:
        known = self.giving.get(definition.digest)
        if known is None and not self._says(definition, _MAY_GIVE):
            known = self.giving[definition.digest] = False
        if known is False:
            return None
        plan = self._plan(definition.digest)
        self.giving[definition.digest] = plan is not None and gives(plan)
        return plan if self.giving[definition.digest] else None

    def _says(self, definition: Definition, words: re.Pattern[str]) -> bool:
        """One of the words stands in the document, or in a function of another catalogue that it calls."""
        functions = self.definitions.pins(definition.digest).functions
        texts = (definition.source, *(msgspec.json.encode(one.body).decode() for one in functions.values()))
        return any(words.search(text) for text in texts)

    def _plan(self, digest: str) -> Plan | None:
        return plan_of(self.definitions, digest)

    def _with_started(self, plans: Iterable[Plan], more: Iterable[Plan] = ()) -> Iterator[Plan]:
        """These plans, and all that they may start, and so on; `more` of which are not published yet."""
        found: dict[str, Plan] = {}
        pending, others = list(plans), list(more)
        while pending:
            plan = pending.pop()
            if plan.digest in found:
                continue
            found[plan.digest] = plan
            for target in targets_of(plan):
                for definition in self.all:
                    if target.may_be(definition.namespace, definition.name) and definition.digest not in found:
                        started = self._plan(definition.digest)
                        pending.extend([] if started is None else [started])
                pending.extend(p for p in others if target.may_be(p.namespace, p.name) and p.digest not in found)
        yield from found.values()

    def _hearers(self, between: Between, plan: Plan) -> Iterator[Plan]:
        """The newest versions of everything else that may take something in."""
        for definition in self.newest:
            if definition.digest == plan.digest:
                continue
            if definition.digest in between.plans:
                yield between.plans[definition.digest]
            elif self._says(definition, _MAY_HEAR):
                other = self._plan(definition.digest)
                if other is not None and listens_to(other, None):
                    yield other


def computed(between: Between, plan: Plan) -> Flow:
    """Where the data of a plan goes, with what takes long to find out."""
    flow = between.flow(plan)
    _ = flow.covers
    return flow


def plan_of(definitions: Definitions, digest: str) -> Plan | None:
    """The plan of a definition; None where this release cannot compile it."""
    try:
        return definitions.plan(digest)
    except ServiceError:
        _log.warning("definition %s cannot be compiled here; labels of what it gave others are not known", digest)
        return None


def _grown(before: dict[str, Leaving], then: dict[str, Leaving]) -> Iterator[tuple[Leaving, Leaving]]:
    """Acts that can send out more than before."""
    for pointer, act in then.items():
        if act.labels | before[pointer].labels != before[pointer].labels:
            yield act, before[pointer]
