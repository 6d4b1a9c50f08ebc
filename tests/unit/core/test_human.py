"""Human tasks: one result, once, from the voice that completes what an outcome needs or from the deadline."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.core import advance, refuses, snapshot
from segue.hosts.simulated.building import OUTCOMES, human
from segue.types import DecisionMade, Offer, TaskAssigned, UpdateOffer

from .plans import Run, broken, plan, put, word_of

HOUR = 3_600_000


def asked(**request: Any) -> Run:
    return Run(plan(human("ask", **request)))


def offer_of(run: Run) -> Offer:
    return next(c for c in run.state.open.values() if isinstance(c, Offer))


def decision(run: Run, outcome: str, by: str = "ann", **more: Any) -> DecisionMade:
    return DecisionMade(run.now, offer_of(run).id, outcome, by=by, **more)


def says(run: Run, outcome: str, by: str = "ann", **more: Any) -> Run:
    return run.feed(decision(run, outcome, by, **more))


def changes(run: Run) -> list[str]:
    return [c.change for c in run.commands if isinstance(c, UpdateOffer)]


def needing(votes: int) -> dict[str, Any]:
    return {name: {**said, "votes": votes if name in ("approve", "edit") else 1} for name, said in OUTCOMES.items()}


def test_it_waits_for_a_person_and_gives_what_they_decided() -> None:
    """An approval in the middle may take three weeks; the run waits on one offer and holds nothing else."""
    run = asked(data={"amount": 5})
    assert run.state.status == "waiting"
    assert len(run.state.open) == 1
    run.now += 21 * 24 * HOUR
    output = says(run, "approve", comment="fine").output
    assert output["outcome"] == "approve"
    assert (output["by"], output["comment"], output["data"]) == ("ann", "fine", {"amount": 5})
    assert output["at"] == "1970-01-22T00:00:01.000Z"
    assert not output["edited"]


def test_the_first_decision_wins_and_a_second_changes_nothing() -> None:
    """Two people who press at the same moment must not both believe that they decided."""
    run = Run(plan(human("ask"), human("again")))
    first = decision(run, "approve")
    run.feed(first)
    state, commands = advance(run.plan, run.state, msgspec.structs.replace(first, outcome="reject", by="bob"))
    assert list(commands) == []
    assert "closed" in str(refuses(state, first))


@pytest.mark.parametrize("outcome", ["destroy", "resubmit", ""])
def test_what_is_not_offered_is_no_outcome(outcome: str) -> None:
    """The document knows what follows an outcome that it names, and nothing else."""
    run = asked()
    assert "not among its outcomes" in str(refuses(run.state, decision(run, outcome)))
    assert says(run, outcome).state.ended is None


def test_the_requester_never_decides() -> None:
    """Nobody approves what they asked for themselves, whatever their role."""
    run = asked(requester="ann")
    assert "never decides" in str(refuses(run.state, decision(run, "approve")))
    assert says(run, "approve").state.ended is None
    assert says(run, "approve", "bob").output["by"] == "bob"


def test_nobody_decides_anonymously() -> None:
    """A decision is somebody's."""
    run = asked()
    assert says(run, "approve", "").state.ended is None


def test_two_people_means_two_different_people() -> None:
    """The two-person rule is worth nothing when one person can be both."""
    run = asked(outcomes=needing(2))
    says(run, "approve")
    assert "another person" in str(refuses(run.state, decision(run, "approve")))
    assert says(run, "approve").state.ended is None
    assert [v["by"] for v in says(run, "approve", "bob").output["votes"]] == ["ann", "bob"]


def test_one_rejection_rejects_what_two_must_approve() -> None:
    """A quorum protects against yes, not against no."""
    run = asked(outcomes=needing(2))
    says(run, "approve")
    assert says(run, "reject", "bob").output["outcome"] == "reject"


def test_an_edit_voids_the_approvals_of_what_it_replaced() -> None:
    """They approved other data."""
    run = asked(outcomes=needing(2), data={"amount": 5})
    says(run, "approve")
    says(run, "edit", "bob", data={"amount": 4})
    assert run.state.ended is None
    output = says(run, "approve", "cem").output
    assert (output["outcome"], output["edited"], output["data"]) == ("approve", True, {"amount": 4})
    assert [vote["by"] for vote in output["votes"]] == ["bob", "cem"]


