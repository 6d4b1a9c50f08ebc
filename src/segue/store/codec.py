"""The one place between values and their stored form.

Stored JSON is plain text while small. From `PACK_FROM_BYTES` on it becomes a blob: one letter that names the
packing, then the packed bytes. `z` is zlib; the letter is also the place where encryption will be announced.

What is decoded equals what a replay will see, so whoever hands a value to the core hands over the decoded form
(`settled`), never the object that a handler or caller happened to build.
"""

from __future__ import annotations

import zlib
from typing import Any, Final

import msgspec

from segue.store.errors import ErasedData
from segue.types import Event, Failure, SecretText

PACK_FROM_BYTES: Final = 16 * 1024
"""Below this, packing costs more processor time than the disk it spares."""

ERASED: Final = '"erased"'
"""What reads in place of a value whose key was destroyed (`segue.types.Cipher`)."""

_ZLIB: Final = b"z"
_LEVEL: Final = 1  # Fast: payloads are repetitive JSON, and higher levels gain little on it.


def _store_as_text(value: Any) -> Any:
    """What msgspec does not know. A secret may be mentioned, never stored (decision 0001)."""
    if isinstance(value, SecretText):
        return str(value)
    raise TypeError(f"a value of type {type(value).__name__!r} is not JSON")


_encoder: Final = msgspec.json.Encoder(enc_hook=_store_as_text)
_event_decoder: Final = msgspec.json.Decoder(Event)
_failure_decoder: Final = msgspec.json.Decoder(Failure)

encode = _encoder.encode
"""Any value as JSON bytes. Raises TypeError, ValueError or RecursionError for what is not JSON."""

decode = msgspec.json.Decoder().decode
"""JSON bytes or text as a value."""

decode_event = _event_decoder.decode
"""Unpacked bytes or text as an event. Raises msgspec.DecodeError."""


def settled(value: Any, bytes_max: int | None = None) -> Any:
    """The value as it will be read back: tuples become lists, NaN becomes null, secrets their names.

    Args:
        bytes_max: Refuse a value whose JSON is longer.

    Raises:
        ValueError: It is not JSON, or too large; the message says why.
    """
    try:
        raw = encode(value)
        if bytes_max is not None and len(raw) > bytes_max:
            raise ValueError(too_large(len(raw), bytes_max))
        return decode(raw)
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise ValueError(f"not a JSON value: {error}") from error


def too_large(size: int, bytes_max: int) -> str:
    """What to say of a value that is larger than allowed."""
    return (
        f"the value has {size:,} bytes, and at most {bytes_max:,} may be stored (setting payload_max_kb): keep large"
        " data where it is and pass a reference to it"
    )


def pack(raw: bytes) -> str | bytes:
    """JSON bytes in their stored form."""
    if len(raw) < PACK_FROM_BYTES:
        return raw.decode()
    return _ZLIB + zlib.compress(raw, _LEVEL)


def unpack(stored: str | bytes) -> str | bytes:
    """JSON text or bytes from the stored form.

    Raises:
        ValueError: The packing is unknown: a newer release wrote it, or the file is damaged.
    """
    if isinstance(stored, str):
        return stored
    if stored[:1] != _ZLIB:
        raise ValueError(f"stored value has unknown packing {stored[:1]!r}: written by a newer release, or damaged")
    return zlib.decompress(stored[1:])


def load(stored: str | bytes | None) -> Any:
    """The value of a stored JSON column; None for SQL NULL."""
    return None if stored is None else decode(unpack(stored))


def load_event(stored: str | bytes) -> Event:
    """The event of a stored column."""
    raw = unpack(stored)
    if raw == ERASED:
        raise ErasedData("a history is about a data subject that was erased")
    event: Event = decode_event(raw)
    return event


def load_failure(stored: str | bytes | None) -> Failure | None:
    """The failure of a stored column; None for SQL NULL."""
    if stored == ERASED:
        return Failure(type="urn:segue:erased", status=410, title="erased")
    return None if stored is None else _failure_decoder.decode(unpack(stored))
