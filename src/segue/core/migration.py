"""Migration: a live run goes on under another version of its definition.

Theory. A state points into a plan: each live task to its node, each list to a place in it. Migration finds for the
nodes of the old plan their counterparts in the new one, and moves the pointers. Tasks correspond by their names
within corresponding lists, or as a mapping of pointers says. What corresponds must be of the same kind; what is live
must have a counterpart that can take over what the task holds, or nothing is moved at all.

What is kept: acts, timers, waits and human tasks that are open go on, and their results reach the counterpart. An
act keeps its name, and with it its effect key, over any number of migrations; a task that is new gets a name that no
other had. Clocks that run keep their time.

Law: migrating to an identical copy changes nothing that follows, at any moment of any history.

Source: decision 0051.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from segue.core.machines.act import base_of
from segue.core.plan import ActNode, ExtendedNode, ForkNode, ForNode, ListenNode, Node, Plan, Strategy, TryNode
from segue.core.state import Frame, RunState
from segue.types import Offer, Perform

if TYPE_CHECKING:
    from segue.core.turn import Turn
    from segue.types import RunMigrated

_ALONE: Final = ("body", "undo")
"""There is one of it, whatever its name."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a run cannot go on under the other version, and what to do about it."""

    pointer: str
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Move:
    """A live task and its counterpart."""

    id: int
    kind: str
    before: str
    after: str


@dataclass(slots=True)
class Examination:
    """What a migration would do.

    Attributes:
        nodes: Index in the old plan and in the new one, of every task that has a counterpart.
        moves: Of the live tasks, outermost first. obstacles: All of them; where there is one, nothing may be moved.
    """

    nodes: tuple[tuple[int, int], ...] = ()
    moves: list[Move] = field(default_factory=list)
    obstacles: list[Obstacle] = field(default_factory=list)


def examine(old: Plan, new: Plan, state: RunState, mapping: Mapping[str, str]) -> Examination:
    """Check whether a live run could go on under another plan.

    Args:
        old: The plan that the run is under now.
        mapping: Pointers of tasks in the old document to their counterparts in the new one, where names differ.
    """
    return _Examiner(old, new, state, mapping).run()


