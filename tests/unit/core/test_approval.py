"""Approvals of acts: withheld, they go out once for each approval, as they were; the requester approves nothing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from segue.core import advance, refuses, snapshot, tasking_of
from segue.core.snapshot import restore, take
from segue.types import (
    ApprovalWanted,
    AttemptFailed,
    DecisionMade,
    Offer,
    Perform,
    RunStarted,
    SecretText,
    TaskAssigned,
    TaskRestarted,
    UpdateOffer,
)

from .plans import Run, act, attempt, constant, loop, plan, put, retry, undo, word_of

HOUR = 3_600_000
RULES = {"two-eyes": "forbid (…);"}


class Asked(Run):
    """A run that rita started."""

    def feed(self, event: Any) -> Run:
        if isinstance(event, RunStarted):
            event = msgspec.structs.replace(event, cause={"kind": "api", "by": "person:rita"})
        return super().feed(event)

    def want(self, which: str | int, digest: str = "d", **more: Any) -> Run:
        wanted = ApprovalWanted(self.now, self.id_of(which), "boss", RULES, "1-a", "rule 'two-eyes' wants it", digest)
        return self.feed(msgspec.structs.replace(wanted, **more))

    @property
    def offers(self) -> list[Offer]:
        return [c for c in self.state.open.values() if isinstance(c, Offer)]

    def says(self, outcome: str, by: str = "ann", **more: Any) -> Run:
        return self.feed(DecisionMade(self.now, self.offers[0].id, outcome, by=by, **more))


def waiting(*tasks: Any, **root: Any) -> Asked:
    run = Asked(plan(*(tasks or (act("pay", {"amount": 700}),)), **root))
    run.want("pay")
    return run


def test_an_act_that_rules_withhold_waits_on_one_offer_and_goes_out_as_it_was() -> None:
    """An approval may take three weeks; what then happens is what was approved, and who did it goes with it."""
    run = waiting()
    assert run.state.status == "waiting"
    (offer,) = run.offers
    assert offer.audience == {"roles": ["boss"]}
    assert offer.request["requester"] == "rita"
    assert offer.request["context"]["act"]["arguments"] == {"amount": 700}
    assert offer.request["context"]["rules"] == RULES
    run.now += 21 * 24 * HOUR

    run.says("approve", comment="fine")

    (sent,) = run.performs
    assert (sent.id, sent.arguments, sent.effect) == (offer.id, {"amount": 700}, offer.effect)
    (given,) = sent.approvals
    assert (given.by, given.digest, given.rules, given.at) == ("ann", "d", RULES, run.now)
    assert [c.change for c in run.commands if isinstance(c, UpdateOffer)] == ["decided"]
    assert run.ok("pay", 1).output == 1


def test_what_is_refused_fails_as_an_act_that_may_not_be_done() -> None:
    """The document can catch it like any refusal, with the rule and the reason."""
    reason = waiting().says("refuse", comment="too much").failure
    assert word_of(reason) == "authorization"
    assert "'two-eyes'" in str(reason.detail)
    assert "ann" in str(reason.detail)
    assert "too much" in str(reason.detail)


def test_a_refusal_needs_its_reason() -> None:
    """Whoever started it wants to know why."""
    run = waiting()
    assert "needs a comment" in str(refuses(run.state, DecisionMade(run.now, run.offers[0].id, "refuse", by="ann")))


@pytest.mark.parametrize("who", ["rita", "olaf"])
def test_whoever_started_the_run_or_took_hold_of_it_approves_nothing_in_it(who: str) -> None:
    """Whoever restarts a task chooses what it sends; approving that would be deciding alone."""
    run = Asked(plan(act("pay")), {"amount": 1})
    run.feed(TaskRestarted(run.now, run.id_of("pay"), input={"amount": 900}, by="person:olaf"))
    run.want("pay")
    event = DecisionMade(run.now, run.offers[0].id, "approve", by=who)
    assert "never decides" in str(refuses(run.state, event))
    run.feed(event)
    assert not run.performs
    assert run.says("approve").performs


def test_the_first_decision_counts_and_a_second_changes_nothing() -> None:
    """Two who press at once must not send it twice."""
    run = waiting()
    late = DecisionMade(run.now, run.offers[0].id, "refuse", by="bob", comment="no")
    run.says("approve")
    assert "closed" in str(refuses(run.state, late))
    assert run.feed(late).acting == ["pay"]


def test_a_claim_binds_as_for_human_tasks() -> None:
    """Who works on it decides it, or hands it on."""
    run = waiting()
    number = run.offers[0].id
    run.feed(TaskAssigned(run.now, number, "claim", "bob", by="bob"))
    assert "bob has claimed it" in str(refuses(run.state, DecisionMade(run.now, number, "approve", by="ann")))
    assert run.says("approve", "bob").acting == ["pay"]


def test_a_paused_run_sends_what_was_approved_when_it_goes_on() -> None:
    """Nothing new begins while an operator has stopped it."""
    run = waiting()
    run.pause()
    run.says("approve")
    assert not run.performs
    assert run.state.status == "suspended"
    assert run.resume().acting == ["pay"]


def test_a_time_out_and_a_cancellation_withdraw_it() -> None:
    """What nobody waits for any more must not be before people."""
    late = waiting(act("pay", timeout=HOUR))
    number = late.offers[0].id
    late.fire()
    assert word_of(late.failure) == "timeout"
    assert number in late.cancelled
    paused = waiting()
    paused.pause()
    paused.says("approve")
    assert paused.cancel().state.ended == "cancelled"
    assert not any(c for c in paused.latest if isinstance(c, Perform))


def test_a_retry_of_the_same_act_carries_the_approval_and_success_spends_it() -> None:
    """Being asked five times because a server was busy teaches people to click; one approval is one success."""
    run = Asked(plan(loop("each", constant([1]), attempt("t", act("pay"), retry=retry(count=3, delay=1000)))))
    run.want("pay").says("approve")
    run.fails("pay").fire()
    (again,) = run.performs
    assert [given.by for given in again.approvals] == ["ann"]
    run.ok("pay")
    assert run.state.approvals == []


def test_another_iteration_is_another_act() -> None:
    """Ten refunds in a loop are ten decisions."""
    run = Asked(plan(loop("each", constant([1, 2]), act("pay"))))
    run.want("pay").says("approve").ok("pay")
    assert run.performs[0].approvals == ()


def test_an_undo_can_wait_for_approval_too() -> None:
    """Taking back is an act on the world like others."""
    run = Asked(plan(act("pay", undo=undo()), put("x", 1), act("bad")))
    run.ok("pay", {"id": 1}).fails("bad")
    run.want("undo pay")
    assert not run.state.ended
    run.says("approve")
    assert run.acting == ["undo pay"]
    assert run.ok("undo pay").state.ended == "faulted"


def test_a_fork_asks_anew() -> None:
    """What was approved was an act of the run that it was copied from."""
    run = waiting()
    run.feed(TaskRestarted(run.now, 99, apart=True))
    (sent,) = run.performs
    assert sent.approvals == ()
    assert not run.offers


def test_what_it_waits_for_survives_a_snapshot() -> None:
    """Secrets go in as references and are shown as such."""
    run = waiting(act("pay", {"token": SecretText.of("crm", "token"), "n": 1}))
    shown = run.offers[0].request["context"]["act"]["arguments"]
    assert shown == {"token": "[secret crm.token]", "n": 1}
    state = restore(run.plan, take(run.plan, run.state))
    number = run.offers[0].id
    assert tasking_of(state, number) == tasking_of(run.state, number)
    state, commands = advance(run.plan, state, DecisionMade(run.now, number, "approve", by="ann"))
    (sent,) = [c for c in commands if isinstance(c, Perform)]
    assert sent.arguments["token"] == SecretText.of("crm", "token")
    state = restore(run.plan, take(run.plan, state))
    assert state.open[number] == sent
    assert state.approvals == list(sent.approvals)
    assert snapshot.take(run.plan, state) == snapshot.take(run.plan, restore(run.plan, take(run.plan, state)))


def test_an_approval_for_what_is_not_open_is_nothing() -> None:
    """A detached act has no task that could wait; an answered one is over."""
    run = Asked(plan(act("pay", wait=False), act("then")))
    run.want("pay")
    assert not run.offers
    run.ok("then")
    run = waiting()
    number = run.offers[0].id
    run.feed(AttemptFailed(run.now, number, None))  # type: ignore[arg-type]
    assert run.offers


CLOCKS = {
    "reminders_ms": [HOUR, 2 * HOUR],
    "ladder": [{"after_ms": 3 * HOUR, "to": {"roles": ["director"]}}],
    "deadline": {"after_ms": 4 * HOUR, "outcome": "refuse"},
}


def clocked(outcome: str = "refuse", *tasks: Any) -> Asked:
    run = Asked(plan(*(tasks or (act("pay", {"amount": 700}),))))
    deadline = {**CLOCKS["deadline"], "outcome": outcome}  # type: ignore[dict-item]
    return run.want("pay", clocks={**CLOCKS, "deadline": deadline})


def changes(run: Run) -> list[str]:
    return [c.change for c in run.commands if isinstance(c, UpdateOffer)]


def test_the_clock_reminds_asks_others_and_at_last_refuses() -> None:
    """An act that nobody decides about must not wait for ever, and never goes out by silence."""
    run = clocked()
    for _ in range(4):
        run.fire()
    assert changes(run) == ["reminded", "reminded", "escalated", "expired"]
    assert not run.performs
    assert word_of(run.failure) == "authorization"
    assert "nobody decided in time" in str(run.failure.detail)
    assert not run.state.timers


def test_a_deadline_can_be_a_time_out() -> None:
    """Documents that catch time-outs and let refusals through tell the two apart."""
    run = clocked("timeout")
    for _ in range(4):
        run.fire()
    assert word_of(run.failure) == "timeout"


def test_a_rung_asks_another_role_besides_and_frees_the_act_from_who_sat_on_it() -> None:
    """The claim of somebody who does nothing must not hold everybody up."""
    run = clocked()
    number = run.offers[0].id
    run.feed(TaskAssigned(run.now, number, "claim", "bob", by="bob"))
    for _ in range(3):
        run.fire()
    held = tasking_of(run.state, number)
    assert held is not None
    assert (held.level, held.owner, held.audience) == (1, "", {"roles": ["boss", "director"]})
    assert run.says("approve").performs


@pytest.mark.parametrize("outcome", ["approve", "refuse"])
def test_a_decision_stops_the_clock(outcome: str) -> None:
    """Nobody is reminded of what they have decided."""
    run = clocked()
    run.fire()
    run.says(outcome, comment="because")
    assert not run.state.timers
    if outcome == "approve":
        assert run.ok("pay", 1).output == 1


def test_the_clock_survives_being_stored() -> None:
    """A process that dies takes the next reminder with it otherwise."""
    run = clocked()
    run.fire()
    again = Asked(run.plan)
    again.state, again.now = restore(run.plan, take(run.plan, run.state)), run.now
    for _ in range(3):
        again.fire()
    assert word_of(again.failure) == "authorization"


def test_a_time_out_takes_the_clock_with_it() -> None:
    """What ends the task takes the question back, and its clock."""
    run = Asked(plan(act("pay", timeout=constant(HOUR // 2))))
    run.want("pay", clocks=CLOCKS)
    run.fire()
    assert word_of(run.failure) == "timeout"
    assert not run.state.timers
