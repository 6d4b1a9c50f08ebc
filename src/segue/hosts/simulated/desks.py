"""Human tasks as the auditor sees them: offers and voices, counted once more by simpler rules.

What `staff.py` does carries a mark of its own in its comment or reason, so it can be told in a history whether it
counted, and how often.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from segue.hosts.simulated.reach import require
from segue.hosts.simulated.staff import MARK, mark_of
from segue.types import Cancel, Command, DecisionMade, EndRun, Event, Offer, TaskAssigned, UpdateOffer

RESUBMIT = "resubmit"


class Desk:
    """One human task.

    Attributes:
        state: As its row must say. owner: who has claimed it, empty for nobody.
        voices: Who said what in this round.
        ends_at: When it expires, in the run's time; None for never.
    """

    def __init__(self, offer: Offer, now: int) -> None:
        self.request = offer.request
        self.state = "offered"
        self.owner = ""
        self.voices: dict[str, str] = {}
        self.by: str | None = None
        self.outcome: str | None = None
        deadline = offer.request.get("deadline")
        self.ends_at: int | None = None if deadline is None else now + deadline["after_ms"]

    @property
    def is_open(self) -> bool:
        """Somebody can still decide it."""
        return self.state in ("offered", "claimed", "sent-back")

    def given(self, outcome: str) -> int:
        """Voices for this outcome."""
        return sum(said == outcome for said in self.voices.values())


class Desks:
    """The human tasks of one run.

    Attributes:
        heard: Marks of what counted, in its history.
    """

    def __init__(self) -> None:
        self.open_and_closed: dict[int, Desk] = {}
        self.heard: set[str] = set()

    def observe(self, event: Event, commands: Sequence[Command], now: int) -> None:
        """An event reached the history.

        Args:
            now: The run's time.

        Raises:
            Violation: Somebody's voice counted that must not, or did not count that must.
        """
        closes = self._hear(event) if isinstance(event, DecisionMade | TaskAssigned) else None
        for command in commands:
            if isinstance(command, Offer):
                self.open_and_closed[command.id] = Desk(command, now)
            elif isinstance(command, UpdateOffer):
                self._update(command, now, closes)
            elif isinstance(command, Cancel):
                desk = self.open_and_closed.get(command.id)
                # An act that was approved has the id of its offer.
                if desk is not None and desk.is_open:
                    desk.state = "withdrawn"
            elif isinstance(command, EndRun):
                left = [number for number, desk in self.open_and_closed.items() if desk.is_open]
                require(not left, f"human tasks {left!r} outlive their run")
        if closes is not None:
            desk = self.open_and_closed[event.id]  # type: ignore[union-attr]
            require(desk.state == "decided", f"{event!r} was the last voice it needed, and it is {desk.state!r}")

    def _hear(self, event: DecisionMade | TaskAssigned) -> str | None:
        """Count it; the outcome that it completes, None for none."""
        mark = mark_of(event)
        require(not mark or mark not in self.heard, f"{mark!r} counted twice")
        self.heard.add(mark)
        desk = self.open_and_closed.get(event.id)
        require(desk is not None and desk.is_open, f"{event!r} is about a human task that is not open")
        assert desk is not None
        if isinstance(event, TaskAssigned):
            if event.action == "claim":
                require(desk.owner in ("", event.owner), f"{event!r} takes it from {desk.owner!r}")
                require(event.owner not in desk.voices, f"{event!r} is of somebody who has decided")
            desk.owner = event.owner
            if desk.state != "sent-back":
                desk.state = "claimed" if event.owner else "offered"
            return None
        return self._voice(desk, event)

    @staticmethod
    def _voice(desk: Desk, event: DecisionMade) -> str | None:
        require(desk.owner in ("", event.by), f"{event!r} is about a task that {desk.owner!r} has claimed")
        require((event.outcome == RESUBMIT) == (desk.state == "sent-back"), f"{event!r} fits no {desk.state!r} task")
        if event.outcome == RESUBMIT:
            desk.voices, desk.owner, desk.state = {}, "", "offered"
            return None
        require(event.by != desk.request.get("requester"), f"{event!r} is of its requester")
        require(event.by not in desk.voices, f"{event!r} is the second voice of {event.by!r}")
        if event.outcome == "send-back" and desk.request.get("send_back") is not None:
            desk.voices, desk.owner, desk.state = {event.by: event.outcome}, "", "sent-back"
            return None
        desk.voices[event.by] = event.outcome
        desk.owner, desk.state = "", "offered"
        wanted = desk.request["outcomes"][event.outcome]["votes"]
        return event.outcome if desk.given(event.outcome) >= wanted else None

    def _update(self, update: UpdateOffer, now: int, closes: str | None) -> None:
        desk = self.open_and_closed[update.id]
        if update.change == "expired":
            on_time = desk.ends_at is not None and desk.is_open and now >= desk.ends_at
            require(on_time, f"human task {update.id} expired at {now}, due at {desk.ends_at}")
            desk.outcome = desk.request["deadline"]["outcome"]
        elif update.change == "decided":
            require(closes is not None, f"{update!r}, but its voices are {desk.voices!r}")
            desk.outcome, desk.by = closes, update.by
        elif update.change == "escalated":
            desk.owner, desk.state = "", "offered"
        if update.change in ("decided", "expired"):
            desk.state = update.change
            require(update.outcome == desk.outcome, f"{update!r} should say {desk.outcome!r}")
        said = (update.state, update.owner) if desk.is_open else (update.state, desk.owner)
        require(said == (desk.state, desk.owner), f"{update!r} should say {desk.state!r}, {desk.owner!r}")

    def check_in_time(self, now: int) -> None:
        """Nothing moves any more, so none is overdue.

        Raises:
            Violation: One should have expired.
        """
        for number, desk in self.open_and_closed.items():
            late = desk.is_open and desk.ends_at is not None and desk.ends_at <= now
            require(not late, f"human task {number} was to expire at {desk.ends_at}, and is open at {now}")


class Marks:
    """What people were told of what they did, by its mark."""

    def __init__(self) -> None:
        self._given = 0
        self._refused: set[str] = set()

    def new(self) -> str:
        """One that nothing else has."""
        self._given += 1
        return f"{MARK}{self._given}"

    def answered(self, mark: str, refused: str | None, desks: Desks | None) -> None:
        """Somebody was told that it counts, or why not.

        Raises:
            Violation: It is not so on disk.
        """
        counts = desks is not None and mark in desks.heard
        if refused is None:
            require(counts, f"{mark!r} was confirmed before it is on disk")
        else:
            self._refused.add(mark)
            require(not counts, f"{mark!r} was refused ({refused}), and counted")

    def check(self, heard: Mapping[str, Desks]) -> None:
        """What was refused counts nowhere, later neither.

        Raises:
            Violation: It does.
        """
        for desks in heard.values():
            both = self._refused & desks.heard
            require(not both, f"{both!r} were refused, and counted")


def check_desk_rows(file: sqlite3.Connection, known: Mapping[str, Desks]) -> None:
    """At rest, what people see of human tasks is what histories say.

    Raises:
        Violation: It is not.
    """
    asks = "SELECT r.id, h.task, h.state, h.open, h.owner, h.outcome FROM human_task h JOIN run r ON r.seq = h.run"
    shown: dict[tuple[str, int], tuple[Any, ...]] = {
        (run, task): tuple(row) for run, task, *row in file.execute(asks)
    }
    true: dict[tuple[str, int], tuple[Any, ...]] = {}
    for run, desks in known.items():
        for task, desk in desks.open_and_closed.items():
            owner = desk.owner if desk.is_open else shown.get((run, task), (0, 0, ""))[2]
            true[run, task] = (desk.state, int(desk.is_open), owner, desk.outcome)
    for place in shown.keys() | true.keys():
        require(
            shown.get(place) == true.get(place),
            f"human task {place!r} is shown as {shown.get(place)!r}, but is {true.get(place)!r}",
        )
