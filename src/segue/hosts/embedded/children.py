"""Children: `run.workflow`, and whatever else has to reach a run that may not be in memory.

A child begins in the transaction of the event that asked for it, under an id that follows from its parent's, and its
end answers the parent in the transaction of that end. Where the other run is parked, the event goes into its inbox
in the same transaction, and the run is woken to take it out. So the store never holds one half of such a fact, and
reading a run back only has to ask which children of it have not ended.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from segue.core.state import Frame
from segue.hosts.contracts import Door
from segue.hosts.embedded.engine import Engine
from segue.hosts.embedded.live import LiveRun
from segue.hosts.embedded.own import spawn
from segue.hosts.embedded.patience import Patience
from segue.hosts.embedded.plans import Plans
from segue.store import HostError, codec, records
from segue.types import (
    ApprovalWanted,
    AttemptFailed,
    AttemptSucceeded,
    EndRun,
    Event,
    Failure,
    Perform,
    RunCancelled,
    RunStatus,
    TaskFailure,
    causes,
    fail,
    failure,
)

_log = logging.getLogger("segue.hosts")

CHILD_MARK = "~"
"""Between the id of a run and the command that started a child of it. No caller's run id may hold it."""


class Children:
    """Starts, answers and cancels runs on behalf of other runs."""

    def __init__(self, engine: Engine, plans: Plans, door: Door) -> None:
        self._engine = engine
        self._plans = plans
        self._door = door
        self._delivered: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Look for nothing any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def start(self, run: LiveRun, command: Perform) -> None:
        """Start a child, or say why it cannot be started."""
        try:
            self._begin(run, command)
        except TaskFailure as error:
            self._engine.fail(run, command.id, error.failure)
        except (LookupError, ValueError) as error:
            detail = f"the workflow cannot be started: {error}"
            self._engine.fail(run, command.id, failure("configuration", detail))

    def _begin(self, run: LiveRun, command: Perform) -> None:
        wanted = command.arguments
        depth = len(run.above)
        if depth >= self._engine.settings.child_depth_max:
            raise fail(
                "runtime",
                f"workflows are nested {depth} deep here; probably {run.workflow} starts itself without an end",
            )
        digest = self._plans.resolve(wanted["namespace"], wanted["name"], wanted["version"])
        withheld = self._withheld(run, command)
        if withheld is not None:
            self._engine.withhold(run, withheld)
            return
        child = self._engine.begin(
            self._plans.plan(digest),
            f"{run.id}{CHILD_MARK}{command.id}",
            digest=digest,
            input=codec.settled(wanted.get("input"), self._engine.settings.payload_bytes_max),
            cause={
                "kind": "run",
                "run": run.id,
                "task": command.pointer,
                **causes.handed_on(run.cause, run.workflow, command.pointer),
            },
            parent=None if command.detached else run,
            parent_command=None if command.detached else command.id,
            starter=run,
            guarded=not command.detached and _is_guarded(run, command.id),
        )
        if command.detached:
            self._engine.answer(run, command.id, None)
        else:
            run.children[command.id] = child.seq
            self._engine.parking.consider(run)

    def _withheld(self, run: LiveRun, command: Perform) -> ApprovalWanted | None:
        """Starting another workflow is an act like others, and what is stopped starts no runs.

        Returns:
            Who must approve it first; None where nobody has to.

        Raises:
            TaskFailure: The door does not let it through.
        """
        answer = self._door.ask(run.id, run.workflow, command, run.cause)
        if isinstance(answer, Failure):
            raise TaskFailure(answer)
        wanted = f"{command.arguments['namespace']}/{command.arguments['name']}"
        if not self._door.may_start(wanted):
            raise fail("authorization", f"{command.name!r} may not be done: the workflow {wanted} is stopped")
        return answer if isinstance(answer, ApprovalWanted) else None

    def ended(self, child: LiveRun, command: EndRun) -> None:
        """Answer the parent of a run that ended."""
        assert child.parent is not None
        assert child.parent_command is not None
        parent = self._engine.runs.get(child.parent)
        event = self._answer(child.id, child.parent_command, command.status, command.output, command.failure)
        if parent is None:
            self._post(child.parent, event)
        else:
            parent.children.pop(child.parent_command, None)
            self._give(parent, event)

    def cancel(self, run: LiveRun, command_id: int) -> None:
        """The run no longer wants its child."""
        child_seq = run.children.pop(command_id, None)
        if child_seq is not None:
            self._cancel(run, child_seq)

    def _cancel(self, run: LiveRun, child_seq: int) -> None:
        event = RunCancelled(self._engine.clock.now_ms(), by=f"run {run.id}", reason="its parent went on without it")
        child = self._engine.runs.get(child_seq)
        if child is None:
            self._post(child_seq, event)
        else:
            self._engine.apply(child, event)

    # -- inbox -------------------------------------------------------------------------------------

    def _post(self, seq: int, event: Event) -> None:
        """Leave an event for a run that is not in memory, and wake it once the event is on disk."""
        number, self._engine.next_inbox = self._engine.next_inbox, self._engine.next_inbox + 1
        self._engine.commit.pending.statements.append(records.put_inbox(number, seq, codec.encode(event)))
        self._engine.after_commit(lambda: self.fetch(seq, number, event))

    def fetch(self, seq: int, number: int, event: Event) -> None:
        """Wake a run for an event in its inbox."""
        self._spawn(self._fetch(seq, number, event))

    async def _fetch(self, seq: int, number: int, event: Event) -> None:
        patience = Patience(self._engine.clock)
        while True:
            try:
                run = await self._engine.parking.ensure(seq)
                break
            except HostError as error:
                _log.warning("a run gets its event when it can be read: %s", error)
                await patience.wait()
        if run is not None:
            self.deliver(run, number, event)
        else:
            self._engine.commit.pending.statements.append(records.delete_inbox(number))
            self._engine.wake()

    def deliver(self, run: LiveRun, number: int, event: Event) -> None:
        """Take an event out of the inbox of a run in memory; once, however often it is asked."""
        if number in self._delivered:
            return
        self._delivered.add(number)
        self._engine.commit.pending.statements.append(records.delete_inbox(number))
        self._engine.after_commit(lambda: self._delivered.discard(number))
        self._give(run, event)

    def _give(self, run: LiveRun, event: Event) -> None:
        if isinstance(event, AttemptSucceeded):
            self._engine.answer(run, event.id, event.output)
        elif isinstance(event, AttemptFailed):
            self._engine.fail(run, event.id, event.failure)
        else:
            self._engine.apply(run, event)

    # -- answers -----------------------------------------------------------------------------------

    def _answer(
        self, child: str, command_id: int, status: RunStatus, output: Any, reason: Failure | None
    ) -> AttemptSucceeded | AttemptFailed:
        """What the end of a child means to its parent: its output, or its error raised there."""
        now = self._engine.clock.now_ms()
        if status == "completed":
            return AttemptSucceeded(now, command_id, output)
        if reason is None:
            reason = failure("runtime", f"run {child} was {status}")
        # The pointer of the child's task means nothing in the parent's document.
        outer = Failure(reason.type, reason.status, reason.title, reason.detail)
        return AttemptFailed(now, command_id, outer)

    def _spawn(self, work: Any) -> None:
        task = spawn(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _is_guarded(run: LiveRun, command_id: int) -> bool:
    """The task that starts a child stands in the list of a `try`, so its parent may catch what fails in it."""
    frame: Frame | None = run.state.frames.get(command_id)
    while frame is not None:
        above = frame.parent
        if above is not None and above.node.kind == "try" and frame.node.section == "try":
            return True
        frame = above
    return False
