"""Bounds of a run: how large and deep a value may be that it makes, how often it may jump back without waiting.

They are written into the first event of a run as a flag, so a history of an earlier release, and one from a place
with other settings, replays as it was. A run without the flag has neither; one with `value-max=N` measures only what
`set`, transforms and `emit` make, and no depth.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

import msgspec

from segue.types import fail

JUMPS_PER_EVENT_MAX: Final = 10_000
"""A document that jumps back more often without waiting for anything is taken to loop for ever. At this number it has
kept everybody else waiting for some tenths of a second."""

DEPTH_MAX: Final = 256
"""Levels of arrays and objects. Half of what the narrowest reader of JSON that values meet can take: it stops by its
stack, which is not the same everywhere, and a history must lead to the same everywhere."""

_FLAG: Final = "values-max="
_EARLIER: Final = "value-max="
_SMALL: Final = frozenset({int, float, bool, type(None)})
_TEXT: Final = re.compile(rb'"(?:[^"\\]|\\.)*"')
_ALL_BUT_BRACKETS: Final = bytes(set(range(256)) - set(b'[]{}"\\'))
_AS_SQUARE: Final = bytes.maketrans(b"{}", b"[]")
_encode: Final = msgspec.json.Encoder(enc_hook=str).encode


def flag(value_bytes_max: int) -> str:
    """What `RunStarted.flags` says of a run with bounds."""
    return f"{_FLAG}{value_bytes_max}"


@lru_cache(maxsize=64)
def value_bytes_max_of(flags: tuple[str, ...]) -> int:
    """The largest value that a run may keep, as JSON; 0 where it has no bounds."""
    return next((int(said.partition("=")[2]) for said in flags if said.startswith((_FLAG, _EARLIER))), 0)


@lru_cache(maxsize=64)
def hold_for_all_values(flags: tuple[str, ...]) -> bool:
    """The bounds hold for everything that the run makes, for arguments and joins too."""
    return any(said.startswith(_FLAG) for said in flags)


def require_fits(value: Any, bytes_max: int, what: str, *, depth_max: int = DEPTH_MAX) -> None:
    """Refuse a value that is too large or too deep to be kept.

    Args:
        what: What it is, for the sentence: `the event's data`.

    Raises:
        TaskFailure: It is.
    """
    if type(value) in _SMALL:
        return
    # As `_size` does it, without a call: asked for nearly all that a run makes, and nearly all of that is short.
    try:
        encoded = _encode(value)
    except RecursionError:
        raise _beyond_reading(what, depth_max) from None
    size = len(encoded)
    if size > 2 * depth_max:
        _require_shallow(encoded, what, depth_max)
    if size > bytes_max:
        raise _too_large(what, f"{size:,} bytes", bytes_max)


def require_fit_together(values: Iterable[Any], bytes_max: int, what: str) -> None:
    """The same for a container of values that each fit. It is never written out as a whole.

    The same value may be in it a thousand times: in memory that costs nothing, written out it would.

    Raises:
        TaskFailure: Together they are too large, or one is too deep to be in a container.
    """
    size = 0
    for value in values:
        size += 1 if type(value) in _SMALL else _size(value, what, DEPTH_MAX - 1)
        if size > bytes_max:
            raise _too_large(what, f"more than {bytes_max:,} bytes", bytes_max)


def added_up(so_far: int, value: Any, bytes_max: int, what: str) -> int:
    """The size of a container that grows by a value with each event, after this one.

    Raises:
        TaskFailure: It is too large by now, or the value too deep to be in a container.
    """
    size = so_far + (1 if type(value) in _SMALL else _size(value, what, DEPTH_MAX - 1))
    if size > bytes_max:
        raise _too_large(what, f"more than {bytes_max:,} bytes", bytes_max)
    return size


def _size(value: Any, what: str, depth_max: int) -> int:
    """Its bytes as JSON; no depth is too deep where `depth_max` is 0."""
    try:
        encoded = _encode(value)
    except RecursionError:
        raise _beyond_reading(what, depth_max) from None
    _require_shallow(encoded, what, depth_max)
    return len(encoded)


def _require_shallow(encoded: bytes, what: str, depth_max: int) -> None:
    # Each level takes two characters, so what is short is not deep.
    if (
        depth_max
        and len(encoded) > 2 * depth_max
        and encoded.count(b"[") + encoded.count(b"{") > depth_max
        and not _is_within(encoded, depth_max)
    ):
        raise _too_deep(what, depth_max)


def _is_within(encoded: bytes, depth_max: int) -> bool:
    """Whether JSON has at most so many levels: taking its innermost brackets away so often leaves none.

    Ten times faster than walking the value, for megabytes of it.
    """
    # Two texts beside each other leave a pair of quotes; a bracket within a text leaves one, or a backslash.
    left = encoded.translate(_AS_SQUARE, _ALL_BUT_BRACKETS).replace(b'""', b"")
    if b'"' in left or b"\\" in left:
        left = _TEXT.sub(b"", encoded).translate(_AS_SQUARE, _ALL_BUT_BRACKETS)
    for _ in range(depth_max):
        left = left.replace(b"[]", b"")
        if not left:
            return True
    return False


def _beyond_reading(what: str, depth_max: int) -> Exception:
    """It is so deep that nothing can write it; earlier runs, which know no depth, end as they did."""
    return _too_deep(what, depth_max) if depth_max else RecursionError(f"{what} is nested too deeply to be written")


def _too_deep(what: str, depth_max: int) -> Exception:
    return fail(
        "runtime",
        f"{what} is nested deeper than {depth_max} levels: collect in an array instead of wrapping what was there"
        " before each time",
    )


def _too_large(what: str, size: str, bytes_max: int) -> Exception:
    return fail(
        "runtime",
        f"{what} has {size} as JSON, and at most {bytes_max:,} may be kept (setting payload_max_kb): keep"
        " large data where it is and pass a reference to it, or pass on only what later tasks need",
    )


def jumps_for_ever(pointer: str) -> Exception:
    """The failure of a task that jumped back too often."""
    return fail(
        "runtime",
        f"the task at {pointer} jumped back {JUMPS_PER_EVENT_MAX:,} times without the run waiting for anything, so it"
        " probably never ends: give the jump a condition, the loop a `wait`, or use `for` over what is to be counted",
    )
