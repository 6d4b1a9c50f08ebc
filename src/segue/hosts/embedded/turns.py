"""Turns: which act goes next when not all can.

Theory. All acts of a process share its places, and a target that hangs gives none back until a time-out. A limit per
target would protect the others, but no fixed number suits both a folder with one connection and one with fifty. So a
target's share follows from what is free: an act may go while its target holds, together with its workflow at that
target, fewer places than are free. The limit needs no knowledge of who will come, and it leaves something for
whoever does (the dynamic thresholds of switches with shared memory: Choudhury and Hahne, 1998).

One workflow at one target gets a third of the places, the next that hangs a third of what is left, and so on; with a
thousand places the seventeenth still finds some. Several workflows at one target share it the same way.

Whoever waits stands in a lane (its workflow at its target). Lanes of a target take turns, and so do targets; inside
a lane the oldest goes first. Places belong to acts of this process and to nothing else, so a crash leaks none.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Lane(NamedTuple):
    """Where an act stands.

    Attributes:
        handler: The name of its handler, which may have a limit of its own.
        target: What it acts on, as its handler calls it.
        workflow: Whose act it is.
    """

    handler: str
    target: str
    workflow: str


Target = tuple[str, str]


class Turns(Generic[T]):
    """Gives places to acts and keeps those that wait in order.

    After each call, nobody waits who may go: `enter` and `leave` are the only moments when that changes, and whoever
    calls `leave` calls `next` until it answers None.

    Args:
        places: How many acts may be under way.
        handler_places: The same for single handlers; they cannot have more than there are.
    """

    def __init__(self, places: int, handler_places: Mapping[str, int] | None = None) -> None:
        self._free = places
        self._handler_free = dict(handler_places or {})
        self._held_by_target: dict[Target, int] = {}
        self._held_by_lane: dict[Lane, int] = {}
        self._waiting: OrderedDict[Target, OrderedDict[Lane, dict[T, None]]] = OrderedDict()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(len(queue) for lanes in self._waiting.values() for queue in lanes.values())

    def enter(self, item: T, lane: Lane, *, closed: bool = False) -> bool:
        """Take a place if there is one, otherwise wait.

        Args:
            closed: Wait in any case.

        Returns:
            Whether it holds a place now.
        """
        target = lane[:2]
        # Nobody in this lane can be overtaken: who waits there may not go, and neither may this one then.
        if not closed and self._may_go(target, lane):
            self._hold(target, lane)
            return True
        self._waiting.setdefault(target, OrderedDict()).setdefault(lane, {})[item] = None
        return False

    def leave(self, lane: Lane) -> None:
        """Give a held place back."""
        target = lane[:2]
        self._free += 1
        if lane.handler in self._handler_free:
            self._handler_free[lane.handler] += 1
        _less(self._held_by_target, target)
        _less(self._held_by_lane, lane)

    def drop(self, item: T, lane: Lane) -> None:
        """Wait no longer; nothing happens where it does not wait."""
        target = lane[:2]
        lanes = self._waiting.get(target)
        queue = None if lanes is None else lanes.get(lane)
        if queue is not None and item in queue:
            del queue[item]
            self._tidy(target, lane)

    def next(self) -> T | None:
        """Let the one go whose turn it is; it holds a place now. None when nobody who waits may go."""
        for target, lanes in self._waiting.items():
            for lane, queue in lanes.items():
                if self._may_go(target, lane):
                    item = next(iter(queue))
                    del queue[item]
                    self._hold(target, lane)
                    lanes.move_to_end(lane)
                    self._waiting.move_to_end(target)
                    self._tidy(target, lane)
                    return item
        return None

    def _may_go(self, target: Target, lane: Lane) -> bool:
        if self._handler_free.get(lane.handler, 1) <= 0:
            return False
        return self._held_by_target.get(target, 0) + self._held_by_lane.get(lane, 0) < self._free

    def _hold(self, target: Target, lane: Lane) -> None:
        self._free -= 1
        if lane.handler in self._handler_free:
            self._handler_free[lane.handler] -= 1
        self._held_by_target[target] = self._held_by_target.get(target, 0) + 1
        self._held_by_lane[lane] = self._held_by_lane.get(lane, 0) + 1

    def _tidy(self, target: Target, lane: Lane) -> None:
        lanes = self._waiting[target]
        if not lanes[lane]:
            del lanes[lane]
        if not lanes:
            del self._waiting[target]


def _less(counts: dict[T, int], name: T) -> None:
    counts[name] -= 1
    if not counts[name]:
        del counts[name]
