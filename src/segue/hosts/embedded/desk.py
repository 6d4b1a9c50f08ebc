"""The desk: rows of human tasks, written in the transaction of the event that they follow from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from segue.core import Tasking, refuses, tasking_of
from segue.hosts.embedded.engine import Engine
from segue.hosts.embedded.live import LiveRun
from segue.store import Batch, codec, human_tasks
from segue.types import DecisionMade, Offer, TaskAssigned, UpdateOffer


class Desk:
    """Keeps the rows of one data folder."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # -- what commands do --------------------------------------------------------------------------

    def offer(self, run: LiveRun, command: Offer) -> None:
        """A task comes before people. Offering it again changes nothing."""
        run.offers.add(command.id)
        plan = run.plan
        self._engine.commit.pending.statements += human_tasks.offer(
            run.seq,
            command.id,
            at=run.state.last_at,
            event=run.events,
            namespace=plan.namespace,
            name=plan.name,
            pointer=command.pointer,
            request=command.request,
            audience=command.audience,
        )

    def update(self, run: LiveRun, command: UpdateOffer) -> None:
        """Something happened to it."""
        if command.state in ("decided", "expired"):
            run.offers.discard(command.id)
        if command.state == "expired":
            data = {"run": run.id, "workflow": run.workflow}
            resource = f"task:{run.id}/{command.id}"
            at, verdict = run.state.last_at, command.outcome
            self._engine.commit.pending.note("task.expired", resource, at=at, verdict=verdict, data=data)
        said = msgspec.structs.asdict(command)
        task = said.pop("id")
        self._engine.commit.pending.statements += human_tasks.update(run.seq, task, at=run.state.last_at, **said)

    def cancel(self, run: LiveRun, command_id: int) -> None:
        """Its run goes on without it, if it was one."""
        if command_id in run.offers:
            run.offers.discard(command_id)
            self._engine.commit.pending.statements += human_tasks.withdraw(run.seq, command_id, run.state.last_at)

    # -- what people do ----------------------------------------------------------------------------

    def attend(
        self, run: LiveRun, event: DecisionMade | TaskAssigned, meant: Callable[[Tasking], None] | None
    ) -> str | None:
        """Apply what somebody did, unless it would change nothing; then say why.

        Args:
            meant: See `EmbeddedHost.attend`.
        """
        timed = msgspec.structs.replace(event, at=self._engine.clock.now_ms())
        said = codec.decode_event(codec.encode(timed))
        assert isinstance(said, DecisionMade | TaskAssigned)
        # From here to the event nothing is awaited: whoever comes second finds the task decided.
        refused = refuses(run.state, said)
        if refused is None:
            held = tasking_of(run.state, said.id)
            if meant is not None and held is not None:
                meant(held)
            self._engine.apply(run, said)
            _note(self._engine.commit.pending, run, said)
        return refused


def _note(batch: Batch, run: LiveRun, event: DecisionMade | TaskAssigned) -> None:
    """Let the audit chain say it, in the transaction of the event."""
    data: dict[str, Any] = {"run": run.id, "workflow": run.workflow}
    if isinstance(event, DecisionMade):
        verdict, reason = event.outcome, event.comment
        data |= {"seen": event.seen, "policy": event.policy, "via": event.via, "allowed": list(event.allowed)}
    else:
        verdict, reason = event.action, event.reason
        data |= {"owner": event.owner, "audience": event.audience}
    # People are named by their id alone in events, as in documents.
    principal = event.by if ":" in event.by else f"person:{event.by}"
    action = "task.decided" if isinstance(event, DecisionMade) else "task.assigned"
    resource = f"task:{run.id}/{event.id}"
    batch.note(action, resource, at=event.at, principal=principal, verdict=verdict, reason=reason, data=data)
