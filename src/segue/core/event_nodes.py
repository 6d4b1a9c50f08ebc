"""Tasks of a plan that wait for events, and what they wait for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from segue.core.nodes import Check, Node, Program


@dataclass(frozen=True, slots=True)
class Matcher:
    """One attribute of an event filter.

    `literal` matches an equal value; where it is text, an attribute that fully matches it as a regular
    expression matches too (`pattern`, compiled at publish, None where the text is no valid pattern).
    `program`, instead, is truthy on the event's data (attribute `data`) or on the event (ruling R21).
    """

    attribute: str
    literal: Any = None
    pattern: Callable[[str], Any] | None = None
    program: Program | None = None


@dataclass(frozen=True, slots=True)
class Correlation:
    """`from_` extracts a value from the event (its `.` is the event envelope); it must equal `expect`."""

    key: str
    from_: Program
    expect: Program | None = None


@dataclass(frozen=True, slots=True)
class EventFilter:
    """All matchers and all correlations must hold."""

    matchers: tuple[Matcher, ...]
    correlations: tuple[Correlation, ...] = ()


@dataclass(frozen=True, slots=True)
class Strategy:
    """Which events a listener consumes. `until` goes with `any` only."""

    mode: Literal["one", "all", "any"]
    filters: tuple[EventFilter, ...]
    until: Program | Strategy | None = None

    @property
    def types(self) -> tuple[str, ...]:
        """Literal event types that can match; empty when any type may."""
        found: set[str] = set()
        strategies = (self, self.until) if isinstance(self.until, Strategy) else (self,)
        if any(not strategy.filters for strategy in strategies):
            return ()  # an empty `any` takes every event
        for event_filter in (f for strategy in strategies for f in strategy.filters):
            literal = next((m.literal for m in event_filter.matchers if m.attribute == "type"), None)
            if not isinstance(literal, str) or not _is_plain(literal):
                return ()
            found.add(literal)
        return tuple(sorted(found))


def _is_plain(text: str) -> bool:
    """True when the text, read as a regular expression, matches only itself (dots taken as dots)."""
    return not any(sign in text for sign in r"\^$*+?{}[]|()")


Read = Literal["data", "envelope", "raw"]


@dataclass(frozen=True, slots=True)
class Iterator:
    """`foreach` of a listener: handle events one at a time, in the order of their arrival."""

    tasks: tuple[Node, ...]
    item: str = "item"
    at: str = "index"
    output_as: Program | None = None
    output_check: Check | None = None
    export_as: Program | None = None
    export_check: Check | None = None


class ListenNode(Node):
    """`listen`: output is the array of what was consumed, in order."""

    kind = "listen"
    __slots__ = ("foreach", "read", "to")

    def __init__(self, *, to: Strategy, read: Read = "data", foreach: Iterator | None = None, **common: Any) -> None:
        super().__init__(**common)
        self.to = to
        self.read = read
        self.foreach = foreach

    def children(self) -> tuple[tuple[Node, ...], ...]:
        return (self.foreach.tasks,) if self.foreach else ()
