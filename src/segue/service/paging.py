"""Pages and times as whoever asks writes them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from segue.service.errors import ServiceError

PAGE_MAX: Final = 500
_SEQ_MAX: Final = 2**62


def ms_of(moment: datetime | None) -> int | None:
    """Milliseconds since the epoch; a time without a zone is UTC."""
    if moment is None:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def place_of(after: str | None) -> int | None:
    """The number that the `next` of a page stands for.

    Raises:
        ServiceError: `request-malformed`.
    """
    if after is None:
        return None
    if not (after.isascii() and after.isdigit()) or int(after) > _SEQ_MAX:
        raise ServiceError("request-malformed", f"{after!r} is not the `next` of a page.")
    return int(after)
