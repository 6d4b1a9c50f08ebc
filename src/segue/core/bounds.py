"""Bounds of a run: how large a value may be that it keeps, and how often it may jump back without waiting.

They are written into the first event of a run as a flag, so a history of an earlier release, and one from a place
with other settings, replays as it was. A run without the flag has neither.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from segue.types import fail

JUMPS_PER_EVENT_MAX: Final = 10_000
"""A document that jumps back more often without waiting for anything is taken to loop for ever. At this number it has
kept everybody else waiting for some tenths of a second."""

_FLAG: Final = "value-max="
_SMALL: Final = frozenset({int, float, bool, type(None)})
_encode: Final = msgspec.json.Encoder(enc_hook=str).encode


def flag(value_bytes_max: int) -> str:
    """What `RunStarted.flags` says of a run with bounds."""
    return f"{_FLAG}{value_bytes_max}"


def value_bytes_max_of(flags: tuple[str, ...]) -> int:
    """The largest value that a run may keep, as JSON; 0 where it has no bounds."""
    return next((int(said.removeprefix(_FLAG)) for said in flags if said.startswith(_FLAG)), 0)


def require_fits(value: Any, bytes_max: int, what: str) -> None:
    """Refuse a value that is too large to be kept.

    Args:
        what: What it is, for the sentence: `the event's data`.

    Raises:
        TaskFailure: It is.
    """
    if type(value) in _SMALL or (size := len(_encode(value))) <= bytes_max:
        return
    raise fail(
        "runtime",
        f"{what} has {size:,} bytes as JSON, and at most {bytes_max:,} may be kept (setting payload_max_kb): keep"
        " large data where it is and pass a reference to it, or pass on only what later tasks need",
    )


def jumps_for_ever(pointer: str) -> Exception:
    """The failure of a task that jumped back too often."""
    return fail(
        "runtime",
        f"the task at {pointer} jumped back {JUMPS_PER_EVENT_MAX:,} times without the run waiting for anything, so it"
        " probably never ends: give the jump a condition, the loop a `wait`, or use `for` over what is to be counted",
    )
