"""How much may be done without a person."""

from __future__ import annotations

from typing import Any

import pytest

from segue.governance import HOUR_MS, ActDoor, ActLimit, ActLimits, Guard
from segue.types import Failure, Perform

REFUNDS = ActLimit(
    name="refunds", connection="billing", operation="refund", per_hour=2, amount="body.amount", amount_max=500
)


def act(amount: Any = 10, operation: str = "refund", connection: str = "billing") -> Perform:
    arguments = {"use": connection, "operation": operation, "body": {"amount": amount}}
    return Perform(1, "connector", arguments, "refund", "/do/0", "0")


class Clock:
    def __init__(self) -> None:
        self.now = 10 * HOUR_MS

    def __call__(self) -> int:
        return self.now


def door(clock: Clock, limit: ActLimit = REFUNDS) -> ActDoor:
    guard = Guard()
    return ActDoor(guard, guard.switches, limits=ActLimits([limit], clock))


def refused(answer: Failure | str) -> str:
    return (answer.detail or "") if isinstance(answer, Failure) else ""


def test_the_hour_is_a_window_and_not_a_calendar_hour() -> None:
    """Two hundred refunds around the full hour are two hundred refunds."""
    clock = Clock()
    asked = door(clock)
    assert [refused(asked.ask("a/b:1", act())) for _ in range(2)] == ["", ""]
    assert "in the last hour" in refused(asked.ask("a/b:1", act()))

    clock.now += HOUR_MS
    assert asked.ask("a/b:1", act()) == ""


@pytest.mark.parametrize("amount", [501, -501, float("nan"), "10", None, True])
def test_what_is_too_much_or_no_amount_is_for_a_person(amount: Any) -> None:
    """A missing number must not be a way around the limit, and neither a negative one."""
    assert "refunds" in refused(door(Clock()).ask("a/b:1", act(amount)))


def test_what_the_limit_is_not_about_goes_through_and_does_not_count() -> None:
    """A limit on refunds is none on reading invoices."""
    asked = door(Clock())
    others = [act(operation="list", amount=None), act(connection="crm")] * 5

    assert [asked.ask("a/b:1", other) for other in others] == [""] * 10
    assert asked.ask("a/b:1", act()) == ""


def test_an_act_under_way_is_asked_about_again_without_being_counted_again() -> None:
    """Throwing a switch asks about everything under way, and must not use up the hour."""
    asked = door(Clock())
    for _ in range(5):
        assert asked.ask("a/b:1", act(), begun=True) == ""
    assert [refused(asked.ask("a/b:1", act())) for _ in range(2)] == ["", ""]


def test_what_the_ledger_knows_counts_after_a_restart() -> None:
    """A restart must not be a fresh hour."""
    clock = Clock()
    limits = ActLimits([REFUNDS], clock)
    limits.prime(
        [(clock.now - HOUR_MS - 1, "a/b", "billing", "connector")]
        + [(clock.now - 5, "a/b", "billing", "connector")] * 2
    )

    assert "in the last hour" in limits.exceeded("a/b", act(), begun=False)
