"""The desk: rows of human tasks, written in the transaction of the event that they follow from."""

from __future__ import annotations

import msgspec

from segue.core import refuses
from segue.hosts.embedded.engine import Engine
from segue.hosts.embedded.live import LiveRun
from segue.store import codec, human_tasks
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
        said = msgspec.structs.asdict(command)
        task = said.pop("id")
        self._engine.commit.pending.statements += human_tasks.update(run.seq, task, at=run.state.last_at, **said)

    def cancel(self, run: LiveRun, command_id: int) -> None:
        """Its run goes on without it, if it was one."""
        if command_id in run.offers:
            run.offers.discard(command_id)
            self._engine.commit.pending.statements += human_tasks.withdraw(run.seq, command_id, run.state.last_at)

    # -- what people do ----------------------------------------------------------------------------

    def attend(self, run: LiveRun, event: DecisionMade | TaskAssigned) -> str | None:
        """Apply what somebody did, unless it would change nothing; then say why."""
        timed = msgspec.structs.replace(event, at=self._engine.clock.now_ms())
        said = codec.decode_event(codec.encode(timed))
        assert isinstance(said, DecisionMade | TaskAssigned)
        # From here to the event nothing is awaited: whoever comes second finds the task decided.
        refused = refuses(run.state, said)
        if refused is None:
            self._engine.apply(run, said)
        return refused
