"""The clock of what somebody wants: in order, once, and never an approval."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from segue.governance import ApprovalClock, WishClocks
from segue.people import agenda_of, lapses_after, reminders_sent, roles_asked, turn_of

HOUR, DAY = 3_600_000, 86_400_000
USUAL = WishClocks()


def clock(**said: str) -> dict[str, object]:
    return WishClocks(publication=ApprovalClock(**said)).of("publication")


def test_people_are_asked_reminded_asked_besides_and_then_it_lapses() -> None:
    """The order of one day after the other."""
    agenda = agenda_of(clock(remind="P1D 2", escalate="P1D director, P1D board", deadline="P4D"))

    said = [(step.after_ms // DAY, step.what, step.role) for step in agenda]
    assert said == [
        (0, "ask", ""),
        (1, "escalate", "director"),
        (1, "remind", ""),
        (2, "escalate", "board"),
        (2, "remind", ""),
        (4, "lapse", ""),
    ]


def test_what_came_due_while_nobody_looked_is_told_once() -> None:
    """After a week without a server nobody gets three reminders at once."""
    agenda = agenda_of(clock(remind="P1D 3", escalate="P2D director", deadline="P7D"))

    turn = turn_of(agenda, 1, 0, 3 * DAY + HOUR)

    assert (turn.asked, turn.reminded, turn.roles, turn.lapsed) == (False, True, ("director",), False)
    assert turn.next_at == 7 * DAY
    assert (reminders_sent(agenda, turn.steps), roles_asked(agenda, turn.steps)) == (3, ("director",))


def test_nobody_is_told_of_what_has_lapsed_meanwhile() -> None:
    """A reminder of what nobody can approve any more helps nobody."""
    turn = turn_of(agenda_of(USUAL.of("consent")), 1, 0, 30 * DAY)

    assert (turn.reminded, turn.lapsed, turn.next_at) == (False, True, None)


def test_a_clock_that_is_set_back_repeats_nothing() -> None:
    """What has happened stays so; the rest waits until the clock comes to it again."""
    agenda = agenda_of(USUAL.of("publication"))
    turn = turn_of(agenda, 2, 100 * DAY, 50 * DAY)

    assert (turn.asked, turn.reminded, turn.lapsed, turn.steps) == (False, False, False, 2)
    assert turn.next_at == 102 * DAY


def test_a_kind_says_it_otherwise_and_none_turns_it_off() -> None:
    """What is left out is as usual."""
    clocks = WishClocks(
        escalate="P2D admin",
        consent=ApprovalClock(deadline="none", remind="PT8H"),
        adjustment=ApprovalClock(escalate="none"),
    )

    assert clocks.complaint() is None
    assert lapses_after(agenda_of(clocks.of("consent"))) is None
    assert clocks.of("consent")["reminders_ms"] == [8 * HOUR, 16 * HOUR, 24 * HOUR]
    assert "ladder" not in clocks.of("adjustment")
    assert clocks.of("publication")["ladder"] == [{"after_ms": 2 * DAY, "to": {"roles": ["admin"]}}]
    assert clocks.of("account")["deadline"]["after_ms"] == 3 * DAY


def test_of_rules_that_say_it_the_earliest_deadline_counts() -> None:
    """As for acts that wait for approval."""
    asked = [ApprovalClock(deadline="P2D"), ApprovalClock(deadline="P1D", escalate="PT1H director")]

    found = USUAL.of("publication", asked)

    assert found["deadline"]["after_ms"] == DAY
    assert found["ladder"] == [{"after_ms": HOUR, "to": {"roles": ["director"]}}]


def test_what_never_lapses_or_names_an_outcome_is_refused() -> None:
    """A change of somebody that nobody remembers must not count years later, and silence decides nothing."""
    assert WishClocks(account=ApprovalClock(deadline="none")).complaint() is not None
    assert WishClocks(deadline="P5D timeout").complaint() is not None
    assert WishClocks(deadline="P5D approve").complaint() is not None
    assert WishClocks(consent=ApprovalClock(remind="soon")).complaint() is not None


@given(
    st.lists(st.integers(0, 40 * DAY), min_size=1, max_size=20),
    st.integers(0, 3),
    st.integers(1, 10),
    st.integers(1, 30),
)
def test_however_often_one_looks_each_step_happens_once_and_in_order(
    moments: list[int], rungs: int, times: int, deadline: int
) -> None:
    """Also where the clock goes back and forth between two looks."""
    ladder = ", ".join(f"P1D role{number}" for number in range(rungs))
    agenda = agenda_of(clock(remind=f"P1D {times}", escalate=ladder or "none", deadline=f"P{deadline}D"))
    steps, lapsed = 0, 0
    roles: list[str] = []
    for now in moments:
        turn = turn_of(agenda, steps, 0, now)
        assert turn.steps >= steps
        assert turn.next_at is None or turn.next_at > now or turn.steps == steps
        assert not (turn.lapsed and (turn.asked or turn.reminded or turn.roles))
        steps, lapsed = turn.steps, lapsed + turn.lapsed
        roles += turn.roles
        if turn.lapsed:
            break
    assert lapsed <= 1
    assert len(set(roles)) == len(roles)
    if lapsed:
        assert max(moments) >= deadline * DAY