class _Examiner:
    def __init__(self, old: Plan, new: Plan, state: RunState, mapping: Mapping[str, str]) -> None:
        self.old = old
        self.new = new
        self.state = state
        self.mapping = mapping
        self.found = Examination()
        self.to: dict[Node, Node] = {}
        self.above = {child: node for node in new.nodes for listed in node.children() for child in listed}

    def run(self) -> Examination:
        if (self.old.namespace, self.old.name) != (self.new.namespace, self.new.name):
            self._complain(
                "", f"{self.new.namespace}/{self.new.name} is another workflow", "name a version of its own"
            )
        self._correspond()
        self.found.nodes = tuple(sorted((one.index, other.index) for one, other in self.to.items()))
        for frame in self.state.frames.values():
            self._frame(frame)
        for deferred in self.state.deferred:
            self._require(deferred.node, "is held back by the pause")
        for undo in self.state.undos.values():
            if undo.node not in self.to:
                self._complain(
                    undo.node.pointer, "it has happened, and could not be undone any more", "keep its undo"
                )
        return self.found

    def _complain(self, pointer: str, message: str, remedy: str) -> None:
        self.found.obstacles.append(Obstacle(pointer, message, remedy))

    # -- what corresponds --------------------------------------------------------------------------

    def _correspond(self) -> None:
        explicit = self._explicit()
        taken = set(explicit.values())
        pending: list[tuple[Node, Node]] = [(self.old.root, self.new.root), *explicit.items()]
        while pending:
            one, other = pending.pop()
            self.to[one] = other
            for before, after in _lists(one, other):
                names = {node.name: node for node in after}
                for child in before:
                    match = after[0] if child.section in _ALONE else names.get(child.name)
                    if child in explicit or match is None or match in taken or match.kind != child.kind:
                        continue
                    pending.append((child, match))

    def _explicit(self) -> dict[Node, Node]:
        found: dict[Node, Node] = {}
        for before, after in self.mapping.items():
            one, other = self._named(self.old, before), self._named(self.new, after)
            if one is None or other is None:
                which = "old" if one is None else "new"
                pointer = before if one is None else after
                self._complain(
                    before, f"the {which} document has no single task at {pointer!r}", "correct the mapping"
                )
            elif one.kind != other.kind:
                message = f"{before!r} is a task of the kind {one.kind!r}, {after!r} of the kind {other.kind!r}"
                self._complain(before, message, "map it to a task of the same kind")
            elif other in found.values():
                self._complain(before, f"{after!r} is the counterpart of another task already", "map one of them")
            else:
                found[one] = other
        return found

    @staticmethod
    def _named(plan: Plan, pointer: str) -> Node | None:
        found = [node for node in plan.nodes if node.pointer == pointer]
        # An extension's wrapper shares the pointer of the task that it wraps; both go together.
        outer = [node for node in found if isinstance(node, ExtendedNode)] or found
        return outer[0] if len(outer) == 1 else None

    # -- what is live ------------------------------------------------------------------------------

    def _require(self, node: Node, state: str) -> Node | None:
        other = self.to.get(node)
        if other is None:
            message = (
                f"task {node.name!r} {state}, and {self.new.version} has no task of the kind {node.kind!r} for it"
            )
            self._complain(node.pointer, message, "name its counterpart in the mapping, or wait until it has ended")
        return other

    def _frame(self, frame: Frame) -> None:
        node = frame.node
        other = self._require(node, "failed and waits" if frame.id in self.state.held else "is under way")
        if other is None:
            return
        if frame.parent is not None:
            self.found.moves.append(Move(frame.id, node.kind, node.pointer, other.pointer))
            around = self.to.get(frame.parent.node)
            if around is not None and (self.above.get(other) is not around or other.section != node.section):
                message = f"its counterpart {other.pointer!r} does not stand in the counterpart of what is around it"
                self._complain(node.pointer, message, "map it to a task in the same list")
        for message in _differences(frame, other, self.to):
            self._complain(
                node.pointer, message, "migrate when the task has ended, or keep this part of it as it was"
            )
        self._steps(frame, other)

    def _steps(self, frame: Frame, other: Node) -> None:
        """Outputs that expressions of the new version read by name, and that the run does not have."""
        back = {after: before for before, after in self.to.items()}
        reached = self._reached(frame)
        held = set(frame.steps or ())
        for listed in other.children():
            for node in listed:
                was = back.get(node)
                has_it = was is not None and was.name in held
                if not node.keep or has_it or reached is None or node.section != reached.section:
                    continue
                passed = node.section == "branch" or node.position < reached.position
                if passed and (was is None or not was.keep):
                    message = f"{self.new.version} reads `$steps.{node.name}`, and the run has not kept its output"
                    self._complain(node.pointer, message, "read it from elsewhere, or migrate before that task")

    def _reached(self, frame: Frame) -> Node | None:
        """The counterpart of the task that the list of this one has come to."""
        children = [f.node for f in self.state.frames.values() if f.parent is frame]
        children += [d.node for d in self.state.deferred if d.parent is frame]
        return next((self.to[node] for node in children if node in self.to), None)


def _lists(one: Node, other: Node) -> Iterator[tuple[tuple[Node, ...], tuple[Node, ...]]]:
    """Corresponding lists of two tasks of one kind; the branches of a fork count as one."""
    if isinstance(one, ForkNode) and isinstance(other, ForkNode):
        yield one.branches, other.branches
        return
    by_section = {listed[0].section: listed for listed in other.children() if listed}
    for listed in one.children():
        if not listed or listed[0].section not in by_section:
            continue
        yield listed, by_section[listed[0].section]


def _differences(frame: Frame, other: Node, to: Mapping[Node, Node]) -> Iterator[str]:
    """What a live task holds and its counterpart could not take over."""
    node = frame.node
    if isinstance(node, ActNode) and isinstance(other, ActNode) and node.handler != other.handler:
        yield f"its act goes out through {node.handler!r}, and the new one through {other.handler!r}"
    if isinstance(node, ForNode) and isinstance(other, ForNode) and (node.each, node.at) != (other.each, other.at):
        yield "the variables of its loop have other names"
    if isinstance(node, TryNode) and isinstance(other, TryNode) and node.catch_as != other.catch_as:
        yield "the variable of its error has another name"
    if isinstance(node, ForkNode) and isinstance(other, ForkNode) and not _same_branches(node, other, to):
        yield "it has other branches, or branches that wait for others than before"
    if isinstance(node, ListenNode) and isinstance(other, ListenNode) and not _same_events(node, other):
        yield "it waits for other events, or handles them in another way"


