"""What a simulated disk holds."""

from __future__ import annotations

from typing import Any

import msgspec

from segue.types import Event, SecretText


class EventRecord(msgspec.Struct, frozen=True):
    """Event number `seq` of a run's history, encoded."""

    run_id: str
    seq: int
    raw: bytes


class IntentRecord(msgspec.Struct, frozen=True):
    """An act that must not simply be repeated is about to begin; `effect` is its name in the run."""

    run_id: str
    command_id: int
    effect: str


class OutcomeRecord(msgspec.Struct, frozen=True):
    """How an intended act ended: `done` (its result stands in the run's history), `failed` or `unknown`."""

    run_id: str
    command_id: int
    effect: str
    state: str


class MessageRecord(msgspec.Struct, frozen=True):
    """A CloudEvent that came in or was emitted by a run."""

    arrived_at: int
    event: dict[str, Any]


Record = EventRecord | IntentRecord | OutcomeRecord | MessageRecord


def key_of(event: dict[str, Any]) -> tuple[str, str]:
    """What makes a CloudEvent the same one: its source and id."""
    return event["source"], event["id"]


def _as_text(value: Any) -> Any:
    if isinstance(value, SecretText):
        return str(value)
    raise TypeError(f"a value of type {type(value).__name__!r} is not JSON")


encode_event = msgspec.json.Encoder(enc_hook=_as_text).encode
"""An event as bytes. Raises TypeError, ValueError or RecursionError for what is not JSON."""

decode_event = msgspec.json.Decoder(Event).decode
"""Bytes as the event that a replay will see."""
