"""A file that cannot be read for an hour: it is asked now and then, and nobody waits long once it can be."""

from __future__ import annotations

from typing import Any

import pytest

from segue.core import Plan
from segue.hosts.contracts import HostSettings
from segue.hosts.simulated import SimulatedHost
from segue.hosts.simulated import building as b

from .test_host import Book, Helper, NoSecrets

HOUR_MS = 3_600_000
LOOK_MS = 60_000
SETTINGS = HostSettings(
    drain_seconds=0.0, park_after_ms=0, park_timer_min_ms=0, park_sweep_ms=1_000, clock_look_ms=LOOK_MS
)
ASKED_MAX = 300
"""Whoever waits for a run and whoever looks ahead each ask every half minute, after a few times at first."""


def child_of(plan: Plan) -> Any:
    named = {"namespace": plan.namespace, "name": plan.name, "version": plan.version, "input": None}
    return b.act("child", b.program(lambda data, v: named), handler="workflow")


class Named(Book):
    """Plans by name too."""

    def resolve(self, namespace: str, name: str, version: str) -> str:
        return next(digest for digest, plan in self.plans.items() if plan.name == name)


@pytest.mark.parametrize("what", ["timer", "child"])
async def test_an_outage_of_an_hour_is_asked_about_seldom_and_ends_at_once(what: str) -> None:
    """Thousands of questions would fill the log; and what came due meanwhile must happen soon after."""
    below = b.plan(b.wait("short", 20_000), name="below")
    plan = b.plan(b.wait("short", 20_000) if what == "timer" else child_of(below), b.put("p", "on"), name="above")
    asked = []
    async with SimulatedHost.open(
        handlers={"act": Helper()}, plans=Named(plan, below), secrets=NoSecrets(), settings=SETTINGS, by_hand=True
    ) as host:
        run_id = await host.start(plan.digest)
        await host.advance(10_000)
        assert not host.live_runs(), "it is parked"
        host.storage.read_fails = lambda: asked.append(1) is None
        await host.advance(HOUR_MS)
        assert 100 < len(asked) < ASKED_MAX
        host.storage.read_fails = lambda: False
        await host.advance(61_000)
        assert (await host.run(run_id)).status == "completed"
