"""How much may be done without a person."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.governance import DAY_MS, HOUR_MS, ActDoor, ActLimit, ActLimits, Guard, Taken
from segue.types import Approval, ApprovalWanted, Failure, Perform

REFUNDS = ActLimit(
    name="refunds", connection="billing", operation="refund", per_hour=2, amount="body.amount", amount_max=500
)


def act(amount: Any = 10, name: str = "0", operation: str = "refund", connection: str = "billing") -> Perform:
    arguments = {"use": connection, "operation": operation, "body": {"amount": amount}}
    return Perform(1, "connector", arguments, "refund", "/do/0", name)


class Clock:
    def __init__(self) -> None:
        self.now = 10 * DAY_MS

    def __call__(self) -> int:
        return self.now


class Desk:
    """Asks a door about one act after another."""

    def __init__(self, *limits: ActLimit, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.limits = ActLimits(limits or [REFUNDS], self.clock)
        self.guard = Guard()
        self.door = ActDoor(self.guard, self.guard.switches, limits=self.limits)
        self.acts = 0

    def ask(self, amount: Any = 10, **more: Any) -> Any:
        self.acts += 1
        return self.door.ask("r", "a/b:1", act(amount, str(self.acts), **more))


def refused(answer: Any) -> str:
    return (answer.detail or "") if isinstance(answer, Failure) else ""


def limit(**more: Any) -> ActLimit:
    return ActLimit(name="spend", amount="body.amount", **more)


@pytest.mark.parametrize(("bound", "span"), [("per_hour", HOUR_MS), ("per_day", DAY_MS)])
def test_a_span_is_a_window_and_not_a_calendar_hour_or_day(bound: str, span: int) -> None:
    """Two hundred refunds around the full hour are two hundred refunds."""
    asked = Desk(ActLimit(name="few", **{bound: 2}))
    assert [asked.ask() for _ in range(2)] == ["", ""]
    assert "are all there may be" in refused(asked.ask())
    asked.clock.now += span - 1
    assert refused(asked.ask())

    asked.clock.now += 1
    assert asked.ask() == ""


@pytest.mark.parametrize("amount", [501, -501, float("nan"), float("inf"), 10**400, "10", None, True, [10]])
@pytest.mark.parametrize("bound", ["amount_max", "sum_per_day"])
def test_what_is_too_much_or_no_amount_is_for_a_person(amount: Any, bound: str) -> None:
    """A missing number must not be a way around the limit, and neither a negative one."""
    assert "spend" in refused(Desk(limit(**{bound: 500})).ask(amount))


@pytest.mark.parametrize(("bound", "span"), [("sum_per_hour", HOUR_MS), ("sum_per_day", DAY_MS)])
def test_amounts_of_a_span_add_up(bound: str, span: int) -> None:
    """Fifty small refunds are one large one; and a refund is not taken back by a negative one."""
    asked = Desk(limit(**{bound: 100}))
    assert [refused(asked.ask(n)) for n in (40.5, -40.5, 19)] == ["", "", ""]
    assert "above 100" in refused(asked.ask(0.01))
    asked.clock.now += span
    assert asked.ask(100) == ""


@settings(deadline=None)
@given(st.lists(st.decimals(0, 100, places=2), max_size=60))
def test_the_sum_never_passes_its_limit_and_never_drifts(amounts: list[Any]) -> None:
    """Ten times ten cents are one euro, and the eleventh cent is one too many."""
    asked = Desk(limit(sum_per_day=100))
    let_through = [amount for amount in amounts if asked.ask(float(amount)) == ""]
    assert sum(let_through) <= 100
    (used,) = asked.limits.used()
    assert used.sum_day == float(sum(let_through))
    room = 100 - sum(let_through)
    assert asked.ask(float(room)) == ""


def test_what_the_limit_is_not_about_goes_through_and_does_not_count() -> None:
    """A limit on refunds is none on reading invoices."""
    asked = Desk()
    others = [asked.ask(None, operation="list") for _ in range(5)] + [asked.ask(connection="crm") for _ in range(5)]

    assert others == [""] * 10
    assert asked.ask() == ""


def test_an_act_counts_once_however_often_it_is_asked_about() -> None:
    """A retry, a restart and a switch that is thrown ask again, and must not use up the hour."""
    asked = Desk()
    same = act()
    for begun in (False, True, False):
        assert asked.door.ask("r", "a/b:1", same, begun=begun) == ""
    assert asked.ask() == ""
    assert refused(asked.ask())
    assert asked.door.ask("r", "a/b:1", same) == ""
    assert refused(asked.door.ask("another run", "a/b:1", same))


def test_a_refused_act_counts_for_nothing() -> None:
    """What one limit stops must not use up another."""
    asked = Desk(ActLimit(name="few", per_hour=1), limit(amount_max=5))
    assert refused(asked.ask(6))
    assert asked.ask(5) == ""


def test_what_was_counted_before_counts_after_a_restart() -> None:
    """A restart must not be a fresh hour."""
    clock, kept = Clock(), []
    asked = Desk(limit(per_hour=2, sum_per_day=100), clock=clock)
    asked.limits.keep = kept.append
    asked.ask(60)
    clock.now += 1
    asked.ask(30)
    assert kept == [Taken("spend", "r:1", clock.now - 1, 60), Taken("spend", "r:2", clock.now, 30)]

    again = Desk(limit(per_hour=2, sum_per_day=100), clock=clock)
    again.acts = 10
    again.limits.prime([*kept, Taken("gone", "x", clock.now, 1)])
    assert "in the last hour" in refused(again.ask(1))
    clock.now += HOUR_MS
    assert "above 100" in refused(again.ask(11))
    assert again.ask(10) == ""


APPROVED = limit(sum_per_day=100, exceeded="approval:boss")


def test_what_exceeds_a_limit_can_wait_for_a_person_who_may_decide_so_much() -> None:
    """The rest is for people: they see what it is about, and their own limit holds for the amount."""
    asked = Desk(APPROVED)
    asked.ask(90)
    wanted = asked.ask(20)
    assert isinstance(wanted, ApprovalWanted)
    assert (wanted.role, wanted.amount) == ("boss", 20)
    assert wanted.rules == {"limit:spend": APPROVED.text()}
    assert "would come to 110" in wanted.reason


def approved(wanted: ApprovalWanted, command: Perform, **more: Any) -> Perform:
    given = Approval(command.effect, wanted.digest, wanted.rules, "ann", 1, 1)
    return Perform(
        command.id,
        command.handler,
        more.get("arguments", command.arguments),
        command.name,
        command.pointer,
        more.get("effect", command.effect),
        approvals=(given,),
    )


def test_what_a_person_approved_goes_out_and_counts_for_no_limit_that_it_exceeds() -> None:
    """The limit is about what happens without people."""
    asked = Desk(APPROVED)
    asked.ask(90)
    command = act(20, "2")
    wanted = asked.door.ask("r", "a/b:1", command)
    answer = asked.door.ask("r", "a/b:1", approved(wanted, command))
    assert isinstance(answer, str)
    assert answer.startswith("limit:spend@")
    assert answer.endswith("approved by ann")
    assert asked.limits.used()[0].sum_day == 90


def test_an_approval_counts_for_this_act_with_these_arguments_in_this_run() -> None:
    """What was seen is what goes out; anything else is asked about anew."""
    asked = Desk(limit(amount_max=5, exceeded="approval:boss"))
    command = act(20)
    wanted = asked.door.ask("r", "a/b:1", command)
    assert isinstance(asked.door.ask("r", "a/b:1", approved(wanted, command)), str)
    other = {**command.arguments, "body": {"amount": 2000}}
    for run, tried in (
        ("r", approved(wanted, command, arguments=other)),
        ("r", approved(wanted, command, effect="7")),
        ("other", approved(wanted, command)),
    ):
        assert isinstance(asked.door.ask(run, "a/b:1", tried), ApprovalWanted)


def test_a_limit_that_changed_is_approved_anew() -> None:
    """Who approved 20 under a limit of 5 was told another story."""
    asked = Desk(limit(amount_max=5, exceeded="approval:boss"))
    command = act(20)
    given = approved(asked.door.ask("r", "a/b:1", command), command)
    stricter = Desk(limit(amount_max=4, exceeded="approval:boss"))
    assert isinstance(stricter.door.ask("r", "a/b:1", given), ApprovalWanted)


def test_a_limit_that_fails_is_told_before_anybody_is_asked() -> None:
    """Nobody should approve what cannot happen."""
    asked = Desk(limit(amount_max=5, exceeded="approval:boss"), ActLimit(name="hard", per_hour=0))
    assert "'hard'" in refused(asked.ask(20))


@pytest.mark.parametrize(
    "wrong",
    [{"amount_max": 1}, {"sum_per_day": 1}, {"exceeded": "ask"}, {"exceeded": "approval:"}],
)
def test_a_limit_that_makes_no_sense_says_so(wrong: dict[str, Any]) -> None:
    """A limit that is silently none is worse than none."""
    assert ActLimit(name="x", **wrong).complaint()
    assert limit(amount_max=1, exceeded="approval:boss").complaint() is None
