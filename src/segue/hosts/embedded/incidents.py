"""The exception inbox as the host fills it: a failure comes in and goes out in the transaction of its event.

Held tasks follow from the state: those that an event adds come in, those that it takes away go out, with what the
event says of who did it and why. Faulted runs come in closed. An act whose outcome is unknown comes in where nobody
holds the task: then only the ledger can still be put right.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from hashlib import blake2b
from typing import Any, Final

from segue.core import Plan
from segue.core.machines.act import AGAIN, effect_of, node_of, split
from segue.core.plan import ActNode, Node, UndoNode
from segue.core.state import Frame
from segue.hosts.contracts import Outcome
from segue.hosts.embedded.engine import Engine
from segue.hosts.embedded.live import Effort, LiveRun
from segue.store import RunRecord, Store, codec, effects, incidents
from segue.store.effects import EffectEntry, EffectState
from segue.types import (
    Event,
    Failure,
    FailureReleased,
    Perform,
    RunCancelled,
    TaskRestarted,
    TaskSkipped,
    failure,
)

_ACTIONS: Final[dict[type, str]] = {
    TaskRestarted: "retry",
    TaskSkipped: "skip",
    FailureReleased: "give-up",
    RunCancelled: "cancel",
}
ENDED: Final = "ended"
"""The task is held no longer, and no person did it: a time-out around it, a sibling that won."""
_READ_AT_ONCE: Final = 500


class Incidents:
    """Fills the inbox of one data folder."""

    def __init__(self, engine: Engine, store: Store) -> None:
        self._engine = engine
        self._store = store
        self._said: tuple[LiveRun, str] | None = None

    async def open(self) -> None:
        """Put right what an earlier release, or a crash between two commits, left behind."""
        while rows := await self._store.read(partial(incidents.unfinished, limit=_READ_AT_ONCE)):
            await self._store.write(
                incidents.set_fingerprint(number, fingerprint(namespace, name, pointer, reason))
                for number, namespace, name, pointer, reason in rows
            )
        while entries := await self._store.read(partial(effects.unsettled_of_closed_runs, limit=_READ_AT_ONCE)):
            now = self._engine.clock.now_ms()
            batch = self._engine.commit.pending
            for entry in entries:
                batch.settle(entry.run, entry.command, "unknown", now, key=entry.key)
                batch.bring_in(self._orphan(entry, now))
            await self._engine.commit.wait_durable()

    # -- what events do ----------------------------------------------------------------------------

    def held(self, run: LiveRun) -> Mapping[int, Collection[str]]:
        """The tasks that a run holds, each with the acts of it of which nobody knows whether they happened."""
        doubts = [name for name, effort in run.efforts.items() if effort.state == "unknown"]
        frames = run.state.frames
        return {
            task: [name for name in doubts if reason.outcome_unknown and _belongs(run, frames[task], name)]
            for task, reason in run.state.held.items()
        }

    def follow(self, run: LiveRun, event: Event, before: Mapping[int, Collection[str]], *, was_closing: bool) -> None:
        """An event was applied to a run that had these held tasks; called before its batch leaves.

        Args:
            before: As `held` said before the event.
            was_closing: It had failed, or was cancelled, before, and this event is about what is being undone.
        """
        if run.hidden:
            return
        held = run.state.held
        for task, doubts in before.items():
            if task not in held:
                self._close(run, task, event, doubts)
        for task, reason in held.items():
            if task not in before:
                self._open_held(run, task, reason)
        state = run.state
        why = state.failure if state.closing is None else state.closing.failure
        if why is not None and not was_closing and not isinstance(event, FailureReleased):
            # Given up: the held task told of this failure, and that it was given up closes it.
            self._open(run, 0, "faulted", why.instance or "", why)

    def rebuild(self, run: LiveRun) -> None:
        """A run was read from disk. What it holds is in the inbox already, unless an earlier release held it."""
        for task, reason in run.state.held.items():
            self._open_held(run, task, reason, again=True)

    @contextmanager
    def saying(self, run: LiveRun, action: str | None) -> Iterator[None]:
        """What a person calls the event that is applied meanwhile; None: what it is usually called."""
        self._said = None if action is None else (run, action)
        try:
            yield
        finally:
            self._said = None

    def quarantined(self, run: LiveRun, reason: str) -> None:
        """A bug stopped a run in memory."""
        if not run.hidden:
            self._open(run, 0, "quarantined", "", failure("runtime", reason))

    def unreadable(self, record: RunRecord, reason: str) -> None:
        """A run could not be read back. Its plan may be what is broken, so nobody is asked for an owner."""
        if record.hidden:
            return
        why = failure("runtime", reason)
        row = incidents.row_of(
            record.seq,
            0,
            "quarantined",
            at=self._engine.clock.now_ms(),
            event=0,
            namespace=record.namespace,
            name=record.name,
            pointer="",
            failure=why,
            fingerprint=fingerprint(record.namespace, record.name, "", why),
        )
        self._engine.commit.pending.bring_in(row)

    # -- acts whose outcome is unknown ---------------------------------------------------------------

    def unknown(self, run: LiveRun, command: Perform, reason: Failure) -> None:
        """Nobody knows whether an act of the ledger happened. Where its task is held for that, it says so already."""
        held = run.state.held.values()
        told = any(failed.outcome_unknown and failed.instance == command.pointer for failed in held)
        if not told and not run.hidden:
            reason = reason.at(command.pointer)
            self._open(run, command.id, "unknown", command.pointer, reason, effect=f"{run.id}:{command.effect}")

    def late(self, run: LiveRun, command: Perform) -> None:
        """An act that can be taken back succeeded when its run had just stopped waiting for it."""
        detail = (
            "this act succeeded when its task had just been ended, so it stands, and the run does not take it back:"
            " take it back in the system, or leave it"
        )
        reason = failure("runtime", detail, instance=command.pointer)
        self._open(run, command.id, "unknown", command.pointer, reason, effect=f"{run.id}:{command.effect}")
        self._engine.wake()

    def taken(self, key: str) -> None:
        """An act that had succeeded before gives its answer again, and its run knows of it from now on."""
        now = self._engine.clock.now_ms()
        why = "the run has its answer, and takes it back where that is to be"
        self._engine.commit.pending.statements.append(incidents.close_unknown(key, "answered", "", why, now))

    def orphaned(self, run: LiveRun, command_id: int, key: str, pointer: str) -> None:
        """An act was begun, the process died, and its run has gone on without waiting for it."""
        now = self._engine.clock.now_ms()
        self._engine.commit.pending.settle(run.seq, command_id, "unknown", now, key=key)
        run.efforts[key.removeprefix(f"{run.id}:")] = Effort("unknown")
        self._open(run, command_id, "unknown", pointer, stopped(pointer), effect=key)
        self._engine.wake()

    def known(self, key: str, state: EffectState, *, besides: int = -1) -> None:
        """The system was asked: earlier attempts at this act happened, or did not."""
        now = self._engine.clock.now_ms()
        self._engine.commit.pending.note("effect.verify", f"effect:{key}", at=now, verdict=state)
        self._engine.commit.pending.statements += [
            effects.settle_key(key, state, now, besides=besides),
            incidents.close_unknown(key, "verified", "", f"the system was asked: {_OUTCOMES[state]}", now),
        ]

    def settle(self, run: LiveRun, frame: Frame, outcome: Outcome, *, by: str, reason: str) -> None:
        """A person said how the acts of this task ended whose outcome is unknown."""
        now = self._engine.clock.now_ms()
        receipt = codec.settled(outcome.receipt)
        for name, effort in list(run.efforts.items()):
            if effort.state in ("intent", "unknown") and _belongs(run, frame, name):
                key = f"{run.id}:{name}"
                run.efforts[name] = Effort(outcome.state, receipt)
                self._engine.said("effect.decide", f"effect:{key}", by, reason, verdict=outcome.action)
                self._engine.commit.pending.statements += [
                    effects.settle_key(key, outcome.state, now, receipt=receipt),
                    incidents.close_unknown(key, outcome.action, by, reason, now),
                ]

    # -- rows --------------------------------------------------------------------------------------

    def _open_held(self, run: LiveRun, task: int, reason: Failure, *, again: bool = False) -> None:
        self._open(run, task, "held", run.state.frames[task].node.pointer, reason, again=again)
        if reason.outcome_unknown and reason.instance is not None:
            # Earlier attempts at the same act may have come in while the task was not held yet.
            now = self._engine.clock.now_ms()
            for name, effort in run.efforts.items():
                if effort.state == "unknown" and _belongs(run, run.state.frames[task], name):
                    key = f"{run.id}:{name}"
                    self._engine.commit.pending.statements.append(
                        incidents.close_unknown(key, "held", "", "its task is held and says the same", now)
                    )

    def _close(self, run: LiveRun, task: int, event: Event, doubts: Collection[str]) -> None:
        action = _ACTIONS.get(type(event), ENDED)
        if self._said is not None and self._said[0] is run:
            action = self._said[1]
        if not isinstance(event, RunCancelled) and getattr(event, "node", None) is None and _task_of(event) != task:
            action = ENDED  # What was decided is about another task, which took this one with it.
        by, reason = getattr(event, "by", ""), getattr(event, "reason", "")
        self._engine.commit.pending.take_out(run.seq, task, action, by, reason, run.state.last_at)
        if action in (ENDED, "cancel"):
            # Nobody has said what became of them, and the task that asked is gone.
            for name in doubts:
                self._ask_about(run, task, name)

    def _ask_about(self, run: LiveRun, task: int, name: str) -> None:
        node = node_of(run.plan, run.state, name)
        pointer, key = "" if node is None else node.pointer, f"{run.id}:{name}"
        detail = (
            "nobody knows whether this act happened, and its task has ended without anybody's decision: look in the"
            " system, then say what you found"
        )
        reason = failure("runtime", detail, outcome_unknown=True, instance=pointer)
        self._open(run, task, "unknown", pointer, reason, effect=key)
        # Where it was asked about in this same batch before its task was held, that question counts again.
        self._engine.commit.pending.statements.append(incidents.reopen_unknown(key))

    def _open(
        self,
        run: LiveRun,
        task: int,
        kind: incidents.IncidentKind,
        pointer: str,
        reason: Failure,
        *,
        effect: str | None = None,
        again: bool = False,
    ) -> None:
        plan = run.plan
        # Of a run in memory the newest event's time counts, so that a rebuilt incident does not look new.
        now = run.state.last_at if hasattr(run, "state") else self._engine.clock.now_ms()
        row = incidents.row_of(
            run.seq,
            task,
            kind,
            at=now,
            event=run.events,
            namespace=plan.namespace,
            name=plan.name,
            pointer=pointer,
            failure=reason,
            fingerprint=fingerprint(plan.namespace, plan.name, pointer, reason),
            effect=effect,
            again=again,
            **self._duty(plan, now),
        )
        self._engine.commit.pending.bring_in(row)

    def _duty(self, plan: Plan, now: int) -> dict[str, Any]:
        policy = self._engine.policy(plan)
        deadline = None if policy.deadline_ms is None else now + policy.deadline_ms
        if deadline is not None:
            self._engine.escalation.expect(deadline)
        return {"owner": policy.owner, "deadline": deadline}

    def _orphan(self, entry: EffectEntry, now: int) -> tuple[Any, ...]:
        reason = stopped(entry.pointer)
        return incidents.row_of(
            entry.run,
            entry.command,
            "unknown",
            at=now,
            event=0,
            namespace=entry.namespace,
            name=entry.name,
            pointer=entry.pointer,
            failure=reason,
            fingerprint=fingerprint(entry.namespace, entry.name, entry.pointer, reason),
            effect=entry.key,
        )


_OUTCOMES: Final[dict[EffectState, str]] = {"done": "it happened", "failed": "it did not happen"}


def fingerprint(namespace: str, name: str, pointer: str, reason: Failure) -> str:
    """The same for failures with the same cause: workflow, place, error type and status."""
    cause = "\n".join((namespace, name, reason.instance or pointer, reason.type, str(reason.status)))
    return blake2b(cause.encode(), digest_size=6).hexdigest()


def _task_of(event: Event) -> int | None:
    """The task that an intervention is about."""
    return event.id if isinstance(event, TaskRestarted | TaskSkipped | FailureReleased) else None


def stopped(pointer: str) -> Failure:
    """An act was stopped, or the process died, before its answer came."""
    detail = (
        "the act was stopped before its answer came, so it may have happened: look in the system, then say what you"
        " found"
    )
    return failure("runtime", detail, outcome_unknown=True, instance=pointer)


def _belongs(run: LiveRun, frame: Frame, effect: str) -> bool:
    """This act was performed by the task, or below it."""
    if isinstance(frame.node, UndoNode):
        return effect == str(frame.data)  # Its name says already which time it takes the act back.
    if isinstance(frame.node, ActNode):
        return effect.partition(AGAIN)[0] == effect_of(run.state, frame)
    # A loop counts for its children; the loop itself belongs to the iteration around it.
    around = frame.iteration if frame.parent is None else frame.parent.iteration
    turns = "".join(f"[{place}]" for place in around)
    node = node_of(run.plan, run.state, effect)
    return node is not None and split(effect)[1].startswith(turns) and _stands_in(node, frame.node)


def _stands_in(node: Node, root: Node) -> bool:
    pending = [root]
    while pending:
        above = pending.pop()
        if above is node:
            return True
        pending += [child for listed in above.children() for child in listed]
    return False
