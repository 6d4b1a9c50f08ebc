"""The one place between values and their stored form."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.store import codec
from segue.types import AttemptSucceeded, RunStarted, SecretText

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_stored_is_read_back(value: Any) -> None:
    """History is the only source of state, so nothing may change on the way through it."""
    assert codec.load(codec.pack(codec.encode(value))) == value


@given(VALUES)
def test_settling_twice_changes_nothing(value: Any) -> None:
    """What the core sees live is what it sees on replay."""
    once = codec.settled(value)
    assert codec.settled(once) == once


@pytest.mark.parametrize("size", [10, codec.PACK_FROM_BYTES - 2, codec.PACK_FROM_BYTES, 500_000])
def test_large_values_are_packed_and_small_ones_stay_readable(size: int) -> None:
    """A person with the sqlite3 program can read small rows; large ones spare the disk."""
    raw = codec.encode("x" * (size - 2))
    stored = codec.pack(raw)
    assert isinstance(stored, bytes) == (size >= codec.PACK_FROM_BYTES)
    assert len(stored) <= len(raw)
    assert codec.load(stored) == "x" * (size - 2)


def test_a_secret_is_never_stored_as_a_value() -> None:
    """Its name may be: it says what was used without giving it away."""
    event = AttemptSucceeded(at=1, id=2, output={"token": SecretText(("Bearer ", ("crm", "token")))})
    assert codec.encode(event) == b'{"e":"ok","at":1,"id":2,"output":{"token":"Bearer [secret crm.token]"}}'


def test_values_that_json_lacks_are_settled_or_refused() -> None:
    """A refusal names the reason; nothing is stored that would be read back as something else unnoticed."""
    assert codec.settled((1, float("inf"), {2: datetime(2026, 1, 2, tzinfo=UTC)})) == [
        1,
        None,
        {"2": "2026-01-02T00:00:00Z"},
    ]
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    for bad in (object(), "\ud800", {(1, 2): 3}, deep, lambda: None):
        with pytest.raises(ValueError, match="not a JSON value"):
            codec.settled(bad)


def test_events_are_told_apart_by_their_kind() -> None:
    """A stored row says what it is."""
    event = RunStarted(at=1, run_id="r", definition="d", input=[1, 2**70])
    assert codec.load_event(codec.pack(codec.encode(event))) == event


def test_an_unknown_packing_is_refused_with_its_reason() -> None:
    """A file of a newer release must not be misread."""
    with pytest.raises(ValueError, match="unknown packing b'q'"):
        codec.unpack(b"q123")
    assert codec.load(None) is None
