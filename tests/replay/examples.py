"""The documents that ship, as stories: the templates of the catalogue and the tutorial."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from tests.replay.stage import Actor, Stage, Story

from segue.types import DecisionMade, EffectContext, Perform, TaskFailure, failure

ROOT: Final = Path(__file__).parents[2]
EXAMPLES: list[Story] = []
_Play = Callable[[Stage], Awaitable[Any]]

_ACCOUNT: Final = {
    "accountId": "A-1",
    "displayName": "Ada Ltd",
    "email": "ada@example.com",
    "tenureMonths": 8,
    "contractType": "monthly",
    "renewalDate": "2026-03-01",
    "externalRefs": {"billingClientNo": "B-1", "usageCustomerRef": "U-1"},
}
_BILLING: Final = {
    "client_no": "B-1",
    "monthly_fee_cents": 9900,
    "billed_to_date_cents": 79200,
    "paperless": True,
    "payment_method": "card",
    "statement_as_of": "2026-01-04T00:00:00Z",
}
_USAGE: Final = {
    "as_of": "2026-01-04T00:00:00Z",
    "phone": True,
    "internet": "fiber",
    "options": dict.fromkeys(
        ("online_security", "online_backup", "device_protection", "streaming_tv", "streaming_movies"), False
    ),
}
_TEMPLATES: Final = ROOT / "src/segue/catalog/templates/renewal-risk"


def _systems(arguments: Any) -> Any:
    answers = {
        "getAccount": _ACCOUNT,
        "getClient": _BILLING,
        "getCustomer": _USAGE,
        "lookupRequester": {"email": "ada@example.com", "support_plan": "basic", "open_tickets": 4},
        "createTask": {"taskId": "T-1"},
        "raiseFinanceAlert": {"alert": "F-1"},
        "startOutreach": {"state": "started"},
        "listAccounts": [{"accountId": f"A-{n}"} for n in range(3)],
    }
    return answers.get(arguments.get("operation"), {"value": 0.83, "reasons": []})


class _Systems(Actor):
    """Answers by operation; the first three requests of a run are refused once."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage.world, {}, {})
        self._refusals = 3

    async def perform(self, command: Perform, context: EffectContext) -> Any:
        if command.handler == "function":
            return 0.83
        if self._refusals and command.handler == "connector":
            self._refusals -= 1
            raise TaskFailure(failure("communication", "busy", status=503))
        return _systems(command.arguments)


async def _connect(stage: Stage) -> None:
    """Let the four systems answer."""
    stage.actor = _Systems(stage)
    await stage.crash()


def _example(name: str, *paths: Path) -> Callable[[_Play], _Play]:
    def keep(play: _Play) -> _Play:
        documents = [path.read_text(encoding="utf-8") for path in paths]
        EXAMPLES.append(Story(name, play.__doc__ or "", documents, play, functions=("churn-risk",)))
        return play

    return keep


@_example("renewal-risk", _TEMPLATES / "renewal-risk.yaml")
async def _renewal_risk(stage: Stage) -> None:
    """The template: four systems, a score, three acts; and one with a stale record."""
    await _connect(stage)
    given = {"accountId": "A-1", "threshold": 0.5, "freshSince": "2026-01-01T00:00:00Z"}
    await stage.start(given)
    await stage.start({**given, "freshSince": "2026-02-01T00:00:00Z"}, name="stale")
    await stage.start({**given, "threshold": 0.9}, name="safe")
    await stage.pass_by(5_000)


@_example("renewal-job", _TEMPLATES / "renewal-job.yaml", _TEMPLATES / "renewal-risk.yaml")
async def _renewal_job(stage: Stage) -> None:
    """The template that starts a run for each customer."""
    await _connect(stage)
    await stage.start({"renewalBefore": "2026-03-01", "threshold": 0.5, "freshSince": "2026-01-01T00:00:00Z"})
    await stage.pass_by(5_000)


@_example("renewal-offer", _TEMPLATES / "renewal-offer.yaml")
async def _renewal_offer(stage: Stage) -> None:
    """The template that asks people: one offer is changed and approved, one is refused, one waits."""
    await _connect(stage)
    given = {"accountId": "A-1", "risk": 0.8, "modelVersion": "3", "discountPercent": 20, "requestedBy": "rita"}
    for name in ("main", "refused", "waiting"):
        await stage.start(given, name=name)
    await stage.pass_by(5_000)
    task = await stage.live("decide")
    await stage.attend(DecisionMade(0, task, "edit", {"discountPercent": 10}, by="ann"))
    await stage.attend(DecisionMade(0, await stage.live("decide", "refused"), "reject", by="ann"), "refused")
    await stage.pass_by(5_000)


@_example("tutorial-hello", ROOT / "examples/tutorial/hello.yaml")
async def _hello(stage: Stage) -> None:
    """The first document of the tutorial."""
    await stage.start({"name": "Grace"})
    await stage.pass_by(2_000)


@_example("tutorial-score", ROOT / "examples/tutorial/score.yaml")
async def _score(stage: Stage) -> None:
    """The tutorial's Python function."""
    await _connect(stage)
    await stage.start({"months": 3, "fee": 20})
    await stage.pass_by(1_000)


@_example("tutorial-renewal", ROOT / "examples/tutorial/renewal.yaml")
async def _renewal(stage: Stage) -> None:
    """The tutorial's process: it waits for an approval over a crash."""
    await _connect(stage)
    await stage.start({"accountId": "A-1"})
    await stage.pass_by(3_000)
    await stage.crash()
    await stage.tell("tutorial.offer.approved", {"accountId": "A-2", "by": "bob"})
    await stage.tell("tutorial.offer.approved", {"accountId": "A-1", "by": "eva"})
    await stage.pass_by(10_000)
