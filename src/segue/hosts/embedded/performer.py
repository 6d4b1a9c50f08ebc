"""The performer: commands reach handlers here, and answers come back as events.

An act that its handler can do at once is done at once. Any other becomes an asyncio task when its turn comes
(`turns.py`): acts beyond the limits wait, nothing is refused. An act that must not simply be repeated begins only
when its intent is on disk, and its outcome is written together with the event that tells the run.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from segue.core.places import place_of
from segue.core.plan import ActNode, UndoNode
from segue.hosts.contracts import Door, HostSettings
from segue.hosts.embedded.engine import Engine
from segue.hosts.embedded.incidents import stopped
from segue.hosts.embedded.live import GONE, Effort, LiveRun
from segue.hosts.embedded.own import spawn
from segue.hosts.embedded.turns import Lane, Turns
from segue.store.effects import EffectState
from segue.types import (
    NOT_DONE,
    ApprovalWanted,
    EffectContext,
    Failure,
    Handler,
    Perform,
    SecretSource,
    SecretVault,
    TaskFailure,
    failure,
    whereabouts,
)

_log = logging.getLogger("segue.hosts")

PerformNow = Callable[[Perform, EffectContext], Any]
TargetOf = Callable[[Perform], str]


class _Withheld(Exception):
    """An act may go out only when somebody approves it."""

    def __init__(self, wanted: ApprovalWanted) -> None:
        super().__init__(wanted.reason)
        self.wanted = wanted


class Act:
    """One act on its way.

    Attributes:
        lane: Where it waits for its turn.
        recovering: It may have been performed before a crash. intended: its intent is on disk.
        has_undo: What it does may be taken back later. takes_back: it is an undo. The ledger has both, even where
            they may be repeated.
        entered: Its task runs, so it says itself how it ended, whatever happens to it.
        begun: Its handler was called. cancelled: Nobody wants its answer any more.
        again: It was called although an earlier attempt may have happened, so that it fails now says nothing.
        verdict: What is recorded of its permission. refused: why it was stopped while under way.
    """

    __slots__ = (
        *("again", "begun", "cancelled", "command", "entered", "handler", "has_undo", "intended"),
        *("lane", "recovering", "refused", "run", "takes_back", "task", "verdict"),
    )

    def __init__(
        self, run: LiveRun, command: Perform, handler: Handler, lane: Lane, *, recovering: bool, intended: bool
    ) -> None:
        self.run = run
        self.command = command
        self.handler = handler
        self.lane = lane
        self.recovering = recovering
        self.intended = intended
        self.has_undo = _has_undo(run, command)
        self.takes_back = _takes_back(run, command)
        self.entered = False
        self.begun = False
        self.again = False
        self.cancelled = False
        self.verdict = ""
        self.refused: Failure | None = None
        self.task: asyncio.Task[None] | None = None


class Performer:
    """Performs commands through handlers."""

    def __init__(
        self,
        engine: Engine,
        handlers: Mapping[str, Handler],
        secrets: SecretSource,
        settings: HostSettings,
        door: Door,
    ) -> None:
        self._door = door
        self._engine = engine
        self._handlers = handlers
        self._secrets = secrets
        self._vault = secrets if isinstance(secrets, SecretVault) else None
        self._turns: Turns[Act] = Turns(settings.acts_max, settings.handler_acts_max)
        self._now: Final[dict[str, PerformNow]] = {
            name: handler.perform_now for name, handler in handlers.items() if hasattr(handler, "perform_now")
        }
        self._targets: Final[dict[str, TargetOf]] = {
            name: handler.target for name, handler in handlers.items() if hasattr(handler, "target")
        }
        # In the order in which they began: what is stopped is stopped in that order, on every machine.
        self._under_way: dict[Act, None] = {}
        self._trying: dict[tuple[int, str], asyncio.Future[None]] = {}
        self._closing = False

    @property
    def acts(self) -> int:
        """Acts under way."""
        return len(self._under_way)

    @property
    def waiting_acts(self) -> int:
        """Acts that wait for their turn."""
        return self._turns.waiting

    def start(self, run: LiveRun, command: Perform, *, recovering: bool = False, intended: bool = False) -> None:
        """Perform a command whose cause is on disk."""
        handler = self._handlers.get(command.handler)
        if handler is None:
            self._engine.fail(run, command.id, _missing(command.handler))
            return
        now = self._now.get(command.handler)
        if (
            now is not None
            and not _has_undo(run, command)
            and not _takes_back(run, command)
            and self._perform_now(now, handler, run, command, recovering)
        ):
            return
        act = Act(run, command, handler, self._lane(run, command), recovering=recovering, intended=intended)
        run.acts[command.id] = act
        if self._turns.enter(act, act.lane, closed=self._closing):
            self._launch(act)

    def stop(self) -> int:
        """Stop what is under way and may not be any more; what waits is asked when its turn comes."""
        refused = 0
        for act in [a for a in self._under_way if a.entered]:
            answer = self._door.ask(act.run.id, act.run.workflow, act.command, act.run.cause, begun=True)
            if isinstance(answer, Failure) and act.task is not None and not act.cancelled:
                act.refused = answer
                act.task.cancel()
                refused += 1
        return refused

    def cancel(self, run: LiveRun, command_id: int) -> None:
        """Stop an act if it is under way or waiting."""
        act = run.acts.pop(command_id, None)
        if act is None:
            return
        act.cancelled = True
        if act.task is not None:
            act.task.cancel()
        else:
            self._turns.drop(act, act.lane)
        if not act.entered:
            # A task that is cancelled before it runs never does, so nobody else would say what may have happened.
            self._stopped(act)

    def drop(self, run: LiveRun) -> None:
        """Stop all acts of a run."""
        for command_id in list(run.acts):
            self.cancel(run, command_id)

    async def close(self, drain_seconds: float) -> None:
        """Stop everything. Acts that must not simply be repeated may finish first, for so long."""
        self._closing = True
        delicate = []
        for act in self._under_way:
            assert act.task is not None
            if act.handler.recovery(act.command) == "repeat":
                act.task.cancel()
            else:
                delicate.append(act.task)
        if delicate:
            await asyncio.wait(delicate, timeout=drain_seconds)
        remaining = [act.task for act in self._under_way if act.task is not None]
        for task in remaining:
            task.cancel()
        await asyncio.gather(*remaining, return_exceptions=True)

    # -- at once -----------------------------------------------------------------------------------

    def _perform_now(
        self, now: PerformNow, handler: Handler, run: LiveRun, command: Perform, recovering: bool
    ) -> bool:
        """Let the handler act at once; False when it would rather have a task."""
        try:
            if handler.recovery(command) != "repeat":
                return False
            verdict = self._admitted(run, command)
            output = now(command, self._context(run, command, recovering))
        except _Withheld as held:
            self._engine.withhold(run, held.wanted)
        except TaskFailure as error:
            self._engine.fail(run, command.id, error.failure)
        except Exception as error:
            self._engine.fail(run, command.id, _unexpected(command, error))
        else:
            if output is NotImplemented:
                return False
            self._engine.answer(run, command.id, output, verdict)
        return True

    def _admitted(self, run: LiveRun, command: Perform) -> str:
        """What is recorded of the permission.

        Raises:
            TaskFailure: The guard does not let it through.
            _Withheld: Somebody must approve it first.
        """
        answer = self._door.ask(run.id, run.workflow, command, run.cause)
        if isinstance(answer, str):
            return answer
        if isinstance(answer, Failure):
            raise TaskFailure(answer)
        raise _Withheld(answer)

    def _context(self, run: LiveRun, command: Perform, recovering: bool, *, has_undo: bool = False) -> EffectContext:
        key = f"{run.id}:{command.effect}"
        secrets = self._secrets if self._vault is None else self._vault.for_act(run.workflow, command)
        return EffectContext(run.id, run.workflow, key, secrets, recovering, run.cause, has_undo)

    # -- as a task ---------------------------------------------------------------------------------

    def _lane(self, run: LiveRun, command: Perform) -> Lane:
        target_of = self._targets.get(command.handler)
        named = target_of is not None and isinstance(command.arguments, dict)
        return Lane(command.handler, target_of(command) if named else "", run.workflow)  # type: ignore[misc]

    def _launch(self, act: Act) -> None:
        self._under_way[act] = None
        act.task = spawn(self._perform(act))
        act.task.add_done_callback(lambda task: self._finished(act))

    def _finished(self, act: Act) -> None:
        self._turns.leave(act.lane)
        self._under_way.pop(act, None)
        while not self._closing and (following := self._turns.next()) is not None:
            self._launch(following)

    async def _perform(self, act: Act) -> None:
        """One act from start to answer. Whatever goes wrong becomes a failure of the task."""
        run, command = act.run, act.command
        act.entered = True
        try:
            act.verdict = self._admitted(run, command)
            careful = act.has_undo or act.takes_back or act.handler.recovery(command) != "repeat"
            output = await (self._perform_carefully(act) if careful else self._repeat(act))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if act.refused is not None and not act.cancelled:
                self._failed(act, act.refused, in_doubt=act.intended if act.begun else self._was_in_doubt(act))
            elif act.cancelled:
                self._stopped(act)
            elif task is not None and not task.cancelling():
                self._settle(act, "unknown")
                self._answer(act, failure("runtime", f"the handler {command.handler!r} cancelled itself"))
            # Otherwise the host closes: no outcome is recorded, and the next start recovers the act.
            raise
        except _Withheld as held:
            self._withhold(act, held.wanted)
        except TaskFailure as error:
            # Before its handler was called only a look-up can have failed, which says nothing about the act.
            self._failed(act, error.failure, in_doubt=act.again if act.begun else self._is_in_doubt(act))
        except Exception as error:
            # An error in a handler may come after the request was sent.
            self._failed(act, _unexpected(command, error), in_doubt=act.intended or self._is_in_doubt(act))
        else:
            self._settle(act, "done", output)
            run.acts.pop(command.id, None)
            if act.has_undo and (run.gone or command.id not in run.state.open):
                # A time-out or a cancel was quicker, though not on disk yet: the run will not take it back.
                self._engine.incidents.late(run, command)
            self._engine.answer(run, command.id, output, act.verdict)

    def _withhold(self, act: Act, wanted: ApprovalWanted) -> None:
        """The act waits for a person. One that may have happened does not: what became of it comes first."""
        if self._is_in_doubt(act):
            why = f"{act.command.name!r} may not be done once more: {wanted.reason}"
            self._failed(act, failure("authorization", why), in_doubt=True)
            return
        act.run.acts.pop(act.command.id, None)
        self._engine.withhold(act.run, wanted)

    def _is_in_doubt(self, act: Act) -> bool:
        """An earlier attempt at the act, or this one before a crash, may have happened."""
        return act.intended or self._was_in_doubt(act)

    @staticmethod
    def _was_in_doubt(act: Act) -> bool:
        """What came before this attempt may have happened, and no look-up has said that it did not."""
        earlier = act.run.efforts.get(act.command.effect)
        return earlier is not None and earlier.state in ("intent", "unknown")

    def _failed(self, act: Act, reason: Failure, *, in_doubt: bool) -> None:
        """The act failed; where nobody knows whether it happened, the failure says so."""
        if in_doubt:
            reason = msgspec.structs.replace(reason, outcome_unknown=True)
        self._settle(act, "unknown" if reason.outcome_unknown else "failed")
        self._answer(act, reason)
        self._tell_unknown(act, reason)

    def _stopped(self, act: Act) -> None:
        """Nobody wants the act any more."""
        # After a crash it may have happened before, even where it was stopped at the look-up, or before its turn.
        in_doubt = act.begun or (act.recovering and act.intended)
        self._settle(act, "unknown" if in_doubt else "failed")
        self._tell_unknown(act, stopped(act.command.pointer))

    async def _repeat(self, act: Act) -> Any:
        self._begin(act)
        return await act.handler.perform(act.command, self._context(act.run, act.command, act.recovering))

    @staticmethod
    def _begin(act: Act) -> None:
        """Its handler is about to be called. Not for what is cancelled already, though that is not on disk yet."""
        if act.command.id not in act.run.state.open:
            act.cancelled = True
            raise asyncio.CancelledError
        act.begun = True

    async def _perform_carefully(self, act: Act) -> Any:
        """Perform an act that must not happen twice; attempts under one key take turns.

        One that nobody waits for may still be on its way when the document tries again, and after a crash both are.
        How the first one ends decides about the second.
        """
        key = (act.run.seq, act.command.effect)
        while (other := self._trying.get(key)) is not None:
            await asyncio.wait([other])
        turn = self._trying[key] = asyncio.get_running_loop().create_future()
        try:
            return await self._perform_in_turn(act)
        finally:
            # Whoever waits goes on later, when the outcome has been noted.
            del self._trying[key]
            turn.set_result(None)

    async def _perform_in_turn(self, act: Act) -> Any:
        run, command = act.run, act.command
        tied = act.has_undo or act.takes_back
        context = self._context(run, command, act.recovering and act.intended, has_undo=tied)
        # An earlier attempt under the same key counts, whether this process made it or one that died.
        earlier = Effort("intent") if act.intended else run.efforts.get(command.effect)
        if earlier is None and run.forgets_efforts:
            earlier = await self._engine.parking.look_up_effort(run, command.effect)
        if earlier is not None:
            found = await self._look_back(act, earlier, context)
            if earlier.state in ("intent", "unknown") and act.handler.recovery(command) != "repeat":
                self._put_right(act, context.key, found)
            if found is not NOT_DONE:
                return found
        if not act.intended:
            self._intend(act, context.key)
            await self._engine.wait_committed()
        self._begin(act)
        repeats = act.handler.recovery(command) == "repeat"
        act.again = repeats and earlier is not None and earlier.state in ("intent", "unknown", GONE)
        run.note_effort(command.effect, Effort("intent"))
        done = await act.handler.perform(command, context)
        if earlier is not None and earlier.state in ("intent", "unknown"):
            # It went out under its key again: whatever came of the earlier attempts, this is it.
            self._put_right(act, context.key, done)
        return done

    def _intend(self, act: Act, key: str) -> None:
        """Enter the act in the ledger."""
        run, command = act.run, act.command
        self._engine.commit.pending.intend(
            run.seq,
            command.id,
            key=key,
            handler=command.handler,
            pointer=command.pointer,
            attempt=command.attempt,
            at=self._engine.clock.now_ms(),
            connection=_connection(command),
            place=place_of(run.plan, run.state, command.effect),
        )
        act.intended = True

    async def _look_back(self, act: Act, earlier: Effort, context: EffectContext) -> Any:
        """What an earlier attempt at this act left outside: its result, or `NOT_DONE`.

        Raises:
            TaskFailure: Nobody but a person can know.
        """
        if earlier.state == "done":
            if act.has_undo:
                self._engine.incidents.taken(context.key)
            if earlier.unread is not None:
                return await self._engine.parking.read_receipt(act.run, earlier.unread)
            return earlier.receipt
        recovery = act.handler.recovery(act.command)
        if recovery == "verify":
            return await act.handler.verify(act.command, context)
        if earlier.state == "failed" or recovery == "repeat":
            return NOT_DONE
        if earlier.state == GONE:
            # So that the ledger has what a person says of it.
            self._intend(act, context.key)
            raise TaskFailure(_forgotten(act.command))
        raise TaskFailure(_unknown(act.command))

    def _settle(self, act: Act, state: str, receipt: Any = None) -> None:
        """The outcome, in the batch of the event that tells the run."""
        if act.intended:
            act.run.note_effort(act.command.effect, Effort(state, receipt))
            now = self._engine.clock.now_ms()
            key = f"{act.run.id}:{act.command.effect}"
            self._engine.commit.pending.settle(act.run.seq, act.command.id, state, now, key=key)
            self._engine.wake()

    def _put_right(self, act: Act, key: str, found: Any) -> None:
        """The system was asked, so the ledger need not say any longer that nobody knows."""
        state: EffectState = "failed" if found is NOT_DONE else "done"
        act.run.efforts[act.command.effect] = Effort(state, None if found is NOT_DONE else found)
        self._engine.incidents.known(key, state, besides=act.command.id)
        self._engine.wake()

    def _tell_unknown(self, act: Act, reason: Failure) -> None:
        """An act of the ledger may have happened; who looks after the run is told, unless its task says so."""
        effort = act.run.efforts.get(act.command.effect)
        if reason.outcome_unknown and act.intended and effort is not None and effort.state == "unknown":
            self._engine.incidents.unknown(act.run, act.command, reason)

    def _answer(self, act: Act, reason: Failure) -> None:
        act.run.acts.pop(act.command.id, None)
        self._engine.fail(act.run, act.command.id, reason)


def _has_undo(run: LiveRun, command: Perform) -> bool:
    if not run.plan.undoes:
        return False
    frame = run.state.frames.get(command.id)
    return frame is not None and isinstance(frame.node, ActNode) and frame.node.undo is not None


def _takes_back(run: LiveRun, command: Perform) -> bool:
    if not run.plan.undoes:
        return False
    frame = run.state.frames.get(command.id)
    return frame is not None and isinstance(frame.node, UndoNode)


def _connection(command: Perform) -> str | None:
    """The connection that an act names, for listings."""
    named = command.arguments.get("use") if isinstance(command.arguments, dict) else None
    return named if command.handler == "connector" and isinstance(named, str) else None


def _missing(name: str) -> Failure:
    return failure("configuration", f"no handler {name!r} is installed here; install or allow it, then run again")


def _unknown(command: Perform) -> Failure:
    detail = (
        f"an attempt at {command.name!r} ended without an answer, and the system cannot be asked whether it happened:"
        " look there, then go on by hand"
    )
    return failure("runtime", detail, outcome_unknown=True)


def _forgotten(command: Perform) -> Failure:
    detail = (
        f"{command.name!r} belongs to a lap that was over, of which the ledger keeps nothing any more, and the system"
        " cannot be asked whether it happened then: look there, then go on by hand"
    )
    return failure("runtime", detail, outcome_unknown=True)


def _unexpected(command: Perform, error: Exception) -> Failure:
    _log.error("handler %r failed unexpectedly at %s: %s", command.handler, command.pointer, whereabouts(error))
    return failure("runtime", f"the handler {command.handler!r} failed: {type(error).__name__}: {error}")
