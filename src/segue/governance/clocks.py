"""What the clock does while something waits for approval: remind, ask another role besides, and at last refuse.

A rule or a limit says it in three short texts; the settings say it for those that do not. No clock ever approves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from segue.types.durations import parse_duration_ms

REFUSE: Final = "refuse"
OUTCOMES: Final = (REFUSE, "timeout")
"""What becomes of an act that nobody decided about in time: its task fails, with `authorization` or `timeout`."""
TIMES: Final = 3
_TIMES_MAX: Final = 100
_RUNGS_MAX: Final = 10
_ROLE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class ApprovalClock(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Reminders, escalation and deadline of an approval; empty text for none.

    Attributes:
        remind: How long between two reminders, and how many: `PT8H 3`; three where the number is left out.
        escalate: After how long which role may approve as well, one after the other: `P1D director, P1D board`.
        deadline: After how long it is refused: `P5D`; `P5D timeout` lets the task fail by a time-out instead.
    """

    remind: str = ""
    escalate: str = ""
    deadline: str = ""

    def complaint(self) -> str | None:
        """What is wrong with it."""
        try:
            self.reminders_ms()
            self.ladder()
            self.ending()
        except ValueError as error:
            return str(error)
        return None

    def reminders_ms(self) -> list[int]:
        """When people are reminded, from the offer on.

        Raises:
            ValueError: The text does not fit.
        """
        if not self.remind:
            return []
        every, _, times = self.remind.strip().partition(" ")
        count = times.strip() or str(TIMES)
        if not (count.isascii() and count.isdigit()) or not 1 <= int(count) <= _TIMES_MAX:
            raise ValueError(f"remind: {count!r} is no number from 1 to {_TIMES_MAX}; write something like `PT8H 3`")
        return [_ms("remind", every) * number for number in range(1, int(count) + 1)]

    def ladder(self) -> list[tuple[int, str]]:
        """When which role may approve as well, from the offer on.

        Raises:
            ValueError: The text does not fit.
        """
        found: list[tuple[int, str]] = []
        after = 0
        for rung in self.escalate.split(",") if self.escalate.strip() else []:
            how_long, _, role = rung.strip().partition(" ")
            if _ROLE.fullmatch(role.strip()) is None:
                raise ValueError(f"escalate: {rung.strip()!r} names no role; write something like `P1D director`")
            after += _ms("escalate", how_long)
            found.append((after, role.strip()))
        if len(found) > _RUNGS_MAX:
            raise ValueError(f"escalate: there are more than {_RUNGS_MAX} rungs")
        return found

    def ending(self) -> tuple[int, str] | None:
        """When it ends without a decision, and how.

        Raises:
            ValueError: The text does not fit; also where it would approve.
        """
        if not self.deadline:
            return None
        after, _, outcome = self.deadline.strip().partition(" ")
        outcome = outcome.strip() or REFUSE
        if outcome not in OUTCOMES:
            said = " or ".join(repr(one) for one in OUTCOMES)
            raise ValueError(f"deadline: the outcome is {said}, not {outcome!r}; silence approves nothing")
        return _ms("deadline", after), outcome


NO_CLOCK: Final = ApprovalClock()
NONE: Final = "none"
"""Where the settings say it for a kind of wish: no reminders, no ladder or no deadline, whatever is usual."""


class WishClocks(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The clocks of what somebody wants and others decide about; each kind may say it otherwise.

    Attributes:
        remind, escalate, deadline: As `ApprovalClock` has them, for every kind. When the deadline has passed, it has
            lapsed: nobody can approve it any more, and it may be wanted again.
        publication, adjustment, consent, account: For one kind; what is left out is as for every kind, and `none`
            turns it off. Changes of people always lapse.
    """

    remind: str = "P1D 3"
    escalate: str = ""
    deadline: str = "P7D"
    publication: ApprovalClock = NO_CLOCK
    adjustment: ApprovalClock = NO_CLOCK
    consent: ApprovalClock = NO_CLOCK
    account: ApprovalClock = ApprovalClock(remind="P1D 2", deadline="P3D")

    def complaint(self) -> str | None:
        """What is wrong with it."""
        for kind in ("publication", "adjustment", "consent", "account"):
            clock = self._usual(kind)
            if (wrong := clock.complaint()) is not None:
                return wrong
            if clock.deadline.strip().endswith("timeout"):
                return "deadline: what nobody decided about lapses, so no outcome is named"
        # Else what nobody remembers would give somebody another's name years later.
        return None if self._usual("account").deadline else "account: changes of people need a deadline"

    def of(self, kind: str, asked: Iterable[ApprovalClock] = ()) -> dict[str, Any]:
        """The clock of a wish, as `segue.people.agenda_of` reads it.

        Args:
            asked: What the rules say that want the approval; the settings count where they say nothing.
        """
        usual = self._usual(kind)
        return clocks_of(tuple(asked) or (NO_CLOCK,), usual)

    def _usual(self, kind: str) -> ApprovalClock:
        said: ApprovalClock = getattr(self, kind)

        def one(mine: str, usual: str) -> str:
            found = mine or usual
            return "" if found.strip() == NONE else found

        return ApprovalClock(
            remind=one(said.remind, self.remind),
            escalate=one(said.escalate, self.escalate),
            deadline=one(said.deadline, self.deadline),
        )


def clocks_of(found: Iterable[ApprovalClock], usual: ApprovalClock) -> dict[str, Any]:
    """What the clock does where all of these want an approval together, as `ApprovalWanted.clocks` has it.

    Of several deadlines the earliest counts, of reminders those that begin first, of ladders the first.
    """
    clocks = [
        ApprovalClock(
            remind=one.remind or usual.remind,
            escalate=one.escalate or usual.escalate,
            deadline=one.deadline or usual.deadline,
        )
        for one in found
    ]
    reminders = min((ms for one in clocks if (ms := one.reminders_ms())), default=[])
    ladder = next((rungs for one in clocks if (rungs := one.ladder())), [])
    ending = min((end for one in clocks if (end := one.ending()) is not None), default=None)
    if ending is not None:
        reminders = [ms for ms in reminders if ms < ending[0]]
        ladder = [rung for rung in ladder if rung[0] < ending[0]]
    said: dict[str, Any] = {}
    if reminders:
        said["reminders_ms"] = reminders
    if ladder:
        said["ladder"] = [{"after_ms": after, "to": {"roles": [role]}} for after, role in ladder]
    if ending is not None:
        said["deadline"] = {"after_ms": ending[0], "outcome": ending[1]}
    return said


def _ms(key: str, text: str) -> int:
    try:
        found = parse_duration_ms(text)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None
    if found < 1:
        raise ValueError(f"{key}: {text!r} is no time at all")
    return found
