"""What logs may say of an exception: its kind and its places in the code. Messages may quote data and secrets."""

from __future__ import annotations

import sys
import traceback


def whereabouts(error: BaseException | None = None) -> str:
    """Kinds and places of an exception and of what caused it, for a log; never what they say.

    Args:
        error: The one that is being handled where it is left out.
    """
    told: list[str] = []
    error = error or sys.exception()
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        told.append(f"{type(error).__name__} at\n{''.join(traceback.format_tb(error.__traceback__))}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "because of ".join(told)
