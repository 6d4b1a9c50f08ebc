"""What somebody wants and others decide about: its clock, step by step.

Publications, changes of values, uses of connections and of models, and changes of people wait for somebody. Each has
an agenda: people are asked, reminded, others are asked besides, and at last it lapses. Nothing here approves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

What = Literal["ask", "escalate", "remind", "lapse"]
_ORDER: Final = {"ask": 0, "escalate": 1, "remind": 2, "lapse": 3}


class Step(NamedTuple):
    """What happens so long after people were first asked. `role`: who may decide besides from then on."""

    after_ms: int
    what: What
    role: str = ""


class Turn(NamedTuple):
    """What is to happen now, as one.

    Attributes:
        asked, reminded: Tell whoever may decide that it waits, or still waits. roles: Tell these that they may too.
        lapsed: It is over; then nobody is told anything else.
        steps: How much of the agenda has happened with this. next_at: When there is more; None for never.
    """

    asked: bool
    reminded: bool
    roles: tuple[str, ...]
    lapsed: bool
    steps: int
    next_at: int | None


def agenda_of(clock: Mapping[str, Any]) -> list[Step]:
    """The steps of a clock (`reminders_ms`, `ladder`, `deadline`, as an approval has them), in their order."""
    steps = [Step(0, "ask"), *(Step(ms, "remind") for ms in clock.get("reminders_ms", ()))]
    for rung in clock.get("ladder", ()):
        steps += [Step(rung["after_ms"], "escalate", role) for role in rung["to"]["roles"]]
    if "deadline" in clock:
        steps.append(Step(clock["deadline"]["after_ms"], "lapse"))
    return sorted(steps, key=lambda step: (step.after_ms, _ORDER[step.what]))


def turn_of(agenda: Sequence[Step], steps: int, began_at: int, now_ms: int) -> Turn:
    """What is to happen now, of everything that came due since the last time.

    What came due while nobody looked happens at once and is told once: of three reminders there is one.

    Args:
        steps: How much of the agenda has happened.
        began_at: When people were first asked; milliseconds since the epoch, as `now_ms`.
    """
    done = max(steps, sum(began_at + step.after_ms <= now_ms for step in agenda))
    due = agenda[steps:done]
    lapsed = any(step.what == "lapse" for step in due)
    rest = agenda[done:]
    return Turn(
        asked=not lapsed and any(step.what == "ask" for step in due),
        reminded=not lapsed and any(step.what == "remind" for step in due),
        roles=() if lapsed else tuple(dict.fromkeys(step.role for step in due if step.what == "escalate")),
        lapsed=lapsed,
        steps=done,
        next_at=began_at + rest[0].after_ms if rest and not lapsed else None,
    )


def roles_asked(agenda: Sequence[Step], steps: int) -> tuple[str, ...]:
    """The roles that may decide besides, as far as the agenda has happened."""
    return tuple(dict.fromkeys(step.role for step in agenda[:steps] if step.what == "escalate"))


def reminders_sent(agenda: Sequence[Step], steps: int) -> int:
    """How many reminders have come due."""
    return sum(step.what == "remind" for step in agenda[:steps])


def lapses_after(agenda: Sequence[Step]) -> int | None:
    """How long it can be decided, in milliseconds since it began; None for ever."""
    return next((step.after_ms for step in agenda if step.what == "lapse"), None)
