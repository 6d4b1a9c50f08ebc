"""Taking compressed answers apart, never further than their bound.

A decoder that is given a whole piece makes a thousand times as much of it at once, and one behind another a million
times: ten kilobytes of `Content-Encoding: gzip, gzip` are the memory of a machine before anybody can count. So one
encoding is taken, the one that was asked for, and it is told how much it may make.
"""

from __future__ import annotations

import zlib
from typing import Final

import httpx

ACCEPTED: Final = "gzip, deflate"
"""What requests say in `Accept-Encoding`."""
_GZIP: Final = zlib.MAX_WBITS | 16
_ZLIB: Final = zlib.MAX_WBITS
_BARE: Final = -zlib.MAX_WBITS
"""Some servers say `deflate` and leave the frame away that belongs to it."""
_WIDTHS: Final = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _ZLIB}


class Inflating:
    """Takes one body apart, piece by piece.

    Args:
        encodings: The values of `Content-Encoding`, in their order.

    Raises:
        httpx.DecodingError: There are several, or one that was not asked for.
    """

    def __init__(self, encodings: list[str]) -> None:
        wanted = [name for said in encodings if (name := said.strip().lower()) not in ("", "identity")]
        if len(wanted) > 1 or (wanted and wanted[0] not in _WIDTHS):
            raise httpx.DecodingError(f"it is encoded as {', '.join(wanted)[:100]!r}, and {ACCEPTED} was asked for")
        self._width = _WIDTHS[wanted[0]] if wanted else 0
        self._inside = zlib.decompressobj(self._width) if wanted else None
        self._begun = False

    def take(self, piece: bytes, most: int) -> bytes:
        """What this piece holds, and of more than `most` bytes the first ones.

        Raises:
            httpx.DecodingError: It is not what it says it is.
        """
        if self._inside is None or not piece:
            return piece
        try:
            return self._inflated(piece, most)
        except zlib.error as error:
            raise httpx.DecodingError(str(error)) from error

    def _inflated(self, piece: bytes, most: int) -> bytes:
        assert self._inside is not None
        begun, self._begun = self._begun, True
        # zlib reads 0 as no bound at all.
        bound = max(1, most)
        try:
            return self._inside.decompress(piece, bound)
        except zlib.error:
            if begun or self._width != _ZLIB:
                raise
            self._inside = zlib.decompressobj(_BARE)
            return self._inside.decompress(piece, bound)
