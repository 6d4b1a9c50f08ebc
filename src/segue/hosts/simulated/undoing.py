"""The law of undo: what completed is taken back in reverse order, each act once, and nothing else is.

`Undoing` is a second, simpler model of one run: which acts with an `undo` stand, in the order in which they first
completed, each with the `try` tasks in whose lists it stands. It is told of each event, and of what became of tasks.

    begins   only for the newest act that stands in its scope, with what that act answered; one at a time in a
             scope; only when the list of the `try` has failed, or the run has
    ends     takes the act out. One that failed is left only where a person gives it up
    finishes where it was cut off: only what a `try` had begun to take back, before the list of a `try` starts
             again, and before a run ends well
    over     when a `try` goes on after a failure, or a run ends badly, nothing stands in it; where a run ends well,
             nothing stands that a `try` had begun to take back

`require_accounted` compares that with what really happened outside: there, too, nothing may stand or be taken back
that the run does not know of, unless somebody was asked about it in the exception inbox. The ledger has all of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from segue.core import Moment, Plan, RunState
from segue.core.plan import ActNode, ExtendedNode, Node, UndoNode
from segue.core.state import Frame
from segue.hosts.simulated.building import IDENTITY
from segue.hosts.simulated.effects import Effects
from segue.hosts.simulated.reach import require
from segue.types import (
    AttemptSucceeded,
    Command,
    EndRun,
    Event,
    FailureReleased,
    Perform,
    TaskRestarted,
    TaskSkipped,
    TimerFired,
)

Scope = tuple[Any, ...]
"""One activation of a `try`, the same over all its attempts: its name, the iterations and the laps around it."""

_ENDS: Final = ("completed", "skipped", "faulted", "cancelled")
_FAILED: Final = frozenset({"faulted", "cancelled", "undone"})


@dataclass(slots=True)
class Standing:
    """An act that happened and can be taken back. `begun`: a `try` around it has begun to take back its list."""

    name: str
    iteration: tuple[int, ...]
    within: frozenset[Scope]
    result: Any
    begun: bool = False


class Undoing:
    """What one run has done that can be taken back, and what became of it.

    Attributes:
        standing: By the act's effect, in the order in which they first completed.
        known: Effects of acts with an undo that succeeded. undone: those that were taken back. by_hand: those of
            which a person said so. left: those that a person left standing.
        declared: Effects of all acts with an undo that were ever asked for, and where they stand in the document.
        called: Effects of undos, by that of the act that they take back.
    """

    def __init__(self) -> None:
        self.standing: dict[str, Standing] = {}
        self.known: set[str] = set()
        self.undone: set[str] = set()
        self.by_hand: set[str] = set()
        self.left: set[str] = set()
        self.declared: dict[str, str] = {}
        self.called: dict[str, str] = {}
        self._under_way: dict[int, tuple[str, Scope]] = {}
        self._given_up: set[str] = set()
        self._altered: set[str] = set()
        self._tries: dict[str, Scope | None] = {}
        self._last: dict[str, str] = {}
        self._finishing: set[str] = set()
        self._nodes: dict[str, dict[str, _Place]] = {}

    # -- before an event -----------------------------------------------------------------------------

    def expect(self, state: RunState | None, event: Event, performs: Mapping[int, Perform]) -> None:
        """An event is about to be applied: does it tell of an act that happened?"""
        if state is None or state.ended is not None:
            return
        if isinstance(event, TaskRestarted) and event.id in self._under_way and event.input is not msgspec.UNSET:
            self._altered.add(self._under_way[event.id][0])
        if isinstance(event, TimerFired) and event.id in state.timers:
            attempted, purpose = state.timers[event.id]
            if purpose == "attempt":
                # In a run that is paused nothing of the list may have begun, or be left to be cancelled.
                self._last[attempted.node.name] = "cancelled"
        if not isinstance(event, AttemptSucceeded | TaskSkipped):
            return
        frame = state.frames.get(event.id)
        if frame is None:
            return
        if isinstance(event, TaskSkipped):
            if isinstance(frame.node, ExtendedNode) and frame.parent is not None:
                self._last[frame.parent.node.name] = "skipped"  # Wrappers are in no trace.
            if not event.happened:
                return
        elif not isinstance(state.open.get(event.id), Perform):
            return
        node = frame.node
        if isinstance(node, ActNode) and node.undo is not None:
            self._happened(frame, performs[event.id].effect, event.output)

    def _happened(self, frame: Frame, effect: str, result: Any) -> None:
        self.known.add(effect)
        # Where it completed before, it keeps its place.
        self.standing[effect] = Standing(frame.node.name, frame.iteration, frozenset(_scopes(frame)), result)

    # -- after an event ------------------------------------------------------------------------------

    def follow(
        self, plan: Plan, event: Event, commands: Sequence[Command], moments: Sequence[Moment], after: RunState
    ) -> None:
        """Check what an event led to.

        Raises:
            Violation: Something was undone that must not be, or not in its turn, or was left standing.
        """
        places = self._nodes.get(plan.digest)
        if places is None:
            places = self._nodes[plan.digest] = _places(plan)
        for moment in moments:
            if moment.kind == "undo":
                self._undo(moment, event, after)
            elif moment.kind != "workflow":
                self._task(places[moment.pointer], moment, after)
        for command in commands:
            if isinstance(command, Perform):
                self._performs(command, places[command.pointer].node, after)
            elif isinstance(command, EndRun):
                self._ends(command)
        for deferred in after.deferred:
            if isinstance(deferred.node, UndoNode):
                self._sets_out(deferred.parent, after)

    def _undo(self, moment: Moment, event: Event, after: RunState) -> None:
        if moment.what == "started":
            frame = after.frames.get(moment.id)
            if frame is not None:  # Otherwise something around it has ended in the same breath.
                self._begins(frame, after)
            return
        if moment.what not in _ENDS or moment.id not in self._under_way:
            return
        effect, scope = self._under_way.pop(moment.id)
        if scope:
            self._last[scope[0]] = "undone"
        if moment.what == "cancelled":
            return  # What is around it takes over.
        del self.standing[effect]
        if moment.what == "completed":
            require(effect in self.called, f"the undo of {effect!r} succeeded, and was never asked for")
            self.undone.add(effect)
        elif moment.what == "skipped":
            self.by_hand.add(effect)
        else:
            given_up = isinstance(event, FailureReleased) and event.id == moment.id
            require(given_up, f"{moment.name!r} failed, and {effect!r} is left standing though nobody gave it up")
            self.left.add(effect)
            self._given_up.add(effect)

    def _sets_out(self, around: Frame, after: RunState) -> tuple[Scope, list[str]]:
        """Something is taken back here, now or, in a run that is paused, once it goes on: its scope, what stands."""
        scope = () if around.parent is None else _scope(around)
        inside = [effect for effect, act in self.standing.items() if not scope or scope in act.within]
        if scope and self._last.get(scope[0]) == "fresh":
            self._finishing.add(scope[0])
        is_over = not scope and after.closing is not None and after.closing.status == "completed"
        if is_over or (scope and scope[0] in self._finishing):
            return scope, [effect for effect in inside if self.standing[effect].begun]
        for effect in inside:
            self.standing[effect].begun = True
        return scope, inside

    def _begins(self, frame: Frame, after: RunState) -> None:
        around = frame.parent
        assert around is not None
        scope, inside = self._sets_out(around, after)
        require(inside, f"{frame.node.name!r} began, but nothing stands that it could take back")
        effect, act = inside[-1], self.standing[inside[-1]]
        is_newest = (frame.node.name, frame.iteration) == (f"undo {act.name}", act.iteration)
        require(is_newest, f"{frame.node.name!r} began, but {act.name!r} {effect!r} is the newest that stands")
        others = [other for other, where in self._under_way.values() if where == scope]
        require(not others, f"{frame.node.name!r} began beside the undo of {others!r}")
        beside = [f.node.name for f in after.frames.values() if f.parent is around and f is not frame]
        require(not beside, f"{frame.node.name!r} began beside {beside!r}")
        failed = after.closing is not None if not scope else self._last.get(scope[0]) in _FAILED
        require(
            failed or (scope[:1] and scope[0] in self._finishing),
            f"{frame.node.name!r} began, though nothing has failed for good",
        )
        self._under_way[frame.id] = (effect, scope)
        if scope:
            self._last[scope[0]] = "undoing"

    def _task(self, place: _Place, moment: Moment, after: RunState) -> None:
        if moment.kind == "try":
            self._try(place, moment, after)
        if place.around is None:
            return
        if moment.what not in _ENDS and moment.what != "started":
            return
        # A list may begin with a task whose `if` does not hold.
        is_first = moment.what in ("started", "skipped") and self._last.get(place.around) in ("fresh", "undone")
        if place.section == "try" and is_first:
            self._finishing.discard(place.around)
            self._nothing_stands_in(place.around, "though its list starts again", only_begun=True)
        if place.section == "catch" and moment.what in ("started", "skipped"):
            self._nothing_stands_in(place.around, "though its failure is handled")
        if moment.what == "cancelled" and self._last.get(place.around) == "skipped":
            return  # It was below what a person skipped, which is over and well.
        self._last[place.around] = moment.what

    def _try(self, place: _Place, moment: Moment, after: RunState) -> None:
        if moment.what == "started":
            frame = after.frames.get(moment.id)
            self._tries[moment.name] = None if frame is None else _scope(frame)
            self._last[moment.name] = "fresh"
            self._finishing.discard(moment.name)
        elif moment.what == "retried":
            self._last[moment.name] = "fresh"
        elif moment.what == "completed" and self._last.get(moment.name) in _FAILED:
            self._nothing_stands_in(moment.name, "though it went on after its failure")

    def _nothing_stands_in(self, name: str, why: str, *, only_begun: bool = False) -> None:
        scope = self._tries.get(name)
        inside = {effect: act for effect, act in self.standing.items() if scope is not None and scope in act.within}
        left = [effect for effect, act in inside.items() if act.begun or not only_begun]
        require(not left, f"{left!r} of the list of {name!r} are left standing, {why}")

    def _performs(self, command: Perform, node: Node, after: RunState) -> None:
        found = self._under_way.get(command.id)
        if found is None:
            again = command.effect in self.undone or command.effect in self.by_hand
            require(not again, f"{command.name!r} is done again under the key {command.effect!r}, which was undone")
            if isinstance(node, ActNode) and node.undo is not None:
                self.declared[command.effect] = command.pointer
            return
        effect, act = found[0], self.standing[found[0]]
        require(_rest(command.effect) == _rest(effect), f"the undo of {effect!r} is called {command.effect!r}")
        self._given_up.discard(effect)
        called = self.called.setdefault(effect, command.effect)
        require(called == command.effect, f"the undo of {effect!r} was called {called!r}, now {command.effect!r}")
        if isinstance(node, ActNode) and node.arguments is IDENTITY and effect not in self._altered:
            same = command.arguments == act.result
            require(same, f"{effect!r} answered {act.result!r}, and is taken back with {command.arguments!r}")

    def _ends(self, command: EndRun) -> None:
        left = [effect for effect, act in self.standing.items() if act.begun or command.status != "completed"]
        require(not left, f"the run is {command.status!r}, and {left!r} are left standing")
        self.standing.clear()

    # -- outside -------------------------------------------------------------------------------------

    def require_standing(self, run_id: str, effect: str, effects: Effects) -> None:
        """An act is said to have succeeded: then nobody may have taken it back meanwhile.

        Raises:
            Violation: Its undo has happened.
        """
        undo = f"{run_id}:{self.called.get(effect)}"
        gone = effects.held.get(undo) and not effects.is_told(undo) and effect not in self.left
        require(not gone, f"{effect!r} of {run_id!r} is said to stand, but {undo!r} has taken it back")

    def require_accounted(
        self, run_id: str, ended: str | None, effects: Effects, asked: Set[str | None], entered: Set[str]
    ) -> None:
        """Compare with what happened outside.

        Args:
            ended: How the run did. asked: Effect keys and places of the document about which somebody was asked.
            entered: Effect keys that the ledger has.

        Raises:
            Violation: Something stands there of which nobody was told, or was not taken back.
        """
        for effect, pointer in self.declared.items():
            key = f"{run_id}:{effect}"
            known = effect in self.known or effects.is_told(key) or key in asked or pointer in asked
            forgotten = bool(effects.held.get(key)) and not known
            require(not forgotten, f"{key!r} happened, its run does not know, and nobody was asked")
            require(not effects.held.get(key) or key in entered, f"{key!r} happened, and the ledger does not have it")
        under_way = {effect for effect, _ in self._under_way.values()}
        for effect, undo in self.called.items():
            key = f"{run_id}:{undo}"
            if not effects.held.get(key):
                continue
            require(key in entered, f"{key!r} happened, and the ledger does not have it")
            is_cut_off = ended is None and effect in self.standing and effect not in under_way
            # Whoever gave an undo up was asked; a list that goes on then takes its act's first answer.
            known = effects.is_told(key) or key in asked or key in effects.noted or effect in self._given_up
            require(known or not is_cut_off, f"{key!r} was cut off, has happened, and nobody was asked")
        if ended not in ("faulted", "cancelled"):
            return
        for effect in self.known - self.left - self.by_hand:
            key = f"{run_id}:{self.called.get(effect)}"
            gone = effect in self.undone and (effects.held.get(key) or effects.is_told(key))
            require(gone, f"{run_id!r} is {ended!r}, and what {effect!r} did outside was not taken back")


@dataclass(slots=True)
class _Place:
    """A task, the `try` right around it, if there is one, and in which of its lists."""

    node: Node
    around: str | None = None
    section: str = ""


def _places(plan: Plan) -> dict[str, _Place]:
    """The tasks of a plan by pointer. A wrapper stands for the task that it wraps, and is in no trace."""
    above = {child: node for node in plan.nodes for listed in node.children() for child in listed}
    found: dict[str, _Place] = {}
    for node in plan.nodes:
        if isinstance(node, ExtendedNode):
            continue
        outer = node
        while isinstance(above.get(outer), ExtendedNode):
            outer = above[outer]
        around = above.get(outer)
        is_in_try = around is not None and around.kind == "try"
        found[node.pointer] = _Place(node, around.name, outer.section) if is_in_try and around else _Place(node)
    return found


def _scopes(frame: Frame) -> Iterator[Scope]:
    """The `try` tasks in whose lists it stands."""
    child, above = frame, frame.parent
    while above is not None:
        if above.node.kind == "try" and child.node.section == "try":
            yield _scope(above)
        child, above = above, above.parent


def _scope(frame: Frame) -> Scope:
    laps = []
    above = frame.parent
    while above is not None:
        laps.append((above.node.name, above.laps))
        above = above.parent
    return (frame.node.name, frame.iteration, tuple(laps))


def _rest(effect: str) -> str:
    """An effect's name without the task that it begins with: the iterations, the jumps, how often it was undone."""
    return re.sub(r"^[^\[~^]*", "", effect)
