"""Fail at write n: every shipped workflow loses its disk at the first write, then at the second, until none is left.

From write n on nothing reaches the disk, then the process is dead; another one opens the same file. The run must end
as the one that was left in peace, and the systems outside must have seen each action exactly once. Time is virtual
and the file in memory (`SimulatedHost`); the systems are local stand-ins that answer as the practice company does.

Exit code: 0 without a finding, 1 with one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from segue.core import Plan, replay
from segue.dsl import Environment, PythonFunction, compile_plan, default_function, read_document
from segue.hosts import HostError
from segue.hosts.simulated import SimulatedHost
from segue.hosts.simulated.storage import Storage
from segue.types import NOT_DONE, DecisionMade, EffectContext, Offer, Perform, Recovery

ROOT: Final = Path(__file__).parents[2]
_RISK: Final = {"threshold": 0.5, "freshSince": "2026-01-01T00:00:00Z"}
_WRITES: Final = frozenset({"createTask", "raiseFinanceAlert", "startOutreach"})
_ANSWERS: Final[dict[str, Any]] = {
    "getAccount": {
        "accountId": "A-1",
        "displayName": "Ada Ltd",
        "email": "ada@example.com",
        "tenureMonths": 8,
        "contractType": "monthly",
        "renewalDate": "2026-03-01",
        "externalRefs": {"billingClientNo": "B-1", "usageCustomerRef": "U-1"},
    },
    "getClient": {
        "client_no": "B-1",
        "monthly_fee_cents": 9900,
        "billed_to_date_cents": 79200,
        "paperless": True,
        "payment_method": "card",
        "statement_as_of": "2026-01-04T00:00:00Z",
    },
    "getCustomer": {
        "as_of": "2026-01-04T00:00:00Z",
        "phone": True,
        "internet": "fiber",
        "options": dict.fromkeys(
            ("online_security", "online_backup", "device_protection", "streaming_tv", "streaming_movies"), False
        ),
    },
    "lookupRequester": {"email": "ada@example.com", "support_plan": "basic", "open_tickets": 4},
    "createTask": {"taskId": "T-1"},
    "raiseFinanceAlert": {"alert": "F-1"},
    "startOutreach": {"state": "started"},
    "listAccounts": [{"accountId": f"A-{number}"} for number in range(3)],
}


@dataclass(frozen=True)
class Shipped:
    """A workflow that ships: its documents (the first one is run), its input, and what it waits for.

    Attributes:
        event: The CloudEvent that comes.
        decision: The outcome, and what a person enters in the form of its human task.
    """

    paths: tuple[str, ...]
    input: dict[str, Any]
    event: dict[str, Any] | None = None
    decision: tuple[str, dict[str, Any]] | None = None


_TEMPLATES: Final = "src/segue/catalog/templates/renewal-risk"
SHIPPED: Final = (
    Shipped((f"{_TEMPLATES}/renewal-risk.yaml",), {"accountId": "A-1", **_RISK}),
    Shipped(
        (f"{_TEMPLATES}/renewal-job.yaml", f"{_TEMPLATES}/renewal-risk.yaml"),
        {"renewalBefore": "2026-03-01", **_RISK},
    ),
    Shipped(
        (f"{_TEMPLATES}/renewal-offer.yaml",),
        {"accountId": "A-1", "risk": 0.8, "modelVersion": "3", "discountPercent": 20, "requestedBy": "rita"},
        decision=("edit", {"discountPercent": 10}),
    ),
    Shipped(("examples/tutorial/hello.yaml",), {"name": "Grace"}),
    Shipped(("examples/tutorial/score.yaml",), {"months": 3, "fee": 20}),
    Shipped(
        ("examples/tutorial/renewal.yaml",),
        {"accountId": "A-1"},
        {
            "specversion": "1.0",
            "id": "1",
            "source": "/tutorial",
            "type": "tutorial.offer.approved",
            "data": {"accountId": "A-1", "by": "eva"},
        },
    ),
)


class Outside:
    """The systems: they answer, and keep what was done under each effect key. They outlive every process."""

    def __init__(self) -> None:
        self.made: dict[str, str] = {}
        self.doubled: list[str] = []

    async def perform(self, command: Perform, context: EffectContext) -> Any:
        """Answer; an action is kept before the answer goes out."""
        operation = command.arguments.get("operation")
        if operation in _WRITES:
            if context.key in self.made:
                self.doubled.append(f"{operation} {context.key}")
            self.made[context.key] = json.dumps([operation, command.arguments.get("arguments")], sort_keys=True)
        if command.handler == "model":
            return {"value": 0.83, "reasons": []}
        return 0.83 if command.handler == "function" else _ANSWERS[operation]

    def recovery(self, command: Perform) -> Recovery:
        """Actions are looked up by their key."""
        return "verify" if command.arguments.get("operation") in _WRITES else "repeat"

    async def verify(self, command: Perform, context: EffectContext) -> Any:
        """What was done under the key."""
        return _ANSWERS[command.arguments["operation"]] if context.key in self.made else NOT_DONE


@dataclass
class Ending:
    """What came of one run and the runs it started, and how many writes the first process made."""

    runs: list[Any] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    writes: int = 0
    hit: bool = False


class _Plans:
    def __init__(self, plans: list[Plan]) -> None:
        self._plans = {plan.digest: plan for plan in plans}

    def plan(self, digest: str) -> Plan:
        return self._plans[digest]

    def resolve(self, namespace: str, name: str, version: str) -> str:
        return next(p.digest for p in self._plans.values() if (p.namespace, p.name) == (namespace, name))


class _NoSecrets:
    async def read(self, name: str) -> Any:
        raise LookupError(name)


def plans_of(shipped: Shipped) -> list[Plan]:
    """Its documents, compiled."""
    environment = Environment(
        functions={"churn-risk": PythonFunction("churn-risk")},
        resolve_function=lambda name, version, endpoint: default_function(name, version, endpoint),
    )
    return [compile_plan(read_document((ROOT / path).read_text("utf-8")), environment) for path in shipped.paths]


async def play(shipped: Shipped, plans: list[Plan], fail_at: int | None) -> Ending:
    """Run it to its end; with `fail_at`, the disk of the first process is gone from that write on."""
    outside, storage, ending = Outside(), Storage(1), Ending()
    lost = asyncio.Event()

    def fault(number: int) -> None:
        ending.writes = number
        if fail_at is not None and number >= fail_at:
            lost.set()
            raise sqlite3.OperationalError("disk I/O error")

    host = await _open(plans, outside, storage, fault)
    work = asyncio.ensure_future(_work(host, shipped, plans[0]))
    gone = asyncio.ensure_future(lost.wait())
    await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
    gone.cancel()
    ending.hit = lost.is_set()
    if ending.hit:
        await host.crash()
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        host = await _open(plans, outside, storage, lambda number: None)
        async with asyncio.timeout(30):
            await _work(host, shipped, plans[0])
    else:
        await work
    ending.runs = sorted(
        json.dumps([r.name, r.status, r.output, str(r.failure)]) for r in (await host.runs(limit=1000)).items
    )
    await host.close()
    ending.made, ending.doubled = sorted(outside.made.values()), outside.doubled
    return ending


async def _open(plans: list[Plan], outside: Outside, storage: Storage, fault: Any) -> SimulatedHost:
    handlers = dict.fromkeys(("function", "connector", "model"), outside)
    return await SimulatedHost.open(
        handlers=handlers, plans=_Plans(plans), secrets=_NoSecrets(), storage=storage, fault=fault
    )


async def _work(host: SimulatedHost, shipped: Shipped, plan: Plan) -> None:
    """Start it under an id of its own and send the event; repeating both is safe."""
    try:
        await host.start(plan.digest, shipped.input, run_id="run")
        if shipped.event is not None:
            await host.publish(shipped.event)
        # Not only the run itself: those that it started and does not wait for, too.
        while any(not record.is_closed for record in (await host.runs()).items):
            if shipped.decision is None:
                await asyncio.sleep(0.001)
            else:
                # Reading keeps virtual time where it is: no deadline passes before somebody has looked.
                await _decide(host, plan, *shipped.decision)
    except HostError:
        return  # the disk is gone; whoever opens it next goes on


async def _decide(host: SimulatedHost, plan: Plan, outcome: str, entered: dict[str, Any]) -> None:
    """Somebody decides about the human task that stands open on disk, if there is one.

    After a failure they do not know whether their decision counted, so they look again: of two the first counts.
    """
    state = replay(plan, await host.history("run"))
    for number in [number for number, command in state.open.items() if isinstance(command, Offer)]:
        await host.attend("run", DecisionMade(0, number, outcome, entered, by="ann"))


async def campaign(shipped: Shipped, *, writes_max: int | None = None) -> tuple[int, list[str]]:
    """Fail at each write in turn; returns how many were failed, and the findings."""
    plans, name = plans_of(shipped), shipped.paths[0]
    peace = await play(shipped, plans, None)
    findings: list[str] = []
    number = 0
    while writes_max is None or number < writes_max:
        number += 1
        try:
            found = await play(shipped, plans, number)
        except TimeoutError:
            findings.append(f"{name}: after a failure at write {number} a run never ended")
            continue
        if found.runs != peace.runs:
            findings.append(f"{name}: after a failure at write {number} it came to {found.runs}, not {peace.runs}")
        if found.made != peace.made or found.doubled:
            findings.append(
                f"{name}: after a failure at write {number} the systems saw {found.made}, {found.doubled}"
            )
        if not found.hit:
            return number - 1, findings
    return number, findings


def main() -> int:
    """Run the campaign over every workflow that ships."""
    parser = argparse.ArgumentParser(prog="make fail-at-write", description=__doc__)
    parser.add_argument("--writes", type=int, default=None, help="fail at the first so many writes only")
    options = parser.parse_args()
    failed = False
    for shipped in SHIPPED:
        writes, findings = asyncio.run(campaign(shipped, writes_max=options.writes))
        print(f"{shipped.paths[0]}: failed at each of {writes} writes, {len(findings)} findings")
        for finding in findings:
            print(f"  {finding}")
        failed = failed or bool(findings)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
