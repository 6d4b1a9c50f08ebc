"""Hosts: they feed the core with events, perform its commands through handlers, and keep history.

`contracts.py` says what a host asks of other rooms, `clock.py` holds the clocks, `embedded/` is the host for one
process and one data folder. No rule of the workflow language lives here: what a run does next only the core decides.
Open `contracts.py` first, then `embedded/engine.py`.
"""

from segue.hosts.clock import SystemClock, VirtualClock
from segue.hosts.contracts import (
    Beginning,
    Clock,
    FailurePolicy,
    HostHealth,
    HostSettings,
    InlineHandler,
    Outcome,
    PlanSource,
    PolicyOf,
    RunChange,
    RunOutcome,
    UnknownRun,
    ValuesOf,
)
from segue.hosts.embedded import Control, EmbeddedHost, Subscription
from segue.store import HostError

__all__ = [
    "Beginning",
    "Clock",
    "Control",
    "EmbeddedHost",
    "FailurePolicy",
    "HostError",
    "HostHealth",
    "HostSettings",
    "InlineHandler",
    "Outcome",
    "PlanSource",
    "PolicyOf",
    "RunChange",
    "RunOutcome",
    "Subscription",
    "SystemClock",
    "UnknownRun",
    "ValuesOf",
    "VirtualClock",
]
