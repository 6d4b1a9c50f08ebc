"""Approvals of acts. Law: an act that rules withhold goes out once for each approval, exactly as it was approved, or
not at all; and whoever started the run, or took hold of it, approves nothing in it.

Theory. Which act needs an approval, and what an approval lifts, the host asks its door; the core knows no rules. Told
that one is wanted, it puts an offer in the place of the open act, under the same id. The offer is a human task like
others: it can be claimed and handed on, it waits on one row, and what ends the act's task (a time-out, a sibling, an
operator, the end of the run) withdraws it. Approved, the act takes its place again and the approval goes with it;
refused, its task fails with `authorization`.

An approval belongs to the act's name, so a `try` that sends the same act again need not ask again. It is spent when
the act succeeds. A run that is paused sends what was approved when it goes on.

Reminders, further roles and a deadline follow the clock as for a human task. The deadline refuses: silence approves
nothing.

    open act ──approval wanted──▶ offered ──approve──▶ open act, with the approval ──done──▶ spent
                                  offered ──refuse, deadline──▶ the task fails
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from segue.core.machines import human
from segue.core.machines.act import with_approvals
from segue.core.state import Frame
from segue.types import Approval, ApprovalWanted, DecisionMade, Failure, Offer, Perform, SecretText, failure

if TYPE_CHECKING:
    from segue.core.turn import Turn

APPROVE: Final = "approve"
REFUSE: Final = "refuse"
TIMEOUT: Final = "timeout"
CLOCK: Final = "approval"
"""Purpose of the timer of an act that waits."""
_OUTCOMES: Final[dict[str, Any]] = {
    APPROVE: {"title": "Approve", "votes": 1, "comment": False, "form": False},
    REFUSE: {"title": "Refuse", "votes": 1, "comment": True, "form": False},
}


class Withheld(msgspec.Struct):
    """An act that waits.

    Attributes:
        command: As it goes out once it is approved.
        task: What is before people.
        digest, rules: What an approval is about, and what it lifts; see `ApprovalWanted`.
        approved: It may go out as soon as the run goes on.
    """

    command: Perform
    task: human.Tasking
    digest: str
    rules: dict[str, str]
    approved: bool = False


def want(turn: Turn, event: ApprovalWanted) -> None:
    """Somebody must approve an open act first."""
    state = turn.state
    command, frame = state.open.get(event.id), state.frames.get(event.id)
    # An act that nobody waits for has no task that could wait.
    if not isinstance(command, Perform) or command.detached or frame is None:
        return
    audience = {"roles": [event.role]}
    request = _request(command, event, state.hands)
    task = human.Tasking(request, audience, audience, None, human.clocks_of(request, turn.now), "always")
    state.withheld[event.id] = Withheld(command, task, event.digest, event.rules)
    place = (command.name, command.pointer, command.effect, command.iteration, command.attempt)
    turn.give(Offer(event.id, request, audience, *place))
    human.arm(turn, frame, task, CLOCK)
    if turn.trace is not None:
        turn.observe("waiting", frame)


def decide(turn: Turn, frame: Frame, event: DecisionMade) -> None:
    """Somebody approved or refused."""
    if human.refusal(turn.state, event) is not None:
        return
    state = turn.state
    held: Withheld = state.withheld[frame.id]
    turn.stop_timer(frame.clock)
    frame.clock = 0
    held.task.votes = [human.voice_of(turn, event)]
    held.task.phase = "decided"
    human.tell(turn, frame, held.task, "decided", event.by, event.outcome)
    del state.open[frame.id]
    if event.outcome == REFUSE:
        turn.fault(frame, _refused(held, event))
        return
    state.approvals.append(Approval(held.command.effect, held.digest, held.rules, event.by, turn.now, frame.id))
    held.approved = True
    if not state.paused:
        release(turn)


def timer(turn: Turn, frame: Frame) -> None:
    """The clock has come to something."""
    held: Withheld = turn.state.withheld[frame.id]
    if not human.keep_agenda(turn, frame, held.task, CLOCK):
        return
    outcome = held.task.request["deadline"]["outcome"]
    held.task.phase = "expired"
    human.tell(turn, frame, held.task, "expired", "", outcome)
    del turn.state.open[frame.id]
    turn.fault(frame, _expired(held, outcome))


def release(turn: Turn) -> None:
    """Let go out what was approved."""
    state = turn.state
    for number, held in list(state.withheld.items()):
        if held.approved:
            del state.withheld[number]
            turn.give(with_approvals(state, held.command))


def ask_again(turn: Turn) -> None:
    """The run is another one from here on (a fork): its acts are others, and nobody has approved them."""
    state = turn.state
    state.approvals.clear()
    waiting, state.withheld = state.withheld, {}
    for number, held in waiting.items():
        frame = state.frames[number]
        turn.stop_timer(frame.clock)
        frame.clock = 0
        turn.give(msgspec.structs.replace(held.command, approvals=()))


def _request(command: Perform, event: ApprovalWanted, hands: Sequence[str]) -> dict[str, Any]:
    amount = {} if event.amount is None else {"amount": event.amount}
    # Named for the queue, and so that they are not told of what they cannot decide; `hands` says who never may.
    requester = {"requester": hands[0]} if hands else {}
    return {
        "kind": "approval",
        "title": f"Approve act: {command.name}",
        "description": event.reason,
        "context": {
            "act": {
                "handler": command.handler,
                "arguments": _shown(command.arguments),
                "attempt": command.attempt,
                "digest": event.digest,
            },
            "rules": event.rules,
            "labels": event.labels,
        },
        "data": None,
        "assign": {"roles": [event.role]},
        "priority": "normal",
        "outcomes": _OUTCOMES,
        "authority": {"roles": [event.role], **amount},
        **requester,
        "due_ms": None,
        "reminders_ms": event.clocks.get("reminders_ms", []),
        "ladder": event.clocks.get("ladder", []),
        "deadline": event.clocks.get("deadline"),
    }


def _shown(value: Any) -> Any:
    """Arguments as people may see them: which secrets go out, and not what they are."""
    if isinstance(value, SecretText):
        return str(value)
    if isinstance(value, dict):
        return {key: _shown(item) for key, item in value.items()}
    return [_shown(item) for item in value] if isinstance(value, list) else value


def _refused(held: Withheld, event: DecisionMade) -> Failure:
    detail = (
        f"{held.command.name!r} may not be done: {event.by} refused what {_named(held)} leaves to people:"
        f" {event.comment}"
    )
    return failure("authorization", detail)


def _expired(held: Withheld, outcome: str) -> Failure:
    detail = f"{held.command.name!r} was not done: nobody decided in time what {_named(held)} leaves to people"
    return failure("timeout" if outcome == TIMEOUT else "authorization", detail)


def _named(held: Withheld) -> str:
    return " and ".join(repr(rule) for rule in held.rules)
