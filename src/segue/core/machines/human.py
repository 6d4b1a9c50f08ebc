"""`call: human-task`. Law: a human task has one result, and gets it once: from the voice that completes what an
outcome needs, or from its deadline with the outcome declared for it. A voice that may not count changes nothing.

Theory. The task is offered to an audience, may be claimed by one of them, and is decided, sent back, or expires.
Everything that follows the clock (reminders, the ladder of escalation, the deadline) stands in one agenda, and one
timer runs for what comes next. What rules of the house allow (roles, limits, absences) is known before an event is
made; what the task itself promises (outcomes, form, one voice for each person, never the requester) is kept here, so
that it holds whoever makes the event.

States: `offered`, `claimed`, `sent-back` (the requester works on it again), `decided`, `expired`.

    offered ──claim──▶ claimed ──release, a voice of several, a rung──▶ offered
    offered, claimed ──send-back──▶ sent-back ──resubmit──▶ offered, all voices and clocks anew
    offered, claimed ──the last voice──▶ decided        any of the three ──deadline──▶ expired
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from segue.core import consequences
from segue.core.environment import evaluate, iso
from segue.core.machines.act import effect_of
from segue.core.machines.attempt import draw
from segue.core.machines.base import Machine
from segue.core.plan import HumanNode
from segue.core.state import Frame, RunState
from segue.types import DecisionMade, Offer, TaskAssigned, TaskFailure, UpdateOffer, failure

if TYPE_CHECKING:
    from segue.core.turn import Turn

APPROVE: Final = "approve"
EDIT: Final = "edit"
SEND_BACK: Final = "send-back"
RESUBMIT: Final = "resubmit"
UNREVIEWED: Final = "unreviewed"
"""The outcome of a task that no person needed to see: its confidence was high, and the sample left it out."""

_CLOCK: Final = "task"
"""Purpose of its timer."""
_NAMES: Final = ("people", "roles", "groups", "agents")


class Tasking(msgspec.Struct):
    """What a human task remembers.

    Attributes:
        audience: Who may decide now. first: who was asked first, and is again after a resubmission.
        entry: What the form holds now. edited: somebody changed it.
        votes: Voices so far, oldest first.
        agenda: What the clock will do: `[due in ms, "remind" | "escalate" | "deadline", number]`, soonest first.
        reason: Why a person is asked: `always`, `below-threshold` or `sampled`.
    """

    request: dict[str, Any]
    audience: dict[str, Any]
    first: dict[str, Any]
    entry: Any
    agenda: list[list[Any]]
    reason: str
    phase: str = "offered"
    owner: str = ""
    level: int = 0
    edited: bool = False
    votes: list[dict[str, Any]] = []


class Human(Machine):
    """`frame.data` is a `Tasking`, `frame.clock` its next date; the frame's id is the id of its offer."""

    def start(self, turn: Turn, frame: Frame) -> None:
        node = frame.node
        assert isinstance(node, HumanNode)
        request = evaluate(turn, node.arguments, frame.input, frame)
        turn.require_made_fits(request, "what the arguments came to")
        reason = _why_asked(turn, frame, request)
        if reason is None:
            turn.complete(frame, _result(turn, UNREVIEWED, request["data"], asked="no"))
            return
        audience = request["assign"]
        frame.data = Tasking(request, audience, audience, request["data"], clocks_of(request, turn.now), reason)
        place = (node.name, node.pointer, effect_of(turn.state, frame), frame.iteration, frame.attempt)
        turn.give(Offer(frame.id, request, audience, *place))
        arm(turn, frame, frame.data)
        if turn.trace is not None:
            turn.observe("waiting", frame)

    def timer(self, turn: Turn, frame: Frame, purpose: str) -> None:
        if keep_agenda(turn, frame, frame.data, purpose):
            _expire(turn, frame, frame.data)


def keep_agenda(turn: Turn, frame: Frame, task: Tasking, purpose: str) -> bool:
    """Do what the clock has come to, and let it run on; true where that is the deadline, and nothing comes after."""
    while task.agenda and task.agenda[0][0] <= turn.now:
        _, what, number = task.agenda.pop(0)
        if what == "deadline":
            return True
        if task.phase == "sent-back":
            continue  # The ball is with the requester, who is not reminded of what others owe.
        if what == "escalate":
            _escalate(turn, frame, task, number)
        else:
            tell(turn, frame, task, "reminded")
    arm(turn, frame, task, purpose)
    return False


def tasking_of(state: RunState, number: int) -> Tasking | None:
    """What is before people under this id: a human task, or an act that waits for an approval."""
    if not isinstance(state.open.get(number), Offer):
        return None
    withheld = state.withheld.get(number)
    found = state.frames[number].data if withheld is None else withheld.task
    assert isinstance(found, Tasking)
    return found