def _same_branches(one: ForkNode, other: ForkNode, to: Mapping[Node, Node]) -> bool:
    places = {branch.position: to[branch].position for branch in one.branches if to.get(branch) in other.branches}
    if len(places) != len(one.branches) or len(one.branches) != len(other.branches) or one.compete != other.compete:
        return False
    if not one.needs and not other.needs:
        return True
    wanted = [set(needs) for needs in other.needs or ((),) * len(other.branches)]
    given = list(one.needs or ((),) * len(one.branches))
    return all({places[i] for i in needs} == wanted[places[place]] for place, needs in enumerate(given))


def _same_events(one: ListenNode, other: ListenNode) -> bool:
    if (
        _shape(one.to) != _shape(other.to)
        or one.read != other.read
        or (one.foreach is None) != (other.foreach is None)
    ):
        return False
    if one.foreach is None or other.foreach is None:
        return True
    return (one.foreach.item, one.foreach.at) == (other.foreach.item, other.foreach.at)


def _shape(strategy: Strategy) -> tuple[Any, ...]:
    filters = [sorted((m.attribute, repr(m.literal)) for m in each.matchers) for each in strategy.filters]
    keys = [sorted(c.key for c in each.correlations) for each in strategy.filters]
    until = strategy.until
    return strategy.mode, strategy.types, filters, keys, _shape(until) if isinstance(until, Strategy) else type(until)


# -- applying --------------------------------------------------------------------------------------------


def migrate(turn: Turn, event: RunMigrated) -> None:
    """Let the run go on under the plan that the event names. The event holds what was examined before."""
    state, new = turn.state, turn.plan.at(event.definition)
    to = {before: new.nodes[after] for before, after in event.nodes}
    state.names = _names(turn.plan, new, state, to)
    state.migrations += 1
    for frame in state.frames.values():
        _move(frame, to)
    for deferred in state.deferred:
        deferred.node = to[deferred.node.index]
    for undo in state.undos.values():
        undo.node = to[undo.node.index]
    for number, command in state.open.items():
        owner = state.frames.get(number)
        if owner is not None and isinstance(command, Perform | Offer):
            place = {"name": owner.node.name, "pointer": owner.node.pointer}
            state.open[number] = msgspec.structs.replace(command, **place)
            if number in state.withheld:
                held = state.withheld[number]
                held.command = msgspec.structs.replace(held.command, **place)
    state.definition = new.digest
    if event.adjustable is not msgspec.UNSET:
        state.adjustable = event.adjustable
    turn.plan = new


def _names(old: Plan, new: Plan, state: RunState, to: Mapping[int, Node]) -> dict[int, str]:
    """What acts of the new plan are called: as their counterparts were, or as nobody was before."""
    kept = {node.index: base_of(state, old.nodes[before]) for before, node in to.items()}
    fresh = f".{state.migrations + 1}"
    names = {node.index: kept.get(node.index, f"{node.index}{fresh}") for node in new.nodes}
    return {index: name for index, name in names.items() if name != str(index)}


def _move(frame: Frame, to: Mapping[int, Node]) -> None:
    old, new = frame.node, to[frame.node.index]
    if frame.steps:
        names = {child.name: to[child.index].name for row in old.children() for child in row if child.index in to}
        frame.steps = {names.get(name, name): value for name, value in frame.steps.items()}
    if isinstance(old, ForkNode) and frame.data is not None:
        join = frame.data
        order = {to[branch.index].position: branch.position for branch in old.branches}
        join.outputs = [join.outputs[order[place]] for place in range(len(order))]
        join.threads = [join.threads[order[place]] for place in range(len(order))]
        join.waits = [join.waits[order[place]] for place in range(len(order))]
    frame.node = new