def test_what_does_not_fit_the_form_is_not_decided() -> None:
    """What comes out of a form is what the next task relies on."""
    run = asked(form={"type": "object"}, fits=lambda form, data: None if data == {"ok": 1} else "at /ok: wrong")
    assert "at /ok: wrong" in str(refuses(run.state, decision(run, "edit", data={"ok": 2})))
    assert says(run, "edit", data={"ok": 1}).output["data"] == {"ok": 1}


def test_rejecting_needs_no_form() -> None:
    """Who says no should not have to fill in what they refuse."""
    assert says(asked(form=False, fits=lambda f, d: "never fits"), "reject").output["outcome"] == "reject"


def test_sending_back_needs_a_reason() -> None:
    """Whoever gets it back must know why."""
    run = asked()
    assert "comment" in str(refuses(run.state, decision(run, "send-back")))
    assert says(run, "send-back", comment="which year?").output["outcome"] == "send-back"


def test_what_is_sent_back_can_be_resubmitted_and_is_asked_anew() -> None:
    """Sending back is a round, not an end: the same task, its data corrected, its voices and clocks anew."""
    run = asked(send_back={"people": ["rita"]}, requester="rita", data=1, reminders_ms=[HOUR])
    says(run, "send-back", comment="which year?")
    assert "outcomes: resubmit" in str(refuses(run.state, decision(run, "approve", "bob")))
    run.fire()
    assert changes(run) == ["sent-back"], "nobody is reminded of what the requester owes"
    run.now += HOUR
    says(run, "resubmit", "rita", data=2)
    run.fire()
    assert changes(run)[-1] == "reminded"
    assert says(run, "approve").output["data"] == 2


def test_a_claim_keeps_others_from_deciding() -> None:
    """Two people should not work on the same task without knowing."""
    run = asked()
    number = offer_of(run).id
    run.feed(TaskAssigned(run.now, number, "claim", "ann", by="ann"))
    assert "ann has claimed it" in str(refuses(run.state, decision(run, "approve", "bob")))
    assert "ann has claimed it" in str(refuses(run.state, TaskAssigned(0, number, "claim", "bob")))
    run.feed(TaskAssigned(run.now, number, "delegate", "bob", by="ann"))
    assert says(run, "approve", "bob").output["by"] == "bob"
    assert changes(run) == ["claimed", "delegated", "decided"]


def test_reminders_the_ladder_and_the_deadline_follow_the_clock() -> None:
    """When nobody answers, more and more people are asked, and at last the declared outcome holds."""
    ladder = [
        {"after_ms": 3 * HOUR, "to": {"groups": ["sales"]}},
        {"after_ms": 5 * HOUR, "to": {"manager": True}},
    ]
    deadline = {"after_ms": 9 * HOUR, "outcome": "expired", "data": "none"}
    run = asked(reminders_ms=[HOUR, 2 * HOUR], ladder=ladder, deadline=deadline, assign={"people": ["ann"]})
    while run.state.ended is None:
        assert len(run.timers) == 1
        run.fire()
    assert changes(run) == ["reminded", "reminded", "escalated", "escalated", "expired"]
    audiences = [c.audience for c in run.commands if isinstance(c, UpdateOffer)]
    assert audiences[-1] == {"people": ["ann"], "groups": ["sales"], "manager": True}
    assert run.output["outcome"] == "expired"
    assert (run.output["by"], run.output["data"], run.output["expired"]) == (None, "none", True)
    assert run.now == 1_000 + 9 * HOUR


def test_a_rung_takes_the_task_from_who_sat_on_it() -> None:
    """An owner on holiday must not stop the ladder from helping."""
    run = asked(ladder=[{"after_ms": HOUR, "to": {"groups": ["sales"]}}])
    run.feed(TaskAssigned(run.now, offer_of(run).id, "claim", "ann", by="ann"))
    run.fire()
    assert says(run, "approve", "bob").output["by"] == "bob"


def test_what_came_due_while_nobody_ran_happens_in_order_at_once() -> None:
    """A machine that was off over the weekend does not send Saturday's reminder on Tuesday, one by one."""
    run = asked(reminders_ms=[HOUR, 2 * HOUR], deadline={"after_ms": 4 * HOUR, "outcome": "expired"})
    (timer,) = run.timers
    run.now += 10 * HOUR
    run.fire(timer)
    assert changes(run) == ["reminded", "reminded", "expired"]