def refusal(state: RunState, event: DecisionMade | TaskAssigned) -> str | None:
    """Why this event would change nothing; None where it counts."""
    task = tasking_of(state, event.id)
    if task is None:
        return "the task is closed: it was decided before, it expired, or its run went on without it"
    if isinstance(event, DecisionMade):
        if event.id in state.withheld and event.by in state.hands:
            return f"{event.by} started the run or took hold of it, and the requester never decides"
        return _refused_voice(state.frames[event.id], task, event)
    if event.action == "claim" and task.owner not in ("", event.owner):
        return f"{task.owner} has claimed it; they can release it or hand it over"
    if event.action == "claim" and any(vote["by"] == event.owner for vote in task.votes):
        return f"{event.owner} has decided already, and another person must"
    return None


def decide(turn: Turn, frame: Frame, event: DecisionMade) -> None:
    """A voice came in."""
    if refusal(turn.state, event) is not None:
        return
    task: Tasking = frame.data
    if event.outcome == RESUBMIT:
        _resubmit(turn, frame, task, event)
        return
    voice = voice_of(turn, event)
    if event.outcome == SEND_BACK and task.request.get("send_back") is not None:
        _send_back(turn, frame, task, event)
        return
    if _changes(task, event):
        task.edited = True
        task.entry = event.data
        # They approved what the form held before.
        task.votes = [vote for vote in task.votes if vote["outcome"] != APPROVE]
    outcome = APPROVE if event.outcome == EDIT else event.outcome
    task.votes = [*task.votes, {**voice, "outcome": outcome}]
    given = sum(vote["outcome"] == outcome for vote in task.votes)
    if given >= task.request["outcomes"][event.outcome]["votes"]:
        _close(turn, frame, task, "decided", outcome, event.by)
        return
    task.phase, task.owner = "offered", ""
    tell(turn, frame, task, "voted", event.by)


def assign(turn: Turn, frame: Frame, event: TaskAssigned) -> None:
    """It changed hands."""
    task = tasking_of(turn.state, event.id)
    if task is None or refusal(turn.state, event) is not None:
        return
    change = _CHANGES[event.action]
    if event.action == "reassign":
        task.audience = dict(event.audience)
    task.owner = event.owner
    if task.phase != "sent-back":
        task.phase = "claimed" if event.owner else "offered"
    tell(turn, frame, task, change, event.by)


_CHANGES: Final = {
    "claim": "claimed",
    "release": "released",
    "delegate": "delegated",
    "reassign": "reassigned",
}


def _refused_voice(frame: Frame, task: Tasking, event: DecisionMade) -> str | None:
    request = task.request
    offered = [RESUBMIT] if task.phase == "sent-back" else list(request["outcomes"])
    if event.outcome not in offered:
        return f"{event.outcome!r} is not among its outcomes: {', '.join(offered)}"
    if not event.by:
        return "a decision needs somebody who makes it"
    if task.owner not in ("", event.by):
        return f"{task.owner} has claimed it; they can release it or hand it over"
    if event.outcome != RESUBMIT:
        if event.by == request.get("requester"):
            return f"{event.by} requested it, and the requester never decides"
        if any(vote["by"] == event.by for vote in task.votes):
            return f"{event.by} has decided already, and another person must"
    if request["outcomes"].get(event.outcome, {}).get("comment") and not event.comment.strip():
        return f"{event.outcome!r} needs a comment that says why"
    if request.get("form") is None or not _fills_form(request, event.outcome):
        return None
    entered = task.entry if event.data is msgspec.UNSET else event.data
    assert isinstance(frame.node, HumanNode), "nothing else has a form"
    complaint = frame.node.fits(request["form"], entered)
    return None if complaint is None else f"the data does not fit the form: {complaint}"


def _fills_form(request: dict[str, Any], outcome: str) -> bool:
    return outcome == RESUBMIT or bool(request["outcomes"][outcome]["form"])


def _changes(task: Tasking, event: DecisionMade) -> bool:
    fills = event.data is not msgspec.UNSET and _fills_form(task.request, event.outcome)
    return fills and event.data != task.entry


def voice_of(turn: Turn, event: DecisionMade) -> dict[str, Any]:
    """A decision as the trail of its task keeps it."""
    voice = {"outcome": event.outcome, "by": event.by, "at": iso(turn.now)}
    return {**voice, "comment": event.comment} if event.comment else voice


