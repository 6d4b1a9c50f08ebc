"""People before whom human tasks come: they claim, hand over and decide, at once, twice, too late, and wrongly."""

from __future__ import annotations

import sqlite3
from random import Random
from typing import Final, NamedTuple

from segue.types import DecisionMade, TaskAssigned

APPROVERS: Final = ("ann", "bob", "cem", "dan")
REQUESTER: Final = "rita"
MARK: Final = "mark "
OUTCOMES: Final = ("approve", "approve", "approve", "reject", "send-back", "refuse")
"""Of human tasks and of approvals; who picks one that is not offered is refused."""

Deed = DecisionMade | TaskAssigned


class Seen(NamedTuple):
    """A human task as somebody saw it in their list."""

    run: str
    task: int
    state: str
    owner: str


def mark_of(deed: Deed) -> str:
    """What it can be told by in a history; empty where nobody marked it."""
    said = deed.comment if isinstance(deed, DecisionMade) else deed.reason
    return said if said.startswith(MARK) else ""


def listed(file: sqlite3.Connection) -> list[Seen]:
    """The open ones, as people see them."""
    asks = "SELECT r.id, h.task, h.state, h.owner FROM human_task h JOIN run r ON r.seq = h.run WHERE h.open = 1"
    return [Seen(*row) for row in file.execute(asks)]


def foolish(rng: Random, seen: Seen, mark: str) -> Deed:
    """What somebody does to it, allowed or not."""
    who = rng.choice((*APPROVERS, *APPROVERS, REQUESTER))
    draw = rng.random()
    if draw < 0.15:
        return TaskAssigned(0, seen.task, "claim", who, by=who, reason=mark)
    if draw < 0.2:
        return TaskAssigned(0, seen.task, "release", by=who, reason=mark)
    if draw < 0.3:
        return TaskAssigned(0, seen.task, "delegate", rng.choice(APPROVERS), by=who, reason=mark)
    if draw < 0.35:
        return TaskAssigned(0, seen.task, "reassign", audience={"people": [who]}, by=who, reason=mark)
    sent_back = seen.state == "sent-back"
    outcome = "resubmit" if sent_back is (rng.random() < 0.9) else rng.choice(OUTCOMES)
    # Whoever has claimed it is who decides, as a rule.
    by = seen.owner if seen.owner and rng.random() < 0.5 else who
    return DecisionMade(0, seen.task, outcome, by=by, comment=mark)


def wise(rng: Random, seen: Seen, mark: str) -> Deed:
    """What brings it to its end."""
    if seen.state == "sent-back":
        return DecisionMade(0, seen.task, "resubmit", by=seen.owner or REQUESTER, comment=mark)
    return DecisionMade(0, seen.task, rng.choice(OUTCOMES), by=seen.owner or rng.choice(APPROVERS), comment=mark)