def test_cancelling_and_time_outs_withdraw_the_offer() -> None:
    """Nothing outlives its parent: a person must not decide what nobody waits for."""
    run = asked(deadline={"after_ms": HOUR, "outcome": "expired"})
    number = offer_of(run).id
    assert run.cancel().state.open == {}
    assert number in run.cancelled
    late = Run(plan(human("ask", timeout=500)))
    late.fire()
    assert word_of(late.failure) == "timeout"


def test_a_broken_output_transform_is_a_failure_and_not_a_second_question() -> None:
    """The decision stands; what the document does with it is the document's fault."""
    node = human("ask")
    node.output_as = broken()
    run = Run(plan(node))
    assert word_of(says(run, "approve").failure) == "expression"


@pytest.mark.parametrize(
    ("confidence", "sample", "why"),
    [(0.5, 0.0, "below-threshold"), (None, 0.0, "below-threshold"), (0.9, 1, "sampled")],
)
def test_review_asks_below_the_threshold_and_a_share_above_it(confidence: Any, sample: float, why: str) -> None:
    """What is sure enough still needs eyes now and then, or nobody notices when the model drifts."""
    run = asked(review={"confidence": confidence, "threshold": 0.8, "sample": sample})
    assert says(run, "approve").output["asked"] == why


def test_what_needs_no_review_asks_nobody_and_says_so() -> None:
    """`unreviewed` is not `approve`: nobody may read a yes where nobody looked."""
    output = asked(review={"confidence": 0.9, "threshold": 0.8, "sample": 0}, data=7).output
    assert (output["outcome"], output["asked"], output["data"], output["by"]) == ("unreviewed", "no", 7, None)


def test_the_state_of_a_task_survives_a_snapshot() -> None:
    """A parked run must come back with its voices and its agenda."""
    run = asked(outcomes=needing(2), reminders_ms=[HOUR], ladder=[{"after_ms": 2 * HOUR, "to": {"groups": ["g"]}}])
    says(run, "approve")
    run.state = snapshot.restore(run.plan, snapshot.take(run.plan, run.state))
    run.fire()
    assert says(run, "approve", "bob").output["outcome"] == "approve"


PEOPLE = st.sampled_from(["ann", "bob", "cem", "req", ""])
VOICES = st.tuples(st.sampled_from(["approve", "edit", "reject", "send-back", "resubmit", "?"]), PEOPLE)
MOVES = st.one_of(
    VOICES.map(lambda v: ("says", *v)),
    st.tuples(st.just("assign"), st.sampled_from(["claim", "release", "delegate"]), PEOPLE),
    st.just(("fire",)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(MOVES, max_size=25), st.integers(1, 3), st.booleans())
def test_whatever_people_do_there_is_at_most_one_result(moves: list[Any], votes: int, back: bool) -> None:
    """Law: one result, once; never by the requester, never by one person twice; a refused event changes nothing."""
    more: dict[str, Any] = {"send_back": {"people": ["req"]}} if back else {}
    deadline = {"after_ms": 9 * HOUR, "outcome": "expired"}
    run = Run(plan(human("ask", outcomes=needing(votes), requester="req", deadline=deadline, **more), put("end", 1)))
    number = offer_of(run).id
    for kind, *said in moves:
        if kind == "fire":
            if run.timers:
                run.fire()
            continue
        event = (
            DecisionMade(run.now, number, said[0], data=len(said[1]), by=said[1], comment="why")
            if kind == "says"
            else TaskAssigned(run.now, number, said[0], said[1] if said[0] != "release" else "", by=said[1])
        )
        refused = refuses(run.state, event)
        run.feed(event)
        assert (refused is None) == bool(run.latest), (refused, run.latest)
    closings = [c for c in run.commands if isinstance(c, UpdateOffer) and c.change in ("decided", "expired")]
    assert len(closings) <= 1
    assert len(closings) == (run.state.ended is not None)
    if closings and closings[0].change == "decided":
        done = next(m.data for m in run.trace if m.what == "completed" and m.name == "ask")
        voters = [vote["by"] for vote in done["votes"]]
        assert len(set(voters)) == len(voters)
        assert "req" not in voters
        assert done["outcome"] != "approve" or sum(v["outcome"] == "approve" for v in done["votes"]) >= votes
