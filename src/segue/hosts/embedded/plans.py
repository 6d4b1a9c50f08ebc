"""Plans by digest, those that the host makes itself included."""

from __future__ import annotations

from typing import Final

from segue.core import Plan
from segue.core.plan import DoNode, ListenNode
from segue.hosts.contracts import PlanSource

TRIGGER: Final = "on:"
"""Before a definition's digest: the plan that waits for the events which start that definition."""


class Plans:
    """Looks plans up, and builds the ones that wait for a schedule's events."""

    def __init__(self, source: PlanSource) -> None:
        self._source = source
        self._triggers: dict[str, Plan] = {}

    def plan(self, digest: str) -> Plan:
        """The plan with this digest.

        Raises:
            LookupError: There is none.
        """
        if not digest.startswith(TRIGGER):
            found = self._source.plan(digest)
            found.others = self.plan  # a run's history may have begun under another version
            return found
        known = self._triggers.get(digest)
        if known is None:
            known = self._triggers[digest] = _trigger(self._source.plan(digest.removeprefix(TRIGGER)), digest)
        return known

    def resolve(self, namespace: str, name: str, version: str) -> str:
        """The digest of a definition; see `PlanSource.resolve`."""
        return self._source.resolve(namespace, name, version)


def _trigger(plan: Plan, digest: str) -> Plan:
    """A workflow of one task: wait until the schedule's strategy is satisfied, and end with the events."""
    assert plan.schedule is not None
    assert plan.schedule.on is not None
    listen = ListenNode(name="trigger", pointer="/schedule/on", to=plan.schedule.on, read=plan.schedule.read)
    root = DoNode(name="schedule", pointer="/schedule", section="root", tasks=(listen,))
    return Plan(plan.namespace, plan.name, plan.version, digest, root)
