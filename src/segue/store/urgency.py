"""The order in which what waits for people is told: by priority, by due time, by how long it has waited."""

from __future__ import annotations

from typing import Final, NamedTuple

NEVER: Final = 2**62
"""Due after everything that is due at all."""
_PRIORITY_MAX: Final = 3


class Urgency(NamedTuple):
    """The place of one thing among everything that waits; the smallest comes first, and no two have the same.

    Attributes:
        below: How far its priority is below `urgent`.
        due: When it is due, in milliseconds since the epoch; `NEVER` where it is not.
        since: Since when it has waited.
        kind, number: Which it is.
    """

    below: int
    due: int
    since: int
    kind: str
    number: int


def urgency(priority: int, due: int | None, since: int, kind: str, number: int) -> Urgency:
    """The place of something with this priority, 0 for low to 3 for urgent."""
    return Urgency(_PRIORITY_MAX - priority, NEVER if due is None else due, since, kind, number)


def behind(priority: str, due: str, since: str, kind: str, number: str, after: Urgency | None) -> tuple[str, str]:
    """As SQL from columns: a condition, with five parameters where there is an `after`; and the order."""
    place = f"{_PRIORITY_MAX} - {priority}, coalesce({due}, {NEVER}), {since}, {kind}, {number}"
    return "1" if after is None else f"({place}) > (?, ?, ?, ?, ?)", place
