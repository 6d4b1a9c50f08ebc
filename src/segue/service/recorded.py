"""How much a run has written, and what somebody should know of it before it becomes a problem."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from segue.service.observe import Observation
from segue.service.past import Past
from segue.service.policies import said_history
from segue.service.portions import Sizes
from segue.service.shapes import Recorded

_NOTES_MAX: Final = 5
_OVERDUE: Final = 1.5


@dataclass(frozen=True, slots=True)
class Limits:
    """Soft limits of a data folder.

    Attributes:
        history_events: Events that a run keeps, unless its document says otherwise; 0 for all.
        value_bytes: From this size on, as JSON, values are pointed out; 0 for never.
    """

    history_events: int = 0
    value_bytes: int = 0

    def events_of(self, past: Past) -> int:
        """How many events this run keeps; 0 for all."""
        said = said_history(past.plan.definition)
        return self.history_events if said is None else said


NO_LIMITS: Final = Limits()


def recorded(past: Past, seen: Observation, limits: Limits, sizes: Sizes) -> Recorded:
    """How long the history of a run is, how much of it is kept, and what is beyond a soft limit."""
    keeps = limits.events_of(past)
    notes = []
    if keeps and len(past.events) > keeps * _OVERDUE:
        notes.append(
            f"it keeps {len(past.events):,} events, and {keeps:,} is the limit: its oldest ones are being folded, or"
            " its state cannot be written as a snapshot, which the server's log tells"
        )
    if limits.value_bytes:
        notes += _large(seen, limits.value_bytes, sizes)
    return Recorded(events=past.count, folded=past.before, limit=keeps or None, notes=notes)


def _large(seen: Observation, bytes_min: int, sizes: Sizes) -> Iterator[str]:
    """The tasks whose values are large, the largest first."""
    largest: dict[str, int] = {}
    for task in seen.tasks.values():
        size = max(sizes.of(task.input), sizes.of(task.output))
        if size >= bytes_min:
            largest[task.pointer] = max(size, largest.get(task.pointer, 0))
    for pointer, size in sorted(largest.items(), key=lambda item: -item[1])[:_NOTES_MAX]:
        yield (
            f"{pointer} holds a value of {size:,} bytes (soft limit {bytes_min:,}, setting payload_warn_kb): pass a"
            " reference to large data instead"
        )