def _send_back(turn: Turn, frame: Frame, task: Tasking, event: DecisionMade) -> None:
    task.phase, task.owner, task.audience = "sent-back", "", task.request["send_back"]
    task.votes = [voice_of(turn, event)]
    tell(turn, frame, task, "sent-back", event.by)


def _resubmit(turn: Turn, frame: Frame, task: Tasking, event: DecisionMade) -> None:
    deadline = [entry for entry in task.agenda if entry[1] == "deadline"]
    clocks = [entry for entry in clocks_of(task.request, turn.now) if entry[1] != "deadline"]
    task.phase, task.owner, task.audience, task.level = "offered", "", task.first, 0
    task.votes = []
    task.entry = task.entry if event.data is msgspec.UNSET else event.data
    task.agenda = sorted(clocks + deadline)
    arm(turn, frame, task)
    tell(turn, frame, task, "resubmitted", event.by)


def _escalate(turn: Turn, frame: Frame, task: Tasking, number: int) -> None:
    task.level = number + 1
    task.audience = _joined(task.audience, task.request["ladder"][number]["to"])
    # Whoever sat on it keeps the right to decide, but not alone any more.
    task.phase, task.owner = "offered", ""
    tell(turn, frame, task, "escalated")


def _joined(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Both audiences."""
    joined: dict[str, Any] = {}
    for key in _NAMES:
        names = [*one.get(key, ()), *other.get(key, ())]
        if names:
            joined[key] = list(dict.fromkeys(names))
    if one.get("manager") or other.get("manager"):
        joined["manager"] = True
    return joined


def _expire(turn: Turn, frame: Frame, task: Tasking) -> None:
    declared = task.request["deadline"]
    if "data" in declared:
        task.entry = declared["data"]
    _close(turn, frame, task, "expired", declared["outcome"], "")


def _close(turn: Turn, frame: Frame, task: Tasking, phase: str, outcome: str, by: str) -> None:
    node = frame.node
    assert isinstance(node, HumanNode)
    task.phase = phase
    tell(turn, frame, task, phase, by, outcome, task.entry)
    del turn.state.open[frame.id]
    result = _result(turn, outcome, task.entry, asked=task.reason, votes=task.votes, edited=task.edited)
    if phase == "decided":
        consequences.note(turn, frame, outcome, task.votes)
    if phase == "expired":
        result |= {"expired": True, "by": None}
    if node.result_check is not None and (complaint := node.result_check(result)) is not None:
        raise TaskFailure(failure("validation", f"the result does not fit its schema: {complaint}"))
    turn.complete(frame, result)


def _result(
    turn: Turn,
    outcome: str,
    entry: Any,
    *,
    asked: str,
    votes: list[dict[str, Any]] | None = None,
    edited: bool = False,
) -> dict[str, Any]:
    last = votes[-1] if votes else {}
    return {
        "outcome": outcome,
        "data": entry,
        "edited": edited,
        "by": last.get("by"),
        "at": iso(turn.now),
        "comment": last.get("comment"),
        "asked": asked,
        "votes": votes or [],
        "expired": False,
    }


def _why_asked(turn: Turn, frame: Frame, request: dict[str, Any]) -> str | None:
    """Why a person is asked at all; None where nobody is."""
    review = request.get("review")
    if review is None:
        return "always"
    if review["confidence"] is None or review["confidence"] < review["threshold"]:
        return "below-threshold"
    # By the task's place in the run: whoever tries again does not roll the dice again.
    return "sampled" if draw(turn.state.seed, effect_of(turn.state, frame), 0) < review["sample"] else None


def clocks_of(request: dict[str, Any], now: int) -> list[list[Any]]:
    """The agenda of a task that is offered now."""
    clocks: list[list[Any]] = [[now + ms, "remind", n] for n, ms in enumerate(request["reminders_ms"])]
    clocks += [[now + rung["after_ms"], "escalate", n] for n, rung in enumerate(request["ladder"])]
    if request.get("deadline") is not None:
        clocks.append([now + request["deadline"]["after_ms"], "deadline", 0])
    return sorted(clocks)


def arm(turn: Turn, frame: Frame, task: Tasking, purpose: str = _CLOCK) -> None:
    """Let the one timer run for what comes next."""
    turn.stop_timer(frame.clock)
    agenda = task.agenda
    frame.clock = turn.start_timer(frame, purpose, agenda[0][0] - turn.now) if agenda else 0


def tell(
    turn: Turn, frame: Frame, task: Tasking, change: str, by: str = "", outcome: str = "", data: Any = None
) -> None:
    """Let the task's row say what happened."""
    now = (task.phase, task.owner, task.audience, task.level, len(task.votes))
    turn.commands.append(UpdateOffer(frame.id, change, *now, by, outcome, data, task.edited))
